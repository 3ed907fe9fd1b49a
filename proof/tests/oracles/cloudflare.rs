//! Cloudflare's `tlog_tiles` and `signed_note` 0.2: checkpoints, notes, tiles and proofs, both ways.
//!
//! Their tile paths carry the height (`tile/8/0/000`), as Go's sumdb has it; C2SP tlog-tiles left it out.

use std::cell::RefCell;

use signed_note::{
    Note, Signature, Signer as _, StandardSigner, StandardVerifier, Verifier as _, VerifierList, Verifiers,
};
use tlog_tiles::tile::{Tile, TileHashReader, TileReader};
use tlog_tiles::tlog::{self, HashReader};
use weituo_proof::tile::{TilePath, hash_tile, tiles_between, tiles_of};
use weituo_proof::tree::{consistency_proof, inclusion_proof, verify_consistency, verify_inclusion};
use weituo_proof::{
    Checkpoint, Hash, LeafIndex, MemoryNodes, Nodes as _, Origin, SignedNote, SigningKey, TreeSize,
    VerifierKey, leaf_hash,
};

const NAME: &str = "weituo.example/wz";

fn leaf(index: u64) -> Hash {
    leaf_hash(&index.to_be_bytes())
}

fn grown(size: u64) -> MemoryNodes {
    let mut nodes = MemoryNodes::new();
    nodes.extend((0..size).map(leaf));
    nodes
}

/// Our nodes, read by their code.
struct Stored<'a>(&'a MemoryNodes);

impl HashReader for Stored<'_> {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog::Hash>, tlog::Error> {
        let hash = |index: &u64| {
            let (level, number) = tlog::split_stored_hash_index(*index);
            let Ok(hash) = self.0.node(level, number);
            tlog::Hash(hash.0)
        };
        Ok(indexes.iter().map(hash).collect())
    }
}

fn theirs(proof: &[Hash]) -> Vec<tlog::Hash> {
    proof.iter().map(|hash| tlog::Hash(hash.0)).collect()
}

fn ours(proof: &[tlog::Hash]) -> Vec<Hash> {
    proof.iter().map(|hash| Hash(hash.0)).collect()
}

#[test]
fn roots_and_proofs_agree_both_ways_up_to_130() {
    let nodes = grown(130);
    let root = |size: u64| weituo_proof::tree::root(&nodes, TreeSize::new(size)).unwrap();
    let stored = Stored(&nodes);
    for to in 1..=130 {
        let (size, to_root) = (TreeSize::new(to), root(to));
        assert_eq!(tlog::tree_hash(to, &stored).unwrap().0, to_root.0);
        for from in 1..=to {
            let index = from - 1;
            let (at, from_root) = (LeafIndex::new(index), root(from));
            let proof = inclusion_proof(&nodes, at, size).unwrap();
            let their_proof = tlog::prove_record(to, index, &stored).unwrap();
            assert_eq!(ours(&their_proof), proof);
            let (their_root, their_leaf) = (tlog::Hash(to_root.0), tlog::Hash(leaf(index).0));
            tlog::check_record(&theirs(&proof), to, their_root, index, their_leaf).unwrap();
            verify_inclusion(&leaf(index), at, size, &ours(&their_proof), &to_root).unwrap();

            let proof = consistency_proof(&nodes, TreeSize::new(from), size).unwrap();
            let their_proof = tlog::prove_tree(to, from, &stored).unwrap();
            assert_eq!(ours(&their_proof), proof);
            tlog::check_tree(&theirs(&proof), to, their_root, from, tlog::Hash(from_root.0)).unwrap();
            verify_consistency(TreeSize::new(from), size, &ours(&their_proof), &from_root, &to_root).unwrap();
        }
    }
}

fn without_height(tile: &Tile) -> String {
    tile.path().replacen("tile/8/", "tile/", 1)
}

#[test]
fn the_same_tiles_are_needed_at_the_same_paths() {
    for (from, to) in [(0, 1), (0, 256), (0, 70_000), (255, 257), (256, 256), (300, 66_000), (65_535, 65_537)]
    {
        let mut ours: Vec<_> =
            tiles_between(TreeSize::new(from), TreeSize::new(to)).map(|tile| tile.to_string()).collect();
        let mut theirs: Vec<_> = Tile::new_tiles(8, from, to).iter().map(without_height).collect();
        ours.sort();
        theirs.sort();
        assert_eq!(ours, theirs, "{from} to {to}");
    }
    for index in [0, 1, 999, 1000, 1_234_067, 1_000_000_000_000] {
        for width in [1, 17, 255, 256] {
            let path = without_height(&Tile::new(8, 3, index, width, false));
            assert_eq!(path.parse::<TilePath>().unwrap().to_string(), path);
        }
    }
}

