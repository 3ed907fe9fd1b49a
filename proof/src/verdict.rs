//! Verdicts: what verification says, in three separate answers, and what each finding means.
//!
//! Invariants: "could not check" is never yes; a verdict with a finding is never anything but no.
//! Absent: running the checks (the application and the dossier verifier do), rendering.
//! Source: design.md "Verification"; regions.md "Words on the screen".

mod meaning;

use serde::{Deserialize, Serialize};

use crate::both::Both;
use crate::ident::LeafIndex;

/// A language of the product's words.
#[derive(Debug, Copy, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Language {
    /// Chinese, simplified.
    Zh,
    /// English.
    En,
}

/// One answer of verification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Verdict {
    /// Everything that the verdict covers was checked and is right.
    Yes,
    /// Something is wrong.
    No {
        /// Every root cause found; never empty.
        findings: Vec<Finding>,
        /// What could not be checked besides.
        reasons: Vec<Both>,
    },
    /// Nothing is known to be wrong, but not everything could be checked.
    CouldNotCheck {
        /// What could not be checked and why; never empty.
        reasons: Vec<Both>,
    },
}

impl Verdict {
    /// Returns the verdict that findings and reasons amount to.
    pub fn of(findings: Vec<Finding>, reasons: Vec<Both>) -> Self {
        if !findings.is_empty() {
            Self::No { findings, reasons }
        } else if !reasons.is_empty() {
            Self::CouldNotCheck { reasons }
        } else {
            Self::Yes
        }
    }

    /// Returns whether the answer is yes.
    pub fn is_yes(&self) -> bool {
        matches!(self, Self::Yes)
    }

    /// Returns the findings, none unless the answer is no.
    pub fn findings(&self) -> &[Finding] {
        match self {
            Self::No { findings, .. } => findings,
            _ => &[],
        }
    }

    /// Returns what could not be checked.
    pub fn reasons(&self) -> &[Both] {
        match self {
            Self::Yes => &[],
            Self::No { reasons, .. } | Self::CouldNotCheck { reasons } => reasons,
        }
    }

    /// Returns the answer in words.
    pub fn words(&self, language: Language) -> &'static str {
        match (self, language) {
            (Self::Yes, Language::En) => "yes",
            (Self::Yes, Language::Zh) => "核验通过",
            (Self::No { .. }, Language::En) => "no",
            (Self::No { .. }, Language::Zh) => "核验异常",
            (Self::CouldNotCheck { .. }, Language::En) => "could not check",
            (Self::CouldNotCheck { .. }, Language::Zh) => "无法核验",
        }
    }
}

/// The three verdicts on a log, a stream or a dossier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdicts {
    /// Nothing acknowledged was altered, removed, reordered or inserted.
    pub intact: Verdict,
    /// Nothing of this stream or trustee is left out.
    pub complete: Verdict,
    /// It extends a checkpoint that someone else kept.
    pub age: Verdict,
}

impl Verdicts {
    /// Returns the process exit code: 0 all yes, 1 any finding, 2 otherwise (something could not be checked).
    pub fn exit_code(&self) -> u8 {
        let all = [&self.intact, &self.complete, &self.age];
        if all.iter().any(|verdict| matches!(verdict, Verdict::No { .. })) {
            1
        } else if all.iter().all(|verdict| verdict.is_yes()) {
            0
        } else {
            2
        }
    }
}

/// One thing that verification found wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What kind of wrong.
    pub kind: FindingKind,
    /// The entry's 0-based place in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leaf_index: Option<LeafIndex>,
    /// The stream's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// The entry's 1-based place in its stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// The hash or value that should be there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<Both>,
    /// The hash or value that is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<Both>,
    /// One sentence with the particulars.
    pub detail: Both,
}

impl Finding {
    /// Returns a finding of this kind that names no place yet.
    pub fn new(kind: FindingKind, detail: Both) -> Self {
        Self { kind, leaf_index: None, stream: None, sequence: None, expected: None, found: None, detail }
    }

    /// Names the entry's place in the log.
    #[must_use]
    pub fn at(mut self, leaf_index: LeafIndex) -> Self {
        self.leaf_index = Some(leaf_index);
        self
    }

