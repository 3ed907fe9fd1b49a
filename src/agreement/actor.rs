//! Who acts: the role must be one that may record the event, and the organisation must hold it in this cycle.
//!
//! Source: regions.md, Parties and roles; Acts, "recorded by".

use std::collections::BTreeSet;

use weituo_events::payload::OrganisationKind;
use weituo_events::{Act, Event, OrganisationId, Refusal, Role};
use weituo_projections::dates::{earliest, latest};
use weituo_projections::{Cycle, Organisation};
use weituo_proof::Language;

use super::named::joining;
use crate::deciding::Context;

/// Returns the actor's role, when the vocabulary lets it record this event at all.
///
/// # Errors
/// A refusal that names the roles that may.
pub(crate) fn allowed_role(act: &Act) -> Result<Role, Refusal> {
    let event_type = act.event.event_type();
    let allowed = event_type.recorders();
    let role = act.actor.role.parse::<Role>().ok();
    role.filter(|role| allowed.contains(role)).ok_or_else(|| {
        let names = |language| allowed.iter().map(|role| role.label(language)).collect::<Vec<_>>().join(", ");
        let codes = allowed.iter().map(|role| role.code()).collect::<Vec<_>>().join(", ");
        Refusal::forbidden(
            "role-not-allowed",
            format!(
                "「{}」不由 {:?} 记录;可由:{}({codes})",
                event_type.label(Language::Zh),
                act.actor.role,
                names(Language::Zh)
            ),
            format!(
                "{} is not recorded by {:?}; it is by: {} ({codes})",
                event_type.label(Language::En),
                act.actor.role,
                names(Language::En)
            ),
        )
    })
}

/// Checks that the actor is registered and holds its role in this cycle.
pub(super) fn check(cycle: &Cycle, act: &Act, context: &Context) -> Result<(), Refusal> {
    let role = allowed_role(act)?;
    let id = act.actor.organisation.as_str();
    let Some(organisation) = context.organisation(id) else {
        return Err(super::named::unknown(id));
    };
    if let Some(closed) =
        organisation.closed.as_ref().filter(|closed| latest(&closed.on) < earliest(&act.effective))
    {
        return Err(Refusal::forbidden(
            "actor-closed",
            format!("{id} 已于 {} 撤并,此后的行为应由承接单位记录", closed.on),
            format!(
                "{id} was closed on {}; what comes after is recorded by whoever took its place",
                closed.on
            ),
        ));
    }
    match role {
        Role::Bureau => bureau(cycle, act, organisation, context),
        Role::Inspectorate => inspectorate(cycle, act, organisation, context),
        Role::Superior => superior(cycle, act, organisation, context),
        Role::Board => board(cycle, act, organisation, context),
        Role::Trustee | Role::School | Role::Lead | Role::Member => party(cycle, act, role),
        Role::Expert => expert(cycle, act),
        Role::Operator => Ok(()),
    }
}

fn is_authority(organisation: &Organisation) -> bool {
    matches!(organisation.kind(), Some(OrganisationKind::Bureau | OrganisationKind::SuperiorAuthority))
}

fn wrong_kind(id: &str, role: Role) -> Refusal {
    Refusal::forbidden(
        "role-not-held",
        format!("{id} 登记的类别不是{}", role.label(Language::Zh)),
        format!("{id} is not registered as a kind that acts as {}", role.label(Language::En)),
    )
}

fn not_held(id: &str, role: Role, who: &[OrganisationId]) -> Refusal {
    let names = if who.is_empty() {
        "-".to_owned()
    } else {
        who.iter().map(OrganisationId::as_str).collect::<Vec<_>>().join(", ")
    };
    Refusal::forbidden(
        "role-not-held",
        format!("{id} 在本轮次不是{};可由:{names}", role.label(Language::Zh)),
        format!("{id} is not the {} of this cycle; accepted from: {names}", role.label(Language::En)),
    )
}

/// Those above the school and the lead school, and the bureau of this cycle with those above it: once school or lead
/// school is known, only where it stands above them or is a root.
fn authorities(cycle: &Cycle, context: &Context) -> Vec<OrganisationId> {
    let facts = &cycle.facts;
    let managed: Vec<_> = facts.school.iter().chain(&facts.lead).collect();
    let over: Vec<_> = managed.iter().flat_map(|id| context.above(id.as_str())).collect();
    let bureau = facts.bureau.as_ref().and_then(|id| OrganisationId::new(id.clone()).ok());
    let bureau = bureau.filter(|id| managed.is_empty() || over.contains(id) || context.is_root(id.as_str()));
    let mut found: Vec<OrganisationId> = bureau.iter().cloned().collect();
    found.extend(bureau.iter().flat_map(|id| context.above(id.as_str())));
    found.extend(over);
    authorities_among(found, context)
}

