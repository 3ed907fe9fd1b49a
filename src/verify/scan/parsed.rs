//! What a row says by itself, found for one page while another is judged.
//!
//! Invariant: nothing here depends on another row.
//! Absent: judging (`scan`).

use weituo_events::{Event, EventError};
use weituo_proof::{Entry, EntryError, Hash, leaf_hash};

use crate::store::{EntryRow, GarbledRow, Scanned};
use crate::verify::facts::event_of;

/// A row as it was read.
pub(super) enum Parsed {
    /// Its columns can be what a writer stored.
    Row(Box<ParsedRow>),
    /// One of them cannot.
    Garbled(GarbledRow),
}

/// A row with what its body says.
pub(super) struct ParsedRow {
    pub(super) row: EntryRow,
    /// Leaf hash of the body.
    pub(super) computed: Hash,
    /// The entry, and the event that it records.
    pub(super) entry: Result<(Entry, Result<Event, EventError>), EntryError>,
}

/// Reads what a row says.
pub(super) fn parse(scanned: Scanned) -> Parsed {
    match scanned {
        Scanned::Garbled(garbled) => Parsed::Garbled(garbled),
        Scanned::Row(row) => {
            let computed = leaf_hash(row.body.as_bytes());
            let entry = Entry::parse(row.body.as_bytes()).map(|entry| {
                let event = event_of(&entry);
                (entry, event)
            });
            Parsed::Row(Box::new(ParsedRow { row, computed, entry }))
        }
    }
}
