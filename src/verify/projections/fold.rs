//! The fresh fold: the log read by stream, one stream's state in memory at a time.
//!
//! Invariants: only entries before a cursor are folded for it; rows that are not entries are passed over, since the
//! scan of the log reports them.
//! Absent: comparing (`projections`).

use std::collections::BTreeMap;

use weituo_events::{Category, Recorded};
use weituo_projections::{Row, Rulebooks, StreamState, rows};
use weituo_proof::{Both, Entry, LeafIndex, StreamName};
use weituo_verifier::Collected;

use crate::store::{EntryRow, Result, Scanned, Store};
use crate::verify::source::{AHEAD_BYTES, AT_ONCE, PAGE, answered, ask, read, spread};

use super::Comparison;

/// The place of an entry: its stream and sequence.
type Place = (String, i64);

/// The place of a stream's last folded entry.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Last {
    pub(super) leaf_index: u64,
    pub(super) sequence: u64,
}

/// The states of one stream, as of each cursor.
struct Folded {
    stream: StreamName,
    states: BTreeMap<u64, StreamState>,
}

/// A page of the log by stream, read as acts.
struct Page {
    /// Every row with its place; `None` where it is not an entry of the vocabulary.
    rows: Vec<(Place, Option<Recorded>)>,
    /// Whether it has as many rows as were asked for, those garbled among them.
    is_full: bool,
    /// Number of rows, those garbled among them.
    count: u64,
    /// Length of all bodies.
    length: usize,
}

impl Page {
    /// Reads the page behind a place.
    async fn read(store: &dyn Store, (stream, sequence): &Place) -> Result<Self> {
        let page = ask(|| store.scan_by_stream((stream, *sequence), PAGE)).await?;
        let (is_full, count) = (page.len() >= PAGE as usize, page.len() as u64);
        let rows: Vec<EntryRow> = page.into_iter().filter_map(|scanned| scanned.into_row().ok()).collect();
        let length = rows.iter().map(|row| row.body.len()).sum();
        let rows = spread(rows, |row| {
            let recorded = recorded(&row);
            (place_of(row), recorded)
        })
        .await;
        Ok(Self { rows, is_full, count, length })
    }
}

impl Comparison<'_> {
    /// Folds the log by stream, from the stream after a place on, and hands over the rows of each stream that belong to a
    /// projection compared. `behind` is told, after every page, the place before which all of them were handed over, and
    /// how many entries were read.
    pub(super) async fn fold(
        &self,
        mut after: Place,
        findings: &mut Collected,
        mut behind: impl FnMut(&Place, u64, &Collected),
        mut each: impl FnMut(&StreamName, Row),
    ) -> Option<()> {
        let mut whole = after.clone();
        let mut current: Option<Folded> = None;
        let mut done = 0;
        let mut answer = Page::read(self.store, &after).await;
        loop {
            let page = answered(&Both::new("按流排列的记录", "the log by stream"), findings, answer)?;
            done += page.count;
            let next = page.rows.last().map(|(place, _)| place.clone()).filter(|next| *next > after);
            // As in the scan of the log.
            let following = async {
                match next.as_ref().filter(|_| page.is_full) {
                    Some(next) => Some(Page::read(self.store, next).await),
                    None => None,
                }
            };
            let folding = async {
                let mut before = after.clone();
                for (count, (place, recorded)) in page.rows.into_iter().enumerate() {
                    if recorded.is_some_and(|recorded| self.take(&recorded, &mut current, &mut each)) {
                        whole.clone_from(&before);
                    }
                    before = place;
                    if count % AT_ONCE == AT_ONCE - 1 {
                        tokio::task::yield_now().await;
                    }
                }
            };
            let following = if page.length <= AHEAD_BYTES {
                tokio::join!(following, folding).0
            } else {
                folding.await;
                following.await
            };
            behind(&whole, done, findings);
            if !page.is_full {
                break;
            }
            // A page of nothing but garbled rows has no place to go on from.
            let (Some(next), Some(following)) = (next, following) else {
                findings.could_not(Both::new(
                    "投影:按流读取的一页记录无法读取",
                    "the projections: a page of the log by stream cannot be read",
                ));
                return None;
            };
            (after, answer) = (next, following);
        }
        self.finish(current, &mut each);
        Some(())
    }

    /// Folds one entry. Returns whether the streams before its own are whole by it.
    fn take(
        &self,
        recorded: &Recorded,
        current: &mut Option<Folded>,
        each: &mut impl FnMut(&StreamName, Row),
    ) -> bool {
        let stream = &recorded.act.stream;
        let opens = current.as_ref().is_none_or(|folded| folded.stream != *stream);
        if opens {
            self.finish(current.take(), each);
            let Some(category) = Category::of(stream) else { return true };
            let states = self.rulebooks.keys().map(|cursor| (*cursor, StreamState::new(category))).collect();
            *current = Some(Folded { stream: stream.clone(), states });
        }
        for (cursor, state) in current.iter_mut().flat_map(|folded| &mut folded.states) {
            if recorded.leaf_index.get() < *cursor {
                state.apply(recorded, &self.rulebooks[cursor]);
            }
        }
        opens
    }

    fn finish(&self, folded: Option<Folded>, each: &mut impl FnMut(&StreamName, Row)) {
        let Some(Folded { stream, states }) = folded else { return };
        for (cursor, state) in states {
            for row in rows(&stream, &state, &self.rulebooks[&cursor]) {
                if self.active.get(row.projection).is_some_and(|active| active.next_leaf == cursor) {
                    each(&stream, row);
                }
            }
        }
    }
}

