//! Dossiers: gathering one agreement's, trustee's or school's history with every proof that it is genuine and whole.
//!
//! Invariants: what is gathered lies below the index that it is proven by, so it is one moment of the log; a dossier
//! is given away only once its own verification, under this ledger's key, finds nothing.
//! Absent: the format (weituo-proof), verification (weituo-verifier).
//! Source: format.md "Dossier" and "Completeness index".

mod gather;
mod page;

use std::sync::Arc;

use chrono::NaiveDate;
use weituo_projections::stated;
use weituo_proof::dossier::{Dossier, FORMAT, ProvenEntry, ProvenName, StatedState, Subject};
use weituo_proof::{LeafIndex, RecordedAt, Verdict};
use weituo_verifier::Given;

use crate::follower::FollowError;
use crate::ledger::{Ledger, LedgerError, Names, Proven, SubmitError};
use crate::store::StoreError;

use gather::Gathered;

pub use page::{page, verifying_script};

/// How often gathering starts anew because the log grew, or a value was erased, in between.
const ATTEMPTS: u32 = 6;

/// Why there is no dossier.
#[derive(Debug, thiserror::Error)]
pub enum DossierError {
    /// No such agreement or organisation.
    #[error("there is no {} {}", subject.kind.code(), subject.id)]
    NotFound {
        /// What was asked for.
        subject: Subject,
    },
    /// The id is none.
    #[error("{id:?} is not an id")]
    Id {
        /// The id.
        id: String,
    },
    /// The index could not be committed or proven by.
    #[error("the completeness index could not be proven by")]
    Index(#[from] SubmitError),
    /// The proofs could not be computed.
    #[error("an entry could not be proven")]
    Proof(#[from] LedgerError),
    /// An entry could not be read.
    #[error("an entry could not be read")]
    Read(#[from] FollowError),
    /// The log grew faster than it could be gathered.
    #[error("the history kept changing while it was gathered: try again in a moment")]
    Overtaken,
    /// What was gathered does not verify.
    #[error("the dossier does not verify: {what}; run `weituo verify`")]
    Unsound {
        /// The first finding.
        what: String,
    },
}

impl From<StoreError> for DossierError {
    fn from(error: StoreError) -> Self {
        Self::Read(FollowError::Store(error))
    }
}

/// Makes the dossier of a subject, with its state on a day.
///
/// # Errors
/// [`DossierError`]. Committing the index, which is recorded in the log, is all that may have been done then.
pub async fn make(
    ledger: &Ledger,
    subject: Subject,
    on: NaiveDate,
    made_at: RecordedAt,
) -> Result<Dossier, DossierError> {
    let mut names =
        gather::first_names(&subject).ok_or_else(|| DossierError::Id { id: subject.id.clone() })?;
    for attempt in 1..=ATTEMPTS {
        let proven = ledger.prove(&names).await?;
        let gathered = Gathered::below(&**ledger.store(), &subject, &names, &proven).await?;
        if gathered.names != names {
            names = gathered.names;
            continue;
        }
        // An erasure may have come in between; what is missing for good is told by the dossier's own verification.
        if !gathered.is_settled() && attempt < ATTEMPTS {
            continue;
        }
        let state = stated::state(&subject, &gathered.recorded()?, on);
        let Some(state) = state.filter(|_| gathered.exists(&subject)) else {
            return Err(DossierError::NotFound { subject });
        };
        let kind = subject.kind;
        let dossier = Dossier {
            checkpoint: cosigned(ledger, &proven).await,
            disclosures: gathered.disclosures(),
            entries: entries(ledger, &gathered, &proven).await?,
            evidence: gathered.evidence(),
            format: FORMAT.to_owned(),
            made_at,
            parties: names_proven(&names, &proven).1,
            state: StatedState {
                as_of: on.to_string(),
                fold_version: stated::fold_version(kind).into(),
                projection: kind.projection().to_owned(),
                value: state.to_string(),
            },
            streams: names_proven(&names, &proven).0,
            subject,
            timestamps: Vec::new(),
        };
        return sound(ledger, dossier);
    }
    Err(DossierError::Overtaken)
}

/// Returns the checkpoint with the cosignatures of the policy's witnesses, where they have cosigned this very one.
async fn cosigned(ledger: &Ledger, proven: &Proven) -> String {
    let receipt = ledger.cosigned_receipt(proven.index).await;
    let cosigned = receipt.ok().map(|receipt| receipt.checkpoint);
    let cosigned = cosigned.filter(|checkpoint| {
        (checkpoint.size, checkpoint.root) == (proven.checkpoint.size, proven.checkpoint.root)
    });
    cosigned.unwrap_or_else(|| Arc::clone(&proven.checkpoint)).text.clone()
}

fn names_proven(names: &Names, proven: &Proven) -> (Vec<ProvenName>, Vec<ProvenName>) {
    let streams = names.streams.iter().zip(&proven.streams);
    let parties = names.parties.iter().zip(&proven.parties);
    (
        streams.map(|(stream, proof)| ProvenName { proof: proof.clone(), stream: stream.clone() }).collect(),
        parties
            .map(|(stream, party)| ProvenName { proof: party.proof.clone(), stream: stream.clone() })
            .collect(),
    )
}

async fn entries(
    ledger: &Ledger,
    gathered: &Gathered,
    proven: &Proven,
) -> Result<Vec<ProvenEntry>, DossierError> {
    let mut entries = Vec::with_capacity(gathered.rows.len());
    for (leaf_index, row) in &gathered.rows {
        let leaf_index = LeafIndex::new(*leaf_index);
        let inclusion = ledger.inclusion(leaf_index, proven.checkpoint.size).await?;
        entries.push(ProvenEntry { entry: row.body.to_string(), inclusion, leaf_index });
    }
    Ok(entries)
}

/// Returns a dossier that verifies: what a damaged database gives is not given away as genuine.
fn sound(ledger: &Ledger, dossier: Dossier) -> Result<Dossier, DossierError> {
    let given = Given { keys: vec![ledger.verifier_key().clone()], ..Given::default() };
    let report = weituo_verifier::verify(&dossier.text(), &given);
    let finding =
        report.findings().next().map(|finding| format!("{}: {}", finding.kind, finding.detail.en()));
    let reason = || {
        let verdicts = [&report.verdicts.intact, &report.verdicts.complete];
        verdicts.into_iter().flat_map(Verdict::reasons).next().map(|reason| reason.en().to_owned())
    };
    match finding.or_else(reason) {
        Some(what) => Err(DossierError::Unsound { what }),
        None => Ok(dossier),
    }
}
