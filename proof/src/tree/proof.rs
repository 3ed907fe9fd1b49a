//! Inclusion and consistency proofs: making and verifying them.
//!
//! Invariants: a proof has exactly the length that its numbers demand; the verifiers read nothing but their arguments.
//! Absent: proofs over more than one leaf; signatures on roots (`checkpoint`).
//! Source: RFC 6962 sections 2.1.1 and 2.1.2; RFC 9162 sections 2.1.3 and 2.1.4, whose step numbers stand below.

use super::{Nodes, subtree};
use crate::hash::{EMPTY_ROOT, Hash, node_hash};
use crate::ident::{LeafIndex, TreeSize};

/// Refusal to make a proof.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProveError<E> {
    /// The leaf lies beyond the tree.
    #[error("leaf {index} is not in a tree of size {size}")]
    IndexBeyondSize {
        /// The leaf asked for.
        index: LeafIndex,
        /// The size of the tree.
        size: TreeSize,
    },
    /// The older tree is larger than the newer.
    #[error("a tree of size {from} cannot be a prefix of one of size {to}")]
    SizesReversed {
        /// The older size.
        from: TreeSize,
        /// The newer size.
        to: TreeSize,
    },
    /// A node could not be read.
    #[error("a node of the tree could not be read")]
    Nodes(#[source] E),
}

/// Why a proof does not prove.
#[derive(Debug, Copy, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The leaf lies beyond the tree.
    #[error("leaf {index} is not in a tree of size {size}")]
    IndexBeyondSize {
        /// The leaf claimed.
        index: LeafIndex,
        /// The size claimed.
        size: TreeSize,
    },
    /// The older tree is larger than the newer.
    #[error("a tree of size {from} cannot be a prefix of one of size {to}")]
    SizesReversed {
        /// The older size.
        from: TreeSize,
        /// The newer size.
        to: TreeSize,
    },
    /// Too many or too few hashes.
    #[error("the proof needs {expected} hashes, found {found}")]
    Length {
        /// Hashes that these numbers need.
        expected: usize,
        /// Hashes found.
        found: usize,
    },
    /// The proof leads to another root.
    #[error("at size {size} the root should be {expected}, the proof leads to {computed}")]
    RootDiffers {
        /// The size whose root differs.
        size: TreeSize,
        /// The root given.
        expected: Hash,
        /// The root computed.
        computed: Hash,
    },
}

/// Returns the largest power of two smaller than `length`, which is at least 2 (RFC 6962 section 2.1).
fn split(length: u64) -> u64 {
    1 << (length - 1).ilog2()
}

/// Returns `PATH(index, D[0:size])`, from the leaf's sibling up to the root's child (RFC 6962 section 2.1.1).
///
/// # Errors
///
/// `ProveError` when the leaf is not in the tree or a node cannot be read.
pub fn inclusion_proof<N: Nodes>(
    nodes: &N,
    index: LeafIndex,
    size: TreeSize,
) -> Result<Vec<Hash>, ProveError<N::Error>> {
    if index.get() >= size.get() {
        return Err(ProveError::IndexBeyondSize { index, size });
    }
    let (mut start, mut end) = (0, size.get());
    let mut proof = Vec::new();
    while end - start > 1 {
        let middle = start + split(end - start);
        let sibling = if index.get() < middle {
            let right = (middle, end);
            end = middle;
            right
        } else {
            let left = (start, middle);
            start = middle;
            left
        };
        proof.push(subtree(nodes, sibling.0, sibling.1).map_err(ProveError::Nodes)?);
    }
    proof.reverse();
    Ok(proof)
}

/// Returns `PROOF(from, D[0:to])` (RFC 6962 section 2.1.2); empty for `from` 0 and for equal sizes.
///
/// # Errors
///
/// `ProveError` when `from` is larger than `to` or a node cannot be read.
pub fn consistency_proof<N: Nodes>(
    nodes: &N,
    from: TreeSize,
    to: TreeSize,
) -> Result<Vec<Hash>, ProveError<N::Error>> {
    if from > to {
        return Err(ProveError::SizesReversed { from, to });
    }
    if from.get() == 0 || from == to {
        return Ok(Vec::new());
    }
    let (mut start, mut end) = (0, to.get());
    let mut proof = Vec::new();
    while end != from.get() {
        let middle = start + split(end - start);
        let sibling = if from.get() <= middle {
            let right = (middle, end);
            end = middle;
            right
        } else {
            let left = (start, middle);
            start = middle;
            left
        };
        proof.push(subtree(nodes, sibling.0, sibling.1).map_err(ProveError::Nodes)?);
    }
    // SUBPROOF's flag: the verifier knows this subtree already when it is the whole older tree.
    if start > 0 {
        proof.push(subtree(nodes, start, end).map_err(ProveError::Nodes)?);
    }
    proof.reverse();
    Ok(proof)
}

