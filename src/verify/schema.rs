//! The database's schema against the one that this version makes.
//!
//! Invariants: an object that differs is a finding of its own; what could not be looked at is a note.
//! Absent: how each store describes its schema (`store::catalogue`).
//! Source: design.md "Verification".

use weituo_proof::{Finding, FindingKind};
use weituo_verifier::{Collected, chain};

use crate::store::{Catalogue, StoreError};

use super::source::{answered, is_unreadable};

/// Judges what the store says of its schema, and on both stores of the indexes and their tables.
pub(super) fn judge(
    answer: Result<Catalogue, StoreError>,
    findings: &mut Collected,
    notes: &mut Vec<String>,
) {
    let catalogue = match answer {
        Err(error) if is_unreadable(&error) => {
            let detail = "the database's schema cannot be read";
            let finding = Finding::new(FindingKind::SchemaDiffers, detail);
            return findings.push(finding.differing("the schema of this version", &chain(&error)));
        }
        answer => answered("the schema", findings, answer),
    };
    let Some(catalogue) = catalogue else { return };
    for differs in catalogue.differences {
        let detail = format!("{} of the database is not what this version makes", differs.object);
        let finding = Finding::new(FindingKind::SchemaDiffers, detail);
        findings.push(finding.differing(&differs.expected, &differs.found));
    }
    notes.extend(catalogue.unchecked);
}
