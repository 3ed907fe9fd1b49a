//! A synchronous standby that does not answer, and a COMMIT that is cancelled, on PostgreSQL.
//!
//! PostgreSQL commits on its own disk first and then waits for the standby. Cancelled, it gives up the wait, says so in a
//! warning, and answers with success: what is visible then may be on no other machine.

use std::time::{Duration, Instant};

use sqlx::{Executor as _, PgConnection};
use weituo::ledger::{Accepted, Ledger, LedgerError, Options, Proposal, SubmitError};
use weituo::store::StoreOptions;

use crate::append::assert_no_fork;
use crate::outage::place_at;
use crate::support::commands::told;
use crate::support::ledger::{Place, assert_one_history, proposal, record, rows};
use crate::support::postgres::{PrivateServer, connect};

const TIMEOUT: Duration = Duration::from_secs(2);
/// Nobody waits longer than for a commit, and then for the head's lock or the barrier.
const PATIENCE: Duration = Duration::from_secs(5);

/// A server with a ledger of a role that is no superuser.
async fn ledger_on(server: &PrivateServer) -> (Place, PgConnection) {
    let mut admin = connect(&server.url()).await;
    admin.execute("CREATE ROLE clerk LOGIN").await.unwrap();
    // Neither the role's own settings nor the server's language may hide a cancelled wait.
    admin.execute("ALTER ROLE clerk SET client_min_messages = error").await.unwrap();
    admin.execute("CREATE DATABASE ledger OWNER clerk TEMPLATE template0").await.unwrap();
    let place = place_at(&url_of(server));
    place.init().await.stop().await.unwrap();
    (place, admin)
}

fn url_of(server: &PrivateServer) -> String {
    server.url().replace("//postgres@", "//clerk@").replace("/postgres", "/ledger")
}

async fn open(place: &Place) -> Ledger {
    let store = StoreOptions { timeout: TIMEOUT, lock_timeout: TIMEOUT, readers: 3 };
    let options = Options { store, follow_every: Duration::from_millis(100), ..place.options() };
    let ledger = Ledger::open(&place.url, options).await.unwrap();
    assert_eq!(ledger.read_only(), None);
    ledger
}

/// Sets which standbys a commit waits for.
async fn wait_for(admin: &mut PgConnection, names: &str) {
    admin.execute(format!("ALTER SYSTEM SET synchronous_standby_names = '{names}'").as_str()).await.unwrap();
    admin.execute("SELECT pg_reload_conf()").await.unwrap();
}

/// Waits until commits wait: the server takes over its settings a moment after it was told.
async fn until_commits_wait(admin: &mut PgConnection, url: &str) {
    let start = Instant::now();
    loop {
        assert!(start.elapsed() < Duration::from_secs(20), "commits do not wait");
        let mut other = connect(url).await;
        let commit = other.execute("SELECT pg_logical_emit_message(true, 'test', '')");
        if tokio::time::timeout(Duration::from_millis(200), commit).await.is_err() {
            break;
        }
    }
    cancel_one(admin).await;
}

