//! What each sample yields, as sentences.

use weituo_events::payload::{Grade, ObjectionOutcome};
use weituo_projections::obligations::{ObligationStatus, obligations};
use weituo_projections::project::rows;
use weituo_projections::view::{CycleView, DocketView, HistoryView};
use weituo_projections::{Calendar, CycleState, CycleSummary, DocketCycle, Severity};
use weituo_proof::{Language, StreamName};

use super::harness::*;

const FIRST: &str = "WZ-2022-001";
const SECOND_ROUND: &str = "WZ-2026-001";
const WRONG: &str = "WZ-2022-002";
const ODD: &str = "WZ-2021-003";
const PAPER: &str = "WZ-2018-004";
const TODAY: &str = "2026-11-20";

fn everything() -> Ledger {
    Ledger::with(&[FULL_CYCLE, GOES_WRONG, IRREGULAR, AS_FOUND])
}

fn state(ledger: &Ledger, id: &str, on: &str) -> CycleState {
    ledger.cycle(id).state(day(on))
}

fn status(ledger: &Ledger, id: &str, code: &str, on: &str) -> ObligationStatus {
    let all = obligations(ledger.cycle(id), ledger.rulebook(), &Calendar::default());
    all.iter().find(|due| due.code == code).unwrap_or_else(|| panic!("no duty {code}")).status(day(on))
}

#[test]
fn every_line_of_every_sample_is_accepted() {
    everything();
}

#[test]
fn the_full_cycle_passes_through_every_state_in_its_order() {
    let ledger = Ledger::with(&[FULL_CYCLE]);
    let expected = [
        ("2022-05-10", CycleState::Proposed),
        ("2022-06-10", CycleState::Consented),
        ("2022-06-28", CycleState::Signed),
        ("2022-09-01", CycleState::Running),
        ("2025-08-31", CycleState::Running),
        ("2025-09-01", CycleState::Expired),
        ("2025-11-06", CycleState::Evaluated),
        ("2025-12-19", CycleState::Closed),
    ];
    for (on, state_then) in expected {
        assert_eq!(state(&ledger, FIRST, on), state_then, "{on}");
    }
}

#[test]
fn the_full_cycle_ends_in_evaluation_commendation_and_a_second_round_without_a_procedural_irregularity() {
    let ledger = Ledger::with(&[FULL_CYCLE]);
    let facts = &ledger.cycle(FIRST).facts;
    let evaluation = facts.evaluation.as_ref().unwrap();
    assert_eq!((evaluation.grade, evaluation.score_centi), (Grade::Excellent, 9240));
    assert_eq!(facts.honours[0].document.as_deref(), Some("示县教〔2025〕77号"));
    assert_eq!(facts.money.paid_fen, 240_000_000);
    assert_eq!(facts.money.settled_fen, Some(240_000_000));
    // Recorded from the archive in 2026: one irregularity for the cycle, not one for every entry, and one for each
    // evaluation that a run of them came before.
    let run = "late-before-evaluation";
    assert_eq!(ledger.rules(FIRST, TODAY), [run, run, run, run, "recorded-in-time"]);
    let second = ledger.cycle(SECOND_ROUND);
    assert_eq!(second.facts.round(), 2);
    assert_eq!(second.facts.term.unwrap().end, Some(day("2029-08-31")));
    assert_eq!(state(&ledger, SECOND_ROUND, TODAY), CycleState::Running);
    assert_eq!(status(&ledger, SECOND_ROUND, "guidance-1", TODAY), ObligationStatus::Due);
    assert_eq!(status(&ledger, SECOND_ROUND, "guidance-1", "2027-02-01"), ObligationStatus::Overdue);
}

#[test]
fn a_renewed_cycle_owes_no_handover() {
    let ledger = Ledger::with(&[FULL_CYCLE]);
    assert_eq!(status(&ledger, FIRST, "trustee-handover", TODAY), ObligationStatus::Void);
}

#[test]
fn the_parties_join_once_by_their_designation() {
    let ledger = Ledger::open();
    let mut ledger = ledger;
    let mut joined = Vec::new();
    for line in FULL_CYCLE.lines() {
        let recorded = ledger.record(line).unwrap();
        if !recorded.act.parties.is_empty() {
            let parties: Vec<_> = recorded.act.parties.iter().map(|party| party.id().to_owned()).collect();
            joined.push((recorded.act.stream.id().to_owned(), recorded.sequence, parties));
        }
    }
    let both = vec!["school-jia".to_owned(), "trustee-a".to_owned()];
    assert_eq!(joined, [(FIRST.to_owned(), 2, both.clone()), (SECOND_ROUND.to_owned(), 2, both)]);
}

