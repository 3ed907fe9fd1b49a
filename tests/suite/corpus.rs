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

/// The seeds of `stored_row` that depend on how projections are stored: of each its first row and that row's key, and the
/// version of the first fold. Each is what stands there, so it is accepted.
fn projected_seeds() -> Vec<(String, Vec<u8>)> {
    let tables = bodies::tables();
    let seed =
        |column: u8, place: usize, value: &[u8]| [&[column, u8::try_from(place).unwrap()], value].concat();
    let first = tables.generations.values().flatten().next().unwrap();
    let mut seeds = vec![("valid_fold_version".to_owned(), seed(b'f', 0, &first.fold_version.to_le_bytes()))];
    let mut place = 0;
    for ((projection, _), rows) in &tables.rows {
        let (key, body) = rows.iter().next().unwrap();
        seeds.push((format!("valid_key_{projection}"), seed(b'k', place, key.as_bytes())));
        seeds.push((format!("valid_row_{projection}"), seed(b'r', place, body.as_bytes())));
        place += rows.len();
    }
    seeds
}

#[test]
fn the_seeds_of_projected_rows_are_as_projections_are_stored_now() {
    let folder = corpus("stored_row");
    for (name, seed) in projected_seeds() {
        let file = folder.join(&name);
        if std::env::var_os("WEITUO_WRITE_SEEDS").is_some() {
            std::fs::write(&file, &seed).unwrap();
        }
        let stored = std::fs::read(&file).unwrap_or_default();
        assert!(stored == seed, "{name} is of a former fold: run this test once with WEITUO_WRITE_SEEDS=1");
    }
}