/// Cancels the commit of a backend that waits for a standby, once there is one, and sees it go on.
async fn cancel_one(admin: &mut PgConnection) {
    let start = Instant::now();
    let mut cancelled: Option<i32> = None;
    loop {
        let waiting: Vec<i32> =
            sqlx::query_scalar("SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
                .fetch_all(&mut *admin)
                .await
                .unwrap();
        match (cancelled, waiting.first()) {
            (None, Some(&pid)) => {
                sqlx::query("SELECT pg_cancel_backend($1)").bind(pid).execute(&mut *admin).await.unwrap();
                cancelled = Some(pid);
            }
            (Some(pid), _) if !waiting.contains(&pid) => return,
            _ => {}
        }
        assert!(start.elapsed() < Duration::from_secs(20), "{cancelled:?} of {waiting:?} was cancelled");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Asserts that a command is not acknowledged: refused in time, by an error that says to repeat it, and nothing signed.
async fn assert_not_acknowledged(place: &Place, ledger: &Ledger, command: &Proposal) {
    let before = ledger.checkpoint().unwrap();
    let mut signed = place.anchored_notes();
    signed.insert(before.text.clone());
    let start = Instant::now();
    let refused = ledger.submit(command.clone()).await.unwrap_err();
    assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
    assert!(matches!(refused, SubmitError::Unavailable(_)), "{refused:?}");
    assert!(told(&refused).contains("repeat the command with the same id"), "{}", told(&refused));
    assert_eq!(ledger.checkpoint().unwrap(), before);
    assert!(place.anchored_notes().is_subset(&signed), "something was signed: {}", told(&refused));
    assert_eq!(ledger.read_only(), None);
}

/// Repeats a command by its id until it is accepted.
async fn settle(ledger: &Ledger, command: &Proposal) -> Accepted {
    let start = Instant::now();
    loop {
        match ledger.submit(command.clone()).await {
            Ok(accepted) => return accepted,
            Err(error) => assert!(matches!(error, SubmitError::Unavailable(_)), "{error:?}"),
        }
        assert!(start.elapsed() < Duration::from_secs(20), "it is not settled");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Returns how often a command stands in the log.
async fn count(place: &Place, command: &Proposal) -> usize {
    let store = place.store().await;
    let id = command.act.command.to_bytes();
    let count = rows(&*store).await.iter().filter(|row| row.command == id).count();
    store.close().await;
    count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_no_standby_confirms_is_never_acknowledged() {
    let (server, _) = PrivateServer::start().await;
    let (place, mut admin) = ledger_on(&server).await;
    let ledger = open(&place).await;
    // As long as another process is present, nobody is alone, and a third may come.
    let present = open(&place).await;
    record(&ledger, "agreement/a", 2, None).await;
    wait_for(&mut admin, "absent").await;
    until_commits_wait(&mut admin, &server.url()).await;
    let command = proposal("agreement/b", "n", None);
    for _ in 0..3 {
        assert_not_acknowledged(&place, &ledger, &command).await;
    }
    // Another process does not sign what may be on this machine only, and however often it is tried, the server's
    // connections are not used up.
    for _ in 0..2 {
        let refused = Ledger::open(&place.url, Options { store: impatient(), ..place.options() }).await;
        assert!(matches!(refused, Err(LedgerError::Store(error)) if error.is_retryable()));
    }
    let waiting: i64 =
        sqlx::query_scalar("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
            .fetch_one(&mut admin)
            .await
            .unwrap();
    assert!((1..=2).contains(&waiting), "{waiting} wait: one commit, one barrier");
    // Reading goes on.
    assert_eq!(ledger.store().stream_rows("agreement/a", 1, 9).await.unwrap().len(), 2);
    wait_for(&mut admin, "").await;
    let accepted = settle(&ledger, &command).await;
    assert!(accepted.repeated, "the commit that waited is in the log");
    assert_eq!(count(&place, &command).await, 1);
    record(&ledger, "agreement/c", 2, None).await;
    present.stop().await.unwrap();
    ledger.stop().await.unwrap();
    assert_one_history(&*place.store().await).await;
}

fn impatient() -> StoreOptions {
    StoreOptions { timeout: Duration::from_secs(1), lock_timeout: Duration::from_secs(1), readers: 1 }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_commit_is_never_acknowledged_on_postgres() {
    let (server, _) = PrivateServer::start().await;
    let (place, mut admin) = ledger_on(&server).await;
    let (ledger, other) = (open(&place).await, open(&place).await);
    record(&ledger, "agreement/a", 2, None).await;
    other.follow().await.unwrap();
    wait_for(&mut admin, "absent").await;
    until_commits_wait(&mut admin, &server.url()).await;
    let command = proposal("agreement/b", "n", None);
    let cancel = async {
        cancel_one(&mut admin).await;
        // The barrier that settles it, cancelled too: the answer is the same.
        cancel_one(&mut admin).await;
    };
    tokio::join!(assert_not_acknowledged(&place, &ledger, &command), cancel);
    assert_eq!(count(&place, &command).await, 1, "committed on this server, and there for all to see");
    // Seen is not confirmed: neither its process nor another answers the command as one it knows, whether the barrier is
    // waited for in vain or cancelled.
    assert_not_acknowledged(&place, &ledger, &command).await;
    assert_not_acknowledged(&place, &other, &command).await;
    let refused = Ledger::open(&place.url, Options { store: impatient(), ..place.options() }).await;
    assert!(matches!(refused, Err(LedgerError::Store(error)) if error.is_retryable()));
    wait_for(&mut admin, "").await;
    assert!(settle(&ledger, &command).await.repeated);
    assert!(settle(&other, &command).await.repeated);
    assert_eq!(count(&place, &command).await, 1);
    record(&other, "agreement/c", 2, None).await;
    ledger.stop().await.unwrap();
    other.stop().await.unwrap();
    assert_one_history(&*place.store().await).await;
}

/// Waits until a query on a standby, or about it, says yes.
async fn until(connection: &mut PgConnection, sql: &str) {
    let start = Instant::now();
    while !sqlx::query_scalar::<_, bool>(sql).fetch_one(&mut *connection).await.unwrap() {
        assert!(start.elapsed() < Duration::from_secs(30), "never: {sql}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Stops or continues the process by which a standby receives.
async fn signal_receiver(standby: &PrivateServer, signal: &str) -> String {
    let mut connection = connect(&standby.url()).await;
    let pid: i32 =
        sqlx::query_scalar("SELECT pid FROM pg_stat_wal_receiver").fetch_one(&mut connection).await.unwrap();
    let pid = pid.to_string();
    send(signal, &pid);
    pid
}

fn send(signal: &str, pid: &str) {
    let sent = std::process::Command::new("sh").args(["-c", "kill -$0 $1", signal, pid]).status();
    assert!(sent.unwrap().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_stopped_standby_never_got_is_not_acknowledged_and_a_failover_loses_nothing() {
    let (mut primary, _) = PrivateServer::start().await;
    let (place, mut admin) = ledger_on(&primary).await;
    let mut standby = primary.base_backup(Some("second"));
    standby.restart().await;
    wait_for(&mut admin, "second").await;
    until(&mut admin, "SELECT count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'sync'").await;
    let ledger = open(&place).await;
    let mut accepted = record(&ledger, "agreement/a", 3, None).await;
    // Stopped, and continued: the same command settles it, once.
    let receiver = signal_receiver(&standby, "STOP").await;
    let first = proposal("agreement/b", "n", None);
    assert_not_acknowledged(&place, &ledger, &first).await;
    send("CONT", &receiver);
    accepted.push(settle(&ledger, &first).await);
    assert_eq!(count(&place, &first).await, 1);
    accepted.extend(record(&ledger, "agreement/c", 2, None).await);
    // Stopped, and the wait cancelled: the entry is on the primary only, and dies with it.
    signal_receiver(&standby, "STOP").await;
    let lost = proposal("agreement/d", "n", None);
    tokio::join!(assert_not_acknowledged(&place, &ledger, &lost), cancel_one(&mut admin));
    assert_eq!(count(&place, &lost).await, 1);
    primary.end("KILL");
    drop(ledger);
    // What waits in a stopped process's socket is lost with it, as with a machine.
    standby.end("KILL");
    send("KILL", &receiver);
    standby.restart().await;
    let mut promoted = connect(&standby.url()).await;
    promoted.execute("ALTER SYSTEM RESET synchronous_standby_names").await.unwrap();
    promoted.execute("SELECT pg_reload_conf(), pg_promote()").await.unwrap();
    until(&mut promoted, "SELECT NOT pg_is_in_recovery()").await;
    let place = Place { url: url_of(&standby).parse().unwrap(), ..place };
    assert_eq!(count(&place, &lost).await, 0, "the standby never got it");
    // The anchor kept what was being committed when the process ended, so it goes on at once, and with that.
    let ledger = open(&place).await;
    let again = settle(&ledger, &lost).await;
    assert!(again.repeated);
    accepted.push(again);
    assert_no_fork(&accepted);
    ledger.stop().await.unwrap();
    let store = place.store().await;
    assert_one_history(&*store).await;
    let log = rows(&*store).await;
    for one in &accepted {
        assert_eq!(log[usize::try_from(one.receipt.leaf_index.get()).unwrap()].body, one.receipt.entry);
    }
    store.close().await;
}
