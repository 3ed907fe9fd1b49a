//! Verifying a dossier: the checks of format.md, in their order.
//!
//! Invariants: pure; nothing in the file is believed but what the keys given vouch for; a check whose ground is missing
//! is a reason, never a yes.
//! Absent: choosing keys (the reader's), printing.
//! Source: format.md "Dossier"; design.md "Verification".

mod checks;
mod complete;
mod report;

use weituo_events::Recorded;
use weituo_proof::dossier::{DossierError, ProvenEntry};
use weituo_proof::note::{Algorithm, NoteError};
use weituo_proof::policy::Policy;
use weituo_proof::{
    Both, Checkpoint, Dossier, Entry, Finding, FindingKind, Hash, LeafIndex, Origin, Receipt, SignedNote,
    VerifierKey, both,
};

use crate::collected::{Collected, chain};
use crate::facts::Facts;

pub use report::{Counts, DossierReport, Erased};

/// What the reader brings: none of it comes from the file.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// Verifier keys of the log.
    pub keys: Vec<VerifierKey>,
    /// Keys of auditors, who cosign what they replayed.
    pub auditors: Vec<VerifierKey>,
    /// Which logs, witnesses and quorum to trust (C2SP tlog-policy).
    pub policy: Option<Policy>,
    /// Checkpoints that somebody kept, with whatever cosignatures they have.
    pub checkpoints: Vec<Kept>,
    /// Receipts that somebody kept.
    pub receipts: Vec<Kept>,
}

impl Given {
    /// Returns the keys that are trusted for the log of this name, those of the policy among them. A key for cosigning
    /// is none: its holder has not said that this is the log.
    fn keys_of(&self, origin: &Origin) -> Vec<VerifierKey> {
        let of_policy = self.policy.iter().flat_map(Policy::logs).map(|log| &log.key);
        let given = self.keys.iter().chain(of_policy);
        let is_of =
            |key: &&VerifierKey| key.name() == origin.as_str() && key.algorithm() == Algorithm::Ed25519;
        given.filter(is_of).cloned().collect()
    }

    fn has_keys(&self) -> bool {
        !self.keys.is_empty() || self.policy.iter().any(|policy| !policy.logs().is_empty())
    }

    /// Returns whether *age* is asked for: there is something that could prove it.
    fn asks_for_age(&self) -> bool {
        self.policy.as_ref().is_some_and(Policy::asks_for_cosignatures) || !self.checkpoints.is_empty()
    }
}

/// What somebody kept: a checkpoint, or a receipt with its entry in the extra line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// What to call it, such as its file name.
    pub label: String,
    /// The signed note, or the tlog-proof text.
    pub text: String,
}

impl Kept {
    /// Returns what a file proves that somebody kept: one receipt, or, where it is an earlier dossier, each of its entries.
    pub fn all_in(label: &str, text: String) -> Vec<Self> {
        let Some(Ok(dossier)) = contained(&text).map(|text| Dossier::parse(&text)) else {
            return vec![Self { label: label.to_owned(), text }];
        };
        let checkpoint = dossier.checkpoint;
        let receipt = |ProvenEntry { entry, inclusion, leaf_index }| {
            let receipt = Receipt { entry, leaf_index, inclusion, checkpoint: checkpoint.clone() };
            Self { label: format!("{label}, leaf {leaf_index}"), text: receipt.text_with_entry() }
        };
        dossier.entries.into_iter().map(receipt).collect()
    }
}

/// An entry of the dossier that could be read.
struct Known {
    leaf_index: LeafIndex,
    leaf: Hash,
    entry: Entry,
}

/// One verification under way.
struct Verification<'a> {
    given: &'a Given,
    dossier: Dossier,
    intact: Collected,
    complete: Collected,
    age: Collected,
    counts: Counts,
    /// Names of the auditors that cosigned the checkpoint.
    auditors: Vec<String>,
}

/// Returns the dossier's text that a file holds: the file itself, or what a page contains; `None` where it holds none.
pub fn contained(file: &str) -> Option<String> {
    use base64::Engine as _;
    const OPENS: &str = r#"<script type="application/octet-stream" id="dossier">"#;
    if !file.trim_start().starts_with('<') {
        return Some(file.to_owned());
    }
    let (_, rest) = file.split_once(OPENS)?;
    let (encoded, _) = rest.split_once("</script>")?;
    let bytes = base64::engine::general_purpose::STANDARD.decode(encoded).ok()?;
    String::from_utf8(bytes).ok()
}

/// Verifies a dossier's text.
pub fn verify(text: &str, given: &Given) -> DossierReport {
    match Dossier::parse(text) {
        Ok(dossier) => Verification::new(dossier, given).run(),
        Err(error) => DossierReport::unread(refused(&error)),
    }
}