    /// Names the stream and, where known, the sequence in it.
    #[must_use]
    pub fn in_stream(mut self, stream: &(impl ToString + ?Sized), sequence: Option<u64>) -> Self {
        self.stream = Some(stream.to_string());
        self.sequence = sequence;
        self
    }

    /// Names what should be there and what is.
    #[must_use]
    pub fn differing(mut self, expected: impl Into<Both>, found: impl Into<Both>) -> Self {
        self.expected = Some(expected.into());
        self.found = Some(found.into());
        self
    }
}

/// The kinds of finding. The code, in kebab case, is part of the report's format.
#[derive(Debug, Copy, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FindingKind {
    /// Stored bytes are not canonical JSON.
    NotCanonical,
    /// Stored bytes are not an entry of a known format.
    BadEntry,
    /// The stored leaf hash is not that of the stored bytes.
    LeafHashDiffers,
    /// An entry does not name its predecessor's leaf hash.
    ChainBroken,
    /// A stream's sequences are not consecutive.
    SequenceGap,
    /// A leaf index has no entry.
    LeafMissing,
    /// A leaf index has more than one entry.
    LeafDuplicated,
    /// The recomputed root is not the one committed to.
    RootDiffers,
    /// The number of entries is not the one committed to.
    SizeDiffers,
    /// A checkpoint is not signed by the key named.
    CheckpointSignature,
    /// A checkpoint does not extend an earlier one: rolled back or forked.
    CheckpointNotExtended,
    /// The head's seal is not the writer's.
    SealWrong,
    /// An instant of recording is smaller than the one before it.
    RecordedAtDecreases,
    /// An actor's signature is not valid.
    ActorSignature,
    /// A rulebook's digest is not the one pinned.
    RulebookDigest,
    /// A stored column does not repeat what the entry says.
    ColumnDiffers,
    /// A projected row is not what a fresh fold gives.
    ProjectionDiffers,
    /// A projected row is missing.
    ProjectionMissing,
    /// A projected row has no entry behind it.
    ProjectionExtra,
    /// A committed index root is not what a replay gives.
    IndexRootDiffers,
    /// A stream's head or a party's chain is not what the index proves.
    IndexProof,
    /// A disclosure is missing without a recorded erasure.
    DisclosureMissing,
    /// A disclosure matches no digest in the entry.
    DisclosureUnmatched,
    /// A disclosure recorded as erased is still there.
    DisclosureNotErased,
    /// A command id occurs twice.
    CommandDuplicated,
    /// An entry or checkpoint names another origin.
    OriginDiffers,
    /// A projection's cursor is beyond the log or of another fold.
    CursorWrong,
    /// The database's tables are not those of this version.
    SchemaDiffers,
    /// The database contradicts the anchor.
    AnchorDiffers,
    /// A hash tile or entry bundle contradicts the tree.
    TileDiffers,
    /// A receipt names an entry that is not there.
    ReceiptUnmet,
    /// An entry follows the one that froze the log.
    AfterFreeze,
    /// A witness's cosignature is not valid.
    CosignatureInvalid,
    /// An event's payload is not of the vocabulary.
    PayloadUnknown,
    /// An evidence file is not the one whose digest was recorded.
    EvidenceDiffers,
    /// A file is not a dossier of the format that it names.
    DossierMalformed,
    /// An entry's inclusion proof does not lead to the checkpoint's root.
    EntryNotIncluded,
    /// A dossier states another state than its entries fold to.
    StateDiffers,
    /// An entry says that it was recorded before the log was seen without it.
    BackDated,
    /// A log has shown no checkpoint for too long.
    LogSilent,
    /// The anchor is not one that this log's writer left.
    AnchorDamaged,
}

impl std::fmt::Display for FindingKind {
    /// Writes the code: the variant's name in kebab case.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, letter) in format!("{self:?}").chars().enumerate() {
            if at > 0 && letter.is_ascii_uppercase() {
                f.write_str("-")?;
            }
            write!(f, "{}", letter.to_ascii_lowercase())?;
        }
        Ok(())
    }
}

