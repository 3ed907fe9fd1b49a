//! States of streams, kept so that a command does not replay its stream.
//!
//! Invariants: a kept state is only ever a hint: the commit checks the head it was folded to; whatever this process
//! learns of a stream's newer head makes it read the stream again.
//! Source: design.md, The append path (keep aggregates in a cache that the commit's own check keeps honest).

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio::sync::{Mutex as Turn, MutexGuard};
use weituo_events::{Act, Category, Event, OrganisationId, Recorded};
use weituo_projections::{Rulebooks, StreamState};
use weituo_proof::{Entry, LeafIndex, StreamHead, StreamName};

use super::ReadError;
use super::aggregate::{Kind, StreamAggregate};
use crate::follower::{FollowError, read_rulebooks};
use crate::ledger::{Accepted, Ledger};
use crate::store::EntryRow;

/// Streams whose states are kept.
const KEPT: usize = 50_000;

/// Commands of one stream take turns. There are far more turns than commands at a time, so that two streams hardly ever
/// share one, whose commands would wait for each other's commits.
const TURNS: usize = 1 << 14;

/// Entries of other processes read at a time.
const PAGE: u32 = 256;

/// A stream's state and the head it was folded to.
#[derive(Debug, Clone)]
pub(super) struct Loaded {
    pub(super) state: Arc<StreamState>,
    pub(super) head: Option<StreamHead>,
}

impl Loaded {
    fn sequence(&self) -> u64 {
        self.head.map_or(0, |head| head.sequence)
    }
}

/// States at hand, and how often one was forgotten: what was read before a forgetting may be old and is not kept.
#[derive(Debug, Default)]
struct Kept {
    states: HashMap<StreamName, Loaded>,
    forgotten: u64,
}

/// The states of this process.
#[derive(Debug)]
pub(super) struct Streams {
    pub(super) ledger: Ledger,
    kept: Mutex<Kept>,
    rulebooks: RwLock<Arc<Rulebooks>>,
    roots: Vec<OrganisationId>,
    followed: Turn<Followed>,
    turns: Vec<Turn<()>>,
}

/// How far this process has looked at what others wrote.
#[derive(Debug)]
struct Followed {
    next_leaf: u64,
    /// Leaf indexes from `next_leaf` on that this process wrote itself.
    own: BTreeSet<u64>,
}

impl Streams {
    /// Returns an empty cache that knows the rulebooks adopted so far.
    pub(super) async fn open(ledger: Ledger) -> Result<Self, FollowError> {
        let size = ledger.checkpoint().map_or(0, |checkpoint| checkpoint.size.get());
        let rulebooks = read_rulebooks(&**ledger.store(), size).await?;
        let opening =
            ledger.store().entry(0).await?.map(|row| crate::follower::recorded(&row)).transpose()?;
        let roots = match opening.map(|recorded| recorded.act.event) {
            Some(Event::LogOpened(opened)) => opened.roots,
            _ => Vec::new(),
        };
        Ok(Self {
            roots,
            ledger,
            kept: Mutex::default(),
            rulebooks: RwLock::new(Arc::new(rulebooks)),
            followed: Turn::new(Followed { next_leaf: size, own: BTreeSet::new() }),
            turns: std::iter::repeat_with(|| Turn::new(())).take(TURNS).collect(),
        })
    }

