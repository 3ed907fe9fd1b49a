//! The root recomputed from the entries against everything that was committed to: the head row, its seal, the anchor,
//! checkpoints that others kept.
//!
//! Invariants: a checkpoint counts only when its signature holds under the key given; a head row that nothing vouches
//! for is never taken for evidence against the entries alone.
//! Absent: which key to trust (the caller's choice), where the anchor is kept.
//! Source: format.md "Append protocol", steps 1 and 4; "Keys of the log".

use weituo_proof::checkpoint::CheckpointError;
use weituo_proof::note::NoteError;
use weituo_proof::{Checkpoint, Finding, FindingKind, Hash, LeafIndex, VerifierKey};
use weituo_verifier::Collected;

use crate::store::Head;

use super::replay::Replay;
use super::scan::Scan;
use super::source::chain;
use super::{OutsideCheckpoint, VerifyOptions};

/// The checkpoints given, opened.
#[derive(Debug, Default)]
pub(super) struct Opened {
    anchor: Option<Checkpoint>,
    outside: Vec<(String, Checkpoint)>,
}

impl Opened {
    /// Opens what was given. What is wrong with the anchor goes to *intact*, with the others to *age*.
    pub(super) fn of(options: &VerifyOptions<'_>, intact: &mut Collected, age: &mut Collected) -> Self {
        let key = options.verifier.as_ref();
        let anchor = options.anchor.as_deref().and_then(|text| open("the anchor", text, key, intact));
        if let Some(what) = &options.anchor_damaged {
            let detail = "the anchor cannot be what the ledger stored, so an older copy of the log would not be noticed";
            let finding = Finding::new(FindingKind::AnchorDiffers, detail);
            intact.push(finding.differing("a checkpoint of this log", what));
        }
        let opened = |OutsideCheckpoint { label, text }: &OutsideCheckpoint| {
            let label = format!("checkpoint {label}");
            let checkpoint = open(&label, text, key, age)?;
            Some((label, checkpoint))
        };
        let outside: Vec<_> = options.outside.iter().filter_map(opened).collect();
        if options.outside.is_empty() {
            age.could_not("not proven: no checkpoint kept by anyone else was given");
        }
        Self { anchor, outside }
    }

    fn all(&self) -> impl Iterator<Item = &Checkpoint> {
        self.anchor.iter().chain(self.outside.iter().map(|(_, checkpoint)| checkpoint))
    }

    /// Returns the sizes at which roots are wanted.
    pub(super) fn sizes(&self) -> impl Iterator<Item = u64> {
        self.all().map(|checkpoint| checkpoint.size.get())
    }

    /// Judges the checkpoints that others kept. Returns the largest size that they vouch for.
    pub(super) fn judge_outside(&self, scan: &Scan, age: &mut Collected) -> u64 {
        let mut vouched = 0;
        for (label, checkpoint) in &self.outside {
            if compare(label, FindingKind::CheckpointNotExtended, checkpoint, false, scan, age) {
                vouched = vouched.max(checkpoint.size.get());
            }
        }
        vouched
    }
}

/// Opens a checkpoint under the key given; what is wrong with it, or why it cannot be opened, goes to `into`.
pub(super) fn open(
    label: &str,
    text: &str,
    key: Option<&VerifierKey>,
    into: &mut Collected,
) -> Option<Checkpoint> {
    let Some(key) = key else {
        into.could_not(format!("the signature of {label}: no key of the log was given"));
        return None;
    };
    let error = match Checkpoint::open(text, key) {
        Ok((checkpoint, _)) => return Some(checkpoint),
        Err(error) => error,
    };
    let finding = |kind| Finding::new(kind, format!("{label}: {}", chain(&error)));
    match &error {
        CheckpointError::Note(NoteError::Invalid { .. } | NoteError::Unverified { .. }) => {
            into.push(
                finding(FindingKind::CheckpointSignature).differing(&key, "another key or another text"),
            );
        }
        CheckpointError::KeyName { origin, key_name } => {
            into.push(finding(FindingKind::OriginDiffers).differing(&key_name, &origin));
        }
        _ => into.could_not(format!("{label} is not a checkpoint of this log: {}", chain(&error))),
    }
    None
}

