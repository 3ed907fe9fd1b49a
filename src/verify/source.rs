//! Reading from a store that may be tampered with, busy or failing.
//!
//! Invariants: a call that is not answered is a reason and never a finding.
//! Absent: judging what was read.

use std::future::Future;
use std::num::NonZero;
use std::panic::resume_unwind;
use std::thread::available_parallelism;

use weituo_proof::{Both, Language, both};
use weituo_verifier::Collected;

use crate::errors::texts;
use crate::store::StoreError;

/// What is read, as a reason names it.
pub(super) const THE_LOG: Both = Both::new("台账记录", "the log");
pub(super) const THE_HEAD: Both = Both::new("台账首行", "the head");
pub(super) const CURSORS: Both = Both::new("投影的进度", "the projections' cursors");
pub(super) const DISCLOSURES: Both = Both::new("披露值", "disclosures");

/// Rows read in one call.
pub(super) const PAGE: u32 = 1024;

/// A page of more is judged before the next is read.
pub(super) const AHEAD_BYTES: usize = 4_000_000;

/// Rows judged before the reading of the next page is looked after.
pub(super) const AT_ONCE: usize = 128;

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
pub(super) async fn read<T, F>(what: &Both, findings: &mut Collected, call: impl FnMut() -> F) -> Option<T>
where
    F: Future<Output = Result<T, StoreError>>,
{
    answered(what, findings, ask(call).await)
}

/// Returns what the store answered; `None`, with a reason, where it did not.
pub(super) fn answered<T>(what: &Both, findings: &mut Collected, answer: Result<T, StoreError>) -> Option<T> {
    match answer {
        Ok(answer) => Some(answer),
        Err(error) => {
            let (zh, en) = (what.get(Language::Zh), what.get(Language::En));
            let (why_zh, why) = texts(&error);
            findings.could_not(both!("无法读取{zh}:{why_zh}", "{en} could not be read: {why}"));
            None
        }
    }
}

/// Returns whether a failed read means that what is stored cannot be what a writer stored. The same call on rows of the
/// right types does not fail in this way.
pub(super) fn is_unreadable(error: &StoreError) -> bool {
    matches!(error, StoreError::Corrupt { .. } | StoreError::Fault { .. })
}

/// Most parts of a page that are worked on at once; each may have a thread with memory of its own.
const MOST_PARTS: usize = 8;

/// Does `each` for every item of a page, on several processors at once, and returns what it gives in the items' order.
///
/// # Panics
/// Where `each` does, and where the runtime shuts down meanwhile.
pub(super) async fn spread<T, R>(mut items: Vec<T>, each: fn(T) -> R) -> Vec<R>
where
    T: Send + 'static,
    R: Send + 'static,
{
    // More than processors: they do not take the same time.
    let number = (2 * available_parallelism().map_or(1, NonZero::get)).min(MOST_PARTS);
    let mut parts = Vec::new();
    while !items.is_empty() {
        let rest = items.split_off(items.len().div_ceil(number - parts.len()));
        parts.push(tokio::task::spawn_blocking(move || items.into_iter().map(each).collect::<Vec<R>>()));
        items = rest;
    }
    let mut done = Vec::new();
    for part in parts {
        done.append(&mut part.await.unwrap_or_else(|error| resume_unwind(error.into_panic())));
    }
    done
}
