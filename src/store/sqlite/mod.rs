//! SQLite: one file, one writer thread a process, any number of processes.
//!
//! Invariants: WAL with `synchronous = FULL` for the log, so a commit that returned is on the disk; "database is locked"
//! reaches nobody before `TIMEOUT`; what is deleted is overwritten with zeros.
//! Absent: SQL (append, read, projection), network file systems (WAL needs shared memory).
//! Source: design.md "The append path"; rusqlite writes and scans, sqlx only under sqlite-es.

mod append;
mod catalogue;
mod projection;
mod read;
mod worker;

use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, ErrorCode, OpenFlags, params};
use sqlite_es::SqliteEventRepository;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use weituo_proof::{Hash, both};

use self::worker::{Readers, Worker, fault};
use super::schema::{self, MIGRATION_TABLE, SQLITE};
use super::{
    ApplyOutcome, Batch, Catalogue, CommitOutcome, DisclosureRow, EntryRow, EventReader, Generation, Head,
    KeyRange, ProjectionChange, ProjectionRow, Result, Scanned, Store, StoreError, StoreOptions, Which,
};

/// How long another process's write lock is waited for. SQLite's handler takes a plain function, so this is no option.
const TIMEOUT: Duration = Duration::from_secs(10);
const BUSY_STEP: Duration = Duration::from_millis(1);

/// A ledger in a SQLite file.
#[derive(Debug)]
pub struct SqliteStore {
    /// Writes the log, `synchronous = FULL`.
    log: Worker,
    /// Writes projections, which can be rebuilt: `synchronous = NORMAL`.
    projections: Worker,
    readers: Arc<Readers>,
    pool: sqlx::SqlitePool,
    events: EventReader,
}

impl SqliteStore {
    /// Opens the file, or creates it where `create` says so.
    ///
    /// # Errors
    ///
    /// `Schema` where there is no file and `create` is false; the driver's errors.
    pub async fn open(path: &Path, options: StoreOptions, create: bool) -> Result<Self> {
        let unreadable = |error: std::io::Error| StoreError::Unavailable {
            doing: "opening the database",
            source: format!("{}: {error}", path.display()).into(),
        };
        if !create && !path.try_exists().map_err(unreadable)? {
            let path = path.display();
            return Err(StoreError::Schema {
                what: both!(
                    "{path} 处没有台账:曾有台账的,请运行 `weituo restore 备份`;新建请运行 `weituo init --origin 名称 --bureau 编号`",
                    "there is no ledger at {path}: run `weituo restore BACKUP` where there was one, \
                     `weituo init --origin NAME --bureau ID` for a new one"
                ),
            });
        }
        let file = path.to_owned();
        let readers = options.readers.max(1);
        let opened = tokio::task::spawn_blocking(move || connect_all(&file, create, readers)).await;
        let (log, projections, connections) = opened
            .map_err(|error| StoreError::Fault { doing: "opening the database", source: error.into() })??;
        let pool = SqlitePoolOptions::new().max_connections(readers).connect_lazy_with(
            SqliteConnectOptions::new().filename(path).create_if_missing(false).busy_timeout(TIMEOUT),
        );
        Ok(Self {
            log: Worker::start("weituo-log", log, options.lock_timeout)?,
            projections: Worker::start("weituo-projections", projections, options.lock_timeout)?,
            readers: Arc::new(Readers::new(connections)),
            events: EventReader::Sqlite {
                repository: SqliteEventRepository::new(pool.clone()),
                pool: pool.clone(),
            },
            pool,
        })
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.readers.call(read).await
    }
}

fn connect_all(path: &Path, create: bool, readers: u32) -> Result<(Connection, Connection, Vec<Connection>)> {
    let log = connect(path, create, "FULL")?;
    let projections = connect(path, false, "NORMAL")?;
    let connections = (0..readers).map(|_| connect(path, false, "FULL")).collect::<Result<Vec<_>>>()?;
    Ok((log, projections, connections))
}

