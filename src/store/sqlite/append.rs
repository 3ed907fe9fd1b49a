//! Committing to SQLite: one immediate transaction a batch.
//!
//! Invariants: the head is compared inside the transaction that writes; after an error the transaction is rolled back.
//! Absent: the choice of what to write (`ledger`).
//! Source: design.md "The append path" step 3.

use rusqlite::{Connection, OptionalExtension, params};
use weituo_proof::{Hash, both};

use super::worker::{fault, roll_back};
use crate::store::failpoint;
use crate::store::{Batch, CommitOutcome, Head, Result, StoreError};

/// Returns the head row.
pub(super) fn head(connection: &Connection) -> Result<Option<Head>> {
    let stored = connection
        .prepare_cached("SELECT origin, size, root, seal, recorded_at FROM head WHERE id = 1")
        .and_then(|mut statement| {
            statement
                .query_row([], |row| {
                    Ok(Head {
                        origin: row.get(0)?,
                        size: row.get(1)?,
                        root: Hash(row.get(2)?),
                        seal: row.get(3)?,
                        recorded_at: row.get(4)?,
                    })
                })
                .optional()
        });
    stored.map_err(|error| match error {
        rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::IntegralValueOutOfRange(..) => {
            StoreError::corrupt(both!("首行:{error}", "head row: {error}"))
        }
        error => fault("reading the head")(error),
    })
}

/// Takes SQLite's write lock, which is the head's lock, and returns the head.
pub(super) fn lock_head(connection: &Connection) -> Result<Option<Head>> {
    roll_back(connection);
    connection.execute_batch("BEGIN IMMEDIATE").map_err(fault("taking the head's lock"))?;
    head(connection).inspect_err(|_| roll_back(connection))
}

/// Commits a batch where the head is still the one prepared on.
pub(super) fn commit(connection: &Connection, batch: &Batch) -> Result<CommitOutcome> {
    if connection.is_autocommit() {
        connection.execute_batch("BEGIN IMMEDIATE").map_err(fault("beginning the append"))?;
    }
    failpoint::hit("store.before_write");
    let fenced = head(connection)?.map(|head| head.fence()) == batch.before;
    let written = if fenced { write(connection, batch) } else { Ok(()) };
    match written {
        Ok(()) if fenced => {
            let outcome = finish(connection)?;
            if !batch.erase.is_empty() {
                empty_wal(connection);
            }
            Ok(outcome)
        }
        Ok(()) => {
            roll_back(connection);
            Ok(CommitOutcome::FenceLost)
        }
        Err(error) => {
            roll_back(connection);
            let taken = error.sqlite_error().is_some_and(|inner| {
                matches!(
                    inner.extended_code,
                    rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE | rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY
                )
            });
            if taken { Ok(CommitOutcome::Duplicate) } else { Err(fault("appending")(error)) }
        }
    }
}

fn finish(connection: &Connection) -> Result<CommitOutcome> {
    failpoint::hit("store.before_commit");
    // From here a crash recovers forward: once the commit record is in the WAL and synced, the batch is in the log,
    // and a start finds the head ahead of the anchor and extends the anchor.
    if let Err(error) = connection.execute_batch("COMMIT") {
        roll_back(connection);
        return match error.sqlite_error_code() {
            // The sync failed: whether the commit record reached the disk is not known.
            Some(rusqlite::ErrorCode::SystemIoFailure) => {
                Err(StoreError::CommitUnknown { source: error.into() })
            }
            _ => Err(fault("committing")(error)),
        };
    }
    failpoint::hit("store.after_commit");
    Ok(CommitOutcome::Committed)
}

/// Moves the WAL into the file and empties it, because it still holds the pages from before an erasure.
fn empty_wal(connection: &Connection) {
    let busy = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0));
    match busy {
        Ok(false) => {}
        // The batch is committed: whatever stands in the way here is no failure of it.
        Ok(true) => {
            tracing::warn!("a reader keeps the WAL: what was erased leaves it when the last process closes");
        }
        Err(error) => {
            tracing::warn!(%error, "the WAL cannot be emptied: what was erased leaves it when the last process closes");
        }
    }
}

fn write(connection: &Connection, batch: &Batch) -> rusqlite::Result<()> {
    let after = &batch.after;
    let head = params![after.origin, after.size, after.root.0, after.seal, after.recorded_at];
    connection
        .prepare_cached(
            "INSERT INTO head (id, origin, size, root, seal, recorded_at) VALUES (1, ?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (id) DO UPDATE SET size = ?2, root = ?3, seal = ?4, recorded_at = ?5",
        )?
        .execute(head)?;
    let mut entry = connection.prepare_cached(
        "INSERT INTO entry (leaf_index, stream, sequence, command, leaf_hash, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for row in &batch.rows {
        let stored = entry.execute(params![
            row.leaf_index,
            row.stream,
            row.sequence,
            row.command,
            row.leaf_hash.0,
            &*row.body
        ])?;
        if stored != 1 {
            // A trigger has swallowed it.
            return Err(rusqlite::Error::StatementChangedRows(stored));
        }
    }
    let mut disclosure = connection
        .prepare_cached("INSERT INTO disclosure (digest, leaf_index, disclosure) VALUES (?1, ?2, ?3)")?;
    for row in &batch.disclosures {
        let stored = disclosure.execute(params![row.digest, row.leaf_index, row.disclosure])?;
        if stored != 1 {
            return Err(rusqlite::Error::StatementChangedRows(stored));
        }
    }
    let mut erase = connection.prepare_cached("DELETE FROM disclosure WHERE digest = ?1")?;
    for digest in &batch.erase {
        erase.execute([digest])?;
    }
    Ok(())
}
