//! What can go wrong between the application and its database, by what the caller can do about it.
//!
//! Invariants: a commit whose outcome is not known is `CommitUnknown` and nothing else.
//! Absent: a lost fence and a repeated command id, which are outcomes (`CommitOutcome`).
//! Source: design.md "The append path".

use std::error::Error;
use weituo_proof::Both;

type Source = Box<dyn Error + Send + Sync>;

/// A failed call of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Nothing was written; the same call may succeed later.
    #[error("the database is not available now: {doing}")]
    Unavailable {
        /// What was being done.
        doing: &'static str,
        /// The driver's error.
        #[source]
        source: Source,
    },
    /// The batch may or may not be committed: take the head's lock and look before anything else.
    #[error("the database did not say whether it committed")]
    CommitUnknown {
        /// The driver's error.
        #[source]
        source: Source,
    },
    /// The disk is full; nothing was written.
    #[error("no room left for the database: {doing}")]
    Full {
        /// What was being done.
        doing: &'static str,
        /// The driver's error.
        #[source]
        source: Source,
    },
    /// The stored rows cannot have been written by this program.
    #[error("the database holds what no writer stored: {}; run `weituo verify`, or where that says no more than this, restore a backup into an empty place", what.en())]
    Corrupt {
        /// Table, column and what stands there.
        what: Both,
    },
    /// There is no ledger at this address, or one of another version.
    #[error("{}", what.en())]
    Schema {
        /// What is missing or different, and what to run.
        what: Both,
    },
    /// Anything else the driver reports; repeating will not help.
    #[error("the database refused: {doing}")]
    Fault {
        /// What was being done.
        doing: &'static str,
        /// The driver's error.
        #[source]
        source: Source,
    },
}

impl StoreError {
    /// Returns whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Full { .. } | Self::CommitUnknown { .. })
    }

    pub(crate) fn corrupt(what: Both) -> Self {
        Self::Corrupt { what }
    }

    /// Makes an error of a place beyond those that a log can have.
    pub(crate) fn beyond() -> Self {
        Self::corrupt(Both::new("有超出 2^63 的位置", "a place beyond 2^63"))
    }

    /// Makes an error of a call that was not answered in time.
    pub(crate) fn too_slow(doing: &'static str, limit: std::time::Duration) -> Self {
        Self::Unavailable { doing, source: format!("no answer within {} ms", limit.as_millis()).into() }
    }
}
