//! Adoption and repeal, on the rulebook of arrangement 1.

use serde_json::{Value, json};

use crate::agreement::tests::harness::{FULL_CYCLE, Ledger, RULEBOOK};

#[expect(clippy::needless_pass_by_value, reason = "callers write the payload in place")]
fn command(make: &str, by: &str, payload: Value) -> String {
    json!({
        "command": "00000000-0000-4000-8000-0000000000cc",
        "do": make,
        "stream": "rulebook/wenzhou-entrustment-2018",
        "actor": { "organisation": by, "role": "bureau" },
        "effective": "2020-01-10",
        "payload": payload
    })
    .to_string()
}

fn second() -> String {
    RULEBOOK.replacen("version = 1", "version = 2", 1)
}

#[test]
fn versions_are_adopted_in_order_each_once() {
    let mut ledger = Ledger::open();
    let adopt = |text: &str, version: u32| {
        command("AdoptRulebook", "bureau-wz", json!({"text": text, "version": version}))
    };
    assert_eq!(ledger.record(&adopt(RULEBOOK, 1)).unwrap_err().code, "rulebook-version");
    assert_eq!(ledger.record(&adopt(RULEBOOK, 2)).unwrap_err().code, "rulebook-name");
    assert_eq!(ledger.record(&adopt("colour = 1", 2)).unwrap_err().code, "rulebook-unreadable");
    ledger.record(&adopt(&second(), 2)).unwrap();
    assert!(ledger.rulebooks.get("wenzhou-entrustment-2018", 2).is_some());
}

#[test]
fn only_a_bureau_adopts() {
    let by_school = command("AdoptRulebook", "school-jia", json!({"text": second(), "version": 2}));
    assert_eq!(Ledger::open().record(&by_school).unwrap_err().code, "adopter");
}

#[test]
fn a_repealed_version_is_pinned_by_nothing_new_and_still_judges_what_pinned_it() {
    let mut ledger = Ledger::open();
    let mut lines = FULL_CYCLE.lines();
    ledger.record(lines.next().unwrap()).unwrap();
    let repeal = command("RepealRulebook", "bureau-wz", json!({"version": 1}));
    ledger.record(&repeal).unwrap();
    assert_eq!(ledger.record(&repeal).unwrap_err().code, "rulebook-version");
    let refusal = ledger.record(lines.next().unwrap()).unwrap_err();
    assert_eq!(refusal.code, "rulebook-repealed");
    assert!(ledger.cycle("WZ-2022-001").rulebook(&ledger.rulebooks).is_some());
}
