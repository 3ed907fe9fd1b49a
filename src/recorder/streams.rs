//! States of streams, kept so that a command does not replay its stream.
//!
//! Invariants: a kept state is only ever a hint: the commit checks the head it was folded to; whatever this process
//! learns of a stream's newer head makes it read the stream again.
//! Source: design.md, The append path (keep aggregates in a cache that the commit's own check keeps honest).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio::sync::{Mutex as Turn, MutexGuard};
use weituo_events::{Act, Category, Event, Recorded};
use weituo_projections::{Rulebooks, StreamState};
use weituo_proof::{Entry, LeafIndex, StreamHead, StreamName};

use super::ReadError;
use super::aggregate::{Kind, Rulebook, StreamAggregate};
use crate::follower::FollowError;
use crate::ledger::{Accepted, Ledger};

/// Streams whose states are kept.
const KEPT: usize = 50_000;

/// Commands of one stream take turns; this many turns run side by side.
const TURNS: usize = 256;

/// A stream's state, the head it was folded to, and whether it was at hand.
#[derive(Debug, Clone)]
pub(super) struct Loaded {
    pub(super) state: Arc<StreamState>,
    pub(super) head: Option<StreamHead>,
    pub(super) cached: bool,
}

/// The states of this process.
#[derive(Debug)]
pub(super) struct Streams {
    pub(super) ledger: Ledger,
    kept: Mutex<HashMap<StreamName, Loaded>>,
    rulebooks: RwLock<Arc<Rulebooks>>,
    turns: Vec<Turn<()>>,
}

impl Streams {
    pub(super) fn new(ledger: Ledger) -> Self {
        let turns = std::iter::repeat_with(|| Turn::new(())).take(TURNS).collect();
        Self { ledger, kept: Mutex::default(), rulebooks: RwLock::default(), turns }
    }

    /// Waits until no other command of this process is deciding on the stream.
    pub(super) async fn turn(&self, stream: &StreamName) -> MutexGuard<'_, ()> {
        use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(stream);
        self.turns[usize::try_from(hash % TURNS as u64).unwrap_or(0)].lock().await
    }

    /// Returns the stream's state, from the cache unless it is stale or `fresh` is asked for.
    pub(super) async fn load<K: Kind>(&self, stream: &StreamName, fresh: bool) -> Result<Loaded, ReadError> {
        if !fresh && let Some(kept) = self.kept(stream) {
            return Ok(kept);
        }
        let loaded = self.read::<K>(stream).await?;
        self.keep(stream.clone(), loaded.clone());
        Ok(loaded)
    }

    fn kept(&self, stream: &StreamName) -> Option<Loaded> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(stream).cloned()?;
        (self.ledger.stream_head(stream) == kept.head).then_some(kept)
    }

    fn keep(&self, stream: StreamName, loaded: Loaded) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(stream, Loaded { cached: true, ..loaded });
    }

    /// Forgets a stream's state.
    pub(super) fn forget(&self, stream: &StreamName) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).remove(stream);
    }

    /// Reads and folds a stream.
    async fn read<K: Kind>(&self, stream: &StreamName) -> Result<Loaded, ReadError> {
        let events = self.ledger.store().events().get_events::<StreamAggregate<K>>(stream.as_str()).await?;
        let mut state = Arc::new(StreamState::new(K::CATEGORY));
        let mut head = None;
        for event in events {
            let entry: Entry = serde_json::from_value(event.payload).map_err(|_| ReadError::Place)?;
            let place = |key: &str| event.metadata.get(key).and_then(|value| value.as_str());
            let leaf_index = place("leaf_index").and_then(|text| text.parse().ok()).ok_or(ReadError::Place)?;
            let leaf_hash = place("leaf_hash").and_then(|text| text.parse().ok()).ok_or(ReadError::Place)?;
            let recorded = Recorded::from_entry(&entry, LeafIndex::new(leaf_index), leaf_hash)
                .map_err(|source| FollowError::Event { leaf_index, source })?;
            let rulebooks = self.rulebooks_of(&recorded.act, false).await?;
            StreamAggregate::<K>::fold(&mut state, &recorded, &rulebooks);
            head = Some(StreamHead { sequence: recorded.sequence, leaf_hash });
        }
        Ok(Loaded { state, head, cached: false })
    }

    /// Returns the rulebooks known, after reading those that an act mentions.
    pub(super) async fn rulebooks_of(&self, act: &Act, fresh: bool) -> Result<Arc<Rulebooks>, ReadError> {
        for id in crate::deciding::mentions(act).rulebooks {
            let Ok(stream) = StreamName::of(Category::Rulebook.code(), &id) else { continue };
            let known = !fresh && self.kept(&stream).is_some();
            if !known {
                let loaded = Box::pin(self.load::<Rulebook>(&stream, fresh)).await?;
                self.include(&loaded.state);
            }
        }
        Ok(Arc::clone(&self.rulebooks.read().unwrap_or_else(PoisonError::into_inner)))
    }

    fn include(&self, state: &StreamState) {
        if let StreamState::Rulebook(rulebook) = state {
            let mut rulebooks = self.rulebooks.write().unwrap_or_else(PoisonError::into_inner);
            Arc::make_mut(&mut rulebooks).include(rulebook);
        }
    }

    /// Folds what was just recorded into the kept state and returns that state; `None` for a repeated command.
    pub(super) async fn recorded(
        &self,
        accepted: &Accepted,
        act: Act,
    ) -> Result<Option<Arc<StreamState>>, ReadError> {
        let stream = act.stream.clone();
        if accepted.repeated {
            self.forget(&stream);
            return Ok(None);
        }
        let rulebooks = self.rulebooks_of(&act, false).await?;
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).remove(&stream);
        let Some(mut loaded) = kept else { return Ok(None) };
        let adopts = matches!(act.event, Event::RulebookAdopted(_) | Event::RulebookRepealed(_));
        let recorded = Recorded {
            act,
            leaf_index: accepted.receipt.leaf_index,
            leaf_hash: accepted.receipt.leaf_hash,
            recorded_at: accepted.position.recorded_at,
            sequence: accepted.position.sequence,
        };
        Arc::make_mut(&mut loaded.state).apply(&recorded, &rulebooks);
        if adopts {
            self.include(&loaded.state);
        }
        loaded.head = Some(accepted.head());
        let state = Arc::clone(&loaded.state);
        self.keep(stream, loaded);
        Ok(Some(state))
    }
}
