//! The parts of a cycle's facts: term, judgements, seats, matters, objections, honours, money.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use weituo_events::payload::{
    Exception, GoalResult, Grade, ObjectionOutcome, Response, Severity, TerminationGrounds,
};
use weituo_events::{EventType, OrganisationId};
use weituo_proof::Effective;

use crate::dates;

/// The term of a cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Term {
    /// Last day; absent where there is no end.
    pub end: Option<NaiveDate>,
    /// First day.
    pub start: NaiveDate,
}

impl Term {
    /// Returns how many years the term has, the last one perhaps shorter; `open_years` where it has no end.
    pub fn years(&self, open_years: u32) -> u32 {
        let Some(end) = self.end else { return open_years };
        (1..=100).find(|year| self.year_start(year + 1) > end).unwrap_or(100)
    }

    /// Returns the first day of a year of the cycle, from 1.
    pub fn year_start(&self, year: u32) -> NaiveDate {
        let months = i32::try_from(year.saturating_sub(1)).unwrap_or(1_200).saturating_mul(12);
        dates::add_months(self.start, months)
    }
}

/// Where something was said: sequence and date.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct At {
    /// When it took place.
    pub effective: Effective,
    /// Sequence of its record.
    pub sequence: u64,
}

/// An assessment, review or self-evaluation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Judgement {
    /// When it took place, and its record.
    pub at: At,
    /// Grade given.
    pub grade: Option<Grade>,
    /// Results against that year's goals.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub results: Vec<GoalResult>,
    /// Score in hundredths of a point.
    pub score_centi: Option<i64>,
}

/// The evaluation of the whole term.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Evaluation {
    /// When it took place, and its record.
    pub at: At,
    /// Grade given.
    pub grade: Grade,
    /// Satisfaction, apart from the score, in hundredths of a percent.
    pub satisfaction_centi: Option<i64>,
    /// What the school gained, in hundredths of a point.
    pub school_gain_centi: Option<i64>,
    /// Score in hundredths of a point.
    pub score_centi: i64,
    /// What the trustee put in, in hundredths of a point.
    pub trustee_effort_centi: Option<i64>,
    /// Veto items.
    pub vetoes: Vec<SmolStr>,
}

/// One seat of the panel of experts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Seat {
    /// True for the convener.
    pub convener: bool,
    /// Who employs the expert.
    pub employer: OrganisationId,
    /// Id of the expert within the cycle.
    pub expert: SmolStr,
    /// Sequence of the withdrawal.
    pub recused: Option<u64>,
}

/// One matter that has to be put right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Matter {
    /// Sequence of the acceptance.
    pub accepted: Option<At>,
    /// Day by which it is to be put right, where the order says one.
    pub due_on: Option<NaiveDate>,
    /// The party ordered to act.
    pub of: Option<OrganisationId>,
    /// The order.
    pub ordered: Option<At>,
    /// The report.
    pub reported: Option<At>,
}

/// One objection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Objection {
    /// The record objected to.
    pub entry: u64,
    /// When it was filed, and its record.
    pub filed: At,
    /// The organisation that filed it.
    pub filed_by: SmolStr,
    /// How it ended.
    pub outcome: Option<ObjectionOutcome>,
    /// Its resolution.
    pub resolved: Option<At>,
}

/// The other side's word on a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Acknowledgement {
    /// The organisation.
    pub by: SmolStr,
    /// The record.
    pub entry: u64,
    /// What it says.
    pub response: Response,
    /// Sequence of its own record.
    pub sequence: u64,
}

/// A commendation, praise or prize.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Honour {
    /// When it was given, and its record.
    pub at: At,
    /// Document number.
    pub document: Option<SmolStr>,
    /// Which of the three.
    pub kind: EventType,
    /// Who is honoured.
    pub recipient: OrganisationId,
}

/// The end of an entrustment before its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Termination {
    /// When, and its record.
    pub at: At,
    /// Why.
    pub grounds: TerminationGrounds,
}

/// An auditor's finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditFinding {
    /// When, and its record.
    pub at: At,
    /// What it concerns, as a code.
    pub code: SmolStr,
    /// How grave.
    pub severity: Severity,
}

/// An exception to a rule that holds in principle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExceptionFact {
    /// Who approved it; absent means nobody.
    pub approved_by: Option<OrganisationId>,
}

impl ExceptionFact {
    pub(super) fn of(exception: &Exception) -> Self {
        Self { approved_by: exception.approved_by.clone() }
    }
}

/// Sums of money, in fen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Money {
    /// Accepted for payment.
    pub accepted_fen: i64,
    /// Put into budgets.
    pub budgeted_fen: i64,
    /// Paid.
    pub paid_fen: i64,
    /// Given as prizes.
    pub prizes_fen: i64,
    /// Recovered.
    pub recovered_fen: i64,
    /// Settled, by the last settlement.
    pub settled_fen: Option<i64>,
}
