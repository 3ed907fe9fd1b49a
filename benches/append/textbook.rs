//! The hash chain of the textbooks, on PostgreSQL: lock the last hash, hash, insert, move the last hash, commit; one
//! transaction an event.

use sha2::{Digest as _, Sha256};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use crate::event::{json, payload, school, stream_name};
use crate::measure::{Attempt, Client, Outcome, Window, as_f64, run};
use crate::postgres::Server;
use crate::rota::{Place, Rota, Shape};
use crate::sample::Sample;

/// Connections of the pool.
pub(crate) const POOL: u32 = 64;

/// The last hash has a row of its own: with `ORDER BY id DESC LIMIT 1 FOR UPDATE` on the chain itself, whoever waited
/// would go on from the row that was the last before.
const TABLES: &str = "
CREATE TABLE chain (id bigint PRIMARY KEY, stream text NOT NULL, payload json NOT NULL, hash bytea NOT NULL);
CREATE TABLE last_hash (one integer PRIMARY KEY CHECK (one = 1), id bigint NOT NULL, hash bytea NOT NULL);
INSERT INTO last_hash VALUES (1, 0, decode(repeat('00', 32), 'hex'))";

/// Measures one number of clients.
pub(crate) async fn measure(server: &Server, clients: usize, window: Window) -> Outcome<Sample> {
    let database = server.fresh_database().await?;
    database.execute(TABLES).await?;
    let pool = PgPoolOptions::new().max_connections(POOL).min_connections(POOL);
    let pool = pool.connect(&database.url).await?;
    let rota = Rota::new(Shape::Short, 0, usize::MAX);
    let clients = (0..clients).map(|_| TextbookClient::new(&pool, &rota)).collect();
    database.settle().await?;
    let wal_before = database.wal_bytes().await?;
    let (measured, _) = run(clients, window, Some(database.postmaster())).await?;
    let wal = database.wal_bytes().await? - wal_before;
    let linked = check(&pool).await?;
    if linked != measured.acknowledged {
        return Err(format!("textbook: {linked} rows, {} acknowledged", measured.acknowledged).into());
    }
    let stored = database.stored("chain", "payload", "true").await?;
    pool.close().await;
    database.remove().await?;
    let mut sample = Sample::of(&measured).stored(&stored);
    sample.wal_bytes = Some(as_f64(wal) / as_f64(measured.acknowledged.max(1)));
    Ok(sample)
}

fn link(prev: &[u8], id: i64, stream: &str, payload: &str) -> Vec<u8> {
    let hash = Sha256::new().chain_update(prev).chain_update(id.to_be_bytes());
    hash.chain_update(stream).chain_update([0]).chain_update(payload).finalize().to_vec()
}

/// Recomputes the chain, so that what was measured is one.
async fn check(pool: &PgPool) -> Outcome<u64> {
    let sql = "SELECT id, stream, payload::text, hash FROM chain ORDER BY id";
    let rows: Vec<(i64, String, String, Vec<u8>)> = sqlx::query_as(sql).fetch_all(pool).await?;
    let mut prev = vec![0; 32];
    for (id, stream, payload, hash) in &rows {
        if link(&prev, *id, stream, payload) != *hash {
            return Err(format!("textbook: the chain breaks at {id}").into());
        }
        prev.clone_from(hash);
    }
    Ok(rows.len() as u64)
}

struct TextbookClient {
    pool: PgPool,
    place: Place,
    number: u32,
    pending: Option<(String, String)>,
}

impl TextbookClient {
    fn new(pool: &PgPool, rota: &std::sync::Arc<Rota>) -> Self {
        Self { pool: pool.clone(), place: Place::new(rota), number: 0, pending: None }
    }

    fn next(&mut self) -> (String, String) {
        let stream = self.place.next();
        self.number += 1;
        let school = school(stream).expect("invariant: digits make an id");
        (stream_name(stream), json(&payload(&school, self.number)))
    }

    async fn transaction(&self, stream: &str, payload: &str) -> sqlx::Result<()> {
        let mut tx = self.pool.begin().await?;
        let (id, prev): (i64, Vec<u8>) =
            sqlx::query_as("SELECT id, hash FROM last_hash ORDER BY one LIMIT 1 FOR UPDATE")
                .fetch_one(&mut *tx)
                .await?;
        let id = id + 1;
        let hash = link(&prev, id, stream, payload);
        sqlx::query("INSERT INTO chain (id, stream, payload, hash) VALUES ($1, $2, $3::text::json, $4)")
            .bind(id)
            .bind(stream)
            .bind(payload)
            .bind(&hash)
            .execute(&mut *tx)
            .await?;
        sqlx::query("UPDATE last_hash SET id = $1, hash = $2").bind(id).bind(&hash).execute(&mut *tx).await?;
        tx.commit().await
    }
}

impl Client for TextbookClient {
    async fn append(&mut self) -> Attempt {
        let (stream, payload) = self.pending.take().unwrap_or_else(|| self.next());
        match self.transaction(&stream, &payload).await {
            Ok(()) => Attempt::Recorded(1),
            Err(error) => {
                self.pending = Some((stream, payload));
                Attempt::Failed(error.to_string())
            }
        }
    }
}
