//! What each fuzz target asserts: no panic, and that accepted input has one spelling.
//!
//! A plain module, so that cargo-fuzz (nightly) and the test `proof/tests/corpus.rs` (stable) run the same code. Each
//! function returns whether the input was accepted. The bodies of `command_line`, `rulebook` and `stored_row` stand in
//! `ledger_bodies.rs` and are replayed by `tests/suite/corpus.rs`.
//!
//! To run one for ten minutes, with cargo-fuzz and a nightly toolchain:
//! `cargo +nightly fuzz run --sanitizer none command_line -- -max_total_time=600 -max_len=4096 -timeout=10`.
//! What it finds is mended, and its input goes into `corpus/TARGET/`, named `valid_…` or `hostile_…` by whether it must
//! be accepted.
//! Source: style.md, "cargo fuzz targets for every parser that reads hostile input".
#![allow(dead_code, reason = "each fuzz target uses one of these")]

use weituo_proof::map::MapProof;
use weituo_proof::sealed::Disclosure;
use weituo_proof::tile::{TilePath, decode_bundle, encode_bundle};
use weituo_proof::{Checkpoint, Entry, Hash, Receipt, SignedNote, VerifierKey, canonical};

/// Canonical JSON: accepted text is UTF-8, parses, and a strict writer gives it back.
pub(crate) fn canonical(data: &[u8]) -> bool {
    let Ok(text) = canonical::check(data) else { return false };
    let value: serde_json::Value = serde_json::from_str(text).expect("canonical JSON is JSON");
    let mut again = String::new();
    canonical::write_value(&mut again, &value).expect("an accepted value is in the subset");
    assert_eq!(again, text);
    true
}

/// Entries: an accepted entry writes back to its bytes.
pub(crate) fn entry(data: &[u8]) -> bool {
    let Ok(entry) = Entry::parse(data) else { return false };
    let again = entry.draft().entry(&entry.position()).expect("an accepted entry can be written");
    assert_eq!(again.as_bytes(), data);
    assert!(canonical(data));
    let _ = entry.sealed_digests();
    assert!(entry.signing_bytes().len() < data.len() + 26);
    true
}

/// Notes and keys: an accepted note serialises to itself; nothing verifies under no key.
pub(crate) fn note(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    if let Ok(key) = text.parse::<VerifierKey>() {
        assert_eq!(key.to_string().parse(), Ok(key));
        return true;
    }
    let Ok(note) = SignedNote::parse(text) else { return false };
    assert_eq!(note.to_string(), text);
    assert!(note.verify(&[]).is_err());
    true
}

/// Checkpoints: what is read without extension lines is written alike; none opens under a key that did not sign it.
pub(crate) fn checkpoint(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let Ok(checkpoint) = Checkpoint::parse(text) else { return false };
    assert!(text.starts_with(&checkpoint.text()));
    assert_eq!(Checkpoint::parse(&checkpoint.text()), Ok(checkpoint));
    true
}

/// Receipts: what is accepted writes back to itself.
pub(crate) fn receipt(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    if let Ok(receipt) = Receipt::parse_with_entry(text) {
        assert_eq!(receipt.text_with_entry(), text);
        return true;
    }
    let Ok(receipt) = Receipt::parse(text, "") else { return false };
    let again = Receipt::parse(&receipt.text(), "").expect("a written receipt can be read");
    assert_eq!(again, receipt);
    true
}

/// Tile paths, and the rest of the input after a newline as that bundle.
pub(crate) fn tile_path(data: &[u8]) -> bool {
    let split = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let Ok(text) = std::str::from_utf8(&data[..split]) else { return false };
    let Ok(path) = text.parse::<TilePath>() else { return false };
    assert_eq!(path.to_string(), text);
    let bundle = data.get(split + 1..).unwrap_or_default();
    if let Ok(entries) = decode_bundle(bundle, path.width()) {
        assert_eq!(encode_bundle(&entries).expect("decoded entries fit a bundle"), bundle);
    }
    true
}

/// Map proofs: any that reads can be verified without a panic, and reads back.
pub(crate) fn map_proof(data: &[u8]) -> bool {
    let Ok(proof) = serde_json::from_slice::<MapProof>(data) else { return false };
    for value in [None, Some(&b"value"[..])] {
        assert!(proof.verify(&Hash::ZERO, "agreement/a", value).is_err());
    }
    let again = serde_json::to_vec(&proof).expect("a map proof is JSON");
    assert_eq!(serde_json::from_slice::<MapProof>(&again).ok(), Some(proof));
    true
}

/// Disclosures: what is accepted encodes to itself and opens what it sealed.
pub(crate) fn disclosure(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let Ok(disclosure) = Disclosure::decode(text) else { return false };
    let rebuilt = Disclosure::new(*disclosure.salt(), disclosure.name(), disclosure.value().clone());
    assert_eq!(rebuilt.expect("an accepted disclosure can be built").encode(), text);
    assert!(disclosure.sealed_ref().matches(text));
    true
}

/// Policies: what is accepted names its quorum's witnesses, and nobody cosigned a note without signatures by them.
pub(crate) fn policy(data: &[u8]) -> bool {
    let Ok(policy) = weituo_proof::Policy::parse(data) else { return false };
    let key = weituo_proof::SigningKey::from_seed("log.example", [3; 32]).expect("a name");
    let note = SignedNote::sign("log.example\n", &key).expect("a text");
    assert!(policy.cosigners(&note).is_empty());
    assert_eq!(policy.has_quorum(&note), !policy.asks_for_cosignatures());
    true
}

/// Requests to a witness: an accepted request is written alike.
pub(crate) fn add_checkpoint(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let _ = weituo_proof::witness::parse_size(text);
    let Ok(request) = weituo_proof::witness::AddCheckpoint::parse(text) else { return false };
    assert_eq!(request.to_string(), text);
    true
}
