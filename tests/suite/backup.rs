//! `backup` and `restore` on both stores: what they write is verified, and no newer history is written over.

use std::process::Output;

use serde_json::Value;

use crate::support::ledger::{Kind, assert_one_history, rows};
use crate::support::postgres::fresh_database;
use crate::support::process::{Bench, expect_code, record, registration};

/// An empty place of the other or the same kind, beside the same key and anchor.
async fn elsewhere(bench: &Bench, kind: Kind) -> String {
    match kind {
        Kind::Sqlite => format!("sqlite://{}", bench.path("restored/ledger.db").display()),
        Kind::Postgres => fresh_database().await,
    }
}

fn at(bench: &Bench, ledger: &str, arguments: &[&str]) -> Output {
    bench.command(arguments).env("WEITUO_LEDGER", ledger).output().unwrap()
}

async fn backed_up_and_restored(kind: Kind, into: Kind) {
    let bench = Bench::new(kind).await;
    record(&bench, "first", 1..12);
    let log = rows(&*bench.store().await).await;
    expect_code(&bench.run(&["show", "organisation", "extra-1"]), 0);
    let file = bench.path("old.db");
    expect_code(&bench.run(&["backup", "old.db"]), 0);
    assert!(!bench.path("old.db-wal").exists(), "a backup is one file");
    expect_code(&bench.run(&["backup", "old.db"]), 2);
    // A backup verifies by itself, and against the anchor of the ledger it was taken from.
    expect_code(&at(&bench, &format!("sqlite://{}", file.display()), &["verify"]), 0);
    record(&bench, "second", 12..16);
    let newer = rows(&*bench.store().await).await;
    expect_code(&bench.run(&["backup", "new.db"]), 0);
    let place = elsewhere(&bench, into).await;
    // Newer than the backup: the ledger itself, and, in an empty place, the anchor.
    let refused = expect_code(&bench.run(&["restore", "old.db", "--behind-anchor"]), 2);
    assert!(refused.contains("newer than the backup"), "{refused}");
    let refused = expect_code(&at(&bench, &place, &["restore", "old.db"]), 1);
    assert!(refused.contains("nothing was written"), "{refused}");
    expect_code(&at(&bench, &place, &["log"]), 2);
    // With an explicit word it is restored, and only reads.
    expect_code(&at(&bench, &place, &["restore", "old.db", "--behind-anchor"]), 0);
    let mut behind = bench.command(&["record", "second.in"]);
    let refused = expect_code(&behind.env("WEITUO_LEDGER", &place).output().unwrap(), 2);
    assert!(refused.contains("weituo recover"), "{refused}");
    // The newer backup puts back the rest.
    let told = expect_code(&at(&bench, &place, &["restore", "new.db"]), 0);
    assert!(told.contains(&format!("{} entries restored", newer.len() - log.len())), "{told}");
    let url = place.parse().unwrap();
    let store = weituo::store::open(&url, weituo::store::StoreOptions::default(), false).await.unwrap();
    assert_eq!(rows(&*store).await, newer, "byte for byte");
    assert_eq!(store.head().await.unwrap(), bench.store().await.head().await.unwrap());
    assert_eq!(
        store.disclosures(0..100).await.unwrap(),
        bench.store().await.disclosures(0..100).await.unwrap()
    );
    assert_one_history(&*store).await;
    store.close().await;
    // Recording goes on there, and repeated commands are known.
    let mut again = bench.command(&["record", "second.in"]);
    let told = expect_code(&again.env("WEITUO_LEDGER", &place).output().unwrap(), 0);
    assert_eq!(told.matches("\"repeated\":true").count(), 4, "{told}");
    expect_code(&at(&bench, &place, &["verify"]), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sqlite_ledger_is_backed_up_and_restored_byte_for_byte() {
    backed_up_and_restored(Kind::Sqlite, Kind::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_ledger_is_backed_up_and_restored_byte_for_byte() {
    backed_up_and_restored(Kind::Postgres, Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_county_moves_from_sqlite_to_postgres_by_its_backup() {
    backed_up_and_restored(Kind::Sqlite, Kind::Postgres).await;
}

async fn nothing_false_is_copied(kind: Kind) {
    let bench = Bench::new(kind).await;
    record(&bench, "first", 1..5);
    expect_code(&bench.run(&["backup", "good.db"]), 0);
    // An altered backup is restored nowhere.
    std::fs::copy(bench.path("good.db"), bench.path("bad.db")).unwrap();
    let database = rusqlite::Connection::open(bench.path("bad.db")).unwrap();
    database.execute("UPDATE entry SET body = replace(body, '第3', '第9')", []).unwrap();
    drop(database);
    let place = elsewhere(&bench, kind).await;
    let refused = expect_code(&at(&bench, &place, &["restore", "bad.db"]), 1);
    assert!(refused.contains("nothing was written"), "{refused}");
    // Another log's backup is not written over this one.
    let other = Bench::new(kind).await;
    record(&other, "first", 1..9);
    expect_code(&other.run(&["backup", "other.db"]), 0);
    let file = other.path("other.db").display().to_string();
    expect_code(&bench.run(&["restore", &file]), 1);
    expect_code(&bench.run(&["restore", &file, "--behind-anchor"]), 1);
    // An altered ledger gives no backup.
    let edit = "UPDATE disclosure SET disclosure = 'x'";
    match kind {
        Kind::Sqlite => {
            rusqlite::Connection::open(bench.path("ledger.db")).unwrap().execute(edit, []).unwrap();
        }
        Kind::Postgres => {
            use sqlx::Executor as _;
            crate::support::postgres::connect(&bench.ledger).await.execute(edit).await.unwrap();
        }
    }
    expect_code(&bench.run(&["backup", "altered.db"]), 1);
    assert!(!bench.path("altered.db").exists());
    assert!(!bench.path("altered.db.unverified").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_altered_is_backed_up_or_restored_on_sqlite() {
    nothing_false_is_copied(Kind::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_altered_is_backed_up_or_restored_on_postgres() {
    nothing_false_is_copied(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_in_use_is_backed_up() {
    let bench = Bench::new(Kind::Sqlite).await;
    let lines: Vec<Value> = (1..60).map(registration).collect();
    let mut recording = bench.start_recording("busy", &lines, &[]);
    while bench.answers("busy").is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    expect_code(&bench.run(&["backup", "busy.db"]), 0);
    assert!(recording.wait().unwrap().success(), "{}", bench.errors("busy"));
    expect_code(
        &at(&bench, &format!("sqlite://{}", bench.path("restored/ledger.db").display()), &["verify"]),
        2,
    );
}
