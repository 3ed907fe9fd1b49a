//! `jmt` 0.12: the completeness index has the roots and proofs of a Jellyfish Merkle tree.

use jmt::mock::MockTreeStore;
use jmt::{KeyHash, RootHash, Sha256Jmt};
use proptest::prelude::*;
use weituo_proof::map::{Map, MapProof, Terminal};
use weituo_proof::{Hash, sha256};

fn key_of(name: &str) -> KeyHash {
    KeyHash(sha256(&[name.as_bytes()]).0)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn roots_and_proofs_of_random_maps_agree(
        batches in prop::collection::vec(prop::collection::btree_map(0_u16..400, 0_u8..9, 1..60), 1..5),
        absent in prop::collection::vec(400_u16..4000, 1..40),
    ) {
        let store = MockTreeStore::default();
        let tree = Sha256Jmt::new(&store);
        let mut map = Map::new();
        let mut current = std::collections::BTreeMap::new();
        for (version, batch) in (0..).zip(&batches) {
            let values = batch.iter().map(|(number, value)| (key_of(&number.to_string()), Some(vec![*value])));
            let (root, update) = tree.put_value_set(values, version).unwrap();
            store.write_tree_update_batch(update).unwrap();
            for (number, value) in batch {
                map.insert(&number.to_string(), &[*value]);
                current.insert(*number, *value);
            }
            prop_assert_eq!(map.root(), Hash(root.0));
        }
        let version = batches.len() as u64 - 1;
        let root = map.root();
        for number in absent.iter().chain(current.keys()) {
            let name = number.to_string();
            let expected = current.get(number).map(|value| [*value]);
            let (value, theirs) = tree.get_with_proof(key_of(&name), version).unwrap();
            prop_assert_eq!(value.as_deref(), expected.as_ref().map(<[u8; 1]>::as_slice));
            theirs.verify(RootHash(root.0), key_of(&name), value).unwrap();
            let ours = map.prove(&name);
            ours.verify(&root, &name, expected.as_ref().map(<[u8; 1]>::as_slice)).unwrap();
            prop_assert_eq!(shape(&ours), shape_of_theirs(&theirs));
        }
    }
}

/// Whether the proof ends in a leaf, and how long it is.
fn shape(proof: &MapProof) -> (bool, usize) {
    (matches!(proof.terminal, Terminal::Leaf { .. }), proof.siblings.len())
}

fn shape_of_theirs(proof: &jmt::proof::SparseMerkleProof<sha2::Sha256>) -> (bool, usize) {
    let siblings = serde_json::to_value(proof).unwrap()["siblings"].as_array().unwrap().len();
    (proof.leaf().is_some(), siblings)
}

#[test]
fn the_empty_map_has_the_root_of_the_empty_tree() {
    let store = MockTreeStore::default();
    let tree = Sha256Jmt::new(&store);
    let nothing: Vec<(KeyHash, Option<Vec<u8>>)> = Vec::new();
    let (root, _) = tree.put_value_set(nothing, 0).unwrap();
    assert_eq!(Map::new().root(), Hash(root.0));
}
