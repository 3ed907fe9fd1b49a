//! The schema as it stands against the one that the migrations make: a dropped constraint, a bent index, an extra
//! trigger or a replaced view can make queries miss rows that are all there.
//!
//! Invariants: every table, column, constraint, index, trigger, rule, policy and view of the ledger is compared.
//! Absent: service tables, whose names begin with `service_`, and other tables of the same PostgreSQL database; rights.
//! Source: design.md "Verification".

use std::collections::BTreeMap;

use weituo_proof::Both;

use super::{Result, StoreError};

const OF_THIS_PROGRAM: Both = Both::new("本程序的结构版本", "those of this program");

/// Objects of a schema and how each is defined.
pub(super) type Objects = BTreeMap<String, String>;

/// What a comparison of the schema found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalogue {
    /// What differs; empty for the schema that the migrations make.
    pub differences: Vec<SchemaDifference>,
    /// What could not be looked at, in words.
    pub unchecked: Vec<Both>,
}

/// One object that is not what the migrations made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaDifference {
    /// Kind and name, such as `index entry.entry_command`.
    pub object: String,
    /// Its definition, or that there is none.
    pub expected: Both,
    /// How it stands, or that it does not.
    pub found: Both,
}

impl Catalogue {
    /// Compares objects and applied migrations. A database without any object has no ledger in it.
    pub(super) fn compare(expected: &Objects, found: &Objects, current: Result<()>) -> Result<Self> {
        let mut catalogue = Self::default();
        if found.is_empty() {
            current?;
        } else if let Err(error) = current {
            match &error {
                StoreError::Schema { what } => catalogue.differs("migrations", OF_THIS_PROGRAM, what.clone()),
                StoreError::Corrupt { .. } | StoreError::Fault { .. } => {
                    catalogue.differs("migrations", OF_THIS_PROGRAM, &error);
                }
                _ => return Err(error),
            }
        }
        let shown = |object: Option<&String>| object.map_or(Both::new("没有", "absent"), Both::from);
        let names: std::collections::BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
        for name in names {
            let (right, now) = (expected.get(name), found.get(name));
            if right != now {
                catalogue.differs(name, shown(right), shown(now));
            }
        }
        Ok(catalogue)
    }

    pub(super) fn differs(&mut self, object: &str, expected: impl Into<Both>, found: impl Into<Both>) {
        let (object, expected, found) = (object.to_owned(), expected.into(), found.into());
        self.differences.push(SchemaDifference { object, expected, found });
    }
}
