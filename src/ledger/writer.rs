//! The writer task: takes proposals in, and drives batches through prepare, commit, sign, anchor and answer.
//!
//! Invariants: one task a process; a head is signed only after it is committed, and one that this process did not see
//! committed only behind a barrier; after a failure of the anchor at most
//! one batch is unanchored; every proposal taken in is answered.
//! Absent: deciding; the order of steps within a batch (`commit`).
//! Source: format.md "Append protocol".

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::MissedTickBehavior;
use weituo_proof::{RecordedAt, SigningKey};

use super::answer::{answer_aside, refuse_all};
use super::clock::Watched;
use super::commit::Settled;
use super::derived::Derived;
use super::follow::{self, Halt};
use super::prepare::{Aside, Ground, Pending, Sorted, prepare};
use super::seal::SealKey;
use super::shared::Shared;
use super::types::{Accepted, LedgerError, Mode, ReadOnly, SignedCheckpoint, SubmitError};
use crate::store::Head;

/// How often a batch is prepared again for a lost fence, a repeated id or an unknown commit before it is given up.
pub(super) const ATTEMPTS: u32 = 16;

/// What the writer is asked.
#[derive(Debug)]
pub(super) enum Message {
    /// Record this.
    Submit(Box<Pending>),
    /// Commit the completeness index now.
    CommitIndex(oneshot::Sender<Result<Option<Accepted>, SubmitError>>),
    /// Look at the database for entries of other processes.
    Follow(oneshot::Sender<Result<(), LedgerError>>),
    /// Commit the index, anchor exactly, end.
    Stop(oneshot::Sender<Result<(), LedgerError>>),
}

/// Numbers that steer the writer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) mode: Mode,
    pub(super) batch: usize,
    pub(super) index_every: u64,
    pub(super) index_after: Duration,
    pub(super) follow_every: Duration,
}

/// The writer's own state.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) derived: Derived,
    /// The head as last committed or followed.
    pub(super) head: Head,
    pub(super) key: SigningKey,
    pub(super) seal: SealKey,
    pub(super) clock: Watched,
    pub(super) limits: Limits,
    /// Whether this process holds the head row's lock, after a lost fence.
    pub(super) locked: bool,
    /// A committed head whose anchor is not yet durable.
    pub(super) unanchored: Option<Arc<SignedCheckpoint>>,
}

impl Writer {
    pub(super) async fn run(mut self, mut inbox: mpsc::Receiver<Message>) {
        let mut ticks = tokio::time::interval(self.limits.follow_every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let flow = tokio::select! {
                message = inbox.recv() => match message {
                    Some(message) => self.take(message, &mut inbox).await,
                    None => break,
                },
                _ = ticks.tick() => {
                    self.tick().await;
                    // A look that took long would be due again at once, and be chosen before whoever waits, half the
                    // time: again and again while the database or the anchor does not answer.
                    ticks.reset();
                    ControlFlow::Continue(())
                }
            };
            if flow.is_break() {
                return;
            }
        }
        // Every handle is gone without a stop: the index waits for the next start, the anchor does not.
        if let Err(error) = self.anchor_exactly().await {
            tracing::warn!(%error, "the anchor is behind; the next start extends it");
        }
    }

    /// Handles a message, together with the proposals that wait behind it.
    async fn take(&mut self, first: Message, inbox: &mut mpsc::Receiver<Message>) -> ControlFlow<()> {
        let mut next = Some(first);
        while let Some(message) = next.take() {
            let mut waiting = Vec::new();
            match message {
                Message::Submit(pending) => waiting.push(*pending),
                Message::CommitIndex(answer) => {
                    let _ = answer.send(self.commit_index().await);
                }
                Message::Follow(answer) => {
                    let _ = answer.send(self.catch_up().await.map_err(LedgerError::from));
                }
                Message::Stop(answer) => {
                    let _ = answer.send(self.stop().await);
                    return ControlFlow::Break(());
                }
            }
            while !waiting.is_empty() && waiting.len() < self.limits.batch {
                match inbox.try_recv() {
                    Ok(Message::Submit(pending)) => waiting.push(*pending),
                    Ok(other) => {
                        next = Some(other);
                        break;
                    }
                    Err(_) => break,
                }
            }
            if !waiting.is_empty() {
                self.record(waiting).await;
            }
        }
        ControlFlow::Continue(())
    }

