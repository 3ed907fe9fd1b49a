//! Corrections: by whoever made the record, of the same type, without touching who is bound or what is pinned.

use weituo_events::{Act, Event, Refusal, Replacement};
use weituo_projections::cycle::{Record, pinned_by, year_of};
use weituo_projections::dates::earliest;
use weituo_projections::{Cycle, rules};
use weituo_proof::Language;

use super::named::joining;
use super::{completion, values};
use crate::deciding::Context;

/// Checks a correction, and completes the replacement that it carries.
pub(super) fn check(cycle: &Cycle, act: &mut Act, context: &Context) -> Result<(), Refusal> {
    let (by, role) = (act.actor.organisation.clone(), act.actor.role.clone());
    let Event::RecordCorrected(payload) = &mut act.event else { return Ok(()) };
    // Its reference was completed, so the record exists.
    let Some(record) = cycle.record(payload.corrects.sequence) else { return Ok(()) };
    if matches!(record.event, Event::RecordCorrected(_)) {
        return Err(Refusal::invalid(
            "correction-of-correction",
            "更正应指向原记录,不指向更正;可对原记录再作一次更正",
            "a correction names the record itself, not a correction of it; correct the record once more",
        ));
    }
    if record.by != by || record.role != role {
        return Err(Refusal::forbidden(
            "correction-by",
            format!("第 {} 条由 {}({})记录,只能由其更正", record.sequence, record.by, record.role),
            format!(
                "entry {} was recorded by {} as {}, who alone may correct it",
                record.sequence, record.by, record.role
            ),
        ));
    }
    if payload.replacement.is_none() && payload.effective.is_none() {
        return Err(Refusal::invalid(
            "correction-empty",
            "更正应写明 replacement(应有的内容)或 effective(应有的发生日期)",
            "a correction says what the record should have said (replacement) or when it took place (effective)",
        ));
    }
    if let Some(effective) = payload.effective.as_ref().filter(|date| earliest(date) > context.recorded_on) {
        return Err(Refusal::invalid(
            "effective-after-recorded",
            format!("发生日期 {effective} 晚于存证日期 {};只能记录已经发生的行为", context.recorded_on),
            format!("the effective date {effective} is after the day of recording, {}", context.recorded_on),
        ));
    }
    let effective = payload.effective.clone().unwrap_or_else(|| record.effective.clone());
    let Some(Replacement(replacement)) = &mut payload.replacement else { return Ok(()) };
    completion::references(cycle, replacement)?;
    complete_pin(record, replacement);
    same_identity(cycle, record, replacement)?;
    match cycle.rulebook(&context.rulebooks) {
        Some(rulebook) => {
            values::check(cycle, replacement, &effective, context, rulebook)?;
            completion::term(replacement, Some(rulebook));
            Ok(())
        }
        None => Err(Refusal::invalid(
            rules::RULEBOOK_MISSING,
            "本轮次的规则依据没有启用",
            "this cycle's rulebook is not adopted",
        )),
    }
}

/// A replacement that names the pinned version without its digest means the same pin.
fn complete_pin(record: &Record, replacement: &mut Event) {
    let Some(kept) = pinned_by(&record.event).cloned() else { return };
    let pin = match replacement {
        Event::SchemeIssued(payload) => &mut payload.rulebook,
        Event::PartiesDesignated(payload) => &mut payload.rulebook,
        Event::AgreementSigned(payload) => &mut payload.rulebook,
        Event::GroupApproved(payload) => &mut payload.rulebook,
        _ => return,
    };
    if pin.digest.is_none() && pin.id == kept.id && pin.version == kept.version {
        pin.digest = kept.digest;
    }
}

/// What a record is about cannot be corrected away: its type, who becomes bound, what is pinned, which year or matter.
fn same_identity(cycle: &Cycle, record: &Record, replacement: &Event) -> Result<(), Refusal> {
    let event_type = record.event_type();
    if replacement.event_type() != event_type {
        return Err(Refusal::invalid(
            "correction-type",
            format!(
                "第 {} 条是「{}」,应有的内容须为同一类型",
                record.sequence,
                event_type.label(Language::Zh)
            ),
            format!("entry {} is of type {event_type}; the replacement is of the same type", record.sequence),
        ));
    }
    if joining(&record.event) != joining(replacement)
        || pinned_by(&record.event) != pinned_by(replacement)
        || renews(&record.event) != renews(replacement)
        || matter(&record.event) != matter(replacement)
    {
        return Err(Refusal::invalid(
            "correction-identity",
            "双方、规则依据、续签关系、整改事项和专家编号不能更正;应中止后另签,或另作记录",
            "parties, rulebook, renewal, matter and expert cannot be corrected; end it and sign anew, or record another act",
        ));
    }
    let year = year_of(replacement);
    let taken = cycle.records.iter().find(|other| {
        other.sequence != record.sequence
            && other.event_type() == event_type
            && once_a_year(&other.event)
            && year_of(&other.event) == year
    });
    match taken {
        Some(other) => Err(Refusal::contradicts(
            "said-already",
            format!("该年度的「{}」已在第 {} 条记录", event_type.label(Language::Zh), other.sequence),
            format!("the {} of that year stands in entry {}", event_type.label(Language::En), other.sequence),
        )),
        None => Ok(()),
    }
}

fn once_a_year(event: &Event) -> bool {
    matches!(
        event,
        Event::AnnualGoalsSet(_) | Event::AnnualAssessmentRecorded(_) | Event::AnnualSupervisionRecorded(_)
    )
}

fn renews(event: &Event) -> Option<&weituo_events::payload::Renews> {
    match event {
        Event::AgreementSigned(payload) => payload.renews.as_ref(),
        _ => None,
    }
}

fn matter(event: &Event) -> Option<&str> {
    match event {
        Event::RectificationOrdered(payload)
        | Event::RectificationReported(payload)
        | Event::RectificationAccepted(payload) => Some(&payload.matter),
        Event::RecusalDeclared(payload) => Some(&payload.expert),
        _ => None,
    }
}