/// Those of a list that are authorities, each once.
fn authorities_among(mut list: Vec<OrganisationId>, context: &Context) -> Vec<OrganisationId> {
    let mut seen = BTreeSet::new();
    list.retain(|id| context.organisation(id.as_str()).is_some_and(is_authority) && seen.insert(id.clone()));
    list
}

fn bureau(cycle: &Cycle, act: &Act, organisation: &Organisation, context: &Context) -> Result<(), Refusal> {
    let id = act.actor.organisation.as_str();
    if !is_authority(organisation) {
        return Err(wrong_kind(id, Role::Bureau));
    }
    let allowed = match joining(&act.event).first() {
        // Who becomes bound, is bound by an authority above the school or lead school, whoever opened the cycle.
        Some(managed) => {
            let above = context.above(managed.as_str());
            authorities_among(above.into_iter().chain(context.roots.iter().cloned()).collect(), context)
        }
        // A scheme can be issued before anybody is named.
        None if cycle.is_new() => return Ok(()),
        None => authorities(cycle, context),
    };
    if allowed.iter().any(|allowed| allowed.as_str() == id) {
        return Ok(());
    }
    Err(not_held(id, Role::Bureau, &allowed))
}

fn inspectorate(
    cycle: &Cycle,
    act: &Act,
    organisation: &Organisation,
    context: &Context,
) -> Result<(), Refusal> {
    let id = act.actor.organisation.as_str();
    if organisation.kind() != Some(OrganisationKind::Inspectorate) {
        return Err(wrong_kind(id, Role::Inspectorate));
    }
    let allowed = authorities(cycle, context);
    if context.above(id).iter().any(|above| allowed.contains(above)) {
        return Ok(());
    }
    Err(Refusal::forbidden(
        "role-not-held",
        format!("{id} 不隶属于本轮次的主管部门"),
        format!(
            "{id} is under none of the authorities of this cycle: an inspectorate under one of them is accepted"
        ),
    ))
}

/// The school whose consent is given, or a refusal that asks for it.
fn school(cycle: &Cycle) -> Result<&OrganisationId, Refusal> {
    cycle.facts.school.as_ref().or(cycle.facts.lead.as_ref()).ok_or_else(|| {
        Refusal::contradicts(
            "school-unknown",
            "本轮次尚未落实托管学校,无法判断由谁同意;应先记录「落实托管双方名单」",
            "no school is designated yet, so nobody can consent for it; record the designation of the parties first",
        )
    })
}

fn superior(cycle: &Cycle, act: &Act, organisation: &Organisation, context: &Context) -> Result<(), Refusal> {
    let id = act.actor.organisation.as_str();
    if !is_authority(organisation) {
        return Err(wrong_kind(id, Role::Superior));
    }
    let mut allowed = context.above(school(cycle)?.as_str());
    allowed.retain(|above| context.organisation(above.as_str()).is_some_and(is_authority));
    if allowed.iter().any(|above| above.as_str() == id) {
        return Ok(());
    }
    Err(not_held(id, Role::Superior, &allowed))
}

fn board(cycle: &Cycle, act: &Act, organisation: &Organisation, context: &Context) -> Result<(), Refusal> {
    let id = act.actor.organisation.as_str();
    if organisation.kind() != Some(OrganisationKind::Board) {
        return Err(wrong_kind(id, Role::Board));
    }
    let school = school(cycle)?;
    // A board is registered as the authority above its school.
    if context.above(school.as_str()).iter().any(|above| above.as_str() == id) {
        return Ok(());
    }
    Err(Refusal::forbidden(
        "role-not-held",
        format!("{id} 不是 {school} 的董(理)事会(登记为其上级)"),
        format!(
            "{id} is not the board of {school}: the board registered as the school's superior is accepted"
        ),
    ))
}

fn party(cycle: &Cycle, act: &Act, role: Role) -> Result<(), Refusal> {
    let facts = &cycle.facts;
    let who: Vec<OrganisationId> = match role {
        Role::Trustee => facts.trustee.iter().cloned().collect(),
        Role::School => facts.school.iter().cloned().collect(),
        Role::Lead => facts.lead.iter().cloned().collect(),
        _ => facts.members.iter().cloned().collect(),
    };
    let id = act.actor.organisation.as_str();
    if who.iter().any(|party| party.as_str() == id) { Ok(()) } else { Err(not_held(id, role, &who)) }
}

/// An expert acts through the organisation that employs it.
fn expert(cycle: &Cycle, act: &Act) -> Result<(), Refusal> {
    let seats = cycle.facts.seated();
    let employers: Vec<OrganisationId> = seats
        .filter(|seat| match &act.event {
            Event::RecusalDeclared(payload) => payload.expert == seat.expert,
            _ => true,
        })
        .map(|seat| seat.employer.clone())
        .collect();
    let id = act.actor.organisation.as_str();
    if employers.iter().any(|employer| employer.as_str() == id) {
        return Ok(());
    }
    Err(not_held(id, Role::Expert, &employers))
}
