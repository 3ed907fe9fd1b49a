//! Bad input to the real binary, on both stores: refused with words in both languages or kept byte for byte, never a
//! panic, never another line's loss.
//!
//! Every test ends by verifying the ledger. The parsers themselves are fuzzed (`fuzz/`); what was found is replayed by
//! `corpus`.

mod kept;
mod limits;
mod refused;
mod stored;

use serde_json::{Value, json};

use crate::support::commands::CYCLES;
use crate::support::shell::{Ran, Shell};

/// A ledger with the registry, the rulebook and a sample cycle under way, on each store.
async fn ledgers() -> [Shell; 2] {
    let ledgers = [Shell::sqlite().filled(0), Shell::postgres().await.filled(0)];
    for shell in &ledgers {
        let begun: Vec<&str> = CYCLES[0].1.lines().take(BEGUN).collect();
        assert_ended(&shell.record(&begun.join("\n")), 0);
    }
    ledgers
}

/// Lines of the sample cycle after which its agreement is signed, its goals are set and nothing is over.
const BEGUN: usize = 10;

/// Asserts that a process ended in its own words.
#[track_caller]
fn assert_ended(ran: &Ran, code: i32) {
    assert_eq!(ran.code, code, "{}\n{}", ran.out, ran.err);
    assert!(!ran.err.contains("panicked"), "{}", ran.err);
}

/// Asserts that the log is intact and complete, and its projections are those of a fresh fold.
#[track_caller]
fn assert_intact(shell: &Shell) {
    assert_ended(&shell.run(&["docket"]), 0);
    assert_ended(&shell.run(&["verify"]), 0);
}

/// Returns what the lines came to: a code for a refused one, `ok` for a recorded one. A refusal says why in both
/// languages, and names its line.
#[track_caller]
fn answers(ran: &Ran) -> Vec<String> {
    ran.lines()
        .iter()
        .map(|line| {
            let Some(refused) = line.get("refused") else { return "ok".to_owned() };
            assert!(refused["line"].as_u64().is_some(), "{refused}");
            for language in ["zh", "en"] {
                let reason = refused["reason"][language].as_str().unwrap();
                assert!(!reason.trim().is_empty() && reason.len() < 4_000, "{refused}");
            }
            assert!(refused["reason"]["zh"].as_str().unwrap().chars().any(|c| c > '\u{2e80}'), "{refused}");
            refused["code"].as_str().unwrap().to_owned()
        })
        .collect()
}

/// Returns a line of the sample cycle's county bureau, under a fresh command id.
fn by_county(act: &str, effective: &str, payload: &Value) -> String {
    let command = uuid::Uuid::from_u128(rand_id()).to_string();
    json!({
        "command": command,
        "do": act,
        "stream": "agreement/WZ-2022-001",
        "actor": { "organisation": "bureau-county", "role": "bureau" },
        "effective": effective,
        "payload": payload,
        "as_found": true,
    })
    .to_string()
}

/// A number that no other command of this process has.
fn rand_id() -> u128 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    0x2000_0000_0000_4000_8000_0000_0000_0000 + u128::from(NEXT.fetch_add(1, Ordering::Relaxed))
}
