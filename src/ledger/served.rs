//! The log as it is served to anyone: the anchored checkpoint, hash tiles and entry bundles.
//!
//! Invariants: nothing is served beyond the anchored checkpoint, and everything that it commits to can be fetched; a tile
//! of a given path never changes.
//! Absent: HTTP (`http::log`), mirrors of it (`mirror`).
//! Source: C2SP tlog-tiles; format.md "Log".

use std::sync::{Arc, PoisonError};

use weituo_proof::both;
use weituo_proof::tile::{TileKind, TilePath, encode_bundle};

use super::handle::Ledger;
use super::shared::Shared;
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
        Ok(Some(hashes.iter().flat_map(|hash| hash.0).collect()))
    }

    async fn entry_bundle(&self, path: &TilePath, size: u64) -> Result<Option<Vec<u8>>, LedgerError> {
        let Some((first, end)) = range(path, 0, size) else { return Ok(None) };
        let from = i64::try_from(first).map_err(|_| StoreError::beyond())?;
        let rows = self.shared.store.scan(from, u32::from(path.width())).await?;
        let rows = rows.into_iter().map(Scanned::into_row).collect::<Result<Vec<_>, _>>()?;
        let there = rows.iter().map(|row| row.leaf_index).eq(first..end);
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
