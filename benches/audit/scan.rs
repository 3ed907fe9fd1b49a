//! Bare scans of the table of entries: every column of every row, in the order of the log, looked at by nobody.

use std::path::Path;
use std::time::Instant;

use futures_util::TryStreamExt as _;
use sqlx::postgres::PgPoolCopyExt as _;

use crate::measure::Outcome;
use crate::rate;

/// Scans a ledger on SQLite through rusqlite; returns entries a second.
pub(crate) fn sqlite(file: &Path, entries: u64) -> Outcome<f64> {
    let connection = rusqlite::Connection::open(file)?;
    let started = Instant::now();
    let sql = "SELECT leaf_index, stream, sequence, command, leaf_hash, body FROM entry ORDER BY leaf_index";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    let (mut count, mut bytes) = (0, 0);
    while let Some(row) = rows.next()? {
        count += 1;
        for column in [1, 3, 4, 5] {
            bytes += std::hint::black_box(row.get_ref(column)?.as_bytes()?).len();
        }
    }
    let rate = rate(entries, started);
    if count != entries || bytes == 0 {
        return Err(format!("{count} of {entries} rows were scanned").into());
    }
    Ok(rate)
}

/// Copies a ledger out of PostgreSQL in binary form; returns entries a second.
pub(crate) async fn postgres(url: &str, entries: u64) -> Outcome<f64> {
    let pool = sqlx::PgPool::connect(url).await?;
    let started = Instant::now();
    let sql =
        "COPY (SELECT leaf_index, stream, sequence, command, leaf_hash, body FROM entry ORDER BY leaf_index)
               TO STDOUT (FORMAT binary)";
    let mut messages = pool.copy_out_raw(sql).await?;
    // One message a row; the trailer is one more.
    let mut count = 0;
    while let Some(message) = messages.try_next().await? {
        count += u64::from(!std::hint::black_box(message).is_empty());
    }
    let rate = rate(entries, started);
    drop(messages);
    pool.close().await;
    if count < entries {
        return Err(format!("{count} of {entries} rows were copied").into());
    }
    Ok(rate)
}
