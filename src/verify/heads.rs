//! The root recomputed from the entries against everything that was committed to: the head row, its seal, the anchor,
//! checkpoints that others kept.
//!
//! Invariants: a checkpoint counts only when its signature holds under the key given; a head row that nothing vouches
//! for is never taken for evidence against the entries alone.
//! Absent: which key to trust (the caller's choice), where the anchor is kept.
//! Source: design.md "The append path" steps 2 and 4; format.md "Log".

use weituo_proof::checkpoint::CheckpointError;
use weituo_proof::note::NoteError;
use weituo_proof::{Both, Checkpoint, Finding, FindingKind, Hash, Language, LeafIndex, VerifierKey, both};
use weituo_verifier::Collected;

use crate::errors::texts;
use crate::store::Head;

use super::kept;
use super::replay::Replay;
use super::scan::Scan;
use super::{OutsideCheckpoint, VerifyOptions};

/// The checkpoints given, opened.
#[derive(Debug, Default)]
pub(super) struct Opened {
    anchor: Option<Known>,
    /// What the anchor keeps a batch for, where there is one.
    pub(super) intended: Option<Checkpoint>,
    outside: Vec<(Both, Known)>,
}

/// A checkpoint and those of the keys given that signed it.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) checkpoint: Checkpoint,
    signers: Vec<VerifierKey>,
}

impl Opened {
    /// Opens what was given. What is wrong with the anchor goes to *intact*, with the others to *age*.
    pub(super) fn of(options: &VerifyOptions<'_>, intact: &mut Collected, age: &mut Collected) -> Self {
        let keys = options.verifiers.as_slice();
        let anchor = options.anchor.as_deref().and_then(|text| open(&THE_ANCHOR, text, keys, intact));
        if let Some(what) = &options.anchor_damaged {
            let detail = Both::new(
                "锚点不可能是台账所存的,因此换成较早的副本也不会被发现",
                "the anchor cannot be what the ledger stored, so an older copy of the log would not be noticed",
            );
            let finding = Finding::new(FindingKind::AnchorDamaged, detail);
            let expected = Both::new("这一台账的检查点", "a checkpoint of this log");
            intact.push(finding.differing(expected, what.clone()));
        }
        if options.anchor_broken_in_part {
            intact.could_not(Both::new(
                "锚点的一半不完整:或是一次写入中断,或是被人改动;其中可能有更新的检查点,因此锚点之后的记录若被截去不会被发现",
                "half of the anchor is not whole: a write that broke off, or an edit; a newer checkpoint may have stood there, \
                 so entries cut off behind the anchor would not be noticed",
            ));
        }
        let opened = |OutsideCheckpoint { label, text }: &OutsideCheckpoint| {
            let label = both!("检查点 {label}", "checkpoint {label}");
            let checkpoint = open(&label, text, keys, age)?;
            Some((label, checkpoint))
        };
        let outside: Vec<_> = options.outside.iter().filter_map(opened).collect();
        if options.outside.is_empty() {
            age.could_not(Both::new(
                "没有给出由他人保存的检查点",
                "not proven: no checkpoint kept by anyone else was given",
            ));
        }
        let intended = anchor.as_ref().and_then(|known| kept::of(&known.checkpoint, options.anchor_intended));
        Self { anchor, intended, outside }
    }

    fn all(&self) -> impl Iterator<Item = &Checkpoint> {
        let outside = self.outside.iter().map(|(_, known)| known);
        self.anchor.iter().chain(outside).map(|known| &known.checkpoint)
    }

    /// Returns the sizes at which roots are wanted.
    pub(super) fn sizes(&self) -> impl Iterator<Item = u64> {
        self.all().chain(&self.intended).map(|checkpoint| checkpoint.size.get())
    }

    /// Judges the checkpoints that others kept. Returns the largest size that they vouch for.
    pub(super) fn judge_outside(&self, scan: &Scan, age: &mut Collected) -> u64 {
        let mut vouched = 0;
        for (label, known) in &self.outside {
            let checkpoint = &known.checkpoint;
            let holds = compare(label, FindingKind::CheckpointNotExtended, checkpoint, false, scan, age);
            if holds && known.counts(label, scan, age) {
                vouched = vouched.max(checkpoint.size.get());
            }
        }
        vouched
    }
}

impl Known {
    /// Returns where the log revoked the last of the keys that signed; `None` while one of them stands.
    fn revoked(&self, scan: &Scan) -> Option<u64> {
        let at = |key: &VerifierKey| {
            let key = key.to_string();
            scan.facts.log_keys_revoked.iter().find(|(revoked, _)| *revoked == key).map(|(_, leaf)| *leaf)
        };
        let all: Option<Vec<u64>> = self.signers.iter().map(at).collect();
        all.and_then(|leaves| leaves.into_iter().max())
    }

