//! What is due in a cycle, in which window, and what fulfilled it.
//!
//! Invariants: the list does not depend on the day it is looked at; only [`Obligation::status`] does. Duties lie in the
//! order of their due dates. What fulfils a duty is the earliest act that can, so that a later one never changes how an
//! earlier day looked; [`over_time`] says on which days each obligation stands as it does.
//! Absent: a clock; holidays other than those handed in.

mod days;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use weituo_events::{Event, EventType, Role, Text};
use weituo_proof::{Effective, Language, RecordedAt};

use crate::cycle::{Cycle, Record, Term, year_of};
use crate::dates::{self, Calendar};
use crate::rulebook::{Anchor, Duty, Each, Point, Rulebook};

pub use days::{Spell, over_time};

/// What fulfilled an obligation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// When it took place.
    pub effective: Effective,
    /// When the log took it in.
    pub recorded_at: RecordedAt,
    /// Sequence of the record.
    pub sequence: u64,
}

/// One thing due in one cycle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Obligation {
    /// The act that fulfils it.
    pub act: EventType,
    /// The bureau that watches over it.
    pub bureau: SmolStr,
    /// Who may fulfil it.
    pub by: Arc<[Role]>,
    /// Code of the duty, with its number where it recurs, such as `annual-assessment-2`.
    pub code: String,
    /// What fulfilled it.
    pub done: Option<Done>,
    /// First day of its window.
    pub due_from: NaiveDate,
    /// Last day of its window.
    pub due_until: NaiveDate,
    /// Which level the text names for it.
    pub level: Option<Arc<str>>,
    /// True when the duty or its window is a local setting.
    pub local: bool,
    /// Number of the year, semester or month, from 1.
    pub number: Option<u32>,
    /// The passage that it rests on.
    pub source: Option<Arc<str>>,
    /// The duty in words.
    pub title: Arc<Text>,
    /// Day from which it has fallen away: the entrustment was ended, or another round was decided.
    pub void_from: Option<NaiveDate>,
}

/// How an obligation stands on a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObligationStatus {
    /// Its window has not begun.
    Upcoming,
    /// Within its window, not done.
    Due,
    /// 逾期未办: its window has passed, not done.
    Overdue,
    /// Done, and not after its window.
    Done,
    /// 逾期办结: done after its window.
    Late,
    /// Fallen away.
    Void,
}

impl ObligationStatus {
    /// Returns the status's name on a page.
    pub fn label(self, language: Language) -> &'static str {
        let (zh, en) = match self {
            Self::Upcoming => ("未到期", "upcoming"),
            Self::Due => ("待办", "due"),
            Self::Overdue => ("逾期未办", "overdue"),
            Self::Done => ("已办", "done"),
            Self::Late => ("逾期办结", "late"),
            Self::Void => ("不再需要", "void"),
        };
        match language {
            Language::Zh => zh,
            Language::En => en,
        }
    }
}

impl Obligation {
    /// Returns how the obligation stands on a day. What was done later than that day is not done yet.
    pub fn status(&self, on: NaiveDate) -> ObligationStatus {
        match self.done.as_ref().filter(|done| dates::earliest(&done.effective) <= on) {
            // An imprecise date counts in favour of whoever acted.
            Some(done) if dates::earliest(&done.effective) > self.due_until => ObligationStatus::Late,
            Some(_) => ObligationStatus::Done,
            None if self.void_from.is_some_and(|day| day <= on) => ObligationStatus::Void,
            None if on < self.due_from => ObligationStatus::Upcoming,
            None if on <= self.due_until => ObligationStatus::Due,
            None => ObligationStatus::Overdue,
        }
    }
}

/// One year, semester or month that a duty belongs to.
#[derive(Clone, Copy)]
struct Period {
    number: Option<u32>,
    start: NaiveDate,
    end: Option<NaiveDate>,
}

/// Returns what is due in a cycle, in the order of due dates. Empty before the signing.
pub fn obligations(cycle: &Cycle, rulebook: &Rulebook, calendar: &Calendar) -> Vec<Obligation> {
    laid_out(cycle, &cycle.records, rulebook, calendar)
}

/// What is due as `cycle` lays it out, fulfilled by any of `acts`.
fn laid_out(cycle: &Cycle, acts: &[Record], rulebook: &Rulebook, calendar: &Calendar) -> Vec<Obligation> {
    let Some(term) = cycle.facts.term else { return Vec::new() };
    let mut due: Vec<Obligation> = rulebook
        .duties
        .iter()
        .flat_map(|duty| Layout { acts, calendar, cycle, duty, rulebook, term }.obligations())
        .collect();
    due.sort_by(|a, b| (a.due_until, &a.code).cmp(&(b.due_until, &b.code)));
    due
}

