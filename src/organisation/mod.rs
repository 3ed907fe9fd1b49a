//! Deciding on organisations: registration, change, closure, signing keys.
//!
//! Invariants: an organisation is registered once; what is above it is registered, and no authority stands above itself.
//! Source: regions.md, Acts ("registry"); format.md, Signatures by actors.

mod key;
#[cfg(test)]
mod tests;

use weituo_events::{Act, Event, OrganisationId, Refusal};
use weituo_projections::Organisation;
use weituo_projections::dates::earliest;

use crate::agreement::allowed_role;
use crate::deciding::Context;

/// Decides on one act of an organisation's stream.
///
/// # Errors
/// A refusal that says what would be accepted.
pub fn decide(state: &Organisation, act: Act, context: &Context) -> Result<Act, Refusal> {
    allowed_role(&act)?;
    if earliest(&act.effective) > context.recorded_on {
        return Err(Refusal::invalid(
            "effective-after-recorded",
            format!("发生日期 {} 晚于存证日期 {};只能记录已经发生的行为", act.effective, context.recorded_on),
            format!(
                "the effective date {} is after the day of recording, {}",
                act.effective, context.recorded_on
            ),
        ));
    }
    match &act.event {
        Event::OrganisationRegistered(payload) => {
            if state.is_registered() {
                return Err(Refusal::contradicts(
                    "registered-before",
                    format!("{} 已登记;变更请用 ChangeOrganisation", state.id),
                    format!("{} is registered; changes are recorded with ChangeOrganisation", state.id),
                ));
            }
            named(&payload.name)?;
            by_registrar(&act, payload.superior.as_ref(), context)?;
            superior(act.stream.id(), payload.superior.as_ref(), context)?;
        }
        Event::OrganisationChanged(payload) => {
            open(state, act.stream.id())?;
            by_authority(state, &act, context)?;
            if let Some(name) = &payload.name {
                named(name)?;
            }
            superior(act.stream.id(), payload.superior.as_ref(), context)?;
        }
        Event::OrganisationClosed(payload) => {
            open(state, act.stream.id())?;
            by_authority(state, &act, context)?;
            merged(act.stream.id(), payload.merged_into.as_ref(), context)?;
        }
        Event::SigningKeyEnrolled(payload) => {
            open(state, act.stream.id())?;
            by_itself_or_authority(state, &act, context)?;
            key::enrolled(state, &act, payload, context)?;
        }
        Event::SigningKeyRevoked(payload) => {
            open(state, act.stream.id())?;
            by_itself_or_authority(state, &act, context)?;
            key::revoked(state, payload)?;
        }
        other => {
            return Err(Refusal::invalid(
                "stream-kind",
                format!("{} 不记在机构的流中", other.event_type()),
                format!("{} does not belong to an organisation's stream", other.event_type()),
            ));
        }
    }
    Ok(act)
}

fn named(name: &str) -> Result<(), Refusal> {
    if name.trim().is_empty() {
        return Err(Refusal::invalid("name-empty", "机构名称不能为空", "an organisation has a name"));
    }
    Ok(())
}

fn open(state: &Organisation, id: &str) -> Result<(), Refusal> {
    if !state.is_registered() {
        return Err(unknown(id));
    }
    match &state.closed {
        Some(closed) => Err(Refusal::contradicts(
            "organisation-closed",
            format!("{id} 已于 {} 撤并,此后不再变更", closed.on),
            format!("{id} was closed on {}; nothing about it changes after that", closed.on),
        )),
        None => Ok(()),
    }
}

fn unknown(id: &str) -> Refusal {
    Refusal::invalid(
        "organisation-unknown",
        format!("机构 {id} 没有登记;应先用 RegisterOrganisation 登记"),
        format!("organisation {id} is not registered; register it first (RegisterOrganisation)"),
    )
}

/// A root bureau, or a registered bureau that stands above the organisation.
fn by_registrar(act: &Act, superior: Option<&OrganisationId>, context: &Context) -> Result<(), Refusal> {
    let by = act.actor.organisation.as_str();
    if context.is_root(by) && (by == act.stream.id() || context.is_bureau(by)) {
        return Ok(());
    }
    if !context.is_bureau(by) {
        return Err(Refusal::forbidden(
            "registrar",
            format!("{by} 不是已登记的主管教育行政部门;可由根主管部门 {} 或上级主管部门登记", roots(context)),
            format!(
                "{by} is no registered bureau; registration is accepted from the roots ({}) or a bureau above",
                roots(context)
            ),
        ));
    }
    let above = superior.map_or_else(Vec::new, |superior| {
        std::iter::once(superior.clone()).chain(context.above(superior.as_str())).collect()
    });
    by_one_of(by, &above, context)
}

fn by_authority(state: &Organisation, act: &Act, context: &Context) -> Result<(), Refusal> {
    let by = act.actor.organisation.as_str();
    if context.is_root(by) && context.is_bureau(by) {
        return Ok(());
    }
    let above: Vec<OrganisationId> =
        context.above(&state.id).into_iter().filter(|id| context.is_bureau(id.as_str())).collect();
    by_one_of(by, &above, context)
}

fn by_itself_or_authority(state: &Organisation, act: &Act, context: &Context) -> Result<(), Refusal> {
    if act.actor.organisation == state.id { Ok(()) } else { by_authority(state, act, context) }
}

fn by_one_of(by: &str, allowed: &[OrganisationId], context: &Context) -> Result<(), Refusal> {
    if allowed.iter().any(|id| id.as_str() == by) {
        return Ok(());
    }
    let names: Vec<_> = allowed.iter().map(OrganisationId::as_str).collect();
    Err(Refusal::forbidden(
        "registrar",
        format!("{by} 不是其上级主管部门;可由:{}、{}", names.join(", "), roots(context)),
        format!(
            "{by} does not stand above it; accepted from: {} or a root ({})",
            names.join(", "),
            roots(context)
        ),
    ))
}

fn roots(context: &Context) -> String {
    context.roots.iter().map(OrganisationId::as_str).collect::<Vec<_>>().join(", ")
}

/// The authority above an organisation is registered and does not stand below it.
fn superior(id: &str, superior: Option<&OrganisationId>, context: &Context) -> Result<(), Refusal> {
    let Some(superior) = superior else { return Ok(()) };
    if context.organisation(superior.as_str()).is_none() {
        return Err(unknown(superior.as_str()));
    }
    if superior.as_str() == id || context.above(superior.as_str()).iter().any(|above| above.as_str() == id) {
        return Err(Refusal::invalid(
            "superior-circle",
            format!("{superior} 在 {id} 之下,不能作其上级"),
            format!("{superior} stands below {id} and cannot stand above it"),
        ));
    }
    Ok(())
}

fn merged(id: &str, into: Option<&OrganisationId>, context: &Context) -> Result<(), Refusal> {
    let Some(into) = into else { return Ok(()) };
    if into.as_str() == id {
        return Err(Refusal::invalid(
            "merged-into-itself",
            "机构不能并入自己",
            "an organisation cannot merge into itself",
        ));
    }
    context.organisation(into.as_str()).map(drop).ok_or_else(|| unknown(into.as_str()))
}
