//! Waiting until everything read so far is as durable as a commit.
//!
//! Whoever reads a row sees it once its transaction is committed on this server; that a synchronous standby has it too is
//! known to the one who committed, if he was not killed, cancelled or out of patience. A small commit of our own settles
//! it for everybody: its place in the server's log is behind all that was visible before, and it waits for the standby.
//! Invariants: at most one barrier waits in a database, however often
//! one is given up, so that retries do not use up the server's connections.
//! Absent: when a barrier is needed (`ledger`: before anything is signed that this process did not commit itself), and
//! whether a standby is named at all (`mod`).
//! Source: docs/decisions/0012; PostgreSQL manual, `synchronous_standby_names`, `pg_logical_emit_message`.

use std::time::Duration;

use sqlx::Executor as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use tokio::sync::Mutex;

use super::connect::{self, fault, is_broken};
use super::warnings::Warnings;
use crate::store::{Result, StoreError};

const WAITING: &str = "waiting for the synchronous standby";

/// A transaction that takes a number and writes to the server's log, as one has to for its commit to wait. The advisory
/// lock is kept until the wait is over: whoever comes meanwhile gives up after `lock_timeout`.
const BARRIER: &str = "SELECT pg_advisory_xact_lock(7365219), pg_logical_emit_message(true, 'weituo', '')";

/// A connection of its own, opened when needed: the writer's may be in a transaction, a pooled one may not hang.
#[derive(Debug)]
pub(super) struct Barrier {
    options: PgConnectOptions,
    timeout: Duration,
    warnings: Warnings,
    connection: Mutex<Option<PgConnection>>,
}

impl Barrier {
    pub(super) fn new(options: PgConnectOptions, timeout: Duration) -> Self {
        Self { options, timeout, warnings: Warnings::new(), connection: Mutex::new(None) }
    }

    /// Returns when all that was visible before is on the standby too.
    pub(super) async fn pass(&self) -> Result<()> {
        let mut kept = self.connection.lock().await;
        if let Some(connection) = kept.take() {
            match self.wait(connection).await {
                Ok(Ok(connection)) => {
                    *kept = Some(connection);
                    return Ok(());
                }
                // The server was restarted since: once more, on a new connection.
                Ok(Err(error)) if is_broken(&error) => {}
                Ok(Err(error)) => return Err(fault(WAITING)(error)),
                Err(error) => return Err(error),
            }
        }
        let connection = connect::committing(&self.options, self.timeout, &self.warnings).await?;
        *kept = Some(self.wait(connection).await?.map_err(fault(WAITING))?);
        Ok(())
    }

    /// Commits and waits. Gives the connection back where it was not given up.
    async fn wait(&self, mut connection: PgConnection) -> Result<sqlx::Result<PgConnection>> {
        let commit = self.warnings.during(connection.execute(BARRIER));
        match tokio::time::timeout(self.timeout, commit).await {
            Err(_) => Err(StoreError::too_slow(WAITING, self.timeout)),
            Ok((Ok(_), Some(warning))) => {
                Err(StoreError::Unavailable { doing: WAITING, source: warning.into() })
            }
            Ok((answer, _)) => Ok(answer.map(|_| connection)),
        }
    }

    /// Closes the connection.
    pub(super) async fn close(&self) {
        connect::close(self.connection.lock().await.take()).await;
    }
}
