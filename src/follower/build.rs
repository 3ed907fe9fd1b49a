//! Building projections anew: the log read stream by stream, each stream folded once and its rows written once.
//!
//! Invariants: rows are those of the entries before the build's cursor, which is set with the first of them; streams are
//! written whole, in the order in which they are read, so a build that broke off goes on behind the last stream that has
//! rows, unless its rows are not what the streams up to there give. Memory is a page of entries, one stream's state and a
//! few megabytes of rows.
//! Absent: following the log from the cursor on (`follower`), readers: they see nothing of a build.
//! Source: design.md "The append path" (every projection can be dropped and rebuilt, with progress, while serving).

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::task::{JoinError, JoinHandle};
use weituo_events::Category;
use weituo_projections::{PROJECTIONS, Row, Rulebooks, StreamState, rows};
use weituo_proof::{StreamName, both};

use super::{Fold, FollowError, Follower, STATES, Step, Sum, SumKey, home, read_rulebooks, recorded};
use crate::store::{
    ApplyOutcome, KeyRange, ProjectionChange, ProjectionRow, Scanned, Store, StoreError, Which,
};

/// Entries read at a time.
const PAGE: u32 = 1_024;

/// Projected rows read at a time; one may hold a whole cycle.
const ROWS: u32 = 128;

/// Rows are written when their bodies have so many bytes.
const WRITE_BYTES: usize = 4 << 20;

/// The place of an entry: its stream and sequence.
type Place = (String, i64);

impl Follower {
    /// Starts the generations of a rebuild of one projection (with the states it is derived from) or of all; where one
    /// broke off, its generations are gone on with.
    pub(super) async fn begin(&self, projection: Option<&str>) -> Result<Fold, FollowError> {
        let of_rebuild = |name: &str| projection.is_none_or(|one| one == name || STATES.contains(&name));
        let wanted = || PROJECTIONS.iter().filter(|(name, _)| of_rebuild(name));
        let mut broken_off = BTreeMap::new();
        let mut next_leaf = None;
        for (name, fold_version) in wanted() {
            let found = self.store.generations(name).await?.into_iter().find(|one| {
                !one.active
                    && one.fold_version == i64::from(*fold_version)
                    && next_leaf.is_none_or(|leaf| leaf == one.next_leaf)
            });
            let Some(found) = found else { break };
            next_leaf = Some(found.next_leaf);
            broken_off.insert(*name, found.generation);
        }
        if broken_off.len() == wanted().count() {
            tracing::info!(next_leaf, "going on with a rebuild that broke off");
            return Ok(Fold::new(broken_off, next_leaf.unwrap_or(0), Rulebooks::default()));
        }
        self.start(|name| wanted().any(|(one, _)| *one == name)).await
    }

    /// Starts new generations of the wanted projections; what was unfinished of them is gone.
    async fn start(&self, is_wanted: impl Fn(&str) -> bool) -> Result<Fold, FollowError> {
        let mut generations = BTreeMap::new();
        for (name, fold_version) in PROJECTIONS.iter().filter(|(name, _)| is_wanted(name)) {
            let generation = self.store.start_generation(name, i64::from(*fold_version)).await?;
            generations.insert(*name, generation);
        }
        Ok(Fold::new(generations, 0, Rulebooks::default()))
    }

