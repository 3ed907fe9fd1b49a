//! Irregularities of a cycle: what its entries broke, what was done late or too early, and what is overdue on a day.
//!
//! Invariant: [`lasting`] does not depend on a day; [`on`] adds what the day makes of it.
//! Absent: what people made of them (an audit finding is an entry of its own).

#[cfg(test)]
mod tests;

use chrono::NaiveDate;
use weituo_events::{EventType, Text};
use weituo_proof::Language;

use crate::cycle::{Cycle, Irregularity, Record};
use crate::dates::{self, Calendar};
use crate::obligations::{self, Obligation, ObligationStatus};
use crate::rulebook::{Rulebook, Severity};

/// Code of the irregularity that a run of entries was recorded late just before an evaluation.
pub const LATE_BEFORE_EVALUATION: &str = "late-before-evaluation";

/// The acts by which somebody else looks at what was recorded: convening the panel opens the evaluation at the end of the
/// term, the others are evaluations. A self-evaluation is what they look at, and a plan is accredited by itself.
const EVALUATIONS: [EventType; 5] = [
    EventType::AnnualAssessmentRecorded,
    EventType::AnnualSupervisionRecorded,
    EventType::MidTermReviewRecorded,
    EventType::PanelConvened,
    EventType::EndOfTermEvaluationRecorded,
];

const DAY_MILLIS: i64 = 86_400_000;

/// Returns what stays irregular whatever the day: breaches, acts done late or too early, entries recorded late, runs of them.
pub fn lasting(cycle: &Cycle, rulebook: Option<&Rulebook>) -> Vec<Irregularity> {
    let mut found = cycle.irregularities.clone();
    if let Some(rulebook) = rulebook {
        let due = obligations::obligations(cycle, rulebook, &rulebook.working_calendar());
        found.extend(due.iter().filter_map(|due| mistimed(cycle, due)));
        found.extend(recorded_late(cycle, rulebook));
        found.extend(late_runs(cycle, rulebook));
    }
    found
}

/// Returns what is irregular on a day: what lasts, as far as it happened by then, and what is overdue.
pub fn on(
    cycle: &Cycle,
    rulebook: Option<&Rulebook>,
    calendar: &Calendar,
    day: NaiveDate,
) -> Vec<Irregularity> {
    let cycle = cycle.as_of(day);
    let mut found = lasting(&cycle, rulebook);
    if let Some(rulebook) = rulebook {
        let due = obligations::obligations(&cycle, rulebook, calendar);
        let overdue = due.iter().filter(|due| due.status(day) == ObligationStatus::Overdue);
        found.extend(overdue.map(missed));
    }
    found
}

/// What was done after its window, or an evaluation before it: nobody can look at what has not happened yet. Other acts, such
/// as a plan or goals, may well be done before they are due, and so is what settles an entrustment that was ended.
fn mistimed(cycle: &Cycle, due: &Obligation) -> Option<Irregularity> {
    let done = due.done.as_ref()?;
    let record = cycle.record(done.sequence)?;
    let Obligation { title, due_from, due_until, .. } = due;
    // An imprecise date counts in favour of whoever acted.
    let text = if dates::earliest(&done.effective) > *due_until {
        Text::new(
            format!("{}:逾期办结,应在 {due_until} 前,实为 {}", title.zh, done.effective),
            format!("{}: late, due by {due_until}, done {}", title.en, done.effective),
        )
    } else if is_early_look(cycle, due, dates::latest(&done.effective)) {
        Text::new(
            format!("{}:早于应办期间,应自 {due_from} 起,实为 {}", title.zh, done.effective),
            format!("{}: too early, due from {due_from}, done {}", title.en, done.effective),
        )
    } else {
        return None;
    };
    Some(Irregularity {
        about: None,
        as_found: record.as_found,
        effective: done.effective.clone(),
        local: due.local,
        remedied_by: None,
        rule: due.code.clone(),
        sequence: Some(done.sequence),
        severity: Severity::Flag,
        source: due.source.as_deref().map(str::to_owned),
        text,
    })
}

