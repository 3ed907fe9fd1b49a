//! What a verification says: three verdicts, what was counted, and what was left out of the lists.
//!
//! Invariants: a list of findings is bounded, and what it leaves out is counted; a verdict with a finding is no.
//! Absent: words for people (the edges print `FindingKind::meaning`).
//! Source: design.md "Verification".

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use weituo_proof::{Both, Finding, FindingKind, Hash, Verdict, Verdicts};

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The log's name; `None` where there is no log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// Root hash over the entries as they stand; `None` where one is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root: Option<Hash>,
    /// The three verdicts.
    #[serde(flatten)]
    pub verdicts: Verdicts,
    /// Whether *age* was asked for: a checkpoint that somebody else kept was given.
    pub age_asked: bool,
    /// What was read.
    pub counts: Counts,
    /// Findings beyond the [`super::LISTED_FINDINGS`] of their kind, by kind.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub unlisted: BTreeMap<FindingKind, u64>,
    /// What this verification did in a lesser way, or did not do, without it touching a verdict.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Both>,
}

/// What a verification read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Entries of the log.
    pub entries: u64,
    /// Streams, those of the log itself among them.
    pub streams: u64,
    /// Entries of the stream asked about; all where none was.
    pub entries_asked: u64,
    /// Disclosures stored beside the log.
    pub disclosures: u64,
    /// Sealed values whose erasure is recorded.
    pub erased: u64,
    /// Committed index roots that were replayed.
    pub index_roots: u64,
    /// Entries that no committed index covers yet.
    pub not_indexed: u64,
    /// Signatures of actors that were verified.
    pub signatures: u64,
    /// Rows of projections that were compared with a fresh fold.
    pub projection_rows: u64,
}

impl Report {
    /// Returns the process exit code: 0 intact and complete (and as old as asked), 1 any finding, 2 something could
    /// not be checked. *Age* counts only where it was asked for.
    pub fn exit_code(&self) -> u8 {
        let asked = if self.age_asked { self.verdicts.age.clone() } else { Verdict::Yes };
        Verdicts { age: asked, ..self.verdicts.clone() }.exit_code()
    }

    /// Returns every listed finding, those of *intact* first.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        let Verdicts { intact, complete, age } = &self.verdicts;
        [intact, complete, age].into_iter().flat_map(Verdict::findings)
    }
}

/// How far a verification has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is being read.
    pub phase: Phase,
    /// Rows read.
    pub done: u64,
    /// Rows there are; 0 where that is not known.
    pub total: u64,
}

/// The parts of a verification, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The log, by leaf index.
    Log,
    /// The log once more, with the hashes that its other entries name in place of altered ones.
    Replay,
    /// The disclosures.
    Disclosures,
    /// The log, by stream, folded anew.
    Fold,
    /// The stored rows of the projections.
    Rows,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn age_spoils_the_exit_code_only_where_it_was_asked_for() {
        let age = Verdict::of(vec![], vec![Both::plain("no checkpoint kept by anyone else was given")]);
        let mut report = Report {
            origin: None,
            root: None,
            verdicts: Verdicts { intact: Verdict::Yes, complete: Verdict::Yes, age },
            age_asked: false,
            counts: Counts::default(),
            unlisted: BTreeMap::new(),
            notes: Vec::new(),
        };
        assert_eq!(report.exit_code(), 0);
        report.age_asked = true;
        assert_eq!(report.exit_code(), 2);
    }
}
