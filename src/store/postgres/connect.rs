//! Connections to PostgreSQL and what their errors mean.
//!
//! Invariants: an error is "nothing was written" only where the server said so and lives to say it.
//! Absent: SQL of the log.
//! Source: design.md "The append path".

use std::borrow::Cow;
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgDatabaseError, PgPool, PgPoolOptions, PgSeverity};
use sqlx::{Connection as _, Executor as _};
use weituo_proof::both;

use super::warnings::Warnings;
use crate::store::schema::NO_LEDGER_HERE;
use crate::store::{Result, StoreError, StoreOptions};

/// Returns the options of the writer's connection.
pub(super) fn writer(url: &str, options: StoreOptions) -> Result<PgConnectOptions> {
    // Whoever waits for the lock outlasts a holder that is stopped, from whom the server takes it.
    let idle_millis = options.lock_timeout.as_millis().to_string();
    let lock_millis = (options.lock_timeout + options.lock_timeout / 10).as_millis().to_string();
    Ok(base(url)?.options([
        ("lock_timeout", lock_millis.as_str()),
        ("idle_in_transaction_session_timeout", idle_millis.as_str()),
        // A cancelled wait for a synchronous standby returns success with a warning, which has to arrive.
        ("statement_timeout", "0"),
        ("client_min_messages", "warning"),
    ]))
}

/// What connecting is called in errors.
const CONNECTING: &str = "connecting to PostgreSQL";

/// Makes sure of what the append protocol rests on, whatever the server's defaults are: a writer that waited compares
/// the row as the other left it, and a commit that returned is on the disk (a stricter setting stays). The first
/// statement has nothing to roll back, of which the server warns: so it shows whether warnings are heard.
const WRITER_SETTINGS: &str = "
ROLLBACK;
SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE;
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') IN ('off', 'local')";

/// Whatever search path the role, the database or the server sets: names mean the tables beside `entry`, and PostgreSQL's own
/// functions. Else whoever may set one could show this program other rows than are stored, while they verify.
const OWN_PATH: &str = "
SELECT pg_catalog.set_config('search_path', pg_catalog.format('%I, pg_temp', coalesce(
    (SELECT nspname FROM pg_catalog.pg_namespace AS n JOIN pg_catalog.pg_class AS c ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
     WHERE c.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass('entry')), pg_catalog.current_schema(), 'public')), false)";

/// Compresses long rows with lz4 where the server was built with it, which costs it much less than its own method. What
/// is stored either way it reads alike; a server without lz4 that takes over its files cannot, until `weituo rebuild`.
const FOLLOWER_SETTINGS: &str = "
SELECT set_config(name, 'lz4', false) FROM pg_settings
WHERE name = 'default_toast_compression' AND 'lz4' = ANY (enumvals)";

/// Returns the pool of the readers' and followers' connections; none is opened before it is needed.
pub(super) fn readers(url: &str, options: StoreOptions) -> Result<PgPool> {
    let pool = PgPoolOptions::new()
        .max_connections(options.readers.max(1))
        .acquire_timeout(options.timeout)
        .test_before_acquire(false)
        .after_connect(|connection, _| {
            Box::pin(async {
                connection.execute(OWN_PATH).await?;
                match connection.execute(FOLLOWER_SETTINGS).await {
                    Err(error) if is_broken(&error) => return Err(error),
                    // It works without.
                    Err(error) => tracing::debug!(%error, "no choice of compression"),
                    Ok(_) => {}
                }
                Ok(())
            })
        });
    Ok(pool.connect_lazy_with(reader(url, options)?))
}

/// Returns the options of the readers' and followers' connections.
fn reader(url: &str, options: StoreOptions) -> Result<PgConnectOptions> {
    let lock_millis = options.lock_timeout.as_millis().to_string();
    Ok(base(url)?.options([
        ("lock_timeout", lock_millis.as_str()),
        ("idle_in_transaction_session_timeout", lock_millis.as_str()),
        // They write projections only, which are made again from the log: they need not wait for a standby.
        ("synchronous_commit", "local"),
    ]))
}

fn base(url: &str) -> Result<PgConnectOptions> {
    let options = PgConnectOptions::from_str(url).map_err(fault("reading the ledger's address"))?;
    Ok(options.application_name("weituo"))
}

/// Connects within the time-out.
pub(super) async fn connect(options: &PgConnectOptions, timeout: Duration) -> Result<PgConnection> {
    let connecting = async {
        let mut connection = PgConnection::connect_with(options).await?;
        connection.execute(OWN_PATH).await?;
        Ok(connection)
    };
    match tokio::time::timeout(timeout, connecting).await {
        Ok(connected) => connected.map_err(fault(CONNECTING)),
        Err(_) => Err(StoreError::too_slow(CONNECTING, timeout)),
    }
}

/// Opens a connection to commit on, whose warnings are heard.
pub(super) async fn committing(
    options: &PgConnectOptions,
    timeout: Duration,
    warnings: &Warnings,
) -> Result<PgConnection> {
    let mut connection = connect(options, timeout).await?;
    let settings = warnings.during(connection.execute(WRITER_SETTINGS));
    match tokio::time::timeout(timeout, settings).await {
        Err(_) => Err(StoreError::too_slow(CONNECTING, timeout)),
        Ok((Err(error), _)) => Err(fault(CONNECTING)(error)),
        // Compiled out of `tracing`, or lost in another version of the driver.
        Ok((Ok(_), None)) => Err(StoreError::Fault {
            doing: CONNECTING,
            source: "the server's warnings are not heard, so a commit that no standby has could not be told"
                .into(),
        }),
        Ok((Ok(_), Some(_))) => Ok(connection),
    }
}

/// Closes a connection, where there is one.
pub(super) async fn close(connection: Option<PgConnection>) {
    if let Some(connection) = connection
        && let Err(error) = connection.close().await
    {
        tracing::debug!(%error, "a connection was already gone");
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
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code).map(Cow::into_owned);
        // Neither mends itself: no such database; a role that may not log in.
        if matches!(code.as_deref(), Some("3D000" | "28000" | "28P01")) {
            return StoreError::Schema {
                what: both!(
                    "服务器不接受此地址:{error};请改正地址,或建立数据库与角色",
                    "the server does not take this address: {error}; mend it, or create the database and the role"
                ),
            };
        }
        if is_broken(&error) || matches!(error, sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed) {
            return StoreError::Unavailable { doing, source: error.into() };
        }
        let source = error.into();
        match code.as_deref() {
            Some("53100") => StoreError::Full { doing, source },
            // Undefined table: nobody migrated this database.
            Some("42P01") => StoreError::Schema { what: NO_LEDGER_HERE },
            // Lock not available, query cancelled, read-only server, cannot connect now, too many connections.
            Some("55P03" | "57014" | "25006") => StoreError::Unavailable { doing, source },
            Some(code) if ["08", "40", "53", "57"].iter().any(|class| code.starts_with(class)) => {
                StoreError::Unavailable { doing, source }
            }
            Some(code) if code.starts_with("XX") => StoreError::corrupt(both!(
                "PostgreSQL 报告:{source}",
                "PostgreSQL says while {doing}: {source}"
            )),
            _ => StoreError::Fault { doing, source },
        }
    }
}
