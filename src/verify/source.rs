//! Reading from a store that may be tampered with, busy or failing.
//!
//! Invariants: a call that is not answered is a reason and never a finding.
//! Absent: judging what was read.

use std::error::Error;
use std::future::Future;
use weituo_verifier::Collected;

use crate::store::StoreError;

/// Rows read in one call.
pub(super) const PAGE: u32 = 1024;

/// Returns what the store answers, asking once more where it was not available (after a restart of the database every
/// idle connection fails once); `None`, with a reason, where it does not answer.
pub(super) async fn read<T, F>(what: &str, findings: &mut Collected, mut call: impl FnMut() -> F) -> Option<T>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let mut answer = call().await;
    if answer.as_ref().is_err_and(StoreError::is_retryable) {
        answer = call().await;
    }
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

/// Returns an error with its causes, in one line.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
