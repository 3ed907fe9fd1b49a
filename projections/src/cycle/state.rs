//! Where a cycle stands on a day. Source: regions.md, States of a cycle.
//!
//! Invariant: expiry is computed from the term, never an event.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use weituo_proof::{Effective, Language};

use super::{Facts, Term};
use crate::dates;

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

/// The dates that a cycle's state depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Milestones {
    /// Closing.
    pub closed: Option<Effective>,
    /// Consent, where it is the last word.
    pub consented: Option<Effective>,
    /// End-of-term evaluation.
    pub evaluated: Option<Effective>,
    /// First handover by one of the parties.
    pub handing_over: Option<Effective>,
    /// Signing of the agreement, or approval of the group.
    pub signed: Option<Effective>,
    /// The term.
    pub term: Option<Term>,
    /// End before its time.
    pub terminated: Option<Effective>,
}

impl Milestones {
    /// Returns the cycle's state on a day. A date that is not known exactly counts from the first day it can mean.
    pub fn state(&self, on: NaiveDate) -> CycleState {
        let reached =
            |date: &Option<Effective>| date.as_ref().is_some_and(|date| dates::earliest(date) <= on);
        if reached(&self.closed) {
            CycleState::Closed
        } else if reached(&self.terminated) {
            CycleState::Terminated
        } else if reached(&self.evaluated) {
            if reached(&self.handing_over) { CycleState::HandingOver } else { CycleState::Evaluated }
        } else if reached(&self.signed) {
            match &self.term {
                Some(term) if on < term.start => CycleState::Signed,
                Some(term) if term.end.is_some_and(|end| on > end) => CycleState::Expired,
                _ => CycleState::Running,
            }
        } else if reached(&self.consented) {
            CycleState::Consented
        } else {
            CycleState::Proposed
        }
    }
}

impl Standing {
    /// Returns where the facts leave a cycle on a day.
    pub fn of(facts: &Facts, on: NaiveDate) -> Self {
        Self {
            state: facts.milestones().state(on),
            under_rectification: facts.open_matters().next().is_some(),
        }
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
