//! PostgreSQL stopped, killed and started under load; a database that is slow, or has no connection left.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use weituo::ledger::{Accepted, Ledger, Options, SubmitError};
use weituo::store::{LedgerUrl, StoreOptions};
use weituo_proof::StreamHead;

use crate::append::assert_no_fork;
use crate::support::commands::told;
use crate::support::ledger::{Kind, Place, assert_one_history, proposal, record, rows};
use crate::support::postgres::{PrivateServer, connect};

const CLIENTS: usize = 6;
const TIMEOUT: Duration = Duration::from_secs(2);

fn impatient(place: &Place) -> Options {
    let store = StoreOptions { timeout: TIMEOUT, lock_timeout: TIMEOUT, readers: 3 };
    Options { store, ..place.options() }
}

pub(crate) fn place_at(url: &str) -> Place {
    let url = url.parse().unwrap();
    Place { kind: Kind::Postgres, folder: tempfile::tempdir().unwrap(), url, clock: Arc::default() }
}

/// What one client has got.
struct Got {
    accepted: Vec<Accepted>,
    retried: usize,
    slowest: Duration,
}

/// Records one command after another, each until it is accepted; every refusal has to be a retryable one.
async fn client(ledger: Ledger, number: usize, done: Arc<AtomicUsize>, stop: Arc<AtomicBool>) -> Got {
    let mut got = Got { accepted: Vec::new(), retried: 0, slowest: Duration::ZERO };
    let stream = format!("agreement/c-{number}");
    let mut head: Option<StreamHead> = None;
    while !stop.load(Ordering::SeqCst) {
        let command = proposal(&stream, "n", head);
        let accepted = loop {
            let start = Instant::now();
            let answer = ledger.submit(command.clone()).await;
            got.slowest = got.slowest.max(start.elapsed());
            match answer {
                Ok(accepted) => break accepted,
                Err(error @ SubmitError::Unavailable(_)) => {
                    assert!(told(&error).contains("repeat the command with the same id"), "{}", told(&error));
                    got.retried += 1;
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Err(other) => panic!("{other:?}"),
            }
        };
        head = Some(accepted.head());
        got.accepted.push(accepted);
        done.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    got
}

async fn wait_for_progress(done: &AtomicUsize) {
    let (start, before) = (Instant::now(), done.load(Ordering::SeqCst));
    while done.load(Ordering::SeqCst) < before + 2 * CLIENTS {
        assert!(start.elapsed() < Duration::from_secs(30), "recording does not resume");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_stopped_and_killed_under_load_loses_and_doubles_nothing() {
    let (mut server, url) = PrivateServer::start().await;
    let place = place_at(&url);
    place.init().await.stop().await.unwrap();
    let ledger = Ledger::open(&place.url, impatient(&place)).await.unwrap();
    let (done, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| tokio::spawn(client(ledger.clone(), number, Arc::clone(&done), Arc::clone(&stop))))
        .collect();
    // One outage lasts longer than anybody waits; the shorter ones may pass without a refusal.
    for (signal, seconds) in [("INT", 4), ("KILL", 1), ("QUIT", 1), ("KILL", 1)] {
        wait_for_progress(&done).await;
        server.end(signal);
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        server.restart().await;
    }
    wait_for_progress(&done).await;
    stop.store(true, Ordering::SeqCst);
    let (mut accepted, mut retried, mut slowest) = (Vec::new(), 0, Duration::ZERO);
    for client in clients {
        let got = client.await.unwrap();
        accepted.extend(got.accepted);
        retried += got.retried;
        slowest = slowest.max(got.slowest);
    }
    println!("{} accepted, {retried} retried, the slowest answer took {slowest:?}", accepted.len());
    assert!(retried > 0, "the long outage was noticed");
    assert!(slowest < 4 * TIMEOUT, "an answer took {slowest:?}");
    ledger.stop().await.unwrap();
    assert_no_fork(&accepted);
    let store = place.store().await;
    assert_one_history(&*store).await;
    let log = rows(&*store).await;
    for one in &accepted {
        assert_eq!(log[usize::try_from(one.receipt.leaf_index.get()).unwrap()].body, one.receipt.entry);
    }
    let recorded = log.iter().filter(|row| row.stream.starts_with("agreement/")).count();
    assert_eq!(recorded, accepted.len(), "each command once");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_free_connection_the_answer_is_retryable_and_recording_resumes() {
    let (_server, url) = PrivateServer::start().await;
    let place = place_at(&url);
    place.init().await.stop().await.unwrap();
    let ledger = Ledger::open(&place.url, impatient(&place)).await.unwrap();
    let first = record(&ledger, "agreement/a", 1, None).await.pop().unwrap();
    let mut held = Vec::new();
    while held.len() < 100 {
        use sqlx::{Connection as _, Executor as _};
        if let Ok(connection) = sqlx::PgConnection::connect(&url).await {
            held.push(connection);
            continue;
        }
        // None is left: those of the ledger are ended, and taken as well.
        let others =
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'weituo'";
        if held[0].execute(others).await.unwrap().rows_affected() == 0 {
            break;
        }
    }
    let (start, command) = (Instant::now(), proposal("agreement/a", "n", Some(first.head())));
    let refused = ledger.submit(command.clone()).await;
    assert!(matches!(refused, Err(SubmitError::Unavailable(_))), "{refused:?}");
    assert!(start.elapsed() < 3 * TIMEOUT, "{:?}", start.elapsed());
    drop(held);
    let resumed = Instant::now();
    while let Err(error) = ledger.submit(command.clone()).await {
        assert!(matches!(error, SubmitError::Unavailable(_)), "{error:?}");
        assert!(resumed.elapsed() < Duration::from_secs(20), "recording does not resume");
    }
    ledger.stop().await.unwrap();
    assert_one_history(&*place.store().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exhausted_pool_answers_readers_in_time_and_recording_goes_on() {
    let place = Place::new(Kind::Postgres).await;
    place.init().await.stop().await.unwrap();
    // Patient with locks, so that a waiting reader keeps its connection until the test lets it go.
    let store = StoreOptions { lock_timeout: Duration::from_mins(1), readers: 2, ..impatient(&place).store };
    let ledger = Ledger::open(&place.url, Options { store, ..place.options() }).await.unwrap();
    let first = record(&ledger, "agreement/a", 1, None).await.pop().unwrap();
    let LedgerUrl::Postgres(url) = &place.url else { panic!("PostgreSQL") };
    let mut holder = connect(url).await;
    {
        use sqlx::Executor as _;
        holder.execute("BEGIN; LOCK TABLE projection IN ACCESS EXCLUSIVE MODE").await.unwrap();
    }
    let readers: Vec<_> = (0..6)
        .map(|_| {
            let ledger = ledger.clone();
            tokio::spawn(async move {
                let start = Instant::now();
                (ledger.store().generations("cycle").await.map(drop), start.elapsed())
            })
        })
        .collect();
    // The writer's connection is its own: whoever records does not notice.
    let mut head = Some(first.head());
    for number in 0..3 {
        let start = Instant::now();
        let accepted = ledger.submit(proposal("agreement/a", &format!("n-{number}"), head)).await.unwrap();
        assert!(start.elapsed() < TIMEOUT, "{:?}", start.elapsed());
        head = Some(accepted.head());
    }
    for reader in readers {
        let (answer, took) = reader.await.unwrap();
        assert!(answer.is_err_and(|error| error.is_retryable()));
        assert!(took < TIMEOUT + Duration::from_secs(1), "{took:?}");
    }
    drop(holder);
    let resumed = Instant::now();
    while let Err(error) = ledger.store().generations("cycle").await {
        assert!(error.is_retryable(), "{error:?}");
        assert!(resumed.elapsed() < Duration::from_secs(20), "reading does not resume");
    }
    ledger.stop().await.unwrap();
    assert_one_history(&*place.store().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_that_takes_a_second_is_waited_for_or_answered_in_time() {
    let place = Place::new(Kind::Postgres).await;
    place.init().await.stop().await.unwrap();
    place
        .tamper(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN PERFORM pg_sleep(1); RETURN NULL; END $$;
             CREATE TRIGGER slow AFTER INSERT ON entry FOR EACH STATEMENT EXECUTE FUNCTION slow()",
        )
        .await;
    // Patient: slow, and that is all.
    let ledger = place.open().await;
    let start = Instant::now();
    let first = record(&ledger, "agreement/a", 2, None).await.pop().unwrap();
    assert!(start.elapsed() >= Duration::from_secs(2));
    ledger.stop().await.unwrap();
    // Impatient: the outcome is not known in time; the command is there once however often it is repeated.
    let store = StoreOptions { timeout: Duration::from_millis(300), ..impatient(&place).store };
    let ledger = Ledger::open(&place.url, Options { store, ..place.options() }).await.unwrap();
    let command = proposal("agreement/a", "n", Some(first.head()));
    let (start, mut refused) = (Instant::now(), 0);
    let accepted = loop {
        let asked = Instant::now();
        match ledger.submit(command.clone()).await {
            Ok(accepted) => break accepted,
            Err(error) => {
                assert!(matches!(error, SubmitError::Unavailable(_)), "{error:?}");
                assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
                refused += 1;
            }
        }
        assert!(start.elapsed() < Duration::from_secs(20));
    };
    assert!(refused > 0 && accepted.repeated, "{refused} {accepted:?}");
    let LedgerUrl::Postgres(url) = &place.url else { panic!("PostgreSQL") };
    {
        use sqlx::Executor as _;
        connect(url).await.execute("DROP TRIGGER slow ON entry").await.unwrap();
    }
    record(&ledger, "agreement/b", 2, None).await;
    ledger.stop().await.unwrap();
    assert_one_history(&*place.store().await).await;
}
