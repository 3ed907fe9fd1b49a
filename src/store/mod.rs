//! The database behind one seam: SQLite or PostgreSQL, with the same tables and the same promises.
//!
//! Invariants: a batch is written whole or not at all, and only on the head it was prepared on; what `commit` reports
//! as committed is durable; a page never holds more than its limit.
//! Absent: hashing, signing, deciding, retrying a lost fence (`ledger`); folds (weituo-projections).
//! Source: design.md "The append path".

mod catalogue;
mod error;
mod events;
pub(crate) mod failpoint;
mod postgres;
mod schema;
mod sqlite;
mod types;
mod url;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use weituo_proof::Hash;

pub use catalogue::{Catalogue, SchemaDifference};
pub use error::StoreError;
pub use events::EventReader;
pub use postgres::PostgresStore;
pub(crate) use schema::NO_LEDGER_HERE;
pub use sqlite::SqliteStore;
pub use types::{
    ApplyOutcome, Batch, CommitOutcome, DisclosureRow, EntryRow, Fence, GarbledRow, Generation, Head,
    KeyRange, ProjectionChange, ProjectionRow, Scanned, Which,
};
pub use url::{LedgerUrl, LedgerUrlError};

/// Result of a call of the store.
pub type Result<T> = std::result::Result<T, StoreError>;

/// Limits of a store's connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreOptions {
    /// A call not answered after this is `Unavailable`, a commit `CommitUnknown`.
    pub timeout: Duration,
    /// How long the head row's lock is waited for, and how long an idle holder keeps it.
    pub lock_timeout: Duration,
    /// Connections for reading.
    pub readers: u32,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(10), lock_timeout: Duration::from_secs(5), readers: 8 }
    }
}

/// The tables of one ledger.
///
/// The head row is the log's only point of contention: whoever updates it where it holds what he prepared on has the
/// fence, and nobody else's batch on the same head can be committed. Reads see committed rows only.
#[async_trait]
pub trait Store: Send + Sync + std::fmt::Debug {
    /// Applies the migrations not yet applied; needs the owner's rights.
    async fn migrate(&self) -> Result<()>;

    /// Refuses a database whose schema is not this program's.
    async fn require_current(&self) -> Result<()>;

    /// Compares the schema with the one that the migrations make, and the indexes with their tables.
    async fn catalogue(&self) -> Result<Catalogue>;

    /// Returns the head row; `None` where no log was created yet.
    async fn head(&self) -> Result<Option<Head>>;

    /// Commits a batch where the head is still `batch.before`, in one statement or one immediate transaction. Between
    /// `lock_head` and this call the lock is held and given back by it, whatever the outcome.
    ///
    /// Durable on return of `Committed`. Any error but `CommitUnknown` means that nothing was written.
    async fn commit(&self, batch: &Arc<Batch>) -> Result<CommitOutcome>;

    /// Takes the head row's lock and returns the head, for a writer that has lost the fence; `commit` or `unlock_head`
    /// gives it back. A holder that is idle for `lock_timeout` loses it (its commit then fails). Taking it also settles
    /// a `CommitUnknown`: it waits for the connection that may still be committing, and what is in the log then is
    /// final.
    async fn lock_head(&self) -> Result<Option<Head>>;

    /// Gives back the lock without committing.
    async fn unlock_head(&self);

    /// Returns when everything read before is as durable as a commit of this process, on a synchronous standby too. Needs
    /// no lock, and may be called while the head's is held. An error means that this is not known yet.
    async fn barrier(&self) -> Result<()>;

    /// Returns up to `limit` rows from `from` on, ordered by leaf index; a page shorter than `limit` is the last.
    async fn scan(&self, from: i64, limit: u32) -> Result<Vec<Scanned>>;

    /// Returns up to `limit` rows after the place `(stream, sequence)`, ordered by stream (bytewise) and sequence; a
    /// page shorter than `limit` is the last. The first page is after `("", 0)`.
    async fn scan_by_stream(&self, after: (&str, i64), limit: u32) -> Result<Vec<Scanned>>;

