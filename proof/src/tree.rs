//! The log's Merkle tree: growing it, its root, and reading it through complete subtrees.
//!
//! Invariants: a node (level, index) is the hash of the complete subtree over the leaves
//! [index · 2^level, (index + 1) · 2^level) and never changes once it exists; incomplete subtrees are computed.
//! Absent: storage and tiles (`tile`); signatures (`checkpoint`).
//! Source: RFC 6962 section 2.1; RFC 9162 section 2.1.

mod proof;

use std::convert::Infallible;

use crate::hash::{EMPTY_ROOT, Hash, node_hash};
use crate::ident::{LeafIndex, TreeSize};

pub use proof::{
    ProofError, ProveError, consistency_proof, inclusion_proof, verify_consistency, verify_inclusion,
};

/// Read access to the complete subtrees of a tree.
pub trait Nodes {
    /// Why a node could not be read.
    type Error;

    /// Returns the root hash of the complete subtree number `index` (0-based) of 2^`level` leaves.
    ///
    /// # Errors
    ///
    /// When the node cannot be read or is known to be wrong. Callers ask only for nodes inside the tree's size.
    fn node(&self, level: u8, index: u64) -> Result<Hash, Self::Error>;
}

impl<N: Nodes + ?Sized> Nodes for &N {
    type Error = N::Error;

    fn node(&self, level: u8, index: u64) -> Result<Hash, N::Error> {
        (**self).node(level, index)
    }
}

/// Returns the root hash of the tree of `size` leaves, `EMPTY_ROOT` for none (RFC 6962 section 2.1).
///
/// # Errors
///
/// Those of `nodes`.
pub fn root<N: Nodes>(nodes: &N, size: TreeSize) -> Result<Hash, N::Error> {
    if size.get() == 0 { Ok(EMPTY_ROOT) } else { subtree(nodes, 0, size.get()) }
}

/// Returns MTH(D[start:end]) for a non-empty range that is a subtree of some RFC 6962 tree.
fn subtree<N: Nodes>(nodes: &N, start: u64, end: u64) -> Result<Hash, N::Error> {
    // The complete subtrees of the range, left to right, are the set bits of its length from the highest down;
    // the root folds them from the right.
    let mut complete = complete_subtrees(start, end).rev();
    let (level, index) = complete.next().expect("invariant: the range is not empty");
    complete.try_fold(nodes.node(level, index)?, |right, (level, index)| {
        Ok(node_hash(&nodes.node(level, index)?, &right))
    })
}

/// Returns (level, index) of the complete subtrees that make up [start, end), left to right.
fn complete_subtrees(start: u64, end: u64) -> impl DoubleEndedIterator<Item = (u8, u64)> {
    let length = end - start;
    let levels = (0_u8..64).take((u64::BITS - length.leading_zeros()) as usize);
    levels.rev().filter(move |level| length >> level & 1 == 1).map(move |level| {
        let before = if level == 63 { 0 } else { length >> (level + 1) << (level + 1) };
        (level, (start + before) >> level)
    })
}

/// The right edge of a growing tree: the roots of its complete subtrees, at most 64 hashes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    /// One hash for each set bit of `size`, left to right.
    edge: Vec<Hash>,
}

/// Refusal of a right edge that does not fit its size.
#[derive(Debug, Copy, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the right edge of a tree of size {size} has {expected} nodes, found {found}")]
pub struct FrontierError {
    /// The size claimed.
    pub size: TreeSize,
    /// Nodes that this size has.
    pub expected: usize,
    /// Nodes given.
    pub found: usize,
}

impl Frontier {
    /// Returns the edge of the empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the edge of a tree of `size` from its complete subtrees' roots, left to right.
    ///
    /// # Errors
    ///
    /// `FrontierError` when their number is not that of the set bits of `size`.
    pub fn from_nodes(size: TreeSize, edge: Vec<Hash>) -> Result<Self, FrontierError> {
        let expected = size.get().count_ones() as usize;
        if edge.len() == expected {
            Ok(Self { size: size.get(), edge })
        } else {
            Err(FrontierError { size, expected, found: edge.len() })
        }
    }

