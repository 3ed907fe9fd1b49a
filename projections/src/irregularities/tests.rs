use weituo_events::Act;
use weituo_proof::{Effective, RecordedAt};

use super::*;
use crate::testing::{RULEBOOK, record, rulebooks, sample_acts};

/// What an entry is.
#[derive(Clone, Copy)]
enum What {
    Late,
    InTime,
    FromPaper,
    Evaluation(EventType),
    EvaluationFromPaper,
}
use What::{Evaluation, EvaluationFromPaper, FromPaper, InTime, Late};

const SUPERVISION: What = Evaluation(EventType::AnnualSupervisionRecorded);
const MID_TERM: What = Evaluation(EventType::MidTermReviewRecorded);
const PANEL: What = Evaluation(EventType::PanelConvened);
const AT_THE_END: What = Evaluation(EventType::EndOfTermEvaluationRecorded);

fn instant(day: i64) -> RecordedAt {
    RecordedAt::from_unix_millis(1_795_000_000_000 + day * DAY_MILLIS).unwrap()
}

/// A sample's act of this type, which took place on the day of its recording.
fn sample(event_type: EventType, day: i64) -> Act {
    let found = sample_acts().into_iter().find(|act| act.event.event_type() == event_type).unwrap();
    let effective = Effective::new(&instant(day).to_string()[..10]).unwrap();
    Act { as_found: false, effective, ..found }
}

fn act(what: What, day: i64) -> Act {
    let activity = |day| sample(EventType::ActivityRecorded, day);
    match what {
        Late => activity(day - 400),
        InTime => activity(day),
        FromPaper => Act { as_found: true, ..activity(day - 400) },
        Evaluation(event_type) => sample(event_type, day),
        EvaluationFromPaper => Act { as_found: true, ..sample(EventType::MidTermReviewRecorded, day) },
    }
}

/// The runs told under a rulebook's text, of a cycle with these entries after its first, each recorded on its day.
fn runs_under(text: &str, entries: &[(What, i64)]) -> Vec<Irregularity> {
    let (rulebooks, mut cycle) = (rulebooks(), Cycle::default());
    let acts = entries.iter().map(|(what, day)| act(*what, *day));
    let acts = record(std::iter::once(sample(EventType::SchemeIssued, 0)).chain(acts));
    for (mut recorded, day) in
        acts.into_iter().zip(std::iter::once(0).chain(entries.iter().map(|(_, day)| *day)))
    {
        recorded.recorded_at = instant(day);
        cycle.apply(&recorded, &rulebooks);
    }
    let found = lasting(&cycle, Some(&Rulebook::parse(text).unwrap()));
    found.into_iter().filter(|found| found.rule == LATE_BEFORE_EVALUATION).collect()
}

/// The entries that a run is told on.
fn told(entries: &[(What, i64)]) -> Vec<u64> {
    runs_under(RULEBOOK, entries).iter().filter_map(|found| found.sequence).collect()
}

#[test]
fn three_entries_recorded_late_within_thirty_days_before_an_evaluation_are_told_on_it() {
    let found =
        runs_under(RULEBOOK, &[(Late, 100), (Late, 101), (InTime, 102), (Late, 129), (MID_TERM, 130)]);
    let [run] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((run.sequence, run.severity, run.local), (Some(6), Severity::Flag, true));
    assert_eq!(run.effective.as_str(), &instant(130).to_string()[..10]);
    let zh = "评估前集中逾期存证:「托管中期评估」存证前 30 天内有 3 条,自第 2 条至第 5 条";
    let en = "Late records just before an evaluation: 3 in the 30 days before \"mid-term review\" was recorded, from \
              entry 2 to entry 5";
    assert_eq!(run.text, Text::new(zh, en));
}

#[test]
fn as_many_spread_out_over_more_days_are_no_run() {
    assert!(told(&[(Late, 99), (Late, 115), (Late, 130), (MID_TERM, 130)]).is_empty());
}

#[test]
fn two_are_no_run_and_what_was_recorded_in_time_is_not_counted() {
    assert!(told(&[(Late, 100), (InTime, 100), (Late, 100), (InTime, 100), (MID_TERM, 100)]).is_empty());
}

#[test]
fn entries_recorded_late_after_an_evaluation_are_not_held_against_it() {
    assert!(told(&[(Late, 100), (MID_TERM, 100), (Late, 100), (Late, 100), (Late, 101)]).is_empty());
}

#[test]
fn what_was_recorded_from_paper_is_neither_late_nor_an_evaluation_to_prepare_for() {
    assert!(told(&[(FromPaper, 100), (FromPaper, 100), (FromPaper, 100), (MID_TERM, 100)]).is_empty());
    assert!(told(&[(Late, 100), (Late, 100), (Late, 100), (EvaluationFromPaper, 100)]).is_empty());
}

