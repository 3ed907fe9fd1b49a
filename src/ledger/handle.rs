//! The handle on a ledger that the rest of the application holds.
//!
//! Invariants: a clone is the same ledger; after `stop` nothing is recorded, and the anchor holds the newest checkpoint.
//! Absent: everything that a task behind it does.
//! Source: design.md "The append path" step 5.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::AbortHandle;
use weituo_proof::{Origin, StreamHead, VerifierKey};

use super::backup::{self, Copied};
use super::clock::Watched;
use super::cosign;
use super::guard;
use super::inbox::Message;
use super::init;
use super::open::{self, Opened};
use super::options::{InitOptions, Options};
use super::prepare::Pending;
use super::recover::{self, Backup, Recovered};
use super::rotate::{self, Rotated};
use super::seal::SealKey;
use super::shared::Shared;
use super::types::{Accepted, LedgerError, Mode, Place, Proposal, ReadOnly, SignedCheckpoint, SubmitError};
use super::writer::{Limits, Writer};
use crate::store::{LedgerUrl, Store};

/// Proposals that may wait for the writer before a submitter has to.
const INBOX: usize = 4_096;
/// The tree keeps so many leaves in memory, so that receipts of a batch need no read.
const MAX_BATCH: usize = 4_096;

/// A ledger, open for writing or for reading only.
#[derive(Debug, Clone)]
pub struct Ledger {
    pub(super) shared: Arc<Shared>,
    inbox: mpsc::Sender<Message>,
    _tasks: Arc<Tasks>,
}

/// Ends the tasks that follow the published checkpoints with the last handle.
#[derive(Debug, Default)]
struct Tasks(Vec<AbortHandle>);

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

/// A proposal that was handed in.
#[derive(Debug)]
pub struct Submitted {
    shared: Arc<Shared>,
    placed: oneshot::Receiver<Place>,
    answer: oneshot::Receiver<Result<Accepted, SubmitError>>,
}

impl Submitted {
    /// Returns the first place that the proposal has in a batch; `None` where it is answered without one. It may end up
    /// in another place, or in none: what follows from this one is valid once `accepted` names the same.
    pub async fn place(&mut self) -> Option<Place> {
        (&mut self.placed).await.ok()
    }

    /// Returns its receipt, once it is durable, and cosigned where answers wait for witnesses.
    ///
    /// # Errors
    ///
    /// As [`Ledger::submit`].
    pub async fn accepted(self) -> Result<Accepted, SubmitError> {
        let accepted = self.answer.await.map_err(|_| SubmitError::Stopped)??;
        cosign::witnessed(&self.shared, accepted).await
    }
}

impl Ledger {
    /// Makes a new ledger and opens it.
    ///
    /// # Errors
    ///
    /// `Exists` where there is one already; `Key`, `Anchor` and `Store` from files and database.
    pub async fn init(url: &LedgerUrl, options: &InitOptions) -> Result<Self, LedgerError> {
        init::init(url, options).await?;
        Self::open(url, options.options.clone()).await
    }

    /// Opens a ledger. One that does not extend its anchor is opened for reading: `read_only` says why.
    ///
    /// # Errors
    ///
    /// `Store`, `Key` and `Anchor` where database or files cannot be reached at all.
    pub async fn open(url: &LedgerUrl, options: Options) -> Result<Self, LedgerError> {
        let Opened { shared, derived, head, keys } = open::open(url, &options).await?;
        let (inbox, messages) = mpsc::channel(INBOX);
        let mut tasks = Vec::new();
        if let (Some(keys), None) = (keys, shared.read_only()) {
            let limits = Limits {
                mode: options.mode,
                batch: options.batch.clamp(1, MAX_BATCH),
                index_every: options.index_every.max(2),
                index_after: options.index_after,
                index_apart: options.index_apart,
                follow_every: options.follow_every,
            };
            let seal = SealKey::of(&keys);
            let clock = Watched::new(options.clock);
            let (shared, newest) = (Arc::clone(&shared), shared.checkpoint());
            if options.mode == Mode::Guard {
                tasks.push(tokio::spawn(guard::run(Arc::clone(&shared))).abort_handle());
            }
            if shared.witnesses.is_some() {
                tasks.push(tokio::spawn(cosign::run(Arc::clone(&shared))).abort_handle());
            }
            let writer = Writer {
                shared,
                derived,
                head,
                keys,
                seal,
                clock,
                limits,
                locked: false,
                fence_lost: None,
                unanchored: None,
                signed: newest,
                rest_at: Instant::now(),
                doubtful: None,
            };
            tokio::spawn(writer.run(messages));
        } else {
            shared.anchor.leave();
        }
        Ok(Self { shared, inbox, _tasks: Arc::new(Tasks(tasks)) })
    }

