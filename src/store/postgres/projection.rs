//! Rows and cursors of projections in PostgreSQL.
//!
//! Invariants: rows and cursor change in one transaction; at most one generation of a name is active.
//! Absent: folds (weituo-projections).

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgPool, Row as _};

use super::append::i64_of;
use super::copy;
use crate::store::types::STRAY_ROWS;
use crate::store::{ApplyOutcome, Generation, KeyRange, ProjectionChange, ProjectionRow, Which};

const OF_GENERATION: &str = "projection = $1 AND generation =
    coalesce($2, (SELECT generation FROM projection WHERE name = $1 AND active))";

pub(super) async fn generations(pool: &PgPool, name: &str) -> sqlx::Result<Vec<Generation>> {
    let sql = "SELECT generation, fold_version, next_leaf, active FROM projection WHERE name = $1 ORDER BY generation";
    let rows = sqlx::query(sql).bind(name).fetch_all(pool).await?;
    rows.iter().map(generation).collect()
}

pub(super) async fn all_generations(pool: &PgPool) -> sqlx::Result<Vec<(String, Generation)>> {
    let sql =
        "SELECT generation, fold_version, next_leaf, active, name FROM projection ORDER BY name, generation";
    let rows = sqlx::query(sql).fetch_all(pool).await?;
    rows.iter().map(|row| Ok((row.try_get(4)?, generation(row)?))).collect()
}

fn generation(row: &PgRow) -> sqlx::Result<Generation> {
    let next_leaf: i64 = row.try_get(2)?;
    Ok(Generation {
        generation: row.try_get(0)?,
        fold_version: row.try_get(1)?,
        next_leaf: u64::try_from(next_leaf).map_err(|error| sqlx::Error::Decode(error.into()))?,
        active: row.try_get(3)?,
    })
}

pub(super) async fn stray_rows(pool: &PgPool) -> sqlx::Result<Vec<(String, i64, u64)>> {
    let rows: Vec<(String, i64, i64)> = sqlx::query_as(STRAY_ROWS).fetch_all(pool).await?;
    Ok(rows.into_iter().map(|(name, generation, count)| (name, generation, count.unsigned_abs())).collect())
}

pub(super) async fn start(pool: &PgPool, name: &str, fold_version: i64) -> sqlx::Result<i64> {
    let mut tx = pool.begin().await?;
    // Two processes that start the same projection wait for each other here.
    sqlx::query("SELECT pg_advisory_xact_lock(hashtext($1))").bind(name).execute(&mut *tx).await?;
    let last: Option<i64> = sqlx::query_scalar("SELECT max(generation) FROM projection WHERE name = $1")
        .bind(name)
        .fetch_one(&mut *tx)
        .await?;
    for sql in [
        "DELETE FROM projection_row WHERE projection = $1 AND generation IN
         (SELECT generation FROM projection WHERE name = $1 AND NOT active)",
        "DELETE FROM projection WHERE name = $1 AND NOT active",
    ] {
        sqlx::query(sql).bind(name).execute(&mut *tx).await?;
    }
    let generation = last.unwrap_or(0) + 1;
    sqlx::query(
        "INSERT INTO projection (name, generation, fold_version, next_leaf, active)
         VALUES ($1, $2, $3, 0, false)",
    )
    .bind(name)
    .bind(generation)
    .bind(fold_version)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(generation)
}

pub(super) async fn activate(pool: &PgPool, generations: &[(String, i64)]) -> sqlx::Result<ApplyOutcome> {
    let mut tx = pool.begin().await?;
    for (name, generation) in generations {
        for sql in [
            "DELETE FROM projection_row WHERE projection = $1 AND generation <> $2",
            "DELETE FROM projection WHERE name = $1 AND generation <> $2",
        ] {
            sqlx::query(sql).bind(name).bind(generation).execute(&mut *tx).await?;
        }
        let updated = sqlx::query("UPDATE projection SET active = true WHERE name = $1 AND generation = $2")
            .bind(name)
            .bind(generation)
            .execute(&mut *tx)
            .await?;
        if updated.rows_affected() != 1 {
            tx.rollback().await?;
            return Ok(ApplyOutcome::CursorMoved);
        }
    }
    tx.commit().await?;
    Ok(ApplyOutcome::Applied)
}

