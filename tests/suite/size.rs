//! A ledger of many entries: what verifying and rebuilding cost in memory, and going on after an interruption.
//!
//! The processes are the real binary; their memory is the most that the kernel says they had. `WEITUO_TEST_ENTRIES` sets
//! the number of entries, 100,000 unless given: the bounds are those for a million, since neither may grow with them.

use std::io::Read as _;
use std::process::{Child, Output, Stdio};
use std::time::Duration;

use weituo::ledger::{Ledger, Options};
use weituo::store::{self, StoreOptions};

use crate::support::ledger::Kind;
use crate::support::many::grow;
use crate::support::process::{Bench, record};
use crate::support::server::Server;

/// Acts of one agreement.
const ACTS: u64 = 40;

/// What verifying may use, besides 100 bytes a stream.
const VERIFY_BYTES: u64 = 50_000_000;

/// What a monitor may use, besides 100 bytes a stream.
const WATCH_BYTES: u64 = 50_000_000;

/// What rebuilding may use.
const REBUILD_BYTES: u64 = 70_000_000;

fn entries() -> u64 {
    std::env::var("WEITUO_TEST_ENTRIES").map_or(100_000, |entries| entries.parse().unwrap())
}

/// Returns a bench whose ledger has that many agreements, each with so many acts.
async fn grown(kind: Kind, agreements: u64, acts: u64) -> Bench {
    let bench = Bench::new(kind).await;
    grow_by(&bench, agreements, acts).await;
    bench
}

async fn grow_by(bench: &Bench, agreements: u64, acts: u64) {
    let (key_file, anchor_file) = (Some(bench.path("ledger.key")), Some(bench.path("ledger.anchor")));
    let options = Options { key_file, anchor_file, ..Options::default() };
    let ledger = Ledger::open(&bench.ledger.parse().unwrap(), options).await.unwrap();
    grow(&ledger, agreements, acts).await;
    ledger.stop().await.unwrap();
}

/// The most memory that a process used, in bytes, as the kernel says while it lives.
fn peak_bytes(process: &Child) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().unwrap() * 1_000)
}

