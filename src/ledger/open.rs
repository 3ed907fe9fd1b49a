//! Opening a ledger: the start-up table of format.md, each row acted on.
//!
//! Invariants: the anchor is never lowered; a log that does not extend its anchor is opened for reading only and says
//! why. What follows from the log is built by one scan.
//! Absent: `recover` (appending what is missing) and `init`.
//! Source: format.md "Append protocol", table "on start".

use std::sync::{Arc, Mutex, RwLock};

use tokio::sync::{broadcast, watch};
use weituo_events::{Act, Event};
use weituo_proof::{Both, Checkpoint, Entry, Hash, Origin, VerifierKey, both};

use super::accept;
use super::anchor::{Anchor, blocking};
use super::commit::sign;
use super::cosign::{self, Witnesses};
use super::derived::Derived;
use super::follow::{self, Halt};
use super::key::{self, Keys};
use super::options::{Files, Options};
use super::rotate;
use super::seal::SealKey;
use super::shared::Shared;
use super::tree::Tree;
use super::types::{LedgerError, ReadOnly, SignedCheckpoint};
use crate::store::{self, Head, LedgerUrl, Store, StoreError};

/// Pages of other processes' entries that a slow reader may have before it; one that falls behind forgets all it has read.
const FOREIGN_PAGES: usize = 1_024;

/// A ledger as found.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) shared: Arc<Shared>,
    pub(super) derived: Derived,
    pub(super) head: Head,
    /// `None` where the key cannot be read, for a ledger opened for reading.
    pub(super) keys: Option<Keys>,
}

/// What the first entry says of its log.
struct Genesis {
    origin: Origin,
    verifier: VerifierKey,
}

/// Opens store, key and anchor, follows the log, and acts on the start-up table.
pub(super) async fn open(url: &LedgerUrl, options: &Options) -> Result<Opened, LedgerError> {
    let files = Files::of(url, options)?;
    let store = store::open(url, options.store, false).await?;
    store.require_current().await?;
    let head = store.head().await?.ok_or_else(|| StoreError::Schema {
        what: Both::new(
            "这个数据库里没有台账:请运行 `weituo init --origin 名称`",
            "there is no log in this database: run `weituo init --origin NAME`",
        ),
    })?;
    let genesis = read_genesis(&*store).await?;
    let keys = match key::read_all(&files.key) {
        Ok(keys) => Some(keys),
        Err(_) if options.read_only => None,
        Err(error) => return Err(error),
    };
    let (verifier, verifiers) = if let Some(keys) = &keys {
        (keys.first().verifier().clone(), keys.verifiers())
    } else {
        // Entries that cannot be read are told when they are followed.
        let named = named_keys(&*store).await.unwrap_or_default();
        (genesis.verifier.clone(), std::iter::once(genesis.verifier).chain(named).collect())
    };
    let witnesses = Witnesses::open(options, files.cosigned(), &genesis.origin, &verifiers)?;
    let anchor = Arc::new(Anchor::new(files.anchor, verifiers.clone())?);
    let shared = Arc::new(Shared {
        store,
        origin: genesis.origin,
        verifier,
        verifiers,
        tree: RwLock::new(Tree::default()),
        anchored_own: Mutex::new(None),
        published: watch::Sender::new(None),
        foreign: broadcast::Sender::new(FOREIGN_PAGES),
        read_only: RwLock::new(options.read_only.then_some(ReadOnly::Requested)),
        anchor,
        anchored: Mutex::new((0, Hash::ZERO)),
        witnesses,
        anchor_failure: Mutex::new(None),
    });
    let mut opened = Opened { shared, derived: Derived::new(), head, keys };
    if let Err(reason) = opened.start(options).await? {
        opened.shared.halt(reason);
    }
    Ok(opened)
}

async fn read_genesis(store: &dyn Store) -> Result<Genesis, LedgerError> {
    let row = store.entry(0).await?.ok_or_else(|| StoreError::corrupt("entry 0 is missing"))?;
    let entry = Entry::parse(row.body.as_bytes());
    let entry = entry.map_err(|error| StoreError::corrupt(format!("entry 0 cannot be read: {error}")))?;
    match Act::from_entry(&entry).map(|act| act.event) {
        Ok(Event::LogOpened(opened)) => {
            let verifier = opened.key.parse();
            let verifier =
                verifier.map_err(|error| StoreError::corrupt(format!("entry 0 names no key: {error}")))?;
            Ok(Genesis { origin: entry.ledger, verifier })
        }
        _ => Err(StoreError::corrupt("entry 0 is not a LogOpened").into()),
    }
}

/// Returns every key that the log names beside its first one: what a reader without the key has to open the anchor with.
async fn named_keys(store: &dyn Store) -> Result<Vec<VerifierKey>, LedgerError> {
    let events = rotate::log_events(store).await?.1;
    let named = events.into_iter().filter_map(|event| match event {
        Event::LogKeyAdded(added) => added.key.parse().ok(),
        _ => None,
    });
    Ok(named.collect())
}