/// What the entries are compared with.
pub(super) struct Claims<'a> {
    pub(super) options: &'a VerifyOptions<'a>,
    pub(super) head: Option<&'a Head>,
    pub(super) opened: &'a Opened,
}

impl Claims<'_> {
    /// Returns whether the head row bears the seal of the log's key; `None` where that cannot be said.
    fn seal_holds(&self) -> Option<bool> {
        let (head, seal) = (self.head?, self.options.seal?);
        Some(seal(head) == head.seal)
    }

    /// Returns whether all that was signed or sealed about this log, and at least one such thing, agrees with a replay.
    pub(super) fn confirm(&self, replay: &Replay) -> bool {
        let head = self.head.filter(|_| self.seal_holds() != Some(false)).map(|head| (head.size, head.root));
        let mut targets =
            head.into_iter().chain(self.opened.all().map(|one| (one.size.get(), one.root))).peekable();
        targets.peek().is_some() && targets.all(|(size, root)| replay.root_at(size) == Some(root))
    }

    /// Judges the head row, the anchor and the outside checkpoints by the replayed log.
    pub(super) fn judge(
        &self,
        scan: &mut Scan,
        intact: &mut Collected,
        age: &mut Collected,
        notes: &mut Vec<String>,
    ) {
        judge_keys(self.options, scan, intact);
        let mut vouched = self.judge_head(scan, intact);
        if let Some(anchor) = &self.opened.anchor {
            // An anchor that says what the head row says adds no finding to the head row's.
            let same =
                self.head.is_some_and(|head| head.size == anchor.size.get() && head.root == anchor.root);
            if compare("the anchor", FindingKind::AnchorDiffers, anchor, same, scan, intact) {
                vouched = vouched.max(anchor.size.get());
            }
        }
        vouched = vouched.max(self.opened.judge_outside(scan, age));
        if self.options.anchor.is_none() && self.options.anchor_damaged.is_none() {
            notes.push(
                "no anchor was compared: an older copy of the database would not be noticed".to_owned(),
            );
        }
        if self.options.seal.is_none() {
            notes.push(
                "the seal of the head row was not checked: the log's signing key is not at hand".to_owned(),
            );
        }
        if vouched < scan.size && !intact.has_findings() && !scan.chains.in_doubt() {
            intact.could_not(format!(
                "whether the log's key vouches for the entries from leaf {vouched} on: give its signing key, or its \
                 verifier key and a checkpoint"
            ));
        }
    }

    /// Judges the head row. Returns the number of entries that its seal vouches for.
    fn judge_head(&self, scan: &mut Scan, intact: &mut Collected) -> u64 {
        let Some(head) = self.head else { return 0 };
        let (known, known_root) = scan.replay.known();
        let recorded_at = scan.last_recorded_at.map_or_else(|| head.recorded_at.clone(), |at| at.to_string());
        let actual = Head { size: known, root: known_root, recorded_at, ..head.clone() };
        // The row's seal tells what the row said before it was edited; without the key, an untouched root must do.
        let edited = match self.options.seal {
            Some(seal) => seal(head) != head.seal && seal(&actual) == head.seal,
            None => head.root == actual.root && head.size != actual.size,
        };
        if edited {
            scan.chains.forget_holes_from(known);
            scan.size = known;
            report_edited(head, &actual, intact);
            return if self.options.seal.is_some() { known } else { 0 };
        }
        if let (Some(seal), Some(false)) = (self.options.seal, self.seal_holds()) {
            let (expected, found) = (Hash(seal(head)), Hash(head.seal));
            let detail = format!(
                "the head row (size {}, root {}) does not bear the seal of the log's key",
                head.size, head.root
            );
            intact.push(Finding::new(FindingKind::SealWrong, detail).differing(&expected, &found));
        }
        match scan.replay.root_at(head.size) {
            Some(root) if root == head.root => {
                if scan.size > head.size {
                    let detail =
                        format!("{} entries stand in the log beyond its head", scan.size - head.size);
                    let finding =
                        Finding::new(FindingKind::SizeDiffers, detail).at(LeafIndex::new(head.size));
                    intact.push(
                        finding.differing(&format!("size {}", head.size), &format!("size {}", scan.size)),
                    );
                } else if actual.recorded_at != head.recorded_at && !scan.chains.in_doubt() {
                    report_edited(head, &Head { size: head.size, root: head.root, ..actual }, intact);
                }
                if self.seal_holds() == Some(true) { head.size } else { 0 }
            }
            Some(root) => {
                let detail =
                    format!("the {} entries as stored do not have the root of the head row", head.size);
                intact.push(Finding::new(FindingKind::RootDiffers, detail).differing(&head.root, &root));
                0
            }
            None => {
                // Where only the end of the log is gone, the two roots are all that is known of it.
                if known + scan.missing == head.size {
                    scan.chains.set_last_roots(known, head.root, known_root);
                }
                0
            }
        }
    }
}

