//! The witness conformance cases of the crate `siglog` (tests/vectors/siglog-witness), against the binary.

use std::path::Path;

use serde_json::Value;
use weituo_proof::witness::AddCheckpoint;
use weituo_proof::{Hash, TreeSize, VerifierKey};

use crate::support::witness::{Answer, Log, Witness};

/// Leaf hashes as the cases have them.
fn log(origin: &str) -> Log {
    Log::of(
        origin,
        (0..32).map(|index| {
            let mut hash = [0; 32];
            (hash[0], hash[1]) = (0x2a, index);
            Hash(hash)
        }),
    )
}

/// Sends a case as it stands: its proof and root may be no hashes at all.
fn send(witness: &Witness, log: &Log, case: &Value) -> Answer {
    let (old, new) = (case["old_size"].as_u64().unwrap(), case["new_size"].as_u64().unwrap());
    for size in 1..=old {
        let answer = witness.post(&log.request(size - 1, size).to_string());
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let text = format!("{}\n{new}\n{}\n", log.origin(), case["root_hash"].as_str().unwrap());
    let note = if case["checkpoint_valid"] == false {
        let forged = weituo_proof::SigningKey::from_seed(log.key.name(), [77; 32]).unwrap();
        weituo_proof::SignedNote::sign(text, &forged).unwrap()
    } else {
        weituo_proof::SignedNote::sign(text, &log.key).unwrap()
    };
    let empty = AddCheckpoint { old_size: TreeSize::new(old), proof: Vec::new(), note }.to_string();
    let proof = case["proof"].as_array().unwrap().iter();
    let lines: Vec<String> = proof.map(|line| format!("{}\n", line.as_str().unwrap())).collect();
    witness.post(&empty.replacen("\n\n", &format!("\n{}\n", lines.concat()), 1))
}

#[test]
fn the_conformance_cases_of_siglog_pass_against_the_binary() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/siglog-witness");
    let files = crate::support::witness::files(&folder);
    let cases = files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "json"));
    let cases: Vec<Value> =
        cases.map(|file| serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()).collect();
    assert!(cases.len() >= 19, "only {} cases", cases.len());
    // A log for each case, so that one witness takes them all.
    let logs: Vec<Log> =
        cases.iter().map(|case| log(&format!("log.example/{}", case["name"].as_str().unwrap()))).collect();
    let keys: Vec<&VerifierKey> = logs.iter().map(|log| log.key.verifier()).collect();
    let state = tempfile::tempdir().unwrap();
    let witness = Witness::start(state.path(), &keys);
    for (case, log) in cases.iter().zip(&logs) {
        let answer = send(&witness, log, case);
        let fails = case["should_fail"] == true;
        assert_eq!(answer.status >= 400, fails, "{case}: {answer:?}");
        if let Some(expected) = case["expected_status"].as_u64() {
            assert_eq!(u64::from(answer.status), expected, "{case}: {answer:?}");
        }
        if !fails {
            assert!(answer.body.starts_with("\u{2014} "), "{case}: {answer:?}");
        }
    }
}
