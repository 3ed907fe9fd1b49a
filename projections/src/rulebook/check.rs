//! What a rule checks: a closed list of kinds, each with its figures.
//!
//! Invariant: a kind knows no arrangement; another arrangement is other figures, not another kind.
//! Absent: the judging itself (module `rules`).

use serde::{Deserialize, Serialize};
use weituo_events::{EventType, Role};

/// How often something may or must happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Per {
    /// Once in the cycle.
    Cycle,
    /// Once in each year of the cycle.
    Year,
}

/// A total of the cycle's money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Total {
    /// What was budgeted.
    Budgeted,
    /// What was accepted for payment.
    Accepted,
    /// The price of the service over the whole term.
    Fee,
}

/// What a rule checks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Check {
    /// Each of `acts` needs an earlier act of `any_of`.
    Needs {
        /// The acts that need it.
        acts: Vec<EventType>,
        /// One of these must have taken place before.
        any_of: Vec<EventType>,
        /// It must have been recorded by each of these roles.
        #[serde(default)]
        from_each: Vec<Role>,
        /// It must be of the same year of the cycle.
        #[serde(default)]
        same_year: bool,
        /// Not needed where a further round was decided.
        #[serde(default)]
        unless_renewed: bool,
        /// A later one of these takes it back.
        #[serde(default)]
        voided_by: Vec<EventType>,
    },
    /// Each of `acts` takes place after the term has run out, or after the entrustment was ended.
    AfterTerm {
        /// The acts.
        acts: Vec<EventType>,
        /// True when an ended entrustment opens the way as well.
        #[serde(default)]
        or_terminated: bool,
    },
    /// Each of `acts` takes place within the term.
    WithinTerm {
        /// The acts.
        acts: Vec<EventType>,
    },
    /// Each of `acts` takes place once.
    Once {
        /// The acts.
        acts: Vec<EventType>,
        /// In what.
        per: Per,
    },
    /// Ending for poor work rests on a failing assessment or evaluation, or on an order to rectify.
    PoorWorkShown,
    /// A trustee manages at most so many schools at one time. Judged across cycles (module `claims`).
    Capacity {
        /// How many.
        trustee_schools: u32,
        /// True where exceptions are possible (原则上).
        in_principle: bool,
    },
    /// No expert is employed by a party.
    NoPartyEmploysAnExpert,
    /// How the panel of experts is made up, those who withdrew left out.
    Panel {
        /// Fewest members.
        at_least: u32,
        /// How many conveners.
        conveners: u32,
        /// True when the number of members must be odd.
        odd: bool,
    },
    /// Each of `acts` carries a document number.
    DocumentNumber {
        /// The acts.
        acts: Vec<EventType>,
    },
    /// An objection is decided by another body than the one that made the record.
    AnotherReviewer,
    /// The sum of `act` stays within a total.
    Within {
        /// The act whose amounts are added up.
        act: EventType,
        /// The total.
        total: Total,
    },
    /// A grade is the one that its score earns, or a worse one.
    GradeFollowsScore,
    /// A veto item caps the grade.
    VetoCapsGrade,
    /// The agreement is countersigned by each of these parties.
    Countersigned {
        /// The parties.
        by: Vec<Role>,
    },
    /// The agreement is signed by the parties that were designated.
    AsDesignated,
    /// The term has the rulebook's length.
    TermLength,
    /// A reallocation names the consent that it rests on.
    NamesConsent,
    /// The result stays public for so many working days.
    PublicFor {
        /// How many.
        working_days: u32,
    },
    /// No matter to rectify and no objection is open when one of `acts` takes place.
    NothingOpen {
        /// The acts.
        acts: Vec<EventType>,
    },
    /// Acts are recorded within so many working days. Summed up for each cycle, not told entry by entry; only a run of
    /// later ones just before an evaluation is told on that evaluation.
    RecordedWithin {
        /// How many days before the recording of an evaluation are just before it.
        #[serde(default = "thirty")]
        run_days: u32,
        /// How many entries recorded late just before an evaluation are a run.
        #[serde(default = "three")]
        run_entries: u32,
        /// How many.
        working_days: u32,
    },
}

fn thirty() -> u32 {
    30
}

fn three() -> u32 {
    3
}

impl Check {
    /// Returns every act that the check names.
    pub fn acts(&self) -> Vec<EventType> {
        match self {
            Self::Needs { acts, any_of, voided_by, .. } => {
                [acts.clone(), any_of.clone(), voided_by.clone()].concat()
            }
            Self::AfterTerm { acts, .. }
            | Self::WithinTerm { acts }
            | Self::Once { acts, .. }
            | Self::DocumentNumber { acts }
            | Self::NothingOpen { acts } => acts.clone(),
            Self::Within { act, .. } => vec![*act],
            _ => Vec::new(),
        }
    }
}
