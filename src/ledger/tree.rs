//! The log's tree as the writer keeps it: every node above the tiles, and the newest tiles whole.
//!
//! Invariants: nodes are those of the entries applied so far; levels from `TILE_LEVEL` up are complete, which costs 64
//! bytes for each 256 entries; lower levels reach back at least `RECENT_LEAVES` leaves, from a tile's first leaf on.
//! Absent: storage (older leaf hashes are read from the store and put in with `Loaded`).
//! Source: RFC 6962 section 2.1; C2SP tlog-tiles (tiles of height 8).

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::ops::Range;

use weituo_proof::tree::{consistency_proof, inclusion_proof, root};
use weituo_proof::{Frontier, Hash, LeafIndex, MemoryNodes, Nodes, TreeSize};

/// Levels in a tile; a tile holds 256 leaves.
const TILE_LEVEL: u8 = 8;
/// Leaves in a tile.
pub(super) const TILE_LEAVES: u64 = 1 << TILE_LEVEL;
/// Leaves for which the lower levels are kept in memory, at least.
const RECENT_LEAVES: u64 = 16 * TILE_LEAVES;

/// A node that a batch completes: level, index, hash.
pub(super) type Node = (u8, u64, Hash);

/// The tree over the entries applied so far.
#[derive(Debug, Default)]
pub(super) struct Tree {
    frontier: Frontier,
    levels: Vec<Level>,
}

#[derive(Debug, Default)]
struct Level {
    /// Index of the first node still kept.
    first: u64,
    hashes: VecDeque<Hash>,
}

/// Older tiles, read from the store for one proof.
#[derive(Debug, Default)]
pub(super) struct Loaded(HashMap<u64, MemoryNodes>);

/// A node that is neither kept nor loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("node {index} of level {level} is not in memory")]
pub(super) struct Missing {
    level: u8,
    index: u64,
}

impl Tree {
    pub(super) fn frontier(&self) -> &Frontier {
        &self.frontier
    }

    pub(super) fn size(&self) -> u64 {
        self.frontier.size().get()
    }

    /// Appends one leaf.
    pub(super) fn append(&mut self, leaf: Hash) {
        let levels = &mut self.levels;
        self.frontier.append_with(leaf, |level, index, hash| put(levels, (level, index, hash)));
        self.forget_old();
    }

    /// Takes over a batch: its nodes and the frontier that it leaves.
    pub(super) fn extend(&mut self, nodes: &[Node], frontier: Frontier) {
        for node in nodes {
            put(&mut self.levels, *node);
        }
        self.frontier = frontier;
        self.forget_old();
    }

    fn forget_old(&mut self) {
        let first_leaf = self.size().saturating_sub(RECENT_LEAVES) / TILE_LEAVES * TILE_LEAVES;
        // Forgetting in steps keeps appending constant in time.
        if self.levels.first().is_none_or(|leaves| first_leaf - leaves.first < RECENT_LEAVES) {
            return;
        }
        for (height, level) in self.levels.iter_mut().take(usize::from(TILE_LEVEL)).enumerate() {
            let first = first_leaf >> height;
            let gone = usize::try_from(first - level.first).unwrap_or(usize::MAX).min(level.hashes.len());
            level.hashes.drain(..gone);
            level.first = first;
        }
    }

    /// Returns the ranges of leaves whose tiles a proof about these places needs and the tree has forgotten. A place is
    /// a leaf index for an inclusion proof, a tree size for a consistency proof.
    pub(super) fn missing(&self, places: &[u64]) -> Vec<Range<u64>> {
        let kept_from = self.levels.first().map_or(0, |leaves| leaves.first);
        let mut tiles: Vec<u64> = places.iter().map(|place| place / TILE_LEAVES).collect();
        tiles.sort_unstable();
        tiles.dedup();
        let ranges = tiles.into_iter().map(|tile| tile * TILE_LEAVES..(tile + 1) * TILE_LEAVES);
        ranges.filter(|range| range.start < kept_from).collect()
    }

    /// Returns leaves that it has not forgotten; `None` where it has.
    pub(super) fn leaves(&self, range: Range<u64>) -> Option<Vec<Hash>> {
        let leaves = self.levels.first()?;
        let first = usize::try_from(range.start.checked_sub(leaves.first)?).ok()?;
        let end = first.checked_add(usize::try_from(range.end - range.start).ok()?)?;
        (end <= leaves.hashes.len()).then(|| leaves.hashes.range(first..end).copied().collect())
    }

    /// Returns nodes of a level of tiles above the lowest, which are all kept; fewer where the tree has not all of them.
    pub(super) fn tile_row(&self, tile_level: u8, nodes: Range<u64>) -> Vec<Hash> {
        let row = self.levels.get(usize::from(tile_level) * usize::from(TILE_LEVEL));
        let Some(row) = row.filter(|_| tile_level > 0) else { return Vec::new() };
        let place = |index: u64| usize::try_from(index).unwrap_or(usize::MAX).min(row.hashes.len());
        row.hashes.range(place(nodes.start)..place(nodes.end)).copied().collect()
    }

