//! What is refused, and what would be accepted instead.

use serde_json::{Value, json};
use weituo_events::{Refusal, RefusalKind};

use super::harness::*;

/// A cycle like the first sample, up to and with its line `lines`.
fn part(lines: usize) -> Ledger {
    let mut ledger = Ledger::open();
    for line in FULL_CYCLE.lines().take(lines) {
        ledger.record(line).unwrap();
    }
    ledger
}

/// The number of lines of the first sample up to and with the first that holds `what`.
fn through(what: &str) -> usize {
    1 + FULL_CYCLE.lines().position(|line| line.contains(what)).unwrap()
}

fn line(what: &str) -> Value {
    let line = FULL_CYCLE.lines().find(|line| line.contains(what)).unwrap();
    serde_json::from_str(line).unwrap()
}

#[expect(clippy::needless_pass_by_value, reason = "callers write the payload in place")]
fn command(make: &str, by: (&str, &str), effective: &str, payload: Value) -> Value {
    json!({
        "command": "00000000-0000-4000-8000-00000000000a",
        "do": make,
        "stream": "agreement/WZ-2022-001",
        "actor": { "organisation": by.0, "role": by.1 },
        "effective": effective,
        "payload": payload
    })
}

const BUREAU: (&str, &str) = ("bureau-county", "bureau");

#[track_caller]
fn refused(ledger: &mut Ledger, command: &Value) -> Refusal {
    let refusal = ledger.record(&command.to_string()).expect_err("this should be refused");
    assert!(!refusal.reason.zh.is_empty() && refusal.reason.zh != refusal.reason.en);
    refusal
}

/// One row: after so many lines of the first sample, this command is refused under this code, with these words.
#[track_caller]
fn row(lines: usize, command: &Value, code: &str, words: &str) {
    let refusal = refused(&mut part(lines), command);
    assert_eq!(refusal.code, code, "{refusal}");
    assert!(refusal.reason.en.contains(words), "{:?} lacks {words:?}", refusal.reason.en);
}

fn with(mut command: Value, path: &str, value: Value) -> Value {
    *command.pointer_mut(path).unwrap_or_else(|| panic!("no {path}")) = value;
    command
}

#[test]
fn unknown_fields_commands_and_streams_are_refused() {
    row(0, &json!({"command": 1}), "command-unreadable", "one JSON object");
    row(0, &with(line("IssueScheme"), "/do", json!("Conjure")), "command-unknown", "weituo schema");
    row(0, &with(line("IssueScheme"), "/stream", json!("organisation/x")), "stream-kind", "agreement/");
    let mut extra = line("IssueScheme");
    extra["payload"]["colour"] = json!("red");
    row(0, &extra, "payload-unreadable", "colour");
}

#[test]
fn a_cycle_opens_with_an_act_that_names_an_adopted_rulebook() {
    row(0, &line("GrantConsent"), "not-opened", "names the rulebook");
    let scheme = line("IssueScheme");
    row(0, &with(scheme.clone(), "/payload/rulebook/version", json!(2)), "rulebook-unknown", "in force: 1");
    row(0, &with(scheme.clone(), "/payload/rulebook/id", json!("other")), "rulebook-unknown", "adopt it");
    let mut digest = scheme;
    digest["payload"]["rulebook"]["digest"] = json!("00".repeat(32));
    row(0, &digest, "rulebook-digest", "has digest");
}

#[test]
fn impossible_dates_are_refused() {
    let future = with(line("IssueScheme"), "/effective", json!("2026-11-21"));
    row(0, &future, "effective-after-recorded", "2026-11-20");
    row(0, &with(line("IssueScheme"), "/effective", json!("2026-02-30")), "command-unreadable", "YYYY-MM-DD");
    let signed = through("SignAgreement");
    let amended = command("AmendAgreement", BUREAU, "2023-01-10", json!({"term_end": "2022-08-31"}));
    row(signed, &amended, "end-before-start", "2022-09-01");
    let activity = json!({"kind": "guidance", "ends_on": "2022-11-01"});
    row(signed, &command("RecordActivity", BUREAU, "2022-11-10", activity), "end-before-start", "2022-11-10");
    let result = json!({"from": "2025-11-10", "until": "2025-11-09"});
    let evaluated = through("RecordEndOfTermEvaluation");
    row(
        evaluated,
        &command("PubliciseResult", BUREAU, "2025-11-10", result),
        "end-before-start",
        "2025-11-10",
    );
}

