use weituo_events::Act;

use super::*;
use crate::testing::{RULEBOOK, record, rulebooks, sample_acts};

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

/// The first sample's cycle after so many entries, under a rulebook text.
fn cycle(entries: usize, change: impl Fn(&mut Act)) -> Cycle {
    let rulebooks = rulebooks();
    let mut acts: Vec<Act> =
        sample_acts().into_iter().filter(|act| act.stream.id() == "WZ-2022-001").take(entries).collect();
    acts.iter_mut().for_each(change);
    let mut cycle = Cycle::default();
    for recorded in record(acts) {
        cycle.apply(&recorded, &rulebooks);
    }
    cycle
}

fn due(cycle: &Cycle, text: &str) -> Vec<(String, String, String)> {
    let rulebook = Rulebook::parse(text).unwrap();
    let all = obligations(cycle, &rulebook, &Calendar::default());
    all.into_iter().map(|due| (due.code, due.due_from.to_string(), due.due_until.to_string())).collect()
}

fn find(cycle: &Cycle, text: &str, code: &str) -> (String, String) {
    let all = due(cycle, text);
    let (_, from, until) =
        all.iter().find(|(found, _, _)| found == code).unwrap_or_else(|| panic!("no {code}")).clone();
    (from, until)
}

#[test]
fn nothing_is_due_before_the_signing() {
    assert!(due(&cycle(4, |_| {}), RULEBOOK).is_empty());
}

#[test]
fn windows_lie_where_the_local_settings_put_them() {
    let cycle = cycle(5, |_| {});
    let window = |code: &str| find(&cycle, RULEBOOK, code);
    let is = |from: &str, until: &str| (from.to_owned(), until.to_owned());
    assert_eq!(window("plan"), is("2022-06-03", "2022-10-01"));
    assert_eq!(window("annual-goals-2"), is("2023-07-01", "2023-09-30"));
    assert_eq!(window("annual-assessment-1"), is("2023-06-01", "2023-08-31"));
    assert_eq!(window("mid-term-review"), is("2023-12-01", "2024-04-30"));
    assert_eq!(window("guidance-1"), is("2022-09-01", "2023-01-31"));
    assert_eq!(window("guidance-6"), is("2025-02-01", "2025-08-31"));
    assert_eq!(window("evaluation"), is("2025-09-01", "2025-11-29"));
}

#[test]
fn a_term_that_begins_within_a_semester_has_the_rest_of_it() {
    let cycle = cycle(5, |act| {
        if let Event::AgreementSigned(payload) = &mut act.event {
            payload.term_start = day("2022-11-15");
            payload.term_months = Some(12);
        }
    });
    let all = due(&cycle, RULEBOOK);
    let guidance: Vec<_> = all.iter().filter(|(code, _, _)| code.starts_with("guidance")).collect();
    let windows: Vec<_> = guidance.iter().map(|(_, from, until)| (from.as_str(), until.as_str())).collect();
    assert_eq!(
        windows,
        [("2022-11-15", "2023-01-31"), ("2023-02-01", "2023-08-31"), ("2023-09-01", "2023-11-14")]
    );
}

#[test]
fn months_and_strict_windows_serve_other_arrangements() {
    let monthly = r#"
[[duty]]
code = "meeting"
title = { zh = "例会", en = "Meeting" }
act = "ActivityRecorded"
activity = "meeting"
by = ["trustee"]
each = "month"
from = { anchor = "period_start" }
until = { anchor = "period_end" }
strict = true
local = true
"#;
    let cycle = cycle(5, |_| {});
    let all = due(&cycle, &format!("{RULEBOOK}{monthly}"));
    assert_eq!(all.iter().filter(|(code, _, _)| code.starts_with("meeting-")).count(), 36);
    assert_eq!(find(&cycle, &format!("{RULEBOOK}{monthly}"), "meeting-36").1, "2025-08-31");
}

#[test]
fn a_term_without_end_lays_out_some_years_and_owes_no_evaluation() {
    let endless = RULEBOOK.replacen("months = 36", "open_years = 2", 1);
    let mut cycle = cycle(5, |_| {});
    cycle.facts.term = Some(Term { end: None, start: day("2022-09-01") });
    let all = due(&cycle, &endless);
    assert_eq!(all.iter().filter(|(code, _, _)| code.starts_with("annual-goals-")).count(), 2);
    assert!(!all.iter().any(|(code, _, _)| code == "evaluation"));
}

