//! Steps 2 to 5 of the append protocol for one prepared batch.
//!
//! Invariants: nothing is signed before the commit; the derived state is changed only after it; a commit whose outcome is
//! not known is settled under the head row's lock before anything else is written.
//! Absent: preparing (`prepare`).
//! Source: format.md "Append protocol" steps 2 to 5.

use std::sync::Arc;

use weituo_proof::{Checkpoint, LeafIndex, RecordedAt, TreeSize};

use super::answer::refuse_all;
use super::derived::Step;
use super::follow::Halt;
use super::prepare::{Pending, Prepared};
use super::tree::Loaded;
use super::types::{Accepted, ClockError, LedgerError, ReadOnly, Receipt, SignedCheckpoint, SubmitError};
use super::writer::Writer;
use crate::store::{CommitOutcome, Head, StoreError, failpoint};

/// What became of a prepared batch.
#[derive(Debug)]
pub(super) enum Settled {
    /// Committed, and every proposal answered.
    Committed,
    /// Not committed: prepare these again on the head as it now is.
    Again(Vec<Pending>),
    /// Not committed, or not known to be: answer this.
    Failed(Vec<Pending>, SubmitError),
}

impl Writer {
    /// Commits a batch, then signs, anchors and answers.
    pub(super) async fn commit(&mut self, prepared: Prepared) -> Settled {
        failpoint::hit("writer.before_commit");
        let outcome = self.shared.store.commit(&prepared.batch).await;
        // `commit` has given the lock back, whatever the outcome.
        self.locked = false;
        match outcome {
            Ok(CommitOutcome::Committed) => {
                // From here a crash recovers forward, because the batch is durable: the next start extends the anchor
                // to it, and a client that got no answer repeats its command by id.
                failpoint::hit("writer.after_commit");
                self.finish(prepared).await;
                Settled::Committed
            }
            Ok(CommitOutcome::FenceLost) => {
                tracing::debug!(size = self.head.size, "the fence is lost: another process has committed");
                self.settle(prepared.chosen).await
            }
            Ok(CommitOutcome::Duplicate) => self.find_repeated(prepared).await,
            Err(StoreError::CommitUnknown { source }) => {
                tracing::warn!(%source, size = self.head.size, "the commit's outcome is not known: settling it");
                self.settle(prepared.chosen).await
            }
            Err(error) => Settled::Failed(prepared.chosen, SubmitError::from(LedgerError::Store(error))),
        }
    }

    /// Takes the head row's lock, which waits for whoever may still be committing, and reads what was committed. The
    /// lock is kept for the next batch, so that no process starves.
    async fn settle(&mut self, chosen: Vec<Pending>) -> Settled {
        // Most of what is new is read before the lock is taken, so that the lock is held for a short while only.
        let followed = match self.catch_up().await {
            Ok(()) => self.lock_and_follow().await,
            halt => halt,
        };
        match followed {
            Ok(()) => Settled::Again(chosen),
            Err(halt) => {
                self.unlock().await;
                Settled::Failed(chosen, SubmitError::from(LedgerError::from(halt)))
            }
        }
    }

    async fn lock_and_follow(&mut self) -> Result<(), Halt> {
        let head = self.shared.store.lock_head().await?;
        self.locked = true;
        failpoint::hit("writer.locked");
        match head {
            Some(head) => self.follow(head).await,
            None => Err(Halt::ReadOnly(ReadOnly::Corrupt { what: "the head row is missing".to_owned() })),
        }
    }

    /// Finds which command ids of a batch are in the log already, too old to be remembered.
    async fn find_repeated(&mut self, prepared: Prepared) -> Settled {
        let commands: Vec<[u8; 16]> = prepared.chosen.iter().map(|pending| pending.command).collect();
        match self.shared.store.by_command(&commands).await {
            Err(error) => Settled::Failed(prepared.chosen, SubmitError::from(LedgerError::Store(error))),
            Ok(rows) if rows.is_empty() => {
                // The fence held, so the place in the stream is taken by a row that no writer put there.
                let what =
                    "an entry stands where the next of its stream belongs; run `weituo verify`".to_owned();
                self.shared.halt(ReadOnly::Corrupt { what: what.clone() });
                Settled::Failed(prepared.chosen, SubmitError::ReadOnly(ReadOnly::Corrupt { what }))
            }
            Ok(rows) => {
                for row in rows {
                    self.derived.remember(row.command, row.leaf_index);
                }
                Settled::Again(prepared.chosen)
            }
        }
    }

