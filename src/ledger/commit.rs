//! Steps 3 to 5 of the append protocol: a committed batch, and those chained on one while it commits.
//!
//! Invariants: at most one batch is being committed, and at most one is being anchored, unless the anchor vouched for it while
//! it was committed; nothing is signed before its commit, or while the batch before it is being anchored; the derived state is changed only after a commit, and before anything
//! else is taken in; a batch chained on one that was not committed is dropped to the proposals that it was made of.
//! Absent: preparing (`prepare`), sending off (`flight`), what follows where a batch was not committed (`settle`).
//! Source: design.md "The append path" steps 4 and 5.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use weituo_projections::Claims;
use weituo_proof::{Checkpoint, LeafIndex, Position, RecordedAt, TreeSize, both};

use super::answer::{answer_aside, refuse_all};
use super::clock::ClockError;
use super::derived::Step;
use super::flight::{Anchored, Anchoring, Flight, IntentOutcome, Landed};
use super::inbox::Inbox;
use super::prepare::{Apart, Aside, Ground, Open, Pending, Prepared};
use super::tree::Loaded;
use super::types::{Accepted, LedgerError, Mode, Receipt, SignedCheckpoint, SubmitError};
use super::writer::{REST, Writer};
use crate::store::{Batch, CommitOutcome, Head, failpoint};

/// From so many submitters on, their own work takes longer than a commit.
const MANY: usize = 32;

/// What became of a batch and of those chained on it.
#[derive(Debug)]
pub(super) struct Settled {
    /// Whether any was committed.
    pub(super) progressed: bool,
    /// Proposals not answered yet: they have to be prepared again.
    pub(super) again: Vec<Pending>,
}

/// A batch that is committed, and whose proposals are not answered yet.
struct Committed {
    batch: Arc<Batch>,
    chosen: Vec<Pending>,
    positions: Vec<Position>,
    claims: Option<Claims>,
    apart: Apart,
    /// The signature of its head, and the writing of the anchor where it has to be anchored first.
    checkpoint: Arc<SignedCheckpoint>,
    anchoring: Option<Anchoring>,
    /// Whether the derived state has its entries.
    applied: bool,
}

impl Committed {
    /// Waits until it is anchored, where it has to be.
    async fn anchored(&mut self) -> Anchored {
        match &mut self.anchoring {
            Some(anchoring) => anchoring.await,
            None => Ok(()),
        }
    }
}

/// Returns how many proposals make a batch worth sending, where there were so many submitters a moment ago. A few submitters
/// come again sooner than a commit takes, and all together share one; of many, some work while the others' batch commits.
fn enough(submitters: usize) -> usize {
    if submitters < MANY { submitters } else { submitters * 3 / 8 }
}

/// Returns how long the next batch waits at most for them. While many come, nothing idles.
fn patience(submitters: usize, took: Duration) -> Duration {
    if submitters < MANY {
        Duration::from_micros(300).min(took / 4)
    } else {
        Duration::from_millis(1).min(took)
    }
}

impl Writer {
    /// Commits a batch and, as long as all goes well, the proposals that come meanwhile, chained on it.
    pub(super) async fn commit(&mut self, first: Prepared, inbox: &mut Inbox) -> Settled {
        let (mut flight, mut progressed) = (self.launch(first).await, false);
        let mut before = None;
        loop {
            let mut next = Open::on_batch(&flight.prepared);
            let Landed { outcome, intent } = self.gather(&mut before, &mut flight, &mut next, inbox).await;
            let (prepared, took) = (flight.prepared, flight.started.elapsed());
            // `Store::commit` has given the lock back, whatever the outcome.
            self.locked = false;
            if !matches!(outcome, Ok(CommitOutcome::Committed)) {
                let mut again = self.not_committed(prepared, outcome, intent).await;
                again.extend(next.give_up().into_pending());
                return Settled { progressed, again };
            }
            progressed = true;
            let submitters = prepared.batch.rows.len() + next.len();
            let enough = enough(submitters);
            let redoable = prepared.redoable;
            let mut committed = self.take_over(prepared, intent);
            // Who is alone waits once for an anchor that follows its commit: from then on it is written beside the next one.
            let catches_up = redoable
                && intent == IntentOutcome::None
                && committed.anchoring.is_some()
                && self.shared.anchor.is_alone();
            let sent = if next.len() >= enough && !catches_up && self.may_chain() {
                // Never empty, so it is sent: `gather` answers for the one before it.
                let sent = self.send(next).await;
                if committed.anchoring.is_some() {
                    self.apply(&mut committed);
                }
                before = Some(committed);
                sent
            } else {
                let anchored = committed.anchored().await;
                let later = self.answer(committed, anchored);
                if !self.may_chain() {
                    let again = next.give_up().into_pending().chain(later).collect();
                    return Settled { progressed, again };
                }
                for pending in later {
                    self.take_in(&mut next, None, pending);
                }
                self.linger(&mut next, enough, patience(submitters, took), inbox).await;
                self.send(next).await
            };
            match sent {
                Ok(sent) => flight = sent,
                Err(apart) => return Settled { progressed, again: apart.into_pending().collect() },
            }
        }
    }

