//! COPY … (FORMAT binary): rows of `entry` read, four times as fast as with the text protocol, and new rows of
//! `projection_row` written.
//!
//! Invariants: a field of a wrong length makes its row `Garbled`, never a panic.
//! Absent: checking what the columns say (weituo-proof), rows that may be there already (`projection`).
//! Source: PostgreSQL manual, COPY, "Binary Format".

use std::sync::Arc;

use futures_util::TryStreamExt as _;
use sqlx::postgres::{PgConnection, PgPoolCopyExt as _};
use weituo_proof::Hash;

use crate::store::types::{MAX_TEXT_BYTES, garbled};
use crate::store::{EntryRow, GarbledRow, ProjectionChange, Scanned};

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";

/// New rows are sent in pieces of about this many bytes.
const SEND_BYTES: usize = 64 << 10;

/// The columns, in the order in which `row` reads them.
const COLUMNS: &str = "leaf_index, stream, sequence, command, leaf_hash, body";

/// The same as [`entries`] for many rows, as a task of its own: whoever reads ahead judges the page before meanwhile.
pub(super) async fn page(pool: &sqlx::PgPool, tail: String) -> sqlx::Result<Vec<Scanned>> {
    let pool = pool.clone();
    let reading = tokio::spawn(async move { entries(&pool, &tail).await });
    reading.await.map_err(|error| sqlx::Error::Io(error.into()))?
}

/// Returns the rows that `SELECT … FROM entry` with this tail finds.
pub(super) async fn entries(pool: &sqlx::PgPool, tail: &str) -> sqlx::Result<Vec<Scanned>> {
    let sql = format!("COPY (SELECT {COLUMNS} FROM entry {tail}) TO STDOUT (FORMAT binary)");
    let mut messages = pool.copy_out_raw(&sql).await?;
    let mut rows = Vec::new();
    let mut buffer: Vec<u8> = Vec::new();
    let mut header_read = false;
    while let Some(message) = messages.try_next().await? {
        // The server sends one message a row, the header with the first; the buffer serves any other division.
        let mut rest: &[u8] = if buffer.is_empty() {
            &message
        } else {
            buffer.extend_from_slice(&message);
            &buffer
        };
        if !header_read {
            let Some(after) = skip_header(rest)? else {
                buffer = rest.to_vec();
                continue;
            };
            (rest, header_read) = (after, true);
        }
        while let Some((row, after)) = tuple(rest)? {
            rows.extend(row);
            rest = after;
        }
        buffer = rest.to_vec();
    }
    Ok(rows)
}

/// Writes a change's rows, none of which is there yet.
///
/// # Errors
/// A unique violation where one is there; the transaction is lost then.
pub(super) async fn new_rows(tx: &mut PgConnection, change: &ProjectionChange) -> sqlx::Result<()> {
    let sql = "COPY projection_row (projection, generation, key, body) FROM STDIN (FORMAT binary)";
    let mut copy = tx.copy_in_raw(sql).await?;
    let mut bytes = Vec::with_capacity(2 * SEND_BYTES);
    bytes.extend_from_slice(SIGNATURE);
    // No flags, no extension.
    bytes.extend_from_slice(&[0; 8]);
    for row in &change.puts {
        bytes.extend_from_slice(&4_i16.to_be_bytes());
        field(&mut bytes, change.name.as_bytes())?;
        field(&mut bytes, &change.generation.to_be_bytes())?;
        field(&mut bytes, row.key.as_bytes())?;
        field(&mut bytes, row.body.as_bytes())?;
        if bytes.len() >= SEND_BYTES {
            copy.send(bytes.as_slice()).await?;
            bytes.clear();
        }
    }
    bytes.extend_from_slice(&(-1_i16).to_be_bytes());
    copy.send(bytes).await?;
    copy.finish().await.map(drop)
}