#[test]
fn wrong_roles_are_refused_with_those_that_are_accepted() {
    let scheme = line("IssueScheme");
    row(0, &with(scheme.clone(), "/actor/role", json!("trustee")), "role-not-allowed", "bureau");
    row(0, &with(scheme.clone(), "/actor/role", json!("wizard")), "command-unreadable", "wizard");
    row(
        0,
        &with(scheme, "/actor/organisation", json!("trustee-a")),
        "role-not-held",
        "not registered as a kind",
    );
    let consent = line("GrantConsent");
    row(
        2,
        &with(consent.clone(), "/actor/organisation", json!("board-yi")),
        "role-not-held",
        "not registered as a kind",
    );
    let board = with(with(consent, "/actor/organisation", json!("board-yi")), "/actor/role", json!("board"));
    row(2, &board, "role-not-held", "the board registered as the school's superior");
    let plan = line("SubmitPlan");
    row(5, &with(plan, "/actor/organisation", json!("trustee-b")), "role-not-held", "trustee-a");
    let transfer = line("ConsentResourceTransfer");
    row(11, &with(transfer, "/actor/role", json!("board")), "role-not-allowed", "superior");
}

fn by_next(command: Value) -> Value {
    with(command, "/actor/organisation", json!("bureau-next"))
}

/// A cycle of the county's school whose scheme the next county's bureau issued.
fn opened_by_another() -> Ledger {
    let mut ledger = part(0);
    let foreign = json!({"kind": "bureau", "name": "邻县教育局", "superior": "bureau-wz"});
    let mut register = command("RegisterOrganisation", ("bureau-wz", "bureau"), "2018-09-01", foreign);
    register["stream"] = json!("organisation/bureau-next");
    ledger.record(&register.to_string()).unwrap();
    ledger.record(&by_next(line("IssueScheme")).to_string()).unwrap();
    ledger
}

#[test]
fn a_bureau_that_opened_anothers_cycle_has_no_part_in_it_once_the_school_is_known() {
    let mut ledger = opened_by_another();
    for line in FULL_CYCLE.lines().skip(1).take(4) {
        ledger.record(line).unwrap();
    }
    assert_eq!(ledger.cycle("WZ-2022-001").facts.bureau.as_deref(), Some("bureau-county"));
    let goals = by_next(line("SetAnnualGoals"));
    let refusal = refused(&mut ledger, &goals);
    assert_eq!(refusal.code, "role-not-held");
    assert!(!refusal.reason.en.contains("accepted from: bureau-next"), "{refusal}");
    let stream = weituo_proof::StreamName::new("agreement/WZ-2022-001").unwrap();
    let rows = weituo_projections::rows(&stream, &ledger.states[&stream], &ledger.rulebooks);
    let docket: Vec<_> = rows.iter().filter(|row| row.projection == "docket").collect();
    assert!(!docket.is_empty() && docket.iter().all(|row| row.key.starts_with("bureau-county/")));
}

#[test]
fn a_bureau_binds_only_schools_below_it_whoever_opened_the_cycle() {
    let mut ledger = opened_by_another();
    let refusal = refused(&mut ledger, &by_next(line("DesignateParties")));
    assert_eq!(refusal.code, "role-not-held");
    assert!(refusal.reason.en.contains("bureau-county, bureau-wz"), "{refusal}");
}

#[test]
fn an_evaluation_on_older_entries_is_accepted_and_flagged() {
    let before = through("RecordEndOfTermEvaluation") - 1;
    let mut ledger = part(before);
    let older = ledger.cycle("WZ-2022-001").records[before - 2].leaf_hash.to_string();
    let evaluation = with(line("RecordEndOfTermEvaluation"), "/seen", json!(older));
    ledger.record(&evaluation.to_string()).unwrap();
    assert!(ledger.rules("WZ-2022-001", "2026-11-20").contains(&"read-not-newest".to_owned()));
}

#[test]
fn consent_before_the_parties_are_known_is_refused() {
    row(1, &line("GrantConsent"), "school-unknown", "designation of the parties first");
}

