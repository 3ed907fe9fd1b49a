//! What is due, how often, in which window.
//!
//! Absent: the dates of one cycle (module `obligations`).

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use weituo_events::payload::ActivityKind;
use weituo_events::{EventType, Role, Text};

use crate::dates::MonthDay;

/// How often a duty falls due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Each {
    /// Once in the cycle.
    Cycle,
    /// Once in each year of the cycle.
    Year,
    /// Once in each semester that begins within the term.
    Semester,
    /// Once in each month of the term.
    Month,
    /// Once for each order to rectify.
    Order,
}

/// What a window is measured from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Anchor {
    /// First day of the term.
    TermStart,
    /// Last day of the term.
    TermEnd,
    /// First day of the year, semester or month that the duty belongs to.
    PeriodStart,
    /// Last day of it.
    PeriodEnd,
    /// The act that the duty names in `after`; for orders, the order.
    Act,
    /// The day set by the order to rectify; where it sets none, the order plus the point's own distance.
    DueOn,
}

/// One end of a window: an anchor and a distance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Point {
    /// What it is measured from.
    pub anchor: Anchor,
    /// Months after it, negative before it; applied first.
    #[serde(default)]
    pub months: i32,
    /// Then the first such day of a year on or after it.
    pub on: Option<MonthDay>,
    /// Then days after it, negative before it.
    #[serde(default)]
    pub days: i32,
    /// Then working days after it.
    #[serde(default)]
    pub working_days: u32,
}

/// Farthest that a point may lie from its anchor: a century. Working days are counted one by one.
const MAX_MONTHS: u32 = 1_200;
const MAX_DAYS: u32 = 36_525;
const MAX_WORKING_DAYS: u32 = 1_000;

impl Point {
    fn is_near(&self) -> bool {
        self.months.unsigned_abs() <= MAX_MONTHS
            && self.days.unsigned_abs() <= MAX_DAYS
            && self.working_days <= MAX_WORKING_DAYS
    }
}

/// One duty.
#[expect(clippy::struct_excessive_bools, reason = "each is a word of its own in the rulebook's text")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Duty {
    /// The act that fulfils it.
    pub act: EventType,
    /// The kind of activity, where the act is an activity.
    pub activity: Option<ActivityKind>,
    /// Acts that bring it about, the first of them counts; absent: the term does.
    #[serde(default)]
    pub after: Vec<EventType>,
    /// Who may fulfil it.
    pub by: Arc<[Role]>,
    /// Stable code.
    pub code: String,
    /// How often.
    pub each: Each,
    /// First day of the window.
    pub from: Point,
    /// Which level the text names, where it names one.
    pub level: Option<Arc<str>>,
    /// True for a local setting.
    #[serde(default)]
    pub local: bool,
    /// True when an act outside the window does not fulfil it late.
    #[serde(default)]
    pub strict: bool,
    /// The passage that it rests on; its window may be local (`window_local`).
    pub source: Option<Arc<str>>,
    /// True when it stays due after the entrustment was ended.
    #[serde(default)]
    pub survives_termination: bool,
    /// The duty in words.
    pub title: Arc<Text>,
    /// True when it falls away where a further round was decided.
    #[serde(default)]
    pub unless_renewed: bool,
    /// Last day of the window.
    pub until: Point,
    /// True when the duty has a source and only its window is a local setting.
    #[serde(default)]
    pub window_local: bool,
}

impl Duty {
    /// Says what is wrong with the duty, if anything is.
    pub(super) fn check(&self, acts: &BTreeSet<EventType>) -> Result<(), String> {
        if self.by.is_empty() || self.by.iter().any(|role| !self.act.recorders().contains(role)) {
            let allowed: Vec<_> = self.act.recorders().iter().map(|role| role.code()).collect();
            return Err(format!("by must be some of {}", allowed.join(", ")));
        }
        if self.activity.is_some() && self.act != EventType::ActivityRecorded {
            return Err("activity belongs to ActivityRecorded only".to_owned());
        }
        if let Some(act) = [self.act].iter().chain(&self.after).find(|act| !acts.contains(act)) {
            return Err(format!("{act} is not among the acts in use"));
        }
        if !self.from.is_near() || !self.until.is_near() {
            return Err(format!(
                "a window lies within {MAX_MONTHS} months, {MAX_DAYS} days and {MAX_WORKING_DAYS} working days"
            ));
        }
        let anchors = [self.from.anchor, self.until.anchor];
        if anchors.contains(&Anchor::Act) && self.after.is_empty() && self.each != Each::Order {
            return Err("a window measured from an act needs `after`".to_owned());
        }
        if anchors.contains(&Anchor::DueOn) && self.each != Each::Order {
            return Err("due_on belongs to duties for each order".to_owned());
        }
        Ok(())
    }
}