fn field(bytes: &mut Vec<u8>, value: &[u8]) -> sqlx::Result<()> {
    let length = i32::try_from(value.len()).map_err(|error| sqlx::Error::Encode(error.into()))?;
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(value);
    Ok(())
}

/// Quotes a text for a statement that takes no parameters (`standard_conforming_strings` is on by default).
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\0', "").replace('\'', "''"))
}

fn skip_header(bytes: &[u8]) -> sqlx::Result<Option<&[u8]>> {
    if bytes.len() < SIGNATURE.len() + 8 {
        return Ok(None);
    }
    let Some(rest) = bytes.strip_prefix(SIGNATURE) else { return Err(protocol("no COPY signature")) };
    let extension = usize::try_from(u32::from_be_bytes([rest[4], rest[5], rest[6], rest[7]]))
        .map_err(|_| protocol("COPY header"))?;
    Ok(rest.get(8 + extension..))
}

type Tuple<'a> = Option<(Option<Scanned>, &'a [u8])>;

/// Reads one tuple; `None` where the bytes end within it. The trailer is a tuple without a row.
fn tuple(bytes: &[u8]) -> sqlx::Result<Tuple<'_>> {
    let Some((count, mut rest)) = bytes.split_first_chunk::<2>() else { return Ok(None) };
    match i16::from_be_bytes(*count) {
        -1 => return Ok(Some((None, rest))),
        6 => {}
        other => return Err(protocol(&format!("a COPY tuple of {other} fields"))),
    }
    let mut fields: [Option<&[u8]>; 6] = [None; 6];
    for field in &mut fields {
        let Some((length, after)) = rest.split_first_chunk::<4>() else { return Ok(None) };
        let length = i32::from_be_bytes(*length);
        let Ok(length) = usize::try_from(length) else {
            rest = after;
            continue;
        };
        let Some((value, after)) = after.split_at_checked(length) else { return Ok(None) };
        (*field, rest) = (Some(value), after);
    }
    let leaf_index = fields[0].and_then(|value| value.try_into().ok()).map(i64::from_be_bytes);
    let row = match checked(fields) {
        Ok(row) => Scanned::Row(row),
        Err((column, found)) => Scanned::Garbled(GarbledRow { leaf_index, column, found }),
    };
    Ok(Some((Some(row), rest)))
}

fn checked(
    [leaf_index, stream, sequence, command, leaf_hash, body]: [Option<&[u8]>; 6],
) -> Result<EntryRow, (&'static str, String)> {
    Ok(EntryRow {
        leaf_index: number(leaf_index, "leaf_index")?,
        stream: text(stream, "stream")?.to_owned(),
        sequence: number(sequence, "sequence")?,
        command: fixed(command, "command")?,
        leaf_hash: Hash(fixed(leaf_hash, "leaf_hash")?),
        body: Arc::from(text(body, "body")?),
    })
}

fn number(value: Option<&[u8]>, name: &'static str) -> Result<u64, (&'static str, String)> {
    let number = i64::from_be_bytes(fixed(value, name)?);
    u64::try_from(number).map_err(|_| (name, number.to_string()))
}

fn fixed<const N: usize>(
    value: Option<&[u8]>,
    name: &'static str,
) -> Result<[u8; N], (&'static str, String)> {
    let value = value.ok_or_else(|| (name, "null".to_owned()))?;
    value.try_into().map_err(|_| (name, garbled("value", value.len())))
}

fn text<'a>(value: Option<&'a [u8]>, name: &'static str) -> Result<&'a str, (&'static str, String)> {
    let value = value.ok_or_else(|| (name, "null".to_owned()))?;
    if value.len() > MAX_TEXT_BYTES {
        return Err((name, garbled("text", value.len())));
    }
    std::str::from_utf8(value).map_err(|_| (name, "text that is not UTF-8".to_owned()))
}

fn protocol(what: &str) -> sqlx::Error {
    sqlx::Error::Protocol(what.to_owned())
}