    /// Folds and writes every stream that the generations of a rebuild do not have yet.
    pub(super) async fn build(&self, fold: &mut Fold, progress: &impl Fn(u64)) -> Result<Step, FollowError> {
        let mut start = self.written(&fold.generations).await?;
        if !start.0.is_empty() && !self.is_right(fold, &start.0).await? {
            if self.written(&fold.generations).await? != start {
                // It did not break off: another process goes on with it.
                return Ok(Step::Overtaken);
            }
            tracing::warn!(
                "a rebuild that broke off had not written what the entries give: it is begun anew"
            );
            let generations = std::mem::take(&mut fold.generations);
            *fold = self.start(|name| generations.contains_key(name)).await?;
            start = Place::default();
        }
        let size = self.store.head().await?.map_or(0, |head| head.size);
        let cursor = if fold.next_leaf == 0 { size } else { fold.next_leaf };
        fold.rulebooks = read_rulebooks(&*self.store, cursor).await?;
        let mut streams = Streams::new(&fold.rulebooks);
        let mut writing: Option<JoinHandle<Result<ApplyOutcome, StoreError>>> = None;
        let from_the_first = start.0.is_empty();
        let mut reading = self.read(start);
        let mut done = 0;
        loop {
            let page = joined(reading.await)??;
            let next = place_behind(&page)?;
            done += page.len() as u64;
            // The next page is read, and the last rows are written, while this one is folded.
            let ahead = next.clone().map(|place| self.read(place));
            for scanned in page {
                streams.take(scanned, cursor)?;
            }
            if next.is_none() {
                streams.close();
                if from_the_first && streams.entries != cursor {
                    let entries = streams.entries;
                    let what = both!(
                        "序号 {cursor} 之前只有 {entries} 条记录:有缺失",
                        "{entries} entries below leaf {cursor}: some are missing"
                    );
                    return Err(StoreError::corrupt(what).into());
                }
            }
            if next.is_none() || streams.bytes >= WRITE_BYTES {
                if written(writing.take()).await? == ApplyOutcome::CursorMoved {
                    return Ok(Step::Overtaken);
                }
                let mut changes = changes(&fold.generations, fold.next_leaf, cursor, streams.take_rows());
                for change in &mut changes {
                    change.likely_new = true;
                }
                fold.next_leaf = cursor;
                let store = Arc::clone(&self.store);
                writing = Some(tokio::spawn(async move { store.apply_projections(&changes).await }));
            }
            progress(done);
            match ahead {
                Some(ahead) => reading = ahead,
                None => break,
            }
        }
        Ok(match written(writing).await? {
            ApplyOutcome::Applied => Step::Folded(cursor),
            ApplyOutcome::CursorMoved => Step::Overtaken,
        })
    }

    /// Returns the place behind the last stream that generations have rows of.
    async fn written(&self, generations: &BTreeMap<&'static str, i64>) -> Result<Place, StoreError> {
        // The last category that the log is read in comes first.
        for category in [Category::Rulebook, Category::Organisation, Category::Agreement] {
            let Some(projection) = home(category) else { continue };
            let last = self.store.projection_last_key(projection, generations[projection]).await?;
            if let Some(id) = last {
                return Ok((format!("{}/{id}", category.code()), i64::MAX));
            }
        }
        Ok((String::new(), 0))
    }

    /// Returns whether generations that are not finished hold the rows of the streams up to `last`, and no others.
    async fn is_right(&self, fold: &Fold, last: &str) -> Result<bool, FollowError> {
        let no_random = |error: getrandom::Error| StoreError::Fault {
            doing: "comparing what a rebuild had written",
            source: error.into(),
        };
        let key = SumKey::fresh().map_err(no_random)?;
        let rulebooks = read_rulebooks(&*self.store, fold.next_leaf).await?;
        let mut streams = Streams::new(&rulebooks);
        let none = || fold.generations.keys().map(|name| (*name, Sum::default())).collect::<BTreeMap<_, _>>();
        let (mut given, mut stored) = (none(), none());
        let mut next = Some(Place::default());
        while let Some(place) = next {
            let page = joined(self.read(place).await)??;
            next = place_behind(&page)?;
            for scanned in page {
                if matches!(&scanned, Scanned::Row(row) if row.stream.as_str() > last) {
                    next = None;
                    break;
                }
                streams.take(scanned, fold.next_leaf)?;
            }
            if next.is_none() {
                streams.close();
            }
            for Row { projection, key: row_key, body } in streams.take_rows() {
                if let Some(sum) = given.get_mut(projection) {
                    sum.add(&key, &row_key, &body);
                }
            }
        }
        for (name, generation) in &fold.generations {
            let sum = stored.entry(*name).or_default();
            let mut after = String::new();
            loop {
                let range = KeyRange { prefix: "", after: &after, limit: ROWS };
                let page = self.store.projection_rows(name, Which::Generation(*generation), range).await?;
                let full = page.len() >= ROWS as usize;
                for row in &page {
                    sum.add(&key, &row.key, &row.body);
                }
                match page.into_iter().next_back().filter(|_| full) {
                    Some(row) => after = row.key,
                    None => break,
                }
            }
        }
        Ok(given == stored)
    }

