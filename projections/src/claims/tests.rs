use serde_json::{Value, json};

use super::*;
use crate::testing::{act, adoption};

fn signing(agreement: &str, school: &str, start: &str) -> Value {
    json!({
        "command": "00000000-0000-4000-8000-000000000003",
        "do": "SignAgreement",
        "stream": format!("agreement/{agreement}"),
        "actor": { "organisation": "bureau-county", "role": "bureau" },
        "effective": "2019-06-01",
        "payload": {
            "rulebook": { "id": "wenzhou-entrustment-2018", "version": 1 },
            "school": school,
            "trustee": "trustee-a",
            "term_start": start
        }
    })
}

fn other(make: &str, agreement: &str, effective: &str, payload: Value) -> Act {
    let mut command = signing(agreement, "-", "-");
    command["do"] = json!(make);
    command["effective"] = json!(effective);
    command["payload"] = payload;
    act(&command.to_string())
}

fn sign(agreement: &str, school: &str, start: &str) -> Act {
    act(&signing(agreement, school, start).to_string())
}

fn opened() -> Claims {
    let mut claims = Claims::default();
    claims.apply(&adoption(), 1);
    claims.apply(&sign("first", "jia", "2019-09-01"), 1);
    claims
}

#[test]
fn of_many_racing_signings_for_other_schools_one_wins() {
    let mut claims = Claims::default();
    claims.apply(&adoption(), 1);
    let mut accepted = 0;
    for number in 0..64 {
        let signing = sign(&format!("a{number}"), &format!("s{number}"), "2019-09-01");
        // A batch is tried on a copy, as the writer does.
        let trial = claims.clone();
        if trial.check(&signing).is_ok() {
            claims.apply(&signing, 1);
            accepted += 1;
        }
    }
    assert_eq!(accepted, 1);
}

#[test]
fn terms_that_only_touch_do_not_overlap() {
    let claims = opened();
    assert!(claims.check(&sign("next", "yi", "2022-09-01")).is_ok());
    let refusal = claims.check(&sign("next", "yi", "2022-08-31")).unwrap_err();
    assert_eq!(refusal.code, "one-school-per-trustee");
    assert!(refusal.reason.en.contains("agreement/first") && refusal.reason.zh.contains("exception"));
}

#[test]
fn a_further_agreement_with_the_same_school_is_no_second_place() {
    assert!(opened().check(&sign("again", "jia", "2020-09-01")).is_ok());
}

#[test]
fn an_exception_is_accepted_and_takes_a_place_itself() {
    let mut claims = opened();
    let mut excepted = signing("second", "yi", "2020-09-01");
    excepted["payload"]["exception"] = json!({});
    let excepted = act(&excepted.to_string());
    assert!(claims.check(&excepted).is_ok());
    claims.apply(&excepted, 1);
    // The first term is over by then, the excepted one is not.
    assert!(claims.check(&sign("third", "bing", "2022-09-01")).is_err());
}

#[test]
fn a_place_is_free_after_the_entrustment_was_ended() {
    let mut claims = opened();
    claims.apply(&other("TerminateAgreement", "first", "2020-05-20", json!({"grounds": "poor_work"})), 1);
    assert!(claims.check(&sign("next", "yi", "2020-05-20")).is_err());
    assert!(claims.check(&sign("next", "yi", "2020-05-21")).is_ok());
}

#[test]
fn an_amendment_or_a_correction_that_lengthens_a_term_needs_the_place_as_well() {
    let mut claims = opened();
    claims.apply(&sign("next", "yi", "2022-09-01"), 1);
    assert!(
        claims
            .check(&other("AmendAgreement", "first", "2021-01-01", json!({"term_end": "2022-09-01"})))
            .is_err()
    );
    assert!(
        claims
            .check(&other("AmendAgreement", "first", "2021-01-01", json!({"term_end": "2022-06-30"})))
            .is_ok()
    );
    let mut longer = signing("first", "jia", "2019-09-01")["payload"].clone();
    longer["term_months"] = json!(48);
    let replacement = json!({"type": "AgreementSigned", "payload": longer});
    let correction = other(
        "CorrectRecord",
        "first",
        "2021-01-01",
        json!({"corrects": {"sequence": 1}, "replacement": replacement}),
    );
    assert!(claims.check(&correction).is_err());
}

