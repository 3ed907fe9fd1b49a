//! The follower: folds the log into the projections, by leaf index, in batches.
//!
//! Invariants: rows and cursors of one batch are written in one transaction; every projection that readers see has
//! folded the same entries; a rebuild writes beside what is served and takes its place in one step.
//! Absent: the folds themselves (weituo-projections), reading for people (`query`).
//! Source: design.md, The append path (Projections follow the log by leaf index).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use weituo_events::{Category, EventError, Recorded};
use weituo_projections::{PROJECTIONS, Row, Rulebooks, StreamState, rows};
use weituo_proof::{Entry, EntryError, LeafIndex, StreamName};

use crate::store::{
    ApplyOutcome, EntryRow, Generation, ProjectionChange, ProjectionRow, Store, StoreError, Which,
};

/// Entries folded in one transaction.
const BATCH: u32 = 512;

/// Streams whose states are kept between batches; others are read back from their rows.
const KEPT_STATES: usize = 20_000;

/// The projections whose rows hold a stream's whole state, so that folding can go on from them.
const STATES: [&str; 3] = ["cycle", "organisation", "rulebook"];

/// Why the projections could not follow the log.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The store did not answer, or holds what cannot be read.
    #[error("the projections could not be read or written")]
    Store(#[from] StoreError),
    /// An entry is not what a writer of ours stored.
    #[error("leaf {leaf_index} is not an entry: run `weituo verify`")]
    Entry {
        /// Where.
        leaf_index: u64,
        /// Why.
        #[source]
        source: EntryError,
    },
    /// An entry's event is not in this program's vocabulary.
    #[error("leaf {leaf_index} holds an event this program does not know: use a newer `weituo`")]
    Event {
        /// Where.
        leaf_index: u64,
        /// Why.
        #[source]
        source: EventError,
    },
    /// A projection's row cannot be read back.
    #[error("row {key:?} of projection {projection} cannot be read back: run `weituo rebuild`")]
    Row {
        /// Projection.
        projection: &'static str,
        /// Key.
        key: String,
    },
    /// The projections stand at different entries.
    #[error("the projections stand at different entries: run `weituo rebuild`")]
    CursorsDiffer,
    /// No projection has that name.
    #[error("there is no projection {0:?}; there are: {list}", list = names().join(", "))]
    UnknownProjection(String),
}

/// Returns the names of the projections.
pub fn names() -> Vec<&'static str> {
    PROJECTIONS.iter().map(|(name, _)| *name).collect()
}

/// Reads an entry row as a recorded act.
///
/// # Errors
/// When the bytes are not an entry, or the event is unknown.
pub fn recorded(row: &EntryRow) -> Result<Recorded, FollowError> {
    let leaf_index = row.leaf_index;
    let entry =
        Entry::parse(row.body.as_bytes()).map_err(|source| FollowError::Entry { leaf_index, source })?;
    Recorded::from_entry(&entry, LeafIndex::new(leaf_index), row.leaf_hash)
        .map_err(|source| FollowError::Event { leaf_index, source })
}

/// One set of generations that is folded together: what readers see, or a rebuild beside it.
struct Fold {
    generations: BTreeMap<&'static str, i64>,
    next_leaf: u64,
    states: HashMap<StreamName, StreamState>,
    rulebooks: Rulebooks,
}

/// Folds the log into the projections of one store.
pub struct Follower {
    store: Arc<dyn Store>,
    serving: tokio::sync::Mutex<Option<Fold>>,
}

impl std::fmt::Debug for Follower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Follower").finish_non_exhaustive()
    }
}

