//! Rulebooks: what is particular to an arrangement, as data.
//!
//! Invariants: a parsed rulebook names a source or "local" for everything in it; only a policy text may refuse, and a
//! local setting never does; codes are unique. So the code that judges knows no arrangement by name.
//! Absent: judging (module `rules`), due dates (module `obligations`), adoption into the log (the application).
//! Source: regions.md, introduction and "Local settings with their defaults".

mod adopted;
mod check;
mod duty;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use weituo_events::payload::Grade;
use weituo_events::{EventType, Role, Text};

use crate::dates::{Calendar, MonthDay};

pub use adopted::{Adopted, RulebookStream, Rulebooks, VersionState};
pub use check::{Check, Per, Total};
pub use duty::{Anchor, Duty, Each, Point};

/// Most bytes that a rulebook's text may have, so that it fits one entry with its escapes.
pub const MAX_TEXT_BYTES: usize = 56_000;

/// Longest code, in bytes: codes stand in the keys of projections, whose index takes no key of any length.
const MAX_CODE_BYTES: usize = 64;

/// Longest term in months, and in years where it is without end: a century. Every year is laid out, so it ends.
const MAX_TERM_MONTHS: u32 = 1_200;

/// A text that is not a rulebook.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RulebookError {
    /// It is not TOML of a rulebook's shape.
    #[error("the rulebook cannot be read: {0}")]
    Unreadable(String),
    /// It is too long for one entry.
    #[error("the rulebook has {0} bytes; one entry holds at most {MAX_TEXT_BYTES}")]
    TooLong(usize),
    /// It has the right shape and says something that no rulebook may say.
    #[error("{place}: {reason}")]
    Unsound {
        /// Where.
        place: String,
        /// What is wrong and what would be accepted.
        reason: String,
    },
}

impl RulebookError {
    /// Names the line and says what is wrong; the parser's own picture of the line has no bound.
    fn of_toml(error: &toml::de::Error, text: &str) -> Self {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let message: String = error.message().chars().take(400).collect();
        Self::Unreadable(format!("line {line}: {}", message.replace('\n', "; ")))
    }
}

/// What kind of text a rulebook rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// A policy text: its rules may refuse.
    Policy,
    /// News: its rules may at most flag.
    News,
    /// A case report: its rules may at most flag.
    CaseReport,
}

/// What a broken rule leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It is recorded as an irregularity.
    Flag,
    /// It is refused, unless recorded afterwards from paper.
    Refuse,
    /// It is refused in any case: it contradicts the stream. No rulebook says this; a forged log may show it.
    Impossible,
}

/// The published text that a rulebook rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// Day of issue.
    pub issued_on: Option<NaiveDate>,
    /// Who issued it.
    pub issuer: Option<String>,
    /// Document number (文号).
    pub number: Option<String>,
    /// Title.
    pub title: String,
}

/// One act that the arrangement uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActRule {
    /// The act.
    pub act: EventType,
    /// Who may record it; narrows what the vocabulary allows.
    pub by: Vec<Role>,
    /// Which level the text names for it, where it names one (主管, 县级, 上级).
    pub level: Option<String>,
    /// True for a local setting.
    #[serde(default)]
    pub local: bool,
    /// True when it may be the first act of a cycle.
    #[serde(default)]
    pub opens: bool,
    /// The passage that it rests on.
    pub source: Option<String>,
}

/// One rule: what it demands, what breaking it leads to, what it rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What is checked.
    pub check: Check,
    /// Stable code, such as `evaluation-after-expiry`.
    pub code: String,
    /// True for a local setting.
    #[serde(default)]
    pub local: bool,
    /// What a breach leads to.
    pub severity: Severity,
    /// The passage that it rests on.
    pub source: Option<String>,
    /// The rule in words.
    pub title: Text,
}

/// The term of a cycle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Term {
    /// True for a local setting.
    #[serde(default)]
    pub local: bool,
    /// Length in months where the agreement says none; absent means without end.
    pub months: Option<u32>,
    /// How many years of duties are laid out for a cycle without end.
    #[serde(default = "five")]
    pub open_years: u32,
    /// The passage that it rests on.
    pub source: Option<String>,
}

fn five() -> u32 {
    5
}

/// The school's calendar.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SchoolCalendar {
    /// Days off besides the weekends.
    #[serde(default)]
    pub holidays: BTreeSet<NaiveDate>,
    /// True for a local setting.
    #[serde(default)]
    pub local: bool,
    /// First days of the semesters of a year.
    pub semesters: Vec<MonthDay>,
    /// The passage that it rests on.
    pub source: Option<String>,
    /// The day on which terms begin by default: what a form offers to whoever records a signing.
    pub terms_start: Option<MonthDay>,
    /// Days at weekends that are worked.
    #[serde(default)]
    pub workdays: BTreeSet<NaiveDate>,
}

