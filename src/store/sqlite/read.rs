//! Reading the log from SQLite.
//!
//! Invariants: a column that cannot be what a writer stored makes its row `Garbled`, never a panic and never a copy of
//! an oversized value.
//! Absent: checking what the columns say (weituo-proof).

use std::ops::Range;
use std::sync::Arc;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Params, Row, params};
use weituo_proof::{Hash, both};

use super::worker::fault;
use crate::store::types::{MAX_TEXT_BYTES, garbled};
use crate::store::{DisclosureRow, EntryRow, GarbledRow, Result, Scanned, StoreError};

const COLUMNS: &str = "SELECT leaf_index, stream, sequence, command, leaf_hash, body FROM entry";

pub(super) fn scan(connection: &Connection, from: i64, limit: u32) -> Result<Vec<Scanned>> {
    let sql = format!("{COLUMNS} WHERE leaf_index >= ?1 ORDER BY leaf_index LIMIT ?2");
    page(connection, &sql, params![from, limit], scanned)
}

pub(super) fn scan_by_stream(
    connection: &Connection,
    stream: &str,
    sequence: i64,
    limit: u32,
) -> Result<Vec<Scanned>> {
    let sql = format!("{COLUMNS} WHERE (stream, sequence) > (?1, ?2) ORDER BY stream, sequence LIMIT ?3");
    page(connection, &sql, params![stream, sequence, limit], scanned)
}

pub(super) fn stream_rows(
    connection: &Connection,
    stream: &str,
    from: u64,
    limit: u32,
) -> Result<Vec<EntryRow>> {
    let sql = format!("{COLUMNS} WHERE stream = ?1 AND sequence >= ?2 ORDER BY sequence LIMIT ?3");
    whole(page(connection, &sql, params![stream, from, limit], scanned)?)
}

pub(super) fn entry(connection: &Connection, leaf_index: u64) -> Result<Option<EntryRow>> {
    let sql = format!("{COLUMNS} WHERE leaf_index = ?1");
    Ok(whole(page(connection, &sql, params![leaf_index], scanned)?)?.pop())
}

pub(super) fn repeated_commands(connection: &Connection, limit: u32) -> Result<Vec<Vec<u8>>> {
    // Garbage of another type is told by the scan of the log; here only ids count.
    let sql = "SELECT command FROM entry WHERE typeof(command) = 'blob' GROUP BY command HAVING count(*) > 1 LIMIT ?1";
    page(connection, sql, [limit], |row| row.get(0))
}

pub(super) fn leaf_hashes(connection: &Connection, range: Range<u64>) -> Result<Vec<Hash>> {
    let sql = "SELECT leaf_hash FROM entry WHERE leaf_index >= ?1 AND leaf_index < ?2 ORDER BY leaf_index";
    let hashes =
        page(connection, sql, params![range.start, range.end], |row| match row.get_ref(0).map(bytes::<32>) {
            Ok(Ok(hash)) => Ok(Hash(hash)),
            _ => Err(rusqlite::Error::IntegralValueOutOfRange(0, 0)),
        });
    match hashes {
        Ok(hashes) if hashes.len() as u64 == range.end.saturating_sub(range.start) => Ok(hashes),
        Ok(_) | Err(StoreError::Fault { .. }) => {
            let Range { start, end } = range;
            Err(StoreError::corrupt(both!(
                "序号 {start} 至 {end} 之间有叶哈希缺失或不成形",
                "entry: leaf hashes missing or garbled between leaf indexes {start} and {end}"
            )))
        }
        Err(error) => Err(error),
    }
}

pub(super) fn by_command(connection: &Connection, commands: &[[u8; 16]]) -> Result<Vec<EntryRow>> {
    let sql = format!("{COLUMNS} WHERE command = ?1");
    let mut statement = connection.prepare_cached(&sql).map_err(fault("looking up command ids"))?;
    let mut found = Vec::new();
    for command in commands {
        found.extend(
            statement.query_row([command], scanned).optional().map_err(fault("looking up command ids"))?,
        );
    }
    whole(found)
}

