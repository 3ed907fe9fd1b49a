//! Deciding on rulebooks: adoption and repeal of versions.
//!
//! Invariant: versions of one rulebook are adopted in order, each once, under its own id; a pinned version stays
//! readable after its repeal.

#[cfg(test)]
mod tests;

use weituo_events::payload::RulebookAdopted;
use weituo_events::{Act, Event, OrganisationId, Refusal};
use weituo_projections::dates::earliest;
use weituo_projections::{Rulebook, RulebookStream};
use weituo_proof::sha256;

use crate::agreement::allowed_role;
use crate::deciding::Context;

/// Decides on one act of a rulebook's stream.
///
/// # Errors
/// A refusal that says what would be accepted.
pub fn decide(stream: &RulebookStream, mut act: Act, context: &Context) -> Result<Act, Refusal> {
    allowed_role(&act)?;
    let by = act.actor.organisation.as_str();
    if !context.is_bureau(by) {
        return Err(Refusal::forbidden(
            "adopter",
            format!("{by} 不是已登记的主管教育行政部门;规则依据由其启用或废止"),
            format!("{by} is no registered bureau; a bureau adopts and repeals rulebooks"),
        ));
    }
    by_its_adopter(stream, by, context)?;
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
    let id = act.stream.id().to_owned();
    match &mut act.event {
        Event::RulebookAdopted(payload) => adopt(stream, &id, payload)?,
        Event::RulebookRepealed(payload) => repeal(stream, payload.version)?,
        other => {
            return Err(Refusal::invalid(
                "stream-kind",
                format!("{} 不记在规则依据的流中", other.event_type()),
                format!("{} does not belong to a rulebook's stream", other.event_type()),
            ));
        }
    }
    Ok(act)
}

/// What a bureau adopted is carried on or repealed by itself, by one above it, or by a root.
fn by_its_adopter(stream: &RulebookStream, by: &str, context: &Context) -> Result<(), Refusal> {
    let Some(adopter) = &stream.adopter else { return Ok(()) };
    let above = context.above(adopter);
    if by == adopter || context.is_root(by) || above.iter().any(|above| above.as_str() == by) {
        return Ok(());
    }
    let mut allowed = vec![adopter.as_str()];
    for other in above.iter().chain(&context.roots).map(OrganisationId::as_str) {
        if !allowed.contains(&other) {
            allowed.push(other);
        }
    }
    let allowed = allowed.join(", ");
    Err(Refusal::forbidden(
        "adopter",
        format!("{} 由 {adopter} 启用;新版本和废止可由:{allowed}", stream.id),
        format!(
            "{} was adopted by {adopter}; further versions and repeals are accepted from: {allowed}",
            stream.id
        ),
    ))
}

fn adopt(stream: &RulebookStream, id: &str, payload: &mut RulebookAdopted) -> Result<(), Refusal> {
    let rulebook = Rulebook::parse(&payload.text).map_err(|error| {
        Refusal::invalid(
            "rulebook-unreadable",
            format!("规则依据的文本不可用:{error}"),
            format!("the text cannot be adopted: {error}"),
        )
    })?;
    if rulebook.id != id || rulebook.version != payload.version {
        return Err(Refusal::invalid(
            "rulebook-name",
            format!(
                "文本自称 {} 第 {} 版,应记在 rulebook/{} 并写 version {}",
                rulebook.id, rulebook.version, rulebook.id, rulebook.version
            ),
            format!(
                "the text calls itself {} version {}; record it in rulebook/{} with that version",
                rulebook.id, rulebook.version, rulebook.id
            ),
        ));
    }
    let next = stream.newest().saturating_add(1);
    if payload.version != next {
        return Err(Refusal::contradicts(
            "rulebook-version",
            format!("{id} 下一个版本是第 {next} 版,现为第 {} 版", payload.version),
            format!("the next version of {id} is {next}, this one is {}", payload.version),
        ));
    }
    let digest = sha256(&[payload.text.as_bytes()]);
    if payload.digest.is_some_and(|stated| stated != digest) {
        return Err(Refusal::invalid(
            "rulebook-digest",
            format!("文本的摘要是 {digest}"),
            format!("the digest of the text is {digest}"),
        ));
    }
    payload.digest = Some(digest);
    Ok(())
}

fn repeal(stream: &RulebookStream, version: u32) -> Result<(), Refusal> {
    let in_force: Vec<_> = stream
        .versions
        .iter()
        .filter(|(_, state)| state.repealed.is_none())
        .map(|(v, _)| v.to_string())
        .collect();
    if stream.versions.get(&version).is_some_and(|state| state.repealed.is_none()) {
        return Ok(());
    }
    Err(Refusal::contradicts(
        "rulebook-version",
        format!("第 {version} 版没有在用;在用的版本:{}", in_force.join(", ")),
        format!("version {version} is not in force; in force are: {}", in_force.join(", ")),
    ))
}