impl Follower {
    /// Returns a follower that has read nothing yet.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, serving: tokio::sync::Mutex::new(None) }
    }

    /// Folds every entry that the log has now, and returns the log size that the projections then stand at.
    /// `progress` is told the number of entries folded after every batch.
    ///
    /// # Errors
    /// [`FollowError`]; nothing of the failed batch is written.
    pub async fn catch_up(&self, progress: impl Fn(u64) + Send + Sync) -> Result<u64, FollowError> {
        let mut serving = self.serving.lock().await;
        if serving.is_none() {
            *serving = self.current().await?;
        }
        let Some(fold) = serving.as_mut() else {
            drop(serving);
            return self.rebuild(None, progress).await;
        };
        loop {
            match self.step(fold).await? {
                Step::Folded(next_leaf) => progress(next_leaf),
                Step::AtEnd => return Ok(fold.next_leaf),
                Step::Overtaken => {
                    *fold = self.current().await?.ok_or(FollowError::CursorsDiffer)?;
                }
            }
        }
    }

    /// Rebuilds one projection (with the states it is derived from) or all, beside what is served, then puts it in
    /// place. Returns the log size it stands at.
    ///
    /// # Errors
    /// [`FollowError`]; what is served stays as it was.
    pub async fn rebuild(
        &self,
        projection: Option<&str>,
        progress: impl Fn(u64) + Send + Sync,
    ) -> Result<u64, FollowError> {
        let mut fold = self.begin(projection).await?;
        loop {
            match self.step(&mut fold).await? {
                Step::Folded(next_leaf) => progress(next_leaf),
                Step::AtEnd => break,
                Step::Overtaken => return Err(FollowError::CursorsDiffer),
            }
        }
        let mut serving = self.serving.lock().await;
        self.meet(&mut fold).await?;
        for (name, generation) in &fold.generations {
            self.store.activate_generation(name, *generation).await?;
        }
        *serving = None;
        Ok(fold.next_leaf)
    }

    /// Starts the new generations of a rebuild.
    async fn begin(&self, projection: Option<&str>) -> Result<Fold, FollowError> {
        if let Some(unknown) = projection.filter(|name| !names().contains(name)) {
            return Err(FollowError::UnknownProjection(unknown.to_owned()));
        }
        let mut generations = BTreeMap::new();
        for (name, fold_version) in PROJECTIONS {
            if projection.is_none_or(|one| one == *name || STATES.contains(name)) {
                let generation = self.store.start_generation(name, i64::from(*fold_version)).await?;
                generations.insert(*name, generation);
            }
        }
        Ok(Fold { generations, next_leaf: 0, states: HashMap::new(), rulebooks: Rulebooks::default() })
    }

    /// Brings a rebuilt fold and the other projections that are served to the same entry.
    async fn meet(&self, rebuilt: &mut Fold) -> Result<(), FollowError> {
        let others = names().into_iter().filter(|name| !rebuilt.generations.contains_key(name));
        let mut served = None;
        for name in others {
            served = self.active(name).await?.map(|generation| generation.next_leaf).max(served);
        }
        let Some(served) = served else { return Ok(()) };
        if served < rebuilt.next_leaf
            && let Some(mut fold) = self.current().await?
        {
            while fold.next_leaf < rebuilt.next_leaf {
                if !matches!(self.step(&mut fold).await?, Step::Folded(_)) {
                    break;
                }
            }
            while rebuilt.next_leaf < fold.next_leaf {
                if !matches!(self.step(rebuilt).await?, Step::Folded(_)) {
                    break;
                }
            }
        }
        Ok(())
    }

    async fn active(&self, name: &str) -> Result<Option<Generation>, StoreError> {
        Ok(self.store.generations(name).await?.into_iter().find(|generation| generation.active))
    }

    /// Returns the fold that readers see; `None` where a projection is missing, stands apart from the others or was
    /// folded by another version, so that all have to be rebuilt.
    async fn current(&self) -> Result<Option<Fold>, FollowError> {
        let mut generations = BTreeMap::new();
        let mut next_leaf = None;
        for (name, fold_version) in PROJECTIONS {
            let Some(active) = self.active(name).await? else { return Ok(None) };
            if active.fold_version != i64::from(*fold_version)
                || next_leaf.is_some_and(|leaf| leaf != active.next_leaf)
            {
                return Ok(None);
            }
            next_leaf = Some(active.next_leaf);
            generations.insert(*name, active.generation);
        }
        let next_leaf = next_leaf.unwrap_or(0);
        let rulebooks = read_rulebooks(&*self.store, next_leaf).await?;
        Ok(Some(Fold { generations, next_leaf, states: HashMap::new(), rulebooks }))
    }

    /// Folds the next batch.
    async fn step(&self, fold: &mut Fold) -> Result<Step, FollowError> {
        let from = i64::try_from(fold.next_leaf).map_err(|_| StoreError::corrupt("a cursor beyond 2^63"))?;
        let batch: Vec<Recorded> = self
            .store
            .scan(from, BATCH)
            .await?
            .into_iter()
            .map(|scanned| recorded(&scanned.into_row()?))
            .collect::<Result<_, FollowError>>()?;
        if batch.is_empty() {
            return Ok(Step::AtEnd);
        }
        self.load_states(fold, &batch).await?;
        let mut before: HashMap<&StreamName, Vec<Row>> = HashMap::new();
        for one in &batch {
            let stream = &one.act.stream;
            let Some(state) = fold.states.get_mut(stream) else { continue };
            before.entry(stream).or_insert_with(|| rows(stream, state, &fold.rulebooks));
            fold.rulebooks.apply(one);
            state.apply(one, &fold.rulebooks);
        }
        let next_leaf = fold.next_leaf + batch.len() as u64;
        let changes = differences(fold, before, next_leaf);
        match self.store.apply_projections(&changes).await? {
            ApplyOutcome::Applied => {
                fold.next_leaf = next_leaf;
                if fold.states.len() > KEPT_STATES {
                    fold.states.clear();
                }
                Ok(Step::Folded(next_leaf))
            }
            ApplyOutcome::CursorMoved => {
                fold.states.clear();
                Ok(Step::Overtaken)
            }
        }
    }

    /// Reads back the states of the streams of a batch that are not at hand.
    async fn load_states(&self, fold: &mut Fold, batch: &[Recorded]) -> Result<(), FollowError> {
        let mut wanted: HashMap<&'static str, HashMap<String, &StreamName>> = HashMap::new();
        for one in batch {
            let stream = &one.act.stream;
            let Some(category) = Category::of(stream) else { continue };
            if fold.states.contains_key(stream) {
                continue;
            }
            fold.states.insert(stream.clone(), StreamState::new(category));
            if let Some(projection) = home(category) {
                wanted.entry(projection).or_default().insert(stream.id().to_owned(), stream);
            }
        }
        for (projection, streams) in wanted {
            let keys: Vec<String> = streams.keys().cloned().collect();
            let which = Which::Generation(fold.generations[projection]);
            for row in self.store.projection_get(projection, which, &keys).await? {
                let Some(stream) = streams.get(&row.key) else { continue };
                let state = StreamState::from_row(projection, &row.body)
                    .ok_or_else(|| FollowError::Row { projection, key: row.key.clone() })?;
                fold.states.insert((*stream).clone(), state);
            }
        }
        Ok(())
    }
}