    /// Waits until no other command of this process is deciding on the stream.
    pub(super) async fn turn(&self, stream: &StreamName) -> MutexGuard<'_, ()> {
        use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(stream);
        self.turns[usize::try_from(hash % TURNS as u64).unwrap_or(0)].lock().await
    }

    /// Returns the stream's state, from the cache unless it is stale or `fresh` is asked for.
    pub(super) async fn load<K: Kind>(&self, stream: &StreamName, fresh: bool) -> Result<Loaded, ReadError> {
        if !fresh && let Some(kept) = self.kept().states.get(stream).cloned() {
            return Ok(kept);
        }
        let forgotten = self.kept().forgotten;
        let loaded = self.read::<K>(stream).await?;
        if self.kept().forgotten == forgotten {
            self.keep(stream.clone(), loaded.clone());
        }
        Ok(loaded)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets every stream that other processes have written to since the last call.
    pub(super) async fn follow(&self) -> Result<(), ReadError> {
        let Some(size) = self.ledger.checkpoint().map(|checkpoint| checkpoint.size.get()) else {
            return Ok(());
        };
        let mut followed = self.followed.lock().await;
        while followed.next_leaf < size {
            let next_leaf = followed.next_leaf;
            if followed.own.remove(&next_leaf) {
                followed.next_leaf += 1;
                continue;
            }
            let from = i64::try_from(next_leaf).map_err(|_| ReadError::Place)?;
            let page = self.ledger.store().scan(from, PAGE).await?;
            if page.is_empty() {
                return Err(ReadError::Place);
            }
            for scanned in page {
                let row = scanned.into_row()?;
                followed.next_leaf = row.leaf_index + 1;
                if !followed.own.remove(&row.leaf_index) {
                    self.changed_elsewhere(&row)?;
                }
            }
        }
        Ok(())
    }

    fn changed_elsewhere(&self, row: &EntryRow) -> Result<(), ReadError> {
        if row.stream.starts_with("rulebook/") {
            let recorded = crate::follower::recorded(row)?;
            self.adopt(&recorded);
        }
        if let Ok(stream) = row.stream.parse() {
            self.forget(&stream);
        }
        Ok(())
    }

    fn adopt(&self, recorded: &Recorded) {
        let mut rulebooks = self.rulebooks.write().unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(&mut rulebooks).apply(recorded);
    }

    /// Returns the root bureaus.
    pub(super) fn roots(&self) -> &[OrganisationId] {
        &self.roots
    }

    /// Returns the rulebooks known.
    pub(super) fn rulebooks(&self) -> Arc<Rulebooks> {
        Arc::clone(&self.rulebooks.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keeps a state, unless a newer one of its stream is kept.
    fn keep(&self, stream: StreamName, loaded: Loaded) {
        let mut kept = self.kept();
        if kept.states.len() >= KEPT {
            kept.states.clear();
        }
        if kept.states.get(&stream).is_none_or(|one| one.sequence() <= loaded.sequence()) {
            kept.states.insert(stream, loaded);
        }
    }

    /// Forgets a stream's state.
    pub(super) fn forget(&self, stream: &StreamName) {
        let mut kept = self.kept();
        kept.states.remove(stream);
        kept.forgotten += 1;
    }

    /// Reads and folds a stream.
    async fn read<K: Kind>(&self, stream: &StreamName) -> Result<Loaded, ReadError> {
        let events = self.ledger.store().events().get_events::<StreamAggregate<K>>(stream.as_str()).await?;
        let rulebooks = self.rulebooks();
        let mut state = StreamState::new(K::CATEGORY);
        let mut head = None;
        for event in events {
            let entry: Entry = serde_json::from_value(event.payload).map_err(|_| ReadError::Place)?;
            let place = |key: &str| event.metadata.get(key).and_then(|value| value.as_str());
            let leaf_index =
                place("leaf_index").and_then(|text| text.parse().ok()).ok_or(ReadError::Place)?;
            let leaf_hash = place("leaf_hash").and_then(|text| text.parse().ok()).ok_or(ReadError::Place)?;
            let recorded = Recorded::from_entry(&entry, LeafIndex::new(leaf_index), leaf_hash)
                .map_err(|source| FollowError::Event { leaf_index, source })?;
            state.apply(&recorded, &rulebooks);
            head = Some(StreamHead { sequence: recorded.sequence, leaf_hash });
        }
        Ok(Loaded { state: Arc::new(state), head })
    }

    /// Folds what was just recorded into the state that it was decided on, keeps the result and returns it.
    pub(super) async fn recorded(
        &self,
        accepted: &Accepted,
        act: Act,
        mut state: Arc<StreamState>,
    ) -> Arc<StreamState> {
        let stream = act.stream.clone();
        let leaf_index = accepted.receipt.leaf_index;
        // Out of the cache first, so that this state is the only copy and folding does not clone it.
        self.kept().states.remove(&stream);
        if accepted.repeated {
            return state;
        }
        let mut followed = self.followed.lock().await;
        if leaf_index.get() >= followed.next_leaf {
            followed.own.insert(leaf_index.get());
        }
        drop(followed);
        let recorded = Recorded {
            act,
            leaf_index,
            leaf_hash: accepted.receipt.leaf_hash,
            recorded_at: accepted.position.recorded_at,
            sequence: accepted.position.sequence,
        };
        if Category::of(&stream) == Some(Category::Rulebook) {
            self.adopt(&recorded);
        }
        Arc::make_mut(&mut state).apply(&recorded, &self.rulebooks());
        let head = Some(accepted.head());
        self.keep(stream, Loaded { state: Arc::clone(&state), head });
        state
    }
}