/// One code of an open or closed list, with its words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Code {
    /// The code, as payloads say it.
    pub code: String,
    /// True for a local setting.
    #[serde(default)]
    pub local: bool,
    /// The passage that it rests on.
    pub source: Option<String>,
    /// Its words.
    pub title: Text,
}

/// An item that caps the grade of an evaluation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Veto {
    /// The best grade that remains.
    pub cap: Grade,
    /// The code, as payloads say it.
    pub code: String,
    /// True for a local setting.
    #[serde(default)]
    pub local: bool,
    /// The passage that it rests on.
    pub source: Option<String>,
    /// Its words.
    pub title: Text,
}

/// The scale of scores and the grades on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    /// Lowest score of each grade, best grade first, in hundredths of a point.
    pub grades: Vec<GradeFrom>,
    /// True for a local setting.
    #[serde(default)]
    pub local: bool,
    /// Highest score, in hundredths of a point.
    pub max_centi: i64,
    /// The passage that it rests on.
    pub source: Option<String>,
}

/// One grade and the lowest score that earns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GradeFrom {
    /// Lowest score, in hundredths of a point.
    pub from_centi: i64,
    /// The grade.
    pub grade: Grade,
}

impl Scale {
    /// Returns the grade that a score earns.
    pub fn grade(&self, score_centi: i64) -> Option<Grade> {
        self.grades.iter().find(|entry| score_centi >= entry.from_centi).map(|entry| entry.grade)
    }
}

/// An arrangement's rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rulebook {
    /// The acts in use.
    #[serde(rename = "act")]
    pub acts: Vec<ActRule>,
    /// The school's calendar.
    pub calendar: Option<SchoolCalendar>,
    /// The published text.
    pub document: Document,
    /// What is due and when.
    #[serde(default, rename = "duty")]
    pub duties: Vec<Duty>,
    /// Fields to be improved: an open list.
    #[serde(default, rename = "field")]
    pub fields: Vec<Code>,
    /// Forms of the arrangement: a closed list.
    #[serde(default, rename = "form")]
    pub forms: Vec<Code>,
    /// Id: the part of its stream after `rulebook/`.
    pub id: String,
    /// Purposes of money: a closed list where not empty.
    #[serde(default, rename = "purpose")]
    pub purposes: Vec<Code>,
    /// The rules.
    #[serde(default, rename = "rule")]
    pub rules: Vec<Rule>,
    /// The scale of scores.
    pub scale: Option<Scale>,
    /// Acts that must be signed by a key of their actor: unsigned ones are refused under a policy text, else flagged.
    #[serde(default)]
    pub signatures_required: Vec<EventType>,
    /// What kind of text it rests on.
    pub source_kind: SourceKind,
    /// The term of a cycle; absent for arrangements without one.
    pub term: Option<Term>,
    /// Its name.
    pub title: Text,
    /// Version, from 1.
    pub version: u32,
    /// Items that cap the grade: a closed list.
    #[serde(default, rename = "veto")]
    pub vetoes: Vec<Veto>,
}

