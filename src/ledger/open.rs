//! Opening a ledger: the start-up table of format.md, each row acted on.
//!
//! Invariants: the anchor is never lowered; a log that does not extend its anchor is opened for reading only and says
//! why; a batch that the anchor keeps and the database lacks is committed again (`redo`). What follows from the log is built
//! by one scan.
//! Absent: `recover` (appending what is missing) and `init`.
//! Source: design.md "On start".

use std::sync::{Arc, Mutex, RwLock};

use tokio::sync::{broadcast, watch};
use weituo_events::{Act, Event};
use weituo_proof::{Both, Checkpoint, Entry, Hash, Origin, VerifierKey, both};

use super::accept;
use super::anchor::{Anchor, Standing, blocking};
use super::commit::sign;
use super::cosign::{self, Witnesses};
use super::derived::Derived;
use super::follow::{self, Halt, NO_HEAD_ROW};
use super::key::{self, Keys};
use super::options::{Files, Options};
use super::redo::{Intended, Redone, redo};
use super::rotate;
use super::seal::SealKey;
use super::shared::Shared;
use super::tree::Tree;
use super::types::{LedgerError, ReadOnly, SignedCheckpoint};
use crate::store::{self, Head, LedgerUrl, NO_LEDGER_HERE, Store, StoreError};

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

/// Whether the start-up table has been acted on.
enum Acted {
    Done,
    /// Another process was faster: anchor and database are read again.
    Again,
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
    let head = match store.head().await? {
        Some(head) => head,
        None if store.scan(0, 1).await?.is_empty() => {
            return Err(StoreError::Schema { what: NO_LEDGER_HERE }.into());
        }
        None => return Err(StoreError::corrupt(NO_HEAD_ROW).into()),
    };
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
    let anchor = Arc::new(Anchor::new(files.anchor, verifiers.clone(), keys.as_ref().map(SealKey::of))?);
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
    let row = store
        .entry(0)
        .await?
        .ok_or_else(|| StoreError::corrupt(Both::new("没有记录 0", "entry 0 is missing")))?;
    let entry = Entry::parse(row.body.as_bytes());
    let entry = entry.map_err(|error| {
        StoreError::corrupt(both!("记录 0 无法读取:{error}", "entry 0 cannot be read: {error}"))
    })?;
    match Act::from_entry(&entry).map(|act| act.event) {
        Ok(Event::LogOpened(opened)) => {
            let verifier = opened.key.parse();
            let verifier = verifier.map_err(|error| {
                StoreError::corrupt(both!("记录 0 没有列出密钥:{error}", "entry 0 names no key: {error}"))
            })?;
            Ok(Genesis { origin: entry.ledger, verifier })
        }
        _ => {
            Err(StoreError::corrupt(Both::new("记录 0 不是 LogOpened", "entry 0 is not a LogOpened")).into())
        }
    }
}

/// Returns every key that the log names beside its first one: what a reader without the key has to open the anchor with.
async fn named_keys(store: &dyn Store) -> Result<Vec<VerifierKey>, LedgerError> {
    let events = rotate::log_events(store).await?.1;
    let named = events.into_iter().filter_map(|(_, event)| match event {
        Event::LogKeyAdded(added) => added.key.parse().ok(),
        _ => None,
    });
    Ok(named.collect())
}

impl Opened {
    /// Acts on the start-up table. The inner result is why the ledger may only be read.
    async fn start(&mut self, options: &Options) -> Result<Result<(), ReadOnly>, LedgerError> {
        loop {
            match self.act(options).await {
                Err(LedgerError::ReadOnly(reason)) => return Ok(Err(reason)),
                Ok(Acted::Again) => {}
                acted => return acted.map(|_| Ok(())),
            }
        }
    }

    async fn act(&mut self, options: &Options) -> Result<Acted, LedgerError> {
        if !options.read_only {
            blocking(&self.shared.anchor, Anchor::join).await?;
        }
        let mut kept = None;
        let mut anchored = blocking(&self.shared.anchor, Anchor::load).await;
        if !matches!(anchored, Ok(_) | Err(LedgerError::ReadOnly(_))) {
            return anchored.map(|_| Acted::Done);
        }
        if !options.read_only && !matches!(anchored, Ok(Some(_))) {
            kept = self.kept_elsewhere(options).await?;
            if let Some(checkpoint) = &kept {
                anchored = Ok(Some(Standing { checkpoint: checkpoint.clone(), intended: None }));
            } else if options.accept_lost_anchor {
                anchored = Ok(None);
            }
        }
        // The head as it is after the anchor was read: what other processes commit and anchor meanwhile is no rollback.
        let head = self.shared.store.head().await?;
        self.head = head.ok_or_else(|| StoreError::corrupt(NO_HEAD_ROW))?;
        let vouched =
            anchored.as_ref().ok().and_then(Option::as_ref).map(|it| it.held_against(self.head.size));
        let passed = self.follow(vouched).await?;
        if let Ok(Some(standing)) = &anchored
            && passed.is_some()
            && passed == vouched.map(|(_, root)| root)
        {
            // What is anchored and in the database may leave, even where nothing may be written.
            self.shared.publish(Arc::new(standing.checkpoint.clone()));
        }
        let anchored = anchored?;
        if let Some(kept) = kept {
            self.put_in_place(kept, vouched, passed, options).await?;
        }
        self.check(vouched, passed)?;
        let (Some(seal), false) = (self.keys.as_ref().map(SealKey::of), options.read_only) else {
            return Ok(Acted::Done);
        };
        match anchored {
            Some(Standing { checkpoint, intended: Some(intended) })
                if checkpoint.size.get() == self.head.size =>
            {
                match self.redo(&seal, &intended).await? {
                    Some(vouched) => self.shared.set_anchored(vouched),
                    None => return Ok(Acted::Again),
                }
            }
            Some(standing) => self.shared.set_anchored(standing.vouched()),
            None if options.accept_lost_anchor => accept::record(self, options).await?,
            None => {}
        }
        self.advance(vouched.is_none(), options).await.map(|()| Acted::Done)
    }

