//! What the writer and the readers of one process share: tree, newest checkpoint, anchor, and why nothing is written.
//!
//! Invariants: the published checkpoint only grows; in strict mode it is anchored before it is published. Locks are held
//! for computing only, never across an await.
//! Absent: the derived state of the writer (`derived`).
//! Source: design.md "The append path" steps 4 and 5.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio::sync::{broadcast, watch};
use weituo_proof::tree::verify_inclusion;
use weituo_proof::{Hash, LeafIndex, Origin, VerifierKey, both, leaf_hash};

use super::anchor::{Advanced, Anchor, adds_a_signer, blocking};
use super::cosign::{Cosigned, Witnesses};
use super::tree::{Loaded, Tree};
use super::types::{LedgerError, ReadOnly, Receipt, SignedCheckpoint};
use crate::store::{EntryRow, Store, StoreError};

/// How often an anchor that other processes keep moving is tried again for one checkpoint.
const ANCHOR_ATTEMPTS: u32 = 64;

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) store: Arc<dyn Store>,
    pub(super) origin: Origin,
    /// The key that verifies what this process signs.
    pub(super) verifier: VerifierKey,
    /// Every key of the log at hand: after a rotation older ones, too.
    pub(super) verifiers: Vec<VerifierKey>,
    pub(super) tree: RwLock<Tree>,
    pub(super) published: watch::Sender<Option<Arc<SignedCheckpoint>>>,
    /// Streams that other processes have recorded in, as this one learns of them.
    pub(super) foreign: broadcast::Sender<Arc<[String]>>,
    pub(super) read_only: RwLock<Option<ReadOnly>>,
    pub(super) anchor: Arc<Anchor>,
    /// Size and root of the anchor, as last seen.
    pub(super) anchored: Mutex<(u64, Hash)>,
    /// The newest checkpoint of this process that is anchored.
    pub(super) anchored_own: Mutex<Option<Arc<SignedCheckpoint>>>,
    /// The outside witnesses; `None` without a policy.
    pub(super) witnesses: Option<Witnesses>,
    /// Why the anchor could not follow, in guard mode.
    pub(super) anchor_failure: Mutex<Option<Arc<LedgerError>>>,
}