fn is_early_look(cycle: &Cycle, due: &Obligation, last: NaiveDate) -> bool {
    let ended = cycle.facts.termination.as_ref().map(|ended| dates::earliest(&ended.at.effective));
    // A panel is convened in preparation.
    let looks = EVALUATIONS.contains(&due.act) && due.act != EventType::PanelConvened;
    looks && last < due.due_from && ended.is_none_or(|ended| last < ended)
}

fn missed(due: &Obligation) -> Irregularity {
    Irregularity {
        about: None,
        as_found: false,
        effective: dates::on_day(due.due_until),
        local: due.local,
        remedied_by: None,
        rule: due.code.clone(),
        sequence: None,
        severity: Severity::Flag,
        source: due.source.as_deref().map(str::to_owned),
        text: Text::new(
            format!("{}:逾期未办,应在 {} 前", due.title.zh, due.due_until),
            format!("{}: overdue, due by {}", due.title.en, due.due_until),
        ),
    }
}

fn recorded_late(cycle: &Cycle, rulebook: &Rulebook) -> Option<Irregularity> {
    let (allowed, rule) = rulebook.recording_days()?;
    let delay = cycle.recording_delay();
    let worst = cycle.record(delay.worst_sequence).filter(|_| delay.count > 0)?;
    let (count, days, sequence) = (delay.count, delay.worst_working_days, delay.worst_sequence);
    Some(Irregularity {
        about: None,
        as_found: false,
        effective: worst.effective.clone(),
        local: rule.local,
        remedied_by: None,
        rule: rule.code.clone(),
        sequence: None,
        severity: rule.severity,
        source: rule.source.clone(),
        text: Text::new(
            format!(
                "{}:{count} 条记录存证晚于 {allowed} 个工作日,最久的是第 {sequence} 条,隔 {days} 个工作日",
                rule.title.zh
            ),
            format!(
                "{}: {count} entries were recorded more than {allowed} working days after the act, entry {sequence} after {days}",
                rule.title.en
            ),
        ),
    })
}

/// Entries recorded late in a run just before an evaluation: paperwork made up for those who were about to look at it.
///
/// What counts is when the log took entries in. An entry is told of once, with the first evaluation after it that has a
/// run before it; until then it waits, so that an evaluation in between hides nothing. What was recorded from paper is
/// left out on both sides: its recording says nothing of when people looked.
fn late_runs(cycle: &Cycle, rulebook: &Rulebook) -> Vec<Irregularity> {
    let Some((entries, days, rule)) = rulebook.late_run() else { return Vec::new() };
    let mut found = Vec::new();
    let mut late: Vec<&Record> = Vec::new();
    for record in cycle.records.iter().filter(|record| !record.as_found) {
        if !EVALUATIONS.contains(&record.event_type()) {
            late.extend(record.recorded_after.map(|_| record));
            continue;
        }
        let since = record.recorded_at.unix_millis() - i64::from(days) * DAY_MILLIS;
        late.retain(|late| late.recorded_at.unix_millis() >= since);
        let (Some(first), Some(last)) = (late.first(), late.last()) else { continue };
        let (count, first, last) = (late.len(), first.sequence, last.sequence);
        if count < entries as usize {
            continue;
        }
        let event = record.event_type();
        let (zh, en) = (event.label(Language::Zh), event.label(Language::En));
        found.push(Irregularity {
            about: None,
            as_found: false,
            effective: record.effective.clone(),
            local: rule.local,
            remedied_by: None,
            rule: LATE_BEFORE_EVALUATION.to_owned(),
            sequence: Some(record.sequence),
            severity: Severity::Flag,
            source: rule.source.clone(),
            text: Text::new(
                format!(
                    "评估前集中逾期存证:「{zh}」存证前 {days} 天内有 {count} 条,自第 {first} 条至第 {last} 条"
                ),
                format!(
                    "Late records just before an evaluation: {count} in the {days} days before {en:?} was recorded, from entry {first} to entry {last}"
                ),
            ),
        });
        late.clear();
    }
    found
}
