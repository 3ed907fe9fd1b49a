//! The vectors of transparency-dev/merkle, as shipped in sigstore-merkle 0.15.1: see `vectors/README.md`.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use weituo_proof::tree::{verify_consistency, verify_inclusion};
use weituo_proof::{Hash, LeafIndex, TreeSize, sha256};

const VECTORS: usize = 195;

#[test]
fn all_195_merkle_vectors_give_the_expected_answer() {
    let mut ran = 0;
    run_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/merkle"), &mut ran);
    assert_eq!(ran, VECTORS);
}

fn run_all(dir: &Path, ran: &mut usize) {
    for item in fs::read_dir(dir).unwrap() {
        let path = item.unwrap().path();
        if path.is_dir() {
            run_all(&path, ran);
        } else {
            let vector: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            let wrong = vector["wantErr"].as_bool().unwrap();
            assert_eq!(!accepted(&vector), wrong, "{}: {}", path.display(), vector["desc"]);
            *ran += 1;
        }
    }
}

fn accepted(vector: &Value) -> bool {
    let size = |name: &str| vector[name].as_u64().map(TreeSize::new).unwrap();
    let proof: Option<Vec<Hash>> = vector["proof"].as_array().into_iter().flatten().map(hash).collect();
    let hashes = |names: [&str; 2]| Some((hash(&vector[names[0]])?, hash(&vector[names[1]])?));
    let Some(proof) = proof else { return false };
    if vector.get("leafIdx").is_some() {
        let index = LeafIndex::new(vector["leafIdx"].as_u64().unwrap());
        hashes(["leafHash", "root"]).is_some_and(|(leaf, root)| {
            verify_inclusion(&leaf, index, size("treeSize"), &proof, &root).is_ok()
        })
    } else {
        hashes(["root1", "root2"]).is_some_and(|(from, to)| {
            verify_consistency(size("size1"), size("size2"), &proof, &from, &to).is_ok()
        })
    }
}

/// Nothing is no hash. Some vectors have placeholders of 12 bytes, such as "dont care 1": another 32 bytes stand in for
/// each, equal where the placeholders are.
fn hash(base64: &Value) -> Option<Hash> {
    let bytes = STANDARD.decode(base64.as_str().unwrap()).unwrap();
    if bytes.is_empty() {
        return None;
    }
    Some(bytes.as_slice().try_into().map_or_else(|_| sha256(&[b"placeholder", &bytes]), Hash))
}
