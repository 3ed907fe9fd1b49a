//! Ledgers in throw-away places, on both stores, and proposals to record in them.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::future::join_all;
use tempfile::TempDir;
use weituo::ledger::{Accepted, Clock, InitOptions, Ledger, Options, Proposal};
use weituo::store::{self, EntryRow, LedgerUrl, Scanned, Store, StoreOptions};
use weituo_events::payload::{DisclosureErased, Paper, PlainAct};
use weituo_events::{Act, Event, Sealed};
use weituo_proof::{Actor, CommandId, Effective, Frontier, Origin, StreamHead, StreamName};

use super::postgres::fresh_database;

/// Which database a test runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
}

/// Makes two tests of one body, one for each store.
macro_rules! on_both_stores {
    ($($(#[$meta:meta])* async fn $name:ident($place:ident: Place) $body:block)*) => {$(
        mod $name {
            use super::*;

            $(#[$meta])*
            async fn body($place: Place) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_sqlite() {
                body(Place::new($crate::support::ledger::Kind::Sqlite).await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_postgres() {
                body(Place::new($crate::support::ledger::Kind::Postgres).await).await;
            }
        }
    )*};
}
pub(crate) use on_both_stores;

/// A folder and a database for one ledger.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) kind: Kind,
    pub(crate) folder: TempDir,
    pub(crate) url: LedgerUrl,
    pub(crate) clock: Arc<TestClock>,
}

impl Place {
    pub(crate) async fn new(kind: Kind) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = match kind {
            Kind::Sqlite => format!("sqlite://{}", folder.path().join("ledger.db").display()),
            Kind::Postgres => fresh_database().await,
        };
        Self { kind, folder, url: url.parse().unwrap(), clock: Arc::default() }
    }

    /// An empty database of the same kind, with this place's key and anchor.
    pub(crate) async fn sibling_url(&self) -> LedgerUrl {
        let url = match self.kind {
            Kind::Sqlite => format!("sqlite://{}", self.folder.path().join("sibling.db").display()),
            Kind::Postgres => fresh_database().await,
        };
        url.parse().unwrap()
    }

    /// Returns the database's address as a user gives it: it may hold a password, which `url` does not show.
    pub(crate) fn address(&self) -> String {
        match &self.url {
            LedgerUrl::Sqlite(path) => format!("sqlite://{}", path.display()),
            LedgerUrl::Postgres(url) => url.clone(),
        }
    }

    pub(crate) fn key_file(&self) -> PathBuf {
        self.folder.path().join("ledger.key")
    }

    pub(crate) fn anchor_file(&self) -> PathBuf {
        self.folder.path().join("ledger.anchor")
    }

    /// Returns the signed notes in the anchor's two slots, read as docs/format.md lays them out.
    pub(crate) fn anchored_notes(&self) -> std::collections::BTreeSet<String> {
        let bytes = std::fs::read(self.anchor_file()).unwrap();
        let slots = bytes[..8192].chunks(4096).filter(|slot| slot.starts_with(b"weituo anchor "));
        let note = |slot: &[u8]| {
            let length = u32::from_be_bytes(slot[24..28].try_into().unwrap());
            String::from_utf8(slot[28..][..usize::try_from(length).unwrap()].to_vec()).unwrap()
        };
        slots.map(note).collect()
    }

    pub(crate) fn options(&self) -> Options {
        Options {
            key_file: Some(self.key_file()),
            anchor_file: Some(self.anchor_file()),
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            store: StoreOptions { timeout: Duration::from_secs(20), readers: 3, ..StoreOptions::default() },
            ..Options::default()
        }
    }

    pub(crate) fn init_options(&self) -> InitOptions {
        InitOptions { options: self.options(), ..InitOptions::new(Origin::new("log.example/test").unwrap()) }
    }

    pub(crate) async fn init(&self) -> Ledger {
        Ledger::init(&self.url, &self.init_options()).await.unwrap()
    }

    pub(crate) async fn open(&self) -> Ledger {
        Ledger::open(&self.url, self.options()).await.unwrap()
    }

    pub(crate) async fn store(&self) -> Arc<dyn Store> {
        store::open(&self.url, StoreOptions::default(), false).await.unwrap()
    }

    /// Returns bytes as a literal of the store.
    pub(crate) fn blob(&self, bytes: &[u8]) -> String {
        let hex = bytes.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        match self.kind {
            Kind::Sqlite => format!("x'{hex}'"),
            Kind::Postgres => format!("'\\x{hex}'::bytea"),
        }
    }

    /// Returns a command id as a literal of the store.
    pub(crate) fn command(&self, bytes: [u8; 16]) -> String {
        match self.kind {
            Kind::Sqlite => self.blob(&bytes),
            Kind::Postgres => format!("'{}'", uuid::Uuid::from_bytes(bytes)),
        }
    }

    /// Runs a statement behind the ledger's back.
    pub(crate) async fn tamper(&self, sql: &str) {
        match &self.url {
            LedgerUrl::Sqlite(path) => {
                let connection = rusqlite::Connection::open(path).unwrap();
                connection.busy_timeout(Duration::from_secs(10)).unwrap();
                connection.execute_batch(sql).unwrap();
            }
            LedgerUrl::Postgres(url) => {
                use sqlx::Executor as _;
                super::postgres::connect(url).await.execute(sql).await.unwrap();
            }
        }
    }
}

/// The system's clock, moved by a test.
#[derive(Debug, Default)]
pub(crate) struct TestClock {
    pub(crate) shift_millis: AtomicI64,
    pub(crate) monotonic_shift_millis: AtomicI64,
}

impl TestClock {
    /// Moves the wall clock and lets the time in between pass.
    pub(crate) fn pass(&self, millis: i64) {
        self.shift_millis.fetch_add(millis, Ordering::SeqCst);
        self.monotonic_shift_millis.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn unix_millis(&self) -> i64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        i64::try_from(now).unwrap() + self.shift_millis.load(Ordering::SeqCst)
    }

    fn monotonic(&self) -> Duration {
        let hours_millis = 1_000 * 3_600_000 + self.monotonic_shift_millis.load(Ordering::SeqCst);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        now + Duration::from_millis(hours_millis.unsigned_abs())
    }
}

/// Returns a command id never used before in this run.
pub(crate) fn new_id() -> CommandId {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    CommandId::new(format!("00000000-0000-4000-8000-{number:012x}")).unwrap()
}

/// Returns a plain act in a stream.
pub(crate) fn act(stream: &str, document: &str) -> Act {
    let paper = Paper { document: Some(document.into()), ..Paper::default() };
    Act {
        actor: Actor { key: None, organisation: "trustee-1".into(), person: None, role: "trustee".into() },
        as_found: false,
        command: new_id(),
        effective: Effective::new("2026-09-01").unwrap(),
        parties: vec![StreamName::new("organisation/trustee-1").unwrap()],
        seen: None,
        signature: None,
        stream: StreamName::new(stream).unwrap(),
        event: Event::PlanSubmitted(PlainAct { paper }),
    }
}

/// Returns a proposal of a plain act on a stream's head.
pub(crate) fn proposal(stream: &str, document: &str, expected: Option<StreamHead>) -> Proposal {
    Proposal {
        act: Arc::new(act(stream, document)),
        disclosures: Vec::new(),
        expected,
        erase: Vec::new(),
        rests_on: Vec::new(),
    }
}

/// Returns a proposal whose note is sealed.
pub(crate) fn sealed_proposal(stream: &str, note: &str, expected: Option<StreamHead>) -> Proposal {
    let mut proposal = proposal(stream, "n", expected);
    if let Event::PlanSubmitted(plan) = &mut Arc::make_mut(&mut proposal.act).event {
        plan.paper.note = Some(Sealed::Open(note.to_owned()));
    }
    let salt: [u8; 16] = new_id().as_str().as_bytes()[20..36].try_into().unwrap();
    proposal.disclosures = Arc::make_mut(&mut proposal.act).seal(|| salt).unwrap();
    proposal
}

/// Returns a proposal that erases the one disclosure of `sealed`, and the disclosure's digest.
pub(crate) async fn erasure(ledger: &Ledger, sealed: &Accepted) -> (Proposal, String) {
    let leaf_index = sealed.receipt.leaf_index.get();
    let digest = ledger.store().disclosures(leaf_index..leaf_index + 1).await.unwrap().remove(0).digest;
    let newest = ledger.store().stream_rows("log/main", 1, 1_000).await.unwrap().pop().unwrap();
    let head = StreamHead { sequence: newest.sequence, leaf_hash: newest.leaf_hash };
    let mut proposal = proposal("log/main", "n", Some(head));
    let act = Arc::make_mut(&mut proposal.act);
    act.parties.clear();
    act.event = Event::DisclosureErased(DisclosureErased {
        digest: digest.clone(),
        grounds: "个人信息保护法第四十七条".to_owned(),
        leaf_index,
    });
    proposal.erase = vec![digest.clone()];
    (proposal, digest)
}

/// Records `count` entries in a stream, one after another.
pub(crate) async fn record(
    ledger: &Ledger,
    stream: &str,
    count: usize,
    mut head: Option<StreamHead>,
) -> Vec<Accepted> {
    let mut accepted = Vec::new();
    for number in 0..count {
        let next = ledger.submit(proposal(stream, &format!("n-{number}"), head)).await.unwrap();
        head = Some(next.head());
        accepted.push(next);
    }
    accepted
}

/// Records one entry in each of so many streams, all at once.
pub(crate) async fn record_in_streams(ledger: &Ledger, count: usize) {
    let recording =
        (0..count).map(|number| ledger.submit(proposal(&format!("agreement/n{number}"), "n", None)));
    for recorded in join_all(recording).await {
        recorded.unwrap();
    }
}

/// Returns every row of the log.
pub(crate) async fn rows(store: &dyn Store) -> Vec<EntryRow> {
    let scanned = store.scan(i64::MIN, u32::MAX >> 1).await.unwrap();
    scanned
        .into_iter()
        .map(|scanned| match scanned {
            Scanned::Row(row) => row,
            Scanned::Garbled(row) => panic!("{row:?}"),
        })
        .collect()
}

/// Asserts that the log is one history: places, chains, hashes and the head row agree with the entries' bytes.
pub(crate) async fn assert_one_history(store: &dyn Store) -> u64 {
    let (mut frontier, mut heads) = (Frontier::new(), std::collections::HashMap::new());
    let mut last = None;
    for (at, row) in rows(store).await.into_iter().enumerate() {
        let entry = weituo_proof::Entry::parse(row.body.as_bytes()).unwrap();
        let hash = weituo_proof::leaf_hash(row.body.as_bytes());
        assert_eq!((row.leaf_index, row.leaf_hash), (at as u64, hash));
        assert_eq!((row.stream.as_str(), row.sequence), (entry.stream.as_str(), entry.sequence));
        let (sequence, prev) =
            heads.get(&row.stream).copied().unwrap_or((0, genesis(&frontier, store).await));
        assert_eq!((entry.sequence, entry.prev), (sequence + 1, prev));
        assert!(last <= Some(entry.recorded_at));
        last = Some(entry.recorded_at);
        heads.insert(row.stream, (entry.sequence, hash));
        frontier.append(hash);
    }
    let head = store.head().await.unwrap().unwrap();
    assert_eq!((head.size, head.root), (frontier.size().get(), frontier.root()));
    head.size
}

async fn genesis(frontier: &Frontier, store: &dyn Store) -> weituo_proof::Hash {
    match frontier.size().get() {
        0 => weituo_proof::Hash::ZERO,
        _ => store.entry(0).await.unwrap().unwrap().leaf_hash,
    }
}
