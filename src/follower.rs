//! The follower: folds the log into the projections, by leaf index, in batches.
//!
//! Invariants: rows and cursors of one batch are written in one transaction; every projection that readers see has
//! folded the same entries; a rebuild writes beside what is served and takes its place in one step.
//! Absent: the folds themselves (weituo-projections), reading for people (`query`).
//! Source: design.md, The append path (Projections follow the log by leaf index).

mod build;
mod read;
mod sum;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use weituo_events::{Category, Recorded};
use weituo_projections::{PROJECTIONS, Row, Rulebooks, StreamState, rows};
use weituo_proof::{StreamName, both};

use crate::store::{ApplyOutcome, Generation, ProjectionChange, Store, StoreError, Which};

pub use read::{FollowError, read_rulebooks, recorded};
pub(crate) use read::{RULEBOOKS, read_rulebooks_to_heads};
pub(crate) use sum::{Sum, SumKey};

/// Entries folded in one transaction.
const BATCH: u32 = 512;

/// States of streams are kept between batches while they hold no more entries than this, about a kilobyte each; others are
/// read back from their rows.
const KEPT_ENTRIES: u64 = 100_000;

/// How often a follower tries again after another process was faster.
const ATTEMPTS: u32 = 50;

/// How long it waits in between.
const PAUSE: Duration = Duration::from_millis(100);

/// The projections whose rows hold a stream's whole state, so that folding can go on from them.
const STATES: [&str; 3] = ["cycle", "organisation", "rulebook"];

/// Returns the names of the projections.
pub fn names() -> Vec<&'static str> {
    PROJECTIONS.iter().map(|(name, _)| *name).collect()
}

/// One set of generations that is folded together: what readers see, or a rebuild beside it.
struct Fold {
    generations: BTreeMap<&'static str, i64>,
    next_leaf: u64,
    states: HashMap<StreamName, StreamState>,
    rulebooks: Rulebooks,
}

