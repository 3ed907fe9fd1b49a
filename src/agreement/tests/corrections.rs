//! Corrections are judged by the rulebook: what they make a record say breaks rules, or keeps them again.

use serde_json::{Value, json};
use weituo_projections::Irregularity;

use super::harness::*;

const ODD: &str = "WZ-2021-003";
const TODAY: &str = "2026-11-20";

fn correction(sequence: u64, kind: &str, payload: &Value) -> Value {
    json!({
        "command": "00000000-0000-4000-8000-0000000000c0",
        "do": "CorrectRecord",
        "stream": format!("agreement/{ODD}"),
        "actor": { "organisation": "bureau-county", "role": "bureau" },
        "effective": "2025-03-01",
        "payload": { "corrects": { "sequence": sequence }, "replacement": { "type": kind, "payload": payload } }
    })
}

/// The payload of the record of the irregular sample whose line holds `what`, and its sequence.
fn record(what: &str) -> (u64, Value) {
    let at = IRREGULAR.lines().position(|line| line.contains(what)).unwrap();
    let line: Value = serde_json::from_str(IRREGULAR.lines().nth(at).unwrap()).unwrap();
    (u64::try_from(at).unwrap() + 1, line["payload"].clone())
}

fn found<'a>(all: &'a [Irregularity], rule: &str, sequence: u64) -> Option<&'a Irregularity> {
    all.iter().find(|found| found.rule == rule && found.sequence == Some(sequence))
}

#[test]
fn a_grade_corrected_above_its_score_is_flagged_and_remedied_when_corrected_back() {
    let mut ledger = Ledger::with(&[FULL_CYCLE, IRREGULAR]);
    let (assessed, mut payload) = record("RecordAnnualAssessment");
    payload["score_centi"] = json!(6500);
    payload["grade"] = json!("excellent");
    let flattered = ledger
        .record(&correction(assessed, "AnnualAssessmentRecorded", &payload).to_string())
        .unwrap()
        .sequence;
    let all = ledger.irregularities(ODD, TODAY);
    let flagged = found(&all, "grade-follows-score", flattered).expect("the correction is flagged");
    assert!(flagged.text.en.starts_with(&format!("entry {assessed} as corrected")), "{}", flagged.text.en);
    assert_eq!(flagged.remedied_by, None);
    payload["grade"] = json!("pass");
    let mended = ledger
        .record(&correction(assessed, "AnnualAssessmentRecorded", &payload).to_string())
        .unwrap()
        .sequence;
    let all = ledger.irregularities(ODD, TODAY);
    assert_eq!(found(&all, "grade-follows-score", flattered).unwrap().remedied_by, Some(mended));
    assert!(found(&all, "grade-follows-score", mended).is_none());
}

#[test]
fn a_payment_corrected_to_more_is_flagged_anew_and_its_old_flag_refers_to_the_correction() {
    let mut ledger = Ledger::with(&[FULL_CYCLE, IRREGULAR]);
    let before = ledger.irregularities(ODD, TODAY);
    let early = before.iter().find(|found| found.rule == "paid-after-acceptance").unwrap();
    let paid = early.sequence.unwrap();
    let line: Value =
        serde_json::from_str(IRREGULAR.lines().nth(usize::try_from(paid).unwrap() - 1).unwrap()).unwrap();
    let mut payload = line["payload"].clone();
    payload["amount_fen"] = json!(900_000_000);
    let raised = ledger.record(&correction(paid, "FundsDisbursed", &payload).to_string()).unwrap().sequence;
    let all = ledger.irregularities(ODD, TODAY);
    assert_eq!(found(&all, "paid-after-acceptance", paid).unwrap().remedied_by, Some(raised));
    assert!(found(&all, "paid-after-acceptance", raised).unwrap().text.en.contains('9'));
    assert!(found(&all, "paid-within-budget", raised).is_some());
}

#[test]
fn a_panel_corrected_to_employees_of_a_party_is_flagged_expert_by_expert() {
    let mut ledger = Ledger::with(&[FULL_CYCLE, IRREGULAR]);
    let (convened, mut payload) = record("ConvenePanel");
    for member in payload["members"].as_array_mut().unwrap() {
        member["employer"] = json!("trustee-a");
    }
    let packed =
        ledger.record(&correction(convened, "PanelConvened", &payload).to_string()).unwrap().sequence;
    let all = ledger.irregularities(ODD, TODAY);
    let count = |sequence| {
        all.iter().filter(|f| f.rule == "evaluator-independent" && f.sequence == Some(sequence)).count()
    };
    // The one who was flagged at first stays flagged there.
    assert_eq!((count(convened), count(packed)), (1, payload["members"].as_array().unwrap().len() - 1));
    for member in payload["members"].as_array_mut().unwrap() {
        member["employer"] = json!("university-u");
    }
    let mended =
        ledger.record(&correction(convened, "PanelConvened", &payload).to_string()).unwrap().sequence;
    let all = ledger.irregularities(ODD, TODAY);
    let conflicts: Vec<_> = all.iter().filter(|found| found.rule == "evaluator-independent").collect();
    assert!(conflicts.len() > 1 && conflicts.iter().all(|found| found.remedied_by == Some(mended)));
}

#[test]
fn a_correction_that_the_policy_forbids_is_refused_unless_from_paper() {
    let mut ledger = Ledger::with(&[FULL_CYCLE, IRREGULAR]);
    let (signed, mut payload) = record("SignAgreement");
    payload["countersigned"].as_array_mut().unwrap().pop();
    let mut alone = correction(signed, "AgreementSigned", &payload);
    assert_eq!(ledger.record(&alone.to_string()).unwrap_err().code, "signed-by-both");
    alone["as_found"] = json!(true);
    let recorded = ledger.record(&alone.to_string()).unwrap().sequence;
    let all = ledger.irregularities(ODD, TODAY);
    assert!(found(&all, "signed-by-both", recorded).unwrap().as_found);
    // Its date moved before the consent is another breach of the same kind.
    let mut early = correction(signed, "AgreementSigned", &payload);
    early["payload"].as_object_mut().unwrap().remove("replacement");
    early["payload"]["effective"] = json!("2020-01-01");
    assert!(
        ["designation-before-signing", "consent-before-signing"]
            .contains(&&*ledger.record(&early.to_string()).unwrap_err().code)
    );
}

#[test]
fn a_correction_that_touches_no_rule_neither_adds_nor_remedies_anything() {
    let mut ledger = Ledger::with(&[FULL_CYCLE, IRREGULAR]);
    let before = ledger.cycle(ODD).irregularities.clone();
    let recorded: Vec<(u64, String)> = ledger
        .cycle(ODD)
        .records
        .iter()
        .filter(|record| record.role == "bureau" && record.event_type().name() != "RecordCorrected")
        .map(|record| (record.sequence, record.effective.to_string()))
        .collect();
    for (sequence, effective) in recorded {
        let mut same = correction(sequence, "-", &json!({}));
        same["payload"] = json!({"corrects": {"sequence": sequence}, "effective": effective});
        ledger.record(&same.to_string()).unwrap_or_else(|refusal| panic!("{sequence}: {refusal}"));
    }
    assert_eq!(ledger.cycle(ODD).irregularities, before);
}