    /// Returns the edge of the tree of `size`, read from `nodes`.
    ///
    /// # Errors
    ///
    /// Those of `nodes`.
    pub fn read<N: Nodes>(nodes: &N, size: TreeSize) -> Result<Self, N::Error> {
        let edge = complete_subtrees(0, size.get()).map(|(level, index)| nodes.node(level, index));
        Ok(Self { size: size.get(), edge: edge.collect::<Result<_, _>>()? })
    }

    /// Appends a leaf.
    pub fn append(&mut self, leaf: Hash) {
        self.append_with(leaf, |_, _, _| {});
    }

    /// Appends a leaf and reports every subtree that it completes, the leaf itself first: level, index, root hash.
    pub fn append_with(&mut self, leaf: Hash, mut completed: impl FnMut(u8, u64, Hash)) {
        let mut node = leaf;
        let mut index = self.size;
        completed(0, index, node);
        // Each trailing one of the old size is a complete left sibling.
        for level in 1..=self.size.trailing_ones() {
            let left = self.edge.pop().expect("invariant: one hash for each set bit");
            node = node_hash(&left, &node);
            index >>= 1;
            completed(u8::try_from(level).expect("invariant: at most 64 levels"), index, node);
        }
        self.edge.push(node);
        self.size += 1;
    }

    /// Returns the root hash (RFC 6962 section 2.1).
    pub fn root(&self) -> Hash {
        let fold = self.edge.iter().rev().copied().reduce(|right, left| node_hash(&left, &right));
        fold.unwrap_or(EMPTY_ROOT)
    }

    /// Returns the number of leaves.
    pub fn size(&self) -> TreeSize {
        TreeSize::new(self.size)
    }

    /// Returns the index that the next leaf gets.
    pub fn next_index(&self) -> LeafIndex {
        self.size().next_index()
    }

    /// Returns the roots of the complete subtrees, left to right: what [`Frontier::from_nodes`] takes.
    pub fn nodes(&self) -> &[Hash] {
        &self.edge
    }
}

/// All nodes of a tree in memory, 64 bytes a leaf: for tests and small logs.
#[derive(Debug, Clone, Default)]
pub struct MemoryNodes {
    /// `levels[level][index]`.
    levels: Vec<Vec<Hash>>,
}

impl MemoryNodes {
    /// Returns the empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a leaf and the subtrees that it completes.
    pub fn append(&mut self, leaf: Hash) {
        let mut node = leaf;
        for level in 0.. {
            if level == self.levels.len() {
                self.levels.push(Vec::new());
            }
            let row = &mut self.levels[level];
            row.push(node);
            match row.as_slice() {
                [.., left, right] if row.len().is_multiple_of(2) => node = node_hash(left, right),
                _ => return,
            }
        }
    }

    /// Returns the number of leaves.
    pub fn size(&self) -> TreeSize {
        TreeSize::new(self.levels.first().map_or(0, |leaves| leaves.len() as u64))
    }

    /// Returns the root hash of the whole tree.
    pub fn root(&self) -> Hash {
        let Ok(root) = root(self, self.size());
        root
    }
}

impl Nodes for MemoryNodes {
    type Error = Infallible;

    /// # Panics
    ///
    /// When the subtree is not complete in this tree.
    fn node(&self, level: u8, index: u64) -> Result<Hash, Infallible> {
        let index = usize::try_from(index).expect("invariant: an index in memory fits usize");
        Ok(self.levels[usize::from(level)][index])
    }
}

impl Extend<Hash> for MemoryNodes {
    fn extend<I: IntoIterator<Item = Hash>>(&mut self, leaves: I) {
        leaves.into_iter().for_each(|leaf| self.append(leaf));
    }
}

#[cfg(test)]
mod tests;