    /// Settles a lost or damaged anchor: by a checkpoint of this log that somebody kept, or without one by accepting the
    /// database as it is, which is recorded in `log/main`.
    ///
    /// # Errors
    ///
    /// `Recover` where the anchor is not lost; `Invalid` where the checkpoint is not this log's; `ReadOnly` where the
    /// database does not extend the checkpoint, which then stands as the anchor.
    pub async fn accept_anchor(
        url: &LedgerUrl,
        options: &Options,
        checkpoint: Option<String>,
    ) -> Result<Recovered, LedgerError> {
        super::accept::accept(url, options, checkpoint).await
    }

    /// Puts a new key in the place of the log's: the log names it, and both sign for 90 days. The key file before is kept beside.
    /// A rotation that broke off is finished by repeating it. No other process may be writing.
    ///
    /// # Errors
    ///
    /// `Key` from the files; `ReadOnly` and whatever recording gives.
    pub async fn rotate_key(url: &LedgerUrl, options: &Options) -> Result<Rotated, LedgerError> {
        rotate::rotate(url, options).await
    }

    /// Revokes an older key of the log, named by its verifier key or by the 8 hex digits of its id: it vouches for nothing that
    /// comes after.
    ///
    /// # Errors
    ///
    /// `NotFound` where the log names no such key; `Invalid` for the key in use; as [`Ledger::rotate_key`].
    pub async fn revoke_key(
        url: &LedgerUrl,
        options: &Options,
        key: &str,
    ) -> Result<VerifierKey, LedgerError> {
        rotate::revoke(url, options, key).await
    }

    /// Freezes the log for good: nothing follows but in its successor.
    ///
    /// # Errors
    ///
    /// `ReadOnly` where it is frozen already; whatever recording gives.
    pub async fn freeze(
        url: &LedgerUrl,
        options: &Options,
        successor: Option<&Origin>,
    ) -> Result<(), LedgerError> {
        rotate::freeze(url, options, successor).await
    }

    /// Puts back the entries that a database lacks below its anchor, byte for byte, from a backup.
    ///
    /// # Errors
    ///
    /// `Recover` where the backup does not lead to the anchored root; nothing was written then.
    pub async fn recover(
        url: &LedgerUrl,
        options: &Options,
        backup: &Backup,
    ) -> Result<Recovered, LedgerError> {
        recover::recover(url, options, backup).await
    }

    /// Copies a ledger, which may be in use, into a new SQLite file: entries, disclosures and head.
    ///
    /// # Errors
    ///
    /// `Store` from either database; what was written so far is left.
    pub async fn backup(url: &LedgerUrl, options: &Options, to: &Path) -> Result<Copied, LedgerError> {
        backup::backup(url, options, to).await
    }

    /// Copies a backup into a database that holds no ledger, or the first entries of the same one.
    ///
    /// # Errors
    ///
    /// `Copy` where a newer or another history is there, or where the anchor vouches for more than the backup holds and
    /// `behind_anchor` does not say that this is known; nothing was written then.
    pub async fn restore(
        url: &LedgerUrl,
        options: &Options,
        from: &LedgerUrl,
        behind_anchor: bool,
    ) -> Result<Copied, LedgerError> {
        backup::restore(url, options, from, behind_anchor).await
    }

    /// Records an event and returns its receipt, once it is durable.
    ///
    /// # Errors
    ///
    /// `SubmitError` says what to do; after `Unavailable` the command may or may not be recorded: repeat it by its id. After
    /// `NotCosigned` it is recorded.
    pub async fn submit(&self, proposal: Proposal) -> Result<Accepted, SubmitError> {
        self.propose(proposal).await?.accepted().await
    }

