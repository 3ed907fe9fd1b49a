//! A ledger with the sample cycles and built projections, prepared once for each store and copied for each test.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

use tokio::sync::OnceCell;
use weituo::follower::Follower;
use weituo::ledger::Beside;
use weituo::recorder::Recorder;
use weituo::store::{EntryRow, Head, LedgerUrl, Store};
use weituo::verify::{OutsideCheckpoint, Report, VerifyOptions, verify};
use weituo_proof::{Both, Finding, FindingKind, Frontier, Hash, Language, LeafIndex, SigningKey, leaf_hash};

use crate::support::commands::{CYCLES, new_recorder, record_lines};
use crate::support::ledger::{Kind, Place, rows};
use crate::support::postgres::connect;
use crate::support::verdict::in_both_languages;

/// What a copy is made of. `early` and `older` are of the log after two of the four cycles.
struct Prepared {
    key: Vec<u8>,
    anchor: Vec<u8>,
    older_anchor: Vec<u8>,
    early: String,
    whole: Stored,
    older: Stored,
}

/// One database at rest: a SQLite file's bytes, or the name of a PostgreSQL database that is copied as a template.
enum Stored {
    File(Vec<u8>),
    Template(String),
}

static SQLITE: OnceCell<Prepared> = OnceCell::const_new();
static POSTGRES: OnceCell<Prepared> = OnceCell::const_new();

async fn prepared(kind: Kind) -> &'static Prepared {
    match kind {
        Kind::Sqlite => SQLITE.get_or_init(|| prepare(kind)).await,
        Kind::Postgres => POSTGRES.get_or_init(|| prepare(kind)).await,
    }
}

async fn prepare(kind: Kind) -> Prepared {
    let place = Place::new(kind).await;
    let recorder = new_recorder(&place).await;
    for (_, lines) in &CYCLES[..2] {
        record_lines(&recorder, lines).await;
    }
    recorder.ledger().stop().await.unwrap();
    let early = recorder.ledger().checkpoint().unwrap().text.clone();
    let older_anchor = std::fs::read(place.anchor_file()).unwrap();
    let older = rest(&place).await;
    let recorder = Recorder::open(place.open().await).await.unwrap();
    for (_, lines) in &CYCLES[2..] {
        record_lines(&recorder, lines).await;
    }
    recorder.ledger().stop().await.unwrap();
    let whole = rest(&place).await;
    let read = |path: PathBuf| std::fs::read(path).unwrap();
    Prepared {
        key: read(place.key_file()),
        anchor: read(place.anchor_file()),
        older_anchor,
        early,
        whole,
        older,
    }
}

/// Builds the projections, and returns a copy of the database.
async fn rest(place: &Place) -> Stored {
    let store = place.store().await;
    Follower::new(std::sync::Arc::clone(&store)).catch_up(|_| ()).await.unwrap();
    store.close().await;
    drop(store);
    match &place.url {
        LedgerUrl::Sqlite(path) => {
            let connection = rusqlite::Connection::open(path).unwrap();
            let copy = path.with_extension("copy");
            connection.execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
            let bytes = std::fs::read(&copy).unwrap();
            std::fs::remove_file(copy).unwrap();
            Stored::File(bytes)
        }
        LedgerUrl::Postgres(url) => {
            let (server, name) = url.rsplit_once('/').unwrap();
            let template =
                format!("{name}_at_{}", place.clock.shift_millis.load(std::sync::atomic::Ordering::SeqCst));
            place.clock.pass(1);
            copy_database(server, name, &template).await;
            Stored::Template(template)
        }
    }
}

