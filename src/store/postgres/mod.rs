//! PostgreSQL: any number of processes, one writer connection each, and a pool for reading.
//!
//! Invariants: the writer's connection is its own, and so is the barrier's; a broken pooled connection costs a retry and no error; every call is
//! answered within the time-out or fails.
//! Absent: SQL (append, read, projection), creating the database, TLS settings (the URL's).
//! Source: design.md "The append path".

mod append;
mod barrier;
mod catalogue;
mod connect;
mod copy;
mod projection;
mod read;
mod warnings;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use postgres_es::PostgresEventRepository;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, Executor as _, PgPool, Row as _};
use weituo_proof::{Hash, both};

use self::connect::fault;
pub(super) use self::connect::is_broken;
use super::schema::{self, MIGRATION_TABLE, POSTGRES};
use super::{
    ApplyOutcome, Batch, Catalogue, CommitOutcome, DisclosureRow, EntryRow, EventReader, Generation, Head,
    KeyRange, ProjectionChange, ProjectionRow, Result, Scanned, Store, StoreError, StoreOptions, Which,
};

const READING: &str = "reading";
const WRITING_PROJECTION: &str = "writing a projection";

/// A ledger in a PostgreSQL database.
#[derive(Debug)]
pub struct PostgresStore {
    writer: append::Writer,
    barrier: barrier::Barrier,
    pool: PgPool,
    events: EventReader,
    owner: PgConnectOptions,
    timeout: Duration,
    /// One more than the pool has connections: after a restart of the server each may be broken once.
    attempts: u32,
}

impl PostgresStore {
    /// Prepares the connections; none is opened before it is needed.
    ///
    /// # Errors
    ///
    /// `Fault` where the URL is none.
    pub fn open(url: &str, options: StoreOptions) -> Result<Self> {
        let readers = options.readers.max(1);
        let pool = connect::readers(url, options)?;
        let writer = connect::writer(url, options)?;
        Ok(Self {
            writer: append::Writer::new(writer.clone(), options.timeout),
            barrier: barrier::Barrier::new(writer.clone(), options.timeout),
            events: EventReader::postgres(PostgresEventRepository::new(pool.clone()), readers),
            pool,
            owner: writer,
            timeout: options.timeout,
            attempts: readers + 1,
        })
    }

    /// Lets a role append and read, and nothing else: it cannot update or delete an entry. Called by the owner.
    ///
    /// # Errors
    ///
    /// `Fault` where the role does not exist or the caller is not the owner.
    pub async fn grant_service(&self, role: &str) -> Result<()> {
        let role = format!("\"{}\"", role.replace('"', "\"\""));
        let sql = format!(
            "GRANT SELECT, INSERT ON entry TO {role};
             GRANT SELECT, INSERT, UPDATE ON head TO {role};
             GRANT SELECT, INSERT, DELETE ON disclosure TO {role};
             GRANT SELECT, INSERT, UPDATE, DELETE ON projection, projection_row TO {role};
             GRANT SELECT ON events, migration TO {role};"
        );
        let mut connection = connect::connect(&self.owner, self.timeout).await?;
        connection.execute(sql.as_str()).await.map_err(fault("granting the service's rights"))?;
        connection.close().await.map_err(fault("granting the service's rights"))
    }

    /// Runs a read, again where a pooled connection turned out to be broken, within the time-out.
    async fn read<T, F: Future<Output = sqlx::Result<T>>>(&self, read: impl Fn() -> F) -> Result<T> {
        let attempts = async {
            for _ in 1..self.attempts {
                match read().await {
                    Err(error) if is_broken(&error) => {
                        tracing::info!(%error, "a pooled connection was broken; reading again");
                    }
                    answer => return answer,
                }
            }
            read().await
        };
        self.within(READING, attempts).await
    }

    async fn within<T>(&self, doing: &'static str, call: impl Future<Output = sqlx::Result<T>>) -> Result<T> {
        match tokio::time::timeout(self.timeout, call).await {
            Ok(answer) => answer.map_err(fault(doing)),
            Err(_) => Err(StoreError::too_slow(doing, self.timeout)),
        }
    }

