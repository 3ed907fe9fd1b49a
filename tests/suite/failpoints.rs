//! Two processes on one ledger, one killed or stopped (SIGSTOP) at each step of the append protocol.
//!
//! Only with the cargo feature `failpoints`, which `tests/run` switches on: the hooks are in no released binary.

use std::collections::HashMap;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use serde_json::Value;
use weituo::ledger::{Ledger, Options, SubmitError};
use weituo::recorder::{RecordError, Recorder};
use weituo::store::StoreOptions;
use weituo_proof::{Hash, Receipt};

use crate::support::commands::{parse, told};
use crate::support::ledger::{Kind, assert_one_history};
use crate::support::postgres::connect;
use crate::support::process::{Bench, record, registration};

/// Every step, and whether the batch is in the database when a process ends there.
const STEPS: [(&str, bool); 8] = [
    ("writer.before_commit", false),
    ("store.before_commit", false),
    ("store.after_commit", true),
    ("writer.after_commit", true),
    ("writer.before_anchor", true),
    ("anchor.before_write", true),
    ("anchor.after_write", true),
    ("writer.before_answer", true),
];
/// How long the head row's lock is held at most (`StoreOptions::lock_timeout`).
const LOCK_SECONDS: u64 = 5;

/// The other process: this one, which goes on.
struct Other {
    recorder: Recorder,
    roots: HashMap<u64, Hash>,
    next: u32,
}

impl Other {
    async fn open(bench: &Bench) -> Self {
        let options = Options {
            key_file: Some(bench.path("ledger.key")),
            anchor_file: Some(bench.path("ledger.anchor")),
            ..Options::default()
        };
        let ledger = Ledger::open(&bench.ledger.parse().unwrap(), options).await.unwrap();
        assert_eq!(ledger.read_only(), None);
        Self { recorder: Recorder::open(ledger).await.unwrap(), roots: HashMap::new(), next: 0 }
    }

    fn fresh(&mut self) -> Value {
        self.next += 1;
        registration(self.next)
    }

    /// Records a command; returns whether it was recorded before.
    async fn record(&mut self, bench: &Bench, command: &Value) -> Result<bool, RecordError> {
        let recording = self.recorder.record(&parse(command)).await?;
        self.saw(bench, &recording.accepted.receipt.to_proof());
        Ok(recording.accepted.repeated)
    }

    /// Checks a receipt that was given out: no two signed roots of one size.
    fn saw(&mut self, bench: &Bench, receipt: &Receipt) {
        let checkpoint = receipt.verify(&bench.verifier).unwrap();
        let root = self.roots.entry(checkpoint.size.get()).or_insert(checkpoint.root);
        assert_eq!(*root, checkpoint.root, "two signed roots of size {}", checkpoint.size);
    }

    fn saw_answers(&mut self, bench: &Bench, name: &str) {
        for answer in bench.answers(name) {
            let receipt = Receipt::parse_with_entry(answer["ok"]["receipt"].as_str().unwrap()).unwrap();
            self.saw(bench, &receipt);
        }
    }

    async fn end(self, bench: &Bench) {
        self.recorder.ledger().stop().await.unwrap();
        assert_one_history(&*bench.store().await).await;
        bench.assert_verifies();
    }
}

