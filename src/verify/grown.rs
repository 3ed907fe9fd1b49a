//! A log replayed as it grows: what a monitor has verified, and what came since.
//!
//! Invariants: it stands where everything below was right; an extension that is not right leaves it there, so the next
//! look finds the same again.
//! Absent: when to look, whom to tell (`watch`).
//! Source: format.md "To verify a log".

use weituo_proof::{Checkpoint, Finding, FindingKind, LeafIndex, RecordedAt};
use weituo_verifier::Collected;

use crate::mirror::LogSource;

use super::heads;
use super::replay::Replay;
use super::scan::Scan;

/// What was verified of a log, as bytes that can be kept.
#[derive(Debug, Clone, Default)]
pub struct Grown(Vec<u8>);

/// What an extension was found to be.
#[derive(Debug)]
pub struct Extension {
    /// What is wrong with it.
    pub findings: Vec<Finding>,
    /// What could not be checked of it.
    pub reasons: Vec<String>,
    /// The log with it, where nothing is wrong and everything was checked.
    pub grown: Option<Grown>,
    /// Sizes of the tree, each with an index entry as its last leaf, at which every entry and every index root was right.
    pub indexed: Vec<Checkpoint>,
}

impl Grown {
    /// Returns what `as_bytes` gave.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// Returns what has to be kept.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Replays what a log has beyond this, up to a checkpoint that its key has signed. `seen_at` is when the size so far
    /// was seen: what is recorded as of an earlier time, and was not there, is back-dated.
    pub fn extend(&self, log: &LogSource, checkpoint: &Checkpoint, seen_at: Option<RecordedAt>) -> Extension {
        let (size, origin) = (checkpoint.size.get(), checkpoint.origin.to_string());
        let scan = Scan::new(size, origin, None, Replay::new([size]));
        let (mut scan, _) = scan.go_on_from_bytes(&self.0);
        scan.replay.note_index_roots();
        let mut intact = Collected::default();
        let whole = scan.read_log(log, checkpoint, &mut intact, |_| {});
        if whole {
            heads::compare("the checkpoint", FindingKind::RootDiffers, checkpoint, false, &scan, &mut intact);
        }
        for finding in scan.chains.findings() {
            intact.push(finding.clone());
        }
        for finding in scan.index_findings() {
            intact.push(finding);
        }
        if let (Some(seen_at), Some((leaf_index, recorded_at))) = (seen_at, scan.first_read)
            && recorded_at < seen_at
        {
            let detail =
                "the log was seen without this entry after the time at which it says that it was recorded";
            intact.push(
                Finding::new(FindingKind::BackDated, detail)
                    .at(LeafIndex::new(leaf_index))
                    .differing(&format!("{seen_at} or later"), &recorded_at),
            );
        }
        let verdict = intact.verdict(&mut std::collections::BTreeMap::new());
        let right = whole && verdict.is_yes() && scan.is_clean();
        let origin = &checkpoint.origin;
        let at = |(size, root)| Checkpoint { origin: origin.clone(), size, root };
        Extension {
            findings: verdict.findings().to_vec(),
            reasons: verdict.reasons().to_vec(),
            indexed: if right { scan.replay.index_roots_noted().map(at).collect() } else { Vec::new() },
            grown: right.then(|| Self(scan.to_bytes())),
        }
    }
}