    async fn applied(&self) -> Result<Vec<(i64, String)>> {
        let sql = "SELECT version, checksum FROM migration ORDER BY version";
        let rows = self.read(|| sqlx::query(sql).fetch_all(&self.pool)).await?;
        rows.iter()
            .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
            .collect::<sqlx::Result<_>>()
            .map_err(fault(READING))
    }
}

fn whole(rows: Vec<Scanned>) -> Result<Vec<EntryRow>> {
    rows.into_iter().map(Scanned::into_row).collect()
}

#[async_trait]
impl Store for PostgresStore {
    async fn migrate(&self) -> Result<()> {
        const MIGRATING: &str = "migrating the database";
        let mut connection = connect::connect(&self.owner, self.timeout).await?;
        let mut tx = connection.begin().await.map_err(fault(MIGRATING))?;
        // Two owners migrating at once wait for each other here.
        tx.execute("SELECT pg_advisory_xact_lock(7365218)").await.map_err(fault(MIGRATING))?;
        tx.execute(MIGRATION_TABLE).await.map_err(fault(MIGRATING))?;
        let rows =
            sqlx::query_as::<_, (i64, String)>("SELECT version, checksum FROM migration ORDER BY version");
        let applied = rows.fetch_all(&mut *tx).await.map_err(fault(MIGRATING))?;
        for migration in schema::pending(POSTGRES, &applied)? {
            tx.execute(migration.sql).await.map_err(fault(MIGRATING))?;
            sqlx::query("INSERT INTO migration (version, checksum) VALUES ($1, $2)")
                .bind(migration.version)
                .bind(migration.checksum())
                .execute(&mut *tx)
                .await
                .map_err(fault(MIGRATING))?;
        }
        tx.commit().await.map_err(fault(MIGRATING))
    }

    async fn require_current(&self) -> Result<()> {
        schema::require_current(POSTGRES, &self.applied().await?)
    }

    async fn catalogue(&self) -> Result<Catalogue> {
        let found = self.read(|| catalogue::objects(&self.pool)).await?;
        let release = self.read(|| catalogue::release(&self.pool)).await?;
        // Other releases print definitions in other words: what they print is no evidence.
        let comparable = release == catalogue::EXPECTED_RELEASE;
        let expected = if comparable { catalogue::expected() } else { found.clone() };
        let mut compared = Catalogue::compare(&expected, &found, self.require_current().await)?;
        if !comparable {
            let noted = catalogue::EXPECTED_RELEASE;
            compared.unchecked.push(both!(
                "没有比对结构:应有的结构是在 PostgreSQL {noted} 上记下的,这里是 {release}",
                "the schema was not compared: what it should be was noted on PostgreSQL {noted}, this is {release}"
            ));
        }
        // Its own connection: comparing an index with a large table takes longer than any call of the pool may.
        let mut connection = connect::connect(&self.owner, self.timeout).await?;
        catalogue::check_indexes(&mut connection, &mut compared)
            .await
            .map_err(fault("checking the indexes"))?;
        connection.close().await.map_err(fault("checking the indexes"))?;
        Ok(compared)
    }

    async fn head(&self) -> Result<Option<Head>> {
        self.read(|| append::head(&self.pool)).await?.as_ref().map(append::read_head).transpose()
    }

    async fn commit(&self, batch: &Arc<Batch>) -> Result<CommitOutcome> {
        self.writer.commit(batch).await
    }

    async fn lock_head(&self) -> Result<Option<Head>> {
        self.writer.lock_head().await
    }

    async fn unlock_head(&self) {
        self.writer.unlock_head().await;
    }

    async fn barrier(&self) -> Result<()> {
        let named = "SELECT current_setting('synchronous_standby_names') <> ''";
        if self.read(|| sqlx::query_scalar(named).fetch_one(&self.pool)).await? {
            self.barrier.pass().await?;
        }
        Ok(())
    }

    async fn scan(&self, from: i64, limit: u32) -> Result<Vec<Scanned>> {
        self.read(|| read::scan(&self.pool, from, limit)).await
    }

    async fn scan_by_stream(&self, (stream, sequence): (&str, i64), limit: u32) -> Result<Vec<Scanned>> {
        self.read(|| read::scan_by_stream(&self.pool, stream, sequence, limit)).await
    }