impl Fold {
    fn new(generations: BTreeMap<&'static str, i64>, next_leaf: u64, rulebooks: Rulebooks) -> Self {
        Self { generations, next_leaf, states: HashMap::new(), rulebooks }
    }
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
        for _ in 0..ATTEMPTS {
            let mut serving = self.serving.lock().await;
            if serving.is_none() {
                *serving = self.current().await?;
            }
            let Some(fold) = serving.as_mut() else {
                drop(serving);
                match self.rebuild(None, &progress).await {
                    Err(FollowError::Overtaken) => tokio::time::sleep(PAUSE).await,
                    rebuilt => return rebuilt,
                }
                continue;
            };
            loop {
                match self.step(fold).await? {
                    Step::Folded(next_leaf) => progress(next_leaf),
                    Step::AtEnd => return Ok(fold.next_leaf),
                    Step::Overtaken => break,
                }
            }
            *serving = None;
        }
        Err(FollowError::Overtaken)
    }

    /// Rebuilds one projection (with the states it is derived from) or all, beside what is served, then puts it in
    /// place; goes on with a rebuild that broke off. Returns the log size it stands at. `progress` is told the number
    /// of entries folded.
    ///
    /// # Errors
    /// [`FollowError`]; what is served stays as it was.
    pub async fn rebuild(
        &self,
        projection: Option<&str>,
        progress: impl Fn(u64) + Send + Sync,
    ) -> Result<u64, FollowError> {
        if let Some(unknown) = projection.filter(|name| !names().contains(name)) {
            return Err(FollowError::UnknownProjection(unknown.to_owned()));
        }
        let mut fold = self.begin(projection).await?;
        if matches!(self.build(&mut fold, &progress).await?, Step::Overtaken) {
            return Err(FollowError::Overtaken);
        }
        loop {
            match self.step(&mut fold).await? {
                Step::Folded(next_leaf) => progress(next_leaf),
                Step::AtEnd => break,
                Step::Overtaken => return Err(FollowError::Overtaken),
            }
        }
        let mut serving = self.serving.lock().await;
        self.meet(&mut fold).await?;
        let generations: Vec<(String, i64)> =
            fold.generations.iter().map(|(name, generation)| ((*name).to_owned(), *generation)).collect();
        if self.store.activate_generations(&generations).await? == ApplyOutcome::CursorMoved {
            return Err(FollowError::Overtaken);
        }
        *serving = None;
        Ok(fold.next_leaf)
    }

    /// Brings a rebuilt fold and what is served to the same entry, so that they stand together afterwards.
    async fn meet(&self, rebuilt: &mut Fold) -> Result<(), FollowError> {
        let Some(mut served) = self.current().await? else { return Ok(()) };
        while served.next_leaf != rebuilt.next_leaf {
            let behind = if served.next_leaf < rebuilt.next_leaf { &mut served } else { &mut *rebuilt };
            if !matches!(self.step(behind).await?, Step::Folded(_)) {
                return Err(FollowError::Overtaken);
            }
        }
        Ok(())
    }

    async fn active(&self, name: &str) -> Result<Option<Generation>, StoreError> {
        Ok(self.store.generations(name).await?.into_iter().find(|generation| generation.active))
    }

    /// Returns the fold that readers see; `None` where there is none yet, where a projection stands apart from the others
    /// or was folded by another version, or where they stand beyond the log, so that all have to be rebuilt.
    async fn current(&self) -> Result<Option<Fold>, FollowError> {
        if !self.store.all_generations().await?.iter().any(|(_, generation)| generation.active) {
            return Ok(None);
        }
        // Another process may move the cursors while they are read one by one: apart once is not apart.
        for _ in 0..ATTEMPTS {
            let fold = self.read_current().await?;
            if fold.is_some() {
                return Ok(fold);
            }
            tokio::time::sleep(PAUSE / 10).await;
        }
        Ok(None)
    }

    async fn read_current(&self) -> Result<Option<Fold>, FollowError> {
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
        // Read afterwards, so no cursor can have got ahead of it.
        let last = i64::try_from(next_leaf.saturating_sub(1)).unwrap_or(i64::MAX);
        if next_leaf > 0 && self.store.scan(last, 1).await?.is_empty() {
            return Ok(None);
        }
        let rulebooks = read_rulebooks(&*self.store, next_leaf).await?;
        Ok(Some(Fold::new(generations, next_leaf, rulebooks)))
    }

    /// Folds the next batch.
    async fn step(&self, fold: &mut Fold) -> Result<Step, FollowError> {
        let from = i64::try_from(fold.next_leaf).map_err(|_| StoreError::beyond())?;
        let batch: Vec<Recorded> = self
            .store
            .scan(from, BATCH)
            .await?
            .into_iter()
            .zip(fold.next_leaf..)
            .map(|(scanned, expected)| {
                let row = scanned.into_row()?;
                // A row beyond a hole would be read, and folded, once for every leaf index that is missing.
                if row.leaf_index != expected {
                    let found = row.leaf_index;
                    let what = both!(
                        "应为序号 {expected} 之处是序号 {found}",
                        "leaf {found} where leaf {expected} follows"
                    );
                    return Err(StoreError::corrupt(what).into());
                }
                recorded(&row)
            })
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
                if fold.states.values().map(StreamState::entries).sum::<u64>() > KEPT_ENTRIES {
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
    let (mut puts, mut deletes) = (Vec::new(), Vec::new());
    for (stream, old) in before {
        let mut old: HashMap<(&'static str, String), String> =
            old.into_iter().map(|row| ((row.projection, row.key), row.body)).collect();
        for row in rows(stream, &fold.states[stream], &fold.rulebooks) {
            let unchanged =
                old.remove(&(row.projection, row.key.clone())).is_some_and(|body| body == row.body);
            if !unchanged {
                puts.push(row);
            }
        }
        deletes.extend(old.into_keys());
    }
    let mut changes = build::changes(&fold.generations, fold.next_leaf, next_leaf, puts);
    for (projection, key) in deletes {
        if let Some(change) = changes.iter_mut().find(|change| change.name == projection) {
            change.deletes.push(key);
        }
    }
    changes
}
