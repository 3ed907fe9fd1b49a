//! What passes through the store's seam: rows as they are stored, batches to commit, pages to read.
//!
//! Invariants: an `EntryRow` has columns of the right type and length, and says nothing about whether they agree with
//! the body; a `Batch` carries the head it was prepared on, so that a store can refuse it.
//! Absent: hashing, checking, signing (weituo-proof and `ledger`).
//! Source: design.md "The append path".

use std::sync::Arc;

use weituo_proof::{Hash, both};

use super::StoreError;

/// The one row of `head`: what the writer last committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The log's origin.
    pub origin: String,
    /// Number of entries in the log.
    pub size: u64,
    /// RFC 6962 root hash over them.
    pub root: Hash,
    /// HMAC over origin, size, root and `recorded_at`, 32 bytes (`ledger::seal`).
    pub seal: [u8; 32],
    /// `recorded_at` of the last entry, as the entry spells it.
    pub recorded_at: String,
}

impl Head {
    /// Returns the part of this head that a commit must find unchanged.
    pub fn fence(&self) -> Fence {
        Fence { size: self.size, root: self.root, seal: self.seal }
    }
}

/// What the head row must hold for a batch to be committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fence {
    /// Tree size the batch was prepared on.
    pub size: u64,
    /// Root hash the batch was prepared on.
    pub root: Hash,
    /// Seal the batch was prepared on.
    pub seal: [u8; 32],
}

/// One row of `entry`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryRow {
    /// 0-based place in the log.
    pub leaf_index: u64,
    /// Stream name, not checked.
    pub stream: String,
    /// 1-based place in its stream.
    pub sequence: u64,
    /// The command id's 16 bytes.
    pub command: [u8; 16],
    /// Leaf hash as stored, not checked against the body.
    pub leaf_hash: Hash,
    /// The entry's exact bytes, not checked.
    pub body: Arc<str>,
}

/// A row of `entry` with a column that cannot be what a writer stored: a wrong type, length or range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GarbledRow {
    /// Leaf index column, which may be negative; `None` where that column is the garbled one.
    pub leaf_index: Option<i64>,
    /// Name of the first garbled column.
    pub column: &'static str,
    /// What stands there, in a few words, such as `blob of 31 bytes`.
    pub found: String,
}

/// One row read by a scan. A garbled row is a finding for the reader, not the end of the scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scanned {
    /// Every column has its type and length.
    Row(EntryRow),
    /// One has not.
    Garbled(GarbledRow),
}

/// A disclosure stored beside the log (RFC 9901): who holds it can open the sealed value of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisclosureRow {
    /// base64url SHA-256 of the disclosure, 43 characters.
    pub digest: String,
    /// The entry whose payload holds the digest.
    pub leaf_index: u64,
    /// The disclosure, base64url.
    pub disclosure: String,
}

/// What one commit writes, all or nothing.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The head it was prepared on; `None` creates the log.
    pub before: Option<Fence>,
    /// The head it leaves.
    pub after: Head,
    /// The entries, in order of leaf index; all but a recovery's go from `before.size` up to `after.size`.
    pub rows: Vec<EntryRow>,
    /// Disclosures of these entries.
    pub disclosures: Vec<DisclosureRow>,
    /// Digests of disclosures to delete, because this batch holds their `DisclosureErased`.
    pub erase: Vec<String>,
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitOutcome {
    /// Durable in the database.
    Committed,
    /// The head was not the one prepared on; nothing was written.
    FenceLost,
    /// A command id (or a place in a stream) is already taken; nothing was written. `by_command` tells which.
    Duplicate,
}

/// One generation of a projection's rows. Two exist only while a rebuild runs beside the serving one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// Number of this generation; a later rebuild has a higher one.
    pub generation: i64,
    /// Version of the fold that wrote its rows.
    pub fold_version: i64,
    /// Leaf index of the first entry not yet folded.
    pub next_leaf: u64,
    /// Whether this is the generation that readers see.
    pub active: bool,
}

/// One row of a projection: a key and a JSON body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectionRow {
    /// Key, compared bytewise.
    pub key: String,
    /// JSON text.
    pub body: String,
}

/// Which generation a read is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The one that readers see.
    Active,
    /// This one, for the follower that writes it.
    Generation(i64),
}

/// A page of projection rows, in bytewise order of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyRange<'a> {
    /// Only keys that start with this.
    pub prefix: &'a str,
    /// Only keys after this one; `""` for the first page.
    pub after: &'a str,
    /// At most this many rows.
    pub limit: u32,
}

impl KeyRange<'_> {
    /// Returns where a page starts, as an operator and a key. One bound, because SQLite searches by one only, and would
    /// read every page from the first key on by the other.
    pub(crate) fn start(&self) -> (&'static str, &str) {
        if self.after.is_empty() || self.after < self.prefix {
            (">=", self.prefix)
        } else {
            (">", self.after)
        }
    }
}

/// What a follower writes for one projection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectionChange {
    /// Projection's name.
    pub name: String,
    /// Generation written.
    pub generation: i64,
    /// Cursor the change was computed on; another means that another follower was faster.
    pub expected_next_leaf: u64,
    /// Cursor it leaves.
    pub next_leaf: u64,
    /// Rows to insert or replace.
    pub puts: Vec<ProjectionRow>,
    /// Keys to delete.
    pub deletes: Vec<String>,
    /// Whether the rows are most likely not there yet, which some stores write faster.
    pub likely_new: bool,
}

/// What became of projection changes, all of them together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApplyOutcome {
    /// Rows and cursors are written.
    Applied,
    /// A cursor was not the expected one, or its generation is gone; nothing was written.
    CursorMoved,
}

/// The rows that belong to no generation. The text suits both stores.
pub(crate) const STRAY_ROWS: &str = "
SELECT projection, generation, count(*) FROM projection_row AS one
WHERE NOT EXISTS (SELECT 1 FROM projection AS its WHERE its.name = one.projection AND its.generation = one.generation)
GROUP BY projection, generation ORDER BY projection, generation LIMIT 100";

/// Longest text that a scan copies out of the database: entries are shorter by far, so a longer one is garbled.
pub(crate) const MAX_TEXT_BYTES: usize = 1 << 20;

/// Describes a value of a wrong type or length.
pub(crate) fn garbled(kind: &str, bytes: usize) -> String {
    format!("{kind} of {bytes} bytes")
}

impl Scanned {
    /// Returns the row.
    ///
    /// # Errors
    ///
    /// `Corrupt` where it is garbled.
    pub fn into_row(self) -> Result<EntryRow, StoreError> {
        match self {
            Self::Row(row) => Ok(row),
            Self::Garbled(GarbledRow { leaf_index: Some(at), column, found }) => {
                let what = both!(
                    "序号 {at} 的记录:{column} 为 {found}",
                    "entry at leaf index {at}: {column} is {found}"
                );
                Err(StoreError::corrupt(what))
            }
            Self::Garbled(GarbledRow { column, found, .. }) => Err(StoreError::corrupt(both!(
                "一条记录的 {column} 为 {found}",
                "entry: {column} is {found}"
            ))),
        }
    }
}
