//! Each kind of check on a cycle made for it: broken, and kept.

use serde_json::{Value, json};
use weituo_events::Act;

use super::*;
use crate::dates::earliest;
use crate::testing::{act, record, rulebooks, sample_acts};

fn command(make: &str, by: (&str, &str), effective: &str, payload: &Value) -> Act {
    let command = json!({
        "command": "00000000-0000-4000-8000-000000000004",
        "do": make,
        "stream": "agreement/WZ-2022-001",
        "actor": { "organisation": by.0, "role": by.1 },
        "effective": effective,
        "payload": payload
    });
    act(&command.to_string())
}

const BUREAU: (&str, &str) = ("bureau-county", "bureau");

/// The first sample's cycle after so many entries, and then these.
fn cycle(entries: usize, further: Vec<Act>) -> Cycle {
    let rulebooks = rulebooks();
    let first = sample_acts().into_iter().filter(|act| act.stream.id() == "WZ-2022-001").take(entries);
    let mut cycle = Cycle::default();
    for recorded in record(first.chain(further)) {
        cycle.apply(&recorded, &rulebooks);
    }
    cycle
}

/// The rules that an act breaks in that cycle.
fn broken(cycle: &Cycle, act: &Act) -> Vec<String> {
    let rulebooks = rulebooks();
    let rulebook = cycle.rulebook_for(&act.event, &rulebooks).unwrap();
    let found = breaches(cycle, act, "2026-11-20".parse().unwrap(), rulebook);
    found.into_iter().map(|breach| breach.rule).collect()
}

/// Entries of the first sample up to and with the signing, and up to and with the last before the evaluation.
const SIGNED: usize = 5;
const CONVENED: usize = 41;

#[test]
fn grades_go_by_scores_and_may_be_worse_never_better() {
    let cycle = cycle(SIGNED, Vec::new());
    let supervision = |score: i64, grade: &str| {
        command(
            "RecordAnnualSupervision",
            BUREAU,
            "2023-06-20",
            &json!({"year": 1, "score_centi": score, "grade": grade}),
        )
    };
    assert_eq!(broken(&cycle, &supervision(7999, "good")), ["grade-follows-score"]);
    assert!(broken(&cycle, &supervision(8000, "good")).is_empty());
    assert!(broken(&cycle, &supervision(9500, "pass")).is_empty());
}

#[test]
fn a_veto_item_caps_the_grade() {
    let cycle = cycle(CONVENED, Vec::new());
    let opinion = json!({"media_type": "application/pdf", "sha256": "11".repeat(32), "size_bytes": 1});
    let evaluation = |grade: &str| {
        let payload = json!({"score_centi": 9500, "grade": grade, "vetoes": ["safety"], "opinion": opinion});
        command("RecordEndOfTermEvaluation", BUREAU, "2025-11-06", &payload)
    };
    assert_eq!(broken(&cycle, &evaluation("good")), ["veto-caps-grade"]);
    assert!(broken(&cycle, &evaluation("pass")).is_empty());
}

#[test]
fn a_term_of_another_length_is_flagged_also_by_amendment() {
    let before = cycle(SIGNED - 1, Vec::new());
    let mut signing =
        sample_acts().into_iter().find(|act| act.event.event_type() == EventType::AgreementSigned).unwrap();
    assert!(broken(&before, &signing).is_empty());
    if let weituo_events::Event::AgreementSigned(payload) = &mut signing.event {
        payload.term_months = Some(24);
    }
    assert_eq!(broken(&before, &signing), ["three-years"]);
    let signed = cycle(SIGNED, Vec::new());
    let amended = |end: &str| command("AmendAgreement", BUREAU, "2023-01-10", &json!({"term_end": end}));
    assert_eq!(broken(&signed, &amended("2025-12-31")), ["three-years"]);
    assert!(broken(&signed, &amended("2025-08-31")).is_empty());
    let excepted = json!({"term_end": "2025-08-31", "exception": {}});
    let excepted = command("AmendAgreement", BUREAU, "2023-01-10", &excepted);
    assert_eq!(broken(&signed, &excepted), ["one-school-per-trustee"]);
}

