//! One entry as a cycle keeps it: what it says now, and what it said before it was corrected.
//!
//! Absent: evidence and sealed notes, which no fold depends on; they stand in the entry itself.

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use weituo_events::payload::{Confidential, Paper, RecordCorrected, RulebookPin};
use weituo_events::{Event, EventType, Recorded};
use weituo_proof::{Effective, Hash, LeafIndex, RecordedAt};

/// One entry of a cycle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// True when recorded afterwards from paper.
    pub as_found: bool,
    /// The organisation that recorded it.
    pub by: SmolStr,
    /// What was corrected, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub corrections: Vec<Correction>,
    /// When it took place, after corrections.
    pub effective: Effective,
    /// What happened, after corrections.
    pub event: Event,
    /// Its leaf hash.
    pub leaf_hash: Hash,
    /// Its 0-based place in the log.
    pub leaf_index: LeafIndex,
    /// When the log took it in.
    pub recorded_at: RecordedAt,
    /// Working days from the act to its recording, where the rulebook allows fewer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded_after: Option<u32>,
    /// In what capacity it was recorded.
    pub role: SmolStr,
    /// Its 1-based place in the stream.
    pub sequence: u64,
}

/// What a correction replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Correction {
    /// The effective date before, where it was corrected.
    pub effective_before: Option<Effective>,
    /// The event before, where it was corrected.
    pub event_before: Option<Box<Event>>,
    /// Sequence of the correction.
    pub sequence: u64,
}

impl Record {
    /// Returns what a cycle keeps of an entry.
    pub(super) fn of(recorded: &Recorded, recorded_after: Option<u32>) -> Self {
        Self {
            as_found: recorded.act.as_found,
            by: recorded.act.actor.organisation.clone(),
            corrections: Vec::new(),
            effective: recorded.act.effective.clone(),
            event: slim(recorded.act.event.clone()),
            leaf_hash: recorded.leaf_hash,
            leaf_index: recorded.leaf_index,
            recorded_at: recorded.recorded_at,
            recorded_after,
            role: recorded.act.actor.role.clone(),
            sequence: recorded.sequence,
        }
    }

    /// Returns the type of what happened.
    pub fn event_type(&self) -> EventType {
        self.event.event_type()
    }

    /// Takes a correction in. One that would change the record's type is left out: it was refused, or is forged.
    pub(crate) fn correct(&mut self, sequence: u64, correction: &RecordCorrected) {
        let replacement = correction
            .replacement
            .as_ref()
            .filter(|replacement| replacement.0.event_type() == self.event_type())
            .map(|replacement| slim((*replacement.0).clone()));
        let event_before = replacement.map(|event| Box::new(std::mem::replace(&mut self.event, event)));
        let effective_before =
            correction.effective.clone().map(|effective| std::mem::replace(&mut self.effective, effective));
        if event_before.is_some() || effective_before.is_some() {
            self.corrections.push(Correction { effective_before, event_before, sequence });
        }
    }
}

/// Leaves out what no fold depends on.
fn slim(mut event: Event) -> Event {
    if let Some(paper) = paper_mut(&mut event) {
        paper.evidence.clear();
        paper.note = None;
    }
    if let Event::RecordCorrected(correction) = &mut event {
        correction.replacement = None;
    }
    event
}

macro_rules! papers {
    ($($plain:ident)* ; $($confidential:ident)*) => {
        /// Returns the paper behind an event, where it has one and it is not sealed whole.
        pub fn paper(event: &Event) -> Option<&Paper> {
            match event {
                $(Event::$plain(payload) => Some(&payload.paper),)*
                $(Event::$confidential(Confidential::Clear(payload)) => Some(&payload.paper),)*
                _ => None,
            }
        }

        fn paper_mut(event: &mut Event) -> Option<&mut Paper> {
            match event {
                $(Event::$plain(payload) => Some(&mut payload.paper),)*
                $(Event::$confidential(Confidential::Clear(payload)) => Some(&mut payload.paper),)*
                _ => None,
            }
        }
    };
}

papers! {
    SchemeIssued PartiesDesignated ConsentGranted ConsentRefused FundsBudgeted FundsDisbursed ServiceAccepted
    FundsSettled FundsRecovered AgreementSigned AgreementAmended PlanSubmitted PlanAccredited PlanReturned
    AnnualGoalsSet AnnualAssessmentRecorded AnnualSupervisionRecorded MidTermReviewRecorded ActivityRecorded
    ResourceTransferConsented ResourceTransferred RecordAcknowledged RectificationOrdered RectificationReported
    RectificationAccepted CommendationAwarded PraiseCirculated PrizeAwarded SelfEvaluationSubmitted PanelConvened
    RecusalDeclared EndOfTermEvaluationRecorded ResultPublicised AgreementTerminated RenewalDecided
    HandoverCompleted CycleClosed GroupApproved CharterAdopted DocumentLodged FilingAccepted PartyAdmitted
    PartyExited QualityMonitored ObjectionFiled ObjectionResolved RecordCorrected AuditFindingRecorded
    OrganisationRegistered OrganisationChanged OrganisationClosed SigningKeyRevoked RulebookAdopted RulebookRepealed
    LogKeyRevoked LogFrozen AnchorAccepted;
    InterviewHeld AccountabilityImposed MatterReferred EvidenceAttached
}

/// Returns the rulebook that an event pins.
pub fn pinned_by(event: &Event) -> Option<&RulebookPin> {
    match event {
        Event::SchemeIssued(payload) => Some(&payload.rulebook),
        Event::PartiesDesignated(payload) => Some(&payload.rulebook),
        Event::AgreementSigned(payload) => Some(&payload.rulebook),
        Event::GroupApproved(payload) => Some(&payload.rulebook),
        _ => None,
    }
}

/// Returns the year of the cycle, from 1, that an event says it is about.
pub fn year_of(event: &Event) -> Option<u32> {
    match event {
        Event::AnnualGoalsSet(payload) => Some(payload.year),
        Event::AnnualAssessmentRecorded(payload) => Some(payload.year),
        Event::AnnualSupervisionRecorded(payload) => Some(payload.year),
        Event::FundsDisbursed(payload) => payload.year,
        Event::ServiceAccepted(payload) => payload.year,
        Event::DocumentLodged(payload) => payload.year,
        _ => None,
    }
}