#[test]
fn the_cycle_that_goes_wrong_is_terminated_in_its_second_year_and_closed() {
    let ledger = Ledger::with(&[GOES_WRONG]);
    assert_eq!(state(&ledger, WRONG, "2024-05-19"), CycleState::Running);
    assert_eq!(state(&ledger, WRONG, "2024-05-20"), CycleState::Terminated);
    assert_eq!(state(&ledger, WRONG, "2024-07-10"), CycleState::Closed);
    let overlay = ledger.cycle(WRONG).standing(day("2024-03-01"));
    assert_eq!(overlay.label(Language::Zh), "履约中(整改中)");
    let before = ledger.cycle(WRONG).standing(day("2023-12-01"));
    assert!(!before.under_rectification, "the first matter was accepted");
    assert_eq!(
        ledger.rules(WRONG, TODAY),
        [
            "closed-with-nothing-open",
            "late-before-evaluation",
            "late-before-evaluation",
            "recorded-in-time",
            "rectification-r2",
            "termination-after-expiry",
        ]
    );
    assert_eq!(status(&ledger, WRONG, "annual-assessment-2", TODAY), ObligationStatus::Void);
    assert_eq!(status(&ledger, WRONG, "school-handover", TODAY), ObligationStatus::Done);
    let money = &ledger.cycle(WRONG).facts.money;
    assert_eq!(
        (money.paid_fen, money.recovered_fen, money.settled_fen),
        (40_000_000, 5_000_000, Some(35_000_000))
    );
}

#[test]
fn the_irregular_cycle_shows_each_of_its_irregularities_once() {
    let ledger = Ledger::with(&[FULL_CYCLE, IRREGULAR]);
    assert_eq!(
        ledger.rules(ODD, TODAY),
        [
            "annual-assessment-1",
            "evaluator-independent",
            // On two supervisions, an assessment and the panel.
            "late-before-evaluation",
            "late-before-evaluation",
            "late-before-evaluation",
            "late-before-evaluation",
            "mid-term-review",
            "one-school-per-trustee",
            "paid-after-acceptance",
            "recorded-in-time",
        ]
    );
    assert_eq!(status(&ledger, ODD, "annual-assessment-1", TODAY), ObligationStatus::Late);
    assert_eq!(status(&ledger, ODD, "mid-term-review", TODAY), ObligationStatus::Overdue);
    let found = ledger.irregularities(ODD, TODAY);
    let capacity = found.iter().find(|found| found.rule == "one-school-per-trustee").unwrap();
    assert!(capacity.text.en.contains("nobody approved") && capacity.text.zh.contains("无人批准"));
    assert_eq!(
        capacity.source.as_deref(),
        Some("温教基〔2018〕120号,委托办学:原则上一所受托学校只托管一所学校")
    );
    let expert = found.iter().find(|found| found.rule == "evaluator-independent").unwrap();
    assert_eq!((expert.about.as_deref(), expert.remedied_by), (Some("expert:e3"), None));
    assert!(found.iter().all(|found| found.severity == Severity::Flag));
}

#[test]
fn a_missed_review_is_no_irregularity_before_its_window_has_passed() {
    let ledger = Ledger::with(&[FULL_CYCLE, IRREGULAR]);
    let missed = |on| ledger.rules(ODD, on).contains(&"mid-term-review".to_owned());
    assert!(!missed("2023-04-30") && missed("2023-05-01"));
}

#[test]
fn a_correction_changes_the_fact_and_keeps_what_was_said_before() {
    let ledger = Ledger::with(&[FULL_CYCLE, IRREGULAR]);
    let cycle = ledger.cycle(ODD);
    let assessment = &cycle.facts.assessments[&1];
    assert_eq!((assessment.score_centi, assessment.grade), (Some(8050), Some(Grade::Good)));
    let record = cycle.record(assessment.at.sequence).unwrap();
    assert_eq!(record.corrections.len(), 1);
    let before = record.corrections[0].event_before.as_ref().unwrap().payload_json();
    assert!(before.contains("\"score_centi\":7800"), "{before}");
    assert_eq!(cycle.facts.objections[0].outcome, Some(ObjectionOutcome::Upheld));
}

