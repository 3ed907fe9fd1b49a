//! Reading entries for folds: rows as recorded acts, the rulebooks adopted, and what can go wrong.

use std::collections::BTreeMap;

use weituo_events::{EventError, Recorded};
use weituo_projections::Rulebooks;
use weituo_proof::{Entry, EntryError, Hash, LeafIndex, StreamHead, leaf_hash};

use super::{BATCH, names};
use crate::store::{EntryRow, Store, StoreError};

/// How the names of rulebooks' streams begin.
pub(crate) const RULEBOOKS: &str = "rulebook/";

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
    /// Another process is faster, or rebuilds too.
    #[error("another process is rebuilding the projections: try again in a moment")]
    Overtaken,
    /// No projection has that name.
    #[error("there is no projection {0:?}; there are: {list}", list = names().join(", "))]
    UnknownProjection(String),
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

/// Returns the rulebooks that the log adopted before a leaf index, and the ledger's zone.
///
/// # Errors
/// [`FollowError`].
pub async fn read_rulebooks(store: &dyn Store, before: u64) -> Result<Rulebooks, FollowError> {
    Ok(read_rulebooks_to_heads(store, before).await?.0)
}

/// Returns the head that a row leaves behind the one before it in its stream; none that any stream has where it does not follow.
fn follow(head: Option<&StreamHead>, row: &EntryRow) -> StreamHead {
    let follows = |entry: &Entry| match head {
        Some(head) => (head.sequence + 1, head.leaf_hash) == (entry.sequence, entry.prev),
        None => entry.sequence == 1,
    };
    match Entry::parse(row.body.as_bytes()) {
        Ok(entry) if follows(&entry) => {
            StreamHead { sequence: entry.sequence, leaf_hash: leaf_hash(row.body.as_bytes()) }
        }
        _ => StreamHead { sequence: 0, leaf_hash: Hash::ZERO },
    }
}

/// The same with the head of each rulebook's stream, by the bytes of its entries.
pub(crate) async fn read_rulebooks_to_heads(
    store: &dyn Store,
    before: u64,
) -> Result<(Rulebooks, BTreeMap<String, StreamHead>), FollowError> {
    let mut rulebooks = Rulebooks::default();
    let mut heads: BTreeMap<String, StreamHead> = BTreeMap::new();
    if let Some(row) = store.entry(0).await?.filter(|_| before > 0) {
        rulebooks.apply(&recorded(&row)?);
    }
    let mut after = (RULEBOOKS.to_owned(), 0);
    loop {
        let page = store.scan_by_stream((&after.0, after.1), BATCH).await?;
        let full = page.len() == BATCH as usize;
        for scanned in page {
            let row = scanned.into_row()?;
            if !row.stream.starts_with(RULEBOOKS) {
                return Ok((rulebooks, heads));
            }
            if row.leaf_index < before {
                let recorded = recorded(&row)?;
                rulebooks.apply(&recorded);
                let next = follow(heads.get(&row.stream), &row);
                heads.insert(row.stream.clone(), next);
            }
            after = (row.stream, i64::try_from(row.sequence).unwrap_or(i64::MAX));
        }
        if !full {
            return Ok((rulebooks, heads));
        }
    }
}
