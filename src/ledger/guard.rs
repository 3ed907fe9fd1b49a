//! Guard mode: the anchor follows what is published, a moment later.
//!
//! Invariants: at most 50 ms lie between a published checkpoint and its anchor, as long as the disk answers in 30; a
//! failure is seen by the writer, which then records nothing more.
//! Source: design.md "The append path" step 5.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::shared::Shared;
use super::types::LedgerError;

/// Checkpoints published within this time share one write of the anchor.
const GATHER: Duration = Duration::from_millis(20);
/// How long after a failure the anchor is tried again.
const RETRY: Duration = Duration::from_millis(200);

/// Follows the published checkpoints until the ledger is gone or stops writing.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut published = shared.published.subscribe();
    while published.changed().await.is_ok() {
        tokio::time::sleep(GATHER).await;
        loop {
            let newest = published.borrow_and_update().clone();
            let Some(checkpoint) = newest else { break };
            let anchored = shared.anchor_to(&checkpoint).await;
            let failed = anchored.is_err();
            if let Err(LedgerError::ReadOnly(reason)) = &anchored {
                return shared.halt(reason.clone());
            }
            *shared.anchor_failure.lock().unwrap_or_else(PoisonError::into_inner) =
                anchored.err().map(Arc::new);
            if !failed {
                break;
            }
            tokio::time::sleep(RETRY).await;
        }
    }
}
