//! Threads that own SQLite connections, because rusqlite blocks.
//!
//! Invariants: a worker's jobs run one after another on one connection, in the order they were sent; a transaction left
//! open by a job (the head's lock) is rolled back when no job follows within the limit; whoever closed a worker or the
//! readers first has their connections closed, not only about to be.
//! Absent: SQL.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rusqlite::{Connection, Error, ErrorCode};
use tokio::sync::{Semaphore, oneshot};
use weituo_proof::both;

use crate::store::{Result, StoreError};

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// A thread with its connection.
#[derive(Debug)]
pub(super) struct Worker {
    jobs: Mutex<Option<Sender<Job>>>,
    /// Ends when the thread has closed its connection.
    ended: Mutex<Option<oneshot::Receiver<()>>>,
}

impl Worker {
    /// Starts the thread; it ends when the worker is dropped or closed.
    pub(super) fn start(name: &str, connection: Connection, lock_timeout: Duration) -> Result<Self> {
        let (jobs, inbox) = channel();
        let (end, ended) = oneshot::channel();
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                run(connection, &inbox, lock_timeout);
                drop(end);
            })
            .map_err(|error| StoreError::Unavailable {
                doing: "starting the database thread",
                source: error.into(),
            })?;
        Ok(Self { jobs: Mutex::new(Some(jobs)), ended: Mutex::new(Some(ended)) })
    }

    /// Runs a job on the connection and returns its answer.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            // A caller that no longer listens has lost interest in the answer, not in the work.
            let _ = answer.send(job(connection));
        });
        let sent =
            self.jobs.lock().is_ok_and(|jobs| jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok()));
        let closed = || StoreError::Unavailable {
            doing: "calling the database thread",
            source: "the store is closed".into(),
        };
        if sent { answered.await.map_err(|_| closed())? } else { Err(closed()) }
    }

    /// Ends the thread after the jobs already sent, and waits until its connection is closed.
    pub(super) async fn close(&self) {
        if let Ok(mut jobs) = self.jobs.lock() {
            *jobs = None;
        }
        let ended = self.ended.lock().ok().and_then(|mut ended| ended.take());
        if let Some(ended) = ended {
            // Nothing is ever sent: the thread's end is told by dropping the sender.
            let _ = ended.await;
        }
    }
}

fn run(mut connection: Connection, inbox: &Receiver<Job>, lock_timeout: Duration) {
    loop {
        let job = if connection.is_autocommit() {
            inbox.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            inbox.recv_timeout(lock_timeout)
        };
        match job {
            Ok(job) => job(&mut connection),
            Err(RecvTimeoutError::Timeout) => roll_back(&connection),
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
}

/// Leaves any open transaction.
pub(super) fn roll_back(connection: &Connection) {
    if !connection.is_autocommit()
        && let Err(error) = connection.execute_batch("ROLLBACK")
    {
        tracing::warn!(%error, "a rollback failed; SQLite repeats it when the connection closes");
    }
}

/// Connections for reading, each used by one blocking thread at a time.
#[derive(Debug)]
pub(super) struct Readers {
    idle: Mutex<Vec<Connection>>,
    free: Arc<Semaphore>,
    count: u32,
}

impl Readers {
    pub(super) fn new(connections: Vec<Connection>) -> Self {
        let free = Arc::new(Semaphore::new(connections.len()));
        Self {
            free,
            count: u32::try_from(connections.len()).unwrap_or(u32::MAX),
            idle: Mutex::new(connections),
        }
    }

    /// Runs a read on an idle connection, waiting for one where all are busy.
    pub(super) async fn call<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let this = Arc::clone(self);
        let closed = || StoreError::Unavailable { doing: "reading", source: "the store is closed".into() };
        let permit = Arc::clone(&self.free).acquire_owned().await.map_err(|_| closed())?;
        let answer = tokio::task::spawn_blocking(move || {
            let connection = this.idle.lock().ok().and_then(|mut idle| idle.pop());
            let answer = connection.as_ref().map_or_else(|| Err(closed()), read);
            if let (Some(connection), Ok(mut idle)) = (connection, this.idle.lock()) {
                idle.push(connection);
            }
            // Here, and not where the answer is waited for: who waits may have gone.
            drop(permit);
            answer
        })
        .await;
        answer.map_err(|error| StoreError::Fault { doing: "reading", source: error.into() })?
    }

    /// Waits for the reads under way, closes the connections and refuses further reads.
    pub(super) async fn close(&self) {
        let all = self.free.acquire_many(self.count).await;
        self.free.close();
        drop(all);
        if let Ok(mut idle) = self.idle.lock() {
            idle.clear();
        }
    }
}

/// Sorts a driver's error by what the caller can do about it.
pub(super) fn fault(doing: &'static str) -> impl Fn(Error) -> StoreError {
    move |error| {
        let code = error.sqlite_error_code();
        let source = error.into();
        match code {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::CannotOpen) => {
                StoreError::Unavailable { doing, source }
            }
            Some(ErrorCode::DiskFull) => StoreError::Full { doing, source },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                StoreError::corrupt(both!("SQLite 报告:{source}", "SQLite says while {doing}: {source}"))
            }
            Some(ErrorCode::SystemIoFailure) => StoreError::Unavailable { doing, source },
            _ => StoreError::Fault { doing, source },
        }
    }
}
