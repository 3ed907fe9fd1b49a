//! Answering the proposals that are in no batch: refused, conflicting, or repeated.
//!
//! Invariants: before a proposal is answered as conflicting or refused, its command id is looked up, because it may have
//! been recorded before; a repeated id with the same content gets its first entry's receipt again.
//! Absent: the writer's state (these answers run in tasks of their own).
//! Source: format.md "Entry" (`command`); design.md "The append path".

use std::sync::Arc;

use weituo_events::same_content;
use weituo_proof::{Entry, LeafIndex, both};

use super::prepare::{Aside, Pending};
use super::shared::Shared;
use super::types::{Accepted, LedgerError, SubmitError};
use crate::store::EntryRow;

/// Answers a proposal that was set aside.
pub(super) async fn answer_aside(shared: Arc<Shared>, mut pending: Pending, aside: Aside) {
    let answer = match aside {
        Aside::Known(leaf_index) => match shared.store.entry(leaf_index).await {
            Ok(Some(row)) => repeated(&shared, &pending, row).await,
            Ok(None) => Err(SubmitError::from(LedgerError::NotFound {
                what: both!("没有序号为 {leaf_index} 的记录", "no entry at leaf index {leaf_index}"),
            })),
            Err(error) => Err(SubmitError::from(LedgerError::Store(error))),
        },
        Aside::Refused(refusal) => match shared.store.by_command(&[pending.command]).await {
            Ok(mut rows) => match rows.pop() {
                Some(row) => repeated(&shared, &pending, row).await,
                None => Err(refusal),
            },
            Err(error) => Err(SubmitError::from(LedgerError::Store(error))),
        },
    };
    pending.answer(answer);
}

/// Answers every one of the proposals alike.
pub(super) fn refuse_all(waiting: Vec<Pending>, error: &SubmitError) {
    for mut pending in waiting {
        pending.answer(Err(error.clone()));
    }
}

async fn repeated(shared: &Shared, pending: &Pending, row: EntryRow) -> Result<Accepted, SubmitError> {
    let leaf = row.leaf_index;
    let entry = Entry::parse(row.body.as_bytes())?;
    let stored = shared.store.disclosures(leaf..leaf + 1).await.map_err(LedgerError::Store)?;
    let stored: Vec<String> = stored.into_iter().map(|row| row.disclosure).collect();
    if !same_content(&entry, &stored, &pending.draft, &pending.proposal.disclosures) {
        return Err(SubmitError::Reused { leaf_index: LeafIndex::new(leaf) });
    }
    let receipt = match shared.receipt_of(row).await {
        // Committed but not anchored yet: the same command may be repeated again.
        Err(error @ LedgerError::NotFound { .. }) => return Err(SubmitError::from(error)),
        receipt => receipt?,
    };
    Ok(Accepted { receipt, position: entry.position(), repeated: true })
}