pub(super) async fn apply(pool: &PgPool, changes: &[ProjectionChange]) -> sqlx::Result<ApplyOutcome> {
    if changes.iter().any(|change| change.likely_new) {
        match apply_all(pool, changes, true).await {
            // Another process builds the same generation.
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => {}
            applied => return applied,
        }
    }
    apply_all(pool, changes, false).await
}

async fn apply_all(pool: &PgPool, changes: &[ProjectionChange], are_new: bool) -> sqlx::Result<ApplyOutcome> {
    let mut tx = pool.begin().await?;
    for change in changes {
        if !apply_one(&mut tx, change, are_new).await? {
            tx.rollback().await?;
            return Ok(ApplyOutcome::CursorMoved);
        }
    }
    tx.commit().await?;
    Ok(ApplyOutcome::Applied)
}

async fn apply_one(tx: &mut PgConnection, change: &ProjectionChange, are_new: bool) -> sqlx::Result<bool> {
    let moved = sqlx::query(
        "UPDATE projection SET next_leaf = $1 WHERE name = $2 AND generation = $3 AND next_leaf = $4",
    )
    .bind(i64_of(change.next_leaf)?)
    .bind(&change.name)
    .bind(change.generation)
    .bind(i64_of(change.expected_next_leaf)?)
    .execute(&mut *tx)
    .await?;
    if moved.rows_affected() == 0 {
        return Ok(false);
    }
    if !change.deletes.is_empty() {
        sqlx::query(
            "DELETE FROM projection_row WHERE projection = $1 AND generation = $2 AND key = ANY ($3)",
        )
        .bind(&change.name)
        .bind(change.generation)
        .bind(&change.deletes)
        .execute(&mut *tx)
        .await?;
    }
    if are_new && !change.puts.is_empty() {
        copy::new_rows(tx, change).await?;
    } else if !change.puts.is_empty() {
        let (keys, bodies): (Vec<&str>, Vec<&str>) =
            change.puts.iter().map(|row| (row.key.as_str(), row.body.as_str())).unzip();
        sqlx::query(
            "INSERT INTO projection_row (projection, generation, key, body)
             SELECT $1, $2, row.key, row.body::json FROM unnest($3::text[], $4::text[]) AS row (key, body)
             ON CONFLICT (projection, generation, key) DO UPDATE SET body = excluded.body",
        )
        .bind(&change.name)
        .bind(change.generation)
        .bind(keys)
        .bind(bodies)
        .execute(&mut *tx)
        .await?;
    }
    Ok(true)
}

pub(super) async fn last_key(pool: &PgPool, name: &str, generation: i64) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar("SELECT max(key) FROM projection_row WHERE projection = $1 AND generation = $2")
        .bind(name)
        .bind(generation)
        .fetch_one(pool)
        .await
}

pub(super) async fn get(
    pool: &PgPool,
    name: &str,
    which: Which,
    keys: &[String],
) -> sqlx::Result<Vec<ProjectionRow>> {
    let sql = format!("SELECT key, body::text FROM projection_row WHERE {OF_GENERATION} AND key = ANY ($3)");
    let rows = sqlx::query(&sql).bind(name).bind(number(which)).bind(keys).fetch_all(pool).await?;
    rows.iter().map(row).collect()
}

pub(super) async fn rows(
    pool: &PgPool,
    name: &str,
    which: Which,
    range: KeyRange<'_>,
) -> sqlx::Result<Vec<ProjectionRow>> {
    let (from, start) = range.start();
    let sql = format!(
        "SELECT key, body::text FROM projection_row WHERE {OF_GENERATION} AND key {from} $3 ORDER BY key LIMIT $4"
    );
    let rows = sqlx::query(&sql)
        .bind(name)
        .bind(number(which))
        .bind(start)
        .bind(i64::from(range.limit))
        .fetch_all(pool)
        .await?;
    let mut found = rows.iter().map(row).collect::<sqlx::Result<Vec<_>>>()?;
    found.retain(|row| row.key.starts_with(range.prefix));
    Ok(found)
}

fn number(which: Which) -> Option<i64> {
    match which {
        Which::Active => None,
        Which::Generation(generation) => Some(generation),
    }
}

fn row(row: &PgRow) -> sqlx::Result<ProjectionRow> {
    Ok(ProjectionRow { key: row.try_get(0)?, body: row.try_get(1)? })
}
