//! Connections to PostgreSQL and what their errors mean.
//!
//! Invariants: an error is "nothing was written" only where the server said so and lives to say it.
//! Absent: SQL of the log.
//! Source: format.md "Append protocol", database time-outs.

use std::borrow::Cow;
use std::str::FromStr;

use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgDatabaseError, PgSeverity};

use crate::store::{Result, StoreError, StoreOptions};

/// Returns the options of the writer's connection.
pub(super) fn writer(url: &str, options: StoreOptions) -> Result<PgConnectOptions> {
    let millis = options.lock_timeout.as_millis().to_string();
    Ok(base(url)?.options([
        ("lock_timeout", millis.as_str()),
        ("idle_in_transaction_session_timeout", millis.as_str()),
        // A cancelled wait for a synchronous standby would return success with a warning.
        ("statement_timeout", "0"),
    ]))
}

/// What connecting is called in errors.
pub(super) const CONNECTING: &str = "connecting to PostgreSQL";

/// Makes sure of what the append protocol rests on, whatever the server's defaults are: a writer that waited compares
/// the row as the other left it, and a commit that returned is on the disk (a stricter setting stays).
pub(super) const WRITER_SETTINGS: &str = "
SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE;
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') IN ('off', 'local')";

/// Returns the options of the readers' and followers' connections.
pub(super) fn reader(url: &str, options: StoreOptions) -> Result<PgConnectOptions> {
    let lock_millis = options.lock_timeout.as_millis().to_string();
    Ok(base(url)?.options([
        ("lock_timeout", lock_millis.as_str()),
        ("idle_in_transaction_session_timeout", lock_millis.as_str()),
    ]))
}

fn base(url: &str) -> Result<PgConnectOptions> {
    let options = PgConnectOptions::from_str(url).map_err(fault("reading the ledger's address"))?;
    Ok(options.application_name("weituo"))
}

/// Connects within the time-out.
pub(super) async fn connect(
    options: &PgConnectOptions,
    timeout: std::time::Duration,
) -> Result<PgConnection> {
    match tokio::time::timeout(timeout, PgConnection::connect_with(options)).await {
        Ok(connected) => connected.map_err(fault(CONNECTING)),
        Err(_) => Err(StoreError::too_slow(CONNECTING, timeout)),
    }
}

/// Returns whether the connection is gone, so that whatever was in flight may or may not have happened.
pub(in crate::store) fn is_broken(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => {
            true
        }
        sqlx::Error::Database(database) => database
            .try_downcast_ref::<PgDatabaseError>()
            .is_some_and(|error| matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic)),
        _ => false,
    }
}

/// Sorts a driver's error by what the caller can do about it (SQLSTATE classes: PostgreSQL manual, appendix A).
pub(super) fn fault(doing: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |error| {
        if is_broken(&error) || matches!(error, sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed) {
            return StoreError::Unavailable { doing, source: error.into() };
        }
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code).map(Cow::into_owned);
        let source = error.into();
        match code.as_deref() {
            Some("53100") => StoreError::Full { doing, source },
            // Undefined table: nobody migrated this database.
            Some("42P01") => StoreError::Schema {
                what: "there is no ledger here: run `weituo init --origin NAME`".to_owned(),
            },
            // Lock not available, query cancelled, read-only server, cannot connect now, too many connections.
            Some("55P03" | "57014" | "25006") => StoreError::Unavailable { doing, source },
            Some(code) if ["08", "40", "53", "57"].iter().any(|class| code.starts_with(class)) => {
                StoreError::Unavailable { doing, source }
            }
            Some(code) if code.starts_with("XX") => {
                StoreError::Corrupt { what: format!("PostgreSQL says while {doing}: {source}") }
            }
            _ => StoreError::Fault { doing, source },
        }
    }
}