    /// Returns up to `limit` rows of a stream from sequence `from` on, in order.
    async fn stream_rows(&self, stream: &str, from: u64, limit: u32) -> Result<Vec<EntryRow>>;

    /// Returns the entry at a leaf index.
    async fn entry(&self, leaf_index: u64) -> Result<Option<EntryRow>>;

    /// Returns the stored leaf hashes of a range, all of them, in order.
    async fn leaf_hashes(&self, range: Range<u64>) -> Result<Vec<Hash>>;

    /// Returns those of the command ids that are in the log, in no order.
    async fn by_command(&self, commands: &[[u8; 16]]) -> Result<Vec<EntryRow>>;

    /// Returns command ids that stand in more than one row, at most `limit`, in no order. Reads the whole table or its
    /// index, without a time-out.
    async fn repeated_commands(&self, limit: u32) -> Result<Vec<Vec<u8>>>;

    /// Returns the disclosures of the entries of a range, ordered by leaf index and digest.
    async fn disclosures(&self, range: Range<u64>) -> Result<Vec<DisclosureRow>>;

    /// Returns up to `limit` disclosures after a digest, ordered by digest; the first page is after `""`.
    async fn scan_disclosures(&self, after: &str, limit: u32) -> Result<Vec<DisclosureRow>>;

    /// Returns those of the digests whose disclosures are stored, in no order.
    async fn disclosures_by_digest(&self, digests: &[String]) -> Result<Vec<DisclosureRow>>;

    /// Returns the generations of a projection, oldest first; none where it was never started.
    async fn generations(&self, name: &str) -> Result<Vec<Generation>>;

    /// Returns every generation of every projection with its projection's name, all as of one moment.
    async fn all_generations(&self) -> Result<Vec<(String, Generation)>>;

    /// Returns which rows belong to no generation, counted by projection and generation; at most 100 such groups.
    async fn stray_rows(&self) -> Result<Vec<(String, i64, u64)>>;

    /// Starts a new generation of a projection at leaf 0, dropping any other that readers do not see, and returns its
    /// number. Readers see it once it is activated.
    async fn start_generation(&self, name: &str, fold_version: i64) -> Result<i64>;

    /// Makes generations the ones that readers see and deletes the others of their projections with their rows, all in
    /// one transaction, or nothing where one of them is gone.
    async fn activate_generations(&self, generations: &[(String, i64)]) -> Result<ApplyOutcome>;

    /// Writes rows and cursors of several projections in one transaction, or nothing where a cursor has moved.
    async fn apply_projections(&self, changes: &[ProjectionChange]) -> Result<ApplyOutcome>;

    /// Returns the last key of a generation of a projection, in bytewise order; `None` where it has no rows.
    async fn projection_last_key(&self, name: &str, generation: i64) -> Result<Option<String>>;

    /// Returns those of the keys that a projection has, in no order.
    async fn projection_get(&self, name: &str, which: Which, keys: &[String]) -> Result<Vec<ProjectionRow>>;

    /// Returns a page of a projection's rows, in bytewise order of keys.
    async fn projection_rows(
        &self,
        name: &str,
        which: Which,
        range: KeyRange<'_>,
    ) -> Result<Vec<ProjectionRow>>;

    /// Returns the reader of events as cqrs-es sees them.
    fn events(&self) -> &EventReader;

    /// Lets go of every connection.
    async fn close(&self);
}

/// Opens the store at an address. Connecting is put off to the first call where the driver allows it; `create` makes
/// the SQLite file (PostgreSQL's database must exist).
///
/// # Errors
///
/// `Schema` where there is no file and `create` is false, `Unavailable` or `Fault` from the driver.
pub async fn open(url: &LedgerUrl, options: StoreOptions, create: bool) -> Result<Arc<dyn Store>> {
    match url {
        LedgerUrl::Sqlite(path) => Ok(Arc::new(SqliteStore::open(path, options, create).await?)),
        LedgerUrl::Postgres(url) => Ok(Arc::new(PostgresStore::open(url, options)?)),
    }
}
