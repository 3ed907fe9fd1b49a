//! States of streams, so that a command does not replay its stream.
//!
//! Invariants: a state at hand is only ever a hint: the commit checks the head that it was folded to, and whatever this
//! process learns of a stream's newer head makes it read the stream again. A state that rests on an entry not known to be
//! committed is used for the next command of its own stream only, whose commit checks that very head; what other streams
//! decide on is committed.
//! Source: design.md, The append path (keep aggregates in a cache that the commit's own check keeps honest).

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio::sync::broadcast::error::TryRecvError;
use tokio::sync::{Mutex as Turns, MutexGuard, broadcast};
use weituo_events::{Act, Event, OrganisationId, Recorded};
use weituo_projections::{Rulebooks, StreamState};
use weituo_proof::{Both, Entry, LeafIndex, StreamHead, StreamName, leaf_hash};

use super::ReadError;
use super::aggregate::{Kind, StreamAggregate};
use super::kept::Kept;
use crate::errors::in_both;
use crate::follower::{FollowError, RULEBOOKS, read_rulebooks_to_heads};
use crate::ledger::{Ledger, LedgerError, Place};
use crate::store::StoreError;

/// Commands of one stream take turns. There are far more turns than commands at a time, so that two streams hardly ever
/// share one, whose commands would wait for each other.
const TURNS: usize = 1 << 14;

/// How often the rulebooks are read while others write some.
const READINGS: u32 = 8;

/// A stream's state and the head it was folded to.
#[derive(Debug, Clone)]
pub(super) struct Loaded {
    pub(super) state: Arc<StreamState>,
    pub(super) head: Option<StreamHead>,
}

impl Loaded {
    pub(super) fn sequence(&self) -> u64 {
        self.head.map_or(0, |head| head.sequence)
    }
}

/// The right to decide on a stream; it holds the state that the last command left, which may not be committed yet.
pub(super) type Turn<'a> = MutexGuard<'a, Option<(StreamName, Loaded)>>;

/// The states of this process.
#[derive(Debug)]
pub(super) struct Streams {
    pub(super) ledger: Ledger,
    kept: Mutex<Kept>,
    rulebooks: RwLock<Arc<Rulebooks>>,
    roots: Vec<OrganisationId>,
    foreign: Turns<Foreign>,
    turns: Vec<Turns<Option<(StreamName, Loaded)>>>,
}

/// What others wrote and this process has not looked at.
#[derive(Debug)]
struct Foreign {
    streams: broadcast::Receiver<Arc<[String]>>,
    /// Whether rulebooks were among it, which have to be read again.
    rulebooks: bool,
}

impl Streams {
    /// Returns an empty cache that knows the rulebooks adopted so far.
    pub(super) async fn open(ledger: Ledger) -> Result<Self, FollowError> {
        let foreign = Foreign { streams: ledger.foreign(), rulebooks: false };
        let rulebooks = proven_rulebooks(&ledger).await?;
        let roots = proven_roots(&ledger).await?;
        Ok(Self {
            roots,
            ledger,
            kept: Mutex::default(),
            rulebooks: RwLock::new(Arc::new(rulebooks)),
            foreign: Turns::new(foreign),
            turns: std::iter::repeat_with(|| Turns::new(None)).take(TURNS).collect(),
        })
    }