impl FindingKind {
    /// Every kind, in the order of the enum.
    pub const ALL: [Self; 41] = [
        Self::NotCanonical,
        Self::BadEntry,
        Self::LeafHashDiffers,
        Self::ChainBroken,
        Self::SequenceGap,
        Self::LeafMissing,
        Self::LeafDuplicated,
        Self::RootDiffers,
        Self::SizeDiffers,
        Self::CheckpointSignature,
        Self::CheckpointNotExtended,
        Self::SealWrong,
        Self::RecordedAtDecreases,
        Self::ActorSignature,
        Self::RulebookDigest,
        Self::ColumnDiffers,
        Self::ProjectionDiffers,
        Self::ProjectionMissing,
        Self::ProjectionExtra,
        Self::IndexRootDiffers,
        Self::IndexProof,
        Self::DisclosureMissing,
        Self::DisclosureUnmatched,
        Self::DisclosureNotErased,
        Self::CommandDuplicated,
        Self::OriginDiffers,
        Self::CursorWrong,
        Self::SchemaDiffers,
        Self::AnchorDiffers,
        Self::TileDiffers,
        Self::ReceiptUnmet,
        Self::AfterFreeze,
        Self::CosignatureInvalid,
        Self::PayloadUnknown,
        Self::EvidenceDiffers,
        Self::DossierMalformed,
        Self::EntryNotIncluded,
        Self::StateDiffers,
        Self::BackDated,
        Self::LogSilent,
        Self::AnchorDamaged,
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(kind: char) -> Verdict {
        match kind {
            'y' => Verdict::of(vec![], vec![]),
            'n' => Verdict::of(
                vec![Finding::new(FindingKind::RootDiffers, Both::plain("d"))],
                vec![Both::plain("r")],
            ),
            _ => Verdict::of(vec![], vec![Both::plain("no earlier checkpoint")]),
        }
    }

    #[test]
    fn exit_code_is_0_only_when_all_are_yes_and_1_whenever_one_is_no() {
        for (kinds, code) in [("yyy", 0), ("yny", 1), ("ncc", 1), ("ccn", 1), ("yyc", 2), ("cyy", 2)] {
            let mut kinds = kinds.chars().map(verdict);
            let mut next = || kinds.next().unwrap();
            let verdicts = Verdicts { intact: next(), complete: next(), age: next() };
            assert_eq!(verdicts.exit_code(), code);
        }
    }

    #[test]
    fn a_finding_is_reported_with_its_code_place_and_both_hashes() {
        let finding = Finding::new(FindingKind::LeafHashDiffers, Both::new("内容被改动", "bytes altered"))
            .at(LeafIndex::new(7))
            .in_stream("agreement/a", Some(2))
            .differing("aa", "bb");
        assert_eq!(
            serde_json::to_string(&finding).unwrap(),
            concat!(
                r#"{"kind":"leaf-hash-differs","leaf_index":7,"stream":"agreement/a","sequence":2,"#,
                r#""expected":"aa","found":"bb","detail":"bytes altered"}"#
            )
        );
        assert_eq!(serde_json::to_string(&verdict('y')).unwrap(), r#"{"answer":"yes"}"#);
        assert_eq!(verdict('n').reasons(), [Both::plain("r")]);
    }

    #[test]
    fn every_kind_is_shown_as_the_code_that_a_report_holds() {
        for kind in FindingKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), serde_json::Value::String(kind.to_string()));
        }
    }

    #[test]
    fn every_kind_has_its_own_meaning_in_both_languages() {
        for language in [Language::Zh, Language::En] {
            let mut meanings: Vec<_> = FindingKind::ALL.map(|kind| kind.meaning(language)).to_vec();
            for (kind, meaning) in FindingKind::ALL.iter().zip(&meanings) {
                let full_stop = if language == Language::Zh { "。" } else { "." };
                assert!(meaning.ends_with(full_stop), "{kind:?}");
            }
            meanings.sort_unstable();
            meanings.dedup();
            assert_eq!(meanings.len(), FindingKind::ALL.len());
        }
    }
}