#[test]
fn unknown_organisations_are_refused() {
    let parties = line("DesignateParties");
    row(1, &with(parties.clone(), "/payload/school", json!("school-x")), "organisation-unknown", "school-x");
    row(
        1,
        &with(parties.clone(), "/actor/organisation", json!("bureau-x")),
        "organisation-unknown",
        "register it first",
    );
    row(1, &with(parties, "/payload/trustee", json!("school-jia")), "one-party", "two organisations");
}

#[test]
fn a_signing_needs_designation_consent_and_both_signatures() {
    let signing = line("SignAgreement");
    row(1, &signing, "designation-before-signing", "parties designated");
    row(2, &signing, "consent-before-signing", "as_found");
    let mut alone = signing.clone();
    alone["payload"]["countersigned"].as_array_mut().unwrap().pop();
    row(4, &alone, "signed-by-both", "trustee");
    row(4, &with(signing.clone(), "/payload/form", json!("lease")), "code-unknown", "team, direct");
    row(4, &with(signing, "/payload/fee_fen", json!(-1)), "amount", "0 to");
}

#[test]
fn consent_that_was_refused_afterwards_is_no_consent() {
    let mut ledger = part(4);
    let refusal = command("RefuseConsent", ("bureau-wz", "superior"), "2022-06-20", json!({}));
    ledger.record(&refusal.to_string()).unwrap();
    assert_eq!(refused(&mut ledger, &line("SignAgreement")).code, "consent-before-signing");
}

#[test]
fn scores_off_the_scale_and_sums_that_do_not_add_up_are_refused() {
    let before = through("RecordAnnualAssessment") - 1;
    let assessment = line("RecordAnnualAssessment");
    row(before, &with(assessment.clone(), "/payload/score_centi", json!(10_001)), "score", "0 to 10000");
    row(before, &with(assessment.clone(), "/payload/score_centi", json!(-1)), "score", "0 to 10000");
    row(before, &with(assessment.clone(), "/payload/score_centi", json!(82.5)), "payload-unreadable", "i64");
    row(before, &with(assessment.clone(), "/payload/year", json!(4)), "year", "1 to 3");
    row(before, &with(assessment, "/payload/results/0/goal", json!("g9")), "goal-unknown", "g1, g2, g3");
    let before = through("RecordEndOfTermEvaluation") - 1;
    let evaluation = line("RecordEndOfTermEvaluation");
    row(before, &with(evaluation.clone(), "/payload/score_centi", json!(9241)), "indicator-sum", "9240");
    row(
        before,
        &with(evaluation.clone(), "/payload/indicators/1/score_centi", json!(2801)),
        "indicator-sum",
        "5541",
    );
    row(
        before,
        &with(evaluation.clone(), "/payload/indicators/3/score_centi", json!(4001)),
        "indicator",
        "4000",
    );
    let mut veto = evaluation;
    veto["payload"]["vetoes"] = json!(["weather"]);
    row(before, &veto, "code-unknown", "safety");
}

#[test]
fn an_evaluation_says_what_was_read() {
    let before = through("RecordEndOfTermEvaluation") - 1;
    let mut evaluation = line("RecordEndOfTermEvaluation");
    row(before, &with(evaluation.clone(), "/seen", json!("11".repeat(32))), "seen-unknown", "the newest is");
    evaluation.as_object_mut().unwrap().remove("seen");
    row(before, &evaluation, "seen-missing", "seen");
}

#[test]
fn a_second_assessment_of_a_year_is_refused_also_from_paper() {
    let after = through("RecordAnnualAssessment");
    let again = with(line("RecordAnnualAssessment"), "/payload/score_centi", json!(9000));
    row(after, &again, "said-already", "correct it (CorrectRecord)");
    let mut paper = again.clone();
    paper["as_found"] = json!(true);
    row(after, &paper, "said-already", "entry 16");
    assert_eq!(refused(&mut part(after), &again).kind, RefusalKind::Contradicts);
    // The other yearly duty is another act: it is not in the way.
    assert_eq!(refused(&mut part(after), &line("RecordAnnualSupervision")).code, "said-already");
}

#[test]
fn what_each_party_says_once_is_told_by_its_own_entry() {
    let mut ledger = Ledger::open();
    let mut handovers = Vec::new();
    for text in GOES_WRONG.lines().filter(|line| !line.contains("CloseCycle")) {
        let Ok(recorded) = ledger.record(text) else { continue };
        if text.contains("CompleteHandover") {
            handovers.push((text, recorded.sequence));
        }
    }
    assert_eq!(handovers.len(), 2);
    for (text, sequence) in handovers {
        let refusal = ledger.record(text).unwrap_err();
        assert_eq!(refusal.code, "said-already");
        assert!(refusal.reason.en.contains(&format!("entry {sequence} ")), "{refusal}");
    }
}