/// Returns what follows from a text that is not a dossier: a finding, or a reason where it may be one of a later format.
fn refused(error: &DossierError) -> Result<Finding, Both> {
    if let DossierError::OtherFormat { .. } = error {
        return Err(both!("卷宗的格式是本程序不认识的:{error}", "{error}"));
    }
    let error = chain(error);
    Ok(Finding::new(FindingKind::DossierMalformed, both!("不是完好的卷宗:{error}", "{error}")))
}

impl<'a> Verification<'a> {
    fn new(dossier: Dossier, given: &'a Given) -> Self {
        let [intact, complete, age] = [(); 3].map(|()| Collected::default());
        let (counts, auditors) = (Counts::default(), Vec::new());
        Self { given, dossier, intact, complete, age, counts, auditors }
    }

    fn run(mut self) -> DossierReport {
        let Some((checkpoint, note)) = self.read_checkpoint() else {
            self.complete.could_not(Both::new("检查点无法读取", "the checkpoint cannot be read"));
            return self.report(None, None, Vec::new());
        };
        let vouched = self.check_log_signature(&checkpoint, &note);
        self.check_cosignatures(note, &checkpoint);
        let (known, whole) = self.check_entries(&checkpoint);
        if !vouched || !whole {
            self.complete.could_not(Both::new(
                "有无遗漏以记录和检查点得到证明为前提,而这没有成立",
                "what is complete rests on entries and a checkpoint that are not proven",
            ));
        } else if let Some((index, root)) = self.index(&checkpoint, &known) {
            let genesis = known.first().map_or(Hash::ZERO, |first| first.leaf);
            self.check_streams(&known, genesis, index, &root);
            self.check_parties(&known, index, &root);
        }
        let mut facts = Facts::default();
        let mut recorded = Vec::with_capacity(known.len());
        for one in &known {
            self.check_facts(&mut facts, one);
            recorded.extend(Recorded::from_entry(&one.entry, one.leaf_index, one.leaf));
        }
        self.counts.signatures = facts.signatures();
        self.check_disclosures(&known, &facts);
        self.check_evidence(&known);
        self.check_receipts(&checkpoint);
        let state = self.check_state(&recorded);
        let erased = report::erased(&recorded);
        self.report(Some(checkpoint), state, erased)
    }

    fn read_checkpoint(&mut self) -> Option<(Checkpoint, SignedNote)> {
        let read =
            SignedNote::parse(&self.dossier.checkpoint).map_err(|error| error.to_string()).and_then(|note| {
                match Checkpoint::parse(note.text()) {
                    Ok(checkpoint) => Ok((checkpoint, note)),
                    Err(error) => Err(error.to_string()),
                }
            });
        read.map_err(|error| {
            let detail = both!("检查点无法读取:{error}", "the checkpoint cannot be read: {error}");
            self.intact.push(Finding::new(FindingKind::CheckpointSignature, detail));
        })
        .ok()
    }

    /// Returns whether a key that the reader trusts for this log has signed the checkpoint. A key that the reader does not
    /// know says nothing for it and nothing against it.
    fn check_log_signature(&mut self, checkpoint: &Checkpoint, note: &SignedNote) -> bool {
        if !self.given.has_keys() {
            self.intact.could_not(Both::new(
                "没有给出台账的核验公钥,不知由谁作证",
                "who vouches for it: no key of the log was given",
            ));
            return false;
        }
        match note.verify(&self.given.keys_of(&checkpoint.origin)) {
            Ok(_) => true,
            Err(NoteError::Invalid { source, .. }) => {
                let detail = Both::new(
                    "所给公钥名下的签名与这一检查点不符",
                    "the signature under a key given does not hold for this checkpoint",
                );
                self.intact.push(
                    Finding::new(FindingKind::CheckpointSignature, detail)
                        .differing(Both::new("有效的签名", "a valid signature"), &source),
                );
                false
            }
            Err(_) => {
                self.intact.could_not(Both::new(
                    "检查点并非由您给出的任何一把公钥签署,不知由谁作证",
                    "who vouches for it: none of the keys given has signed the checkpoint",
                ));
                false
            }
        }
    }

