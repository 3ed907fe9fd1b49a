//! Limits of what is said: ids that a key can hold, days that a calendar has.
//!
//! Absent: what the ids and days mean (`values`, weituo-projections).

use chrono::{Datelike, NaiveDate};
use weituo_events::{Event, Refusal};

/// Longest id within a cycle, in characters: a matter's stands in keys of projections, and an index takes no key of
/// any length.
const MAX_ID_CHARS: usize = 64;

/// Checks the ids and the days that an event names.
pub(super) fn check(event: &Event) -> Result<(), Refusal> {
    ids(event).into_iter().try_for_each(|(field, id)| check_id(field, id))?;
    days(event).into_iter().try_for_each(|(field, day)| check_day(field, day))
}

fn ids(event: &Event) -> Vec<(&'static str, &str)> {
    match event {
        Event::RectificationOrdered(payload)
        | Event::RectificationReported(payload)
        | Event::RectificationAccepted(payload) => vec![("matter", &payload.matter)],
        Event::RecusalDeclared(payload) => vec![("expert", &payload.expert)],
        Event::PanelConvened(payload) => {
            payload.members.iter().map(|member| ("expert", member.expert.as_str())).collect()
        }
        Event::AnnualGoalsSet(payload) => {
            payload.goals.iter().map(|goal| ("goal", goal.id.as_str())).collect()
        }
        _ => Vec::new(),
    }
}

fn check_id(field: &str, id: &str) -> Result<(), Refusal> {
    if !id.trim().is_empty() && id.chars().count() <= MAX_ID_CHARS {
        return Ok(());
    }
    let count = id.chars().count();
    Err(Refusal::invalid(
        "id",
        format!("{field} 的编号应为 1 至 {MAX_ID_CHARS} 个字符,现为 {count} 个"),
        format!("an id ({field}) has 1 to {MAX_ID_CHARS} characters, this one has {count}"),
    ))
}

fn days(event: &Event) -> Vec<(&'static str, NaiveDate)> {
    match event {
        Event::AgreementSigned(payload) => {
            let signed = payload.countersigned.iter().filter_map(|one| one.signed_on);
            signed.map(|day| ("signed_on", day)).chain([("term_start", payload.term_start)]).collect()
        }
        Event::AgreementAmended(payload) => {
            payload.term_end.map(|day| ("term_end", day)).into_iter().collect()
        }
        Event::GroupApproved(payload) => {
            payload.term_start.map(|day| ("term_start", day)).into_iter().collect()
        }
        Event::ActivityRecorded(payload) => payload.ends_on.map(|day| ("ends_on", day)).into_iter().collect(),
        Event::RectificationOrdered(payload) => {
            payload.due_on.map(|day| ("due_on", day)).into_iter().collect()
        }
        Event::ResultPublicised(payload) => vec![("from", payload.from), ("until", payload.until)],
        _ => Vec::new(),
    }
}

/// A day of the years that an effective date can have (format.md, Entry).
fn check_day(field: &str, day: NaiveDate) -> Result<(), Refusal> {
    if (1..=9999).contains(&day.year()) {
        return Ok(());
    }
    Err(Refusal::invalid(
        "day",
        format!("{field} {day} 不可能;应为公元 1 年至 9999 年的日期 YYYY-MM-DD"),
        format!("{field} {day} is impossible; a day of the years 1 to 9999, YYYY-MM-DD, is accepted"),
    ))
}
