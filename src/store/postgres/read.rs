//! Reading the log from PostgreSQL.
//!
//! Absent: checking what the columns say (weituo-proof); the binary rows themselves (`copy`).

use std::fmt::Write as _;
use std::ops::Range;

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{PgPool, Row as _};
use weituo_proof::Hash;

use super::append::i64_of;
use super::copy::{entries, page, quoted};
use crate::store::{DisclosureRow, Scanned};

pub(super) async fn scan(pool: &PgPool, from: i64, limit: u32) -> sqlx::Result<Vec<Scanned>> {
    page(pool, format!("WHERE leaf_index >= {from} ORDER BY leaf_index LIMIT {limit}")).await
}

pub(super) async fn scan_by_stream(
    pool: &PgPool,
    stream: &str,
    sequence: i64,
    limit: u32,
) -> sqlx::Result<Vec<Scanned>> {
    let place = quoted(stream);
    let tail =
        format!("WHERE (stream, sequence) > ({place}, {sequence}) ORDER BY stream, sequence LIMIT {limit}");
    page(pool, tail).await
}

pub(super) async fn stream_rows(
    pool: &PgPool,
    stream: &str,
    from: u64,
    limit: u32,
) -> sqlx::Result<Vec<Scanned>> {
    let (stream, from) = (quoted(stream), i64_of(from)?);
    let tail = format!("WHERE stream = {stream} AND sequence >= {from} ORDER BY sequence LIMIT {limit}");
    entries(pool, &tail).await
}

pub(super) async fn entry(pool: &PgPool, leaf_index: u64) -> sqlx::Result<Vec<Scanned>> {
    entries(pool, &format!("WHERE leaf_index = {}", i64_of(leaf_index)?)).await
}

pub(super) async fn by_command(pool: &PgPool, commands: &[[u8; 16]]) -> sqlx::Result<Vec<Scanned>> {
    let mut ids = String::new();
    for command in commands {
        let comma = if ids.is_empty() { "" } else { "," };
        let _ = write!(ids, "{comma}'{}'", uuid::Uuid::from_bytes(*command));
    }
    entries(pool, &format!("WHERE command = ANY (ARRAY[{ids}]::uuid[])")).await
}

pub(super) async fn repeated_commands(
    connection: &mut PgConnection,
    limit: u32,
) -> sqlx::Result<Vec<Vec<u8>>> {
    let sql = "SELECT uuid_send(command) FROM entry GROUP BY command HAVING count(*) > 1 LIMIT $1";
    sqlx::query_scalar(sql).bind(i64::from(limit)).fetch_all(connection).await
}

/// Returns the leaf hashes found in the range; a hash of a wrong length is `None`.
pub(super) async fn leaf_hashes(pool: &PgPool, range: Range<u64>) -> sqlx::Result<Vec<Option<Hash>>> {
    let sql = "SELECT leaf_hash FROM entry WHERE leaf_index >= $1 AND leaf_index < $2 ORDER BY leaf_index";
    let rows = sqlx::query_scalar::<_, Vec<u8>>(sql)
        .bind(i64_of(range.start)?)
        .bind(i64_of(range.end)?)
        .fetch_all(pool)
        .await?;
    Ok(rows.into_iter().map(|bytes| bytes.try_into().ok().map(Hash)).collect())
}

pub(super) async fn disclosures(pool: &PgPool, range: Range<u64>) -> sqlx::Result<Vec<DisclosureRow>> {
    let sql = "SELECT digest, leaf_index, disclosure FROM disclosure
               WHERE leaf_index >= $1 AND leaf_index < $2 ORDER BY leaf_index, digest";
    let rows = sqlx::query(sql).bind(i64_of(range.start)?).bind(i64_of(range.end)?).fetch_all(pool).await?;
    rows.iter().map(disclosure).collect()
}

pub(super) async fn scan_disclosures(
    pool: &PgPool,
    after: &str,
    limit: u32,
) -> sqlx::Result<Vec<DisclosureRow>> {
    let sql =
        "SELECT digest, leaf_index, disclosure FROM disclosure WHERE digest > $1 ORDER BY digest LIMIT $2";
    let rows = sqlx::query(sql).bind(after).bind(i64::from(limit)).fetch_all(pool).await?;
    rows.iter().map(disclosure).collect()
}

pub(super) async fn disclosures_by_digest(
    pool: &PgPool,
    digests: &[String],
) -> sqlx::Result<Vec<DisclosureRow>> {
    let sql = "SELECT digest, leaf_index, disclosure FROM disclosure WHERE digest = ANY ($1)";
    let rows = sqlx::query(sql).bind(digests).fetch_all(pool).await?;
    rows.iter().map(disclosure).collect()
}

fn disclosure(row: &PgRow) -> sqlx::Result<DisclosureRow> {
    let leaf_index: i64 = row.try_get(1)?;
    let leaf_index = u64::try_from(leaf_index).map_err(|error| sqlx::Error::Decode(error.into()))?;
    Ok(DisclosureRow { digest: row.try_get(0)?, leaf_index, disclosure: row.try_get(2)? })
}
