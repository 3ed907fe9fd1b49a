//! The log as it is served to anyone: the anchored checkpoint, hash tiles and entry bundles.
//!
//! Invariants: nothing is served beyond the anchored checkpoint, or that this process's tree does not have in its place, and
//! everything that the checkpoint commits to can be fetched; a tile of a given path never changes.
//! Absent: HTTP (`http::log`), mirrors of it (`mirror`).
//! Source: C2SP tlog-tiles; format.md "Log".

use std::sync::{Arc, PoisonError};

use weituo_proof::tile::{TILE_WIDTH, TileKind, TilePath, encode_bundle};
use weituo_proof::{Frontier, Hash, both, leaf_hash};

use super::handle::Ledger;
use super::shared::{Shared, not_in_the_log};
use super::types::{LedgerError, SignedCheckpoint};
use crate::store::{Scanned, StoreError};

impl Shared {
    /// Returns the newest checkpoint that is anchored. In guard mode an answer may have left with a newer one.
    fn served(&self) -> Option<Arc<SignedCheckpoint>> {
        let published = self.checkpoint()?;
        if published.size.get() <= self.anchored().0 {
            return Some(published);
        }
        self.anchored_own.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Ledger {
    /// Returns the newest checkpoint that is anchored, for everyone; `None` where no anchor vouches for the log.
    pub fn served_checkpoint(&self) -> Option<Arc<SignedCheckpoint>> {
        self.shared.served()
    }

    /// Returns the content of a hash tile or an entry bundle; `None` where the served checkpoint does not commit to all of
    /// it.
    ///
    /// # Errors
    ///
    /// `Store` where the database does not answer.
    pub async fn tile(&self, path: &TilePath) -> Result<Option<Vec<u8>>, LedgerError> {
        let size = self.shared.served().map_or(0, |checkpoint| checkpoint.size.get());
        match path.kind() {
            TileKind::Hashes { level } => self.hash_tile(path, level, size).await,
            TileKind::Entries => self.entry_bundle(path, size).await,
        }
    }

    async fn hash_tile(&self, path: &TilePath, level: u8, size: u64) -> Result<Option<Vec<u8>>, LedgerError> {
        let Some((first, end)) = range(path, level, size) else { return Ok(None) };
        let hashes = if level == 0 {
            self.shared.store.leaf_hashes(first..end).await?
        } else {
            self.shared.with_tree(|tree| tree.tile_row(level, first..end))
        };
        if hashes.len() as u64 != end - first {
            let what = both!(
                "第 {level} 层的哈希 {first} 至 {end} 不全",
                "hashes {first} to {end} of level {level} are not all there"
            );
            return Err(StoreError::corrupt(what).into());
        }
        if level == 0 {
            self.require_leaves(path, first, &hashes).await?;
        }
        Ok(Some(hashes.iter().flat_map(|hash| hash.0).collect()))
    }

    /// Refuses leaves that are not the tree's: what is served may be cached for ever.
    async fn require_leaves(&self, path: &TilePath, first: u64, leaves: &[Hash]) -> Result<(), LedgerError> {
        let end = first + leaves.len() as u64;
        if let Some(known) = self.shared.with_tree(|tree| tree.leaves(first..end)) {
            return if known == leaves { Ok(()) } else { Err(not_in_the_log(first)) };
        }
        // The tree has forgotten them, and knows what their whole tile leads to.
        let tile = self.shared.store.leaf_hashes(first..first + u64::from(TILE_WIDTH)).await?;
        let mut frontier = Frontier::new();
        for leaf in &tile {
            frontier.append(*leaf);
        }
        let index = path.index();
        let known = self.shared.with_tree(|tree| tree.tile_row(1, index..index + 1));
        if known == [frontier.root()] && tile.starts_with(leaves) {
            return Ok(());
        }
        Err(not_in_the_log(first))
    }

    async fn entry_bundle(&self, path: &TilePath, size: u64) -> Result<Option<Vec<u8>>, LedgerError> {
        let Some((first, end)) = range(path, 0, size) else { return Ok(None) };
        let from = i64::try_from(first).map_err(|_| StoreError::beyond())?;
        let rows = self.shared.store.scan(from, u32::from(path.width())).await?;
        let rows = rows.into_iter().map(Scanned::into_row).collect::<Result<Vec<_>, _>>()?;
        let there = rows.iter().map(|row| row.leaf_index).eq(first..end);
        let leaves: Vec<Hash> = rows.iter().map(|row| leaf_hash(row.body.as_bytes())).collect();
        self.require_leaves(path, first, &leaves).await?;
        let bodies: Vec<&str> = rows.iter().map(|row| &*row.body).collect();
        match encode_bundle(&bodies) {
            Ok(bundle) if there => Ok(Some(bundle)),
            _ => {
                let what = both!("记录 {first} 至 {end} 不全", "entries {first} to {end} are not all there");
                Err(StoreError::corrupt(what).into())
            }
        }
    }
}

/// Returns the first hash of a tile and the one after its last; `None` where a tree of `size` has not all of them.
fn range(path: &TilePath, level: u8, size: u64) -> Option<(u64, u64)> {
    let hashes = size.checked_shr(u32::from(level) * 8).unwrap_or(0);
    let first = path.index().checked_mul(256)?;
    let end = first.checked_add(u64::from(path.width()))?;
    (end <= hashes).then_some((first, end))
}
