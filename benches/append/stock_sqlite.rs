//! Stock cqrs-es and sqlite-es 0.5.0: `sqlite_cqrs` over its default pool, but synchronous=FULL, as every peer here.

use std::path::Path;
use std::sync::Arc;

use sqlite_es::sqlite_cqrs;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use crate::measure::{Outcome, Window, run};
use crate::postgres::Stored;
use crate::rota::{Place, Rota, Shape};
use crate::sample::Sample;
use crate::stock::{Activities, EXPECTED_PER_SECOND, StockClient, stored_event};

/// Connections of `default_sqlite_pool`.
pub(crate) const POOL: u32 = 10;

const TABLE: &str = "CREATE TABLE events (
    aggregate_type text NOT NULL, aggregate_id text NOT NULL, sequence integer CHECK (sequence >= 0) NOT NULL,
    event_type text NOT NULL, event_version text NOT NULL, payload text NOT NULL, metadata text NOT NULL,
    PRIMARY KEY (aggregate_type, aggregate_id, sequence)) STRICT";

/// Measures one number of clients.
pub(crate) async fn measure(folder: &Path, clients: usize, shape: Shape, window: Window) -> Outcome<Sample> {
    let file = folder.join("stock.db");
    let options = SqliteConnectOptions::new()
        .filename(&file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true);
    let pool = SqlitePoolOptions::new().max_connections(POOL).connect_with(options).await?;
    sqlx::query(TABLE).execute(&pool).await?;
    let ready = match shape.existing() {
        0 => usize::MAX,
        existing => fill(&pool, shape, existing, clients, window).await?,
    };
    let framework = Arc::new(sqlite_cqrs::<Activities>(pool.clone(), Vec::new(), ()));
    let rota = Rota::new(shape, 0, ready);
    let clients = (0..clients).map(|_| StockClient::new(&framework, Place::new(&rota))).collect();
    let before = stored(&pool, &file).await?;
    let (measured, _) = run(clients, window, None).await?;
    let after = stored(&pool, &file).await?;
    pool.close().await;
    if after.entries - before.entries != measured.acknowledged {
        return Err(format!(
            "stock: {} events were acknowledged, {} are stored",
            measured.acknowledged,
            after.entries - before.entries
        )
        .into());
    }
    let mut sample = Sample::of(&measured).stored(&after);
    sample.streams_taken_again = rota.taken_again();
    Ok(sample)
}

async fn fill(
    pool: &sqlx::SqlitePool,
    shape: Shape,
    existing: usize,
    clients: usize,
    window: Window,
) -> Outcome<usize> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few thousand events")]
    let events = (window.seconds() * EXPECTED_PER_SECOND) as usize;
    let streams = shape.streams(events, clients);
    sqlx::query(
        "WITH RECURSIVE stream(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM stream WHERE n < ?2 - 1),
         sequence(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM sequence WHERE n < ?3)
         INSERT INTO events SELECT 'agreement', 'agreement/B-' || printf('%07d', stream.n), sequence.n,
         'ActivityRecorded', '1.0', ?1, '{}' FROM stream, sequence",
    )
    .bind(stored_event())
    .bind(i64::try_from(streams)?)
    .bind(i64::try_from(existing)?)
    .execute(pool)
    .await?;
    Ok(streams)
}

async fn stored(pool: &sqlx::SqlitePool, file: &Path) -> Outcome<Stored> {
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(pool).await?;
    let sql = "SELECT count(*), coalesce(sum(octet_length(payload)), 0) FROM events";
    let (entries, body_bytes): (i64, i64) = sqlx::query_as(sql).fetch_one(pool).await?;
    Ok(Stored {
        entries: u64::try_from(entries)?,
        body_bytes: u64::try_from(body_bytes)?,
        total_bytes: std::fs::metadata(file)?.len(),
    })
}
