//! Irregularities of a cycle: what its entries broke, what was done late, and what is overdue on a day.
//!
//! Invariant: [`lasting`] does not depend on a day; [`on`] adds what the day makes of it.
//! Absent: what people made of them (an audit finding is an entry of its own).

use chrono::NaiveDate;
use weituo_events::Text;

use crate::cycle::{Cycle, Irregularity};
use crate::dates::{self, Calendar};
use crate::obligations::{self, Obligation, ObligationStatus};
use crate::rulebook::{Rulebook, Severity};

/// Returns what stays irregular whatever the day: breaches, acts done late, entries recorded late.
pub fn lasting(cycle: &Cycle, rulebook: Option<&Rulebook>) -> Vec<Irregularity> {
    let mut found = cycle.irregularities.clone();
    if let Some(rulebook) = rulebook {
        let due = obligations::obligations(cycle, rulebook, &rulebook.working_calendar());
        found.extend(due.iter().filter_map(|due| late(cycle, due)));
        found.extend(recorded_late(cycle, rulebook));
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

fn late(cycle: &Cycle, due: &Obligation) -> Option<Irregularity> {
    let done = due.done.as_ref()?;
    let record = cycle.record(done.sequence)?;
    let first = dates::earliest(&done.effective);
    (first > due.due_until).then(|| Irregularity {
        about: None,
        as_found: record.as_found,
        effective: done.effective.clone(),
        local: due.local,
        remedied_by: None,
        rule: due.code.clone(),
        sequence: Some(done.sequence),
        severity: Severity::Flag,
        source: due.source.clone(),
        text: Text::new(
            format!("{}:逾期办结,应在 {} 前,实为 {}", due.title.zh, due.due_until, done.effective),
            format!("{}: late, due by {}, done {}", due.title.en, due.due_until, done.effective),
        ),
    })
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
        source: due.source.clone(),
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
                "{}:{count} 条记录存证晚于 {allowed} 个工作日,最久的是第 {sequence} 条,晚 {days} 个工作日",
                rule.title.zh
            ),
            format!(
                "{}: {count} entries were recorded more than {allowed} working days after the act, entry {sequence} after {days}",
                rule.title.en
            ),
        ),
    })
}