/// Folds one stream up to a cursor; the inner `None` where it has no entry before it.
pub(super) async fn fold_stream(
    store: &dyn Store,
    stream: &StreamName,
    cursor: u64,
    rulebooks: &Rulebooks,
    findings: &mut Collected,
) -> Option<Option<(StreamState, Last)>> {
    let Some(category) = Category::of(stream) else { return Some(None) };
    let mut folded = None;
    let mut from = 1;
    loop {
        let page = read(&Both::new("一个流", "a stream"), findings, || {
            store.stream_rows(stream.as_str(), from, PAGE)
        })
        .await?;
        for row in page.iter().filter(|row| row.leaf_index < cursor) {
            let Some(recorded) = recorded(row) else { continue };
            let (state, last) = folded.get_or_insert_with(|| (StreamState::new(category), Last::default()));
            state.apply(&recorded, rulebooks);
            *last = Last { leaf_index: row.leaf_index, sequence: row.sequence };
        }
        match page.last() {
            Some(last) if page.len() >= PAGE as usize => from = last.sequence.saturating_add(1),
            _ => return Some(folded),
        }
    }
}

/// Returns the rulebooks that the log adopted before a cursor, and the zone that its first entry names.
pub(super) async fn read_rulebooks(
    store: &dyn Store,
    cursor: u64,
    findings: &mut Collected,
) -> Option<Rulebooks> {
    let mut rulebooks = Rulebooks::default();
    let first = read(&Both::new("首条记录", "the first entry"), findings, || store.scan(0, 1)).await?;
    take_rulebooks(&mut rulebooks, first, cursor, |_| true);
    let mut after = ("rulebook/".to_owned(), 0);
    loop {
        let page = read(&Both::new("规则", "the rulebooks"), findings, || {
            store.scan_by_stream((&after.0, after.1), PAGE)
        })
        .await?;
        let full = page.len() >= PAGE as usize;
        let last = take_rulebooks(&mut rulebooks, page, cursor, |row| row.stream.starts_with("rulebook/"));
        match last.filter(|last| full && *last > after && last.0.starts_with("rulebook/")) {
            Some(next) => after = next,
            None => return Some(rulebooks),
        }
    }
}

/// Takes in the rows wanted; returns the place of the last row.
fn take_rulebooks(
    rulebooks: &mut Rulebooks,
    page: Vec<Scanned>,
    cursor: u64,
    wanted: impl Fn(&EntryRow) -> bool,
) -> Option<(String, i64)> {
    let mut last = None;
    for scanned in page {
        let Scanned::Row(row) = scanned else { continue };
        if let Some(recorded) = recorded(&row).filter(|_| wanted(&row) && row.leaf_index < cursor) {
            rulebooks.apply(&recorded);
        }
        last = Some(place_of(row));
    }
    last
}

fn place_of(row: EntryRow) -> (String, i64) {
    (row.stream, i64::try_from(row.sequence).unwrap_or(i64::MAX))
}

/// Returns the act of a row; `None` where the row is not an entry of the vocabulary.
fn recorded(row: &EntryRow) -> Option<Recorded> {
    let entry = Entry::parse(row.body.as_bytes()).ok()?;
    Recorded::from_entry(&entry, LeafIndex::new(row.leaf_index), row.leaf_hash).ok()
}
