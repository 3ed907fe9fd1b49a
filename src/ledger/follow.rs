//! Following the log: rows that this process did not write are read, hashed and applied.
//!
//! Invariants: a leaf hash is computed from the entry's bytes, never taken from its column; pages keep memory constant.
//! Absent: the complete verification (`verify`), which also checks what following does not need.
//! Source: design.md "The append path" step 3.

use weituo_proof::{Both, Hash, both, leaf_hash};

use super::derived::Derived;
use super::seal::SealKey;
use super::shared::Shared;
use super::types::{LedgerError, ReadOnly};
use crate::store::{Head, StoreError};

/// Entries in a page.
const PAGE: u32 = 4_096;

/// What is wrong with a database that has entries and no head.
pub(super) const NO_HEAD_ROW: Both = Both::new("没有首行", "the head row is missing");

/// Why following ended early.
#[derive(Debug)]
pub(super) enum Halt {
    /// The log must not be extended.
    ReadOnly(ReadOnly),
    /// The database did not answer.
    Store(StoreError),
}

impl From<StoreError> for Halt {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Corrupt { what } => Self::ReadOnly(ReadOnly::Corrupt { what }),
            error => Self::Store(error),
        }
    }
}

impl From<Halt> for LedgerError {
    fn from(halt: Halt) -> Self {
        match halt {
            Halt::ReadOnly(reason) => Self::ReadOnly(reason),
            Halt::Store(error) => Self::Store(error),
        }
    }
}

/// Applies the entries from the tree's size up to `to`. Returns the root at size `watched`, where it was passed.
pub(super) async fn rows(
    shared: &Shared,
    derived: &mut Derived,
    to: u64,
    watched: u64,
) -> Result<Option<Hash>, Halt> {
    let mut passed = None;
    let mut next = shared.with_tree(super::tree::Tree::size);
    while next < to {
        let limit = u32::try_from(to - next).unwrap_or(PAGE).min(PAGE);
        let from = i64::try_from(next).unwrap_or(i64::MAX);
        let page = shared.store.scan(from, limit).await?;
        if page.is_empty() {
            return Err(Halt::ReadOnly(missing(next)));
        }
        let listening = shared.foreign.receiver_count() > 0;
        let mut streams = Vec::new();
        shared.with_tree_mut(|tree| {
            for scanned in page {
                let row = scanned.into_row()?;
                if row.leaf_index != next {
                    return Err(Halt::ReadOnly(missing(next)));
                }
                let hash = leaf_hash(row.body.as_bytes());
                derived.apply_row(&row, hash).map_err(Halt::ReadOnly)?;
                tree.append(hash);
                next += 1;
                if next == watched {
                    passed = Some(tree.frontier().root());
                }
                if listening {
                    streams.push(row.stream);
                }
            }
            Ok(())
        })?;
        // Nobody may be listening any more.
        let _ = shared.foreign.send(streams.into());
    }
    Ok(passed)
}

/// Checks that a head row was written by a holder of the key and describes the entries followed.
pub(super) fn check_head(shared: &Shared, seal: &SealKey, head: &Head) -> Result<(), ReadOnly> {
    if !seal.holds(head) || head.origin != shared.origin.as_str() {
        return Err(ReadOnly::SealWrong { size: head.size });
    }
    check_root(shared, head)
}

/// Checks that a head row describes the entries followed.
pub(super) fn check_root(shared: &Shared, head: &Head) -> Result<(), ReadOnly> {
    let (found_size, found_root) = shared.with_tree(|tree| (tree.size(), tree.frontier().root()));
    if (found_size, found_root) == (head.size, head.root) {
        return Ok(());
    }
    Err(ReadOnly::HeadDiffers { head_size: head.size, head_root: head.root, found_size, found_root })
}

fn missing(leaf_index: u64) -> ReadOnly {
    let what = both!("缺少序号 {leaf_index} 的记录", "the entry at leaf index {leaf_index} is missing");
    ReadOnly::Corrupt { what }
}
