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

#[test]
fn a_rulebook_is_carried_on_and_repealed_by_its_adopter_one_above_it_or_a_root() {
    let mut ledger = Ledger::open();
    // The county did not adopt the city's rulebook.
    let repeal = |by: &str| command("RepealRulebook", by, json!({"version": 1}));
    let next = |by: &str| command("AdoptRulebook", by, json!({"text": second(), "version": 2}));
    for foreign in [repeal("bureau-county"), next("bureau-county")] {
        let refusal = ledger.record(&foreign).unwrap_err();
        assert_eq!(refusal.code, "adopter");
        assert!(refusal.reason.en.contains("accepted from: bureau-wz"), "{refusal}");
    }
    let own = |make: &str, by: &str, payload: Value| {
        command(make, by, payload).replace("rulebook/wenzhou-entrustment-2018", "rulebook/county")
    };
    let text = |version: u32| {
        let named = RULEBOOK.replacen("id = \"wenzhou-entrustment-2018\"", "id = \"county\"", 1);
        named.replacen("version = 1", &format!("version = {version}"), 1)
    };
    for (version, by) in [(1, "bureau-county"), (2, "bureau-county"), (3, "bureau-wz")] {
        let adopt = own("AdoptRulebook", by, json!({"text": text(version), "version": version}));
        ledger.record(&adopt).unwrap();
    }
    ledger.record(&own("RepealRulebook", "bureau-county", json!({"version": 3}))).unwrap();
}
