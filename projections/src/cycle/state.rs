//! Where a cycle stands on a day. Source: regions.md, States of a cycle.
//!
//! Invariant: expiry is computed from the term, never an event.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use weituo_proof::Language;

use super::Facts;

/// State of a cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CycleState {
    /// 拟委托.
    Proposed,
    /// 已同意.
    Consented,
    /// 已签约, its term not yet begun.
    Signed,
    /// 履约中.
    Running,
    /// 期满待评.
    Expired,
    /// 已评估.
    Evaluated,
    /// 移交.
    HandingOver,
    /// 已办结.
    Closed,
    /// 已中止.
    Terminated,
}

impl CycleState {
    /// Returns the state's name on a page.
    pub fn label(self, language: Language) -> &'static str {
        let (zh, en) = match self {
            Self::Proposed => ("拟委托", "proposed"),
            Self::Consented => ("已同意", "consented"),
            Self::Signed => ("已签约", "signed"),
            Self::Running => ("履约中", "running"),
            Self::Expired => ("期满待评", "expired, awaiting evaluation"),
            Self::Evaluated => ("已评估", "evaluated"),
            Self::HandingOver => ("移交", "handing over"),
            Self::Closed => ("已办结", "closed"),
            Self::Terminated => ("已中止", "terminated"),
        };
        match language {
            Language::Zh => zh,
            Language::En => en,
        }
    }
}

/// State with its overlay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The state.
    pub state: CycleState,
    /// 整改中: a matter was ordered to be put right and is not yet accepted.
    pub under_rectification: bool,
}

impl Standing {
    /// Returns where the facts leave a cycle on a day.
    pub fn of(facts: &Facts, on: NaiveDate) -> Self {
        Self { state: state(facts, on), under_rectification: facts.open_matters().next().is_some() }
    }

    /// Returns the standing in words, such as `履约中(整改中)`.
    pub fn label(self, language: Language) -> String {
        let state = self.state.label(language);
        match (self.under_rectification, language) {
            (false, _) => state.to_owned(),
            (true, Language::Zh) => format!("{state}(整改中)"),
            (true, Language::En) => format!("{state} (under rectification)"),
        }
    }
}

fn state(facts: &Facts, on: NaiveDate) -> CycleState {
    if facts.closed.is_some() {
        return CycleState::Closed;
    }
    if facts.termination.is_some() {
        return CycleState::Terminated;
    }
    if facts.evaluation.is_some() {
        let handing_over = !facts.handed_over_by.is_empty();
        return if handing_over { CycleState::HandingOver } else { CycleState::Evaluated };
    }
    match (&facts.term, facts.is_signed()) {
        (Some(term), true) if on < term.start => CycleState::Signed,
        (Some(term), true) if term.end.is_some_and(|end| on > end) => CycleState::Expired,
        (_, true) => CycleState::Running,
        (_, false) if facts.has_consent() => CycleState::Consented,
        (_, false) => CycleState::Proposed,
    }
}
