//! What a row says by itself: its bytes hashed, read as an entry, its payload read as its type.
//!
//! Invariants: needs nothing of any other row, so that the rows of a page are examined on all processors at once.
//! Absent: judging (`scan`).
//! Source: format.md "Entry".

use weituo_proof::{Both, Entry, EntryError, Finding, FindingKind, Hash, both, leaf_hash};
use weituo_verifier::{Said, said};

use crate::errors::texts;
use crate::store::{EntryRow, GarbledRow, Result, Scanned, Store};
use crate::verify::source::{PAGE, ask, spread};

use super::index_of;

/// A row with what its bytes say.
pub(in crate::verify) struct Examined {
    pub(super) row: Row,
    pub(super) read: std::result::Result<Read, EntryError>,
}

/// The row, but for its bytes, with their length and hash.
pub(super) struct Row {
    pub(super) leaf_index: u64,
    pub(super) stream: String,
    pub(super) sequence: u64,
    pub(super) command: [u8; 16],
    /// The leaf hash as stored.
    pub(super) leaf_hash: Hash,
    /// Length of the bytes.
    pub(super) length: usize,
    /// The leaf hash that the bytes have.
    pub(super) computed: Hash,
}

/// Bytes read as an entry.
pub(super) struct Read {
    pub(super) entry: Entry,
    pub(super) said: Said,
    /// Digests of its sealed values.
    pub(super) sealed: Vec<String>,
}

impl Read {
    fn of(bytes: &[u8]) -> std::result::Result<Self, EntryError> {
        let entry = Entry::parse(bytes)?;
        let (said, sealed) = (said(&entry), entry.sealed_digests());
        Ok(Self { entry, said, sealed })
    }
}

impl Examined {
    fn stored(row: EntryRow) -> Self {
        let EntryRow { leaf_index, stream, sequence, command, leaf_hash: stored, body } = row;
        let (length, computed) = (body.len(), leaf_hash(body.as_bytes()));
        let row = Row { leaf_index, stream, sequence, command, leaf_hash: stored, length, computed };
        Self { row, read: Read::of(body.as_bytes()) }
    }

    /// Examines bytes that stand for themselves: the columns are the entry's own. `proven` is the leaf hash that the tree
    /// has, where that is known.
    pub(in crate::verify) fn bytes(leaf_index: u64, bytes: &[u8], proven: Option<Hash>) -> Self {
        let (computed, read) = (leaf_hash(bytes), Read::of(bytes));
        let (stream, sequence, command) = match &read {
            Ok(Read { entry, .. }) => (entry.stream.to_string(), entry.sequence, entry.command.to_bytes()),
            Err(_) => (String::new(), 0, [0; 16]),
        };
        let (length, leaf_hash) = (bytes.len(), proven.unwrap_or(computed));
        Self { row: Row { leaf_index, stream, sequence, command, leaf_hash, length, computed }, read }
    }
}

impl Row {
    /// Returns what is wrong with bytes that are not an entry.
    pub(super) fn unreadable(&self, error: &EntryError) -> Finding {
        let kind = match error {
            EntryError::NotCanonical(_) => FindingKind::NotCanonical,
            _ => FindingKind::BadEntry,
        };
        let (length, computed, (zh, en)) = (self.length, self.computed, texts(error));
        Finding::new(kind, both!("不能作为存证记录读取:{zh}", "{en}")).differing(
            Both::new("原来的记录", "the entry as recorded"),
            both!("{length} 字节,哈希 {computed}", "{length} bytes with leaf hash {computed}"),
        )
    }
}

/// A page of the log, examined.
pub(super) struct Page {
    pub(super) rows: Vec<std::result::Result<Examined, GarbledRow>>,
    /// Where the page after it begins; `None` where no row has a leaf index beyond those before.
    pub(super) next: Option<i64>,
    /// Whether it has as many rows as were asked for.
    pub(super) is_full: bool,
    /// Length of all bodies.
    pub(super) length: usize,
}

impl Page {
    /// Reads the page of the log that begins at a leaf index.
    pub(super) async fn read(store: &dyn Store, from: i64) -> Result<Self> {
        let rows = ask(|| store.scan(from, PAGE)).await?;
        let next = rows.iter().filter_map(index_of).max().and_then(|last| last.checked_add(1));
        let next = next.filter(|next| *next > from);
        let is_full = rows.len() >= PAGE as usize;
        let rows = spread(rows, |scanned| match scanned {
            Scanned::Row(row) => Ok(Examined::stored(row)),
            Scanned::Garbled(garbled) => Err(garbled),
        })
        .await;
        let length = rows.iter().flatten().map(|examined: &Examined| examined.row.length).sum();
        Ok(Self { rows, next, is_full, length })
    }
}
