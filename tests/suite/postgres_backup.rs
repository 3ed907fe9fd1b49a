//! PostgreSQL's own backups, `pg_dump` and `pg_basebackup`, restored and worked on with the binary.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use weituo::store::StoreOptions;

use crate::support::ledger::{assert_one_history, rows};
use crate::support::postgres::{PrivateServer, fresh_database};
use crate::support::process::{Bench, expect_code, record, registration, text};

/// A restored copy of a ledger, with a copy of its anchor as it was then: so each copy may go on by itself.
struct Restored<'a> {
    bench: &'a Bench,
    url: String,
    anchor: std::path::PathBuf,
}

impl<'a> Restored<'a> {
    fn new(bench: &'a Bench, name: &str, url: String) -> Self {
        let anchor = bench.path(&format!("{name}.anchor"));
        std::fs::copy(bench.path("ledger.anchor"), &anchor).unwrap();
        Self { bench, url, anchor }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = self.bench.command(arguments);
        command.env("WEITUO_LEDGER", &self.url).env("WEITUO_ANCHOR", &self.anchor).output().unwrap()
    }

    /// Asserts that it is the whole ledger, intact against the anchor, and records.
    async fn assert_goes_on(&self) {
        let url = self.url.parse().unwrap();
        let store = weituo::store::open(&url, StoreOptions::default(), false).await.unwrap();
        assert_eq!(rows(&*store).await, rows(&*self.bench.store().await).await, "byte for byte");
        let told = expect_code(&self.run(&["verify"]), 0);
        assert!(told.contains("intact: nothing acknowledged was altered"), "{told}");
        // Known commands are known, new ones are recorded.
        let told = expect_code(&self.run(&["record", "second.in"]), 0);
        assert_eq!(told.matches("\"repeated\":true").count(), 4, "{told}");
        std::fs::write(self.bench.path("third.in"), registration(90).to_string()).unwrap();
        let told = expect_code(&self.run(&["record", "third.in"]), 0);
        assert!(told.contains("\"repeated\":false"), "{told}");
        expect_code(&self.run(&["verify"]), 0);
        assert_one_history(&*store).await;
        store.close().await;
    }

    /// Asserts that it is behind the anchor and only reads, until `recover` has put back the rest.
    async fn assert_recovers(&self) {
        let told = expect_code(&self.run(&["verify"]), 1);
        assert!(told.contains("anchor"), "{told}");
        let told = expect_code(&self.run(&["record", "second.in"]), 2);
        assert!(told.contains("the ledger is read-only") && told.contains("weituo recover"), "{told}");
        expect_code(&self.run(&["recover", "--from", &self.bench.ledger]), 0);
        self.assert_goes_on().await;
    }
}

fn dump(from: &str, to: &Path) {
    let made = Command::new("pg_dump").args(["--no-owner", "-d", from, "-f"]).arg(to).output().unwrap();
    assert!(made.status.success(), "{}", text(&made));
}

/// Loads a dump into an empty database and returns its URL.
async fn load(dump: &Path) -> String {
    let url = fresh_database().await;
    let mut psql = Command::new("psql");
    psql.args(["-q", "-v", "ON_ERROR_STOP=1", "-d", &url, "-f"]).arg(dump).stdout(Stdio::null());
    assert!(psql.status().unwrap().success());
    url
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_restored_from_pg_dump_opens_intact_and_an_older_one_recovers() {
    let bench = Bench::at(tempfile::tempdir().unwrap(), fresh_database().await);
    record(&bench, "first", 1..6);
    // Rows of projections are in the dump, and are right or made again.
    expect_code(&bench.run(&["show", "organisation", "extra-1"]), 0);
    dump(&bench.ledger, &bench.path("old.sql"));
    record(&bench, "second", 6..10);
    dump(&bench.ledger, &bench.path("new.sql"));
    let newest = Restored::new(&bench, "newest", load(&bench.path("new.sql")).await);
    newest.assert_goes_on().await;
    let told = expect_code(&newest.run(&["show", "organisation", "extra-9"]), 0);
    assert!(told.contains("extra-9"), "{told}");
    Restored::new(&bench, "older", load(&bench.path("old.sql")).await).assert_recovers().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_restored_from_pg_basebackup_opens_intact_and_an_older_one_recovers() {
    let (server, url) = PrivateServer::start().await;
    let bench = Bench::at(tempfile::tempdir().unwrap(), url);
    record(&bench, "first", 1..6);
    let mut older = server.base_backup(None);
    record(&bench, "second", 6..10);
    let mut newest = server.base_backup(None);
    older.restart().await;
    newest.restart().await;
    Restored::new(&bench, "newest", newest.url()).assert_goes_on().await;
    Restored::new(&bench, "older", older.url()).assert_recovers().await;
}
