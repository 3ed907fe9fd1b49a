//! Replays the fuzz corpora on stable Rust: nothing panics, and a seed's name says whether it must be accepted.
//!
//! The bodies are those of the fuzz targets, so whatever a fuzzer finds becomes a test by being put into the corpus.
#![expect(clippy::unwrap_used, reason = "what fails in a test's helper fails the test")]

use std::fs;
use std::path::Path;

#[path = "../../fuzz/bodies.rs"]
mod bodies;

/// Runs a target over its corpus and over every prefix of it, since truncation is the commonest damage.
fn replay(target: &str, body: fn(&[u8]) -> bool) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let mut seeds = 0;
    for file in fs::read_dir(corpus).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let bytes = fs::read(&path).unwrap();
        let accepted = body(&bytes);
        if name.starts_with("valid_") || name.starts_with("hostile_") {
            assert_eq!(accepted, name.starts_with("valid_"), "{target}/{name}");
        }
        for end in 0..bytes.len().min(4096) {
            body(&bytes[..end]);
        }
        seeds += 1;
    }
    assert!(seeds >= 5, "{target} has {seeds} seeds");
}

#[test]
fn canonical_corpus_replays() {
    replay("canonical", bodies::canonical);
}

#[test]
fn checkpoint_corpus_replays() {
    replay("checkpoint", bodies::checkpoint);
}

#[test]
fn disclosure_corpus_replays() {
    replay("disclosure", bodies::disclosure);
}

#[test]
fn entry_corpus_replays() {
    replay("entry", bodies::entry);
}

#[test]
fn map_proof_corpus_replays() {
    replay("map_proof", bodies::map_proof);
}

#[test]
fn note_corpus_replays() {
    replay("note", bodies::note);
}

#[test]
fn receipt_corpus_replays() {
    replay("receipt", bodies::receipt);
}

#[test]
fn tile_path_corpus_replays() {
    replay("tile_path", bodies::tile_path);
}

#[test]
fn policy_corpus_replays() {
    replay("policy", bodies::policy);
}

#[test]
fn add_checkpoint_corpus_replays() {
    replay("add_checkpoint", bodies::add_checkpoint);
}
