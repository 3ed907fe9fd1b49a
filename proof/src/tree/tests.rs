#![expect(clippy::cast_possible_truncation, reason = "sizes here are at most 520")]

use super::*;
use crate::hash::leaf_hash;

const LARGEST: u64 = 520;

fn leaf(index: u64) -> Hash {
    leaf_hash(&index.to_be_bytes())
}

/// The tree of `LARGEST` leaves and the root at every size from 0.
fn grown() -> (MemoryNodes, Vec<Hash>) {
    let mut nodes = MemoryNodes::new();
    let mut roots = vec![nodes.root()];
    for index in 0..LARGEST {
        nodes.append(leaf(index));
        roots.push(nodes.root());
    }
    (nodes, roots)
}

/// MTH by the definition of RFC 6962 section 2.1, as an oracle.
fn defined(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => EMPTY_ROOT,
        [one] => *one,
        _ => {
            let k = leaves.len().next_power_of_two() / 2;
            node_hash(&defined(&leaves[..k]), &defined(&leaves[k..]))
        }
    }
}

#[test]
fn roots_agree_with_the_definition_at_every_size() {
    let leaves: Vec<_> = (0..LARGEST).map(leaf).collect();
    let (nodes, roots) = grown();
    let mut frontier = Frontier::new();
    for (size, expected) in roots.iter().enumerate() {
        assert_eq!(defined(&leaves[..size]), *expected);
        assert_eq!(frontier.root(), *expected);
        assert_eq!(root(&nodes, TreeSize::new(size as u64)), Ok(*expected));
        assert_eq!(Frontier::read(&nodes, frontier.size()).as_ref(), Ok(&frontier));
        assert_eq!(Frontier::from_nodes(frontier.size(), frontier.nodes().to_vec()).as_ref(), Ok(&frontier));
        if let Some(leaf) = leaves.get(size) {
            frontier.append_with(*leaf, |level, index, hash| {
                assert_eq!(nodes.node(level, index), Ok(hash));
            });
        }
    }
}

#[test]
fn every_inclusion_proof_up_to_520_verifies_and_alterations_do_not() {
    let (nodes, roots) = grown();
    for size in 1..=LARGEST {
        let root = &roots[size as usize];
        for index in 0..size {
            let (at, size) = (LeafIndex::new(index), TreeSize::new(size));
            let mut proof = inclusion_proof(&nodes, at, size).unwrap();
            assert_eq!(verify_inclusion(&leaf(index), at, size, &proof, root), Ok(()));
            let wrong = verify_inclusion(&leaf(index + 1), at, size, &proof, root);
            assert!(matches!(wrong, Err(ProofError::RootDiffers { .. })));
            if let Some(last) = proof.len().checked_sub(1) {
                let damaged = (index % proof.len() as u64) as usize;
                proof[damaged].0[0] ^= 1;
                assert!(verify_inclusion(&leaf(index), at, size, &proof, root).is_err());
                proof[damaged].0[0] ^= 1;
                let short = verify_inclusion(&leaf(index), at, size, &proof[..last], root);
                assert_eq!(short, Err(ProofError::Length { expected: last + 1, found: last }));
            }
            proof.push(Hash::ZERO);
            let found = proof.len();
            let long = verify_inclusion(&leaf(index), at, size, &proof, root);
            assert_eq!(long, Err(ProofError::Length { expected: found - 1, found }));
        }
    }
}

#[test]
fn every_consistency_proof_up_to_520_verifies_and_alterations_do_not() {
    let (nodes, roots) = grown();
    for to in 0..=LARGEST {
        for from in 0..=to {
            let (old, new) = (&roots[from as usize], &roots[to as usize]);
            let (from, to) = (TreeSize::new(from), TreeSize::new(to));
            let mut proof = consistency_proof(&nodes, from, to).unwrap();
            assert_eq!(verify_consistency(from, to, &proof, old, new), Ok(()));
            assert!(verify_consistency(from, to, &proof, &Hash::ZERO, new).is_err());
            if from.get() > 0 {
                assert!(verify_consistency(from, to, &proof, old, &Hash::ZERO).is_err());
            }
            if !proof.is_empty() {
                let damaged = (from.get() % proof.len() as u64) as usize;
                proof[damaged].0[31] ^= 0x80;
                assert!(verify_consistency(from, to, &proof, old, new).is_err());
                proof[damaged].0[31] ^= 0x80;
                assert!(matches!(
                    verify_consistency(from, to, &proof[1..], old, new),
                    Err(ProofError::Length { .. })
                ));
            }
            proof.push(Hash::ZERO);
            assert!(matches!(verify_consistency(from, to, &proof, old, new), Err(ProofError::Length { .. })));
        }
    }
}

#[test]
fn numbers_out_of_range_are_refused_with_the_numbers() {
    let (nodes, roots) = grown();
    let (at, size) = (LeafIndex::new(5), TreeSize::new(5));
    assert_eq!(inclusion_proof(&nodes, at, size), Err(ProveError::IndexBeyondSize { index: at, size }));
    assert_eq!(
        verify_inclusion(&leaf(5), at, size, &[], &roots[5]),
        Err(ProofError::IndexBeyondSize { index: at, size })
    );
    let zero = TreeSize::new(0);
    assert!(verify_inclusion(&leaf(0), LeafIndex::new(0), zero, &[], &EMPTY_ROOT).is_err());
    let (from, to) = (TreeSize::new(6), TreeSize::new(5));
    assert_eq!(consistency_proof(&nodes, from, to), Err(ProveError::SizesReversed { from, to }));
    assert_eq!(
        verify_consistency(from, to, &[], &roots[6], &roots[5]),
        Err(ProofError::SizesReversed { from, to })
    );
    assert_eq!(
        Frontier::from_nodes(size, vec![Hash::ZERO]),
        Err(FrontierError { size, expected: 2, found: 1 })
    );
}

#[test]
fn the_largest_numbers_do_not_overflow() {
    let (index, size) = (LeafIndex::new(u64::MAX - 1), TreeSize::new(u64::MAX));
    let found = verify_inclusion(&leaf(0), index, size, &[], &Hash::ZERO);
    assert!(matches!(found, Err(ProofError::Length { found: 0, .. })));
    let hashes = vec![Hash::ZERO; 64];
    assert!(verify_inclusion(&leaf(0), LeafIndex::new(0), size, &hashes, &Hash::ZERO).is_err());
    for from in [1, 2, 3, 1 << 63, (1 << 63) + 1, u64::MAX - 1] {
        for count in 0..130 {
            let proof = vec![Hash::ZERO; count];
            assert!(verify_consistency(TreeSize::new(from), size, &proof, &Hash::ZERO, &Hash::ZERO).is_err());
        }
    }
}
