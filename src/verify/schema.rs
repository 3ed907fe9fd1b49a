//! The database's schema against the one that this version makes.
//!
//! Invariants: an object that differs is a finding of its own; what could not be looked at is a note.
//! Absent: how each store describes its schema (`store::catalogue`).
//! Source: design.md "Verification".

use weituo_proof::{Both, Finding, FindingKind, both};
use weituo_verifier::Collected;

use crate::errors::in_both;
use crate::store::{Catalogue, StoreError};

use super::source::{answered, is_unreadable};

/// Judges what the store says of its schema, and on both stores of the indexes and their tables.
pub(super) fn judge(answer: Result<Catalogue, StoreError>, findings: &mut Collected, notes: &mut Vec<Both>) {
    let catalogue = match answer {
        Err(error) if is_unreadable(&error) => {
            let detail = Both::new("数据库的结构无法读取", "the database's schema cannot be read");
            let finding = Finding::new(FindingKind::SchemaDiffers, detail);
            let expected = Both::new("本版本的结构", "the schema of this version");
            return findings.push(finding.differing(expected, in_both(&error)));
        }
        answer => answered(&Both::new("数据库的结构", "the schema"), findings, answer),
    };
    let Some(catalogue) = catalogue else { return };
    for differs in catalogue.differences {
        let object = &differs.object;
        let detail = both!(
            "数据库的 {object} 与本版本所建的不同",
            "{object} of the database is not what this version makes"
        );
        let finding = Finding::new(FindingKind::SchemaDiffers, detail);
        findings.push(finding.differing(differs.expected, differs.found));
    }
    notes.extend(catalogue.unchecked);
}
