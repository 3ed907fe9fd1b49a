//! Replays the corpora of the ledger's fuzz targets on stable Rust: nothing panics, and a seed's name says whether it
//! must be accepted.
//!
//! The bodies are those of the fuzz targets, so whatever a fuzzer finds becomes a test by being put into the corpus.

use std::path::{Path, PathBuf};

#[path = "../../fuzz/ledger_bodies.rs"]
mod bodies;

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target)
}

/// Runs a target over its corpus, and over each seed cut off after every `step` bytes: truncation is the commonest
/// damage.
fn replay(target: &str, step: usize, body: fn(&[u8]) -> bool) {
    let mut seeds = 0;
    for file in std::fs::read_dir(corpus(target)).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let bytes = std::fs::read(&path).unwrap();
        let accepted = body(&bytes);
        if name.starts_with("valid_") || name.starts_with("hostile_") {
            assert_eq!(accepted, name.starts_with("valid_"), "{target}/{name}");
        }
        for end in (0..bytes.len()).step_by(step) {
            body(&bytes[..end]);
        }
        seeds += 1;
    }
    assert!(seeds >= 20, "{target} has {seeds} seeds");
}

#[test]
fn command_line_corpus_replays() {
    replay("command_line", 5, bodies::command_line);
}

#[test]
fn rulebook_corpus_replays() {
    replay("rulebook", 13, bodies::rulebook);
}

#[test]
fn stored_row_corpus_replays() {
    replay("stored_row", 211, bodies::stored_row);
}

#[test]
fn the_seeds_of_projected_rows_are_as_projections_are_stored_now() {
    let folder = corpus("stored_row");
    for (name, seed) in bodies::projected_seeds() {
        let file = folder.join(&name);
        if std::env::var_os("WEITUO_WRITE_SEEDS").is_some() {
            std::fs::write(&file, &seed).unwrap();
        }
        let stored = std::fs::read(&file).unwrap_or_default();
        assert!(stored == seed, "{name} is of a former fold: run this test once with WEITUO_WRITE_SEEDS=1");
    }
}