impl Rulebook {
    /// Reads a rulebook.
    ///
    /// # Errors
    /// When the text is no TOML of this shape, too long, or says what no rulebook may say.
    pub fn parse(text: &str) -> Result<Self, RulebookError> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(RulebookError::TooLong(text.len()));
        }
        let rulebook: Self = toml::from_str(text).map_err(|error| RulebookError::of_toml(&error, text))?;
        rulebook.check()?;
        Ok(rulebook)
    }

    /// Returns the rule about one act; absent when the arrangement does not use it.
    pub fn act(&self, act: EventType) -> Option<&ActRule> {
        self.acts.iter().find(|rule| rule.act == act)
    }

    /// Returns the acts that may open a cycle.
    pub fn openings(&self) -> Vec<EventType> {
        self.acts.iter().filter(|rule| rule.opens).map(|rule| rule.act).collect()
    }

    /// Returns how many schools a trustee may manage at one time, and the rule that says so.
    pub fn capacity(&self) -> Option<(u32, bool, &Rule)> {
        self.rules.iter().find_map(|rule| match rule.check {
            Check::Capacity { trustee_schools, in_principle } => Some((trustee_schools, in_principle, rule)),
            _ => None,
        })
    }

    /// Returns within how many working days of an act it should be recorded, and the rule that says so.
    pub fn recording_days(&self) -> Option<(u32, &Rule)> {
        self.rules.iter().find_map(|rule| match rule.check {
            Check::RecordedWithin { working_days, .. } => Some((working_days, rule)),
            _ => None,
        })
    }

    /// Returns how many entries recorded late, within how many days before an evaluation is recorded, are a run, and the
    /// rule that says so.
    pub fn late_run(&self) -> Option<(u32, u32, &Rule)> {
        self.rules.iter().find_map(|rule| match rule.check {
            Check::RecordedWithin { run_days, run_entries, .. } => Some((run_entries, run_days, rule)),
            _ => None,
        })
    }

    /// Returns the days worked, as far as the rulebook itself says.
    pub fn working_calendar(&self) -> Calendar {
        self.calendar.as_ref().map_or_else(Calendar::default, |calendar| Calendar {
            holidays: calendar.holidays.clone(),
            workdays: calendar.workdays.clone(),
        })
    }

    fn check(&self) -> Result<(), RulebookError> {
        let unsound =
            |place: &str, reason: String| RulebookError::Unsound { place: place.to_owned(), reason };
        weituo_proof::StreamName::of("rulebook", &self.id)
            .map_err(|_| unsound("id", format!("{:?} is not the id part of a stream name", self.id)))?;
        if self.version == 0 {
            return Err(unsound("version", "versions count from 1".to_owned()));
        }
        for (place, source, local) in self.bases() {
            match (source, local) {
                (Some(source), false) if !source.trim().is_empty() => {}
                (None, true) => {}
                _ => return Err(unsound(&place, "give a source, or local = true, and not both".to_owned())),
            }
        }
        if self.openings().is_empty() {
            return Err(unsound("act", "at least one act must have opens = true".to_owned()));
        }
        let mut acts = BTreeSet::new();
        for rule in &self.acts {
            let place = format!("act {}", rule.act);
            if rule.by.is_empty() || rule.by.iter().any(|role| !rule.act.recorders().contains(role)) {
                let allowed: Vec<_> = rule.act.recorders().iter().map(|role| role.code()).collect();
                return Err(unsound(&place, format!("by must be some of {}", allowed.join(", "))));
            }
            if !acts.insert(rule.act) {
                return Err(unsound(&place, "the act stands twice".to_owned()));
            }
        }
        let mut codes = BTreeSet::new();
        for code in self.rules.iter().map(|r| &r.code).chain(self.duties.iter().map(|d| &d.code)) {
            if !codes.insert(code) || !is_code(code) {
                let reason = format!("a code is 1 to {MAX_CODE_BYTES} of a-z 0-9 - and stands once");
                return Err(unsound(code, reason));
            }
        }
        for rule in &self.rules {
            let strict = rule.severity != Severity::Flag;
            if rule.severity == Severity::Impossible
                || (strict && (rule.local || self.source_kind != SourceKind::Policy))
            {
                let reason = "only a passage of a policy text may refuse: write severity = \"flag\"";
                return Err(unsound(&rule.code, reason.to_owned()));
            }
            if matches!(rule.check, Check::RecordedWithin { run_entries: 0, .. }) {
                return Err(unsound(&rule.code, "run_entries is at least 1".to_owned()));
            }
            for act in rule.check.acts() {
                if !acts.contains(&act) {
                    return Err(unsound(&rule.code, format!("{act} is not among the acts in use")));
                }
            }
        }
        for duty in &self.duties {
            duty.check(&acts).map_err(|reason| unsound(&duty.code, reason))?;
        }
        if self.term.as_ref().is_some_and(|term| {
            let months = [term.months.unwrap_or(1), term.open_years.saturating_mul(12)];
            months.iter().any(|months| !(1..=MAX_TERM_MONTHS).contains(months))
        }) {
            let reason =
                format!("months is 1 to {MAX_TERM_MONTHS}, open_years 1 to {}", MAX_TERM_MONTHS / 12);
            return Err(unsound("term", reason));
        }
        if self.scale.as_ref().is_some_and(|scale| {
            scale.max_centi <= 0
                || scale.grades.windows(2).any(|pair| pair[0].from_centi <= pair[1].from_centi)
        }) {
            return Err(unsound("scale", "max_centi is above 0 and grades stand best first".to_owned()));
        }
        Ok(())
    }

    /// Everything that rests on a source or a local decision: place, source, local.
    fn bases(&self) -> Vec<(String, Option<&str>, bool)> {
        let mut bases = Vec::new();
        bases.extend(self.acts.iter().map(|a| (format!("act {}", a.act), a.source.as_deref(), a.local)));
        bases.extend(self.rules.iter().map(|r| (r.code.clone(), r.source.as_deref(), r.local)));
        bases.extend(self.duties.iter().map(|d| (d.code.clone(), d.source.as_deref(), d.local)));
        for (list, codes) in [("field", &self.fields), ("form", &self.forms), ("purpose", &self.purposes)] {
            bases.extend(codes.iter().map(|c| (format!("{list} {}", c.code), c.source.as_deref(), c.local)));
        }
        bases.extend(self.vetoes.iter().map(|v| (format!("veto {}", v.code), v.source.as_deref(), v.local)));
        bases.extend(self.calendar.iter().map(|c| ("calendar".to_owned(), c.source.as_deref(), c.local)));
        bases.extend(self.scale.iter().map(|s| ("scale".to_owned(), s.source.as_deref(), s.local)));
        bases.extend(self.term.iter().map(|t| ("term".to_owned(), t.source.as_deref(), t.local)));
        bases
    }
}

fn is_code(code: &str) -> bool {
    (1..=MAX_CODE_BYTES).contains(&code.len())
        && code.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}