    /// Looks at the database, the index's age and the anchor, while nothing else is to be done.
    async fn tick(&mut self) {
        if self.shared.read_only().is_some() {
            return;
        }
        let was_unanchored = self.unanchored.is_some();
        if let Err(Halt::Store(error)) = self.catch_up().await {
            tracing::info!(%error, "the database cannot be followed now");
            return;
        }
        if self.unanchored.is_some() && !was_unanchored {
            // Tried just now: submitters do not wait for a second time-out.
            return;
        }
        if let Err(error) = self.ready().await {
            tracing::warn!(%error, "the ledger is not ready to write");
            return;
        }
        let (uncovered, since) = self.derived.uncovered();
        let due = since.is_some_and(|since| since.elapsed() >= self.limits.index_after);
        if uncovered > 0
            && due
            && let Err(error) = self.commit_index().await
        {
            tracing::warn!(%error, "the completeness index could not be committed; it is tried again");
        }
    }

    /// Records the waiting proposals, in as many batches as the fence, the index and repeated ids ask for.
    async fn record(&mut self, mut waiting: Vec<Pending>) {
        let mut attempts = 0;
        while !waiting.is_empty() {
            let recorded_at = match self.make_ready(attempts).await {
                Ok(recorded_at) => recorded_at,
                Err(error) => {
                    refuse_all(waiting, &error);
                    break;
                }
            };
            attempts += 1;
            // An index entry follows before so many are uncovered that it would come too late.
            let room = self.limits.index_every.saturating_sub(1 + self.derived.uncovered().0);
            let room = usize::try_from(room).unwrap_or(usize::MAX).clamp(1, waiting.len());
            let mut rest = waiting.split_off(room);
            let Sorted { prepared, aside, later } = self.prepare(waiting, recorded_at);
            waiting = later;
            // Whether the head on which proposals were set aside is the log's head, so that this was right.
            let current = match prepared {
                None => aside.is_empty() || self.is_current().await,
                Some(prepared) => match self.commit(prepared).await {
                    Settled::Committed => {
                        attempts = 0;
                        true
                    }
                    Settled::Again(chosen) => {
                        waiting.splice(..0, chosen).for_each(drop);
                        false
                    }
                    Settled::Failed(chosen, error) => {
                        refuse_all(chosen, &error);
                        true
                    }
                },
            };
            waiting.append(&mut rest);
            // Only now: a stream that moved within this batch is as its submitter will read it.
            for (pending, aside) in aside {
                if current || matches!(aside, Aside::Known(_)) {
                    tokio::spawn(answer_aside(Arc::clone(&self.shared), pending, aside));
                } else {
                    waiting.push(pending);
                }
            }
        }
        self.unlock().await;
    }

    /// Returns whether the head known is the log's head, after following whatever is new.
    async fn is_current(&mut self) -> bool {
        let known = self.head.size;
        match self.catch_up().await {
            Ok(()) => self.head.size == known,
            Err(halt) => {
                tracing::warn!(?halt, "the log's head cannot be read");
                true
            }
        }
    }

    /// Makes sure that a batch may be prepared: writing allowed, anchor not behind, index not due, clock right.
    async fn make_ready(&mut self, attempts: u32) -> Result<RecordedAt, SubmitError> {
        if attempts >= ATTEMPTS {
            let what = format!("the batch was prepared {ATTEMPTS} times and never committed");
            return Err(SubmitError::from(LedgerError::Invalid { what }));
        }
        self.ready().await?;
        if self.derived.uncovered().0 + 1 >= self.limits.index_every {
            self.commit_index().await?;
        }
        Ok(self.recorded_at()?)
    }

    /// Prepares a batch on the head as this process knows it.
    pub(super) fn prepare(&self, waiting: Vec<Pending>, recorded_at: RecordedAt) -> Sorted {
        self.shared.with_tree(|tree| {
            let ground = Ground {
                origin: &self.shared.origin,
                derived: &self.derived,
                frontier: tree.frontier(),
                head: Some(&self.head),
                seal: &self.seal,
                recorded_at,
            };
            prepare(ground, waiting)
        })
    }