#[test]
fn evaluation_commendation_and_closing_come_in_their_order() {
    let running = through("RecordMidTermReview");
    let opinion = line("RecordEndOfTermEvaluation")["payload"]["opinion"].clone();
    let early = json!({"score_centi": 9000, "grade": "excellent", "opinion": opinion});
    let mut early = command("RecordEndOfTermEvaluation", BUREAU, "2024-02-01", early);
    early["seen"] = json!("newest");
    row(running, &early, "evaluation-after-expiry", "2025-08-31");
    let honour = json!({"recipient": "trustee-a"});
    row(
        running,
        &command("AwardCommendation", BUREAU, "2024-02-01", honour),
        "commendation-after-expiry",
        "2025-08-31",
    );
    row(running, &command("CloseCycle", BUREAU, "2024-02-01", json!({})), "closed-after-end", "as_found");
    let mut from_paper = early;
    from_paper["as_found"] = json!(true);
    part(running).record(&from_paper.to_string()).expect("from paper it is recorded and flagged");
}

#[test]
fn after_closing_only_corrections_objections_findings_and_recovery_are_recorded() {
    let closed = through("CloseCycle");
    row(
        closed,
        &command("RecordActivity", BUREAU, "2025-12-20", json!({"kind": "guidance"})),
        "cycle-closed",
        "audit finding",
    );
    let mut ledger = part(closed);
    let school = ("school-jia", "school");
    let accepted = [
        command("FileObjection", school, "2026-01-05", json!({"entry": {"sequence": 16}})),
        command(
            "ResolveObjection",
            BUREAU,
            "2026-01-15",
            json!({"objection": {"sequence": 48}, "outcome": "dismissed"}),
        ),
        command("RecordAuditFinding", BUREAU, "2026-02-01", json!({"code": "books", "severity": "minor"})),
        command("RecoverFunds", BUREAU, "2026-02-02", json!({"amount_fen": 100, "from": "trustee-a"})),
        command(
            "CorrectRecord",
            BUREAU,
            "2026-02-03",
            json!({"corrects": {"sequence": 42}, "effective": "2025-11-07"}),
        ),
    ];
    for command in accepted {
        ledger.record(&command.to_string()).unwrap_or_else(|refusal| panic!("{refusal}"));
    }
}

#[test]
fn a_correction_is_by_whoever_recorded_it_and_changes_no_identity() {
    let after = through("RecordAnnualAssessment");
    let payload = line("RecordAnnualAssessment")["payload"].clone();
    let correct = |by, kind: &str, payload: Value| {
        let body = json!({"corrects": {"sequence": 16}, "replacement": {"type": kind, "payload": payload}});
        command("CorrectRecord", by, "2023-08-01", body)
    };
    let kind = "AnnualAssessmentRecorded";
    row(after, &correct(("school-jia", "school"), kind, payload.clone()), "correction-by", "bureau-county");
    row(after, &correct(BUREAU, "CycleClosed", json!({})), "correction-type", kind);
    let off = with(payload.clone(), "/score_centi", json!(20_000));
    row(after, &correct(BUREAU, kind, off), "score", "0 to 10000");
    let empty = command("CorrectRecord", BUREAU, "2023-08-01", json!({"corrects": {"sequence": 16}}));
    row(after, &empty, "correction-empty", "replacement");
    let unknown = command(
        "CorrectRecord",
        BUREAU,
        "2023-08-01",
        json!({"corrects": {"sequence": 99}, "effective": "2023-07-01"}),
    );
    row(after, &unknown, "entry-unknown", "1 to 16");
    let mut signing = line("SignAgreement")["payload"].clone();
    signing["trustee"] = json!("trustee-b");
    signing["countersigned"] = json!([]);
    let body =
        json!({"corrects": {"sequence": 5}, "replacement": {"type": "AgreementSigned", "payload": signing}});
    row(after, &command("CorrectRecord", BUREAU, "2023-08-01", body), "correction-identity", "sign anew");
}

