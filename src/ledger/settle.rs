//! A batch that was not committed: why, and what of it has to be prepared again.
//!
//! Invariants: a commit whose outcome is not known is settled under the head row's lock before anything else is written, and
//! until then its intent stands; a head that another process committed is followed before anything is prepared on it.
//! Absent: committing (`commit`), reading what others committed (`follow`).
//! Source: design.md "The append path" step 3.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::anchor::blocking;
use super::answer::refuse_all;
use super::flight::{IntentOutcome, Outcome};
use super::follow::NO_HEAD_ROW;
use super::prepare::{Pending, Prepared};
use super::redo::{is_in_log, place_taken};
use super::types::{LedgerError, ReadOnly, SubmitError};
use super::writer::Writer;
use crate::store::{Batch, CommitOutcome, StoreError, failpoint};

/// Within this time of the last lost fence another one means that both processes go on writing.
const CONTENDED: Duration = Duration::from_secs(1);
/// How long another process goes on before this one takes the head's lock.
const TURN: Duration = Duration::from_millis(5);

impl Writer {
    /// Finds out why a batch was not committed, and returns the proposals to prepare again.
    pub(super) async fn not_committed(
        &mut self,
        prepared: Prepared,
        outcome: Outcome,
        intent: IntentOutcome,
    ) -> Vec<Pending> {
        let withdrawn = match &outcome {
            _ if intent == IntentOutcome::None => Ok(()),
            // Its intent stands until it is known.
            Err(StoreError::CommitUnknown { .. }) => {
                self.doubtful = Some(Arc::clone(&prepared.batch));
                Ok(())
            }
            _ => self.withdraw(&prepared.batch).await,
        };
        let settled = match outcome {
            _ if withdrawn.is_err() => withdrawn,
            Ok(CommitOutcome::Committed) => Ok(()),
            Ok(CommitOutcome::FenceLost) => {
                tracing::debug!(size = self.head.size, "the fence is lost: another process has committed");
                self.take_turns().await
            }
            Ok(CommitOutcome::Duplicate) => self.find_repeated(&prepared.chosen).await,
            Err(StoreError::CommitUnknown { source }) => {
                tracing::warn!(%source, size = self.head.size, "the commit's outcome is not known: settling it");
                self.settle().await
            }
            Err(error) => Err(LedgerError::Store(error)),
        };
        match settled {
            Ok(()) => prepared.into_pending().collect(),
            Err(error) => {
                refuse_all(prepared.chosen, &SubmitError::from(error));
                prepared.apart.into_pending().collect()
            }
        }
    }

    /// Whether another process took the fence from this one a moment ago.
    pub(super) fn contended(&self) -> bool {
        self.fence_lost.is_some_and(|at| at.elapsed() < CONTENDED)
    }

    /// Reads what another process committed, and takes the lock. Where the fence was lost a moment ago too, both are
    /// writing: the other goes on for a turn first, because following each other's every batch costs more than they do.
    async fn take_turns(&mut self) -> Result<(), LedgerError> {
        let contended = self.contended();
        self.fence_lost = Some(Instant::now());
        if contended {
            tokio::time::sleep(TURN).await;
        }
        self.settle().await
    }

    /// Takes back the intent of a batch that was not committed; until that is done, nothing else is.
    async fn withdraw(&mut self, batch: &Arc<Batch>) -> Result<(), LedgerError> {
        self.doubtful = Some(Arc::clone(batch));
        let after = (batch.after.size, batch.after.root);
        blocking(&self.shared.anchor, move |anchor| anchor.withdraw(after)).await?;
        self.doubtful = None;
        Ok(())
    }

    /// Finds out what became of a batch whose intent stands, because its commit's outcome was not known.
    pub(super) async fn settle_doubtful(&mut self) -> Result<(), LedgerError> {
        if self.doubtful.is_some() {
            let settled = self.settle().await;
            self.unlock().await;
            settled?;
        }
        Ok(())
    }

    /// Takes the head row's lock, which waits for whoever may still be committing, and reads what was committed. The
    /// lock is kept for the next batch, so that no process starves.
    async fn settle(&mut self) -> Result<(), LedgerError> {
        // Most of what is new is read before the lock is taken, so that the lock is held for a short while only: but not behind an
        // intent of which it is not known whether it is in the log.
        let followed = if self.doubtful.is_none() { self.catch_up().await } else { Ok(()) };
        let followed = match followed {
            Ok(()) => self.lock_and_follow().await,
            Err(halt) => Err(LedgerError::from(halt)),
        };
        if followed.is_err() {
            self.unlock().await;
        }
        followed
    }

    async fn lock_and_follow(&mut self) -> Result<(), LedgerError> {
        let head = self.shared.store.lock_head().await?;
        self.locked = true;
        failpoint::hit("writer.locked");
        match head {
            Some(head) => {
                self.decide_doubtful().await?;
                self.follow(head).await?;
                // What was in doubt is in the log, and as durable as a commit.
                self.doubtful = None;
                Ok(())
            }
            None => Err(LedgerError::ReadOnly(ReadOnly::Corrupt { what: NO_HEAD_ROW })),
        }
    }

    /// Under the head's lock what was in doubt is in the log, or never will be and is withdrawn.
    async fn decide_doubtful(&mut self) -> Result<(), LedgerError> {
        let Some(batch) = self.doubtful.clone() else { return Ok(()) };
        let ours = batch.rows.first();
        let there = match ours {
            Some(ours) => self.shared.store.entry(ours.leaf_index).await?,
            None => None,
        };
        if there.as_ref() == ours { Ok(()) } else { self.withdraw(&batch).await }
    }

    /// Finds which command ids of a batch are in the log already, too old to be remembered, or which of its disclosures.
    async fn find_repeated(&mut self, chosen: &[Pending]) -> Result<(), LedgerError> {
        let commands: Vec<[u8; 16]> = chosen.iter().map(|pending| pending.command).collect();
        let rows = self.shared.store.by_command(&commands).await?;
        let digests: Vec<String> = chosen.iter().flat_map(|pending| &pending.digests).cloned().collect();
        let stored = self.shared.store.disclosures_by_digest(&digests).await?;
        if rows.is_empty() && stored.is_empty() {
            // The fence held, so the place in the stream is taken by a row that no writer put there.
            self.shared.halt(place_taken());
            return Err(LedgerError::ReadOnly(place_taken()));
        }
        for row in rows {
            if !is_in_log(&self.shared, &self.head, &row).await.map_err(LedgerError::from)? {
                self.shared.halt(place_taken());
                return Err(LedgerError::ReadOnly(place_taken()));
            }
            self.derived.remember(row.command, row.leaf_index);
        }
        self.derived.remember_stored(stored.into_iter().map(|row| row.digest));
        Ok(())
    }
}
