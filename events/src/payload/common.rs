//! What many payloads share: the paper behind an act, references, and codes.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use weituo_proof::Hash;

use crate::{OrganisationId, Sealed};

payload! {
    /// A document that proves something: its hash and size, never the file.
    Evidence {
        /// Media type, such as `application/pdf`.
        media_type: SmolStr,
        /// SHA-256 of the file, in clear; absent where the content could be guessed from it.
        #[schemars(with = "Option<String>")]
        sha256: Option<Hash>,
        /// SHA-256 (hex) of a guessable personal document, sealed.
        sha256_sealed: Option<Sealed>,
        /// Size of the file in bytes.
        size_bytes: i64,
        /// Title of the document, sealed.
        title: Option<Sealed>,
    }
}

payload! {
    /// What stands behind an act: who performed it, under which document number, with what evidence.
    #[derive(Default)]
    Paper {
        /// The body within or beside the recording organisation that performed the act (an office, a panel).
        by: Option<SmolStr>,
        /// Document number (文号) as typed, such as `温教基〔2018〕120号`.
        document: Option<SmolStr>,
        /// Documents that prove the act.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        evidence: Vec<Evidence>,
        /// Free text, sealed.
        note: Option<Sealed>,
    }
}

impl Paper {
    /// Returns true when nothing is said, so that the member is left out of the entry.
    pub fn is_empty(&self) -> bool {
        self == &Self::default()
    }
}

payload! {
    /// An act that says no more than its paper.
    PlainAct {
        /// The paper behind the act.
        #[serde(default, skip_serializing_if = "Paper::is_empty")]
        paper: Paper,
    }
}

payload! {
    /// Names an earlier entry of the same stream.
    EntryRef {
        /// Leaf hash of that entry; filled in by the ledger when a command names only the sequence.
        #[schemars(with = "Option<String>")]
        leaf: Option<Hash>,
        /// Its 1-based place in this stream.
        sequence: u64,
    }
}

payload! {
    /// The rulebook a cycle is under: version and digest are pinned.
    RulebookPin {
        /// SHA-256 of the rulebook's text; filled in by the ledger when a command names only the version.
        #[schemars(with = "Option<String>")]
        digest: Option<Hash>,
        /// Id of the rulebook (the part of its stream after `rulebook/`).
        id: SmolStr,
        /// Version of the rulebook, from 1.
        version: u32,
    }
}

payload! {
    /// The cycle that this one renews.
    Renews {
        /// Round of the new cycle: 2 for the first renewal.
        round: u32,
        /// Stream of the cycle that is renewed, such as `agreement/WZ-2019-001`.
        #[schemars(with = "String")]
        stream: weituo_proof::StreamName,
    }
}

payload! {
    /// Who allowed an exception to a rule that holds "in principle" (原则上), and why.
    Exception {
        /// Organisation that approved; absent means approved by nobody, which is recorded and flagged.
        approved_by: Option<OrganisationId>,
        /// Document number (文号) of the approval.
        document: Option<SmolStr>,
        /// Why, sealed.
        grounds: Option<Sealed>,
    }
}

payload! {
    /// One party's own signature under a paper agreement.
    Countersignature {
        /// The party that signed.
        organisation: OrganisationId,
        /// The day it signed, where known.
        signed_on: Option<NaiveDate>,
    }
}

codes! {
    /// Grade of an assessment or evaluation.
    Grade {
        /// 90 points and above, by default.
        Excellent "优秀",
        /// 80 points and above, by default.
        Good "良好",
        /// 60 points and above, by default.
        Pass "合格",
        /// Below the pass mark, or capped by a veto item.
        Fail "不合格",
    }
}

/// A payload that may be sealed as a whole. No decision and no fold depends on what it says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
pub enum Confidential<T> {
    /// Sealed: only the digest of the disclosure stands in the entry.
    Sealed(#[schemars(with = "crate::sealed::SealedRefShape")] weituo_proof::SealedRef),
    /// In clear.
    Clear(T),
}

impl<T: crate::Seal> crate::Seal for Confidential<T> {
    fn each_sealed(&mut self, visit: &mut dyn FnMut(&mut Sealed)) {
        if let Self::Clear(clear) = self {
            clear.each_sealed(visit);
        }
    }
}