/// Returns the rulebooks that the log adopted before a leaf index, and the ledger's zone.
///
/// # Errors
/// [`FollowError`].
pub async fn read_rulebooks(store: &dyn Store, before: u64) -> Result<Rulebooks, FollowError> {
    let mut rulebooks = Rulebooks::default();
    if let Some(row) = store.entry(0).await?.filter(|_| before > 0) {
        rulebooks.apply(&recorded(&row)?);
    }
    let mut after = ("rulebook/".to_owned(), 0);
    loop {
        let page = store.scan_by_stream((&after.0, after.1), BATCH).await?;
        let full = page.len() == BATCH as usize;
        for scanned in page {
            let row = scanned.into_row()?;
            if !row.stream.starts_with("rulebook/") {
                return Ok(rulebooks);
            }
            if row.leaf_index < before {
                rulebooks.apply(&recorded(&row)?);
            }
            after = (row.stream, i64::try_from(row.sequence).unwrap_or(i64::MAX));
        }
        if !full {
            return Ok(rulebooks);
        }
    }
}

/// Returns the projection whose rows hold the whole states of a kind of stream, under the streams' ids.
pub(crate) fn home(category: Category) -> Option<&'static str> {
    match category {
        Category::Agreement => Some("cycle"),
        Category::Organisation => Some("organisation"),
        Category::Rulebook => Some("rulebook"),
        Category::Log => None,
    }
}

enum Step {
    Folded(u64),
    AtEnd,
    Overtaken,
}

/// Returns the difference between the rows before a batch and after it, for every projection of the fold.
fn differences(fold: &Fold, before: HashMap<&StreamName, Vec<Row>>, next_leaf: u64) -> Vec<ProjectionChange> {
    let mut writes: BTreeMap<&'static str, ProjectionChange> = fold
        .generations
        .iter()
        .map(|(name, generation)| {
            let change = ProjectionChange {
                name: (*name).to_owned(),
                generation: *generation,
                expected_next_leaf: fold.next_leaf,
                next_leaf,
                puts: Vec::new(),
                deletes: Vec::new(),
            };
            (*name, change)
        })
        .collect();
    for (stream, old) in before {
        let mut old: HashMap<(&'static str, String), String> =
            old.into_iter().map(|row| ((row.projection, row.key), row.body)).collect();
        for row in rows(stream, &fold.states[stream], &fold.rulebooks) {
            let unchanged =
                old.remove(&(row.projection, row.key.clone())).is_some_and(|body| body == row.body);
            if let Some(write) = writes.get_mut(row.projection).filter(|_| !unchanged) {
                write.puts.push(ProjectionRow { key: row.key, body: row.body });
            }
        }
        for (projection, key) in old.into_keys() {
            if let Some(write) = writes.get_mut(projection) {
                write.deletes.push(key);
            }
        }
    }
    writes.into_values().collect()
}
