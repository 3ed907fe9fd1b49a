//! The writer task: takes proposals in, and drives batches through prepare, commit, sign, anchor and answer.
//!
//! Invariants: one task a process; a head is signed only after it is committed, and one that this process did not see
//! committed only behind a barrier; after a failure of the anchor at most two batches are unanchored; every proposal taken
//! in is answered.
//! Absent: deciding; the order of steps within a batch (`commit`).
//! Source: design.md "The append path".

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};
use weituo_proof::both;

use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::answer::refuse_all;
use super::clock::Watched;
use super::commit::Settled;
use super::derived::Derived;
use super::follow::{self, Halt, NO_HEAD_ROW};
use super::inbox::{Inbox, Message};
use super::key::Keys;
use super::prepare::{Apart, Aside, Open, Pending, Prepared};
use super::seal::SealKey;
use super::shared::Shared;
use super::types::{LedgerError, Mode, ReadOnly, SignedCheckpoint, SubmitError};
use crate::store::{Batch, Head};

/// How often a batch is prepared again for a lost fence, a repeated id or an unknown commit before it is given up.
pub(super) const ATTEMPTS: u32 = 16;

/// So long after its last batch the intent of a process that is alone is settled.
pub(super) const REST: Duration = Duration::from_millis(20);

/// Numbers that steer the writer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) mode: Mode,
    pub(super) batch: usize,
    pub(super) index_every: u64,
    pub(super) index_after: Duration,
    pub(super) index_apart: Duration,
    pub(super) follow_every: Duration,
}

/// The writer's own state.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) derived: Derived,
    /// The head as last committed or followed.
    pub(super) head: Head,
    pub(super) keys: Keys,
    pub(super) seal: SealKey,
    pub(super) clock: Watched,
    pub(super) limits: Limits,
    /// Whether this process holds the head row's lock, after a lost fence.
    pub(super) locked: bool,
    /// When the fence was last lost to another process.
    pub(super) fence_lost: Option<Instant>,
    /// A committed head that the anchor does not vouch for yet.
    pub(super) unanchored: Option<Arc<SignedCheckpoint>>,
    /// The head's signature, where this process has made it.
    pub(super) signed: Option<Arc<SignedCheckpoint>>,
    /// When it rests, if it is alone and nothing comes.
    pub(super) rest_at: Instant,
    /// A batch whose intent stands, and of which it is not known whether it was committed.
    pub(super) doubtful: Option<Arc<Batch>>,
}

/// Leaves those who write to the log, however the writer ends.
struct Leaving(Arc<Shared>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.anchor.leave();
    }
}

impl Writer {
    pub(super) async fn run(mut self, messages: mpsc::Receiver<Message>) {
        let _leaving = Leaving(Arc::clone(&self.shared));
        self.serve(messages).await;
    }

