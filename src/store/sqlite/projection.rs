//! Rows and cursors of projections in SQLite.
//!
//! Invariants: rows and cursor change in one transaction; at most one generation of a name is active.
//! Absent: folds (weituo-projections).

use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use weituo_proof::Both;

use super::read::page;
use super::worker::fault;
use crate::store::types::STRAY_ROWS;
use crate::store::{
    ApplyOutcome, Generation, KeyRange, ProjectionChange, ProjectionRow, Result, StoreError, Which,
};

const WRITING: &str = "writing a projection";

pub(super) fn generations(connection: &Connection, name: &str) -> Result<Vec<Generation>> {
    let sql = "SELECT generation, fold_version, next_leaf, active FROM projection WHERE name = ?1 ORDER BY generation";
    page(connection, sql, [name], |row| {
        Ok(Generation {
            generation: row.get(0)?,
            fold_version: row.get(1)?,
            next_leaf: row.get(2)?,
            active: row.get(3)?,
        })
    })
}

pub(super) fn all_generations(connection: &Connection) -> Result<Vec<(String, Generation)>> {
    let sql =
        "SELECT generation, fold_version, next_leaf, active, name FROM projection ORDER BY name, generation";
    page(connection, sql, [], |row| {
        let generation = Generation {
            generation: row.get(0)?,
            fold_version: row.get(1)?,
            next_leaf: row.get(2)?,
            active: row.get(3)?,
        };
        Ok((row.get(4)?, generation))
    })
}

pub(super) fn stray_rows(connection: &Connection) -> Result<Vec<(String, i64, u64)>> {
    page(connection, STRAY_ROWS, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
}

pub(super) fn start(connection: &mut Connection, name: &str, fold_version: i64) -> Result<i64> {
    in_transaction(connection, |tx| {
        tx.execute(
            "DELETE FROM projection_row WHERE projection = ?1 AND generation IN
             (SELECT generation FROM projection WHERE name = ?1 AND active = 0)",
            [name],
        )?;
        let last: Option<i64> =
            tx.query_row("SELECT max(generation) FROM projection WHERE name = ?1", [name], |row| row.get(0))?;
        tx.execute("DELETE FROM projection WHERE name = ?1 AND active = 0", [name])?;
        let generation = last.unwrap_or(0) + 1;
        tx.execute(
            "INSERT INTO projection (name, generation, fold_version, next_leaf, active) VALUES (?1, ?2, ?3, 0, 0)",
            params![name, generation, fold_version],
        )?;
        Ok(Some(generation))
    })?
    .ok_or_else(|| StoreError::corrupt(Both::new("投影没有开始的一代", "projection: no generation started")))
}

pub(super) fn activate(connection: &mut Connection, generations: &[(String, i64)]) -> Result<ApplyOutcome> {
    let activated = in_transaction(connection, |tx| {
        for (name, generation) in generations {
            for sql in [
                "DELETE FROM projection_row WHERE projection = ?1 AND generation <> ?2",
                "DELETE FROM projection WHERE name = ?1 AND generation <> ?2",
            ] {
                tx.execute(sql, params![name, generation])?;
            }
            let sql = "UPDATE projection SET active = 1 WHERE name = ?1 AND generation = ?2";
            if tx.execute(sql, params![name, generation])? != 1 {
                return Ok(None);
            }
        }
        Ok(Some(()))
    })?;
    Ok(outcome(activated))
}

fn outcome(written: Option<()>) -> ApplyOutcome {
    written.map_or(ApplyOutcome::CursorMoved, |()| ApplyOutcome::Applied)
}

pub(super) fn apply(connection: &mut Connection, changes: &[ProjectionChange]) -> Result<ApplyOutcome> {
    let applied = in_transaction(connection, |tx| {
        for change in changes {
            if !apply_one(tx, change)? {
                return Ok(None);
            }
        }
        Ok(Some(()))
    })?;
    Ok(outcome(applied))
}

fn apply_one(tx: &Transaction<'_>, change: &ProjectionChange) -> rusqlite::Result<bool> {
    let moved = tx
        .prepare_cached(
            "UPDATE projection SET next_leaf = ?1 WHERE name = ?2 AND generation = ?3 AND next_leaf = ?4",
        )?
        .execute(params![change.next_leaf, change.name, change.generation, change.expected_next_leaf])?;
    if moved == 0 {
        return Ok(false);
    }
    let mut delete = tx.prepare_cached(
        "DELETE FROM projection_row WHERE projection = ?1 AND generation = ?2 AND key = ?3",
    )?;
    for key in &change.deletes {
        delete.execute(params![change.name, change.generation, key])?;
    }
    let mut put = tx.prepare_cached(
        "INSERT INTO projection_row (projection, generation, key, body) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (projection, generation, key) DO UPDATE SET body = excluded.body",
    )?;
    for row in &change.puts {
        put.execute(params![change.name, change.generation, row.key, row.body])?;
    }
    Ok(true)
}

pub(super) fn last_key(connection: &Connection, name: &str, generation: i64) -> Result<Option<String>> {
    let sql = "SELECT max(key) FROM projection_row WHERE projection = ?1 AND generation = ?2";
    connection
        .query_row(sql, params![name, generation], |row| row.get(0))
        .map_err(fault("reading a projection"))
}

pub(super) fn get(
    connection: &Connection,
    name: &str,
    which: Which,
    keys: &[String],
) -> Result<Vec<ProjectionRow>> {
    // One snapshot for all keys: a rebuild may switch generations between two of them.
    let snapshot = connection.unchecked_transaction().map_err(fault("reading a projection"))?;
    let sql = "SELECT key, body FROM projection_row WHERE projection = ?1 AND key = ?3 AND generation =
               coalesce(?2, (SELECT generation FROM projection WHERE name = ?1 AND active = 1))";
    let mut found = Vec::new();
    for key in keys {
        found.extend(page(&snapshot, sql, params![name, number(which), key], row)?);
    }
    Ok(found)
}

pub(super) fn rows(
    connection: &Connection,
    name: &str,
    which: Which,
    range: KeyRange<'_>,
) -> Result<Vec<ProjectionRow>> {
    let (from, start) = range.start();
    let sql = format!(
        "SELECT key, body FROM projection_row WHERE projection = ?1 AND generation =
         coalesce(?2, (SELECT generation FROM projection WHERE name = ?1 AND active = 1))
         AND key {from} ?3 ORDER BY key LIMIT ?4"
    );
    let mut found = page(connection, &sql, params![name, number(which), start, range.limit], row)?;
    found.retain(|row| row.key.starts_with(range.prefix));
    Ok(found)
}

fn number(which: Which) -> Option<i64> {
    match which {
        Which::Active => None,
        Which::Generation(generation) => Some(generation),
    }
}

fn row(row: &rusqlite::Row<'_>) -> rusqlite::Result<ProjectionRow> {
    Ok(ProjectionRow { key: row.get(0)?, body: row.get(1)? })
}

/// Runs `write` in an immediate transaction, committed where it answers `Some` and rolled back otherwise.
fn in_transaction<T>(
    connection: &mut Connection,
    write: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<Option<T>>,
) -> Result<Option<T>> {
    let run = || {
        let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let answer = write(&tx)?;
        if answer.is_some() {
            tx.commit()?;
        }
        Ok(answer)
    };
    run().map_err(fault(WRITING))
}
