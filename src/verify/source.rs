//! Reading from a store that may be tampered with, busy or failing.
//!
//! Invariants: a call that is not answered is a reason and never a finding.
//! Absent: judging what was read.

use std::future::Future;
use weituo_verifier::{Collected, chain};

use crate::store::StoreError;

/// Rows read in one call.
pub(super) const PAGE: u32 = 1024;

/// Returns what the store answers, asking once more where it was not available: after a restart of the database every
/// idle connection fails once.
pub(super) async fn ask<T, F>(mut call: impl FnMut() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    match call().await {
        Err(error) if error.is_retryable() => call().await,
        answer => answer,
    }
}

/// The same; `None`, with a reason, where it does not answer.
pub(super) async fn read<T, F>(what: &str, findings: &mut Collected, call: impl FnMut() -> F) -> Option<T>
where
    F: Future<Output = Result<T, StoreError>>,
{
    answered(what, findings, ask(call).await)
}

/// Returns what the store answered; `None`, with a reason, where it did not.
pub(super) fn answered<T>(what: &str, findings: &mut Collected, answer: Result<T, StoreError>) -> Option<T> {
    match answer {
        Ok(answer) => Some(answer),
        Err(error) => {
            findings.could_not(format!("{what} could not be read: {}", chain(&error)));
            None
        }
    }
}

/// Returns whether a failed read means that what is stored cannot be what a writer stored. The same call on rows of the
/// right types does not fail in this way.
pub(super) fn is_unreadable(error: &StoreError) -> bool {
    matches!(error, StoreError::Corrupt { .. } | StoreError::Fault { .. })
}
