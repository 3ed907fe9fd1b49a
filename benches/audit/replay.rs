//! Stock's way to rebuild a view: `QueryReplay` over all events, into `GenericQuery` and `PostgresViewRepository`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use cqrs_es::persist::{GenericQuery, QueryReplay};
use cqrs_es::{EventEnvelope, View};
use postgres_es::{PostgresEventRepository, PostgresViewRepository, default_postgress_pool};
use serde::{Deserialize, Serialize};

use crate::measure::Outcome;
use crate::postgres::Server;
use crate::stock::{Activities, StockEvent, stored_event};
use crate::{SHAPE, rate};

const TABLES: &str = "
CREATE TABLE events (
    aggregate_type text NOT NULL, aggregate_id text NOT NULL, sequence bigint CHECK (sequence >= 0) NOT NULL,
    event_type text NOT NULL, event_version text NOT NULL, payload json NOT NULL, metadata json NOT NULL,
    PRIMARY KEY (aggregate_type, aggregate_id, sequence));
CREATE TABLE activities_view (
    view_id text NOT NULL, version bigint CHECK (version >= 0) NOT NULL, payload json NOT NULL, PRIMARY KEY (view_id))";

/// What a reader sees of a stream.
#[derive(Debug, Default, Serialize, Deserialize)]
struct ActivitiesView {
    count: u64,
    participants: u64,
    last: Option<String>,
}

impl View<Activities> for ActivitiesView {
    fn update(&mut self, event: &EventEnvelope<Activities>) {
        let StockEvent::ActivityRecorded(payload) = &event.payload;
        self.count += 1;
        self.participants += u64::from(payload.participants.unwrap_or(0));
        self.last = payload.ends_on.map(|day| day.to_string());
    }
}

/// Replays so many events on a new database; returns events a second.
pub(crate) async fn measure(server: &Server, events: usize) -> Outcome<f64> {
    let database = server.fresh_database().await?;
    database.execute(TABLES).await?;
    let pool = default_postgress_pool(&database.url).await;
    let streams = (events / SHAPE.existing()).max(1);
    let events = u64::try_from(streams * SHAPE.existing())?;
    sqlx::query(
        "INSERT INTO events SELECT 'agreement', 'agreement/B-' || lpad(stream::text, 7, '0'), sequence,
         'ActivityRecorded', '1.0', $1::json, '{}'::json
         FROM generate_series(0, $2 - 1) AS stream, generate_series(1, $3) AS sequence",
    )
    .bind(stored_event())
    .bind(i64::try_from(streams)?)
    .bind(i64::try_from(SHAPE.existing())?)
    .execute(&pool)
    .await?;
    sqlx::query("VACUUM ANALYZE events").execute(&pool).await?;
    database.settle().await?;
    let views = PostgresViewRepository::<ActivitiesView, Activities>::new("activities_view", pool.clone());
    let mut query = GenericQuery::<_, ActivitiesView, Activities>::new(Arc::new(views));
    let (failures, first) = (Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new(None)));
    let kept = (Arc::clone(&failures), Arc::clone(&first));
    query.use_error_handler(Box::new(move |error| {
        kept.0.fetch_add(1, Ordering::Relaxed);
        kept.1.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error.to_string());
    }));
    let replay = QueryReplay::new(PostgresEventRepository::new(pool.clone()), query);
    let started = Instant::now();
    replay.replay_all().await?;
    let rate = rate(events, started);
    let sql = "SELECT coalesce(sum((payload->>'count')::bigint), 0)::bigint FROM activities_view";
    let folded: i64 = sqlx::query_scalar(sql).fetch_one(&pool).await?;
    pool.close().await;
    database.remove().await?;
    if failures.load(Ordering::Relaxed) > 0 || u64::try_from(folded)? != events {
        let first = first.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default();
        return Err(format!("stock folded {folded} of {events} events: {first}").into());
    }
    Ok(rate)
}