#[test]
fn a_recusal_remedies_the_conflict_and_the_smaller_panel_is_flagged() {
    let mut ledger = Ledger::with(&[FULL_CYCLE]);
    for line in IRREGULAR.lines() {
        ledger.record(line).unwrap();
        if line.contains("ConvenePanel") {
            let recusal = r#"{"command":"00000000-0000-4000-8000-000000000001","do":"DeclareRecusal",
                "stream":"agreement/WZ-2021-003","actor":{"organisation":"trustee-a","role":"expert"},
                "effective":"2024-09-22","payload":{"expert":"e3"}}"#;
            ledger.record(recusal).unwrap();
        }
    }
    let found = ledger.irregularities(ODD, TODAY);
    let conflict = found.iter().find(|found| found.rule == "evaluator-independent").unwrap();
    assert!(conflict.remedied_by.is_some());
    assert!(found.iter().any(|found| found.rule == "panel-composition"));
}

#[test]
fn the_cycle_from_paper_says_so_and_turns_procedure_into_flags() {
    let ledger = Ledger::with(&[AS_FOUND]);
    let cycle = ledger.cycle(PAPER);
    assert!(cycle.records.iter().all(|record| record.as_found));
    assert_eq!(
        ledger.rules(PAPER, TODAY),
        [
            "consent-before-signing",
            "guidance-6",
            "panel-composition",
            "school-self-evaluation",
            "trustee-self-evaluation",
        ]
    );
    let consent = &ledger.irregularities(PAPER, TODAY)[0];
    assert_eq!((consent.severity, consent.as_found), (Severity::Refuse, true));
    assert_eq!(cycle.facts.term.unwrap().end, Some(day("2022-01-31")));
    assert_eq!(state(&ledger, PAPER, TODAY), CycleState::Closed);
}

#[test]
fn views_say_what_the_facts_say() {
    let ledger = everything();
    let cycle = ledger.cycle(FIRST);
    let view = CycleView::of(cycle, Some(ledger.rulebook()), &Calendar::default(), 480, today());
    assert_eq!(view.timeline.len(), 47);
    assert_eq!(view.state.label.en, "closed");
    let missed: Vec<_> = view.goals.iter().filter(|goal| goal.reached != Some(true)).collect();
    assert!(missed.is_empty(), "{missed:?}");
    let wrong =
        CycleView::of(ledger.cycle(WRONG), Some(ledger.rulebook()), &Calendar::default(), 480, today());
    assert_eq!(wrong.goals[0].reached, Some(false));
    assert_eq!(wrong.goals[2].reached, Some(false), "fewer complaints were better");
    assert_eq!(wrong.goals[3].reached, None, "year 2 was never assessed");
    let early = CycleView::of(cycle, Some(ledger.rulebook()), &Calendar::default(), 480, day("2022-06-12"));
    assert_eq!((early.timeline.len(), early.state.state), (3, CycleState::Consented));
    assert!(serde_json::to_string(&view).is_ok());
}

#[test]
fn a_trustees_history_spans_schools_and_rounds() {
    let ledger = everything();
    let mut summaries: Vec<CycleSummary> = Vec::new();
    let mut docket: Vec<DocketCycle> = Vec::new();
    for (stream, state) in &ledger.states {
        for row in rows(stream, state, &ledger.rulebooks) {
            if row.projection == "trustee" && row.key.starts_with("trustee-a/") {
                summaries.push(serde_json::from_str(&row.body).unwrap());
            }
            if row.projection == "docket" && row.key.starts_with("bureau-county/") {
                docket.push(serde_json::from_str(&row.body).unwrap());
            }
        }
    }
    let history = HistoryView::of("trustee-a", summaries, today());
    let cycles: Vec<_> = history.cycles.iter().map(|item| item.summary.agreement.as_str()).collect();
    assert_eq!(cycles, [ODD, FIRST, SECOND_ROUND]);
    assert_eq!(history.grades[&Grade::Excellent], 1);
    let view = DocketView::of(docket, today());
    assert_eq!(view.counts[&ObligationStatus::Late], 1);
    assert_eq!(view.counts[&ObligationStatus::Due], 2);
    assert!(
        view.lines
            .windows(2)
            .all(|pair| { pair[0].item.obligation.due_until <= pair[1].item.obligation.due_until })
    );
}

#[test]
fn a_state_reads_back_from_its_row() {
    let ledger = everything();
    for (stream, state) in &ledger.states {
        let home =
            rows(stream, state, &ledger.rulebooks).into_iter().find(|row| row.key == stream.id()).unwrap();
        let read = weituo_projections::StreamState::from_row(home.projection, &home.body).unwrap();
        assert_eq!(&read, state, "{stream}");
    }
    assert!(ledger.states.contains_key(&StreamName::new("rulebook/wenzhou-entrustment-2018").unwrap()));
}