#[test]
fn an_amendment_with_an_exception_block_is_accepted_as_a_signing_with_one_is() {
    let mut claims = opened();
    claims.apply(&sign("next", "yi", "2022-09-01"), 1);
    let longer = |payload: Value| other("AmendAgreement", "first", "2021-01-01", payload);
    let refusal = claims.check(&longer(json!({"term_end": "2022-12-31"}))).unwrap_err();
    assert!(refusal.reason.en.contains("exception block is accepted"));
    let excepted = longer(json!({"term_end": "2022-12-31", "exception": {"approved_by": "bureau-wz"}}));
    assert!(claims.check(&excepted).is_ok());
}

#[test]
fn an_amendment_that_takes_no_further_day_needs_no_exception() {
    let mut claims = opened();
    let mut excepted = signing("second", "yi", "2020-09-01");
    excepted["payload"]["exception"] = json!({});
    claims.apply(&act(&excepted.to_string()), 1);
    let amended = |payload: Value| other("AmendAgreement", "first", "2021-01-01", payload);
    assert!(claims.check(&amended(json!({"fee_fen": 1}))).is_ok());
    assert!(claims.check(&amended(json!({"term_end": "2022-06-30"}))).is_ok());
    assert!(claims.check(&amended(json!({"term_end": "2022-12-31"}))).is_err());
}

#[test]
fn correcting_the_signing_keeps_the_amended_end_as_the_facts_do() {
    let mut claims = opened();
    claims.apply(&other("AmendAgreement", "first", "2021-01-01", json!({"term_end": "2023-08-31"})), 2);
    let mut payload = signing("first", "jia", "2019-09-01")["payload"].clone();
    payload["fee_fen"] = json!(100);
    let correct = |sequence: u64, kind: &str, payload: &Value| {
        let replacement = json!({"type": kind, "payload": payload});
        other(
            "CorrectRecord",
            "first",
            "2021-02-01",
            json!({"corrects": {"sequence": sequence}, "replacement": replacement}),
        )
    };
    claims.apply(&correct(1, "AgreementSigned", &payload), 3);
    assert!(claims.check(&sign("x", "yi", "2023-08-31")).is_err());
    assert!(claims.check(&sign("x", "yi", "2023-09-01")).is_ok());
    // Of several amendments the last one counts, whichever is corrected.
    claims.apply(&other("AmendAgreement", "first", "2021-03-01", json!({"term_end": "2024-08-31"})), 4);
    claims.apply(&correct(2, "AgreementAmended", &json!({"term_end": "2025-08-31"})), 5);
    assert!(claims.check(&sign("x", "yi", "2024-09-01")).is_ok());
    claims.apply(&correct(4, "AgreementAmended", &json!({"fee_fen": 1})), 6);
    assert!(claims.check(&sign("x", "yi", "2025-08-31")).is_err());
    assert!(claims.check(&sign("x", "yi", "2025-09-01")).is_ok());
}

#[test]
fn a_copy_neither_changes_the_original_nor_forgets_what_it_shares() {
    let mut original = opened();
    let mut copy = original.clone();
    copy.apply(&sign("copied", "yi", "2022-09-01"), 1);
    assert!(original.check(&sign("x", "bing", "2022-09-01")).is_ok());
    assert!(copy.check(&sign("x", "bing", "2022-09-01")).is_err());
    assert!(copy.check(&sign("x", "bing", "2020-09-01")).is_err());
    drop(copy);
    original.apply(&sign("own", "ding", "2022-09-01"), 1);
    assert!(original.check(&sign("x", "bing", "2023-09-01")).is_err());
}

#[test]
fn only_some_events_concern_claims() {
    assert!(Claims::concerns("AgreementSigned") && Claims::concerns("RulebookAdopted"));
    assert!(!Claims::concerns("ActivityRecorded") && !Claims::concerns("NoSuchThing"));
}