fn connect(path: &Path, create: bool, synchronous: &str) -> Result<Connection> {
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if create {
        flags |= OpenFlags::SQLITE_OPEN_CREATE;
    }
    if create {
        // With it the WAL: what is sealed in entries stands open in disclosures, which are for the ledger's own users.
        let made = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o640).open(path);
        if let Err(error) = made {
            tracing::debug!(%error, "the database's file is there, or SQLite says why it cannot be");
        }
    }
    let open = || {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_handler(Some(wait_while_busy))?;
        if let Err(error) = connection.pragma_update(None, "journal_mode", "WAL") {
            return if create { Err(error) } else { read_only(path, error) };
        }
        connection.pragma_update(None, "synchronous", synchronous)?;
        connection.pragma_update(None, "secure_delete", "ON")?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok(connection)
    };
    open().map_err(fault("opening the database"))
}

/// Opens a file that may not be written, or whose folder may not: a backup on a disk that is mounted for reading. SQLite can read it
/// where nobody has it open, which what stands beside it would show.
fn read_only(path: &Path, error: rusqlite::Error) -> rusqlite::Result<Connection> {
    let denied = [ErrorCode::ReadOnly, ErrorCode::CannotOpen].map(Some).contains(&error.sqlite_error_code());
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let is_left = |ending: &str| {
        let beside =
            path.with_file_name(format!("{}{ending}", path.file_name().unwrap_or_default().display()));
        beside.metadata().is_ok_and(|left| left.len() > 0)
    };
    let is_open = is_left("-wal") || is_left("-journal");
    let (true, false, Some(path)) = (denied, is_open, path.to_str()) else { return Err(error) };
    let escaped = path.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    Connection::open_with_flags(format!("file:{escaped}?immutable=1"), flags)
}

fn wait_while_busy(times: i32) -> bool {
    std::thread::sleep(BUSY_STEP);
    u128::try_from(times).is_ok_and(|times| times * BUSY_STEP.as_millis() < TIMEOUT.as_millis())
}

fn applied(connection: &Connection) -> Result<Vec<(i64, String)>> {
    let exists = connection
        .query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'migration'", [], |row| {
            row.get::<_, i64>(0)
        })
        .map_err(fault("reading the schema"))?;
    if exists == 0 {
        return Ok(Vec::new());
    }
    let sql = "SELECT version, checksum FROM migration ORDER BY version";
    read::page(connection, sql, [], |row| Ok((row.get(0)?, row.get(1)?)))
}

fn migrate(connection: &mut Connection) -> Result<()> {
    const MIGRATING: &str = "migrating the database";
    let tx = connection
        .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
        .map_err(fault(MIGRATING))?;
    tx.execute_batch(MIGRATION_TABLE).map_err(fault(MIGRATING))?;
    for migration in schema::pending(SQLITE, &applied(&tx)?)? {
        tx.execute_batch(migration.sql)
            .and_then(|()| {
                tx.execute(
                    "INSERT INTO migration (version, checksum) VALUES (?1, ?2)",
                    params![migration.version, migration.checksum()],
                )
            })
            .map_err(fault(MIGRATING))?;
    }
    tx.commit().map_err(fault(MIGRATING))
}

#[async_trait]
impl Store for SqliteStore {
    async fn migrate(&self) -> Result<()> {
        self.log.call(migrate).await
    }

    async fn require_current(&self) -> Result<()> {
        self.read(|connection| schema::require_current(SQLITE, &applied(connection)?)).await
    }

    async fn catalogue(&self) -> Result<Catalogue> {
        self.read(catalogue::catalogue).await
    }

    async fn head(&self) -> Result<Option<Head>> {
        self.read(append::head).await
    }

    async fn commit(&self, batch: &Arc<Batch>) -> Result<CommitOutcome> {
        let batch = Arc::clone(batch);
        self.log.call(move |connection| append::commit(connection, &batch)).await
    }

    async fn lock_head(&self) -> Result<Option<Head>> {
        self.log.call(|connection| append::lock_head(connection)).await
    }

    async fn unlock_head(&self) {
        let unlocked = self.log.call(|connection| {
            worker::roll_back(connection);
            Ok(())
        });
        if let Err(error) = unlocked.await {
            tracing::debug!(%error, "nothing to unlock");
        }
    }

    async fn barrier(&self) -> Result<()> {
        // There is one file, and a commit is synced before anybody sees it.
        Ok(())
    }

    async fn scan(&self, from: i64, limit: u32) -> Result<Vec<Scanned>> {
        self.read(move |connection| read::scan(connection, from, limit)).await
    }