/// Our tiles, read by their code.
struct Served<'a> {
    nodes: &'a MemoryNodes,
    asked: RefCell<usize>,
}

impl TileReader for Served<'_> {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, tlog::Error> {
        *self.asked.borrow_mut() += tiles.len();
        let read = |tile: &Tile| hash_tile(self.nodes, &without_height(tile).parse().unwrap()).unwrap();
        Ok(tiles.iter().map(read).collect())
    }

    fn save_tiles(&self, _tiles: &[Tile], _data: &[Vec<u8>]) {}
}

#[test]
fn their_verifying_reader_accepts_our_tiles() {
    let nodes = grown(70_000);
    let served = Served { nodes: &nodes, asked: RefCell::new(0) };
    let root = tlog::Hash(nodes.root().0);
    let reader = TileHashReader::new(70_000, root, &served);
    for index in [0, 255, 256, 65_535, 65_536, 69_999] {
        let proof = tlog::prove_record(70_000, index, &reader).unwrap();
        tlog::check_record(&proof, 70_000, root, index, tlog::Hash(leaf(index).0)).unwrap();
    }
    assert!(*served.asked.borrow() > 0);
    assert_eq!(tiles_of(nodes.size()).count(), 277);
}

#[test]
fn keys_and_checkpoints_are_read_and_verified_by_each_other() {
    let key = SigningKey::from_seed(NAME, [11; 32]).unwrap();
    let their_signer = StandardSigner::new(&key.to_string()).unwrap();
    let their_verifier = StandardVerifier::new(&key.verifier().to_string()).unwrap();
    assert_eq!(their_verifier.key_id().to_be_bytes(), key.verifier().key_id());
    assert_eq!(their_signer.key_id(), their_verifier.key_id());

    let nodes = grown(600);
    let checkpoint =
        Checkpoint { origin: Origin::new(NAME).unwrap(), size: nodes.size(), root: nodes.root() };
    let signed = checkpoint.sign(&key).unwrap().to_string();
    let note = Note::from_bytes(signed.as_bytes()).unwrap();
    let known = VerifierList::new(vec![Box::new(their_verifier)]);
    assert_eq!(note.verify(&known).unwrap().0.len(), 1);
    let read = tlog_tiles::Checkpoint::from_bytes(note.text()).unwrap();
    assert_eq!((read.origin(), read.size(), read.hash().0), (NAME, 600, nodes.root().0));

    let written = tlog_tiles::Checkpoint::new(NAME, 600, tlog::Hash(nodes.root().0), "").unwrap();
    assert_eq!(written.to_bytes(), checkpoint.text().into_bytes());
    let mut note = Note::new(&written.to_bytes(), &[]).unwrap();
    note.add_sigs(&[&their_signer]).unwrap();
    let (opened, _) =
        Checkpoint::open(std::str::from_utf8(&note.to_bytes()).unwrap(), key.verifier()).unwrap();
    assert_eq!(opened, checkpoint);
}

#[test]
fn keys_that_they_generate_are_ours_too() {
    let seed = [12; 32];
    let key = SigningKey::from_seed(NAME, seed).unwrap();
    let public = ed25519_dalek::SigningKey::from_bytes(&seed).verifying_key();
    let theirs = signed_note::new_ed25519_verifier_key(NAME, &public);
    assert_eq!(theirs, key.verifier().to_string());
    assert_eq!(theirs.parse::<VerifierKey>().unwrap(), *key.verifier());
}

#[test]
fn malformed_notes_are_refused_by_both() {
    let key = SigningKey::from_seed(NAME, [11; 32]).unwrap();
    let good = SignedNote::sign("a\n\nb\n", &key).unwrap().to_string();
    assert!(Note::from_bytes(good.as_bytes()).is_ok());
    let verifier = StandardVerifier::new(&key.verifier().to_string()).unwrap();
    let known = VerifierList::new(vec![Box::new(verifier)]);
    for offset in 0..good.len() {
        for byte in [b'\0', b'\n', b' ', b'+', b'A', b'=', b'\r'] {
            let mut bytes = good.clone().into_bytes();
            bytes[offset] = byte;
            let Ok(text) = std::str::from_utf8(&bytes) else { continue };
            let ours = SignedNote::parse(text).and_then(|note| note.verify(&[key.verifier().clone()]));
            let theirs = Note::from_bytes(&bytes).is_ok_and(|note| is_verified(&note, &known));
            assert_eq!(ours.is_ok(), theirs, "{text:?}");
        }
    }
}

fn is_verified(note: &Note, known: &impl Verifiers) -> bool {
    note.verify(known).is_ok_and(|(verified, _): (Vec<Signature>, _)| !verified.is_empty())
}
