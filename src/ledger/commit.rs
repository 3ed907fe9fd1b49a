//! Steps 2 to 5 of the append protocol: a prepared batch, and those chained on it while it commits.
//!
//! Invariants: at most one batch is being committed; nothing is signed before its commit; the derived state is changed
//! only after it; a batch chained on one that was not committed is dropped to the proposals that it was made of; a commit
//! whose outcome is not known is settled under the head row's lock before anything else is written.
//! Absent: preparing (`prepare`).
//! Source: format.md "Append protocol" steps 2 to 5 and chaining.

use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use weituo_proof::{Checkpoint, LeafIndex, RecordedAt, TreeSize, both};

use super::answer::{answer_aside, refuse_all};
use super::clock::ClockError;
use super::derived::Step;
use super::follow::Halt;
use super::inbox::Inbox;
use super::prepare::{Aside, Ground, Open, Pending, Prepared};
use super::tree::Loaded;
use super::types::{Accepted, LedgerError, ReadOnly, Receipt, SignedCheckpoint, SubmitError};
use super::writer::Writer;
use crate::store::{self, CommitOutcome, Head, StoreError, failpoint};

/// How long the next batch waits at most for more proposals.
const LINGER: Duration = Duration::from_micros(300);

/// Within this time of the last lost fence another one means that both processes go on writing.
const CONTENDED: Duration = Duration::from_secs(1);
/// How long another process goes on before this one takes the head's lock.
const TURN: Duration = Duration::from_millis(5);

/// What became of a batch and of those chained on it.
#[derive(Debug)]
pub(super) struct Settled {
    /// Whether any was committed.
    pub(super) progressed: bool,
    /// Proposals not answered yet: they have to be prepared again.
    pub(super) again: Vec<Pending>,
}

type Outcome = store::Result<CommitOutcome>;

/// A batch that is being committed.
struct Flight {
    prepared: Prepared,
    commit: Pin<Box<dyn Future<Output = Outcome> + Send>>,
    started: Instant,
}

impl Writer {
    /// Commits a batch and, as long as all goes well, the proposals that come meanwhile, chained on it.
    pub(super) async fn commit(&mut self, first: Prepared, inbox: &mut Inbox) -> Settled {
        let (mut flight, mut progressed) = (self.launch(first), false);
        loop {
            let mut next = Open::on_batch(&flight.prepared);
            let outcome = self.gather(&mut flight, &mut next, inbox).await;
            let (prepared, took) = (flight.prepared, flight.started.elapsed());
            // `Store::commit` has given the lock back, whatever the outcome.
            self.locked = false;
            if !matches!(outcome, Ok(CommitOutcome::Committed)) {
                let mut again = self.not_committed(prepared, outcome).await;
                again.extend(next.give_up().into_pending());
                return Settled { progressed, again };
            }
            progressed = true;
            let expected = prepared.batch.rows.len() + next.len();
            let later = self.finish(prepared).await;
            if !self.may_chain() {
                return Settled { progressed, again: next.give_up().into_pending().chain(later).collect() };
            }
            for pending in later {
                self.take_in(&mut next, None, pending);
            }
            self.linger(&mut next, expected, took, inbox).await;
            match self.close(next) {
                Ok(next) => flight = self.launch(next),
                Err(apart) => return Settled { progressed, again: apart.into_pending().collect() },
            }
        }
    }

    /// Commits a batch on which nothing is chained, and returns what has to be prepared again.
    pub(super) async fn commit_alone(&mut self, prepared: Prepared) -> Vec<Pending> {
        let Flight { prepared, commit, .. } = self.launch(prepared);
        let outcome = commit.await;
        self.locked = false;
        match outcome {
            Ok(CommitOutcome::Committed) => self.finish(prepared).await,
            outcome => self.not_committed(prepared, outcome).await,
        }
    }

    fn launch(&self, prepared: Prepared) -> Flight {
        failpoint::hit("writer.before_commit");
        let (store, batch) = (Arc::clone(&self.shared.store), Arc::clone(&prepared.batch));
        let commit = Box::pin(async move { store.commit(&batch).await });
        Flight { prepared, commit, started: Instant::now() }
    }

    /// Takes proposals into the next batch until the one before it is settled.
    async fn gather(&self, flight: &mut Flight, next: &mut Open, inbox: &mut Inbox) -> Outcome {
        let room = self.room(flight.prepared.batch.rows.len());
        loop {
            tokio::select! {
                biased;
                outcome = &mut flight.commit => return outcome,
                pending = inbox.proposal(), if next.len() < room => {
                    self.take_in(next, Some(&flight.prepared), pending);
                }
            }
        }
    }

