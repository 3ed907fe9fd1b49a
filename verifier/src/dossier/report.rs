//! What the verification of a dossier says.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use weituo_events::{Event, Recorded};
use weituo_proof::dossier::Subject;
use weituo_proof::{Both, Checkpoint, Effective, Finding, FindingKind, Hash, LeafIndex, Verdict, Verdicts};

use super::Verification;

/// What a dossier was found to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DossierReport {
    /// Whose history it is; absent where the file could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<Subject>,
    /// The log's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// Size of the checkpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Its root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root: Option<Hash>,
    /// The three verdicts.
    #[serde(flatten)]
    pub verdicts: Verdicts,
    /// Whether *age* was asked for: a policy that asks for cosignatures, or a checkpoint, was given.
    pub age_asked: bool,
    /// Auditors named by the reader who replayed the log and cosigned: without them, *complete* is by the operator's index.
    pub audited_by: Vec<String>,
    /// What was checked.
    pub counts: Counts,
    /// The day that the state is of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_of: Option<String>,
    /// The state, folded anew from the entries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<Value>,
    /// What was erased.
    pub erased: Vec<Erased>,
    /// Findings beyond those listed, by kind.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub unlisted: BTreeMap<FindingKind, u64>,
}

/// What was checked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Entries that could be read and are in the log.
    pub entries: u64,
    /// Streams of which no entry is left out.
    pub streams: u64,
    /// Organisations whose every cycle is here.
    pub parties: u64,
    /// Disclosures that belong to their entries.
    pub disclosures: u64,
    /// Signatures of actors that hold.
    pub signatures: u64,
}

/// A value that was erased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Erased {
    /// The entry that sealed it.
    pub leaf_index: u64,
    /// Its digest.
    pub digest: String,
    /// When it was erased.
    pub on: Effective,
    /// On what grounds.
    pub grounds: String,
}

impl DossierReport {
    /// Returns what is said of a text that is no dossier: a finding, or a reason.
    pub(super) fn unread(refused: Result<Finding, Both>) -> Self {
        let (findings, reasons) = match refused {
            Ok(finding) => (vec![finding], vec![]),
            Err(reason) => (vec![], vec![reason]),
        };
        let reason = Both::new("文件不能作为存证卷宗读取", "the file cannot be read as a dossier");
        let unchecked = || Verdict::CouldNotCheck { reasons: vec![reason.clone()] };
        let verdicts =
            Verdicts { intact: Verdict::of(findings, reasons), complete: unchecked(), age: unchecked() };
        Self {
            subject: None,
            origin: None,
            size: None,
            root: None,
            verdicts,
            age_asked: false,
            audited_by: Vec::new(),
            counts: Counts::default(),
            as_of: None,
            state: None,
            erased: Vec::new(),
            unlisted: BTreeMap::new(),
        }
    }

    /// Returns the process exit code: 0 intact and complete (and as old as asked), 1 any finding, 2 something could not
    /// be checked. *Age* counts only where it was asked for.
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

pub(super) fn finish(
    verification: Verification<'_>,
    checkpoint: Option<Checkpoint>,
    state: Option<Value>,
    erased: Vec<Erased>,
) -> DossierReport {
    let Verification { given, dossier, intact, complete, age, counts, auditors } = verification;
    let mut unlisted = BTreeMap::new();
    let verdicts = Verdicts {
        intact: intact.verdict(&mut unlisted),
        complete: complete.verdict(&mut unlisted),
        age: age.verdict(&mut unlisted),
    };
    DossierReport {
        subject: Some(dossier.subject),
        origin: checkpoint.as_ref().map(|checkpoint| checkpoint.origin.to_string()),
        size: checkpoint.as_ref().map(|checkpoint| checkpoint.size.get()),
        root: checkpoint.map(|checkpoint| checkpoint.root),
        verdicts,
        age_asked: given.asks_for_age(),
        audited_by: auditors,
        counts,
        as_of: Some(dossier.state.as_of),
        state,
        erased,
        unlisted,
    }
}

/// Returns what the entries say was erased.
pub(super) fn erased(recorded: &[Recorded]) -> Vec<Erased> {
    let erased = |one: &Recorded| match &one.act.event {
        Event::DisclosureErased(act) => Some(Erased {
            leaf_index: LeafIndex::new(act.leaf_index).get(),
            digest: act.digest.clone(),
            on: one.act.effective.clone(),
            grounds: act.grounds.clone(),
        }),
        _ => None,
    };
    recorded.iter().filter_map(erased).collect()
}