pub(super) fn disclosures(connection: &Connection, range: Range<u64>) -> Result<Vec<DisclosureRow>> {
    let sql = "SELECT digest, leaf_index, disclosure FROM disclosure
               WHERE leaf_index >= ?1 AND leaf_index < ?2 ORDER BY leaf_index, digest";
    page(connection, sql, params![range.start, range.end], disclosure)
}

pub(super) fn scan_disclosures(
    connection: &Connection,
    after: &str,
    limit: u32,
) -> Result<Vec<DisclosureRow>> {
    let sql =
        "SELECT digest, leaf_index, disclosure FROM disclosure WHERE digest > ?1 ORDER BY digest LIMIT ?2";
    page(connection, sql, params![after, limit], disclosure)
}

pub(super) fn disclosures_by_digest(
    connection: &Connection,
    digests: &[String],
) -> Result<Vec<DisclosureRow>> {
    let sql = "SELECT digest, leaf_index, disclosure FROM disclosure WHERE digest = ?1";
    let mut found = Vec::new();
    for digest in digests {
        found.extend(page(connection, sql, params![digest], disclosure)?);
    }
    Ok(found)
}

/// Runs a query and maps its rows.
pub(super) fn page<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    map: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>> {
    let mut statement = connection.prepare_cached(sql).map_err(fault("reading"))?;
    let rows = statement.query_map(params, map).map_err(fault("reading"))?;
    rows.collect::<rusqlite::Result<Vec<T>>>().map_err(fault("reading"))
}

fn whole(rows: Vec<Scanned>) -> Result<Vec<EntryRow>> {
    rows.into_iter().map(Scanned::into_row).collect()
}

fn disclosure(row: &Row<'_>) -> rusqlite::Result<DisclosureRow> {
    Ok(DisclosureRow { digest: row.get(0)?, leaf_index: row.get(1)?, disclosure: row.get(2)? })
}

fn scanned(row: &Row<'_>) -> rusqlite::Result<Scanned> {
    let leaf_index = row.get_ref(0)?.as_i64().ok();
    Ok(match checked(row) {
        Ok(row) => Scanned::Row(row),
        Err((column, found)) => Scanned::Garbled(GarbledRow { leaf_index, column, found }),
    })
}

fn checked(row: &Row<'_>) -> std::result::Result<EntryRow, (&'static str, String)> {
    let column = |at: usize, name: &'static str| {
        row.get_ref(at).map_err(|error| (name, error.to_string())).map(|value| (value, name))
    };
    let number = |(value, name): (ValueRef<'_>, &'static str)| match value {
        ValueRef::Integer(number) => u64::try_from(number).map_err(|_| (name, number.to_string())),
        other => Err((name, describe(other))),
    };
    let (command, command_name) = column(3, "command")?;
    let (leaf_hash, leaf_hash_name) = column(4, "leaf_hash")?;
    Ok(EntryRow {
        leaf_index: number(column(0, "leaf_index")?)?,
        stream: text(column(1, "stream")?)?.to_owned(),
        sequence: number(column(2, "sequence")?)?,
        command: bytes(command).map_err(|found| (command_name, found))?,
        leaf_hash: Hash(bytes(leaf_hash).map_err(|found| (leaf_hash_name, found))?),
        body: Arc::from(text(column(5, "body")?)?),
    })
}

fn text<'a>(
    (value, name): (ValueRef<'a>, &'static str),
) -> std::result::Result<&'a str, (&'static str, String)> {
    match value {
        ValueRef::Text(bytes) if bytes.len() <= MAX_TEXT_BYTES => {
            std::str::from_utf8(bytes).map_err(|_| (name, "text that is not UTF-8".to_owned()))
        }
        other => Err((name, describe(other))),
    }
}

fn bytes<const N: usize>(value: ValueRef<'_>) -> std::result::Result<[u8; N], String> {
    match value {
        ValueRef::Blob(bytes) => bytes.try_into().map_err(|_| describe(value)),
        other => Err(describe(other)),
    }
}

fn describe(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "null".to_owned(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(_) => "a float".to_owned(),
        ValueRef::Text(bytes) => garbled("text", bytes.len()),
        ValueRef::Blob(bytes) => garbled("blob", bytes.len()),
    }
}
