//! Deciding: from a stream's state and one act asked for to that act complete, or a refusal.
//!
//! Invariants: pure; what a decision needs beyond the stream's own state is in the [`Context`], loaded beforehand from
//! what [`mentions`] and [`mentions_of`] name; what is decided is completed (digests, leaf hashes, parties) and nothing
//! else of it is changed.
//! Absent: storage, clocks, capacity across cycles (`weituo_projections::Claims`, asked by the writer at the commit).
//! Source: design.md, Words ("It refuses only what cannot be true …").

pub mod offline;
mod signature;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::NaiveDate;
use weituo_events::payload::OrganisationKind;
use weituo_events::{Act, Event, OrganisationId, Refusal};
use weituo_projections::{Cycle, Organisation, Rulebooks, StreamState};
use weituo_proof::{Origin, StreamName};

use crate::{agreement, organisation, rulebook};

pub(crate) use signature::{addressed, holders};

/// What is known of the value that a command wants erased.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErasureTarget {
    /// Digests of the values that the named entry seals.
    pub digests: Vec<String>,
    /// True when the erasure of the digest named is recorded.
    pub erased: bool,
    /// True when its disclosure is there.
    pub kept: bool,
}

/// What a decision needs beyond the stream's own state.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// The entry whose value is to be erased; absent when there is no such entry.
    pub erasure: Option<ErasureTarget>,
    /// The ledger's origin, which signatures are bound to; without it none holds.
    pub ledger: Option<Origin>,
    /// Organisations by id: those mentioned, and every authority above them.
    pub organisations: BTreeMap<OrganisationId, Arc<Organisation>>,
    /// The day of recording, in the ledger's zone.
    pub recorded_on: NaiveDate,
    /// The cycle that a signing says it renews; absent when there is none.
    pub renewed: Option<Arc<Cycle>>,
    /// The root bureaus, as the log's opening names them.
    pub roots: Vec<OrganisationId>,
    /// Rulebooks adopted.
    pub rulebooks: Arc<Rulebooks>,
}

impl Context {
    /// Returns an organisation, if it is registered.
    pub fn organisation(&self, id: &str) -> Option<&Organisation> {
        self.organisations.get(id).map(AsRef::as_ref).filter(|organisation| organisation.is_registered())
    }

    /// Returns true for a registered bureau that was not closed.
    pub fn is_bureau(&self, id: &str) -> bool {
        self.organisation(id).is_some_and(|organisation| {
            organisation.closed.is_none()
                && matches!(
                    organisation.kind(),
                    Some(OrganisationKind::Bureau | OrganisationKind::SuperiorAuthority)
                )
        })
    }

    /// Returns true for a root bureau.
    pub fn is_root(&self, id: &str) -> bool {
        self.roots.iter().any(|root| root.as_str() == id)
    }

    /// Returns the authorities above an organisation, nearest first.
    pub fn above(&self, id: &str) -> Vec<OrganisationId> {
        let mut above: Vec<OrganisationId> = Vec::new();
        let mut at = self.organisation(id).and_then(Organisation::superior);
        // A registry that goes round in a circle was refused; this stops at one all the same.
        while let Some(next) = at.filter(|next| next.as_str() != id && !above.contains(next)) {
            above.push(next.clone());
            at = self.organisation(next.as_str()).and_then(Organisation::superior);
        }
        above
    }
}

/// What an act or a state names outside its own stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mentions {
    /// Agreement streams.
    pub agreements: BTreeSet<StreamName>,
    /// Organisations; the authorities above them are wanted as well.
    pub organisations: BTreeSet<OrganisationId>,
}

/// Returns what an act names. An enrolment of a key names the root bureaus as well: whether it may be unsigned depends on
/// their keys.
pub fn mentions(act: &Act, roots: &[OrganisationId]) -> Mentions {
    let mut found = Mentions::default();
    found.organisations.extend(OrganisationId::new(act.actor.organisation.clone()).ok());
    if act.stream.category() == "organisation" {
        found.organisations.extend(OrganisationId::new(act.stream.id()).ok());
    }
    if matches!(act.event, Event::SigningKeyEnrolled(_)) {
        found.organisations.extend(roots.iter().cloned());
    }
    of_event(&act.event, &mut found);
    found
}