    /// Commits a batch on which nothing is chained, and returns what has to be prepared again.
    pub(super) async fn commit_alone(&mut self, prepared: Prepared) -> Vec<Pending> {
        let mut flight = self.launch(prepared).await;
        let Landed { outcome, intent } = flight.landed().await;
        self.locked = false;
        match outcome {
            Ok(CommitOutcome::Committed) => {
                let mut committed = self.take_over(flight.prepared, intent);
                let anchored = committed.anchored().await;
                self.answer(committed, anchored)
            }
            outcome => self.not_committed(flight.prepared, outcome, intent).await,
        }
    }

    /// Closes a batch and sends it off; where it has no entries, returns what was set apart.
    async fn send(&self, open: Open) -> Result<Flight, Apart> {
        Ok(self.launch(self.close(open)?).await)
    }

    /// Takes proposals into the next batch until the one being committed is, and answers those of the batch before that one
    /// as soon as they may be.
    async fn gather(
        &mut self,
        before: &mut Option<Committed>,
        flight: &mut Flight,
        next: &mut Open,
        inbox: &mut Inbox,
    ) -> Landed {
        if let Some(mut committed) = before.take() {
            let anchored = loop {
                let room = self.room(flight.prepared.batch.rows.len());
                tokio::select! {
                    biased;
                    anchored = committed.anchored() => break anchored,
                    pending = inbox.proposal(), if next.len() < room => {
                        self.take_in(next, Some(&flight.prepared), pending);
                    }
                }
            };
            for pending in self.answer(committed, anchored) {
                self.take_in(next, Some(&flight.prepared), pending);
            }
        }
        let room = self.room(flight.prepared.batch.rows.len());
        loop {
            tokio::select! {
                biased;
                landed = flight.landed() => return landed,
                pending = inbox.proposal(), if next.len() < room => {
                    self.take_in(next, Some(&flight.prepared), pending);
                }
            }
        }
    }

    /// Waits a moment for enough proposals: those just answered come again. Waits by yielding, because a timer's grain is a
    /// millisecond.
    async fn linger(&self, next: &mut Open, enough: usize, patience: Duration, inbox: &mut Inbox) {
        let (started, room) = (Instant::now(), self.room(0));
        while next.len() < room
            && let Some(pending) = inbox.try_proposal()
        {
            self.take_in(next, None, pending);
        }
        // Whoever is alone is not waited for: the next proposal begins a batch at once.
        while enough > 1 && next.len() < enough.min(room) && started.elapsed() < patience {
            tokio::select! {
                biased;
                pending = inbox.proposal() => self.take_in(next, None, pending),
                () = tokio::task::yield_now() => {}
            }
        }
    }

    /// Takes a proposal into a batch, at the time it is now.
    pub(super) fn take_in(&self, open: &mut Open, under: Option<&Prepared>, pending: Pending) {
        let ground = Ground { derived: &self.derived, under, contended: self.contended() };
        match self.recorded_at(open.last_recorded_at().or_else(|| ground.last_recorded_at())) {
            Ok(recorded_at) => open.push(ground, pending, recorded_at),
            Err(error) => refuse_all(vec![pending], &SubmitError::from(error)),
        }
    }

