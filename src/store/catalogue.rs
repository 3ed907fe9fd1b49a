//! The schema as it stands against the one that the migrations make: a dropped constraint, a bent index, an extra
//! trigger or a replaced view can make queries miss rows that are all there.
//!
//! Invariants: every table, column, constraint, index, trigger, rule, policy and view of the ledger is compared.
//! Absent: service tables, whose names begin with `service_`, and other tables of the same PostgreSQL database; rights.
//! Source: design.md "Verification".

use std::collections::BTreeMap;

use super::{Result, StoreError};

/// Objects of a schema and how each is defined.
pub(super) type Objects = BTreeMap<String, String>;

/// What a comparison of the schema found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalogue {
    /// What differs; empty for the schema that the migrations make.
    pub differences: Vec<SchemaDifference>,
    /// What could not be looked at, in words.
    pub unchecked: Vec<String>,
}

/// One object that is not what the migrations made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaDifference {
    /// Kind and name, such as `index entry.entry_command`.
    pub object: String,
    /// Its definition; `absent` for an extra object.
    pub expected: String,
    /// How it stands; `absent` for a missing one.
    pub found: String,
}

impl Catalogue {
    /// Compares objects and applied migrations. A database without any object has no ledger in it.
    pub(super) fn compare(expected: &Objects, found: &Objects, current: Result<()>) -> Result<Self> {
        let mut catalogue = Self::default();
        if found.is_empty() {
            current?;
        } else if let Err(error) = current {
            match &error {
                StoreError::Schema { what } => catalogue.differs("migrations", "those of this program", what),
                StoreError::Corrupt { .. } | StoreError::Fault { .. } => {
                    catalogue.differs("migrations", "those of this program", &error.to_string());
                }
                _ => return Err(error),
            }
        }
        let absent = "absent".to_owned();
        let names: std::collections::BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
        for name in names {
            let (right, now) = (expected.get(name).unwrap_or(&absent), found.get(name).unwrap_or(&absent));
            if right != now {
                catalogue.differs(name, right, now);
            }
        }
        Ok(catalogue)
    }

    pub(super) fn differs(&mut self, object: &str, expected: &str, found: &str) {
        let (object, expected, found) = (object.to_owned(), expected.to_owned(), found.to_owned());
        self.differences.push(SchemaDifference { object, expected, found });
    }
}
