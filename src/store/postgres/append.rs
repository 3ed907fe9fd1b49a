//! Committing to PostgreSQL: one statement on the writer's own connection.
//!
//! Invariants: no lock is held while a batch is prepared, but between `lock_head` and `commit`; a statement whose answer
//! did not arrive is `CommitUnknown`, and its connection is dropped; so is a commit of which the server warns, because its
//! wait for a synchronous standby may have been cancelled.
//! Absent: the choice of what to write (`ledger`).
//! Source: design.md "The append path" step 3.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow};
use sqlx::{Executor as _, Row as _};
use tokio::sync::Mutex;
use weituo_proof::{Hash, both};

use super::connect::{self, fault, is_broken};
use super::warnings::Warnings;
use crate::store::{Batch, CommitOutcome, Head, Result, StoreError, failpoint};

const HEAD: &str = "SELECT origin, size, root, seal, recorded_at FROM head WHERE id = 1";

/// Updates the head where it is the one prepared on.
///
/// Under READ COMMITTED an update that waited for another writer compares the row as that writer left it, so exactly
/// one of two batches prepared on one head passes.
macro_rules! fenced {
    () => {
        "WITH fenced AS (
             UPDATE head SET size = $1, root = $2, seal = $3, recorded_at = $4
             WHERE id = 1 AND size = $5 AND root = $6 AND seal = $7 RETURNING 1
         )"
    };
}

/// Writes the entries if it was.
macro_rules! entries {
    () => {
        "INSERT INTO entry (leaf_index, stream, sequence, command, leaf_hash, body)
         SELECT row.leaf_index, row.stream, row.sequence, row.command, row.leaf_hash, row.body::json
         FROM fenced, unnest($8::bigint[], $9::text[], $10::bigint[], $11::uuid[], $12::bytea[], $13::text[])
              AS row (leaf_index, stream, sequence, command, leaf_hash, body)"
    };
}

/// Commits a batch that is nothing but entries, in one round trip: as most are, and this shape takes the server four
/// fifths of the time that the other does.
const ENTRIES: &str = concat!(fenced!(), entries!());

/// Commits any batch, in one round trip. Affects a row where the fence held, as the other does.
const WHOLE: &str = concat!(
    fenced!(),
    ", entries AS (",
    entries!(),
    "), disclosed AS (
         INSERT INTO disclosure (digest, leaf_index, disclosure)
         SELECT row.digest, row.leaf_index, row.disclosure
         FROM fenced, unnest($14::text[], $15::bigint[], $16::text[]) AS row (digest, leaf_index, disclosure)
     ), erased AS (
         DELETE FROM disclosure WHERE digest = ANY($17::text[]) AND EXISTS (SELECT FROM fenced)
     )
     SELECT FROM fenced"
);

