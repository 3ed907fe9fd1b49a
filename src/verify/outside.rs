//! Verification from outside: a served log or a copy of one, by its entries, tiles and checkpoint alone.
//!
//! Invariants: as for the database: nothing is believed but the key given; every entry is judged by itself, by its
//! stream and by the entries before it, in memory that does not grow with the log's length.
//! Absent: what only the operator's database has (columns, disclosures, projections, the seal); command ids used twice.
//! Source: format.md "To verify a log"; design.md "Verification".

use weituo_proof::tile::{TileNodes, bundles_between, decode_bundle};
use weituo_proof::{Both, Checkpoint, Finding, FindingKind, LeafIndex, Nodes, TreeSize, both};
use weituo_verifier::Collected;

use crate::errors::texts;
use crate::mirror::{LogSource, SourceError};

use super::heads::{self, Known, Opened, THE_CHECKPOINT};
use super::replay::Replay;
use super::report::{Phase, Progress, Report};
use super::scan::{Examined, Scan};
use super::{NOT_TO_ITS_END, Verification, VerifyOptions};

/// After so many missing bundles no more are asked for: a checkpoint can be signed over any number of entries, and whoever
/// asked for each of 2^50 would never come to an answer.
const MOST_MISSING_BUNDLES: u64 = 1_000;

const NO_CHECKPOINT: Both = Both::new("没有可依据的检查点", "there is no checkpoint to rely on");
const A_BUNDLE: Both = Both::new("记录包", "a bundle of entries");

/// Verifies a log as seen from outside, up to the checkpoint that it shows. Of the options, the key, the checkpoints that
/// others kept and the stream count.
pub fn verify_log(log: &LogSource, options: &VerifyOptions<'_>, progress: impl Fn(Progress)) -> Report {
    Verification::new(options).run_outside(log, &progress)
}

impl Verification<'_> {
    fn run_outside(mut self, log: &LogSource, progress: &impl Fn(Progress)) -> Report {
        let text = match log.checkpoint() {
            Ok(text) => Some(text),
            Err(error) => {
                let (zh, en) = texts(&error);
                self.intact.could_not(both!("无法取得检查点:{zh}", "the checkpoint: {en}"));
                None
            }
        };
        let opened = Opened::of(self.options, &mut self.intact, &mut self.age);
        let keys = &self.options.verifiers;
        let checkpoint = text.and_then(|text| heads::open(&THE_CHECKPOINT, &text, keys, &mut self.intact));
        let Some(known) = checkpoint else {
            self.complete.could_not(NO_CHECKPOINT);
            self.age.could_not(NO_CHECKPOINT);
            let scan = Scan::new(0, String::new(), None, Replay::new([]));
            return self.report(None, &scan);
        };
        let checkpoint = &known.checkpoint;
        let size = checkpoint.size.get();
        let origin = checkpoint.origin.to_string();
        let replay = Replay::new(opened.sizes().chain([size]));
        let mut scan = Scan::new(size, origin.clone(), self.options.stream.clone(), replay);
        let told = |done: u64| progress(Progress { phase: Phase::Log, done, total: size });
        if scan.read_log(log, checkpoint, &mut self.intact, told) {
            self.judge_log(&mut scan, &known, &opened);
        } else {
            self.complete.could_not(NOT_TO_ITS_END);
            self.age.could_not(NOT_TO_ITS_END);
            for finding in scan.chains.findings() {
                self.intact.push(finding.clone());
            }
        }
        self.notes.push(Both::new(
            "没有核对命令标识是否重复使用:那需要数据库",
            "whether a command id was used twice was not looked at: that takes the database",
        ));
        self.report(Some(origin), &scan)
    }

    fn judge_log(&mut self, scan: &mut Scan, known: &Known, opened: &Opened) {
        let checkpoint = &known.checkpoint;
        heads::compare(&THE_CHECKPOINT, FindingKind::RootDiffers, checkpoint, false, scan, &mut self.intact);
        known.counts(&THE_CHECKPOINT, scan, &mut self.intact);
        heads::judge_keys(self.options, scan, &mut self.intact);
        opened.judge_outside(scan, &mut self.age);
        for finding in scan.chains.findings() {
            self.intact.push(finding.clone());
        }
        self.judge_index(scan);
    }
}

