//! Garbage in any column: verification ends, and never says intact.

use std::time::{Duration, Instant};

use weituo_proof::{FindingKind, Verdict};

use super::bench::Bench;
use crate::support::ledger::{Kind, Place};

/// The longest that one verification of the samples may take, on a busy machine and without optimisation.
const LIMIT: Duration = Duration::from_mins(1);

const TABLES: [(&str, &[&str]); 5] = [
    ("entry", &["leaf_index", "stream", "sequence", "command", "leaf_hash", "body"]),
    ("head", &["id", "origin", "size", "root", "seal", "recorded_at"]),
    ("disclosure", &["digest", "leaf_index", "disclosure"]),
    ("projection", &["name", "generation", "fold_version", "next_leaf", "active"]),
    ("projection_row", &["projection", "generation", "key", "body"]),
];

/// Values that no writer stores, as SQL.
const GARBAGE: [&str; 12] = [
    "NULL",
    "CAST(x'ff00fe' AS TEXT)",
    "x''",
    "zeroblob(31)",
    "'NaN'",
    "9e999",
    "-0.0",
    "-1",
    "9223372036854775807",
    "-9223372036854775808",
    "'\u{202e}\u{200b}'",
    "1.5",
];

/// Verifies, and asserts that it ended in time without saying intact.
async fn assert_told(bench: &Bench, what: &str) {
    let started = Instant::now();
    let report = tokio::time::timeout(LIMIT, bench.verify()).await;
    let report = report.unwrap_or_else(|_| panic!("{what}: not verified within {LIMIT:?}"));
    assert!(!report.verdicts.intact.is_yes(), "{what} leaves the verdict intact: {report:#?}");
    assert_ne!(report.exit_code(), 0, "{what}");
    // The schema that lets garbage in is a finding of its own; the garbage has to be told as well.
    let Verdict::No { findings, reasons } = &report.verdicts.intact else { return };
    let told =
        findings.iter().any(|finding| finding.kind != FindingKind::SchemaDiffers) || !reasons.is_empty();
    // The head row's id says nothing: its constraint holds it, and the schema tells a dropped one.
    let told = told || what.starts_with("head.id");
    assert!(told, "{what}: only the schema is told: {report:#?}");
    let told = serde_json::to_string(&report).unwrap().len();
    assert!(told < 4_000_000, "{what}: a report of {told} bytes after {:?}", started.elapsed());
}

/// Replaces the tables by ones of the same columns that take any value.
fn anything_goes(connection: &rusqlite::Connection) {
    connection.execute_batch("DROP VIEW events").unwrap();
    for (table, columns) in TABLES {
        let columns = columns.join(", ");
        connection
            .execute_batch(&format!(
                "CREATE TABLE loose ({columns}); INSERT INTO loose SELECT {columns} FROM {table}; DROP TABLE {table};
                 ALTER TABLE loose RENAME TO {table}"
            ))
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_in_any_column_is_never_intact_on_sqlite() {
    let bench = Bench::new(Place::new(Kind::Sqlite).await).await;
    let path = bench.place.folder.path().join("ledger.db");
    anything_goes(&rusqlite::Connection::open(&path).unwrap());
    let loose = std::fs::read(&path).unwrap();
    for (table, columns) in TABLES {
        for (at, column) in columns.iter().enumerate() {
            // Every value somewhere, and two in every column.
            for value in (0..2).map(|step| GARBAGE[(at * 2 + table.len() + step * 5) % GARBAGE.len()]) {
                for beside in ["db-wal", "db-shm"] {
                    drop(std::fs::remove_file(path.with_extension(beside)));
                }
                std::fs::write(&path, &loose).unwrap();
                let connection = rusqlite::Connection::open(&path).unwrap();
                let sql = format!(
                    "UPDATE {table} SET {column} = {value} WHERE rowid = (SELECT max(rowid) FROM {table})"
                );
                connection.execute_batch(&sql).unwrap();
                drop(connection);
                assert_told(&bench, &format!("{table}.{column} = {value}")).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_in_any_column_is_never_intact_on_postgres() {
    let big = "repeat('x', 100000000)";
    for (table, column, value) in [
        ("entry", "leaf_index", "9223372036854775807"),
        ("entry", "sequence", "9223372036854775807"),
        ("entry", "stream", "''"),
        ("entry", "body", "('\"' || repeat('x', 100000000) || '\"')::json"),
        ("entry", "body", "'1e999'::json"),
        ("entry", "leaf_hash", "''::bytea"),
        ("head", "size", "9223372036854775807"),
        ("head", "root", "'\\x00'::bytea"),
        ("head", "seal", "''::bytea"),
        ("head", "origin", big),
        ("head", "recorded_at", "'NaN'"),
        ("disclosure", "digest", "''"),
        ("disclosure", "leaf_index", "-9223372036854775808"),
        ("disclosure", "disclosure", big),
        ("projection", "next_leaf", "9223372036854775807"),
        ("projection", "generation", "-9223372036854775808"),
        ("projection", "fold_version", "9223372036854775807"),
        ("projection_row", "body", "'[]'::json"),
        ("projection_row", "body", "('\"' || repeat('x', 100000000) || '\"')::json"),
        ("projection_row", "key", "E'\\u202e\\u200b'"),
    ] {
        let bench = Bench::new(Place::new(Kind::Postgres).await).await;
        bench
            .tamper(&format!(
                "DO $$ DECLARE one record; BEGIN
                     FOR one IN SELECT conname FROM pg_constraint WHERE conrelid = '{table}'::regclass AND contype = 'c'
                     LOOP EXECUTE format('ALTER TABLE {table} DROP CONSTRAINT %I', one.conname); END LOOP; END $$;
                 DROP INDEX IF EXISTS entry_stream_sequence;
                 UPDATE {table} SET {column} = {value} WHERE ctid = (SELECT max(ctid) FROM {table})"
            ))
            .await;
        assert_told(&bench, &format!("{table}.{column} = {value}")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_megabytes_in_any_text_column_are_told_in_time_on_sqlite() {
    let bench = Bench::new(Place::new(Kind::Sqlite).await).await;
    let path = bench.place.folder.path().join("ledger.db");
    let whole = std::fs::read(&path).unwrap();
    for (table, column) in [
        ("entry", "stream"),
        ("entry", "body"),
        ("head", "origin"),
        ("head", "recorded_at"),
        ("disclosure", "disclosure"),
        ("projection_row", "key"),
        ("projection_row", "body"),
    ] {
        for beside in ["db-wal", "db-shm"] {
            drop(std::fs::remove_file(path.with_extension(beside)));
        }
        std::fs::write(&path, &whole).unwrap();
        let row = format!("SELECT max({column}) FROM {table}");
        bench
            .tamper(&format!(
                "UPDATE {table} SET {column} = printf('%.*c', 100000000, 'x') WHERE {column} = ({row})"
            ))
            .await;
        let started = Instant::now();
        assert_told(&bench, &format!("{table}.{column} of 100 MB")).await;
        println!("{table}.{column} of 100 MB: told after {:?}", started.elapsed());
    }
}