impl Opened {
    /// Acts on the start-up table. The inner result is why the ledger may only be read.
    async fn start(&mut self, options: &Options) -> Result<Result<(), ReadOnly>, LedgerError> {
        let anchored = match self.load_anchor(options).await {
            Err(LedgerError::ReadOnly(reason)) => Err(reason),
            anchored => Ok(anchored?),
        };
        // The head as it is after the anchor was read: what other processes commit and anchor meanwhile is no rollback.
        if let Some(head) = self.shared.store.head().await? {
            self.head = head;
        }
        let watched = anchored.as_ref().ok().and_then(Option::as_ref).map_or(0, |anchor| anchor.size.get());
        let passed = match follow::rows(&self.shared, &mut self.derived, self.head.size, watched).await {
            Ok(passed) => passed,
            Err(Halt::ReadOnly(reason)) => return Ok(Err(reason)),
            Err(Halt::Store(error)) => return Err(error.into()),
        };
        if let Ok(Some(anchor)) = &anchored
            && passed == Some(anchor.root)
        {
            // What is anchored and in the database may leave, even where nothing may be written.
            self.shared.publish(Arc::new(anchor.clone()));
        }
        let anchored = match self.check(anchored, passed) {
            Ok(anchored) => anchored,
            Err(reason) => return Ok(Err(reason)),
        };
        if anchored.is_none() && options.accept_lost_anchor && !options.read_only {
            accept::record(self, options).await?;
        }
        self.advance(anchored, options).await
    }

    /// Returns the anchor, or what takes its place where it is lost or damaged.
    async fn load_anchor(&self, options: &Options) -> Result<Option<SignedCheckpoint>, LedgerError> {
        let anchor = &self.shared.anchor;
        let loaded = blocking(anchor, Anchor::load).await;
        let damaged = match &loaded {
            Ok(None) => false,
            Err(LedgerError::ReadOnly(_)) => true,
            _ => return loaded,
        };
        if options.read_only {
            return loaded;
        }
        let mut witnessed = options.witnessed.clone();
        witnessed.extend(cosign::remembered(&self.shared).await);
        if damaged && witnessed.is_empty() && !options.accept_lost_anchor {
            return loaded;
        }
        let mut highest: Option<SignedCheckpoint> = None;
        for text in &witnessed {
            let opened = Checkpoint::open_by(text, &self.shared.verifiers);
            let (checkpoint, _) = opened.map_err(|error| LedgerError::Invalid {
                what: both!(
                    "见证方的一个检查点不是这一台账的:{error}",
                    "a witnessed checkpoint is not this log's: {error}"
                ),
            })?;
            if highest.as_ref().is_none_or(|highest| highest.size < checkpoint.size) {
                let text = text.clone();
                highest = Some(SignedCheckpoint { size: checkpoint.size, root: checkpoint.root, text });
            }
        }
        if let Some(checkpoint) = &highest {
            tracing::warn!(size = %checkpoint.size, "the anchor was lost: a witness's checkpoint takes its place");
            let checkpoint = checkpoint.clone();
            blocking(anchor, move |anchor| anchor.replace_lost(&checkpoint)).await?;
        }
        Ok(highest)
    }

    /// Compares database, anchor and key. Returns the anchor; `None` where it is lost and everything else holds.
    fn check(
        &mut self,
        anchored: Result<Option<SignedCheckpoint>, ReadOnly>,
        passed: Option<Hash>,
    ) -> Result<Option<SignedCheckpoint>, ReadOnly> {
        let anchored = anchored?;
        if let Some(anchor) = &anchored {
            let anchor_size = anchor.size.get();
            if self.head.size < anchor_size {
                return Err(ReadOnly::Behind { database_size: self.head.size, anchor_size });
            }
            if let Some(found) = passed.filter(|found| *found != anchor.root) {
                return Err(ReadOnly::RootDiffers { size: anchor_size, found, anchored: anchor.root });
            }
        }
        match &mut self.keys {
            Some(keys) => {
                // What a revoked key seals or signs counts no more.
                keys.retain_older(|key| self.derived.knows_key(&key.to_string()));
                follow::check_head(&self.shared, &SealKey::of(keys), &self.head)?;
                let key = keys.first();
                let verifier_key = key.verifier().to_string();
                if !self.derived.knows_key(&verifier_key) || key.name() != self.shared.origin.as_str() {
                    return Err(ReadOnly::KeyNotInLog { key: verifier_key });
                }
            }
            None => follow::check_root(&self.shared, &self.head)?,
        }
        Ok(anchored)
    }

    /// Makes the anchor equal to the database and publishes the checkpoint.
    async fn advance(
        &self,
        anchored: Option<SignedCheckpoint>,
        options: &Options,
    ) -> Result<Result<(), ReadOnly>, LedgerError> {
        let (Some(keys), false) = (&self.keys, options.read_only) else { return Ok(Ok(())) };
        // Somebody else committed this head, and perhaps never learnt whether a standby has it.
        self.shared.store.barrier().await?;
        let checkpoint = sign(&self.derived.signers(keys, &self.head), &self.shared.origin, &self.head);
        match anchored {
            Some(anchor) => self.shared.set_anchored(&anchor),
            None if options.accept_lost_anchor => {
                tracing::warn!(
                    size = self.head.size,
                    "the anchor was lost: the database is accepted as it is"
                );
                let first = SignedCheckpoint::clone(&checkpoint);
                blocking(&self.shared.anchor, move |anchor| anchor.replace_lost(&first)).await?;
                self.shared.set_anchored(&checkpoint);
            }
            None => {
                let path = self.shared.anchor.place();
                return Ok(Err(ReadOnly::AnchorLost { path }));
            }
        }
        match self.shared.anchor_to(&checkpoint).await {
            Err(LedgerError::ReadOnly(reason)) => return Ok(Err(reason)),
            anchored => anchored?,
        }
        self.shared.publish(checkpoint);
        Ok(Ok(()))
    }
}
