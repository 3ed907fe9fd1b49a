//! Stock cqrs-es and postgres-es 0.5.0: `postgres_cqrs` over a pool, on the table `events` of its documentation.

use std::sync::Arc;

use postgres_es::postgres_cqrs;
use sqlx::postgres::PgPoolOptions;

use crate::measure::{Outcome, Window, as_f64, run};
use crate::postgres::Server;
use crate::rota::{Place, Rota, Shape};
use crate::sample::Sample;
use crate::stock::{Activities, EXPECTED_PER_SECOND, StockClient, stored_event};

const TABLE: &str = "CREATE TABLE events (
    aggregate_type text NOT NULL, aggregate_id text NOT NULL, sequence bigint CHECK (sequence >= 0) NOT NULL,
    event_type text NOT NULL, event_version text NOT NULL, payload json NOT NULL, metadata json NOT NULL,
    PRIMARY KEY (aggregate_type, aggregate_id, sequence))";

/// Measures one number of clients on a pool of one size.
pub(crate) async fn measure(
    server: &Server,
    pool: u32,
    clients: usize,
    shape: Shape,
    window: Window,
) -> Outcome<Sample> {
    let database = server.fresh_database().await?;
    database.execute(TABLE).await?;
    let options = PgPoolOptions::new().max_connections(pool).min_connections(pool);
    let pool = options.connect(&database.url).await?;
    let ready = match shape.existing() {
        0 => usize::MAX,
        existing => fill(&pool, shape, existing, clients, window).await?,
    };
    let framework = Arc::new(postgres_cqrs::<Activities>(pool.clone(), Vec::new(), ()));
    let rota = Rota::new(shape, 0, ready);
    let clients = (0..clients).map(|_| StockClient::new(&framework, Place::new(&rota))).collect();
    database.settle().await?;
    let (before, wal_before) =
        (database.stored("events", "payload", "true").await?, database.wal_bytes().await?);
    let (measured, _) = run(clients, window, Some(database.postmaster())).await?;
    let wal = database.wal_bytes().await? - wal_before;
    let stored = database.stored("events", "payload", "true").await?;
    if stored.entries - before.entries != measured.acknowledged {
        return Err(format!(
            "stock: {} events were acknowledged, {} are stored",
            measured.acknowledged,
            stored.entries - before.entries
        )
        .into());
    }
    pool.close().await;
    database.remove().await?;
    let mut sample = Sample::of(&measured).stored(&stored);
    sample.wal_bytes = Some(as_f64(wal) / as_f64(measured.acknowledged.max(1)));
    sample.streams_taken_again = rota.taken_again();
    Ok(sample)
}

/// Fills streams with events, and returns how many.
async fn fill(
    pool: &sqlx::PgPool,
    shape: Shape,
    existing: usize,
    clients: usize,
    window: Window,
) -> Outcome<usize> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few thousand events")]
    let events = (window.seconds() * EXPECTED_PER_SECOND) as usize;
    let streams = shape.streams(events, clients);
    sqlx::query(
        "INSERT INTO events SELECT 'agreement', 'agreement/B-' || lpad(stream::text, 7, '0'), sequence,
         'ActivityRecorded', '1.0', $1::json, '{}'::json
         FROM generate_series(0, $2 - 1) AS stream, generate_series(1, $3) AS sequence",
    )
    .bind(stored_event())
    .bind(i64::try_from(streams)?)
    .bind(i64::try_from(existing)?)
    .execute(pool)
    .await?;
    // As autovacuum would have done long ago.
    sqlx::query("VACUUM ANALYZE events").execute(pool).await?;
    Ok(streams)
}
