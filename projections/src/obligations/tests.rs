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
    due.void = true;
    assert_eq!(at(&due, "2022-12-01"), ObligationStatus::Void);
}