    fn read(&self, (stream, sequence): Place) -> JoinHandle<Result<Vec<Scanned>, StoreError>> {
        let store: Arc<dyn Store> = Arc::clone(&self.store);
        tokio::spawn(async move { store.scan_by_stream((&stream, sequence), PAGE).await })
    }
}

/// The stream being folded, and the rows of those before it that are not written yet.
struct Streams<'a> {
    rulebooks: &'a Rulebooks,
    open: Option<(StreamName, StreamState)>,
    rows: Vec<Row>,
    bytes: usize,
    /// How many entries were folded.
    entries: u64,
}

impl<'a> Streams<'a> {
    fn new(rulebooks: &'a Rulebooks) -> Self {
        Self { rulebooks, open: None, rows: Vec::new(), bytes: 0, entries: 0 }
    }

    /// Folds one entry, where it is before the cursor.
    fn take(&mut self, scanned: Scanned, cursor: u64) -> Result<(), FollowError> {
        let row = scanned.into_row()?;
        if row.leaf_index >= cursor {
            return Ok(());
        }
        let recorded = recorded(&row)?;
        self.entries += 1;
        let stream = &recorded.act.stream;
        if self.open.as_ref().is_none_or(|(open, _)| open != stream) {
            self.close();
            let Some(category) = Category::of(stream) else { return Ok(()) };
            self.open = Some((stream.clone(), StreamState::new(category)));
        }
        if let Some((_, state)) = &mut self.open {
            state.apply(&recorded, self.rulebooks);
        }
        Ok(())
    }

    /// Ends the open stream: its rows are final.
    fn close(&mut self) {
        let Some((stream, state)) = self.open.take() else { return };
        for row in rows(&stream, &state, self.rulebooks) {
            self.bytes += row.body.len();
            self.rows.push(row);
        }
    }

    fn take_rows(&mut self) -> Vec<Row> {
        self.bytes = 0;
        std::mem::take(&mut self.rows)
    }
}

/// Returns the rows as changes of their generations that leave every cursor at `next_leaf`.
pub(super) fn changes(
    generations: &BTreeMap<&'static str, i64>,
    expected_next_leaf: u64,
    next_leaf: u64,
    rows: Vec<Row>,
) -> Vec<ProjectionChange> {
    let mut changes: BTreeMap<&'static str, ProjectionChange> = generations
        .iter()
        .map(|(name, generation)| {
            let change = ProjectionChange {
                name: (*name).to_owned(),
                generation: *generation,
                expected_next_leaf,
                next_leaf,
                puts: Vec::new(),
                deletes: Vec::new(),
                likely_new: false,
            };
            (*name, change)
        })
        .collect();
    for Row { projection, key, body } in rows {
        if let Some(change) = changes.get_mut(projection) {
            change.puts.push(ProjectionRow { key, body });
        }
    }
    changes.into_values().collect()
}

/// Returns the place that the page behind this one is read from; `None` behind the last.
fn place_behind(page: &[Scanned]) -> Result<Option<Place>, FollowError> {
    let Some(last) = page.last().filter(|_| page.len() == PAGE as usize) else { return Ok(None) };
    let row = last.clone().into_row()?;
    Ok(Some((row.stream, i64::try_from(row.sequence).unwrap_or(i64::MAX))))
}

async fn written(
    writing: Option<JoinHandle<Result<ApplyOutcome, StoreError>>>,
) -> Result<ApplyOutcome, FollowError> {
    match writing {
        Some(writing) => Ok(joined(writing.await)??),
        None => Ok(ApplyOutcome::Applied),
    }
}

fn joined<T>(ended: Result<T, JoinError>) -> Result<T, StoreError> {
    ended.map_err(|error| StoreError::Fault { doing: "rebuilding the projections", source: error.into() })
}