#[test]
fn matters_experts_and_objections_must_be_open() {
    let signed = through("SignAgreement");
    let report =
        command("ReportRectification", ("trustee-a", "trustee"), "2022-12-01", json!({"matter": "r1"}));
    row(signed, &report, "matter-not-open", "open are");
    let convened = through("ConvenePanel");
    let recusal = json!({"expert": "e9"});
    row(
        convened,
        &command("DeclareRecusal", ("university-u", "expert"), "2025-10-01", recusal),
        "expert-not-seated",
        "e1, e2",
    );
    let other = json!({"expert": "e1"});
    row(
        convened,
        &command("DeclareRecusal", ("research-x", "expert"), "2025-10-01", other),
        "role-not-held",
        "university-u",
    );
    let resolution = json!({"objection": {"sequence": 3}, "outcome": "upheld"});
    row(
        signed,
        &command("ResolveObjection", BUREAU, "2022-12-01", resolution),
        "objection-not-open",
        "entry 3",
    );
}

#[test]
fn money_goes_to_parties_in_possible_amounts_for_known_purposes() {
    let signed = through("SignAgreement");
    let pay = |amount: Value, to: &str, purpose: &str| {
        command(
            "DisburseFunds",
            BUREAU,
            "2022-10-01",
            json!({"amount_fen": amount, "to": to, "purpose": purpose}),
        )
    };
    row(signed, &pay(json!(0), "trustee-a", "service"), "amount", "1 to 9007199254740991");
    row(signed, &pay(json!(1_i64 << 53), "trustee-a", "service"), "amount", "9007199254740991");
    row(signed, &pay(json!(1), "trustee-b", "service"), "not-a-party", "its trustee");
    row(signed, &pay(json!(1), "trustee-a", "banquets"), "code-unknown", "venues");
}

#[test]
fn an_act_of_another_arrangement_is_refused() {
    let signed = through("SignAgreement");
    let group = json!({"kind": "charter", "with": "bureau-wz"});
    let lodge = command("LodgeDocument", ("trustee-a", "lead"), "2022-10-01", group);
    row(signed, &lodge, "act-not-in-use", "lists the acts in use");
}

#[test]
fn a_renewal_names_its_round_its_parties_and_a_decision() {
    let all = FULL_CYCLE.lines().count();
    let before = FULL_CYCLE.lines().position(|line| line.contains("\"renews\"")).unwrap();
    let signing: Value = serde_json::from_str(FULL_CYCLE.lines().nth(before).unwrap()).unwrap();
    row(before, &with(signing.clone(), "/payload/renews/round", json!(3)), "round", "round 2");
    let unknown = with(signing.clone(), "/payload/renews/stream", json!("agreement/none"));
    row(before, &unknown, "renewed-unknown", "round before it");
    row(
        before,
        &with(signing.clone(), "/payload/term_start", json!("2025-08-31")),
        "renewal-overlaps",
        "2025-08-31",
    );
    let mut undecided = Ledger::open();
    for line in FULL_CYCLE.lines().take(before).filter(|line| !line.contains("DecideRenewal")) {
        // Closing without a handover is flagged only.
        undecided.record(line).unwrap();
    }
    assert_eq!(refused(&mut undecided, &signing).code, "renewal-undecided");
    assert!(before < all);
}

#[test]
fn a_second_school_needs_an_exception_also_from_paper() {
    let mut ledger = Ledger::with(&[FULL_CYCLE]);
    let at = IRREGULAR.lines().position(|line| line.contains("SignAgreement")).unwrap();
    for line in IRREGULAR.lines().take(at) {
        ledger.record(line).unwrap();
    }
    let mut signing: Value = serde_json::from_str(IRREGULAR.lines().nth(at).unwrap()).unwrap();
    signing["payload"].as_object_mut().unwrap().remove("exception");
    let refusal = refused(&mut ledger, &signing);
    assert_eq!(refusal.code, "one-school-per-trustee");
    assert!(
        refusal.reason.en.contains("agreement/WZ-2022-001") && refusal.reason.en.contains("exception block")
    );
    signing["as_found"] = json!(true);
    assert_eq!(refused(&mut ledger, &signing).code, "one-school-per-trustee");
    signing["payload"]["term_start"] = json!("2019-09-01");
    signing["effective"] = json!("2021-06-30");
    ledger.record(&signing.to_string()).expect("a term that ended before the other began is no second place");
}