    /// Whether a batch may follow one that was just committed without another look at the anchor and the log's state.
    fn may_chain(&self) -> bool {
        let anchor_failed =
            self.shared.anchor_failure.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        let writable = self.shared.read_only().is_none() && self.derived.frozen().is_none();
        writable && self.unanchored.is_none() && !anchor_failed && self.shared.anchor.has_joined()
    }

    /// Takes over a committed batch, signs its head and begins to anchor it, unless the anchor vouches for it already.
    fn take_over(&mut self, prepared: Prepared, intent: IntentOutcome) -> Committed {
        // From here at the latest (by its intent, before) a crash recovers forward, because the batch is durable: the next start extends the anchor to it, and a
        // client that got no answer repeats its command by id.
        failpoint::hit("writer.after_commit");
        let Prepared { batch, chosen, positions, nodes, frontier, claims, apart, .. } = prepared;
        for ((row, pending), position) in batch.rows.iter().zip(&chosen).zip(&positions) {
            if row.stream.starts_with("log/") {
                let event = &pending.proposal.act.event;
                self.derived.apply_log_event(event, row.leaf_index, row.leaf_hash, position.recorded_at);
            }
        }
        self.head = batch.after.clone();
        self.shared.with_tree_mut(|tree| tree.extend(&nodes, frontier));
        let checkpoint = self.sign();
        self.shared.anchor.has_committed();
        self.rest_at = Instant::now() + REST;
        failpoint::hit("writer.before_anchor");
        let vouched = intent == IntentOutcome::Durable;
        if vouched {
            self.shared.vouched_for(&checkpoint);
        }
        let anchoring = (self.limits.mode == Mode::Strict && !vouched).then(|| -> Anchoring {
            let (shared, checkpoint) = (Arc::clone(&self.shared), Arc::clone(&checkpoint));
            Box::pin(async move { shared.anchor_to(&checkpoint).await })
        });
        Committed { batch, chosen, positions, claims, apart, checkpoint, anchoring, applied: false }
    }

    /// Takes a committed batch's entries into the derived state, once.
    fn apply(&mut self, committed: &mut Committed) {
        if std::mem::replace(&mut committed.applied, true) {
            return;
        }
        let Committed { batch, chosen, positions, claims, .. } = committed;
        for ((row, pending), position) in batch.rows.iter().zip(chosen).zip(positions) {
            self.derived.apply(&Step {
                leaf_index: row.leaf_index,
                leaf_hash: row.leaf_hash,
                stream: &row.stream,
                sequence: row.sequence,
                command: row.command,
                recorded_at: position.recorded_at,
                parties: &pending.draft.parties,
            });
        }
        if let Some(claims) = claims.take() {
            self.derived.set_claims(claims);
        }
    }

    /// Answers a committed batch's proposals; returns what waited for it.
    fn answer(&mut self, mut committed: Committed, anchored: Anchored) -> Vec<Pending> {
        let checkpoint = Arc::clone(&committed.checkpoint);
        match self.let_leave(Arc::clone(&checkpoint), anchored) {
            Ok(()) => {
                failpoint::hit("writer.before_answer");
                let accepted = self.receipts(&committed.batch.rows, &committed.positions, &checkpoint);
                for (pending, accepted) in committed.chosen.iter_mut().zip(accepted) {
                    if let Ok(accepted) = &accepted {
                        pending.tell(accepted.place());
                    }
                    pending.answer(accepted);
                }
            }
            Err(error) => {
                committed.chosen.iter_mut().for_each(|pending| pending.answer(Err(error.clone())));
            }
        }
        // The submitters go on meanwhile: what only this task reads can wait until they are answered.
        self.apply(&mut committed);
        // Only now: a stream that moved within this batch is as its submitter will read it.
        self.answer_aside(committed.apart.aside);
        committed.apart.later
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
    pub(super) fn sign(&mut self) -> Arc<SignedCheckpoint> {
        let signed = sign(&self.derived.signers(&self.keys, &self.head), &self.shared.origin, &self.head);
        self.signed = Some(Arc::clone(&signed));
        signed
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
