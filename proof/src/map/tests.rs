use super::*;
use crate::hash::leaf_hash;
use crate::ident::StreamName;
use crate::stream::StreamHead;

fn name(number: u32) -> String {
    format!("agreement/{number}")
}

fn filled(count: u32) -> Map {
    let mut map = Map::new();
    (0..count).for_each(|number| map.insert(&name(number), &number.to_be_bytes()));
    map
}

#[test]
fn small_maps_hash_as_defined() {
    let mut map = Map::new();
    assert_eq!((map.root(), map.is_empty()), (EMPTY, true));
    map.insert("a", b"1");
    let key = |name: &str| sha256(&[name.as_bytes()]);
    let a = leaf_node(&key("a"), &sha256(&[b"1"]));
    assert_eq!(map.root(), a);
    map.insert("b", b"2");
    let b = leaf_node(&key("b"), &sha256(&[b"2"]));
    // SHA-256("a") begins with bits 11, SHA-256("b") with 00.
    assert_eq!((key("a").0[0], key("b").0[0]), (0xca, 0x3e));
    assert_eq!(map.root(), inner_node(&b, &a));
}

#[test]
fn the_root_does_not_depend_on_the_order_of_insertion_or_hashing() {
    let mut forward = filled(500);
    let mut backward = Map::new();
    for number in (0..500).rev() {
        backward.insert(&name(number), b"old");
        backward.root();
        backward.insert(&name(number), &number.to_be_bytes());
    }
    assert_eq!(forward.root(), backward.root());
    assert_eq!(forward.len(), 500);
    forward.insert(&name(3), b"changed");
    assert_ne!(forward.root(), backward.root());
    let before = forward.clone().root();
    forward.insert(&name(3), b"changed");
    assert_eq!(forward.root(), before);
}

#[test]
fn keys_that_differ_in_their_last_bits_alone_are_parted() {
    let key = |number: u8| Hash(std::array::from_fn(|at| if at == 31 { number } else { 7 }));
    let leaves: Vec<(Hash, Hash)> = (0..200).map(|number| (key(number), sha256(&[&[number]]))).collect();
    let mut map = Map::new();
    for at in (0..200).map(|number| number * 37 % 200) {
        map.set_leaf(leaves[at]);
    }
    assert_eq!((map.root(), map.len()), (subtree(&leaves, 0), 200));
    let elsewhere = filled(1).leaves().next().unwrap();
    map.set_leaf(elsewhere);
    assert_eq!(map.get(&name(0)), Some(elsewhere.1));
    assert_eq!((map.get(&name(1)), map.len()), (None, 201));
}

#[test]
fn a_map_is_made_anew_of_its_leaves() {
    for count in [0, 1, 500] {
        let (mut map, mut anew) = (filled(count), Map::new());
        map.leaves().for_each(|leaf| anew.set_leaf(leaf));
        assert_eq!((anew.root(), anew.len()), (map.root(), map.len()));
    }
}

#[test]
fn presence_and_absence_are_proven_and_not_confused() {
    for count in [0, 1, 2, 3, 10, 300] {
        let mut map = filled(count);
        let root = map.root();
        for number in 0..count {
            let (name, value) = (name(number), number.to_be_bytes());
            let proof = map.prove(&name);
            assert_eq!(proof.verify(&root, &name, Some(&value)), Ok(()));
            assert!(matches!(
                proof.verify(&root, &name, Some(b"other")),
                Err(MapProofError::ValueDiffers { .. })
            ));
            assert!(matches!(proof.verify(&root, &name, None), Err(MapProofError::Present { .. })));
        }
        for number in 1000..1100 {
            let absent = name(number);
            let proof = map.prove(&absent);
            assert_eq!(proof.verify(&root, &absent, None), Ok(()));
            assert_eq!(proof.verify(&root, &absent, Some(b"")), Err(MapProofError::NotPresent));
            if count > 0 {
                assert!(proof.verify(&root, &name(0), None).is_err());
            }
        }
    }
}

#[test]
fn altered_proofs_are_refused() {
    let mut map = filled(300);
    let root = map.root();
    for number in 0..300 {
        let (name, value) = (name(number), number.to_be_bytes());
        let good = map.prove(&name);
        let mut proof = good.clone();
        let damaged = number as usize % proof.siblings.len();
        proof.siblings[damaged].0[5] ^= 4;
        assert!(matches!(proof.verify(&root, &name, Some(&value)), Err(MapProofError::RootDiffers { .. })));
        proof = good.clone();
        proof.siblings.remove(0);
        assert!(proof.verify(&root, &name, Some(&value)).is_err());
        proof = good.clone();
        proof.terminal = Terminal::Empty;
        assert!(proof.verify(&root, &name, None).is_err());
    }
    let mut long = map.prove("x");
    long.siblings = vec![EMPTY; 257];
    assert_eq!(long.verify(&root, "x", None), Err(MapProofError::TooLong { found: 257 }));
}

#[test]
fn a_leaf_elsewhere_does_not_prove_absence() {
    let mut map = filled(300);
    let root = map.root();
    let mut proof = map.prove(&name(1));
    // The path of name 1, presented as if it were the way to another name.
    let off = (1000..2000).map(name).find(|other| {
        let (a, b) = (sha256(&[other.as_bytes()]), sha256(&[name(1).as_bytes()]));
        shared_bits(&a, &b) == 0
    });
    let result = proof.verify(&root, &off.unwrap(), None);
    let depth = proof.siblings.len();
    assert_eq!(result, Err(MapProofError::OffPath { shared: 0, depth }));
    proof.siblings.clear();
    assert!(proof.verify(&root, &name(1000), None).is_err());
}

#[test]
fn proofs_grow_with_the_logarithm_of_the_number_of_names() {
    let mut means = Vec::new();
    for bits in [8_u32, 12, 16] {
        let mut map = filled(1 << bits);
        let lengths: Vec<usize> = (0..200).map(|number| map.prove(&name(number)).siblings.len()).collect();
        let longest = lengths.iter().copied().max().unwrap();
        // Two random keys among 2^n share 2n bits and more with a chance of about one half.
        assert!(longest <= 2 * bits as usize + 8, "{longest} siblings among 2^{bits} names");
        means.push(lengths.iter().sum::<usize>() / lengths.len());
    }
    // 16 times as many names, 4 siblings more.
    for pair in means.windows(2) {
        assert!((3..=5).contains(&(pair[1] - pair[0])), "{means:?}");
    }
}

#[test]
fn a_proof_reads_back_from_json() {
    let mut map = filled(3);
    for name in [name(0), name(7)] {
        let proof = map.prove(&name);
        let json = serde_json::to_string(&proof).unwrap();
        assert_eq!(serde_json::from_str::<MapProof>(&json).unwrap(), proof);
    }
}

#[test]
fn values_are_a_number_and_a_hash() {
    let head = StreamHead { sequence: 258, leaf_hash: leaf_hash(b"x") };
    assert_eq!(stream_value(&head)[..8], [0, 0, 0, 0, 0, 0, 1, 2]);
    assert_eq!(stream_value(&head)[8..], leaf_hash(b"x").0);
    let mut chain = PartyChain::new();
    assert_eq!(chain.value(), [0; 40]);
    chain.push(&leaf_hash(b"x"));
    assert_eq!(chain.h, sha256(&[&[0; 32], &leaf_hash(b"x").0]));
    assert_eq!(chain.value()[7], 1);
    let organisation = StreamName::new("organisation/a").unwrap();
    assert_eq!(party_name(&organisation), "party:organisation/a");
}