    /// Whether the signature counts: not where only keys signed that the log had revoked by then.
    pub(super) fn counts(&self, label: &Both, scan: &Scan, into: &mut Collected) -> bool {
        let size = self.checkpoint.size.get();
        let Some(leaf) = self.revoked(scan).filter(|leaf| *leaf < size) else { return true };
        let (zh, en) = in_both(label);
        let detail = both!(
            "{zh}(大小 {size})只由在序号 {leaf} 撤销的密钥签署",
            "{en} of size {size} is signed only by a key that was revoked at leaf {leaf}"
        );
        let finding = Finding::new(FindingKind::CheckpointSignature, detail).at(LeafIndex::new(leaf));
        into.push(finding.in_stream("log/main", None).differing(
            Both::new("未撤销的密钥的签名", "a signature by a key that is not revoked"),
            &list(&self.signers),
        ));
        false
    }
}

/// Opens a checkpoint under the keys given; what is wrong with it, or why it cannot be opened, goes to `into`.
pub(super) fn open(label: &Both, text: &str, keys: &[VerifierKey], into: &mut Collected) -> Option<Known> {
    let (zh, en) = in_both(label);
    if keys.is_empty() {
        into.could_not(both!(
            "{zh}的签名:没有给出台账的公钥",
            "the signature of {en}: no key of the log was given"
        ));
        return None;
    }
    let error = match Checkpoint::open_by(text, keys) {
        Ok((checkpoint, note)) => {
            let signed =
                |key: &&VerifierKey| note.signatures().iter().any(|line| line.key_id() == key.key_id());
            return Some(Known { checkpoint, signers: keys.iter().filter(signed).cloned().collect() });
        }
        Err(error) => error,
    };
    let (why_zh, why) = texts(&error);
    let finding = |kind| Finding::new(kind, both!("{zh}:{why_zh}", "{en}: {why}"));
    match &error {
        CheckpointError::Note(NoteError::Invalid { .. } | NoteError::Unverified { .. }) => {
            into.push(finding(FindingKind::CheckpointSignature).differing(&list(keys), OTHER_KEY_OR_TEXT));
        }
        CheckpointError::KeyName { origin, key_name } => {
            into.push(finding(FindingKind::OriginDiffers).differing(key_name, origin));
        }
        _ => into.could_not(both!(
            "{zh}不是这一台账的检查点:{why_zh}",
            "{en} is not a checkpoint of this log: {why}"
        )),
    }
    None
}

/// What the checkpoints are called.
pub(super) const THE_ANCHOR: Both = Both::new("锚点", "the anchor");
pub(super) const THE_CHECKPOINT: Both = Both::new("检查点", "the checkpoint");
/// What a checkpoint has that no key given has signed.
pub(crate) const OTHER_KEY_OR_TEXT: Both = Both::new("别的公钥或别的内容", "another key or another text");

fn in_both(label: &Both) -> (&str, &str) {
    (label.get(Language::Zh), label.get(Language::En))
}

