//! Who is named: every organisation that an act names is registered, and one that becomes a party still exists.

use weituo_events::{Act, Event, OrganisationId, Refusal};
use weituo_projections::dates::{earliest, latest};

use crate::deciding::{Context, organisations_of};

/// Returns the refusal of an organisation that is not registered.
pub(super) fn unknown(id: &str) -> Refusal {
    Refusal::invalid(
        "organisation-unknown",
        format!("机构 {id} 没有登记;应先用 RegisterOrganisation 登记"),
        format!("organisation {id} is not registered; register it first (RegisterOrganisation)"),
    )
}

/// Checks every organisation that an act names.
pub(super) fn check(act: &Act, context: &Context) -> Result<(), Refusal> {
    let event = match &act.event {
        Event::RecordCorrected(payload) => payload.replacement.as_ref().map_or(&act.event, |event| &*event.0),
        event => event,
    };
    for id in organisations_of(event) {
        if context.organisation(id.as_str()).is_none() {
            return Err(unknown(id.as_str()));
        }
    }
    for id in joining(&act.event) {
        let closed = context.organisation(id.as_str()).and_then(|organisation| organisation.closed.as_ref());
        if let Some(closed) = closed.filter(|closed| latest(&closed.on) < earliest(&act.effective)) {
            let taker = closed.merged_into.as_ref().map_or("-", OrganisationId::as_str);
            return Err(Refusal::contradicts(
                "party-closed",
                format!("{id} 已于 {} 撤并,不能成为当事方;承接单位:{taker}", closed.on),
                format!(
                    "{id} was closed on {} and cannot become a party; in its place stands: {taker}",
                    closed.on
                ),
            ));
        }
    }
    Ok(())
}

/// The organisations that become parties by an event.
pub(crate) fn joining(event: &Event) -> Vec<&OrganisationId> {
    match event {
        Event::PartiesDesignated(payload) => vec![&payload.school, &payload.trustee],
        Event::AgreementSigned(payload) => vec![&payload.school, &payload.trustee],
        Event::GroupApproved(payload) => std::iter::once(&payload.lead).chain(&payload.members).collect(),
        Event::PartyAdmitted(payload) => vec![&payload.organisation],
        _ => Vec::new(),
    }
}
