//! What holds in a cycle: one fold over its records as they stand after corrections.
//!
//! Invariant: a cycle's facts equal [`Facts::of`] its records after any entry, so they need not be stored.

mod ending;

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use serde::Serialize;
use smol_str::SmolStr;
use weituo_events::payload::{ActivityKind, Goal, GoalResult, Renews, RulebookPin};
use weituo_events::{Event, OrganisationId, Role};

use super::parts::{
    Acknowledgement, At, AuditFinding, Evaluation, ExceptionFact, Honour, Judgement, Matter, Money,
    Objection, Seat, Term, Termination,
};
use super::{Milestones, Record};
use crate::dates;

/// What holds in a cycle.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// What the other side said of records.
    pub acknowledgements: Vec<Acknowledgement>,
    /// How many activities of each kind.
    pub activities: BTreeMap<ActivityKind, u32>,
    /// Yearly assessments (分年评估) by year.
    pub assessments: BTreeMap<u32, Judgement>,
    /// Auditors' findings.
    pub audit_findings: Vec<AuditFinding>,
    /// The bureau that bound the parties; until then the one that opened the cycle.
    pub bureau: Option<SmolStr>,
    /// Its closing.
    pub closed: Option<At>,
    /// Consents, oldest first.
    pub consents: Vec<At>,
    /// The designation of the parties: school and trustee.
    pub designated: Option<(OrganisationId, OrganisationId)>,
    /// Duties delegated.
    pub delegated: Vec<SmolStr>,
    /// The end-of-term evaluation.
    pub evaluation: Option<Evaluation>,
    /// The exception that the agreement was signed or last amended under.
    pub exception: Option<ExceptionFact>,
    /// Price over the whole term, in fen.
    pub fee_fen: Option<i64>,
    /// Fields to be improved.
    pub fields: Vec<SmolStr>,
    /// Form of the arrangement.
    pub form: Option<SmolStr>,
    /// Goals by year.
    pub goals: BTreeMap<u32, Vec<Goal>>,
    /// The handover, by the role that completed it.
    pub handed_over_by: BTreeMap<SmolStr, At>,
    /// Commendations, praise and prizes.
    pub honours: Vec<Honour>,
    /// The lead school.
    pub lead: Option<OrganisationId>,
    /// Rectification matters by id.
    pub matters: BTreeMap<SmolStr, Matter>,
    /// The members.
    pub members: BTreeSet<OrganisationId>,
    /// The mid-term review.
    pub mid_term: Option<Judgement>,
    /// Money.
    pub money: Money,
    /// Name of the group.
    pub name: Option<SmolStr>,
    /// Objections, oldest first.
    pub objections: Vec<Objection>,
    /// The panel of experts, as convened last.
    pub panel: Vec<Seat>,
    /// The plan: submitted, accredited.
    pub plan_accredited: Option<Judgement>,
    /// Submissions of the plan.
    pub plans: Vec<At>,
    /// Publication of the result: first and last day.
    pub publicised: Option<(NaiveDate, NaiveDate)>,
    /// Refusals of consent, oldest first.
    pub refusals: Vec<At>,
    /// Whether another round follows.
    pub renewal: Option<bool>,
    /// The cycle that this one renews.
    pub renews: Option<Renews>,
    /// The rulebook pinned.
    pub rulebook: Option<RulebookPin>,
    /// The entrusted school.
    pub school: Option<OrganisationId>,
    /// Self-evaluations by role.
    pub self_evaluations: BTreeMap<SmolStr, Judgement>,
    /// The signing of the agreement, or the approval of the group.
    pub signed: Option<At>,
    /// Yearly supervisions (年度督导及考核) by year.
    pub supervisions: BTreeMap<u32, Judgement>,
    /// The term.
    pub term: Option<Term>,
    /// The end before its time.
    pub termination: Option<Termination>,
    /// The trustee.
    pub trustee: Option<OrganisationId>,
}

impl Facts {
    /// Returns what holds after these records.
    pub fn of(records: &[Record]) -> Self {
        let mut facts = Self::default();
        for record in records {
            facts.take(record);
        }
        facts
    }

    /// Returns true once the agreement is signed or the group approved.
    pub fn is_signed(&self) -> bool {
        self.signed.is_some()
    }

    /// Returns true when the last word on consent is consent.
    pub fn has_consent(&self) -> bool {
        self.consents.last().map(|at| at.sequence) > self.refusals.last().map(|at| at.sequence)
    }