/// Copies a database that nobody is connected to; the last connection may take a moment to go.
async fn copy_database(server: &str, from: &str, to: &str) {
    use sqlx::Executor as _;
    let mut connection = connect(&format!("{server}/postgres")).await;
    for attempt in 0.. {
        match connection.execute(format!("CREATE DATABASE {to} TEMPLATE {from}").as_str()).await {
            Ok(_) => return,
            Err(error) => assert!(attempt < 200, "{error}"),
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// A copy to tamper with.
pub struct Bench {
    pub place: Place,
    /// The checkpoint that somebody outside kept after two cycles.
    pub early: String,
}

impl Bench {
    pub async fn new(place: Place) -> Self {
        let prepared = prepared(place.kind).await;
        let mut bench = Self { place, early: prepared.early.clone() };
        std::fs::write(bench.place.key_file(), &prepared.key).unwrap();
        std::fs::write(bench.place.anchor_file(), &prepared.anchor).unwrap();
        bench.put(&prepared.whole).await;
        bench
    }

    /// Puts the copy of the database as it was after two cycles in the place of the whole one.
    pub async fn restore_older(&mut self) {
        self.put(&prepared(self.place.kind).await.older).await;
    }

    /// Puts the anchor as it was after two cycles in the place of the newest.
    pub async fn restore_older_anchor(&self) {
        std::fs::write(self.place.anchor_file(), &prepared(self.place.kind).await.older_anchor).unwrap();
    }

    /// Puts the whole database back, for the next edit.
    pub async fn restore(&mut self) {
        self.put(&prepared(self.place.kind).await.whole).await;
    }

    async fn put(&mut self, stored: &Stored) {
        match (stored, &self.place.url) {
            (Stored::File(bytes), LedgerUrl::Sqlite(path)) => {
                for beside in ["db-wal", "db-shm"] {
                    drop(std::fs::remove_file(path.with_extension(beside)));
                }
                std::fs::write(path, bytes).unwrap();
            }
            (Stored::Template(template), LedgerUrl::Postgres(url)) => {
                let (server, name) = url.rsplit_once('/').unwrap();
                let copy = format!("{name}_c");
                copy_database(server, template, &copy).await;
                self.place.url = format!("{server}/{copy}").parse().unwrap();
            }
            _ => unreachable!("a store's copy belongs to that store"),
        }
    }

    pub async fn rows(&self) -> Vec<EntryRow> {
        let store = self.place.store().await;
        let rows = rows(&*store).await;
        store.close().await;
        rows
    }

    pub async fn head(&self) -> Head {
        self.place.store().await.head().await.unwrap().unwrap()
    }

    /// Returns an entry by its stream and sequence.
    pub async fn at(&self, stream: &str, sequence: u64) -> EntryRow {
        let found =
            self.rows().await.into_iter().find(|row| row.stream == stream && row.sequence == sequence);
        found.unwrap_or_else(|| panic!("no {stream}#{sequence}"))
    }

    /// Returns the first entry of an event type that has another after it in its stream.
    pub async fn of_type(&self, event_type: &str) -> EntryRow {
        let rows = self.rows().await;
        let named = format!(r#""type":"{event_type}""#);
        let followed = |row: &&EntryRow| {
            rows.iter().any(|next| next.stream == row.stream && next.sequence == row.sequence + 1)
        };
        rows.iter()
            .find(|row| row.body.contains(&named) && followed(row))
            .unwrap_or_else(|| panic!("no {event_type}"))
            .clone()
    }

    pub async fn tamper(&self, sql: &str) {
        self.place.tamper(sql).await;
    }

    pub fn blob(&self, bytes: &[u8]) -> String {
        self.place.blob(bytes)
    }

    pub fn command(&self, bytes: [u8; 16]) -> String {
        self.place.command(bytes)
    }

    /// Edits the bytes of an entry, and the stored leaf hash with them where `agreeing`; returns the new leaf hash.
    pub async fn edit(&self, row: &EntryRow, from: &str, to: &str, agreeing: bool) -> Hash {
        let body = row.body.replacen(from, to, 1);
        assert_ne!(*body, *row.body, "{from} is not in {}", row.body);
        let hash = leaf_hash(body.as_bytes());
        let mut sql =
            format!("UPDATE entry SET body = {} WHERE leaf_index = {};", quoted(&body), row.leaf_index);
        if agreeing {
            let hash = self.blob(hash.as_bytes());
            write!(sql, "UPDATE entry SET leaf_hash = {hash} WHERE leaf_index = {};", row.leaf_index)
                .unwrap();
        }
        self.tamper(&sql).await;
        hash
    }

    /// Returns the root over the entries as they stand now.
    pub async fn root_now(&self) -> Hash {
        let mut tree = Frontier::new();
        self.rows().await.iter().for_each(|row| tree.append(row.leaf_hash));
        tree.root()
    }

    /// Makes the head row agree with the entries as they stand, without its seal.
    pub async fn fit_head(&self) {
        let (size, root) = (self.rows().await.len(), self.root_now().await);
        self.tamper(&format!("UPDATE head SET size = {size}, root = {}", self.blob(root.as_bytes()))).await;
    }

    pub fn signing_key(&self) -> SigningKey {
        std::fs::read_to_string(self.place.key_file()).unwrap().trim_end().parse().unwrap()
    }

    /// Verifies with what stands beside the database, as the command line does.
    pub async fn verify(&self) -> Report {
        self.verify_with(Vec::new()).await
    }

    pub async fn verify_with(&self, outside: Vec<&str>) -> Report {
        let store = self.place.store().await;
        let report = self.verify_store(&*store, outside).await;
        store.close().await;
        report
    }

    async fn verify_store(&self, store: &dyn Store, outside: Vec<&str>) -> Report {
        let beside = Beside::read_files(&self.place.key_file(), &self.place.anchor_file()).unwrap();
        let seal = |head: &Head| beside.seal_of(head);
        let outside = outside.into_iter();
        let options = VerifyOptions {
            verifiers: beside.verifiers().to_vec(),
            seal: Some(&seal),
            anchor: beside.anchor().map(str::to_owned),
            anchor_intended: beside.anchor_intended(),
            anchor_damaged: beside.anchor_damaged().cloned(),
            anchor_broken_in_part: beside.anchor_broken_in_part(),
            outside: outside
                .map(|text| OutsideCheckpoint { label: "kept.txt".into(), text: text.to_owned() })
                .collect(),
            ..VerifyOptions::default()
        };
        in_both_languages(verify(store, &options, |_| ()).await)
    }

    /// Runs the real command, and returns its exit code and what it printed.
    pub async fn shown(&self, arguments: &[&str]) -> (i32, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_weituo"));
        command
            .current_dir(self.place.folder.path())
            .env("WEITUO_LEDGER", self.place.address())
            .env("WEITUO_SIGNING_KEY", self.place.key_file())
            .env("WEITUO_ANCHOR", self.place.anchor_file())
            .args(["--lang", "en"])
            .args(arguments);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        (output.status.code().unwrap_or(-1), text)
    }

    /// Asserts that the verdict is no, that a finding is the one described, and that `weituo verify` explains it.
    pub async fn assert_found(&self, expected: &Expected<'_>) -> Report {
        let report = self.verify_with(expected.outside.to_vec()).await;
        assert_eq!(report.exit_code(), 1, "{:#?}", report.verdicts);
        let finding = report.findings().find(|finding| expected.matches(finding));
        let finding = finding.unwrap_or_else(|| panic!("{expected:?} is not in {:#?}", report.verdicts));
        assert!(finding.expected.is_some() && finding.found.is_some(), "{finding:#?}");
        let kept = self.place.folder.path().join("kept.txt");
        let mut arguments = vec!["verify"];
        for text in expected.outside {
            std::fs::write(&kept, text).unwrap();
            arguments.extend(["--checkpoint", kept.to_str().unwrap()]);
        }
        let (code, shown) = self.shown(&arguments).await;
        assert_eq!(code, 1, "{shown}");
        let mut told = vec![finding.kind.to_string(), finding.kind.meaning(Language::En).to_owned()];
        told.extend(expected.leaf.map(|leaf| format!("leaf {leaf}")));
        told.extend(expected.stream.map(str::to_owned));
        told.extend([&expected.was, &expected.is].into_iter().flatten().cloned());
        for text in told {
            assert!(shown.to_lowercase().contains(&text.to_lowercase()), "{text:?} is not in\n{shown}");
        }
        report
    }
}

/// A finding as a test states it; what is `None` is not asked about.
#[derive(Debug, Clone)]
pub struct Expected<'a> {
    pub kind: FindingKind,
    pub leaf: Option<u64>,
    pub stream: Option<&'a str>,
    pub sequence: Option<u64>,
    pub was: Option<String>,
    pub is: Option<String>,
    pub outside: &'a [&'a str],
}

impl<'a> Expected<'a> {
    pub fn new(kind: FindingKind) -> Self {
        Self { kind, leaf: None, stream: None, sequence: None, was: None, is: None, outside: &[] }
    }

    pub fn at(kind: FindingKind, row: &'a EntryRow) -> Self {
        let (leaf, stream, sequence) = (Some(row.leaf_index), Some(&*row.stream), Some(row.sequence));
        Self { leaf, stream, sequence, ..Self::new(kind) }
    }

    #[expect(clippy::needless_pass_by_value, reason = "a value is written where it is given")]
    pub fn differing(self, was: impl ToString, is: impl ToString) -> Self {
        Self { was: Some(was.to_string()), is: Some(is.to_string()), ..self }
    }

    fn matches(&self, finding: &Finding) -> bool {
        let text = |asked: &Option<String>, told: &Option<Both>| {
            asked.is_none() || asked.as_deref() == told.as_ref().map(Both::en)
        };
        finding.kind == self.kind
            && (self.leaf.is_none() || finding.leaf_index.map(LeafIndex::get) == self.leaf)
            && (self.stream.is_none() || finding.stream.as_deref() == self.stream)
            && (self.sequence.is_none() || finding.sequence == self.sequence)
            && text(&self.was, &finding.expected)
            && text(&self.is, &finding.found)
    }
}

/// Returns a text as an SQL literal.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