impl Shared {
    /// Returns why nothing is written.
    pub(super) fn read_only(&self) -> Option<ReadOnly> {
        self.read_only.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Stops the writing for good, saying why.
    pub(super) fn halt(&self, reason: ReadOnly) {
        tracing::error!(%reason, origin = %self.origin, "the ledger stops writing");
        self.read_only.write().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
    }

    /// Returns the newest checkpoint that may leave; `None` before there is one.
    pub(super) fn checkpoint(&self) -> Option<Arc<SignedCheckpoint>> {
        self.published.borrow().clone()
    }

    /// Lets a checkpoint leave, unless a larger one has left before it, or the same one with all its signatures.
    pub(super) fn publish(&self, checkpoint: Arc<SignedCheckpoint>) {
        self.published.send_if_modified(|newest| {
            let leaves = newest.as_ref().is_none_or(|newest| {
                newest.size < checkpoint.size
                    || newest.tree_head() == checkpoint.tree_head()
                        && adds_a_signer(&newest.text, &checkpoint.text)
            });
            if leaves {
                *newest = Some(checkpoint);
            }
            leaves
        });
    }

    /// Returns what the tree says.
    pub(super) fn with_tree<T>(&self, read: impl FnOnce(&Tree) -> T) -> T {
        read(&self.tree.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns what the tree says after a change.
    pub(super) fn with_tree_mut<T>(&self, change: impl FnOnce(&mut Tree) -> T) -> T {
        change(&mut self.tree.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns the size and root of the anchor, as last seen.
    pub(super) fn anchored(&self) -> (u64, Hash) {
        *self.anchored.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over what the anchor was seen to hold.
    pub(super) fn set_anchored(&self, vouched: (u64, Hash)) {
        *self.anchored.lock().unwrap_or_else(PoisonError::into_inner) = vouched;
    }

    /// Remembers that the anchor vouches for a checkpoint.
    pub(super) fn vouched_for(&self, checkpoint: &SignedCheckpoint) {
        self.set_anchored(checkpoint.tree_head());
        self.keep_anchored(checkpoint);
    }

    /// Puts a checkpoint in the place of the intent by which the anchor vouches for it, if one stands. Durable on return.
    pub(super) async fn replace_intent(&self, checkpoint: &SignedCheckpoint) -> Result<(), LedgerError> {
        let (known, next) = (checkpoint.tree_head(), checkpoint.clone());
        match blocking(&self.anchor, move |anchor| anchor.advance(known, &next, &[])).await? {
            Advanced::Durable | Advanced::Ahead(_) => Ok(()),
            Advanced::Moved(_) => {
                let source = std::io::Error::other("it vouches for less than is in the log");
                Err(LedgerError::Anchor { path: self.anchor.place(), doing: "written", source })
            }
        }
    }

    /// Remembers a checkpoint that is anchored, for those who are served no other.
    fn keep_anchored(&self, checkpoint: &SignedCheckpoint) {
        let mut own = self.anchored_own.lock().unwrap_or_else(PoisonError::into_inner);
        if own.as_ref().is_none_or(|own| own.size < checkpoint.size) {
            *own = Some(Arc::new(checkpoint.clone()));
        }
    }

    /// Reads the older tiles that a proof about these places needs.
    async fn load(&self, places: &[u64]) -> Result<Loaded, StoreError> {
        let mut loaded = Loaded::default();
        for range in self.with_tree(|tree| tree.missing(places)) {
            loaded.put(range.start, self.store.leaf_hashes(range).await?);
        }
        Ok(loaded)
    }

    /// Returns the inclusion proof of a leaf in the tree of `size`.
    pub(super) async fn inclusion(&self, leaf: u64, size: u64) -> Result<Vec<Hash>, LedgerError> {
        let loaded = self.load(&[leaf, size]).await?;
        self.with_tree(|tree| tree.inclusion(&loaded, leaf, size)).ok_or_else(|| LedgerError::NotFound {
            what: both!(
                "序号 {leaf} 不在大小为 {size} 的树中",
                "leaf index {leaf} is not in the tree of size {size}"
            ),
        })
    }

    /// Returns the root at a size.
    pub(super) async fn root_at(&self, size: u64) -> Result<Hash, LedgerError> {
        let loaded = self.load(&[size]).await?;
        self.with_tree(|tree| tree.root_at(&loaded, size)).ok_or_else(|| LedgerError::NotFound {
            what: both!("没有大小为 {size} 的树", "there is no tree of size {size}"),
        })
    }

    /// Returns the consistency proof between two sizes.
    pub(super) async fn consistency(&self, from: u64, to: u64) -> Result<Vec<Hash>, LedgerError> {
        let loaded = self.load(&[from, to]).await?;
        self.with_tree(|tree| tree.consistency(&loaded, from, to)).ok_or_else(|| LedgerError::NotFound {
            what: both!(
                "没有从大小 {from} 到 {to} 的一致性证明",
                "there is no consistency proof from size {from} to size {to}"
            ),
        })
    }

    /// Returns the receipt of an entry against the newest checkpoint.
    pub(super) async fn receipt(&self, leaf: u64) -> Result<Receipt, LedgerError> {
        let row = self.store.entry(leaf).await?;
        let row = row.ok_or_else(|| LedgerError::NotFound {
            what: both!("没有序号为 {leaf} 的记录", "no entry at leaf index {leaf}"),
        })?;
        self.receipt_of(row).await
    }

    /// Returns the receipt of an entry already read.
    pub(super) async fn receipt_of(&self, row: EntryRow) -> Result<Receipt, LedgerError> {
        let leaf = row.leaf_index;
        let checkpoint =
            self.checkpoint().filter(|checkpoint| leaf < checkpoint.size.get()).ok_or_else(|| {
                LedgerError::NotFound {
                    what: both!(
                        "还没有签署过的检查点涵盖序号 {leaf}",
                        "no signed checkpoint covers leaf index {leaf} yet"
                    ),
                }
            })?;
        let inclusion = self.inclusion(leaf, checkpoint.size.get()).await?;
        let (leaf_index, leaf_hash) = (LeafIndex::new(leaf), leaf_hash(row.body.as_bytes()));
        // The row was found by what its columns say, and whoever writes to the database can have them say anything.
        verify_inclusion(&leaf_hash, leaf_index, checkpoint.size, &inclusion, &checkpoint.root)
            .map_err(|_| not_in_the_log(leaf))?;
        Ok(Receipt { leaf_index, leaf_hash, entry: row.body, inclusion, checkpoint, cosigned: Vec::new() })
    }

    /// Returns whether this process has read all that a cosigned checkpoint covers.
    pub(super) fn has_read(&self, cosigned: &Cosigned) -> bool {
        self.with_tree(Tree::size) >= cosigned.checkpoint.size.get()
    }

    /// Returns a receipt's like against a cosigned checkpoint that covers its entry.
    pub(super) async fn receipt_under(
        &self,
        receipt: Receipt,
        cosigned: &Cosigned,
    ) -> Result<Receipt, LedgerError> {
        let (index, size) = (receipt.leaf_index, cosigned.checkpoint.size);
        let inclusion = self.inclusion(index.get(), size.get()).await?;
        // The file that it may come from is not this process's own.
        if verify_inclusion(&receipt.leaf_hash, index, size, &inclusion, &cosigned.checkpoint.root).is_err() {
            let file = self.witnesses.as_ref().map(|witnesses| witnesses.path().display().to_string());
            let file = file.unwrap_or_default();
            tracing::error!(cosigned = %cosigned.checkpoint.text, "witnesses cosigned another history than this database's");
            return Err(LedgerError::Invalid {
                what: both!(
                    "见证方附署过 {size} 条记录的另一历史,与本数据库不同:请保留 {file},运行 `weituo verify --checkpoint {file}`",
                    "witnesses cosigned another history of {size} entries than this database holds: keep {file}, run `weituo verify --checkpoint {file}`"
                ),
            });
        }
        let (checkpoint, cosigned) = (Arc::clone(&cosigned.checkpoint), cosigned.names.clone());
        Ok(Receipt { inclusion, checkpoint, cosigned, ..receipt })
    }

    /// Moves the anchor to a checkpoint, or finds that another process has moved it at least as far. Durable on return.
    ///
    /// That a larger anchor extends ours cannot be proved before its entries are read; it is compared with them when the
    /// writer follows to it, which it must before it records anything, and the next advance is proved from it.
    pub(super) async fn anchor_to(&self, next: &SignedCheckpoint) -> Result<(), LedgerError> {
        for _ in 0..ANCHOR_ATTEMPTS {
            let known = self.anchored();
            if known.0 >= next.size.get() {
                self.keep_anchored(next);
                return Ok(());
            }
            let proof = self.consistency(known.0, next.size.get()).await?;
            let to = next.clone();
            match blocking(&self.anchor, move |anchor| anchor.advance(known, &to, &proof)).await? {
                Advanced::Durable => {
                    self.vouched_for(next);
                    return Ok(());
                }
                Advanced::Ahead(current) => {
                    self.set_anchored(current);
                    self.keep_anchored(next);
                    return Ok(());
                }
                Advanced::Moved(current) => self.set_anchored(current),
            }
        }
        let source = std::io::Error::other("other processes keep moving it");
        Err(LedgerError::Anchor { path: self.anchor.place(), doing: "written", source })
    }
}

/// The refusal of a row that the signed tree does not have in its place.
pub(super) fn not_in_the_log(leaf_index: u64) -> LedgerError {
    let what = both!(
        "序号 {leaf_index} 处的内容不是签署过的检查点所涵盖的记录",
        "what stands at leaf index {leaf_index} is not the entry that the signed checkpoint covers"
    );
    StoreError::corrupt(what).into()
}
