//! The raw limit: the database alone, writing the bytes of an entry into a table with one index, like stock's.
//!
//! PostgreSQL: `INSERT … SELECT FROM UNNEST`, a statement prepared once, a connection a client. SQLite: a prepared
//! statement, one transaction for the rows, on one connection.

use std::path::Path;

use sqlx::{Connection as _, PgConnection};

use crate::event::stream_name;
use crate::measure::{Attempt, Client, Outcome, Window, as_f64, run};
use crate::postgres::{Server, Stored};
use crate::sample::Sample;

/// Returns the table, whose types are called `text` and `json` on PostgreSQL.
fn table(text: &str, integer: &str, json: &str) -> String {
    format!(
        "CREATE TABLE raw (aggregate_type {text} NOT NULL, aggregate_id {text} NOT NULL,
         sequence {integer} CHECK (sequence >= 0) NOT NULL, payload {json} NOT NULL,
         PRIMARY KEY (aggregate_type, aggregate_id, sequence))"
    )
}

/// The rows of one client, in streams of ten.
struct Rows {
    client: usize,
    count: usize,
    written: usize,
}

impl Rows {
    /// Returns the stream and sequence of every row of the next batch.
    fn next(&self) -> (Vec<String>, Vec<i64>) {
        let places = (self.written..self.written + self.count).map(|row| {
            let stream = stream_name(self.client * 1_000_000 + row / 10);
            (stream, i64::try_from(row % 10 + 1).unwrap_or(0))
        });
        places.unzip()
    }
}

/// Measures batches of `rows` on PostgreSQL.
pub(crate) async fn measure_postgres(
    server: &Server,
    entry: &str,
    rows: usize,
    clients: usize,
    window: Window,
) -> Outcome<Sample> {
    let database = server.fresh_database().await?;
    database.execute(&table("text", "bigint", "json")).await?;
    let mut all = Vec::with_capacity(clients);
    for client in 0..clients {
        all.push(PostgresClient {
            connection: PgConnection::connect(&database.url).await?,
            rows: Rows { client, count: rows, written: 0 },
            bodies: vec![entry.to_owned(); rows],
        });
    }
    database.settle().await?;
    let wal_before = database.wal_bytes().await?;
    let (measured, clients) = run(all, window, Some(database.postmaster())).await?;
    let wal = database.wal_bytes().await? - wal_before;
    let stored = database.stored("raw", "payload", "true").await?;
    for client in clients {
        client.connection.close().await?;
    }
    if stored.entries != measured.acknowledged {
        return Err(format!("raw: {} rows, {} acknowledged", stored.entries, measured.acknowledged).into());
    }
    database.remove().await?;
    let mut sample = Sample::of(&measured).stored(&stored);
    sample.wal_bytes = Some(as_f64(wal) / as_f64(measured.acknowledged.max(1)));
    Ok(sample)
}

struct PostgresClient {
    connection: PgConnection,
    rows: Rows,
    bodies: Vec<String>,
}

impl Client for PostgresClient {
    async fn append(&mut self) -> Attempt {
        let (streams, sequences) = self.rows.next();
        let inserted = sqlx::query(
            "INSERT INTO raw (aggregate_type, aggregate_id, sequence, payload)
             SELECT 'agreement', row.stream, row.sequence, row.body::json
             FROM unnest($1::text[], $2::bigint[], $3::text[]) AS row (stream, sequence, body)",
        )
        .bind(&streams)
        .bind(&sequences)
        .bind(&self.bodies)
        .execute(&mut self.connection)
        .await;
        match inserted {
            Ok(inserted) => {
                self.rows.written += self.rows.count;
                Attempt::Recorded(inserted.rows_affected())
            }
            Err(error) => Attempt::Failed(error.to_string()),
        }
    }
}

/// Measures batches of `rows` on SQLite, by one client.
pub(crate) async fn measure_sqlite(
    folder: &Path,
    entry: &str,
    rows: usize,
    window: Window,
) -> Outcome<Sample> {
    let file = folder.join("raw.db");
    let connection = rusqlite::Connection::open(&file)?;
    connection.execute_batch(&format!(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; {} STRICT",
        table("TEXT", "INTEGER", "TEXT")
    ))?;
    let rows = Rows { client: 0, count: rows, written: 0 };
    let client = SqliteClient { connection, rows, body: entry.to_owned() };
    let (measured, clients) = run(vec![client], window, None).await?;
    let mut stored = Stored { entries: 0, body_bytes: 0, total_bytes: 0 };
    for client in clients {
        let connection = &client.connection;
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        let sql = "SELECT count(*), coalesce(sum(octet_length(payload)), 0) FROM raw";
        let (entries, body_bytes): (i64, i64) =
            connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        stored.entries += u64::try_from(entries)?;
        stored.body_bytes += u64::try_from(body_bytes)?;
    }
    stored.total_bytes = std::fs::metadata(&file)?.len();
    if stored.entries != measured.acknowledged {
        return Err(format!("raw: {} rows, {} acknowledged", stored.entries, measured.acknowledged).into());
    }
    Ok(Sample::of(&measured).stored(&stored))
}

struct SqliteClient {
    connection: rusqlite::Connection,
    rows: Rows,
    body: String,
}

impl SqliteClient {
    fn transaction(&mut self) -> rusqlite::Result<()> {
        let (streams, sequences) = self.rows.next();
        let tx = self.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        {
            let mut insert = tx.prepare_cached("INSERT INTO raw VALUES ('agreement', ?1, ?2, ?3)")?;
            for (stream, sequence) in streams.iter().zip(sequences) {
                insert.execute(rusqlite::params![stream, sequence, self.body])?;
            }
        }
        tx.commit()
    }
}

impl Client for SqliteClient {
    async fn append(&mut self) -> Attempt {
        match tokio::task::block_in_place(|| self.transaction()) {
            Ok(()) => {
                self.rows.written += self.rows.count;
                Attempt::Recorded(self.rows.count as u64)
            }
            Err(error) => Attempt::Failed(error.to_string()),
        }
    }
}