    /// Notes who else has cosigned the checkpoint: witnesses for *age*, auditors for *complete*.
    fn check_cosignatures(&mut self, mut note: SignedNote, checkpoint: &Checkpoint) {
        let kept = self.take_kept(&mut note, checkpoint);
        for key in &self.given.auditors {
            match note.verify(std::slice::from_ref(key)) {
                Ok(_) => self.auditors.push(key.name().to_owned()),
                Err(NoteError::Invalid { name, source }) => {
                    let detail = both!(
                        "{name} 的附署不成立:{source}",
                        "the cosignature of {name} does not hold: {source}"
                    );
                    self.age.push(Finding::new(FindingKind::CosignatureInvalid, detail));
                }
                Err(_) => {}
            }
        }
        if self.auditors.is_empty() && !self.given.auditors.is_empty() {
            self.complete.could_not(Both::new(
                "所列审计方均未附署索引已复算",
                "no auditor named has cosigned that the index was replayed",
            ));
        }
        let quorum = self.given.policy.as_ref().filter(|policy| policy.asks_for_cosignatures());
        match quorum.map(|policy| policy.has_quorum(&note)) {
            Some(true) => {}
            Some(false) => self.age.could_not(Both::new(
                "策略所要求的附署尚未齐备",
                "the quorum of the policy has not cosigned the checkpoint",
            )),
            None if kept => {}
            None => self.age.could_not(Both::new(
                "没有给出他人的附署或检查点",
                "not proven: nobody else's cosignature or checkpoint was given",
            )),
        }
    }

    /// Takes over the cosignatures of checkpoints that somebody kept. Returns whether one, signed by the log, is this one.
    fn take_kept(&mut self, note: &mut SignedNote, checkpoint: &Checkpoint) -> bool {
        let mut same = false;
        for Kept { label, text } in &self.given.checkpoints {
            let read = SignedNote::parse(text).ok();
            let read = read.and_then(|kept| Some((Checkpoint::parse(kept.text()).ok()?, kept)));
            let Some((other, kept)) = read else {
                self.age.could_not(both!("{label} 不是检查点", "{label} is no checkpoint"));
                continue;
            };
            let signed = Checkpoint::open_by(text, &self.given.keys_of(&checkpoint.origin)).is_ok();
            if kept.text() == note.text() {
                kept.signatures().iter().for_each(|line| note.push(line.clone()));
                same |= signed;
            } else if signed && other.size == checkpoint.size {
                let detail = both!(
                    "{label} 的大小相同而根哈希不同:台账有两个版本",
                    "{label} is of the same size and another root: the log was forked"
                );
                let finding = Finding::new(FindingKind::CheckpointNotExtended, detail);
                self.age.push(finding.differing(&other.root, &checkpoint.root));
            } else {
                let size = other.size;
                self.age.could_not(both!(
                    "{label} 的大小为 {size}:没有台账就无法比对",
                    "{label} is of size {size}: it cannot be compared without the log"
                ));
            }
        }
        same
    }

    /// Checks each entry by itself. Returns those that could be read and are in the tree, and whether all are.
    fn check_entries(&mut self, checkpoint: &Checkpoint) -> (Vec<Known>, bool) {
        let mut known: Vec<Known> = Vec::with_capacity(self.dossier.entries.len());
        let mut whole = true;
        let mut last_recorded_at = None;
        for proven in &self.dossier.entries {
            let at = proven.leaf_index;
            match checks::entry(proven, checkpoint) {
                Ok(one) => {
                    let entry = &one.entry;
                    if last_recorded_at.is_some_and(|last| entry.recorded_at < last) {
                        let detail = Both::new(
                            "该记录的存证时间早于文件中排在它前面的记录",
                            "the entry was recorded before the one ahead of it in the file",
                        );
                        let finding = Finding::new(FindingKind::RecordedAtDecreases, detail).at(at);
                        self.intact.push(finding.in_stream(&entry.stream, Some(entry.sequence)));
                    }
                    last_recorded_at = Some(entry.recorded_at);
                    if entry.ledger != checkpoint.origin {
                        whole = false;
                        let detail = Both::new("该记录属于另一台账", "the entry is of another ledger");
                        let finding = Finding::new(FindingKind::OriginDiffers, detail);
                        self.intact.push(finding.at(at).differing(&checkpoint.origin, &entry.ledger));
                    }
                    known.push(one);
                }
                Err(finding) => {
                    whole = false;
                    self.intact.push(finding.at(at));
                }
            }
        }
        self.counts.entries = known.len() as u64;
        (known, whole)
    }

    fn report(
        self,
        checkpoint: Option<Checkpoint>,
        state: Option<serde_json::Value>,
        erased: Vec<Erased>,
    ) -> DossierReport {
        report::finish(self, checkpoint, state, erased)
    }
}

/// Returns the entry text's leaf hash.
fn leaf_of(proven: &ProvenEntry) -> Hash {
    weituo_proof::leaf_hash(proven.entry.as_bytes())
}