    async fn scan_by_stream(&self, (stream, sequence): (&str, i64), limit: u32) -> Result<Vec<Scanned>> {
        let stream = stream.to_owned();
        self.read(move |connection| read::scan_by_stream(connection, &stream, sequence, limit)).await
    }

    async fn stream_rows(&self, stream: &str, from: u64, limit: u32) -> Result<Vec<EntryRow>> {
        let stream = stream.to_owned();
        self.read(move |connection| read::stream_rows(connection, &stream, from, limit)).await
    }

    async fn entry(&self, leaf_index: u64) -> Result<Option<EntryRow>> {
        self.read(move |connection| read::entry(connection, leaf_index)).await
    }

    async fn leaf_hashes(&self, range: Range<u64>) -> Result<Vec<Hash>> {
        self.read(move |connection| read::leaf_hashes(connection, range)).await
    }

    async fn by_command(&self, commands: &[[u8; 16]]) -> Result<Vec<EntryRow>> {
        let commands = commands.to_vec();
        self.read(move |connection| read::by_command(connection, &commands)).await
    }

    async fn repeated_commands(&self, limit: u32) -> Result<Vec<Vec<u8>>> {
        self.read(move |connection| read::repeated_commands(connection, limit)).await
    }

    async fn disclosures(&self, range: Range<u64>) -> Result<Vec<DisclosureRow>> {
        self.read(move |connection| read::disclosures(connection, range)).await
    }

    async fn scan_disclosures(&self, after: &str, limit: u32) -> Result<Vec<DisclosureRow>> {
        let after = after.to_owned();
        self.read(move |connection| read::scan_disclosures(connection, &after, limit)).await
    }

    async fn disclosures_by_digest(&self, digests: &[String]) -> Result<Vec<DisclosureRow>> {
        let digests = digests.to_vec();
        self.read(move |connection| read::disclosures_by_digest(connection, &digests)).await
    }

    async fn generations(&self, name: &str) -> Result<Vec<Generation>> {
        let name = name.to_owned();
        self.read(move |connection| projection::generations(connection, &name)).await
    }

    async fn all_generations(&self) -> Result<Vec<(String, Generation)>> {
        self.read(projection::all_generations).await
    }

    async fn stray_rows(&self) -> Result<Vec<(String, i64, u64)>> {
        self.read(projection::stray_rows).await
    }

    async fn start_generation(&self, name: &str, fold_version: i64) -> Result<i64> {
        let name = name.to_owned();
        self.projections.call(move |connection| projection::start(connection, &name, fold_version)).await
    }

    async fn activate_generations(&self, generations: &[(String, i64)]) -> Result<ApplyOutcome> {
        let generations = generations.to_vec();
        self.projections.call(move |connection| projection::activate(connection, &generations)).await
    }

    async fn apply_projections(&self, changes: &[ProjectionChange]) -> Result<ApplyOutcome> {
        let changes = changes.to_vec();
        self.projections.call(move |connection| projection::apply(connection, &changes)).await
    }

    async fn projection_last_key(&self, name: &str, generation: i64) -> Result<Option<String>> {
        let name = name.to_owned();
        self.read(move |connection| projection::last_key(connection, &name, generation)).await
    }

    async fn projection_get(&self, name: &str, which: Which, keys: &[String]) -> Result<Vec<ProjectionRow>> {
        let (name, keys) = (name.to_owned(), keys.to_vec());
        self.read(move |connection| projection::get(connection, &name, which, &keys)).await
    }

    async fn projection_rows(
        &self,
        name: &str,
        which: Which,
        range: KeyRange<'_>,
    ) -> Result<Vec<ProjectionRow>> {
        let (name, prefix, after, limit) =
            (name.to_owned(), range.prefix.to_owned(), range.after.to_owned(), range.limit);
        self.read(move |connection| {
            projection::rows(connection, &name, which, KeyRange { prefix: &prefix, after: &after, limit })
        })
        .await
    }

    fn events(&self) -> &EventReader {
        &self.events
    }

    async fn close(&self) {
        // One after another: of two connections that close at once, each takes the other for a reader that still needs
        // the WAL, and it stays beside the database.
        self.pool.close().await;
        self.readers.close().await;
        self.projections.close().await;
        self.log.close().await;
    }
}