struct Layout<'a> {
    acts: &'a [Record],
    calendar: &'a Calendar,
    cycle: &'a Cycle,
    duty: &'a Duty,
    rulebook: &'a Rulebook,
    term: Term,
}

impl Layout<'_> {
    fn obligations(&self) -> Vec<Obligation> {
        if self.duty.each == Each::Order {
            return self.for_orders();
        }
        let Some(act) = self.act_anchor() else { return Vec::new() };
        let periods = self.periods();
        let mut used = BTreeSet::new();
        let mut obligations = Vec::new();
        for period in periods {
            let Some((from, until)) = self.window(period, act, None) else { continue };
            let done = self.fulfilment(period, from, until, &used);
            used.extend(done.map(|record| record.sequence));
            obligations.push(self.obligation(period.number, None, from, until, done));
        }
        obligations
    }

    /// The first act that brings the duty about: none needed, found, or still missing.
    #[expect(clippy::option_option, reason = "no anchor needed and no anchor found are two things")]
    fn act_anchor(&self) -> Option<Option<NaiveDate>> {
        if self.duty.after.is_empty() {
            return Some(None);
        }
        let records = self.cycle.records.iter();
        let first = records.filter(|r| self.duty.after.contains(&r.event_type())).map(anchor_of).min()?;
        Some(Some(first))
    }

    fn for_orders(&self) -> Vec<Obligation> {
        let mut obligations = Vec::new();
        for (id, matter) in &self.cycle.facts.matters {
            let Some(ordered) = &matter.ordered else { continue };
            let on = dates::latest(&ordered.effective);
            let period = Period { number: None, start: on, end: None };
            let Some((from, until)) = self.window(period, Some(on), matter.due_on) else { continue };
            let answers = self.acts.iter().filter(|record| match &record.event {
                Event::RectificationReported(payload) | Event::RectificationAccepted(payload) => {
                    record.event_type() == self.duty.act && payload.matter == *id
                }
                _ => false,
            });
            let done = answers.min_by_key(|record| place(record));
            obligations.push(self.obligation(None, Some(id), from, until, done));
        }
        obligations
    }

    fn periods(&self) -> Vec<Period> {
        let years = self.term.years(self.open_years());
        match self.duty.each {
            Each::Cycle | Each::Order => {
                vec![Period { number: None, start: self.term.start, end: self.term.end }]
            }
            Each::Year => (1..=years).map(|year| self.year(year)).collect(),
            Each::Semester => self.stretches(&self.semester_starts(years)),
            Each::Month => {
                let starts: Vec<_> = (0..years * 12)
                    .map(|month| dates::add_months(self.term.start, i32::try_from(month).unwrap_or(i32::MAX)))
                    .collect();
                self.stretches(&starts)
            }
        }
    }

    fn open_years(&self) -> u32 {
        self.rulebook.term.as_ref().map_or(5, |term| term.open_years)
    }

    fn year(&self, year: u32) -> Period {
        let end = dates::add_days(self.term.year_start(year + 1), -1);
        let end = self.term.end.map_or(end, |last| last.min(end));
        Period { number: Some(year), start: self.term.year_start(year), end: Some(end) }
    }

    fn semester_starts(&self, years: u32) -> Vec<NaiveDate> {
        let Some(calendar) = &self.rulebook.calendar else { return Vec::new() };
        let mut starts: BTreeSet<NaiveDate> = (1..=years)
            .flat_map(|year| {
                let start = self.term.year_start(year);
                calendar.semesters.iter().map(move |semester| semester.on_or_after(start))
            })
            .collect();
        // A term that begins within a semester has that rest of it as well.
        starts.insert(self.term.start);
        starts.into_iter().collect()
    }

    /// Periods from one start to the next, within the term.
    fn stretches(&self, starts: &[NaiveDate]) -> Vec<Period> {
        let last =
            self.term.end.unwrap_or_else(|| dates::add_days(self.term.year_start(self.open_years() + 1), -1));
        let inside: Vec<_> = starts.iter().copied().filter(|start| *start <= last).collect();
        let ends = inside.iter().skip(1).map(|next| dates::add_days(*next, -1)).chain([last]);
        let numbered = inside.iter().zip(ends).zip(1..);
        numbered
            .map(|((start, end), number)| Period { number: Some(number), start: *start, end: Some(end) })
            .collect()
    }

    fn window(
        &self,
        period: Period,
        act: Option<NaiveDate>,
        due_on: Option<NaiveDate>,
    ) -> Option<(NaiveDate, NaiveDate)> {
        let from = self.point(&self.duty.from, period, act, due_on)?;
        let until = self.point(&self.duty.until, period, act, due_on)?;
        Some((from.min(until), until))
    }

    fn point(
        &self,
        point: &Point,
        period: Period,
        act: Option<NaiveDate>,
        due_on: Option<NaiveDate>,
    ) -> Option<NaiveDate> {
        let anchor = match point.anchor {
            Anchor::TermStart => self.term.start,
            Anchor::TermEnd => self.term.end?,
            Anchor::PeriodStart => period.start,
            Anchor::PeriodEnd => period.end?,
            Anchor::Act => act?,
            Anchor::DueOn => match due_on {
                Some(day) => return Some(day),
                None => act?,
            },
        };
        let moved = dates::add_months(anchor, point.months);
        let moved = point.on.map_or(moved, |day| day.on_or_after(moved));
        Some(self.calendar.add_working_days(dates::add_days(moved, point.days), point.working_days))
    }

    /// The record that fulfils the duty in a period; `used` fulfilled an earlier one.
    fn fulfilment(
        &self,
        period: Period,
        from: NaiveDate,
        until: NaiveDate,
        used: &BTreeSet<u64>,
    ) -> Option<&Record> {
        let kind = |record: &&Record| match (&record.event, self.duty.activity) {
            (Event::ActivityRecorded(payload), Some(kind)) => payload.kind == kind,
            _ => true,
        };
        let candidates = self
            .acts
            .iter()
            .filter(|record| record.event_type() == self.duty.act && self.is_by(record))
            .filter(kind)
            .filter(|record| !used.contains(&record.sequence));
        let in_period = |record: &&Record| {
            let (first, last) = (dates::earliest(&record.effective), dates::latest(&record.effective));
            let lower = if self.duty.strict { from } else { period.start.min(from) };
            let upper = if self.duty.strict { until } else { period.end.map_or(until, |end| end.max(until)) };
            last >= lower && first <= upper
        };
        let fulfils = |record: &&Record| match self.duty.each {
            Each::Year => match year_of(&record.event) {
                Some(year) => Some(year) == period.number,
                None => in_period(record),
            },
            Each::Semester | Each::Month => in_period(record),
            Each::Cycle | Each::Order => !self.duty.strict || in_period(record),
        };
        candidates.filter(fulfils).min_by_key(|record| place(record))
    }

    fn is_by(&self, record: &Record) -> bool {
        self.duty.by.iter().any(|role| role.code() == record.role)
    }

    fn obligation(
        &self,
        number: Option<u32>,
        matter: Option<&str>,
        due_from: NaiveDate,
        due_until: NaiveDate,
        done: Option<&Record>,
    ) -> Obligation {
        let duty = self.duty;
        let suffix = number.map(|n| n.to_string()).or(matter.map(str::to_owned));
        Obligation {
            act: duty.act,
            bureau: self.cycle.facts.bureau.clone().unwrap_or_default(),
            by: duty.by.clone(),
            code: suffix.map_or_else(|| duty.code.clone(), |suffix| format!("{}-{suffix}", duty.code)),
            done: done.map(|record| Done {
                effective: record.effective.clone(),
                recorded_at: record.recorded_at,
                sequence: record.sequence,
            }),
            due_from,
            due_until,
            level: duty.level.clone(),
            local: duty.local || duty.window_local,
            number,
            source: duty.source.clone(),
            title: duty.title.clone(),
            void_from: self.void_from(due_until),
        }
    }

    /// What was not yet overdue when the entrustment was ended falls away; so does a handover when a round follows.
    fn void_from(&self, due_until: NaiveDate) -> Option<NaiveDate> {
        let facts = &self.cycle.facts;
        let renewed = self.duty.unless_renewed && facts.renewal == Some(true);
        let decided = self.cycle.records.iter().rev().find(|r| r.event_type() == EventType::RenewalDecided);
        let ended = facts.termination.as_ref().map(|ended| dates::earliest(&ended.at.effective));
        let ended = ended.filter(|day| !self.duty.survives_termination && due_until >= *day);
        decided
            .filter(|_| renewed)
            .map(|record| dates::earliest(&record.effective))
            .into_iter()
            .chain(ended)
            .min()
    }
}

/// Where an act stands in time: of two acts of one day, the one recorded first.
fn place(record: &Record) -> (NaiveDate, u64) {
    (dates::earliest(&record.effective), record.sequence)
}

/// The day that a window is measured from when an act brings it about: for a publication, its last day.
fn anchor_of(record: &Record) -> NaiveDate {
    match &record.event {
        Event::ResultPublicised(payload) => payload.until,
        _ => dates::latest(&record.effective),
    }
}
