//! Reading events through the `events` view, as cqrs-es's own repositories do.
//!
//! Invariants: a broken pooled connection costs a retry and no error.
//! Absent: writing (the commit is the ledger's), snapshots and replays of cqrs-es (design.md says why not). The
//! `event_type` and `event_version` of what comes back are constants: the payload, a whole entry, holds both.
//! Source: design.md "The append path"; cqrs-es 0.5.0.

use cqrs_es::Aggregate;
use cqrs_es::persist::{PersistedEventRepository, PersistenceError, SerializedEvent};
use postgres_es::PostgresEventRepository;
use sqlite_es::SqliteEventRepository;
use weituo_proof::both;

use super::StoreError;

/// Whether a stream has a body that is no JSON, on which sqlite-es panics. PostgreSQL's column holds nothing else.
const GARBLED: &str = "SELECT EXISTS (SELECT 1 FROM entry WHERE stream = ?1 AND NOT json_valid(body))";

/// The event repository of either store.
pub enum EventReader {
    /// sqlite-es.
    Sqlite {
        /// The repository.
        repository: SqliteEventRepository,
        /// Its pool.
        pool: sqlx::SqlitePool,
    },
    /// postgres-es.
    Postgres {
        /// The repository.
        repository: PostgresEventRepository,
        /// How many connections its pool has: after a restart of the server each fails once.
        connections: u32,
    },
}

impl EventReader {
    /// Returns the reader over a pool of so many connections.
    pub(super) fn postgres(repository: PostgresEventRepository, connections: u32) -> Self {
        Self::Postgres { repository, connections }
    }

    /// Returns the events of a stream in order of sequence. `A::TYPE` is the stream's part before the slash.
    ///
    /// # Errors
    ///
    /// cqrs-es's own error; a broken pooled connection is no error but another attempt.
    pub async fn get_events<A: Aggregate>(
        &self,
        stream: &str,
    ) -> Result<Vec<SerializedEvent>, PersistenceError> {
        let retries = match self {
            Self::Sqlite { .. } => 0,
            Self::Postgres { connections, .. } => *connections,
        };
        for _ in 0..retries {
            match self.read::<A>(stream).await {
                Err(error) if is_broken(&error) => {
                    tracing::info!(%error, "a pooled connection was broken; reading again");
                }
                answer => return answer,
            }
        }
        self.read::<A>(stream).await
    }

    async fn read<A: Aggregate>(&self, stream: &str) -> Result<Vec<SerializedEvent>, PersistenceError> {
        match self {
            Self::Sqlite { repository, pool } => {
                let garbled = sqlx::query_scalar(GARBLED).bind(stream).fetch_one(pool).await;
                if garbled.map_err(|error| PersistenceError::UnknownError(error.into()))? {
                    let what = both!("流 {stream} 的一条记录不是 JSON", "an entry of {stream} is not JSON");
                    return Err(PersistenceError::DeserializationError(StoreError::corrupt(what).into()));
                }
                repository.get_events::<A>(stream).await
            }
            Self::Postgres { repository, .. } => repository.get_events::<A>(stream).await,
        }
    }
}

fn is_broken(error: &PersistenceError) -> bool {
    let (PersistenceError::ConnectionError(source) | PersistenceError::UnknownError(source)) = error else {
        return false;
    };
    source.downcast_ref::<sqlx::Error>().is_some_and(super::postgres::is_broken)
}

impl std::fmt::Debug for EventReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Sqlite { .. } => "EventReader::Sqlite",
            Self::Postgres { .. } => "EventReader::Postgres",
        })
    }
}