fn wait_for(path: &Path, process: &mut Child) {
    let start = Instant::now();
    while !path.exists() {
        assert_eq!(process.try_wait().unwrap(), None, "it ended before it came to its step");
        assert!(start.elapsed() < Duration::from_mins(1), "it never came to its step");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Lets a process go through one step, as often as it comes there, until it comes to another.
fn let_go_until(first: &Path, second: &Path, process: &mut Child) {
    let start = Instant::now();
    while !second.exists() {
        drop(std::fs::remove_file(first));
        assert_eq!(process.try_wait().unwrap(), None, "it ended before it came to its step");
        assert!(start.elapsed() < Duration::from_mins(1), "it never came to its step");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Lets a process go through its step as often as it comes there, to its end.
fn let_go(path: &Path, process: &mut Child) -> ExitStatus {
    let start = Instant::now();
    loop {
        drop(std::fs::remove_file(path));
        if let Some(status) = process.try_wait().unwrap() {
            return status;
        }
        assert!(start.elapsed() < Duration::from_mins(1), "it does not end");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn signal(name: &str, process: &Child) {
    let sent = Command::new("sh").args(["-c", "kill -$0 $1", name, &process.id().to_string()]).status();
    assert!(sent.unwrap().success());
}

async fn killed_at_each_step(kind: Kind) {
    let bench = Bench::new(kind).await;
    let mut other = Other::open(&bench).await;
    for (step, committed) in STEPS {
        let command = other.fresh();
        let points = format!("{step}=kill");
        let mut process =
            bench.start_recording(step, std::slice::from_ref(&command), &[("WEITUO_FAILPOINTS", &points)]);
        assert!(process.wait().unwrap().signal().is_some(), "{step}: {}", bench.errors(step));
        assert!(bench.answers(step).is_empty(), "{step} is before the answer");
        // The process that lives goes on at once, and the dead one's command is there once or not at all.
        let fresh = other.fresh();
        let start = Instant::now();
        assert!(!other.record(&bench, &fresh).await.unwrap(), "{step}");
        assert!(start.elapsed() < Duration::from_secs(LOCK_SECONDS), "{step}: {:?}", start.elapsed());
        assert_eq!(other.record(&bench, &command).await.unwrap(), committed, "{step}");
        bench.assert_verifies();
    }
    other.end(&bench).await;
}

async fn killed_with_the_heads_lock(kind: Kind) {
    let bench = Bench::new(kind).await;
    let mut other = Other::open(&bench).await;
    let (command, wait) = (other.fresh(), bench.path("wait"));
    let points = format!("writer.before_commit=touch-wait:{},writer.locked=kill", wait.display());
    let mut process =
        bench.start_recording("locked", std::slice::from_ref(&command), &[("WEITUO_FAILPOINTS", &points)]);
    wait_for(&wait, &mut process);
    let fresh = other.fresh();
    other.record(&bench, &fresh).await.unwrap();
    std::fs::remove_file(&wait).unwrap();
    assert!(process.wait().unwrap().signal().is_some());
    let (fresh, start) = (other.fresh(), Instant::now());
    assert!(!other.record(&bench, &fresh).await.unwrap());
    assert!(start.elapsed() < Duration::from_secs(LOCK_SECONDS));
    assert!(!other.record(&bench, &command).await.unwrap());
    other.end(&bench).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_killed_at_each_step_leaves_one_history_on_sqlite() {
    killed_at_each_step(Kind::Sqlite).await;
    killed_with_the_heads_lock(Kind::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_killed_at_each_step_leaves_one_history_on_postgres() {
    killed_at_each_step(Kind::Postgres).await;
    killed_with_the_heads_lock(Kind::Postgres).await;
}

/// Somebody else's lock on the head, which keeps a commit waiting.
enum Held {
    Sqlite { _until_dropped: rusqlite::Connection },
    Postgres(sqlx::PgConnection),
}

impl Held {
    async fn on(bench: &Bench) -> Self {
        use sqlx::Executor as _;
        if let Some(path) = bench.ledger.strip_prefix("sqlite://") {
            let connection = rusqlite::Connection::open(path).unwrap();
            connection.execute_batch("BEGIN IMMEDIATE").unwrap();
            return Self::Sqlite { _until_dropped: connection };
        }
        let mut connection = connect(&bench.ledger).await;
        connection.execute("BEGIN; SELECT size FROM head FOR UPDATE").await.unwrap();
        Self::Postgres(connection)
    }

    /// Ends every other connection to the database, with whatever it had sent, and lets go.
    async fn end(self) {
        use sqlx::Executor as _;
        if let Self::Postgres(mut connection) = self {
            let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                          WHERE datname = current_database() AND pid <> pg_backend_pid()";
            connection.execute(others).await.unwrap();
            connection.execute("ROLLBACK").await.unwrap();
        }
    }
}

/// Where a process that writes alone is killed in its second batch, the first that the anchor may vouch for while it is committed;
/// whether its commit is kept waiting meanwhile; and whether the batch is in the log once another process has started.
const ALONE: [(&str, bool, bool); 11] = [
    ("", false, false),
    ("anchor.before_intent=kill", true, false),
    ("anchor.slot_written=kill:2", true, false),
    // Not in the database, but in the anchor.
    ("anchor.after_intent=kill", true, true),
    ("anchor.after_intent=kill", false, true),
    ("anchor.before_intent=sleep:500,store.after_commit=kill:2", false, true),
    ("anchor.slot_written=sleep:500,store.after_commit=kill:2", false, true),
    ("store.after_commit=kill:2", false, true),
    ("writer.after_commit=kill:2", false, true),
    ("writer.before_anchor=kill:2", false, true),
    ("writer.before_answer=kill:2", false, true),
];

async fn killed_alone_at_each_step(kind: Kind) {
    let bench = Bench::new(kind).await;
    let mut roots = HashMap::new();
    for (number, (points, is_held, recorded)) in (1..).zip(ALONE) {
        let (commands, name) =
            ([registration(2 * number), registration(2 * number + 1)], format!("{number}"));
        let wait = bench.path("wait");
        let points = format!("writer.before_commit=touch-wait:{},{points}", wait.display());
        let environment = [("WEITUO_FAILPOINTS", points.as_str())];
        let mut process = bench.start_recording(&name, &commands, &environment);
        wait_for(&wait, &mut process);
        std::fs::remove_file(&wait).unwrap();
        while bench.answers(&name).is_empty() {
            assert_eq!(process.try_wait().unwrap(), None, "{points}: {}", bench.errors(&name));
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        wait_for(&wait, &mut process);
        let held = if is_held { Some(Held::on(&bench).await) } else { None };
        if points.ends_with(',') {
            signal("KILL", &process);
        }
        drop(std::fs::remove_file(&wait));
        assert!(process.wait().unwrap().signal().is_some(), "{points}: {}", bench.errors(&name));
        assert_eq!(bench.answers(&name).len(), 1, "{points} is before the answer");
        if let Some(held) = held {
            held.end().await;
        }
        let mut other = Other { roots, ..Other::open(&bench).await };
        other.saw_answers(&bench, &name);
        assert!(other.record(&bench, &commands[0]).await.unwrap(), "{points}: what was answered is there");
        assert_eq!(other.record(&bench, &commands[1]).await.unwrap(), recorded, "{points}, held: {is_held}");
        other.recorder.ledger().stop().await.unwrap();
        assert_one_history(&*bench.store().await).await;
        bench.assert_verifies();
        roots = other.roots;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_killed_while_it_writes_alone_leaves_a_batch_whole_or_not_at_all_on_sqlite() {
    killed_alone_at_each_step(Kind::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_killed_while_it_writes_alone_leaves_a_batch_whole_or_not_at_all_on_postgres() {
    killed_alone_at_each_step(Kind::Postgres).await;
}

/// A process that finds itself alone does not know what one that has just died committed and did not anchor: an intent on the head
/// before it would never be in the log, and the next start would take the log for a forged one.
async fn alone_behind_a_commit_that_nobody_anchored(kind: Kind) {
    let bench = Bench::new(kind).await;
    let mut other = Other::open(&bench).await;
    let (command, fresh) = (other.fresh(), other.fresh());
    let environment = [("WEITUO_FAILPOINTS", "writer.after_commit=kill")];
    let mut process = bench.start_recording("dead", std::slice::from_ref(&command), &environment);
    assert!(process.wait().unwrap().signal().is_some(), "{}", bench.errors("dead"));
    other.record(&bench, &fresh).await.unwrap();
    let intends = || {
        let anchor = std::fs::read(bench.path("ledger.anchor")).unwrap();
        anchor.windows(9).any(|window| window == b"redo_hash")
    };
    assert!(!intends(), "an intent was written before the head was known");
    assert!(other.record(&bench, &command).await.unwrap());
    for _ in 0..50 {
        let fresh = other.fresh();
        other.record(&bench, &fresh).await.unwrap();
    }
    assert!(intends(), "and is, once it is");
    other.end(&bench).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_alone_commits_once_before_he_writes_an_intent() {
    alone_behind_a_commit_that_nobody_anchored(Kind::Sqlite).await;
    alone_behind_a_commit_that_nobody_anchored(Kind::Postgres).await;
}

/// Nobody can let others in from a process that stands still in the middle of a batch: they say so in time, change nothing, and go on
/// when it does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_stopped_while_it_writes_alone_is_told_of_in_time_and_readers_go_on() {
    let bench = Bench::new(Kind::Sqlite).await;
    let (command, wait) = (registration(1), bench.path("wait"));
    let points = format!("writer.before_answer=touch-wait:{}", wait.display());
    let environment = [("WEITUO_FAILPOINTS", points.as_str())];
    let mut process = bench.start_recording("stopped", std::slice::from_ref(&command), &environment);
    wait_for(&wait, &mut process);
    signal("STOP", &process);
    let start = Instant::now();
    let refused = bench.start_recording("other", &[registration(2)], &[]).wait().unwrap();
    assert!(!refused.success() && start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    assert!(bench.errors("other").contains("another process records alone"), "{}", bench.errors("other"));
    bench.assert_verifies();
    signal("CONT", &process);
    assert!(let_go(&wait, &mut process).success(), "{}", bench.errors("stopped"));
    record(&bench, "after", 2..4);
    bench.assert_verifies();
}

/// Asserts that a command was not recorded because of somebody's lock, and that the answer says it can be repeated.
#[track_caller]
fn assert_retryable(error: &RecordError) {
    assert!(matches!(error, RecordError::Ledger(SubmitError::Unavailable(_))), "{error:?}");
}

/// Stops a process at a step, lets the other go on, continues the stopped one, and settles its command.
async fn stopped_at(bench: &Bench, other: &mut Other, step: &str, before: Option<&str>) {
    let (command, wait) = (other.fresh(), bench.path("wait"));
    let first = before.unwrap_or(step);
    let mut points = format!("{first}=touch-wait:{}", wait.display());
    let second = bench.path("second");
    if before.is_some() {
        points = format!("{points},{step}=touch-wait:{}", second.display());
    }
    let environment = [("WEITUO_FAILPOINTS", points.as_str())];
    let mut process = bench.start_recording(step, std::slice::from_ref(&command), &environment);
    wait_for(&wait, &mut process);
    let mut at = wait.clone();
    if before.is_some() {
        let fresh = other.fresh();
        other.record(bench, &fresh).await.unwrap();
        let_go_until(&wait, &second, &mut process);
        at = second;
    }
    signal("STOP", &process);
    let holds_anchor = step.starts_with("anchor.");
    for _ in 0..2 {
        let (fresh, start) = (other.fresh(), Instant::now());
        let answer = other.record(bench, &fresh).await;
        let limit = StoreOptions::default().timeout;
        assert!(start.elapsed() < limit, "{step}: {:?}", start.elapsed());
        match answer {
            Ok(repeated) => {
                assert!(!repeated);
                let limit = Duration::from_secs(LOCK_SECONDS + 1);
                assert!(holds_anchor || start.elapsed() < limit, "{step}: {:?}", start.elapsed());
            }
            // Whoever is stopped while he writes the anchor holds its file: the others wait for it and say so in time.
            Err(error) if holds_anchor => assert_retryable(&error),
            Err(error) => panic!("{step}: {error:?}"),
        }
    }
    signal("CONT", &process);
    let remover = at.clone();
    let waiting = std::thread::spawn(move || {
        let status = let_go(&remover, &mut process);
        (status, process)
    });
    let both = [wait.clone(), at];
    while !waiting.is_finished() {
        for path in &both {
            drop(std::fs::remove_file(path));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (status, _) = waiting.join().unwrap();
    println!("{step}: the stopped process ended with {status}, {}", bench.errors(step));
    other.saw_answers(bench, step);
    let answered = bench.answers(step).len() == 1;
    let repeated = other.record(bench, &command).await.unwrap();
    assert!(repeated || !answered, "{step}: what was acknowledged is there");
    bench.assert_verifies();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_stopped_at_each_step_holds_nobody_up_on_postgres() {
    let bench = Bench::new(Kind::Postgres).await;
    let mut other = Other::open(&bench).await;
    for (step, _) in STEPS {
        stopped_at(&bench, &mut other, step, None).await;
    }
    // With the head row's lock, which the server takes from it after the configured seconds: while it prepares, and
    // between its statement and the COMMIT.
    for step in ["writer.locked", "store.written"] {
        stopped_at(&bench, &mut other, step, Some("writer.before_commit")).await;
    }
    other.end(&bench).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_process_keeps_the_heads_lock_no_longer_than_configured_on_postgres() {
    let bench = Bench::new(Kind::Postgres).await;
    let mut other = Other::open(&bench).await;
    for step in ["writer.locked", "store.written"] {
        let (command, wait, second) = (other.fresh(), bench.path("wait"), bench.path("second"));
        let points = format!(
            "writer.before_commit=touch-wait:{},{step}=touch-wait:{}",
            wait.display(),
            second.display()
        );
        let environment = [("WEITUO_FAILPOINTS", points.as_str())];
        let mut process = bench.start_recording(step, std::slice::from_ref(&command), &environment);
        wait_for(&wait, &mut process);
        let fresh = other.fresh();
        other.record(&bench, &fresh).await.unwrap();
        let_go_until(&wait, &second, &mut process);
        signal("STOP", &process);
        let start = Instant::now();
        let mut waiting = connect(&bench.ledger).await;
        sqlx::query("SELECT size FROM head FOR UPDATE").fetch_one(&mut waiting).await.unwrap();
        let took = start.elapsed();
        assert!(took > Duration::from_secs(1), "{step}: it held no lock, or not for long: {took:?}");
        assert!(took < Duration::from_secs(LOCK_SECONDS + 1), "{step}: {took:?}");
        signal("KILL", &process);
        drop((process.wait().unwrap(), std::fs::remove_file(&second)));
        assert!(!other.record(&bench, &command).await.unwrap(), "{step}");
    }
    other.end(&bench).await;
}

/// SQLite's write lock belongs to whoever stands still inside a transaction: the others say so in time, and go on when
/// he does, or dies.
async fn stopped_inside_the_transaction(step: &str, end: &str) {
    let bench = Bench::new(Kind::Sqlite).await;
    let mut other = Other::open(&bench).await;
    let (command, wait) = (other.fresh(), bench.path("wait"));
    let points = format!("{step}=touch-wait:{}", wait.display());
    let environment = [("WEITUO_FAILPOINTS", points.as_str())];
    let mut process = bench.start_recording(step, std::slice::from_ref(&command), &environment);
    wait_for(&wait, &mut process);
    signal("STOP", &process);
    let (fresh, start) = (other.fresh(), Instant::now());
    let refused = other.record(&bench, &fresh).await.unwrap_err();
    // Ten seconds, and the time that a busy machine takes to look again.
    assert!(start.elapsed() < Duration::from_secs(13), "{:?}", start.elapsed());
    assert_retryable(&refused);
    let told = told(&refused);
    assert!(told.contains("repeat the command with the same id"), "{told}");
    // Reading waits for nobody.
    let start = Instant::now();
    bench.assert_verifies();
    assert!(start.elapsed() < Duration::from_secs(5));
    signal(end, &process);
    let waiting = std::thread::spawn(move || let_go(&wait, &mut process));
    while !waiting.is_finished() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let status = waiting.join().unwrap();
    assert_eq!(status.success(), end == "CONT", "{step}: {status} {}", bench.errors(step));
    other.saw_answers(&bench, step);
    let start = Instant::now();
    assert!(!other.record(&bench, &fresh).await.unwrap(), "refused means not recorded");
    assert!(start.elapsed() < Duration::from_secs(LOCK_SECONDS), "{:?}", start.elapsed());
    // Continued, it has recorded its command and answered; killed, it has not.
    assert_eq!(other.record(&bench, &command).await.unwrap(), end == "CONT");
    assert_eq!(bench.answers(step).len(), usize::from(end == "CONT"));
    other.end(&bench).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_stopped_inside_a_sqlite_commit_is_told_in_time_and_settled_when_it_goes_on() {
    stopped_inside_the_transaction("store.before_write", "CONT").await;
    stopped_inside_the_transaction("store.before_commit", "CONT").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_stopped_inside_a_sqlite_commit_and_killed_leaves_one_history() {
    stopped_inside_the_transaction("store.before_write", "KILL").await;
    stopped_inside_the_transaction("store.before_commit", "KILL").await;
}