/// Verifies that `leaf_hash` is leaf `index` of the tree of `size` with this root (RFC 9162 section 2.1.3.2).
///
/// # Errors
///
/// `ProofError` with the numbers or hashes that disagree.
pub fn verify_inclusion(
    leaf_hash: &Hash,
    index: LeafIndex,
    size: TreeSize,
    proof: &[Hash],
    root: &Hash,
) -> Result<(), ProofError> {
    // Step 1.
    if index.get() >= size.get() {
        return Err(ProofError::IndexBeyondSize { index, size });
    }
    // Below where the paths of the leaf and of the last leaf meet there is a sibling at every level; above it only
    // where the leaf's own path has a left sibling.
    let meet = u64::BITS - (index.get() ^ (size.get() - 1)).leading_zeros();
    let above = if meet == 64 { 0 } else { (index.get() >> meet).count_ones() };
    check_length((meet + above) as usize, proof)?;
    // Steps 2 and 3.
    let (mut fnode, mut snode, mut computed) = (index.get(), size.get() - 1, *leaf_hash);
    // Step 4.
    for sibling in proof {
        if fnode & 1 == 1 || fnode == snode {
            computed = node_hash(sibling, &computed);
            while fnode & 1 == 0 && fnode != 0 {
                fnode >>= 1;
                snode >>= 1;
            }
        } else {
            computed = node_hash(&computed, sibling);
        }
        fnode >>= 1;
        snode >>= 1;
    }
    // Step 5; that snode is 0 follows from the length.
    check_root(size, root, computed)
}

/// Verifies that the tree of size `from` is a prefix of the tree of size `to` (RFC 9162 section 2.1.4.2).
///
/// Between equal sizes the proof is empty and the roots must be equal; from size 0 the proof is empty and the older
/// root must be that of the empty tree, which everything extends.
///
/// # Errors
///
/// `ProofError` with the numbers or hashes that disagree.
pub fn verify_consistency(
    from: TreeSize,
    to: TreeSize,
    proof: &[Hash],
    from_root: &Hash,
    to_root: &Hash,
) -> Result<(), ProofError> {
    if from > to {
        return Err(ProofError::SizesReversed { from, to });
    }
    if from == to {
        check_length(0, proof)?;
        return check_root(to, to_root, *from_root);
    }
    if from.get() == 0 {
        check_length(0, proof)?;
        return check_root(from, from_root, EMPTY_ROOT);
    }
    check_length(consistency_length(from.get(), to.get()), proof)?;
    // Step 2: a complete older tree is itself the first hash.
    let (mut seed, mut rest) = (*from_root, proof);
    if !from.get().is_power_of_two() {
        let (first, others) = proof.split_first().expect("invariant: the length was checked");
        (seed, rest) = (*first, others);
    }
    // Steps 3 and 4.
    let shift = (from.get() - 1).trailing_ones();
    let (mut fnode, mut snode) = ((from.get() - 1) >> shift, (to.get() - 1) >> shift);
    // Step 5.
    let (mut from_computed, mut to_computed) = (seed, seed);
    // Step 6.
    for sibling in rest {
        if fnode & 1 == 1 || fnode == snode {
            from_computed = node_hash(sibling, &from_computed);
            to_computed = node_hash(sibling, &to_computed);
            while fnode & 1 == 0 && fnode != 0 {
                fnode >>= 1;
                snode >>= 1;
            }
        } else {
            to_computed = node_hash(&to_computed, sibling);
        }
        fnode >>= 1;
        snode >>= 1;
    }
    // Step 7; that snode is 0 follows from the length.
    check_root(from, from_root, from_computed)?;
    check_root(to, to_root, to_computed)
}

/// Returns how many hashes PROOF(from, D[0:to]) has, for 0 < from < to.
fn consistency_length(from: u64, to: u64) -> usize {
    let shift = (from - 1).trailing_ones();
    let (last, newest) = ((from - 1) >> shift, (to - 1) >> shift);
    let meet = u64::BITS - (last ^ newest).leading_zeros();
    let above = if meet == 64 { 0 } else { (last >> meet).count_ones() };
    let seed = u32::from(!from.is_power_of_two());
    (seed + meet + above) as usize
}

fn check_length(expected: usize, proof: &[Hash]) -> Result<(), ProofError> {
    if proof.len() == expected { Ok(()) } else { Err(ProofError::Length { expected, found: proof.len() }) }
}

fn check_root(size: TreeSize, expected: &Hash, computed: Hash) -> Result<(), ProofError> {
    if computed == *expected {
        Ok(())
    } else {
        Err(ProofError::RootDiffers { size, expected: *expected, computed })
    }
}