    /// Waits until no other command of this process is deciding on the stream.
    pub(super) async fn turn(&self, stream: &StreamName) -> Turn<'_> {
        self.turn_of(stream).lock().await
    }

    fn turn_of(&self, stream: &StreamName) -> &Turns<Option<(StreamName, Loaded)>> {
        use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(stream);
        &self.turns[usize::try_from(hash % TURNS as u64).unwrap_or(0)]
    }

    /// Returns the stream's committed state, from the cache unless it is stale or `fresh` is asked for.
    pub(super) async fn load<K: Kind>(&self, stream: &StreamName, fresh: bool) -> Result<Loaded, ReadError> {
        if !fresh && let Some(kept) = self.kept().get(stream) {
            return Ok(kept);
        }
        let reading = self.kept().begin_reading(stream);
        let loaded = self.read::<K>(stream).await?;
        self.kept().end_reading(stream, reading, &loaded);
        Ok(loaded)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets every stream that other processes have written to since the last call.
    pub(super) async fn follow(&self) -> Result<(), ReadError> {
        let mut foreign = self.foreign.lock().await;
        loop {
            if foreign.rulebooks {
                let rulebooks = proven_rulebooks(&self.ledger).await?;
                *self.rulebooks.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rulebooks);
                foreign.rulebooks = false;
            }
            match foreign.streams.try_recv() {
                Ok(streams) => {
                    foreign.rulebooks = streams.iter().any(|stream| stream.starts_with(RULEBOOKS));
                    let mut kept = self.kept();
                    streams
                        .iter()
                        .filter_map(|stream| stream.parse().ok())
                        .for_each(|stream| kept.forget(&stream));
                }
                Err(TryRecvError::Lagged(_)) => {
                    // This process was too slow for what was told: anything may have changed.
                    foreign.rulebooks = true;
                    self.kept().forget_all();
                }
                Err(TryRecvError::Empty | TryRecvError::Closed) => return Ok(()),
            }
        }
    }

    /// Returns the root bureaus.
    pub(super) fn roots(&self) -> &[OrganisationId] {
        &self.roots
    }

    /// Returns the rulebooks known.
    pub(super) fn rulebooks(&self) -> Arc<Rulebooks> {
        Arc::clone(&self.rulebooks.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Forgets a stream's state.
    pub(super) fn forget(&self, stream: &StreamName) {
        self.kept().forget(stream);
    }

    /// Reads and folds a stream.
    async fn read<K: Kind>(&self, stream: &StreamName) -> Result<Loaded, ReadError> {
        let events = self.ledger.store().events().get_events::<StreamAggregate<K>>(stream.as_str()).await?;
        let rulebooks = self.rulebooks();
        let mut state = StreamState::new(K::CATEGORY);
        let mut head: Option<StreamHead> = None;
        for event in events {
            let body = event.payload.to_string();
            let entry = Entry::parse(body.as_bytes())?;
            let place = |key: &str| event.metadata.get(key).and_then(|value| value.as_str());
            let leaf_index =
                place("leaf_index").and_then(|text| text.parse().ok()).ok_or(ReadError::Place)?;
            // By the bytes and not by the column beside them, and each by the next: what the commit compares is the head alone.
            let leaf_hash = leaf_hash(body.as_bytes());
            let follows = match head {
                Some(head) => (head.sequence + 1, head.leaf_hash) == (entry.sequence, entry.prev),
                None => entry.sequence == 1,
            };
            if !follows {
                return Err(ReadError::Chain { leaf_index });
            }
            let recorded = Recorded::from_entry(&entry, LeafIndex::new(leaf_index), leaf_hash)
                .map_err(|source| FollowError::Event { leaf_index, source })?;
            state.apply(&recorded, &rulebooks);
            head = Some(StreamHead { sequence: recorded.sequence, leaf_hash });
        }
        Ok(Loaded { state: Arc::new(state), head })
    }

    /// Folds an act that has a place into the state that it was decided on, which leaves the cache, and returns the result.
    pub(super) fn fold(&self, act: Arc<Act>, place: Place, mut state: Arc<StreamState>) -> Loaded {
        drop(self.kept().take(&act.stream));
        let recorded = Recorded {
            act,
            leaf_index: place.leaf_index,
            leaf_hash: place.leaf_hash,
            recorded_at: place.position.recorded_at,
            sequence: place.position.sequence,
        };
        Arc::make_mut(&mut state).apply(&recorded, &self.rulebooks());
        Loaded { state, head: Some(place.head()) }
    }

    /// Keeps for every stream what a command has left in its turn, now that it is committed at this place. Where it is not
    /// there any more, whatever was read of the stream before the commit is forgotten.
    pub(super) fn committed(&self, stream: &StreamName, place: Place) {
        match self.turn_of(stream).try_lock() {
            Ok(mut turn) => self.keep(stream, place, &mut turn),
            // The next command's turn, which decides on what was left.
            Err(_) => self.forget(stream),
        }
    }

    /// The same for the turn that the caller holds.
    pub(super) fn keep(&self, stream: &StreamName, place: Place, turn: &mut Turn<'_>) {
        match turn.take_if(|(of, left)| of == stream && left.head == Some(place.head())) {
            Some((_, left)) => self.kept().put(stream, left),
            None => self.forget(stream),
        }
    }

    /// Takes in what an act that is committed says about rulebooks.
    pub(super) fn adopt_act(&self, act: &Act) {
        let mut rulebooks = self.rulebooks.write().unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(&mut rulebooks).apply_act(act);
    }
}

/// Returns the root bureaus, as entry 0 names them. Without a checkpoint that may leave nothing is recorded, and nothing can be proven.
async fn proven_roots(ledger: &Ledger) -> Result<Vec<OrganisationId>, FollowError> {
    let opening = match ledger.checkpoint() {
        None => ledger.store().entry(0).await?.map(|row| row.body),
        Some(_) => match ledger.receipt(LeafIndex::new(0)).await {
            Ok(proven) => Some(proven.entry),
            Err(LedgerError::Store(error)) => return Err(error.into()),
            Err(error) => return Err(StoreError::corrupt(in_both(&error)).into()),
        },
    };
    let Some(body) = opening else { return Ok(Vec::new()) };
    let entry =
        Entry::parse(body.as_bytes()).map_err(|source| FollowError::Entry { leaf_index: 0, source })?;
    let act = Act::from_entry(&entry).map_err(|source| FollowError::Event { leaf_index: 0, source })?;
    Ok(match act.event {
        Event::LogOpened(opened) => opened.roots,
        _ => Vec::new(),
    })
}

/// Reads the rulebooks until they end in the heads that the writer has followed. Where nothing is written, there is nothing to compare
/// with, and nothing is decided.
async fn proven_rulebooks(ledger: &Ledger) -> Result<Rulebooks, FollowError> {
    for _ in 0..READINGS {
        let (rulebooks, read) = read_rulebooks_to_heads(&**ledger.store(), u64::MAX).await?;
        match ledger.heads_of(RULEBOOKS).await {
            Ok(known) if known != read => {}
            _ => return Ok(rulebooks),
        }
        // Another process may have recorded between the two.
        let _ = ledger.follow().await;
    }
    let what = Both::new("规则依据的流与台账不符", "the streams of rulebooks are not what the log has");
    Err(StoreError::corrupt(what).into())
}
