//! Views: what a person or a program asks for, on a day.
//!
//! Invariant: built from states and rows only, so `show` and `--json` say the same.
//! Absent: layout, languages (both stand in a view), the day itself (handed in).

use std::collections::BTreeMap;

use chrono::NaiveDate;
use serde::Serialize;
use smol_str::SmolStr;
use weituo_events::payload::{Goal, Grade};
use weituo_events::{EventType, Text};
use weituo_proof::{Effective, Hash, Language, RecordedAt};

use crate::cycle::{Cycle, CycleState, Facts, Irregularity, Record, Standing};
use crate::dates::{self, Calendar};
use crate::docket::{DocketCycle, DocketItem};
use crate::irregularities;
use crate::obligations::{self, Obligation, ObligationStatus};
use crate::rulebook::Rulebook;
use crate::summary::CycleSummary;

/// A state in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StateView {
    /// The state.
    pub state: CycleState,
    /// Its name with its overlay.
    pub label: Text,
    /// True while a matter is to be put right.
    pub under_rectification: bool,
}

impl StateView {
    fn of(standing: Standing) -> Self {
        Self {
            state: standing.state,
            label: Text::new(standing.label(Language::Zh), standing.label(Language::En)),
            under_rectification: standing.under_rectification,
        }
    }
}

/// An obligation with its status on the day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ObligationView {
    /// What is due.
    pub obligation: Obligation,
    /// How it stands.
    pub status: ObligationStatus,
    /// The status in words.
    pub label: Text,
}

impl ObligationView {
    fn of(obligation: Obligation, on: NaiveDate) -> Self {
        let status = obligation.status(on);
        Self { obligation, status, label: Text::new(status.label(Language::Zh), status.label(Language::En)) }
    }
}

/// One goal of one year with what was reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GoalView {
    /// The goal.
    pub goal: Goal,
    /// True when the value reaches the target; absent while no value is recorded.
    pub reached: Option<bool>,
    /// Value reached, in hundredths of the goal's unit.
    pub value_centi: Option<i64>,
    /// Year of the cycle, from 1.
    pub year: u32,
}

/// One entry in a cycle's timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TimelineView {
    /// True when recorded afterwards from paper.
    pub as_found: bool,
    /// The organisation that recorded it.
    pub by: SmolStr,
    /// Sequences of its corrections.
    pub corrected_by: Vec<u64>,
    /// Days between the act and its recording.
    pub delay_days: i64,
    /// When it took place.
    pub effective: Effective,
    /// What happened.
    pub event: EventType,
    /// Its name.
    pub label: Text,
    /// Its leaf hash.
    pub leaf_hash: Hash,
    /// Its 0-based place in the log.
    pub leaf_index: u64,
    /// When the log took it in.
    pub recorded_at: RecordedAt,
    /// In what capacity.
    pub role: SmolStr,
    /// Its 1-based place in the stream.
    pub sequence: u64,
}

impl TimelineView {
    fn of(record: &Record, zone_minutes: i32) -> Self {
        let event = record.event_type();
        let recorded_on = dates::recorded_on(record.recorded_at, zone_minutes);
        Self {
            as_found: record.as_found,
            by: record.by.clone(),
            corrected_by: record.corrections.iter().map(|correction| correction.sequence).collect(),
            delay_days: (recorded_on - dates::latest(&record.effective)).num_days(),
            effective: record.effective.clone(),
            event,
            label: Text::new(event.label(Language::Zh), event.label(Language::En)),
            leaf_hash: record.leaf_hash,
            leaf_index: record.leaf_index.get(),
            recorded_at: record.recorded_at,
            role: record.role.clone(),
            sequence: record.sequence,
        }
    }
}

/// One cycle on a day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CycleView {
    /// Id of the agreement.
    pub agreement: String,
    /// What holds.
    pub facts: Facts,
    /// Goals against results.
    pub goals: Vec<GoalView>,
    /// What is irregular.
    pub irregularities: Vec<Irregularity>,
    /// What is due.
    pub obligations: Vec<ObligationView>,
    /// The day looked at.
    pub on: NaiveDate,
    /// The round, from 1.
    pub round: u32,
    /// Title of its rulebook.
    pub rulebook_title: Option<Text>,
    /// Its state.
    pub state: StateView,
    /// Its entries.
    pub timeline: Vec<TimelineView>,
}

