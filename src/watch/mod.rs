//! A monitor: looks at a log again and again, and remembers what it saw.
//!
//! Invariants: what it remembers only ever grows by what was replayed and right; whatever contradicts it is told at
//! every look and kept as evidence, both checkpoints together.
//! Absent: the loop, whom to tell (`cli::watch`); judging entries (`verify`).
//! Source: format.md "To verify a log"; design.md "Who uses it" (watchdog).

mod auditor;
mod metrics;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use weituo_proof::{Both, Checkpoint, Finding, FindingKind, LeafIndex, RecordedAt, VerifierKey, both};

use crate::errors::texts;
use crate::mirror::{LogSource, MirrorError, extends, keep_evidence, write};
use crate::verify::{Grown, OTHER_KEY_OR_TEXT};

pub use auditor::Auditor;
pub use metrics::Metrics;

/// What the monitor's clock and the log's may be apart.
const CLOCKS_APART_MILLIS: i64 = 5 * 60 * 1_000;

/// The checkpoint seen last, as it was shown.
const CHECKPOINT: &str = "checkpoint";
/// When that was, in milliseconds since 1970.
const SEEN_AT: &str = "seen_at";
/// What was replayed.
const REPLAYED: &str = "replayed";

/// A monitor of one log with its memory, a folder.
#[derive(Debug)]
pub struct Monitor {
    log: LogSource,
    keys: Vec<VerifierKey>,
    folder: PathBuf,
    silence: Duration,
}

/// What one look found.
#[derive(Debug, Clone, Serialize)]
pub struct Look {
    /// When it was.
    pub at: RecordedAt,
    /// The log's name.
    pub origin: String,
    /// Size that was remembered before.
    pub before: u64,
    /// Size that is remembered now.
    pub size: u64,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// What could not be checked.
    pub reasons: Vec<Both>,
    /// Where both checkpoints of a log that does not extend itself are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<PathBuf>,
    /// Sizes with an index entry as their last leaf at which every entry and every index root was right.
    #[serde(skip)]
    pub indexed: Vec<Checkpoint>,
    /// The checkpoint that is remembered now, as it was shown.
    #[serde(skip)]
    pub note: Option<String>,
}

impl Look {
    /// Returns the exit code: 0 all right, 1 findings, 2 could not check.
    pub fn exit_code(&self) -> u8 {
        match (self.findings.is_empty(), self.reasons.is_empty()) {
            (false, _) => 1,
            (true, false) => 2,
            (true, true) => 0,
        }
    }
}

/// What is remembered of a log.
#[derive(Debug)]
struct Memory {
    note: Option<String>,
    seen_at: Option<RecordedAt>,
    grown: Grown,
}

impl Monitor {
    /// Returns a monitor of a log under its keys, with its memory in a folder. A log that shows no checkpoint for longer than
    /// `silence` is a finding.
    pub fn new(log: LogSource, keys: Vec<VerifierKey>, folder: &Path, silence: Duration) -> Self {
        Self { log, keys, folder: folder.to_owned(), silence }
    }

    /// Looks at the log once.
    ///
    /// # Errors
    /// [`MirrorError::Write`] where the memory cannot be written; [`MirrorError::Checkpoint`] where what is remembered is
    /// not of this key. What the log shows is never an error.
    pub fn look(&self, now: RecordedAt) -> Result<Look, MirrorError> {
        let memory = self.remembered();
        let kept = memory.note.as_deref().map(|note| self.open(note)).transpose()?;
        let before = kept.as_ref().map_or(0, |checkpoint| checkpoint.size.get());
        let mut look = Look {
            at: now,
            origin: self.keys.first().map_or_else(String::new, |key| key.name().to_owned()),
            before,
            size: before,
            findings: Vec::new(),
            reasons: Vec::new(),
            evidence: None,
            indexed: Vec::new(),
            note: memory.note.clone(),
        };
        let note = match self.log.checkpoint() {
            Ok(note) => note,
            Err(error) => {
                self.silent(&mut look, memory.seen_at, &MirrorError::Source(error));
                return Ok(look);
            }
        };
        let shown = match self.open(&note) {
            Ok(shown) => shown,
            Err(error) => {
                let (zh, en) = texts(&error);
                let detail = both!("检查点没有由所给公钥签署:{zh}", "{en}");
                let finding = Finding::new(FindingKind::CheckpointSignature, detail);
                let keys: Vec<String> = self.keys.iter().map(ToString::to_string).collect();
                look.findings.push(finding.differing(&keys.join(", "), OTHER_KEY_OR_TEXT));
                return Ok(look);
            }
        };
        if let Some(kept) = &kept
            && !self.follows(kept, &shown, &note, &memory, &mut look)?
        {
            return Ok(look);
        }
        if shown.size.get() > before || !memory.grown.is_kept() {
            let seen_at = memory.seen_at.and_then(|at| earlier(at, CLOCKS_APART_MILLIS));
            // Where it cannot be made, keeping what was replayed says so.
            let _ = std::fs::create_dir_all(&self.folder);
            let extension = memory.grown.extend(&self.log, &shown, seen_at.map(|at| (before, at)));
            look.findings.extend(extension.findings);
            look.reasons.extend(extension.reasons);
            let Some(whole) = extension.whole else { return Ok(look) };
            let path = self.folder.join(REPLAYED);
            memory.grown.keep(&whole).map_err(|source| MirrorError::Write { path, source })?;
            look.indexed = extension.indexed;
        }
        // In this order: a memory that breaks off in between has replayed more than it remembers, and never less.
        write(&self.folder, CHECKPOINT, note.as_bytes())?;
        write(&self.folder, SEEN_AT, now.unix_millis().to_string().as_bytes())?;
        (look.size, look.note) = (shown.size.get(), Some(note));
        Ok(look)
    }