#[test]
fn each_evaluation_has_the_run_before_it_and_no_entry_is_told_of_twice() {
    let run = [(Late, 100), (Late, 100), (Late, 100)];
    let then = |more: &[(What, i64)]| told(&[&run[..], more].concat());
    assert_eq!(then(&[(SUPERVISION, 100), (Late, 101), (Late, 101), (Late, 101), (MID_TERM, 102)]), [5, 9]);
    assert_eq!(then(&[(PANEL, 100), (AT_THE_END, 110)]), [5]);
}

#[test]
fn an_evaluation_between_them_does_not_hide_a_run() {
    assert_eq!(told(&[(Late, 100), (Late, 100), (SUPERVISION, 100), (Late, 101), (PANEL, 102)]), [6]);
}

#[test]
fn a_rulebook_may_say_what_a_run_is() {
    let says =
        |run: &str| RULEBOOK.replace("{ working_days = 20 }", &format!("{{ working_days = 20, {run} }}"));
    let two = [(Late, 99), (Late, 130), (MID_TERM, 130)];
    assert_eq!(runs_under(&says("run_entries = 2, run_days = 31"), &two).len(), 1);
    assert!(runs_under(&says("run_entries = 3, run_days = 31"), &two).is_empty());
    let none = Rulebook::parse(&says("run_entries = 0")).unwrap_err().to_string();
    assert_eq!(none, "recorded-in-time: run_entries is at least 1");
}

#[test]
fn on_an_earlier_day_neither_the_evaluation_nor_its_run_is_known() {
    let mut cycle = Cycle::default();
    for recorded in record(sample_acts().into_iter().filter(|act| act.stream.id() == "WZ-2022-001")) {
        cycle.apply(&recorded, &rulebooks());
    }
    let told = |day: &str| {
        let found =
            on(&cycle, Some(&Rulebook::parse(RULEBOOK).unwrap()), &Calendar::default(), day.parse().unwrap());
        let runs = found.into_iter().filter(|found| found.rule == LATE_BEFORE_EVALUATION);
        runs.filter_map(|found| found.sequence).collect::<Vec<_>>()
    };
    assert!(told("2023-06-19").is_empty());
    assert_eq!(told("2023-06-20"), [15]);
    assert_eq!(told("2026-11-20"), [15, 23, 35, 41]);
}

/// What lasts of the sample cycle with its mid-term review moved to another day, under the review's duty.
fn reviewed_on(day: &str) -> Vec<Irregularity> {
    let mut cycle = Cycle::default();
    let acts = sample_acts().into_iter().filter(|act| act.stream.id() == "WZ-2022-001");
    let moved = acts.map(|act| match act.event.event_type() {
        EventType::MidTermReviewRecorded => Act { effective: Effective::new(day).unwrap(), ..act },
        _ => act,
    });
    for recorded in record(moved) {
        cycle.apply(&recorded, &rulebooks());
    }
    let found = lasting(&cycle, Some(&Rulebook::parse(RULEBOOK).unwrap()));
    found.into_iter().filter(|found| found.rule == "mid-term-review").collect()
}

#[test]
fn an_evaluation_before_its_window_is_told_and_one_that_may_lie_in_it_is_not() {
    let found = reviewed_on("2022-12-05");
    let [early] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((early.severity, early.local, early.effective.as_str()), (Severity::Flag, true, "2022-12-05"));
    let zh = "托管中期评估:早于应办期间,应自 2023-12-01 起,实为 2022-12-05";
    let en = "Mid-term review: too early, due from 2023-12-01, done 2022-12-05";
    assert_eq!(early.text, Text::new(zh, en));
    assert_eq!(reviewed_on("2023-11-30").len(), 1);
    assert!(reviewed_on("2023-12").is_empty(), "what may lie in the window counts as within it");
    assert!(reviewed_on("2023-12-01").is_empty());
}

/// Whether the evaluation of a cycle that was ended before its time is told as too early; without the ending, too.
fn settled_on(day: &str, is_ended: bool) -> bool {
    let sample = |id: &'static str| sample_acts().into_iter().filter(move |act| act.stream.id() == id);
    let stream = sample("WZ-2022-002").next().unwrap().stream;
    let evaluation = sample("WZ-2022-001")
        .find(|act| act.event.event_type() == EventType::EndOfTermEvaluationRecorded)
        .map(|act| Act { effective: Effective::new(day).unwrap(), stream, ..act });
    let acts = sample("WZ-2022-002")
        .filter(|act| is_ended || act.event.event_type() != EventType::AgreementTerminated)
        .chain(evaluation);
    let mut cycle = Cycle::default();
    for recorded in record(acts) {
        cycle.apply(&recorded, &rulebooks());
    }
    assert_eq!(cycle.facts.termination.is_some(), is_ended);
    let found = lasting(&cycle, Some(&Rulebook::parse(RULEBOOK).unwrap()));
    found.iter().any(|found| found.rule == "evaluation" && found.text.en.contains("too early"))
}

#[test]
fn an_evaluation_that_settles_an_entrustment_ended_before_its_time_is_not_too_early() {
    assert!(!settled_on("2024-06-10", true), "after the ending of 20 May");
    assert!(settled_on("2024-05-10", true), "before it");
    assert!(settled_on("2024-06-10", false), "without it");
}
