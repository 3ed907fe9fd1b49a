//! Commits whose answer is lost, and a database that does not answer, on PostgreSQL.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sqlx::Executor as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use weituo::ledger::{Ledger, Options, SubmitError};
use weituo::store::{LedgerUrl, StoreOptions};

use crate::append::assert_proves;
use crate::support::ledger::{Kind, Place, assert_one_history, proposal, record};
use crate::support::postgres::connect;

/// What a document says for which the proxy cuts the connection.
const CUT: &[u8] = b"cut-here";

/// A proxy that cuts a connection once, when an entry with `CUT` passes: before or after the server has seen it.
struct Proxy {
    url: String,
    armed: Arc<AtomicBool>,
}

impl Proxy {
    async fn start(url: &LedgerUrl, server_sees_it: bool) -> Self {
        let LedgerUrl::Postgres(url) = url else { panic!("PostgreSQL") };
        let (server, _) = url.split_once('@').unwrap().1.split_once('/').unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let through = url.replace(server, &listener.local_addr().unwrap().to_string());
        let armed = Arc::new(AtomicBool::new(true));
        let (server, cutting) = (server.to_owned(), Arc::clone(&armed));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.unwrap();
                tokio::spawn(forward(client, server, Arc::clone(&cutting), server_sees_it));
            }
        });
        Self { url: through, armed }
    }
}

async fn forward(client: TcpStream, server: TcpStream, armed: Arc<AtomicBool>, server_sees_it: bool) {
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
        (client.into_split(), server.into_split());
    let answers = tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
    let mut buffer = vec![0; 1 << 16];
    while let Ok(length @ 1..) = from_client.read(&mut buffer).await {
        let bytes = &buffer[..length];
        let cut = bytes.windows(CUT.len()).any(|window| window == CUT) && armed.swap(false, Ordering::SeqCst);
        if cut {
            // Whatever the server answers from here on is lost.
            answers.abort();
        }
        if (!cut || server_sees_it) && to_server.write_all(bytes).await.is_err() {
            break;
        }
        if cut {
            tokio::time::sleep(Duration::from_millis(300)).await;
            break;
        }
    }
    answers.abort();
}

async fn open_through(place: &Place, proxy: &Proxy) -> Ledger {
    let ledger = Ledger::open(&proxy.url.parse().unwrap(), place.options()).await.unwrap();
    assert_eq!(ledger.read_only(), None);
    ledger
}

/// A connection cut while a commit is in flight: the command is recorded once, and answered.
async fn cut(server_sees_it: bool) {
    let place = Place::new(Kind::Postgres).await;
    place.init().await.stop().await.unwrap();
    let proxy = Proxy::start(&place.url, server_sees_it).await;
    let ledger = open_through(&place, &proxy).await;
    record(&ledger, "agreement/a", 1, None).await;
    let size = ledger.checkpoint().unwrap().size.get();
    let accepted = ledger.submit(proposal("agreement/b", "cut-here", None)).await.unwrap();
    assert!(!proxy.armed.load(Ordering::SeqCst), "the connection was cut");
    assert_eq!((accepted.receipt.leaf_index.get(), accepted.repeated), (size, server_sees_it));
    assert_proves(&ledger, &accepted);
    record(&ledger, "agreement/c", 1, None).await;
    ledger.stop().await.unwrap();
    assert_eq!(assert_one_history(&*place.store().await).await, size + 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_the_server_never_saw_is_prepared_again() {
    cut(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_was_lost_is_found_and_answered() {
    cut(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_whose_connection_is_killed_while_it_waits_settles_it() {
    let place = Place::new(Kind::Postgres).await;
    let ledger = place.init().await;
    let LedgerUrl::Postgres(url) = &place.url else { panic!("PostgreSQL") };
    let mut other = connect(url).await;
    other.execute("BEGIN; SELECT * FROM head FOR UPDATE").await.unwrap();
    let waiting = {
        let ledger = ledger.clone();
        tokio::spawn(async move { ledger.submit(proposal("agreement/a", "n", None)).await })
    };
    tokio::time::sleep(Duration::from_millis(300)).await;
    let killed: Vec<bool> = sqlx::query_scalar(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND wait_event_type = 'Lock'",
    )
    .fetch_all(&mut other)
    .await
    .unwrap();
    assert_eq!(killed, [true]);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!waiting.is_finished(), "the outcome is settled under the lock");
    other.execute("ROLLBACK").await.unwrap();
    let accepted = waiting.await.unwrap().unwrap();
    assert_proves(&ledger, &accepted);
    ledger.stop().await.unwrap();
    assert_one_history(&*place.store().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_row_locked_for_long_gives_a_retryable_error_in_time() {
    let place = Place::new(Kind::Postgres).await;
    place.init().await.stop().await.unwrap();
    let store = StoreOptions { lock_timeout: Duration::from_millis(300), ..place.options().store };
    let ledger = Ledger::open(&place.url, Options { store, ..place.options() }).await.unwrap();
    let LedgerUrl::Postgres(url) = &place.url else { panic!("PostgreSQL") };
    let mut other = connect(url).await;
    other.execute("BEGIN; SELECT * FROM head FOR UPDATE").await.unwrap();
    let (start, command) = (Instant::now(), proposal("agreement/a", "n", None));
    let refused = ledger.submit(command.clone()).await;
    assert!(matches!(refused, Err(SubmitError::Unavailable(_))), "{refused:?}");
    assert!(start.elapsed() < Duration::from_secs(3));
    other.execute("ROLLBACK").await.unwrap();
    assert!(!ledger.submit(command).await.unwrap().repeated);
    ledger.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_pooled_connection_may_be_broken_and_reading_goes_on() {
    let place = Place::new(Kind::Postgres).await;
    let ledger = place.init().await;
    record(&ledger, "agreement/a", 1, None).await;
    let LedgerUrl::Postgres(url) = &place.url else { panic!("PostgreSQL") };
    connect(url)
        .await
        .execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .await
        .unwrap();
    assert_eq!(ledger.store().stream_rows("agreement/a", 1, 9).await.unwrap().len(), 1);
    record(&ledger, "agreement/b", 2, None).await;
    ledger.stop().await.unwrap();
    assert_one_history(&*place.store().await).await;
}