impl Scan {
    /// Reads the entries that a checkpoint commits to. Returns whether all could be asked for.
    pub(super) fn read_log(
        &mut self,
        log: &LogSource,
        checkpoint: &Checkpoint,
        findings: &mut Collected,
        told: impl Fn(u64),
    ) -> bool {
        if checkpoint.size == TreeSize::new(0) {
            return true;
        }
        // What the tiles say of each leaf, once they are proven to be the checkpoint's.
        let nodes = match TileNodes::open(checkpoint.size, &checkpoint.root, |path| log.tile(path)) {
            Ok(nodes) => Some(nodes),
            Err(error) => {
                let (zh, en) = texts(&error);
                let detail = both!("哈希瓦片不是检查点的:{zh}", "{en}");
                let finding = Finding::new(FindingKind::TileDiffers, detail);
                let found = Both::new("别的瓦片,或没有", "other or missing tiles");
                findings.push(finding.differing(&checkpoint.root, found));
                None
            }
        };
        let mut missing_bundles = 0;
        for path in bundles_between(TreeSize::new(self.next), checkpoint.size) {
            let first = path.index() * 256;
            if missing_bundles >= MOST_MISSING_BUNDLES {
                findings.could_not(both!(
                    "序号 {first} 起的记录:已有 {missing_bundles} 个记录包缺失,没有再取",
                    "the entries from leaf {first} on: {missing_bundles} bundles were missing, so no more were asked for"
                ));
                return false;
            }
            let bytes = match log.tile(&path) {
                Ok(bytes) => bytes,
                Err(error @ SourceError::NotFound { .. }) => {
                    missing_bundles += 1;
                    let (zh, en) = texts(&error);
                    let finding = Finding::new(FindingKind::TileDiffers, both!("没有记录包:{zh}", "{en}"));
                    let found = Both::new("没有", "nothing");
                    findings.push(finding.at(LeafIndex::new(first)).differing(A_BUNDLE, found));
                    self.holes_to(first + u64::from(path.width()), findings);
                    continue;
                }
                Err(error) => {
                    let (zh, en) = texts(&error);
                    findings.could_not(both!(
                        "序号 {first} 起的记录:{zh}",
                        "the entries from leaf {first} on: {en}"
                    ));
                    return false;
                }
            };
            let entries = match decode_bundle(&bytes, path.width()) {
                Ok(entries) => entries,
                Err(error) => {
                    let detail = both!("{path} 不是记录包:{error}", "{path}: {error}");
                    let finding = Finding::new(FindingKind::TileDiffers, detail).at(LeafIndex::new(first));
                    findings.push(finding.differing(A_BUNDLE, Both::new("别的字节", "other bytes")));
                    self.holes_to(first + u64::from(path.width()), findings);
                    continue;
                }
            };
            if let Some(Err(error)) = nodes.as_ref().map(|nodes| nodes.node(0, first)) {
                // What it lacks is no evidence against the entries, whose own root is compared in the end.
                let (zh, en) = texts(&error);
                let detail = both!("哈希瓦片不是树上的:{zh}", "{en}");
                let finding = Finding::new(FindingKind::TileDiffers, detail).at(LeafIndex::new(first));
                let expected = Both::new("树上的瓦片", "a tile of the tree");
                findings.push(finding.differing(expected, Both::new("别的瓦片", "another")));
            }
            for (leaf_index, bytes) in (first..).zip(entries) {
                if leaf_index < self.next {
                    continue;
                }
                let proven = nodes.as_ref().and_then(|nodes| nodes.node(0, leaf_index).ok());
                self.bytes(Examined::bytes(leaf_index, bytes, proven), findings);
            }
            told(self.next);
        }
        self.counts.streams = self.replay.streams();
        self.counts.signatures = self.facts.signatures();
        self.counts.erased = self.facts.erased.len() as u64;
        true
    }
}