fn list(keys: &[VerifierKey]) -> String {
    keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
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
        notes: &mut Vec<Both>,
    ) {
        judge_keys(self.options, scan, intact);
        let mut vouched = self.judge_head(scan, intact);
        if let Some(known) = &self.opened.anchor {
            let anchor = &known.checkpoint;
            // An anchor that says what the head row says adds no finding to the head row's.
            let same = self.says(anchor);
            let holds = compare(&THE_ANCHOR, FindingKind::AnchorDiffers, anchor, same, scan, intact);
            // The operator's own anchor is no witness: what only a revoked key signed there vouches for nothing.
            let counts = holds && known.counts(&THE_ANCHOR, scan, intact) && known.revoked(scan).is_none();
            let holds_too = holds && kept::judge(self, anchor, scan, intact, notes);
            if counts {
                let intended = self.opened.intended.as_ref().filter(|_| holds_too).unwrap_or(anchor);
                vouched = vouched.max(intended.size.get());
            }
        }
        vouched = vouched.max(self.opened.judge_outside(scan, age));
        if let Some(why) = &self.options.anchor_absent {
            let (zh, en) = in_both(why);
            intact.could_not(both!("台账是否延续锚点:{zh}", "whether the log extends the anchor: {en}"));
        } else if self.options.anchor.is_none() && self.options.anchor_damaged.is_none() {
            notes.push(Both::new(
                "没有比对锚点:换成较早的数据库副本不会被发现",
                "no anchor was compared: an older copy of the database would not be noticed",
            ));
        }
        if self.options.seal.is_none() {
            notes.push(Both::new(
                "没有核对首行的封印:手头没有台账的签名密钥",
                "the seal of the head row was not checked: the log's signing key is not at hand",
            ));
        }
        if vouched < scan.size && !intact.has_findings() && !scan.chains.in_doubt() {
            intact.could_not(both!(
                "序号 {vouched} 起的记录是否由台账的密钥作证:请给出签名密钥,或核验公钥与一个检查点",
                "whether the log's key vouches for the entries from leaf {vouched} on: give its signing key, or its \
                 verifier key and a checkpoint"
            ));
        }
    }

    /// Whether the head row says what a checkpoint says.
    pub(super) fn says(&self, checkpoint: &Checkpoint) -> bool {
        self.head.is_some_and(|head| head.size == checkpoint.size.get() && head.root == checkpoint.root)
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
            let Head { size, root, .. } = head;
            let detail = both!(
                "首行(大小 {size},根哈希 {root})没有台账密钥的封印",
                "the head row (size {size}, root {root}) does not bear the seal of the log's key"
            );
            intact.push(Finding::new(FindingKind::SealWrong, detail).differing(&expected, &found));
        }
        match scan.replay.root_at(head.size) {
            Some(root) if root == head.root => {
                if scan.size > head.size {
                    let beyond = scan.size - head.size;
                    let detail = both!(
                        "有 {beyond} 条记录在首行所计之外",
                        "{beyond} entries stand in the log beyond its head"
                    );
                    let finding =
                        Finding::new(FindingKind::SizeDiffers, detail).at(LeafIndex::new(head.size));
                    intact.push(finding.differing(of_size(head.size), of_size(scan.size)));
                } else if actual.recorded_at != head.recorded_at && !scan.chains.in_doubt() {
                    report_edited(head, &Head { size: head.size, root: head.root, ..actual }, intact);
                }
                if self.seal_holds() == Some(true) { head.size } else { 0 }
            }
            Some(root) => {
                let size = head.size;
                let detail = both!(
                    "所存的 {size} 条记录的根哈希不是首行的",
                    "the {size} entries as stored do not have the root of the head row"
                );
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

/// Judges whether the log names one of the keys given as its own.
pub(super) fn judge_keys(options: &VerifyOptions<'_>, scan: &Scan, intact: &mut Collected) {
    let (keys, named) = (&options.verifiers, &scan.facts.log_keys);
    if !keys.is_empty() && !named.is_empty() && !keys.iter().any(|key| named.contains(&key.to_string())) {
        let key = list(keys);
        let detail = Both::new(
            "台账所列的自身公钥与给出的不同",
            "the log names other keys as its own than the one given",
        );
        let finding = Finding::new(FindingKind::CheckpointSignature, detail).at(LeafIndex::new(0));
        intact.push(finding.in_stream("log/main", Some(1)).differing(&key, &named.join(", ")));
    }
}

pub(super) fn of_size(size: u64) -> Both {
    both!("大小 {size}", "size {size}")
}

/// Reports every column of the head row that is not what the row said when it was sealed.
fn report_edited(head: &Head, actual: &Head, intact: &mut Collected) {
    let columns = [
        (FindingKind::RootDiffers, "root", Both::from(&actual.root), Both::from(&head.root)),
        (FindingKind::SizeDiffers, "size", of_size(actual.size), of_size(head.size)),
        (FindingKind::ColumnDiffers, "recorded_at", (&actual.recorded_at).into(), (&head.recorded_at).into()),
    ];
    for (kind, column, expected, found) in columns {
        if expected != found {
            let detail = both!(
                "首行的 {column} 列与记录推算的不同",
                "column {column} of the head row is not what the entries give"
            );
            intact.push(Finding::new(kind, detail).differing(expected, found));
        }
    }
}

/// Compares a signed checkpoint with the log. Returns whether the log extends it. `quiet`: a difference in the root is
/// already reported.
pub(super) fn compare(
    label: &Both,
    kind: FindingKind,
    checkpoint: &Checkpoint,
    quiet: bool,
    scan: &Scan,
    into: &mut Collected,
) -> bool {
    let size = checkpoint.size.get();
    let (zh, en) = in_both(label);
    if size > scan.size {
        let entries = scan.size;
        let detail = both!(
            "{zh}的大小为 {size},台账只有 {entries} 条记录:台账被退回",
            "{en} is of size {size}, the log has {entries} entries: it was rolled back"
        );
        let (root, now) = (checkpoint.root, scan.replay.known().1);
        into.push(Finding::new(kind, detail).at(LeafIndex::new(scan.size)).differing(&root, &now));
        return false;
    }
    match scan.replay.root_at(size) {
        Some(root) if root == checkpoint.root => true,
        Some(root) => {
            if !quiet {
                let detail = both!(
                    "前 {size} 条记录的根哈希不是{zh}的",
                    "the first {size} entries do not have the root of {en}"
                );
                into.push(Finding::new(kind, detail).differing(&checkpoint.root, &root));
            }
            false
        }
        None => {
            into.could_not(both!(
                "台账是否延续{zh}(大小 {size}):其下有记录缺失",
                "whether the log extends {en} of size {size}: an entry below it is missing"
            ));
            false
        }
    }
}