    /// Follows the log to the head. Returns the root at the size that is vouched for, where it was passed.
    async fn follow(&mut self, vouched: Option<(u64, Hash)>) -> Result<Option<Hash>, Halt> {
        let watched = vouched.map_or(0, |(size, _)| size);
        follow::rows(&self.shared, &mut self.derived, self.head.size, watched).await
    }

    /// Commits again what was being committed on this head when its process ended, and follows to it. Returns what the anchor
    /// vouches for then; `None` where another head was there.
    async fn redo(
        &mut self,
        seal: &SealKey,
        intended: &Intended,
    ) -> Result<Option<(u64, Hash)>, LedgerError> {
        match redo(&self.shared, seal, &self.head, intended).await? {
            Redone::Overtaken => return Ok(None),
            Redone::Refused => {
                let after = intended.tree_head();
                blocking(&self.shared.anchor, move |anchor| anchor.withdraw(after)).await?;
                return Ok(Some((self.head.size, self.head.root)));
            }
            Redone::Committed => {}
        }
        if let Some(head) = self.shared.store.head().await? {
            self.head = head;
        }
        let vouched = intended.tree_head();
        let passed = self.follow(Some(vouched)).await?;
        self.check(Some(vouched), passed)?;
        Ok(Some(vouched))
    }

    /// Returns the highest checkpoint that somebody kept, to take the place of an anchor that is lost or damaged: one that was given, or
    /// a witness's. `None` without one.
    async fn kept_elsewhere(&self, options: &Options) -> Result<Option<SignedCheckpoint>, LedgerError> {
        let mut witnessed = options.witnessed.clone();
        witnessed.extend(cosign::remembered(&self.shared).await);
        let mut highest: Option<SignedCheckpoint> = None;
        for text in witnessed {
            let opened = Checkpoint::open_by(&text, &self.shared.verifiers);
            let (checkpoint, _) = opened.map_err(|error| LedgerError::Invalid {
                what: both!(
                    "密钥文件打不开所给的或见证方的一个检查点:{error};请确认它是本台账最新的密钥文件",
                    "the key file does not open a checkpoint that was given or witnessed: {error}; see that it is the log's newest"
                ),
            })?;
            if highest.as_ref().is_none_or(|highest| highest.size < checkpoint.size) {
                highest = Some(SignedCheckpoint { size: checkpoint.size, root: checkpoint.root, text });
            }
        }
        if let Some(checkpoint) = &highest {
            let size = checkpoint.size;
            tracing::warn!(%size, "the anchor was lost: a checkpoint that somebody kept takes its place");
        }
        Ok(highest)
    }

    /// Puts a checkpoint that somebody kept in the place of the anchor, also where the database does not extend it; never under a key
    /// that is not the log's newest, because then the anchor may be no worse than the key file.
    async fn put_in_place(
        &mut self,
        kept: SignedCheckpoint,
        vouched: Option<(u64, Hash)>,
        passed: Option<Hash>,
        options: &Options,
    ) -> Result<(), LedgerError> {
        self.check_key()?;
        let size = kept.size.get();
        if self.check_extends(vouched, passed).is_ok() && size < self.head.size {
            // Nobody vouched for what follows it.
            accept::record(self, options).await?;
        }
        blocking(&self.shared.anchor, move |anchor| anchor.replace_lost(&kept).and_then(|()| anchor.join()))
            .await
    }

    /// Compares database, anchor and key.
    fn check(&mut self, vouched: Option<(u64, Hash)>, passed: Option<Hash>) -> Result<(), ReadOnly> {
        self.check_extends(vouched, passed)?;
        self.check_key()
    }

    fn check_extends(&self, vouched: Option<(u64, Hash)>, passed: Option<Hash>) -> Result<(), ReadOnly> {
        let Some((anchor_size, anchored)) = vouched else { return Ok(()) };
        if self.head.size < anchor_size {
            return Err(ReadOnly::Behind { database_size: self.head.size, anchor_size });
        }
        match passed.filter(|found| *found != anchored) {
            Some(found) => Err(ReadOnly::RootDiffers { size: anchor_size, found, anchored }),
            None => Ok(()),
        }
    }

    fn check_key(&mut self) -> Result<(), ReadOnly> {
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
        Ok(())
    }

    /// Makes the anchor equal to the database and publishes the checkpoint.
    async fn advance(&self, is_lost: bool, options: &Options) -> Result<(), LedgerError> {
        let Some(keys) = &self.keys else { return Ok(()) };
        // Somebody else committed this head, and perhaps never learnt whether a standby has it.
        self.shared.store.barrier().await?;
        let checkpoint = sign(&self.derived.signers(keys, &self.head), &self.shared.origin, &self.head);
        if is_lost {
            if !options.accept_lost_anchor {
                return Err(ReadOnly::AnchorLost { path: self.shared.anchor.place() }.into());
            }
            tracing::warn!(size = self.head.size, "the anchor was lost: the database is accepted as it is");
            let first = SignedCheckpoint::clone(&checkpoint);
            blocking(&self.shared.anchor, move |anchor| anchor.replace_lost(&first)).await?;
            blocking(&self.shared.anchor, Anchor::join).await?;
            self.shared.set_anchored(checkpoint.tree_head());
        }
        self.shared.anchor_to(&checkpoint).await?;
        self.shared.replace_intent(&checkpoint).await?;
        self.shared.publish(checkpoint);
        Ok(())
    }
}
