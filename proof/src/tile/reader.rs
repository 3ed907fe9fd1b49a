//! Reading a tree through its tiles, trusting only its root.
//!
//! Invariants: every tile used is bound to the root: the partial tiles because together they fold to it (checked on
//! opening), a full tile because its own root stands in its parent, which is bound in turn.
//! Absent: fetching (the closure does it); a cache beyond `CACHED_TILES` tiles.
//! Source: C2SP tlog-tiles, "Merkle Tree" and "Partial Tiles".

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::{HashTile, TILE_HEIGHT, TILE_WIDTH, TileError, TileKind, TilePath, hashes_at};
use crate::hash::Hash;
use crate::ident::TreeSize;
use crate::tree::{self, Nodes};

/// Full tiles kept in memory, 8 KiB each.
const CACHED_TILES: usize = 256;

/// Why a tree could not be read through its tiles.
#[derive(Debug, thiserror::Error)]
pub enum TileReadError<E> {
    /// The tile could not be fetched.
    #[error("{path} could not be fetched")]
    Fetch {
        /// The tile.
        path: TilePath,
        /// Why.
        #[source]
        source: E,
    },
    /// The tile is malformed.
    #[error("a tile is malformed")]
    Tile(#[source] TileError),
    /// The tile contradicts the tree.
    #[error("{path} has root {found}, the tree says {expected}")]
    TileDiffers {
        /// The tile.
        path: TilePath,
        /// The hash that its parent holds.
        expected: Hash,
        /// The hash of its content.
        found: Hash,
    },
    /// The right edge contradicts the root that the reader was opened with.
    #[error("the partial tiles of size {size} have root {found}, the checkpoint says {expected}")]
    RootDiffers {
        /// The tree's size.
        size: TreeSize,
        /// The root of the checkpoint.
        expected: Hash,
        /// The root of the tiles.
        found: Hash,
    },
    /// The node lies outside the tree.
    #[error("node {index} of level {level} is not complete in a tree of size {size}")]
    OutsideTree {
        /// Level of the node.
        level: u8,
        /// Its number in the level.
        index: u64,
        /// The tree's size.
        size: TreeSize,
    },
}

/// The nodes of a tree, read from tiles that `fetch` returns by path.
pub struct TileNodes<F> {
    size: TreeSize,
    fetch: F,
    bound: RefCell<HashMap<TilePath, Rc<HashTile>>>,
}

impl<F, E> TileNodes<F>
where
    F: Fn(&TilePath) -> Result<Vec<u8>, E>,
{
    /// Returns a reader of the tree with this size and root, which come from a verified checkpoint.
    ///
    /// `fetch` is asked for the exact path: a partial tile that is gone it must cut from the full one.
    ///
    /// # Errors
    ///
    /// `TileReadError` when the right edge cannot be read or does not give the root.
    pub fn open(size: TreeSize, root: &Hash, fetch: F) -> Result<Self, TileReadError<E>> {
        let reader = Self { size, fetch, bound: RefCell::default() };
        // The complete subtrees of the right edge are, together, exactly the partial tiles.
        let found = tree::root(&reader, size)?;
        if found == *root {
            Ok(reader)
        } else {
            Err(TileReadError::RootDiffers { size, expected: *root, found })
        }
    }

    /// Returns the size of the tree.
    pub fn size(&self) -> TreeSize {
        self.size
    }

    /// Returns the path of tile number `index` of `level` at the width it has in this tree.
    fn path(&self, level: u8, index: u64) -> Option<TilePath> {
        let hashes = hashes_at(level, self.size).checked_sub(index.checked_mul(u64::from(TILE_WIDTH))?)?;
        let width = u16::try_from(hashes.min(u64::from(TILE_WIDTH))).ok()?;
        TilePath::new(TileKind::Hashes { level }, index, width)
    }

    /// Returns a tile bound to the root, fetching and binding it first if need be.
    fn tile(&self, path: TilePath, level: u8) -> Result<Rc<HashTile>, TileReadError<E>> {
        if let Some(tile) = self.bound.borrow().get(&path) {
            return Ok(Rc::clone(tile));
        }
        let bytes = (self.fetch)(&path).map_err(|source| TileReadError::Fetch { path, source })?;
        let tile = Rc::new(HashTile::parse(path, &bytes).map_err(TileReadError::Tile)?);
        // Only `open` meets a partial tile that is not kept yet, and it compares what they fold to.
        if let Some(found) = tile.node(TILE_HEIGHT, 0) {
            let expected = self.node((level + 1) * TILE_HEIGHT, path.index())?;
            if expected != found {
                return Err(TileReadError::TileDiffers { path, expected, found });
            }
        }
        let mut bound = self.bound.borrow_mut();
        if bound.len() >= CACHED_TILES {
            // The partial tiles, at most one a level, were bound by opening and must stay.
            bound.retain(|path, _| path.is_partial());
        }
        bound.insert(path, Rc::clone(&tile));
        Ok(tile)
    }
}

impl<F, E> Nodes for TileNodes<F>
where
    F: Fn(&TilePath) -> Result<Vec<u8>, E>,
{
    type Error = TileReadError<E>;

    fn node(&self, level: u8, index: u64) -> Result<Hash, TileReadError<E>> {
        let outside = || TileReadError::OutsideTree { level, index, size: self.size };
        let (tile_level, height) = (level / TILE_HEIGHT, level % TILE_HEIGHT);
        let tiles_nodes = u64::from(TILE_WIDTH >> height);
        let path = self.path(tile_level, index / tiles_nodes).ok_or_else(outside)?;
        let within = usize::try_from(index % tiles_nodes).expect("invariant: less than 256");
        self.tile(path, tile_level)?.node(height, within).ok_or_else(outside)
    }
}