    async fn serve(&mut self, messages: mpsc::Receiver<Message>) {
        let mut inbox = Inbox::new(messages);
        let mut ticks = tokio::time::interval(self.limits.follow_every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let flow = tokio::select! {
                message = inbox.next() => match message {
                    Some(message) => self.take(message, &mut inbox).await,
                    None => break,
                },
                () = tokio::time::sleep_until(self.rest_at.into()), if self.shared.anchor.is_alone() => {
                    self.rest().await;
                    ControlFlow::Continue(())
                }
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

    /// Handles a message; a proposal together with those that wait behind it.
    async fn take(&mut self, message: Message, inbox: &mut Inbox) -> ControlFlow<()> {
        match message {
            Message::Submit(pending) => {
                let mut waiting = vec![*pending];
                while waiting.len() < self.limits.batch
                    && let Some(pending) = inbox.try_proposal()
                {
                    waiting.push(pending);
                }
                self.record(waiting, inbox).await;
            }
            Message::CommitIndex(answer) => {
                let _ = answer.send(self.commit_index().await);
            }
            Message::Prove(names, answer) => {
                let _ = answer.send(self.prove(&names).await);
            }
            Message::Heads(begin, answer) => {
                let _ = answer.send(self.derived.heads_of(begin));
            }
            Message::Follow(answer) => {
                let _ = answer.send(self.look().await);
            }
            Message::Stop(answer) => {
                let _ = answer.send(self.stop().await);
                return ControlFlow::Break(());
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
        if let Err(error) = self.look().await
            && !matches!(error, LedgerError::ReadOnly(_))
        {
            tracing::info!(%error, "the database cannot be followed now");
            return;
        }
        if self.unanchored.is_some() && !was_unanchored {
            // Tried just now: submitters do not wait for a second time-out.
            return;
        }
        match self.ready().await {
            // It says so to whoever submits, and stays so.
            Err(SubmitError::ReadOnly(ReadOnly::Frozen { .. })) => return,
            Err(error) => {
                tracing::warn!(%error, "the ledger is not ready to write");
                return;
            }
            Ok(()) => {}
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
    async fn record(&mut self, mut waiting: Vec<Pending>, inbox: &mut Inbox) {
        let mut attempts = 0;
        while !waiting.is_empty() {
            if let Err(error) = self.make_ready(attempts).await {
                refuse_all(waiting, &error);
                break;
            }
            attempts += 1;
            let mut open = self.shared.with_tree(|tree| Open::on_head(Some(&self.head), tree.frontier()));
            let rest = waiting.split_off(self.room(0).clamp(1, waiting.len()));
            for pending in waiting {
                self.take_in(&mut open, None, pending);
            }
            waiting = match self.close(open) {
                Ok(prepared) => {
                    let Settled { progressed, again } = self.commit(prepared, inbox).await;
                    if progressed {
                        attempts = 0;
                    }
                    again
                }
                Err(apart) => self.settle_apart(apart).await,
            };
            waiting.extend(rest);
        }
        self.unlock().await;
    }

    /// Answers proposals of which none can be recorded, as long as the head that they were judged on is the log's;
    /// returns the others.
    async fn settle_apart(&mut self, apart: Apart) -> Vec<Pending> {
        let Apart { mut aside, later: mut again } = apart;
        if !aside.is_empty() && !self.is_current().await {
            let judged = aside.extract_if(.., |(_, aside)| matches!(aside, Aside::Refused(_)));
            again.extend(judged.map(|(pending, _)| pending));
        }
        self.answer_aside(aside);
        again
    }

    /// Ends a batch; without entries, returns what was set apart.
    pub(super) fn close(&self, open: Open) -> Result<Prepared, Apart> {
        open.close(&self.shared.origin, &self.seal)
    }

    /// Returns how many entries the next batch may hold behind so many that are being committed: an index entry follows
    /// before so many are uncovered that it would come too late.
    pub(super) fn room(&self, committing: usize) -> usize {
        let uncovered = self.derived.uncovered().0 + committing as u64;
        let room = self.limits.index_every.saturating_sub(1 + uncovered);
        usize::try_from(room).unwrap_or(usize::MAX).min(self.limits.batch)
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

    /// Makes sure that a batch may be prepared: writing allowed, anchor not behind, index not due.
    async fn make_ready(&mut self, attempts: u32) -> Result<(), SubmitError> {
        if attempts >= ATTEMPTS {
            let what = both!(
                "这一批准备了 {ATTEMPTS} 次而未能提交",
                "the batch was prepared {ATTEMPTS} times and never committed"
            );
            return Err(SubmitError::from(LedgerError::Invalid { what }));
        }
        self.ready().await?;
        if self.derived.uncovered().0 + 1 >= self.limits.index_every {
            self.commit_index().await?;
        }
        Ok(())
    }

    /// Refuses where nothing may be written; tries again to anchor what was committed before.
    pub(super) async fn ready(&mut self) -> Result<(), SubmitError> {
        if let Some(reason) = self.shared.read_only() {
            return Err(SubmitError::ReadOnly(reason));
        }
        self.join().await?;
        self.settle_doubtful().await?;
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

    /// Reads what other processes have committed, once nothing of this one is in doubt.
    pub(super) async fn look(&mut self) -> Result<(), LedgerError> {
        self.settle_doubtful().await?;
        self.catch_up().await.map_err(LedgerError::from)
    }

    /// Reads what other processes have committed.
    pub(super) async fn catch_up(&mut self) -> Result<(), Halt> {
        match self.shared.store.head().await? {
            Some(head) => self.follow(head).await,
            None => Err(self.halted(ReadOnly::Corrupt { what: NO_HEAD_ROW })),
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
        // What a key sealed that another process has revoked counts no more.
        self.keys.retain_older(|key| self.derived.knows_key(&key.to_string()));
        self.seal = SealKey::of(&self.keys);
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
}