    /// Returns the round: 1, or what the agreement says.
    pub fn round(&self) -> u32 {
        self.renews.as_ref().map_or(1, |renews| renews.round)
    }

    /// Returns the dates that the cycle's state depends on.
    pub fn milestones(&self) -> Milestones {
        let on = |at: &At| at.effective.clone();
        Milestones {
            closed: self.closed.as_ref().map(on),
            consented: self.consents.last().filter(|_| self.has_consent()).map(on),
            evaluated: self.evaluation.as_ref().map(|evaluation| on(&evaluation.at)),
            handing_over: self.handed_over_by.values().map(on).min(),
            signed: self.signed.as_ref().map(on),
            term: self.term,
            terminated: self.termination.as_ref().map(|termination| on(&termination.at)),
        }
    }

    /// Returns the matters that were ordered to be put right and are not accepted yet, by id.
    pub fn open_matters(&self) -> impl Iterator<Item = (&SmolStr, &Matter)> {
        self.matters.iter().filter(|(_, matter)| matter.ordered.is_some() && matter.accepted.is_none())
    }

    /// Returns the objections that are not decided yet.
    pub fn open_objections(&self) -> impl Iterator<Item = &Objection> {
        self.objections.iter().filter(|objection| objection.resolved.is_none())
    }

    /// Returns the seats of those who did not withdraw.
    pub fn seated(&self) -> impl Iterator<Item = &Seat> {
        self.panel.iter().filter(|seat| seat.recused.is_none())
    }

    /// Returns what an organisation is in this cycle, if it is a party.
    pub fn party_role(&self, organisation: &str) -> Option<Role> {
        let is =
            |party: &Option<OrganisationId>| party.as_ref().is_some_and(|id| id.as_str() == organisation);
        if is(&self.trustee) {
            Some(Role::Trustee)
        } else if is(&self.school) {
            Some(Role::School)
        } else if is(&self.lead) {
            Some(Role::Lead)
        } else {
            self.members.iter().any(|id| id.as_str() == organisation).then_some(Role::Member)
        }
    }

    /// Returns the last day of the term as it turned out: the agreed one, or the day the entrustment was ended.
    pub fn ended_on(&self) -> Option<NaiveDate> {
        let agreed = self.term.and_then(|term| term.end);
        let cut = self.termination.as_ref().map(|ended| dates::latest(&ended.at.effective));
        match (agreed, cut) {
            (Some(agreed), Some(cut)) => Some(agreed.min(cut)),
            (agreed, cut) => agreed.or(cut),
        }
    }

    /// Takes in the stream's next record.
    pub fn take(&mut self, record: &Record) {
        // Whoever opens a cycle is its bureau until the parties are bound, then whoever bound them.
        if record.role == Role::Bureau.code() && (self.bureau.is_none() || self.is_bound_by(&record.event)) {
            self.bureau = Some(record.by.clone());
        }
        self.take_opening(record);
        self.take_course(record);
        self.take_money(record);
        self.take_ending(record);
    }

    fn is_bound_by(&self, event: &Event) -> bool {
        let binds = matches!(
            event,
            Event::PartiesDesignated(_) | Event::AgreementSigned(_) | Event::GroupApproved(_)
        );
        binds && !self.is_signed()
    }