fn of_event(event: &Event, found: &mut Mentions) {
    found.organisations.extend(organisations_of(event).into_iter().cloned());
    match event {
        Event::AgreementSigned(payload) => {
            found.agreements.extend(payload.renews.iter().map(|renews| renews.stream.clone()));
        }
        Event::RecordCorrected(payload) => {
            if let Some(replacement) = &payload.replacement {
                of_event(&replacement.0, found);
            }
        }
        _ => {}
    }
}

/// Returns the organisations that an event names.
pub fn organisations_of(event: &Event) -> Vec<&OrganisationId> {
    match event {
        Event::PartiesDesignated(payload) => vec![&payload.school, &payload.trustee],
        Event::AgreementSigned(payload) => {
            let approved = payload.exception.as_ref().and_then(|exception| exception.approved_by.as_ref());
            let signed = payload.countersigned.iter().map(|signature| &signature.organisation);
            [&payload.school, &payload.trustee].into_iter().chain(approved).chain(signed).collect()
        }
        Event::AgreementAmended(payload) => {
            payload.exception.iter().filter_map(|exception| exception.approved_by.as_ref()).collect()
        }
        Event::FundsDisbursed(payload) => vec![&payload.to],
        Event::FundsRecovered(payload) => vec![&payload.from],
        Event::ActivityRecorded(payload) => payload.organisations.iter().collect(),
        Event::ResourceTransferConsented(payload) | Event::ResourceTransferred(payload) => {
            vec![&payload.from, &payload.to]
        }
        Event::RectificationOrdered(payload)
        | Event::RectificationReported(payload)
        | Event::RectificationAccepted(payload) => payload.of.iter().collect(),
        Event::AccountabilityImposed(weituo_events::payload::Confidential::Clear(payload)) => {
            vec![&payload.of]
        }
        Event::CommendationAwarded(payload) | Event::PraiseCirculated(payload) => vec![&payload.recipient],
        Event::PrizeAwarded(payload) => vec![&payload.recipient],
        Event::PanelConvened(payload) => payload.members.iter().map(|member| &member.employer).collect(),
        Event::GroupApproved(payload) => std::iter::once(&payload.lead).chain(&payload.members).collect(),
        Event::DocumentLodged(payload) => vec![&payload.with],
        Event::PartyAdmitted(payload) | Event::PartyExited(payload) => vec![&payload.organisation],
        Event::QualityMonitored(payload) => payload.organisation.iter().collect(),
        Event::OrganisationRegistered(payload) => payload.superior.iter().collect(),
        Event::OrganisationChanged(payload) => payload.superior.iter().collect(),
        Event::OrganisationClosed(payload) => payload.merged_into.iter().collect(),
        _ => Vec::new(),
    }
}

/// Returns what a stream's state names.
pub fn mentions_of(state: &StreamState) -> Mentions {
    let mut found = Mentions::default();
    match state {
        StreamState::Agreement(cycle) => {
            let facts = &cycle.facts;
            let parties = facts.school.iter().chain(&facts.trustee).chain(&facts.lead).chain(&facts.members);
            found.organisations.extend(parties.cloned());
            found
                .organisations
                .extend(facts.bureau.as_ref().and_then(|id| OrganisationId::new(id.clone()).ok()));
        }
        StreamState::Organisation(organisation) => {
            found.organisations.extend(organisation.superior().cloned());
        }
        StreamState::Rulebook(stream) => {
            let adopter = stream.adopter.as_ref().and_then(|id| OrganisationId::new(id.clone()).ok());
            found.organisations.extend(adopter);
        }
        StreamState::Log => {}
    }
    found
}

/// Decides on one act.
///
/// # Errors
/// A refusal that says what would be accepted.
pub fn decide(state: &StreamState, act: Act, context: &Context) -> Result<Act, Refusal> {
    signature::check(&act, context)?;
    let stated = act.parties.clone();
    let signed = act.signature.is_some().then(|| act.clone());
    let decided = match state {
        StreamState::Agreement(cycle) => agreement::decide(cycle, act, context)?,
        StreamState::Organisation(state) => alone(organisation::decide(state, act, context)?),
        StreamState::Rulebook(stream) => alone(rulebook::decide(stream, act, context)?),
        StreamState::Log => alone(erasure(act, context)?),
    };
    if signed.is_some() || !stated.is_empty() {
        signature::parties(&stated, &decided)?;
    }
    signed.map_or(Ok(()), |signed| signature::complete(&signed, &decided))?;
    Ok(decided)
}