    /// Waits a moment for as many proposals as there were submitters a moment ago: those just answered come again, and would
    /// otherwise fall into two halves that wait for each other's commits. Waits by yielding, because a timer's grain is
    /// a millisecond.
    async fn linger(&self, next: &mut Open, expected: usize, took: Duration, inbox: &mut Inbox) {
        let (started, limit) = (Instant::now(), LINGER.min(took / 4));
        loop {
            while next.len() < self.room(0)
                && let Some(pending) = inbox.try_proposal()
            {
                self.take_in(next, None, pending);
            }
            // Whoever is alone is not waited for: the next proposal begins a batch at once.
            if expected <= 1 || next.len() >= expected || started.elapsed() >= limit {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Takes a proposal into a batch, at the time it is now.
    pub(super) fn take_in(&self, open: &mut Open, under: Option<&Prepared>, pending: Pending) {
        let ground = Ground { derived: &self.derived, under, contended: self.contended() };
        match self.recorded_at(open.last_recorded_at().or_else(|| ground.last_recorded_at())) {
            Ok(recorded_at) => open.push(ground, pending, recorded_at),
            Err(error) => pending.answer(Err(SubmitError::from(error))),
        }
    }

    /// Whether a batch may follow one that was just committed without another look at the anchor and the log's state.
    fn may_chain(&self) -> bool {
        let anchor_failed =
            self.shared.anchor_failure.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        let writable = self.shared.read_only().is_none() && self.derived.frozen().is_none();
        writable && self.unanchored.is_none() && !anchor_failed
    }

    /// Finds out why a batch was not committed, and returns the proposals to prepare again.
    async fn not_committed(&mut self, prepared: Prepared, outcome: Outcome) -> Vec<Pending> {
        let settled = match outcome {
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
    fn contended(&self) -> bool {
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

    /// Takes the head row's lock, which waits for whoever may still be committing, and reads what was committed. The
    /// lock is kept for the next batch, so that no process starves.
    async fn settle(&mut self) -> Result<(), LedgerError> {
        // Most of what is new is read before the lock is taken, so that the lock is held for a short while only.
        let followed = match self.catch_up().await {
            Ok(()) => self.lock_and_follow().await,
            halt => halt,
        };
        if followed.is_err() {
            self.unlock().await;
        }
        followed.map_err(LedgerError::from)
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

    /// Finds which command ids of a batch are in the log already, too old to be remembered, or which of its disclosures.
    async fn find_repeated(&mut self, chosen: &[Pending]) -> Result<(), LedgerError> {
        let commands: Vec<[u8; 16]> = chosen.iter().map(|pending| pending.command).collect();
        let rows = self.shared.store.by_command(&commands).await?;
        let digests: Vec<String> = chosen.iter().flat_map(|pending| &pending.digests).cloned().collect();
        let stored = self.shared.store.disclosures_by_digest(&digests).await?;
        if rows.is_empty() && stored.is_empty() {
            // The fence held, so the place in the stream is taken by a row that no writer put there.
            let what = "an entry stands where the next of its stream belongs; run `weituo verify`".to_owned();
            self.shared.halt(ReadOnly::Corrupt { what: what.clone() });
            return Err(LedgerError::ReadOnly(ReadOnly::Corrupt { what }));
        }
        for row in rows {
            self.derived.remember(row.command, row.leaf_index);
        }
        self.derived.remember_stored(stored.into_iter().map(|row| row.digest));
        Ok(())
    }

    /// Takes over a committed batch, signs its head, anchors it and answers; returns what waited for it.
    async fn finish(&mut self, prepared: Prepared) -> Vec<Pending> {
        // From here a crash recovers forward, because the batch is durable: the next start extends the anchor to it, and a
        // client that got no answer repeats its command by id.
        failpoint::hit("writer.after_commit");
        let Prepared { batch, chosen, positions, nodes, frontier, claims, apart, .. } = prepared;
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
                let event = &pending.proposal.act.event;
                self.derived.apply_log_event(event, row.leaf_index, row.leaf_hash, position.recorded_at);
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
            refuse_all(chosen, &error);
        } else {
            failpoint::hit("writer.before_answer");
            let accepted = self.receipts(&batch.rows, &positions, &checkpoint);
            for (mut pending, accepted) in chosen.into_iter().zip(accepted) {
                if let Ok(accepted) = &accepted {
                    pending.tell(accepted.place());
                }
                pending.answer(accepted);
            }
        }
        // Only now: a stream that moved within this batch is as its submitter will read it.
        self.answer_aside(apart.aside);
        apart.later
    }

    /// Answers proposals that were set aside, on the head that they were judged on.
    pub(super) fn answer_aside(&self, aside: Vec<(Pending, Aside)>) {
        for (pending, aside) in aside {
            tokio::spawn(answer_aside(Arc::clone(&self.shared), pending, aside));
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
                    let leaf = row.leaf_index;
                    let what = both!("没有序号 {leaf} 的包含证明", "no inclusion proof of leaf index {leaf}");
                    SubmitError::from(LedgerError::NotFound { what })
                })?;
                let receipt = Receipt {
                    leaf_index: LeafIndex::new(row.leaf_index),
                    leaf_hash: row.leaf_hash,
                    entry: Arc::clone(&row.body),
                    inclusion,
                    checkpoint: Arc::clone(checkpoint),
                    cosigned: Vec::new(),
                };
                Ok(Accepted { receipt, position: *position, repeated: false })
            })
            .collect()
        })
    }

    /// Signs the head, which is committed: never before, or an aborted batch would leave a second signed root.
    pub(super) fn sign(&self) -> Arc<SignedCheckpoint> {
        sign(&self.derived.signers(&self.keys, &self.head), &self.shared.origin, &self.head)
    }

    /// Returns the instant of an entry that follows one of `last`.
    pub(super) fn recorded_at(&self, last: Option<RecordedAt>) -> Result<RecordedAt, ClockError> {
        let epoch = RecordedAt::from_unix_millis(0).expect("invariant: 1970 is a year");
        self.clock.recorded_at(last.unwrap_or(epoch))
    }
}

/// Signs a committed head with every one of these keys; there is at least one.
pub(super) fn sign(
    keys: &[&weituo_proof::SigningKey],
    origin: &weituo_proof::Origin,
    head: &Head,
) -> Arc<SignedCheckpoint> {
    let (size, root) = (TreeSize::new(head.size), head.root);
    let checkpoint = Checkpoint { origin: origin.clone(), size, root };
    let mut note = checkpoint
        .sign(keys[0])
        .expect("invariant: the key's name was compared with the origin at the opening");
    keys[1..].iter().for_each(|key| note.add_signature(key));
    Arc::new(SignedCheckpoint { size, root, text: note.to_string() })
}