#[test]
fn the_status_depends_on_the_day_and_an_imprecise_date_counts_in_favour() {
    let done = |effective: &str| Done {
        effective: effective.parse().unwrap(),
        recorded_at: RecordedAt::new("2026-01-01T00:00:00.000Z").unwrap(),
        sequence: 1,
    };
    let rulebook = Rulebook::parse(RULEBOOK).unwrap();
    let mut due = obligations(&cycle(5, |_| {}), &rulebook, &Calendar::default()).swap_remove(0);
    (due.due_from, due.due_until) = (day("2022-07-01"), day("2022-09-30"));
    let at = |due: &Obligation, on: &str| due.status(day(on));
    assert_eq!(at(&due, "2022-06-30"), ObligationStatus::Upcoming);
    assert_eq!(at(&due, "2022-09-30"), ObligationStatus::Due);
    assert_eq!(at(&due, "2022-10-01"), ObligationStatus::Overdue);
    due.done = Some(done("2022-10-05"));
    assert_eq!(at(&due, "2022-10-04"), ObligationStatus::Overdue);
    assert_eq!(at(&due, "2022-10-05"), ObligationStatus::Late);
    due.done = Some(done("2022-09"));
    assert_eq!(at(&due, "2022-12-01"), ObligationStatus::Done);
    due.done = Some(done("SY2022"));
    assert_eq!(at(&due, "2022-12-01"), ObligationStatus::Done);
    due.done = None;
    due.void_from = Some(day("2022-12-01"));
    assert_eq!(at(&due, "2022-11-30"), ObligationStatus::Overdue);
    assert_eq!(at(&due, "2022-12-01"), ObligationStatus::Void);
}

/// The docket's rows of a cycle.
fn docket(cycle: &Cycle, rulebooks: &crate::Rulebooks) -> Vec<crate::DocketCycle> {
    let stream = weituo_proof::StreamName::of("agreement", &cycle.id).unwrap();
    let state = crate::StreamState::Agreement(Box::new(cycle.clone()));
    let rows = crate::project::rows(&stream, &state, rulebooks).into_iter();
    rows.filter(|row| row.projection == "docket")
        .map(|row| serde_json::from_str(&row.body).unwrap())
        .collect()
}

#[test]
fn the_docket_of_any_day_says_what_the_cycles_of_that_day_say() {
    let rulebooks = rulebooks();
    let amendment = |on: &str, end: &str| {
        let command = serde_json::json!({
            "command": "00000000-0000-4000-8000-000000000005",
            "do": "AmendAgreement",
            "stream": "agreement/WZ-2022-002",
            "actor": { "organisation": "bureau-county", "role": "bureau" },
            "effective": on,
            "payload": { "term_end": end }
        });
        crate::testing::act(&command.to_string())
    };
    let mut acts = sample_acts();
    // Recorded after the termination, dated before it: windows move twice and one is void meanwhile.
    acts.push(amendment("2023-10-10", "2026-02-28"));
    acts.push(amendment("2023-04-10", "2025-12-31"));
    let mut cycles = std::collections::BTreeMap::<String, Cycle>::new();
    for recorded in record(acts).iter().filter(|recorded| recorded.act.stream.category() == "agreement") {
        cycles.entry(recorded.act.stream.id().to_owned()).or_default().apply(recorded, &rulebooks);
    }
    assert_eq!(cycles.len(), 5);
    for (id, cycle) in &cycles {
        let rulebook = cycle.rulebook(&rulebooks).unwrap();
        let rows = docket(cycle, &rulebooks);
        let mut on = day("2018-06-01");
        while on < day("2027-06-01") {
            let view = crate::CycleView::of(cycle, Some(rulebook), &rulebook.working_calendar(), 480, on);
            let mut expected: Vec<_> = view
                .obligations
                .into_iter()
                .filter(|due| due.status != ObligationStatus::Void)
                .map(|due| (due.obligation, due.status))
                .collect();
            expected.sort_by(|(a, _), (b, _)| {
                (&a.bureau, a.due_until, &a.code).cmp(&(&b.bureau, b.due_until, &b.code))
            });
            let lines = crate::DocketView::of(rows.clone(), on).lines.into_iter();
            let lines: Vec<_> = lines.map(|line| (line.item.obligation, line.status)).collect();
            assert_eq!(lines, expected, "{id} on {on}");
            on = dates::add_days(on, 5);
        }
    }
}