/// The same for a log that does not exist yet: the head row is inserted.
const CREATE: &str = r"
INSERT INTO head (id, origin, size, root, seal, recorded_at) VALUES (1, $1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";

/// The writer's own connection, opened when needed.
#[derive(Debug)]
pub(super) struct Writer {
    options: PgConnectOptions,
    timeout: Duration,
    warnings: Warnings,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    connection: Option<PgConnection>,
    /// Whether the connection is in the transaction that `lock_head` began.
    locked: bool,
}

impl Writer {
    pub(super) fn new(options: PgConnectOptions, timeout: Duration) -> Self {
        Self { options, timeout, warnings: Warnings::new(), state: Mutex::new(State::default()) }
    }

    /// Takes the head row's lock and returns the head.
    pub(super) async fn lock_head(&self) -> Result<Option<Head>> {
        let doing = "taking the head's lock";
        let mut state = self.state.lock().await;
        let mut connection = self.take(&mut state).await?;
        let locked = async {
            connection.execute("BEGIN").await?;
            sqlx::query(&format!("{HEAD} FOR UPDATE")).fetch_optional(&mut connection).await
        };
        match tokio::time::timeout(self.timeout, locked).await {
            // The connection is dropped after an error: the server rolls back.
            Err(_) => Err(StoreError::too_slow(doing, self.timeout)),
            Ok(Err(error)) => Err(fault(doing)(error)),
            Ok(Ok(row)) => {
                let head = row.as_ref().map(read_head).transpose()?;
                *state = State { connection: Some(connection), locked: true };
                Ok(head)
            }
        }
    }

    /// Leaves the transaction that `lock_head` began.
    pub(super) async fn unlock_head(&self) {
        let mut state = self.state.lock().await;
        if std::mem::take(&mut state.locked)
            && let Some(mut connection) = state.connection.take()
            && let Ok(Ok(_)) = tokio::time::timeout(self.timeout, connection.execute("ROLLBACK")).await
        {
            state.connection = Some(connection);
        }
    }

    /// Commits a batch where the head is still the one prepared on.
    pub(super) async fn commit(&self, batch: &Batch) -> Result<CommitOutcome> {
        let mut state = self.state.lock().await;
        let locked = std::mem::take(&mut state.locked);
        let mut connection = match (locked, state.connection.take()) {
            (true, Some(connection)) => connection,
            (_, connection) => {
                state.connection = connection;
                self.take(&mut state).await?
            }
        };
        failpoint::hit("store.before_commit");
        // From here a crash recovers forward: the server commits the statement or it does not, and a start finds the
        // head ahead of the anchor or equal to it.
        let written = self.warnings.during(write(&mut connection, batch, locked));
        let answer = tokio::time::timeout(self.timeout, written).await;
        failpoint::hit("store.after_commit");
        match answer {
            Err(_) => Err(StoreError::CommitUnknown {
                source: format!("no answer within {} ms", self.timeout.as_millis()).into(),
            }),
            Ok((Err(error), _)) if is_broken(&error) => {
                Err(StoreError::CommitUnknown { source: error.into() })
            }
            Ok((Err(error), _)) => {
                // Within a transaction the connection is dropped instead, and the server rolls back.
                if !locked && batch.before.is_some() {
                    state.connection = Some(connection);
                }
                match error.as_database_error().map(sqlx::error::DatabaseError::is_unique_violation) {
                    Some(true) => Ok(CommitOutcome::Duplicate),
                    _ => Err(fault("appending")(error)),
                }
            }
            Ok((Ok(passed), warned)) => {
                state.connection = Some(connection);
                match (passed, warned) {
                    (false, _) => Ok(CommitOutcome::FenceLost),
                    (true, None) => Ok(CommitOutcome::Committed),
                    (true, Some(warning)) => Err(StoreError::CommitUnknown { source: warning.into() }),
                }
            }
        }
    }

    /// Closes the connection.
    pub(super) async fn close(&self) {
        connect::close(self.state.lock().await.connection.take()).await;
    }

    /// Takes the connection out, so that an error or a cancelled call drops it.
    async fn take(&self, state: &mut State) -> Result<PgConnection> {
        state.locked = false;
        match state.connection.take() {
            Some(connection) => Ok(connection),
            None => connect::committing(&self.options, self.timeout, &self.warnings).await,
        }
    }
}

async fn write(connection: &mut PgConnection, batch: &Batch, locked: bool) -> sqlx::Result<bool> {
    let passed = match (&batch.before, locked) {
        (Some(_), false) => statement(connection, batch).await?,
        (Some(_), true) => {
            let passed = statement(connection, batch).await?;
            failpoint::hit("store.written");
            connection.execute(if passed { "COMMIT" } else { "ROLLBACK" }).await?;
            passed
        }
        (None, _) => create(connection, batch, locked).await?,
    };
    Ok(passed)
}

/// Creates the log: the head row and the first entries, in one transaction.
async fn create(connection: &mut PgConnection, batch: &Batch, locked: bool) -> sqlx::Result<bool> {
    if !locked {
        connection.execute("BEGIN").await?;
    }
    let head = &batch.after;
    let inserted = sqlx::query(CREATE)
        .bind(&head.origin)
        .bind(i64_of(head.size)?)
        .bind(head.root.0.as_slice())
        .bind(head.seal.as_slice())
        .bind(&head.recorded_at)
        .execute(&mut *connection)
        .await?;
    if inserted.rows_affected() == 0 {
        connection.execute("ROLLBACK").await?;
        return Ok(false);
    }
    for row in &batch.rows {
        sqlx::query(
            "INSERT INTO entry (leaf_index, stream, sequence, command, leaf_hash, body)
             VALUES ($1, $2, $3, $4, $5, $6::text::json)",
        )
        .bind(i64_of(row.leaf_index)?)
        .bind(&row.stream)
        .bind(i64_of(row.sequence)?)
        .bind(uuid::Uuid::from_bytes(row.command))
        .bind(row.leaf_hash.0.as_slice())
        .bind(&*row.body)
        .execute(&mut *connection)
        .await?;
    }
    for row in &batch.disclosures {
        sqlx::query("INSERT INTO disclosure (digest, leaf_index, disclosure) VALUES ($1, $2, $3)")
            .bind(&row.digest)
            .bind(i64_of(row.leaf_index)?)
            .bind(&row.disclosure)
            .execute(&mut *connection)
            .await?;
    }
    sqlx::query("DELETE FROM disclosure WHERE digest = ANY($1::text[])")
        .bind(&batch.erase)
        .execute(&mut *connection)
        .await?;
    connection.execute("COMMIT").await?;
    Ok(true)
}

async fn statement(connection: &mut PgConnection, batch: &Batch) -> sqlx::Result<bool> {
    let Some(before) = &batch.before else { return Ok(false) };
    let (after, rows) = (&batch.after, &batch.rows);
    let leaf_indexes = rows.iter().map(|row| i64_of(row.leaf_index)).collect::<sqlx::Result<Vec<i64>>>()?;
    let streams: Vec<&str> = rows.iter().map(|row| row.stream.as_str()).collect();
    let sequences = rows.iter().map(|row| i64_of(row.sequence)).collect::<sqlx::Result<Vec<i64>>>()?;
    let commands: Vec<uuid::Uuid> = rows.iter().map(|row| uuid::Uuid::from_bytes(row.command)).collect();
    let leaf_hashes: Vec<&[u8]> = rows.iter().map(|row| row.leaf_hash.0.as_slice()).collect();
    let bodies: Vec<&str> = rows.iter().map(|row| &*row.body).collect();
    // A recovery may have no entry to put back.
    let entries_only = !rows.is_empty() && batch.disclosures.is_empty() && batch.erase.is_empty();
    let mut query = sqlx::query(if entries_only { ENTRIES } else { WHOLE })
        .bind(i64_of(after.size)?)
        .bind(after.root.0.as_slice())
        .bind(after.seal.as_slice())
        .bind(&after.recorded_at)
        .bind(i64_of(before.size)?)
        .bind(before.root.0.as_slice())
        .bind(before.seal.as_slice())
        .bind(leaf_indexes)
        .bind(streams)
        .bind(sequences)
        .bind(commands)
        .bind(leaf_hashes)
        .bind(bodies);
    if !entries_only {
        let rows = &batch.disclosures;
        let leaf_indexes = rows.iter().map(|row| i64_of(row.leaf_index)).collect::<sqlx::Result<Vec<_>>>()?;
        query = query
            .bind(rows.iter().map(|row| row.digest.as_str()).collect::<Vec<_>>())
            .bind(leaf_indexes)
            .bind(rows.iter().map(|row| row.disclosure.as_str()).collect::<Vec<_>>())
            .bind(&batch.erase);
    }
    let stored = query.execute(connection).await?.rows_affected();
    if entries_only && stored > 0 && stored != rows.len() as u64 {
        // A trigger has swallowed some: nothing is acknowledged, and whoever follows finds the hole.
        return Err(sqlx::Error::Protocol(format!("{stored} of {} entries were stored", rows.len())));
    }
    Ok(stored > 0)
}

/// Returns the head row as committed.
pub(super) async fn head(pool: &sqlx::PgPool) -> sqlx::Result<Option<PgRow>> {
    sqlx::query(HEAD).fetch_optional(pool).await
}

/// Reads the columns of the head row.
pub(super) fn read_head(row: &PgRow) -> Result<Head> {
    let column = |name: &str| StoreError::corrupt(both!("首行:{name}", "head row: {name}"));
    let bytes = |name: &str| -> Result<[u8; 32]> {
        row.try_get::<Vec<u8>, _>(name)
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or_else(|| column(name))
    };
    Ok(Head {
        origin: row.try_get("origin").map_err(|_| column("origin"))?,
        size: row
            .try_get::<i64, _>("size")
            .ok()
            .and_then(|size| u64::try_from(size).ok())
            .ok_or_else(|| column("size"))?,
        root: Hash(bytes("root")?),
        seal: bytes("seal")?,
        recorded_at: row.try_get("recorded_at").map_err(|_| column("recorded_at"))?,
    })
}

/// Returns a number as PostgreSQL's bigint.
pub(super) fn i64_of(number: u64) -> sqlx::Result<i64> {
    i64::try_from(number).map_err(|error| sqlx::Error::Encode(error.into()))
}