/// Only acts of an agreement make parties.
fn alone(mut act: Act) -> Act {
    act.parties.clear();
    act
}

/// Decides on an erasure: the only entry of a `log/…` stream that a command makes.
fn erasure(act: Act, context: &Context) -> Result<Act, Refusal> {
    let Event::DisclosureErased(payload) = &act.event else {
        return Err(Refusal::forbidden(
            "log-event",
            format!("{} 只由台账自己记录", act.event.event_type()),
            format!("{} is recorded by the ledger itself only", act.event.event_type()),
        ));
    };
    agreement::allowed_role(&act)?;
    if act.actor.role == "bureau" && !context.is_root(&act.actor.organisation) {
        return Err(Refusal::forbidden(
            "erasure-by",
            "擦除披露由台账运行方或根主管部门记录",
            "an erasure is recorded by the operator or by a root bureau",
        ));
    }
    if act.stream.id() != "main" {
        return Err(Refusal::invalid(
            "erasure-stream",
            "擦除披露记在 log/main",
            "an erasure is recorded in log/main",
        ));
    }
    if payload.grounds.trim().is_empty() {
        return Err(Refusal::invalid(
            "erasure-grounds",
            "须写明擦除的依据",
            "say on what grounds it is erased",
        ));
    }
    let Some(target) = &context.erasure else {
        let leaf = payload.leaf_index;
        return Err(Refusal::invalid(
            "erasure-entry",
            format!("没有第 {leaf} 条存证记录"),
            format!("there is no entry at leaf {leaf}"),
        ));
    };
    if !target.digests.contains(&payload.digest) {
        let known = if target.digests.is_empty() { "-".to_owned() } else { target.digests.join(", ") };
        return Err(Refusal::invalid(
            "erasure-digest",
            format!("该条没有密封此摘要;密封的有:{known}"),
            format!("that entry seals no value of this digest; it seals: {known}"),
        ));
    }
    if target.erased {
        return Err(Refusal::contradicts(
            "erased-before",
            "该披露已经擦除",
            "that disclosure was erased before",
        ));
    }
    // Recorded now, its erasure would explain what somebody did to the database.
    if !target.kept {
        return Err(Refusal::contradicts(
            "disclosure-missing",
            "该披露已不在库中,却没有擦除的记录:请运行 `weituo verify`,并将有它的备份恢复到空的地方",
            "that disclosure is gone although no erasure is recorded: run `weituo verify`, and restore a backup that has it \
             into an empty place",
        ));
    }
    Ok(act)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use weituo_events::Command;

    use super::*;

    fn erase(by: (&str, &str), target: Option<ErasureTarget>) -> Result<Act, Refusal> {
        let command = json!({
            "command": "00000000-0000-4000-8000-0000000000dd",
            "do": "EraseDisclosure",
            "stream": "log/main",
            "actor": { "organisation": by.0, "role": by.1 },
            "effective": "2020-01-10",
            "payload": { "digest": "d", "grounds": "个人信息保护法第四十七条", "leaf_index": 3 }
        });
        let act = Command::parse(&command.to_string())?.act(None)?;
        let roots = vec![OrganisationId::new("bureau-wz").unwrap()];
        let context = Context { erasure: target, roots, ..Context::default() };
        decide(&StreamState::Log, act, &context)
    }

    fn target(erased: bool) -> ErasureTarget {
        ErasureTarget { digests: vec!["d".to_owned()], erased, kept: !erased }
    }

    #[test]
    fn an_erasure_names_a_value_that_is_sealed_and_still_there() {
        assert!(erase(("operator", "operator"), Some(target(false))).is_ok());
        assert!(erase(("bureau-wz", "bureau"), Some(target(false))).is_ok());
        let code = |result: Result<Act, Refusal>| result.unwrap_err().code.into_owned();
        assert_eq!(code(erase(("bureau-county", "bureau"), Some(target(false)))), "erasure-by");
        assert_eq!(code(erase(("school-jia", "school"), Some(target(false)))), "role-not-allowed");
        assert_eq!(code(erase(("operator", "operator"), Some(target(true)))), "erased-before");
        assert_eq!(code(erase(("operator", "operator"), None)), "erasure-entry");
        assert_eq!(code(erase(("operator", "operator"), Some(ErasureTarget::default()))), "erasure-digest");
    }
}
