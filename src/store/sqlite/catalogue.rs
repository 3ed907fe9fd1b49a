//! The schema of a SQLite file, and whether its indexes hold what its tables hold.
//!
//! Invariants: the expected schema is made by the migrations themselves, in memory.
//! Absent: rights, which a file does not have.
//! Source: SQLite documentation, "The Schema Table", `PRAGMA integrity_check`.

use rusqlite::Connection;
use weituo_proof::{Both, both};

use super::applied;
use super::read::page;
use super::worker::fault;
use crate::store::Result;
use crate::store::catalogue::{Catalogue, Objects};
use crate::store::schema::{self, MIGRATION_TABLE, SQLITE};
use crate::store::types::MAX_TEXT_BYTES;

/// The text columns by which rows are found.
const KEYS: [(&str, &str); 5] = [
    ("entry", "stream"),
    ("disclosure", "digest"),
    ("projection", "name"),
    ("projection_row", "projection"),
    ("projection_row", "key"),
];

/// Most lines that `integrity_check` is asked for.
const CHECKED_LINES: u32 = 100;

pub(super) fn catalogue(connection: &Connection) -> Result<Catalogue> {
    let current = applied(connection).and_then(|applied| schema::require_current(SQLITE, &applied));
    let mut catalogue = Catalogue::compare(&expected()?, &objects(connection)?, current)?;
    if oversized(connection, &mut catalogue) {
        catalogue.unchecked.push(Both::new(
            "没有比对索引与数据表:有过长的键",
            "the indexes were not compared with their tables: a key is oversized",
        ));
        return Ok(catalogue);
    }
    let lines: Vec<String> =
        page(connection, &format!("PRAGMA integrity_check({CHECKED_LINES})"), [], |row| row.get(0))?;
    for line in lines.iter().filter(|line| *line != "ok") {
        catalogue.differs("contents", "ok (PRAGMA integrity_check)", line);
    }
    Ok(catalogue)
}

/// Tells of keys that no writer stored for their length. SQLite reads a key whole whenever a search passes by it, so
/// comparing each row with its index would read such a one as often as there are rows. Their lengths it knows unread.
fn oversized(connection: &Connection, catalogue: &mut Catalogue) -> bool {
    let before = catalogue.differences.len();
    for (table, column) in KEYS {
        let sql = format!("SELECT count(*) FROM {table} WHERE octet_length({column}) > {MAX_TEXT_BYTES}");
        match connection.query_row(&sql, [], |row| row.get::<_, u64>(0)) {
            Ok(0) => {}
            Ok(rows) => {
                catalogue.differs(
                    &format!("contents of {table}.{column}"),
                    Both::new("至多 1 MiB", "at most 1 MiB"),
                    both!("{rows} 行更长", "{rows} rows of more"),
                );
            }
            // What stands in the way is told by whatever reads the rows themselves.
            Err(error) => tracing::debug!(%error, table, column, "lengths cannot be read"),
        }
    }
    catalogue.differences.len() > before
}

fn expected() -> Result<Objects> {
    let make = || {
        let connection = Connection::open_in_memory()?;
        connection.execute_batch(MIGRATION_TABLE)?;
        for migration in SQLITE {
            connection.execute_batch(migration.sql)?;
        }
        Ok(connection)
    };
    objects(&make().map_err(fault("making the expected schema"))?)
}

fn objects(connection: &Connection) -> Result<Objects> {
    // ANALYZE keeps its numbers in two tables. Text is cast, and what is NULL counts as nothing, since a hostile schema may hold
    // anything.
    let sql = "SELECT printf('%s %s.%s', type, tbl_name, name), coalesce(CAST(sql AS TEXT), 'of its table')
               FROM sqlite_schema WHERE NOT (coalesce(type, '') = 'table' AND coalesce(name, '') IN ('sqlite_stat1', 'sqlite_stat4'))
               AND NOT (coalesce(type, '') IN ('table', 'index') AND coalesce(tbl_name, '') LIKE 'service\\_%' ESCAPE '\\')";
    let rows: Vec<(String, String)> = page(connection, sql, [], |row| {
        let text = |at| -> rusqlite::Result<String> {
            Ok(String::from_utf8_lossy(row.get_ref(at)?.as_bytes()?).into_owned())
        };
        Ok((text(0)?, text(1)?))
    })?;
    Ok(rows.into_iter().collect())
}