    /// Returns whether the checkpoint shown follows the one kept; otherwise keeps both and says so.
    fn follows(
        &self,
        kept: &Checkpoint,
        shown: &Checkpoint,
        note: &str,
        memory: &Memory,
        look: &mut Look,
    ) -> Result<bool, MirrorError> {
        match extends(&self.log, kept, shown) {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            Err(MirrorError::Source(error)) => {
                // A checkpoint without the tiles under it shows no more of the log than silence does.
                self.silent(look, memory.seen_at, &MirrorError::Source(error));
                return Ok(false);
            }
            Err(error) => {
                let (zh, en) = texts(&error);
                let detail = both!("哈希瓦片不是检查点的:{zh}", "{en}");
                let finding = Finding::new(FindingKind::TileDiffers, detail);
                look.findings.push(finding.differing(&shown.root, Both::new("别的瓦片", "other tiles")));
                return Ok(false);
            }
        }
        let what = match shown.size.cmp(&kept.size) {
            std::cmp::Ordering::Less => Both::new(
                "台账被退回:它比留存的检查点小",
                "the log was rolled back: it is smaller than the one kept",
            ),
            std::cmp::Ordering::Equal => Both::new(
                "台账有两个版本:它与留存的检查点大小相同而根哈希不同",
                "the log was forked: it has the size of the one kept and another root",
            ),
            std::cmp::Ordering::Greater => Both::new(
                "台账有两个版本:它没有延续留存的检查点",
                "the log was forked: it does not extend the one kept",
            ),
        };
        let of = |Checkpoint { size, root, .. }: &Checkpoint| {
            both!("大小 {size},根哈希 {root}", "size {size}, root {root}")
        };
        look.findings.push(
            Finding::new(FindingKind::CheckpointNotExtended, what)
                .at(LeafIndex::new(shown.size.get().min(kept.size.get())))
                .differing(of(kept), of(shown)),
        );
        look.evidence = Some(keep_evidence(&self.folder, memory.note.as_deref().unwrap_or_default(), note)?);
        Ok(false)
    }

    /// Says that the log shows nothing; a finding once that has gone on for too long.
    fn silent(&self, look: &mut Look, seen_at: Option<RecordedAt>, error: &MirrorError) {
        let (zh, en) = texts(error);
        look.reasons.push(both!("无法取得台账:{zh}", "{en}"));
        let silence = i64::try_from(self.silence.as_millis()).unwrap_or(i64::MAX);
        let silent = seen_at.filter(|at| look.at.unix_millis() - at.unix_millis() > silence);
        if let Some(at) = silent {
            let detail = both!("最后一次看到台账是在 {at}", "the log was last seen at {at}");
            let finding = Finding::new(FindingKind::LogSilent, detail);
            look.findings.push(finding.differing(Both::new("检查点", "a checkpoint"), Both::of(zh, en)));
        }
    }

    fn open(&self, note: &str) -> Result<Checkpoint, MirrorError> {
        let opened = Checkpoint::open_by(note, &self.keys);
        let opened =
            opened.map_err(|source| MirrorError::Checkpoint { place: self.log.to_string(), source })?;
        Ok(opened.0)
    }

    fn remembered(&self) -> Memory {
        let text = |name: &str| std::fs::read_to_string(self.folder.join(name)).ok();
        let millis = text(SEEN_AT).and_then(|millis| millis.parse().ok());
        Memory {
            note: text(CHECKPOINT),
            seen_at: millis.and_then(RecordedAt::from_unix_millis),
            grown: Grown::in_file(self.folder.join(REPLAYED)),
        }
    }
}

fn earlier(at: RecordedAt, millis: i64) -> Option<RecordedAt> {
    RecordedAt::from_unix_millis(at.unix_millis() - millis)
}