    /// Takes over a committed batch, signs its head, anchors it and answers.
    async fn finish(&mut self, prepared: Prepared) {
        let Prepared { batch, chosen, positions, nodes, frontier, claims } = prepared;
        for ((row, pending), position) in batch.rows.iter().zip(&chosen).zip(&positions) {
            self.derived.apply(&Step {
                leaf_index: row.leaf_index,
                leaf_hash: row.leaf_hash,
                stream: &row.stream,
                sequence: row.sequence,
                command: row.command,
                recorded_at: position.recorded_at,
                parties: &pending.draft.parties,
            });
            if row.stream.starts_with("log/") {
                self.derived.apply_log_event(&pending.proposal.act.event, row.leaf_index, row.leaf_hash);
            }
        }
        if let Some(claims) = claims {
            self.derived.set_claims(claims);
        }
        self.head = batch.after.clone();
        self.shared.with_tree_mut(|tree| tree.extend(&nodes, frontier));
        let checkpoint = self.sign();
        failpoint::hit("writer.before_anchor");
        if let Err(error) = self.publish(Arc::clone(&checkpoint)).await {
            return refuse_all(chosen, &error);
        }
        failpoint::hit("writer.before_answer");
        let accepted = self.receipts(&batch.rows, &positions, &checkpoint);
        for (pending, accepted) in chosen.into_iter().zip(accepted) {
            pending.answer(accepted);
        }
    }

    fn receipts(
        &self,
        rows: &[crate::store::EntryRow],
        positions: &[weituo_proof::Position],
        checkpoint: &Arc<SignedCheckpoint>,
    ) -> Vec<Result<Accepted, SubmitError>> {
        let (loaded, size) = (Loaded::default(), checkpoint.size.get());
        self.shared.with_tree(|tree| {
            let rows = rows.iter().zip(positions);
            rows.map(|(row, position)| {
                // The tree keeps far more leaves than a batch has, so the proof needs no older tile.
                let inclusion = tree.inclusion(&loaded, row.leaf_index, size).ok_or_else(|| {
                    let what = format!("no inclusion proof of leaf index {}", row.leaf_index);
                    SubmitError::from(LedgerError::NotFound { what })
                })?;
                let receipt = Receipt {
                    leaf_index: LeafIndex::new(row.leaf_index),
                    leaf_hash: row.leaf_hash,
                    entry: Arc::clone(&row.body),
                    inclusion,
                    checkpoint: Arc::clone(checkpoint),
                };
                Ok(Accepted { receipt, position: *position, repeated: false })
            })
            .collect()
        })
    }

    /// Signs the head, which is committed: never before, or an aborted batch would leave a second signed root.
    pub(super) fn sign(&self) -> Arc<SignedCheckpoint> {
        sign(&self.key, &self.shared.origin, &self.head)
    }

    /// Returns the instant of the next batch.
    pub(super) fn recorded_at(&self) -> Result<RecordedAt, ClockError> {
        let epoch = RecordedAt::from_unix_millis(0).expect("invariant: 1970 is a year");
        self.clock.recorded_at(self.derived.last_recorded_at().unwrap_or(epoch))
    }
}

/// Signs a committed head.
pub(super) fn sign(
    key: &weituo_proof::SigningKey,
    origin: &weituo_proof::Origin,
    head: &Head,
) -> Arc<SignedCheckpoint> {
    let (size, root) = (TreeSize::new(head.size), head.root);
    let checkpoint = Checkpoint { origin: origin.clone(), size, root };
    let note =
        checkpoint.sign(key).expect("invariant: the key's name was compared with the origin at the opening");
    Arc::new(SignedCheckpoint { size, root, text: note.to_string() })
}