    async fn stream_rows(&self, stream: &str, from: u64, limit: u32) -> Result<Vec<EntryRow>> {
        whole(self.read(|| read::stream_rows(&self.pool, stream, from, limit)).await?)
    }

    async fn entry(&self, leaf_index: u64) -> Result<Option<EntryRow>> {
        Ok(whole(self.read(|| read::entry(&self.pool, leaf_index)).await?)?.pop())
    }

    async fn leaf_hashes(&self, range: Range<u64>) -> Result<Vec<Hash>> {
        let found = self.read(|| read::leaf_hashes(&self.pool, range.clone())).await?;
        let hashes: Option<Vec<Hash>> = found.into_iter().collect();
        match hashes {
            Some(hashes) if hashes.len() as u64 == range.end.saturating_sub(range.start) => Ok(hashes),
            _ => {
                let Range { start, end } = range;
                Err(StoreError::corrupt(both!(
                    "序号 {start} 至 {end} 之间有叶哈希缺失或不成形",
                    "entry: leaf hashes missing or garbled between leaf indexes {start} and {end}"
                )))
            }
        }
    }

    async fn by_command(&self, commands: &[[u8; 16]]) -> Result<Vec<EntryRow>> {
        whole(self.read(|| read::by_command(&self.pool, commands)).await?)
    }

    async fn repeated_commands(&self, limit: u32) -> Result<Vec<Vec<u8>>> {
        const COMPARING: &str = "comparing the command ids";
        // Its own connection: this takes longer on a large table than any call of the pool may.
        let mut connection = connect::connect(&self.owner, self.timeout).await?;
        let found = read::repeated_commands(&mut connection, limit).await.map_err(fault(COMPARING))?;
        connection.close().await.map_err(fault(COMPARING))?;
        Ok(found)
    }

    async fn disclosures(&self, range: Range<u64>) -> Result<Vec<DisclosureRow>> {
        self.read(|| read::disclosures(&self.pool, range.clone())).await
    }

    async fn scan_disclosures(&self, after: &str, limit: u32) -> Result<Vec<DisclosureRow>> {
        self.read(|| read::scan_disclosures(&self.pool, after, limit)).await
    }

    async fn disclosures_by_digest(&self, digests: &[String]) -> Result<Vec<DisclosureRow>> {
        self.read(|| read::disclosures_by_digest(&self.pool, digests)).await
    }

    async fn generations(&self, name: &str) -> Result<Vec<Generation>> {
        self.read(|| projection::generations(&self.pool, name)).await
    }

    async fn all_generations(&self) -> Result<Vec<(String, Generation)>> {
        self.read(|| projection::all_generations(&self.pool)).await
    }

    async fn stray_rows(&self) -> Result<Vec<(String, i64, u64)>> {
        self.read(|| projection::stray_rows(&self.pool)).await
    }

    async fn start_generation(&self, name: &str, fold_version: i64) -> Result<i64> {
        projection::start(&self.pool, name, fold_version).await.map_err(fault(WRITING_PROJECTION))
    }

    async fn activate_generations(&self, generations: &[(String, i64)]) -> Result<ApplyOutcome> {
        projection::activate(&self.pool, generations).await.map_err(fault(WRITING_PROJECTION))
    }

    async fn apply_projections(&self, changes: &[ProjectionChange]) -> Result<ApplyOutcome> {
        self.within(WRITING_PROJECTION, projection::apply(&self.pool, changes)).await
    }

    async fn projection_last_key(&self, name: &str, generation: i64) -> Result<Option<String>> {
        self.read(|| projection::last_key(&self.pool, name, generation)).await
    }

    async fn projection_get(&self, name: &str, which: Which, keys: &[String]) -> Result<Vec<ProjectionRow>> {
        self.read(|| projection::get(&self.pool, name, which, keys)).await
    }

    async fn projection_rows(
        &self,
        name: &str,
        which: Which,
        range: KeyRange<'_>,
    ) -> Result<Vec<ProjectionRow>> {
        self.read(|| projection::rows(&self.pool, name, which, range)).await
    }

    fn events(&self) -> &EventReader {
        &self.events
    }

    async fn close(&self) {
        self.writer.close().await;
        self.barrier.close().await;
        self.pool.close().await;
    }
}