#[test]
fn who_signs_was_designated() {
    let before = cycle(SIGNED - 1, Vec::new());
    let mut signing =
        sample_acts().into_iter().find(|act| act.event.event_type() == EventType::AgreementSigned).unwrap();
    if let weituo_events::Event::AgreementSigned(payload) = &mut signing.event {
        payload.countersigned.clear();
        payload.trustee = weituo_events::OrganisationId::new("trustee-b").unwrap();
    }
    assert_eq!(broken(&before, &signing), ["signed-by-both", "as-designated"]);
}

#[test]
fn a_consent_dated_after_the_signing_is_no_earlier_consent() {
    let mut acts: Vec<Act> =
        sample_acts().into_iter().filter(|act| act.stream.id() == "WZ-2022-001").take(5).collect();
    acts[2].effective = "2022-07-01".parse().unwrap();
    let signing = acts.pop().unwrap();
    let rulebooks = rulebooks();
    let mut cycle = Cycle::default();
    for recorded in record(acts) {
        cycle.apply(&recorded, &rulebooks);
    }
    assert!(earliest(&cycle.records[2].effective) > earliest(&signing.effective));
    assert_eq!(broken(&cycle, &signing), ["consent-before-signing"]);
}

#[test]
fn acts_outside_the_term_are_flagged() {
    let cycle = cycle(SIGNED, Vec::new());
    let visit = |on: &str| command("RecordActivity", BUREAU, on, &json!({"kind": "guidance"}));
    assert_eq!(broken(&cycle, &visit("2022-08-31")), ["activity-within-term"]);
    // A month that begins before the term can have held the act within it.
    assert!(broken(&cycle, &visit("2022-09")).is_empty());
    assert_eq!(broken(&cycle, &visit("2025-09-01")), ["activity-within-term"]);
}

#[test]
fn a_second_mid_term_review_is_flagged() {
    let review = || command("RecordMidTermReview", BUREAU, "2024-01-10", &json!({"grade": "good"}));
    assert!(broken(&cycle(SIGNED, Vec::new()), &review()).is_empty());
    assert_eq!(broken(&cycle(SIGNED, vec![review()]), &review()), ["mid-term-once"]);
}

#[test]
fn a_transfer_rests_on_a_consent_that_it_names() {
    let goods = json!({"from": "trustee-a", "to": "school-jia", "resources": [{"kind": "books", "quantity": 1, "unit": "volume"}]});
    let transfer =
        |payload: &Value| command("TransferResource", ("trustee-a", "trustee"), "2023-03-10", payload);
    let signed = cycle(SIGNED, Vec::new());
    assert_eq!(broken(&signed, &transfer(&goods)), ["transfer-consented", "transfer-names-consent"]);
    let consent = command("ConsentResourceTransfer", ("bureau-wz", "superior"), "2023-03-01", &goods);
    let consented = cycle(SIGNED, vec![consent]);
    assert_eq!(broken(&consented, &transfer(&goods)), ["transfer-names-consent"]);
    let mut named = goods;
    named["consent"] = json!({"sequence": SIGNED + 1});
    assert!(broken(&consented, &transfer(&named)).is_empty());
}

#[test]
fn payments_stay_within_budget_and_acceptance_and_acceptance_within_the_price() {
    let cycle = cycle(SIGNED, Vec::new());
    let pay = |fen: i64| {
        command("DisburseFunds", BUREAU, "2022-10-01", &json!({"amount_fen": fen, "to": "trustee-a"}))
    };
    assert_eq!(broken(&cycle, &pay(80_000_000)), ["paid-after-acceptance"]);
    assert_eq!(broken(&cycle, &pay(80_000_001)), ["paid-within-budget", "paid-after-acceptance"]);
    let accept = |fen: i64| command("AcceptService", BUREAU, "2022-10-01", &json!({"amount_fen": fen}));
    assert!(broken(&cycle, &accept(240_000_000)).is_empty());
    assert_eq!(broken(&cycle, &accept(240_000_001)), ["accepted-within-fee"]);
}