/// Judges whether the log names the key given as its own.
pub(super) fn judge_keys(options: &VerifyOptions<'_>, scan: &Scan, intact: &mut Collected) {
    let Some(key) = &options.verifier else { return };
    let (key, named) = (key.to_string(), &scan.facts.log_keys);
    if !named.is_empty() && !named.contains(&key) {
        let detail = "the log names other keys as its own than the one given";
        let finding = Finding::new(FindingKind::CheckpointSignature, detail).at(LeafIndex::new(0));
        intact.push(finding.in_stream("log/main", Some(1)).differing(&key, &named.join(", ")));
    }
}

/// Reports every column of the head row that is not what the row said when it was sealed.
fn report_edited(head: &Head, actual: &Head, intact: &mut Collected) {
    let columns = [
        (FindingKind::RootDiffers, "root", actual.root.to_string(), head.root.to_string()),
        (FindingKind::SizeDiffers, "size", format!("size {}", actual.size), format!("size {}", head.size)),
        (FindingKind::ColumnDiffers, "recorded_at", actual.recorded_at.clone(), head.recorded_at.clone()),
    ];
    for (kind, column, expected, found) in columns {
        if expected != found {
            let detail = format!("column {column} of the head row is not what the entries give");
            intact.push(Finding::new(kind, detail).differing(&expected, &found));
        }
    }
}

/// Compares a signed checkpoint with the log. Returns whether the log extends it. `quiet`: a difference in the root is
/// already reported.
pub(super) fn compare(
    label: &str,
    kind: FindingKind,
    checkpoint: &Checkpoint,
    quiet: bool,
    scan: &Scan,
    into: &mut Collected,
) -> bool {
    let size = checkpoint.size.get();
    if size > scan.size {
        let detail =
            format!("{label} is of size {size}, the log has {} entries: it was rolled back", scan.size);
        let (root, now) = (checkpoint.root, scan.replay.known().1);
        into.push(Finding::new(kind, detail).at(LeafIndex::new(scan.size)).differing(&root, &now));
        return false;
    }
    match scan.replay.root_at(size) {
        Some(root) if root == checkpoint.root => true,
        Some(root) => {
            if !quiet {
                let detail = format!("the first {size} entries do not have the root of {label}");
                into.push(Finding::new(kind, detail).differing(&checkpoint.root, &root));
            }
            false
        }
        None => {
            into.could_not(format!(
                "whether the log extends {label} of size {size}: an entry below it is missing"
            ));
            false
        }
    }
}
