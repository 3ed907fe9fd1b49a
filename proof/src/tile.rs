//! Tiles: the tree and the entries as immutable files that any static server can hand out.
//!
//! Invariants: a path has one spelling; a tile read through `TileNodes` is bound to the root it was opened with.
//! Absent: fetching and caching across runs (the caller's closure), compression, pruning.
//! Source: C2SP tlog-tiles, "Merkle Tree", "Partial Tiles" and "Log entries".

mod bundle;
mod path;
mod reader;

use crate::hash::{Hash, node_hash};
use crate::ident::TreeSize;
use crate::tree::Nodes;

pub use bundle::{decode_bundle, encode_bundle};
pub use path::{TileKind, TilePath, TilePathError};
pub use reader::{TileNodes, TileReadError};

/// Levels of the tree in one tile.
pub const TILE_HEIGHT: u8 = 8;

/// Hashes in a full tile, entries in a full bundle.
pub const TILE_WIDTH: u16 = 256;

/// Refusal of a tile's or bundle's content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TileError {
    /// A hash tile of another length.
    #[error("{path} should be {expected} bytes, found {found}")]
    Length {
        /// The tile.
        path: TilePath,
        /// 32 bytes for each hash.
        expected: usize,
        /// Bytes found.
        found: usize,
    },
    /// The path is of the other kind: entries instead of hashes or the reverse.
    #[error("{path} is not of the kind asked for")]
    Kind {
        /// The path given.
        path: TilePath,
    },
    /// A bundle that ends inside an entry.
    #[error("the bundle ends inside entry {entry} of {expected}")]
    BundleEnds {
        /// Which entry, 0-based in the bundle.
        entry: usize,
        /// Entries that the bundle should hold.
        expected: usize,
    },
    /// A bundle with bytes after its last entry.
    #[error("the bundle has {bytes} bytes after its {expected} entries")]
    BundleExceeds {
        /// Bytes left over.
        bytes: usize,
        /// Entries that the bundle should hold.
        expected: usize,
    },
    /// An entry longer than 65,535 bytes.
    #[error("entry {entry} of the bundle has {bytes} bytes, at most 65,535 fit")]
    EntryTooLarge {
        /// Which entry, 0-based in the bundle.
        entry: usize,
        /// Its length, in bytes.
        bytes: usize,
    },
    /// A bundle of more than 256 entries.
    #[error("a bundle has 1 to 256 entries, not {count}")]
    BundleWidth {
        /// Entries given.
        count: usize,
    },
}

/// Returns the hash tiles that a tree of `size` consists of, full and partial, level by level.
pub fn tiles_of(size: TreeSize) -> impl Iterator<Item = TilePath> {
    tiles_between(TreeSize::new(0), size)
}

/// Returns the hash tiles that a tree of size `to` has and one of size `from` did not, level by level.
pub fn tiles_between(from: TreeSize, to: TreeSize) -> impl Iterator<Item = TilePath> {
    (0..TILE_HEIGHT).flat_map(move |level| {
        let (had, has) = (hashes_at(level, from), hashes_at(level, to));
        row(TileKind::Hashes { level }, had, has)
    })
}

/// Returns the entry bundles that a tree of size `to` has and one of size `from` did not.
pub fn bundles_between(from: TreeSize, to: TreeSize) -> impl Iterator<Item = TilePath> {
    row(TileKind::Entries, from.get(), to.get())
}

/// Returns how many hashes the tiles of one level hold: the complete subtrees of 256^level leaves.
pub(crate) fn hashes_at(level: u8, size: TreeSize) -> u64 {
    // Level 8 and above would need 2^64 leaves.
    size.get().checked_shr(u32::from(level) * u32::from(TILE_HEIGHT)).unwrap_or(0)
}

/// Returns the tiles of one row that hold anything of [had, has).
fn row(kind: TileKind, had: u64, has: u64) -> impl Iterator<Item = TilePath> {
    let width = u64::from(TILE_WIDTH);
    let tiles = if has > had { had / width..has.div_ceil(width) } else { 0..0 };
    tiles.map(move |index| {
        let hashes = (has - index * width).min(width);
        TilePath::new(kind, index, u16::try_from(hashes).expect("invariant: at most 256"))
            .expect("invariant: 1 to 256 hashes at a level below 8")
    })
}

/// Returns a hash tile's bytes, 32 for each hash, read from `nodes`.
///
/// # Errors
///
/// Those of `nodes`.
///
/// # Panics
///
/// When `path` names an entry bundle.
pub fn hash_tile<N: Nodes>(nodes: &N, path: &TilePath) -> Result<Vec<u8>, N::Error> {
    let level = path.level().expect("caller's duty: a hash tile's path");
    let first = path.index() * u64::from(TILE_WIDTH);
    let mut bytes = Vec::with_capacity(usize::from(path.width()) * 32);
    for index in first..first + u64::from(path.width()) {
        bytes.extend_from_slice(&nodes.node(level * TILE_HEIGHT, index)?.0);
    }
    Ok(bytes)
}

/// A hash tile as read: up to 256 consecutive hashes of one level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashTile {
    path: TilePath,
    hashes: Vec<Hash>,
}

impl HashTile {
    /// Returns the tile with this content. Only its length is checked: see [`TileNodes`] for the rest.
    ///
    /// # Errors
    ///
    /// `TileError` when the path names a bundle or the length is not 32 bytes for each hash of the path's width.
    pub fn parse(path: TilePath, bytes: &[u8]) -> Result<Self, TileError> {
        if path.level().is_none() {
            return Err(TileError::Kind { path });
        }
        let expected = usize::from(path.width()) * 32;
        if bytes.len() != expected {
            return Err(TileError::Length { path, expected, found: bytes.len() });
        }
        let (hashes, _) = bytes.as_chunks::<32>();
        Ok(Self { path, hashes: hashes.iter().copied().map(Hash).collect() })
    }

    /// Returns the tile's path.
    pub fn path(&self) -> &TilePath {
        &self.path
    }

    /// Returns the tile's hashes, left to right.
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    /// Returns the hash of the subtree number `index` of 2^`height` of this tile's hashes, or `None` when the tile
    /// does not hold all of them; `height` is 0 to 8.
    pub fn node(&self, height: u8, index: usize) -> Option<Hash> {
        let width = 1_usize.checked_shl(u32::from(height))?;
        let start = index.checked_mul(width)?;
        let mut hashes = self.hashes.get(start..start.checked_add(width)?)?.to_vec();
        while hashes.len() > 1 {
            hashes = hashes.as_chunks().0.iter().map(|[left, right]| node_hash(left, right)).collect();
        }
        hashes.first().copied()
    }
}

#[cfg(test)]
mod tests;