    fn take_opening(&mut self, record: &Record) {
        let at = || At { effective: record.effective.clone(), sequence: record.sequence };
        if let Some(pin) = super::pinned_by(&record.event)
            && !self.is_signed()
        {
            self.rulebook = Some(pin.clone());
        }
        match &record.event {
            Event::PartiesDesignated(payload) => {
                self.designated = Some((payload.school.clone(), payload.trustee.clone()));
                if !self.is_signed() {
                    self.school = Some(payload.school.clone());
                    self.trustee = Some(payload.trustee.clone());
                }
            }
            Event::ConsentGranted(_) => self.consents.push(at()),
            Event::ConsentRefused(_) => self.refusals.push(at()),
            Event::AgreementSigned(payload) if !self.is_signed() => {
                self.signed = Some(at());
                self.school = Some(payload.school.clone());
                self.trustee = Some(payload.trustee.clone());
                self.renews.clone_from(&payload.renews);
                self.form.clone_from(&payload.form);
                self.fields.clone_from(&payload.fields);
                self.delegated.clone_from(&payload.delegated);
                self.fee_fen = payload.fee_fen;
                self.exception = payload.exception.as_ref().map(ExceptionFact::of);
                let end = payload.term_months.map(|months| dates::term_end(payload.term_start, months));
                self.term = Some(Term { end, start: payload.term_start });
            }
            Event::AgreementAmended(payload) => {
                self.fee_fen = payload.fee_fen.or(self.fee_fen);
                if payload.exception.is_some() {
                    self.exception = payload.exception.as_ref().map(ExceptionFact::of);
                }
                if let Some(fields) = &payload.fields {
                    self.fields.clone_from(fields);
                }
                if payload.form.is_some() {
                    self.form.clone_from(&payload.form);
                }
                if let (Some(term), Some(end)) = (&mut self.term, payload.term_end) {
                    term.end = Some(end);
                }
            }
            Event::GroupApproved(payload) if !self.is_signed() => {
                self.signed = Some(at());
                self.name = Some(payload.name.clone());
                self.form.clone_from(&payload.form);
                self.lead = Some(payload.lead.clone());
                self.members.extend(payload.members.iter().cloned());
                let start = payload.term_start.unwrap_or_else(|| dates::earliest(&record.effective));
                let end = payload.term_months.map(|months| dates::term_end(start, months));
                self.term = Some(Term { end, start });
            }
            Event::PartyAdmitted(payload) => {
                self.members.insert(payload.organisation.clone());
            }
            Event::PartyExited(payload) => {
                self.members.remove(&payload.organisation);
            }
            _ => {}
        }
    }

    fn take_course(&mut self, record: &Record) {
        let at = || At { effective: record.effective.clone(), sequence: record.sequence };
        let judged = |grade, score_centi, results: &[GoalResult]| Judgement {
            at: at(),
            grade,
            results: results.to_vec(),
            score_centi,
        };
        match &record.event {
            Event::PlanSubmitted(_) => self.plans.push(at()),
            Event::PlanAccredited(payload) => {
                self.plan_accredited = Some(judged(payload.grade, payload.score_centi, &[]));
            }
            Event::AnnualGoalsSet(payload) => {
                self.goals.entry(payload.year).or_insert_with(|| payload.goals.clone());
            }
            Event::AnnualAssessmentRecorded(payload) => {
                let judgement = judged(payload.grade, Some(payload.score_centi), &payload.results);
                self.assessments.entry(payload.year).or_insert(judgement);
            }
            Event::AnnualSupervisionRecorded(payload) => {
                let judgement = judged(payload.grade, payload.score_centi, &[]);
                self.supervisions.entry(payload.year).or_insert(judgement);
            }
            Event::MidTermReviewRecorded(payload) => {
                self.mid_term.get_or_insert(judged(payload.grade, payload.score_centi, &[]));
            }
            Event::ActivityRecorded(payload) => {
                *self.activities.entry(payload.kind).or_insert(0) += 1;
            }
            Event::RecordAcknowledged(payload) => self.acknowledgements.push(Acknowledgement {
                by: record.by.clone(),
                entry: payload.entry.sequence,
                response: payload.response,
                sequence: record.sequence,
            }),
            Event::RectificationOrdered(payload) => {
                let matter = self.matter(&payload.matter);
                if matter.ordered.is_none() {
                    matter.ordered = Some(at());
                    matter.due_on = payload.due_on;
                    matter.of.clone_from(&payload.of);
                }
            }
            Event::RectificationReported(payload) => {
                self.matter(&payload.matter).reported.get_or_insert_with(at);
            }
            Event::RectificationAccepted(payload) => {
                self.matter(&payload.matter).accepted.get_or_insert_with(at);
            }
            Event::ObjectionFiled(payload) => self.objections.push(Objection {
                entry: payload.entry.sequence,
                filed: at(),
                filed_by: record.by.clone(),
                outcome: None,
                resolved: None,
            }),
            Event::ObjectionResolved(payload) => {
                let named = payload.objection.sequence;
                if let Some(objection) =
                    self.objections.iter_mut().find(|found| found.filed.sequence == named)
                    && objection.resolved.is_none()
                {
                    objection.outcome = Some(payload.outcome);
                    objection.resolved = Some(at());
                }
            }
            Event::AuditFindingRecorded(payload) => self.audit_findings.push(AuditFinding {
                at: at(),
                code: payload.code.clone(),
                severity: payload.severity,
            }),
            _ => {}
        }
    }

    fn matter(&mut self, id: &str) -> &mut Matter {
        let none = Matter { accepted: None, due_on: None, of: None, ordered: None, reported: None };
        self.matters.entry(id.into()).or_insert(none)
    }
}
