//! Step 2 of the append protocol, and in strict mode, where this process is alone, step 4 beside it: a batch on its way into the
//! database.
//!
//! Invariants: an intent is written for a batch that follows what is anchored, by a process that is alone, and only for one that
//! can be committed again from it.
//! Absent: what follows once it is there (`commit`) or is not (`settle`); the intent's bytes (`anchor`, `redo`).
//! Source: design.md "The append path" steps 3 and 4; docs/decisions/0018.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use super::anchor::blocking;
use super::prepare::Prepared;
use super::types::{LedgerError, Mode};
use super::writer::Writer;
use crate::store::{self, CommitOutcome, failpoint};

/// What the store says of a commit.
pub(super) type Outcome = store::Result<CommitOutcome>;
type Landing = Pin<Box<dyn Future<Output = Landed> + Send>>;
pub(super) type Anchored = Result<(), LedgerError>;
pub(super) type Anchoring = Pin<Box<dyn Future<Output = Anchored> + Send>>;

/// What became of a batch's intent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IntentOutcome {
    /// None was to be written.
    None,
    /// It could not be written, or perhaps it was.
    Failed,
    /// The anchor vouches for the batch.
    Durable,
}

/// What became of a commit, and of its intent.
pub(super) struct Landed {
    pub(super) outcome: Outcome,
    pub(super) intent: IntentOutcome,
}

/// A batch that is being committed.
pub(super) struct Flight {
    pub(super) prepared: Prepared,
    landing: Landing,
    /// How it landed, where it did at once.
    early: Option<Landed>,
    pub(super) started: Instant,
}

impl Flight {
    /// Returns how it landed, once.
    pub(super) async fn landed(&mut self) -> Landed {
        match self.early.take() {
            Some(landed) => landed,
            None => (&mut self.landing).await,
        }
    }
}

impl Writer {
    /// Sends a batch off: when this returns, the database has it before it, whatever is done until the outcome is asked for.
    pub(super) async fn launch(&self, prepared: Prepared) -> Flight {
        failpoint::hit("writer.before_commit");
        let (store, batch) = (Arc::clone(&self.shared.store), Arc::clone(&prepared.batch));
        let intending = self.intending(&prepared);
        let started = Instant::now();
        let mut landing: Landing = Box::pin(async move {
            let commit = store.commit(&batch);
            match intending {
                Some(intending) => {
                    let (outcome, intent) = tokio::join!(commit, intending);
                    Landed { outcome, intent }
                }
                None => Landed { outcome: commit.await, intent: IntentOutcome::None },
            }
        });
        let early = tokio::select! {
            biased;
            landed = &mut landing => Some(landed),
            () = std::future::ready(()) => None,
        };
        Flight { prepared, landing, early, started }
    }

    /// Returns the writing of a batch's intent, where the anchor may vouch for it while it is being committed.
    fn intending(&self, prepared: &Prepared) -> Option<impl Future<Output = IntentOutcome> + Send + 'static> {
        // Asked for every batch, because it is where this process gives way, too.
        let may_intend = self.limits.mode == Mode::Strict && self.shared.anchor.may_intend();
        let before = prepared.batch.before?;
        let base = self.signed.clone().filter(|signed| signed.size.get() == before.size)?;
        let is_anchored = self.shared.anchored() == (before.size, before.root);
        let (anchor, batch) = (Arc::clone(&self.shared.anchor), Arc::clone(&prepared.batch));
        let intending = async move {
            match blocking(&anchor, move |anchor| anchor.intend(&base, &batch)).await {
                Ok(()) => IntentOutcome::Durable,
                Err(error) => {
                    tracing::debug!(%error, "no intent could be written: the anchor is, after the commit");
                    IntentOutcome::Failed
                }
            }
        };
        (may_intend && prepared.redoable && is_anchored && !self.locked).then_some(intending)
    }
}
