//! Summaries of one cycle: what the rows of trustee and school say.
//!
//! Absent: anything that depends on a day; that is computed when a view is built.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use weituo_events::OrganisationId;
use weituo_events::payload::{Grade, Renews, RulebookPin, TerminationGrounds};

use crate::cycle::{Cycle, Honour, Milestones, Money};

/// One year of a cycle in a summary.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct YearSummary {
    /// Grade of the yearly assessment (分年评估).
    pub assessment_grade: Option<Grade>,
    /// Its score in hundredths of a point.
    pub assessment_score_centi: Option<i64>,
    /// Grade of the yearly supervision (年度督导及考核).
    pub supervision_grade: Option<Grade>,
    /// Its score in hundredths of a point.
    pub supervision_score_centi: Option<i64>,
}

/// One cycle as a trustee's or a school's history shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CycleSummary {
    /// How many activities.
    pub activities: u32,
    /// Id of the agreement.
    pub agreement: String,
    /// The bureau that bound the parties; until then the one that opened the cycle.
    pub bureau: Option<SmolStr>,
    /// Corrections made.
    pub corrections: u32,
    /// Entries recorded.
    pub entries: u64,
    /// Grade of the end-of-term evaluation.
    pub evaluation_grade: Option<Grade>,
    /// Its score in hundredths of a point.
    pub evaluation_score_centi: Option<i64>,
    /// Commendations, praise and prizes.
    pub honours: Vec<Honour>,
    /// Breaches found when entries were taken in, by rule.
    pub irregularities: BTreeMap<String, u32>,
    /// The lead school.
    pub lead: Option<OrganisationId>,
    /// The members.
    pub members: Vec<OrganisationId>,
    /// Dates that its state depends on.
    pub milestones: Milestones,
    /// Money.
    pub money: Money,
    /// Name of the group.
    pub name: Option<SmolStr>,
    /// Objections that are not decided.
    pub open_objections: u32,
    /// Whether another round follows.
    pub renewal: Option<bool>,
    /// The cycle that it renews.
    pub renews: Option<Renews>,
    /// The round, from 1.
    pub round: u32,
    /// The rulebook pinned.
    pub rulebook: Option<RulebookPin>,
    /// The entrusted school.
    pub school: Option<OrganisationId>,
    /// Why it was ended, if it was.
    pub termination: Option<TerminationGrounds>,
    /// The trustee.
    pub trustee: Option<OrganisationId>,
    /// True when a matter is still to be put right.
    pub under_rectification: bool,
    /// Assessments and supervisions by year.
    pub years: BTreeMap<u32, YearSummary>,
}

impl CycleSummary {
    /// Returns the summary of a cycle.
    pub fn of(cycle: &Cycle) -> Self {
        let facts = &cycle.facts;
        let mut years: BTreeMap<u32, YearSummary> = BTreeMap::new();
        for (year, judgement) in &facts.assessments {
            let entry = years.entry(*year).or_default();
            entry.assessment_grade = judgement.grade;
            entry.assessment_score_centi = judgement.score_centi;
        }
        for (year, judgement) in &facts.supervisions {
            let entry = years.entry(*year).or_default();
            entry.supervision_grade = judgement.grade;
            entry.supervision_score_centi = judgement.score_centi;
        }
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Self {
            activities: facts.activities.values().sum(),
            agreement: cycle.id.clone(),
            bureau: facts.bureau.clone(),
            corrections: count(cycle.records.iter().map(|record| record.corrections.len()).sum()),
            entries: cycle.last_sequence(),
            evaluation_grade: facts.evaluation.as_ref().map(|evaluation| evaluation.grade),
            evaluation_score_centi: facts.evaluation.as_ref().map(|evaluation| evaluation.score_centi),
            honours: facts.honours.clone(),
            irregularities: cycle
                .irregularity_counts()
                .into_iter()
                .map(|(rule, times)| (rule.to_owned(), times))
                .collect(),
            lead: facts.lead.clone(),
            members: facts.members.iter().cloned().collect(),
            milestones: facts.milestones(),
            money: facts.money.clone(),
            name: facts.name.clone(),
            open_objections: count(facts.open_objections().count()),
            renewal: facts.renewal,
            renews: facts.renews.clone(),
            round: facts.round(),
            rulebook: facts.rulebook.clone(),
            school: facts.school.clone(),
            termination: facts.termination.as_ref().map(|termination| termination.grounds),
            trustee: facts.trustee.clone(),
            under_rectification: facts.open_matters().next().is_some(),
            years,
        }
    }

    /// Returns the organisations that manage: the trustee, or the lead school.
    pub fn trustee_side(&self) -> impl Iterator<Item = &OrganisationId> {
        let lead = self.lead.as_ref().filter(|lead| Some(*lead) != self.trustee.as_ref());
        self.trustee.iter().chain(lead)
    }

    /// Returns the organisations that are managed: the entrusted school, and the members.
    pub fn school_side(&self) -> impl Iterator<Item = &OrganisationId> {
        let members = self.members.iter().filter(|member| Some(*member) != self.school.as_ref());
        self.school.iter().chain(members)
    }
}
