//! A log replayed as it grows: what a monitor has verified, and what came since.
//!
//! Invariants: the file stands where everything below was right; an extension that is not right leaves it there, so the
//! next look finds the same again. What is in memory, and only while the log is read, is of its index about 15 bytes a
//! name; of its entries only what later ones are judged by: keys, rulebooks, erasures, and the tree at each index root.
//! Absent: when to look, whom to tell (`watch`).
//! Source: format.md "To verify a log".

use std::fmt;
use std::io;
use std::path::PathBuf;

use weituo_proof::{Both, Checkpoint, Finding, FindingKind, LeafIndex, RecordedAt, both};
use weituo_verifier::Collected;

use crate::mirror::LogSource;

use super::heads;
use super::names::{self, Names};
use super::replay::Replay;
use super::resume;
use super::scan::Scan;

/// Names the form of the file; a log kept in another form is replayed anew.
const MAGIC: &[u8] = b"weituo watch state 3\n";

/// What was verified of a log, in a file.
#[derive(Debug, Clone)]
pub struct Grown(PathBuf);

/// What an extension was found to be.
#[derive(Debug)]
pub struct Extension {
    /// What is wrong with it.
    pub findings: Vec<Finding>,
    /// What could not be checked of it.
    pub reasons: Vec<Both>,
    /// The log with it, to be kept: where nothing is wrong and everything was checked.
    pub whole: Option<Whole>,
    /// Sizes of the tree, each with an index entry as its last leaf, at which every entry and every index root was right.
    pub indexed: Vec<Checkpoint>,
}

/// A log that was replayed to its end and is right.
pub struct Whole(Box<Scan>);

impl fmt::Debug for Whole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Whole").field(&self.0.next).finish()
    }
}

impl Grown {
    /// Returns what is kept in this file, if there is one.
    pub fn in_file(path: PathBuf) -> Self {
        Self(path)
    }

    /// Returns whether anything is kept.
    pub fn is_kept(&self) -> bool {
        resume::open(&self.0, MAGIC).is_some()
    }

    /// Keeps the log as it was replayed, in the place of what was kept before.
    ///
    /// # Errors
    ///
    /// Where the file cannot be written; what was kept before stays.
    pub fn keep(&self, whole: &Whole) -> io::Result<()> {
        resume::write(&self.0, MAGIC, |file| whole.0.write(file))
    }

    /// Replays what a log has beyond this, up to a checkpoint that its key has signed. `seen` is a size that the log was
    /// seen with, and when: what is recorded as of an earlier time, and was not there, is back-dated.
    pub fn extend(
        &self,
        log: &LogSource,
        checkpoint: &Checkpoint,
        seen: Option<(u64, RecordedAt)>,
    ) -> Extension {
        let in_file = || names::in_file_beside(&self.0);
        self.replayed(log, checkpoint, seen, in_file)
            .or_else(|error| {
                // What is wrong with a log is told whatever the disk is like.
                tracing::warn!(%error, "the index is kept in memory: there is no room for it on the disk");
                self.replayed(log, checkpoint, seen, || Ok(names::in_memory()))
            })
            .expect("invariant: memory does not fail")
    }

    /// The same with the names of the index where they are told to be.
    fn replayed(
        &self,
        log: &LogSource,
        checkpoint: &Checkpoint,
        seen: Option<(u64, RecordedAt)>,
        names: impl Fn() -> io::Result<Names>,
    ) -> io::Result<Extension> {
        let (size, origin) = (checkpoint.size.get(), &checkpoint.origin);
        let empty = || -> io::Result<Scan> {
            Ok(Scan::new(size, origin.to_string(), None, Replay::on(names()?, [size])))
        };
        let mut went_on = None;
        if let Some(mut saved) = resume::open(&self.0, MAGIC) {
            went_on = empty()?.go_on(&mut saved);
        }
        let mut scan = went_on.map_or_else(empty, Ok)?;
        scan.seen = seen.map_or(0, |(size, _)| size);
        scan.replay.note_index_roots();
        let mut intact = Collected::default();
        let whole = scan.read_log(log, checkpoint, &mut intact, |_| {});
        if let Some(failure) = scan.replay.names().shelf().failure() {
            return Err(names::same(failure));
        }
        if whole {
            heads::compare(
                &heads::THE_CHECKPOINT,
                FindingKind::RootDiffers,
                checkpoint,
                false,
                &scan,
                &mut intact,
            );
        }
        for finding in scan.chains.findings() {
            intact.push(finding.clone());
        }
        for finding in scan.index_findings() {
            intact.push(finding);
        }
        if let (Some((_, seen_at)), Some((leaf_index, recorded_at))) = (seen, scan.first_unseen)
            && recorded_at < seen_at
        {
            let detail = Both::new(
                "在它所写的存证时间之后看到的台账里没有这条记录",
                "the log was seen without this entry after the time at which it says that it was recorded",
            );
            intact.push(
                Finding::new(FindingKind::BackDated, detail)
                    .at(LeafIndex::new(leaf_index))
                    .differing(both!("{seen_at} 或之后", "{seen_at} or later"), &recorded_at),
            );
        }
        let verdict = intact.verdict(&mut std::collections::BTreeMap::new());
        let right = whole && verdict.is_yes() && scan.is_clean();
        let at = |(size, root)| Checkpoint { origin: origin.clone(), size, root };
        Ok(Extension {
            findings: verdict.findings().to_vec(),
            reasons: verdict.reasons().to_vec(),
            indexed: if right { scan.replay.index_roots_noted().map(at).collect() } else { Vec::new() },
            whole: right.then(|| Whole(Box::new(scan))),
        })
    }
}