    /// Refuses where nothing may be written; tries again to anchor what was committed before.
    pub(super) async fn ready(&mut self) -> Result<(), SubmitError> {
        if let Some(reason) = self.shared.read_only() {
            return Err(SubmitError::ReadOnly(reason));
        }
        if let Some(leaf_index) = self.derived.frozen() {
            return Err(SubmitError::ReadOnly(ReadOnly::Frozen { leaf_index }));
        }
        if let Some(checkpoint) = self.unanchored.take() {
            self.publish(checkpoint).await?;
        }
        let failure = self.shared.anchor_failure.lock().ok().and_then(|failure| failure.clone());
        if let Some(error) = failure {
            return Err(SubmitError::Unavailable(error));
        }
        // The size is taken before the database is read: while it is read, others may commit and anchor more.
        let (anchor_size, _) = self.shared.anchored();
        if self.head.size < anchor_size {
            // Another process has anchored more than we have read, or the database was set back under us.
            self.catch_up().await.map_err(|halt| SubmitError::from(LedgerError::from(halt)))?;
            if self.head.size < anchor_size {
                let reason = ReadOnly::Behind { database_size: self.head.size, anchor_size };
                self.shared.halt(reason.clone());
                return Err(SubmitError::ReadOnly(reason));
            }
        }
        Ok(())
    }

    /// Anchors a checkpoint (in strict mode) and lets it leave.
    pub(super) async fn publish(&mut self, checkpoint: Arc<SignedCheckpoint>) -> Result<(), SubmitError> {
        if self.limits.mode == Mode::Strict
            && let Err(error) = self.shared.anchor_to(&checkpoint).await
        {
            if let LedgerError::ReadOnly(reason) = &error {
                self.shared.halt(reason.clone());
            }
            self.unanchored = Some(checkpoint);
            return Err(SubmitError::from(error));
        }
        // Whatever could not be anchored before is smaller, and within what the anchor vouches for now.
        self.unanchored = None;
        self.shared.publish(checkpoint);
        Ok(())
    }

    /// Reads what other processes have committed.
    pub(super) async fn catch_up(&mut self) -> Result<(), Halt> {
        match self.shared.store.head().await? {
            Some(head) => self.follow(head).await,
            None => Err(self.halted(ReadOnly::Corrupt { what: "the head row is missing".to_owned() })),
        }
    }

    /// Follows to a head, checking its seal and its root; what is wrong stops the writing for good.
    pub(super) async fn follow(&mut self, head: Head) -> Result<(), Halt> {
        if head == self.head {
            return Ok(());
        }
        if head.size <= self.head.size {
            let reason = follow::check_head(&self.shared, &self.seal, &head).err();
            return reason.map_or(Ok(()), |reason| Err(self.halted(reason)));
        }
        if !self.seal.holds(&head) {
            return Err(self.halted(ReadOnly::SealWrong { size: head.size }));
        }
        // Before anything is taken over: what is followed is signed, and answers a command that is repeated.
        self.shared.store.barrier().await?;
        let (anchor_size, anchored) = self.shared.anchored();
        match follow::rows(&self.shared, &mut self.derived, head.size, anchor_size).await {
            Ok(Some(found)) if found != anchored => {
                return Err(self.halted(ReadOnly::RootDiffers { size: anchor_size, found, anchored }));
            }
            Ok(_) => {}
            Err(Halt::ReadOnly(reason)) => return Err(self.halted(reason)),
            Err(halt) => return Err(halt),
        }
        if let Err(reason) = follow::check_head(&self.shared, &self.seal, &head) {
            return Err(self.halted(reason));
        }
        self.head = head;
        let checkpoint = self.sign();
        if let Err(error) = self.publish(checkpoint).await {
            tracing::warn!(%error, "what another process committed is not anchored yet");
        }
        Ok(())
    }

    fn halted(&self, reason: ReadOnly) -> Halt {
        self.shared.halt(reason.clone());
        Halt::ReadOnly(reason)
    }

    pub(super) async fn unlock(&mut self) {
        if std::mem::take(&mut self.locked) {
            self.shared.store.unlock_head().await;
        }
    }

    async fn stop(&mut self) -> Result<(), LedgerError> {
        if self.shared.read_only().is_none() && self.derived.frozen().is_none() {
            self.commit_index().await.map_err(LedgerError::from)?;
        }
        self.anchor_exactly().await
    }

    async fn anchor_exactly(&mut self) -> Result<(), LedgerError> {
        let newest = self.unanchored.take().or_else(|| self.shared.checkpoint());
        match newest {
            Some(checkpoint) if self.shared.read_only().is_none() => self.shared.anchor_to(&checkpoint).await,
            _ => Ok(()),
        }
    }
}