#[test]
fn an_objection_is_decided_by_another_reviewer() {
    let assessed = json!({"year": 1, "score_centi": 7000, "paper": {"by": "科室甲"}});
    let objection = json!({"entry": {"sequence": SIGNED + 1}});
    let cycle = cycle(
        SIGNED,
        vec![
            command("RecordAnnualAssessment", BUREAU, "2023-07-01", &assessed),
            command("FileObjection", ("school-jia", "school"), "2023-07-02", &objection),
        ],
    );
    let resolve = |organisation: &str, by: Option<&str>| {
        let mut payload = json!({"objection": {"sequence": SIGNED + 2}, "outcome": "dismissed"});
        if let Some(by) = by {
            payload["paper"] = json!({"by": by});
        }
        command("ResolveObjection", (organisation, "bureau"), "2023-07-10", &payload)
    };
    assert_eq!(broken(&cycle, &resolve("bureau-county", None)), ["another-reviewer"]);
    assert_eq!(broken(&cycle, &resolve("bureau-county", Some("科室甲"))), ["another-reviewer"]);
    assert!(broken(&cycle, &resolve("bureau-county", Some("科室乙"))).is_empty());
    assert!(broken(&cycle, &resolve("bureau-wz", None)).is_empty());
}

#[test]
fn poor_work_is_shown_before_it_ends_an_entrustment() {
    let end =
        |grounds: &str| command("TerminateAgreement", BUREAU, "2025-10-01", &json!({"grounds": grounds}));
    let signed = cycle(SIGNED, Vec::new());
    assert_eq!(broken(&signed, &end("poor_work")), ["poor-work-shown"]);
    assert!(broken(&signed, &end("mutual_consent")).is_empty());
    let ordered = command("OrderRectification", BUREAU, "2023-10-01", &json!({"matter": "r1"}));
    assert!(broken(&cycle(SIGNED, vec![ordered]), &end("poor_work")).is_empty());
}

#[test]
fn a_result_stays_public_five_working_days() {
    let cycle = cycle(CONVENED + 1, Vec::new());
    let publish = |until: &str| {
        command("PubliciseResult", BUREAU, "2025-11-10", &json!({"from": "2025-11-10", "until": until}))
    };
    assert_eq!(broken(&cycle, &publish("2025-11-13")), ["public-five-days"]);
    assert!(broken(&cycle, &publish("2025-11-14")).is_empty());
}

#[test]
fn a_commendation_without_a_regular_number_is_flagged() {
    let cycle = cycle(CONVENED + 1, Vec::new());
    let honour = |paper: Value| {
        command("AwardCommendation", BUREAU, "2025-12-05", &json!({"recipient": "trustee-a", "paper": paper}))
    };
    assert_eq!(broken(&cycle, &honour(json!({}))), ["commendation-numbered"]);
    assert_eq!(broken(&cycle, &honour(json!({"document": "示县教[2025]77号"}))), ["commendation-numbered"]);
    assert!(broken(&cycle, &honour(json!({"document": "示县教〔2025〕77号"}))).is_empty());
}

#[test]
fn an_unsigned_act_breaks_a_required_signature_by_what_its_rulebook_rests_on() {
    let cycle = cycle(SIGNED, Vec::new());
    let rulebooks = rulebooks();
    let supervision = json!({"year": 1, "score_centi": 8000, "grade": "good"});
    let mut act = command("RecordAnnualSupervision", BUREAU, "2023-06-20", &supervision);
    let mut rulebook = Rulebook::clone(cycle.rulebook_for(&act.event, &rulebooks).unwrap());
    rulebook.signatures_required = vec![EventType::AnnualSupervisionRecorded, EventType::AgreementSigned];
    let found = |act: &Act, rulebook: &Rulebook| {
        let breaches = breaches(&cycle, act, "2026-11-20".parse().unwrap(), rulebook);
        breaches.into_iter().map(|breach| (breach.rule, breach.severity)).collect::<Vec<_>>()
    };
    let missing = |severity| [(SIGNATURE_MISSING.to_owned(), severity)];
    assert_eq!(found(&act, &rulebook), missing(Severity::Impossible));
    rulebook.source_kind = SourceKind::News;
    assert_eq!(found(&act, &rulebook), missing(Severity::Flag));
    act.signature = Some("checked elsewhere".to_owned());
    assert!(found(&act, &rulebook).is_empty());
    // A correction needs the signature that its record needs.
    let signing = cycle.records.iter().find(|record| record.event.event_type() == EventType::AgreementSigned);
    let correction = json!({"corrects": {"sequence": signing.unwrap().sequence}, "effective": "2022-06-29"});
    let correction = command("CorrectRecord", BUREAU, "2022-07-01", &correction);
    assert!(found(&correction, &rulebook).contains(&missing(Severity::Flag)[0]));
}