    /// Returns the inclusion proof of a leaf in the tree of `size`.
    pub(super) fn inclusion(&self, loaded: &Loaded, leaf: u64, size: u64) -> Option<Vec<Hash>> {
        inclusion_proof(&View { tree: self, loaded }, LeafIndex::new(leaf), TreeSize::new(size)).ok()
    }

    /// Returns the root at a size.
    pub(super) fn root_at(&self, loaded: &Loaded, size: u64) -> Option<Hash> {
        root(&View { tree: self, loaded }, TreeSize::new(size)).ok()
    }

    /// Returns the consistency proof between two sizes.
    pub(super) fn consistency(&self, loaded: &Loaded, from: u64, to: u64) -> Option<Vec<Hash>> {
        consistency_proof(&View { tree: self, loaded }, TreeSize::new(from), TreeSize::new(to)).ok()
    }
}

fn put(levels: &mut Vec<Level>, (level, index, hash): Node) {
    let height = usize::from(level);
    if levels.len() <= height {
        levels.resize_with(height + 1, Level::default);
    }
    let level = &mut levels[height];
    debug_assert_eq!(level.first + level.hashes.len() as u64, index, "nodes come in order");
    level.hashes.push_back(hash);
}

impl Loaded {
    /// Puts in one tile's leaf hashes, from its first leaf on.
    pub(super) fn put(&mut self, first_leaf: u64, leaves: Vec<Hash>) {
        let mut nodes = MemoryNodes::new();
        nodes.extend(leaves);
        self.0.insert(first_leaf / TILE_LEAVES, nodes);
    }
}

struct View<'a> {
    tree: &'a Tree,
    loaded: &'a Loaded,
}

impl Nodes for View<'_> {
    type Error = Missing;

    fn node(&self, level: u8, index: u64) -> Result<Hash, Missing> {
        let missing = Missing { level, index };
        let row = self.tree.levels.get(usize::from(level)).ok_or(missing)?;
        if let Some(at) = index.checked_sub(row.first) {
            let at = usize::try_from(at).map_err(|_| missing)?;
            return row.hashes.get(at).copied().ok_or(missing);
        }
        let tile_shift = TILE_LEVEL - level;
        let tile = self.loaded.0.get(&(index >> tile_shift)).ok_or(missing)?;
        let within = index & ((1 << tile_shift) - 1);
        if (within + 1) << level > tile.size().get() {
            return Err(missing);
        }
        tile.node(level, within).map_err(|never: Infallible| match never {})
    }
}

#[cfg(test)]
mod tests {
    use weituo_proof::tree::{root, verify_consistency, verify_inclusion};

    use super::*;

    fn leaf(index: u64) -> Hash {
        weituo_proof::leaf_hash(&index.to_be_bytes())
    }

    #[test]
    fn proofs_of_old_leaves_need_one_tile_and_verify() {
        const SIZE: u64 = 20_000;
        let (mut tree, mut all) = (Tree::default(), MemoryNodes::new());
        for index in 0..SIZE {
            tree.append(leaf(index));
            all.append(leaf(index));
        }
        assert_eq!(tree.frontier().root(), all.root());
        assert!(tree.levels[0].hashes.len() as u64 <= 2 * RECENT_LEAVES + TILE_LEAVES);
        for (index, size) in [(0, SIZE), (300, SIZE), (5_000, SIZE), (SIZE - 1, SIZE), (17, 18), (700, 1_000)]
        {
            let mut loaded = Loaded::default();
            for range in tree.missing(&[index, size]) {
                loaded.put(range.start, range.map(leaf).collect());
            }
            let proof = tree.inclusion(&loaded, index, size).unwrap();
            let Ok(expected) = root(&all, TreeSize::new(size));
            let (index, size) = (LeafIndex::new(index), TreeSize::new(size));
            verify_inclusion(&leaf(index.get()), index, size, &proof, &expected).unwrap();
        }
        for (from, to) in [(1, SIZE), (255, 256), (256, SIZE), (4_095, 9_999), (SIZE - 1, SIZE)] {
            let mut loaded = Loaded::default();
            for range in tree.missing(&[from, to]) {
                loaded.put(range.start, range.map(leaf).collect());
            }
            let proof = tree.consistency(&loaded, from, to).unwrap();
            let (from, to) = (TreeSize::new(from), TreeSize::new(to));
            let (Ok(old), Ok(new)) = (root(&all, from), root(&all, to));
            verify_consistency(from, to, &proof, &old, &new).unwrap();
        }
    }

    #[test]
    fn a_forgotten_node_is_missing_and_never_wrong() {
        let mut tree = Tree::default();
        for index in 0..20_000 {
            tree.append(leaf(index));
        }
        assert!(tree.inclusion(&Loaded::default(), 5, 20_000).is_none());
    }
}