    /// Hands an event in, to be recorded with whatever comes at the same time.
    ///
    /// # Errors
    ///
    /// As `submit`, where nothing is even tried.
    pub async fn propose(&self, proposal: Proposal) -> Result<Submitted, SubmitError> {
        if let Some(reason) = self.shared.read_only() {
            return Err(SubmitError::ReadOnly(reason));
        }
        let (place, placed) = oneshot::channel();
        let (answered, answer) = oneshot::channel();
        let mut pending = Pending::new(proposal, &self.shared.origin, answered)?;
        pending.placed = Some(place);
        self.send(Message::Submit(Box::new(pending))).await?;
        Ok(Submitted { shared: Arc::clone(&self.shared), placed, answer })
    }

    /// Returns the newest checkpoint that may leave; `None` for a ledger without any that its anchor vouches for.
    pub fn checkpoint(&self) -> Option<Arc<SignedCheckpoint>> {
        self.shared.checkpoint()
    }

    /// Returns a watch on the newest checkpoint, for followers of the log.
    pub fn watch(&self) -> watch::Receiver<Option<Arc<SignedCheckpoint>>> {
        self.shared.published.subscribe()
    }

    /// Returns a receiver of the names of the streams that other processes record in from now on. They are sent before the
    /// checkpoint that covers the entries.
    pub fn foreign(&self) -> broadcast::Receiver<Arc<[String]>> {
        self.shared.foreign.subscribe()
    }

    /// Commits the completeness index now; `None` where it covers every entry already.
    ///
    /// # Errors
    ///
    /// As `submit`.
    pub async fn commit_index(&self) -> Result<Option<Accepted>, SubmitError> {
        let (answer, answered) = oneshot::channel();
        self.send(Message::CommitIndex(answer)).await?;
        answered.await.map_err(|_| SubmitError::Stopped)?
    }

    /// Returns the heads of the streams whose names begin so, as this process has followed the log.
    ///
    /// # Errors
    ///
    /// `ReadOnly` or `Stopped` where nothing is written.
    pub(crate) async fn heads_of(
        &self,
        begin: &'static str,
    ) -> Result<BTreeMap<String, StreamHead>, LedgerError> {
        let (answer, answered) = oneshot::channel();
        self.send(Message::Heads(begin, answer)).await?;
        answered.await.map_err(|_| LedgerError::Stopped)
    }

    /// Reads what other processes have committed, without waiting for the next look.
    ///
    /// # Errors
    ///
    /// `ReadOnly` where what they committed cannot be right; `Store` where the database does not answer.
    pub async fn follow(&self) -> Result<(), LedgerError> {
        let (answer, answered) = oneshot::channel();
        self.send(Message::Follow(answer)).await?;
        answered.await.map_err(|_| LedgerError::Stopped)?
    }

    /// Stops cleanly: everything submitted is answered, the index is committed, the anchor is exact, and outside witnesses
    /// had a few seconds for the last checkpoint.
    ///
    /// # Errors
    ///
    /// Where index or anchor could not be written; what was accepted is durable all the same.
    pub async fn stop(&self) -> Result<(), LedgerError> {
        let (answer, answered) = oneshot::channel();
        let stopped = match self.send(Message::Stop(answer)).await {
            Ok(()) => {
                let stopped = answered.await.unwrap_or(Err(LedgerError::Stopped));
                cosign::finish(&self.shared).await;
                stopped
            }
            // A ledger that only reads has nothing to finish.
            Err(_) => Ok(()),
        };
        self.shared.store.close().await;
        stopped
    }

    /// Returns why nothing is recorded; `None` for a ledger that records.
    pub fn read_only(&self) -> Option<ReadOnly> {
        self.shared.read_only()
    }

    /// Returns the store, for reading.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.shared.store
    }

    /// Returns the log's origin.
    pub fn origin(&self) -> &Origin {
        &self.shared.origin
    }

    /// Returns the key that verifies this ledger's checkpoints.
    pub fn verifier_key(&self) -> &VerifierKey {
        &self.shared.verifier
    }

    pub(super) async fn send(&self, message: Message) -> Result<(), SubmitError> {
        self.inbox.send(message).await.map_err(|_| match self.shared.read_only() {
            Some(reason) => SubmitError::ReadOnly(reason),
            None => SubmitError::Stopped,
        })
    }
}