impl CycleView {
    /// Returns a cycle as it stands on a day.
    pub fn of(
        cycle: &Cycle,
        rulebook: Option<&Rulebook>,
        calendar: &Calendar,
        zone_minutes: i32,
        on: NaiveDate,
    ) -> Self {
        let then = cycle.as_of(on);
        let due = rulebook.map_or_else(Vec::new, |rules| obligations::obligations(&then, rules, calendar));
        Self {
            agreement: cycle.id.clone(),
            goals: goals(&then.facts),
            irregularities: irregularities::on(cycle, rulebook, calendar, on),
            obligations: due.into_iter().map(|due| ObligationView::of(due, on)).collect(),
            on,
            round: then.facts.round(),
            rulebook_title: rulebook.map(|rules| rules.title.clone()),
            state: StateView::of(Standing::of(&then.facts, on)),
            timeline: then.records.iter().map(|record| TimelineView::of(record, zone_minutes)).collect(),
            facts: then.facts,
        }
    }
}

fn goals(facts: &Facts) -> Vec<GoalView> {
    let mut views = Vec::new();
    for (year, goals) in &facts.goals {
        let results = facts.assessments.get(year).map_or(&[][..], |judgement| &judgement.results);
        for goal in goals {
            let value_centi =
                results.iter().find(|result| result.goal == goal.id).map(|result| result.value_centi);
            let reached = value_centi.map(|value| {
                if goal.lower_is_better { value <= goal.target_centi } else { value >= goal.target_centi }
            });
            views.push(GoalView { goal: goal.clone(), reached, value_centi, year: *year });
        }
    }
    views
}

/// One cycle in an organisation's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HistoryItem {
    /// Its state on the day.
    pub state: StateView,
    /// The cycle.
    pub summary: CycleSummary,
}

/// An organisation's history: every cycle across schools and rounds, in the order of their terms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HistoryView {
    /// How many cycles ended in each grade.
    pub grades: BTreeMap<Grade, u32>,
    /// The cycles.
    pub cycles: Vec<HistoryItem>,
    /// The day looked at.
    pub on: NaiveDate,
    /// The organisation.
    pub organisation: String,
    /// How many were ended before their time.
    pub terminated: u32,
}

/// A trustee's whole history across schools and rounds.
pub type TrusteeView = HistoryView;
/// A school's history across trustees and rounds.
pub type SchoolView = HistoryView;

impl HistoryView {
    /// Returns the history that the rows of one organisation tell.
    pub fn of(organisation: &str, summaries: Vec<CycleSummary>, on: NaiveDate) -> Self {
        let mut summaries = summaries;
        summaries.sort_by(|a, b| order(a).cmp(&order(b)));
        let terminated = summaries.iter().filter(|summary| summary.termination.is_some()).count();
        let mut grades = BTreeMap::new();
        for grade in summaries.iter().filter_map(|summary| summary.evaluation_grade) {
            *grades.entry(grade).or_insert(0) += 1;
        }
        let item = |summary: CycleSummary| HistoryItem {
            state: StateView::of(Standing {
                state: summary.milestones.state(on),
                under_rectification: summary.under_rectification,
            }),
            summary,
        };
        Self {
            cycles: summaries.into_iter().map(item).collect(),
            grades,
            on,
            organisation: organisation.to_owned(),
            terminated: u32::try_from(terminated).unwrap_or(u32::MAX),
        }
    }
}

fn order(summary: &CycleSummary) -> (Option<NaiveDate>, u32, &str) {
    (summary.milestones.term.map(|term| term.start), summary.round, &summary.agreement)
}

/// One line of a docket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DocketLine {
    /// What is due, in which cycle.
    pub item: DocketItem,
    /// How it stands.
    pub status: ObligationStatus,
    /// The status in words.
    pub label: Text,
}

/// What is due, done, late or overdue on a day, by bureau and date.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DocketView {
    /// How many lines have each status.
    pub counts: BTreeMap<ObligationStatus, u32>,
    /// The lines, in the order of bureau and due date.
    pub lines: Vec<DocketLine>,
    /// The day looked at.
    pub on: NaiveDate,
}

impl DocketView {
    /// Returns the docket that these cycles make on a day: what stood then, and done what was done by then.
    pub fn of(cycles: Vec<DocketCycle>, on: NaiveDate) -> Self {
        let mut lines: Vec<DocketLine> = cycles
            .into_iter()
            .flat_map(DocketCycle::into_items)
            .filter_map(|item| item.as_of(on))
            .map(|item| {
                let status = item.obligation.status(on);
                let label = Text::new(status.label(Language::Zh), status.label(Language::En));
                DocketLine { item, status, label }
            })
            .collect();
        lines.sort_by(|a, b| docket_order(a).cmp(&docket_order(b)));
        let mut counts = BTreeMap::new();
        for line in &lines {
            *counts.entry(line.status).or_insert(0) += 1;
        }
        Self { counts, lines, on }
    }
}

fn docket_order(line: &DocketLine) -> (&str, NaiveDate, &str, &str) {
    let due = &line.item.obligation;
    (&due.bureau, due.due_until, &line.item.agreement, &due.code)
}