fn start(bench: &Bench, arguments: &[&str]) -> Child {
    let mut command = bench.command(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Runs the binary to its end, and returns what it said and the most memory that it had.
fn measured(bench: &Bench, arguments: &[&str]) -> (Output, u64) {
    let mut process = start(bench, arguments);
    let mut peak = 0;
    while process.try_wait().unwrap().is_none() {
        peak = peak_bytes(&process).unwrap_or(0).max(peak);
        std::thread::sleep(Duration::from_millis(5));
    }
    (process.wait_with_output().unwrap(), peak)
}

/// Kills a running process once `reached` says that it has come far enough.
fn killed_when(bench: &Bench, arguments: &[&str], mut reached: impl FnMut() -> bool) {
    let mut process = start(bench, arguments);
    while !reached() {
        assert!(process.try_wait().unwrap().is_none(), "it ended before it could be interrupted");
        std::thread::sleep(Duration::from_millis(1));
    }
    process.kill().unwrap();
    process.wait().unwrap();
    let mut said = String::new();
    process.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(said, "", "an interrupted run says nothing of a verdict");
}

async fn a_large_ledger_is_verified_and_rebuilt(kind: Kind) {
    let bench = grown(kind, entries() / ACTS, ACTS).await;
    // The agreements, the bureau, the rulebook, and the log's own two.
    let streams = entries() / ACTS + 4;

    // Rebuilding, interrupted when rows of its new generation are there, goes on behind them.
    let store = store::open(&bench.ledger.parse().unwrap(), StoreOptions::default(), false).await.unwrap();
    let runtime = tokio::runtime::Handle::current();
    let written = || {
        let generations = runtime.block_on(store.generations("cycle")).unwrap();
        let one = generations.first()?;
        runtime.block_on(store.projection_last_key("cycle", one.generation)).unwrap()
    };
    tokio::task::block_in_place(|| killed_when(&bench, &["rebuild"], || written().is_some()));
    let broken_off = tokio::task::block_in_place(written);
    let (rebuilt, peak) = tokio::task::block_in_place(|| measured(&bench, &["--json", "rebuild"]));
    assert!(rebuilt.status.success(), "{}", String::from_utf8_lossy(&rebuilt.stderr));
    assert!(peak < REBUILD_BYTES, "rebuilding took {peak} bytes");
    let generations = store.generations("cycle").await.unwrap();
    assert_eq!((generations.len(), generations[0].generation), (1, 1), "it went on from {broken_off:?}");
    println!("rebuilding took at most {peak} bytes");

    // Verifying compares the rows with a fresh fold of its own.
    let (verified, peak) = tokio::task::block_in_place(|| measured(&bench, &["--json", "verify"]));
    let whole: serde_json::Value = serde_json::from_slice(&verified.stdout).unwrap();
    assert_eq!(verified.status.code(), Some(0), "{whole}");
    assert_eq!(whole["counts"]["streams"], streams);
    assert_eq!(whole["notes"], serde_json::Value::Null, "{whole}");
    assert!(peak < VERIFY_BYTES + 100 * streams, "verifying took {peak} bytes");
    println!("verifying took at most {peak} bytes");

    // Interrupted, it says the same in the end, and what it did not read again.
    for part in ["log", "projections"] {
        let saved = bench.path("state").join(part);
        let environment = ["--json", "verify", "--resume", "state"];
        tokio::task::block_in_place(|| killed_when(&bench, &environment, || saved.exists()));
    }
    let (resumed, peak) =
        tokio::task::block_in_place(|| measured(&bench, &["--json", "verify", "--resume", "state"]));
    assert!(peak < VERIFY_BYTES + 100 * streams, "verifying the rest took {peak} bytes");
    let mut resumed: serde_json::Value = serde_json::from_slice(&resumed.stdout).unwrap();
    let notes = resumed["notes"].take().to_string();
    assert!(notes.contains("verified before an interruption"), "{notes}");
    assert_eq!(resumed["counts"], whole["counts"]);
    assert_eq!(resumed["root"], whole["root"]);
    assert_eq!(resumed["intact"]["answer"], "yes");
    assert_eq!(std::fs::read_dir(bench.path("state")).unwrap().count(), 0, "the state is cleared at the end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_ledger_is_verified_and_rebuilt_in_little_memory_and_both_go_on_on_sqlite() {
    a_large_ledger_is_verified_and_rebuilt(Kind::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_ledger_is_verified_and_rebuilt_in_little_memory_and_both_go_on_on_postgres() {
    a_large_ledger_is_verified_and_rebuilt(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_monitor_takes_50_mb_and_100_bytes_a_stream_at_its_first_look_and_at_later_ones() {
    let small = watched(1_000).await;
    let agreements = entries() / 2;
    let large = watched(agreements).await;
    for (small, large) in small.into_iter().zip(large) {
        // Each agreement is a stream with two parties of its own, so there are three names in the index for it.
        println!("watching {agreements} streams took at most {large} bytes, {small} with few");
        assert!(large < WATCH_BYTES + 100 * agreements, "watching {agreements} streams took {large} bytes");
        // Whatever 50 MB leave room for: what comes with the streams is what they are allowed.
        assert!(
            large < small + 100 * agreements + 8_000_000,
            "{agreements} streams took {large} bytes, few took {small}"
        );
    }
}

/// Returns the most memory that a monitor used at its first look at a log of that many agreements, and at a later one.
async fn watched(agreements: u64) -> [u64; 2] {
    let bench = grown(Kind::Sqlite, agreements, 1).await;
    let key = bench.verifier.to_string();
    let mut peaks = [0; 2];
    for (look, peak) in peaks.iter_mut().enumerate() {
        if look > 0 {
            record(&bench, "later", 1..100);
        }
        let server = Server::start(bench.command(&["--json", "serve", "--listen", "127.0.0.1:0"]));
        let watch = ["--json", "watch", &server.url, "--key", &key, "--once"];
        let (said, most) = tokio::task::block_in_place(|| measured(&bench, &watch));
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stdout));
        *peak = most;
        server.stop();
    }
    peaks
}
