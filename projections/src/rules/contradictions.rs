//! What contradicts the stream, under any rulebook: refused in any case, also when recorded from paper.
//!
//! Source: design.md, Words ("It refuses only what cannot be true …"); regions.md, Acts ("After closing: …").

use chrono::NaiveDate;
use weituo_events::{Act, Event, EventType, OrganisationId};
use weituo_proof::Language;

use super::Breach;
use crate::cycle::{Cycle, Facts, Record, pinned_by, year_of};
use crate::dates;

/// What may still be recorded after closing.
pub(crate) const AFTER_CLOSING: [EventType; 5] = [
    EventType::RecordCorrected,
    EventType::ObjectionFiled,
    EventType::ObjectionResolved,
    EventType::AuditFindingRecorded,
    EventType::FundsRecovered,
];

/// Returns what an act contradicts.
pub(super) fn contradictions(cycle: &Cycle, act: &Act, recorded_on: NaiveDate) -> Vec<Breach> {
    let mut found = Vec::new();
    found.extend(not_opened(cycle, act));
    found.extend(closed(cycle, act));
    found.extend(from_the_future(act, recorded_on));
    found.extend(other_rulebook(cycle, act));
    found.extend(said_already(cycle, act));
    found.extend(without_its_matter(&cycle.facts, act));
    found
}

fn not_opened(cycle: &Cycle, act: &Act) -> Option<Breach> {
    (cycle.is_new() && pinned_by(&act.event).is_none()).then(|| {
        Breach::impossible(
            "not-opened",
            "本轮次尚未建立:第一条记录应为印发实施方案、落实托管双方名单、签订协议书或批准组建,并写明规则依据",
            "this cycle is not open: its first entry is a scheme, a designation of parties, a signing or the approval of a \
             group, and names the rulebook",
        )
    })
}

fn closed(cycle: &Cycle, act: &Act) -> Option<Breach> {
    let event_type = act.event.event_type();
    let closed = cycle.facts.closed.as_ref()?;
    (!AFTER_CLOSING.contains(&event_type)).then(|| {
        Breach::impossible(
            "cycle-closed",
            format!(
                "本轮次已于第 {} 条办结;此后只可记录:{}",
                closed.sequence,
                super::labels(&AFTER_CLOSING, Language::Zh)
            ),
            format!(
                "this cycle was closed by its entry {}; after that only these are recorded: {}",
                closed.sequence,
                super::labels(&AFTER_CLOSING, Language::En)
            ),
        )
    })
}

fn from_the_future(act: &Act, recorded_on: NaiveDate) -> Option<Breach> {
    (dates::earliest(&act.effective) > recorded_on).then(|| {
        Breach::impossible(
            "effective-after-recorded",
            format!("发生日期 {} 晚于存证日期 {recorded_on};只能记录已经发生的行为", act.effective),
            format!(
                "the effective date {} is after the day of recording, {recorded_on}; only what has happened is recorded",
                act.effective
            ),
        )
    })
}

fn other_rulebook(cycle: &Cycle, act: &Act) -> Option<Breach> {
    let (pin, before) = (pinned_by(&act.event)?, cycle.pin()?);
    (pin.id != before.id).then(|| {
        Breach::impossible(
            "another-rulebook",
            format!("本轮次依据规则 {},不能改为 {}", before.id, pin.id),
            format!("this cycle is under rulebook {}; it cannot change to {}", before.id, pin.id),
        )
    })
}

/// What can be said once only, and was said.
fn said_already(cycle: &Cycle, act: &Act) -> Option<Breach> {
    let facts = &cycle.facts;
    let event_type = act.event.event_type();
    let role = act.actor.role.as_str();
    let year = year_of(&act.event);
    let in_year = |known: bool| known.then_some(());
    let said = match &act.event {
        Event::AgreementSigned(_) | Event::GroupApproved(_) => in_year(facts.is_signed()),
        Event::AnnualGoalsSet(payload) => in_year(facts.goals.contains_key(&payload.year)),
        Event::AnnualAssessmentRecorded(payload) => in_year(facts.assessments.contains_key(&payload.year)),
        Event::AnnualSupervisionRecorded(payload) => in_year(facts.supervisions.contains_key(&payload.year)),
        Event::EndOfTermEvaluationRecorded(_) => in_year(facts.evaluation.is_some()),
        Event::AgreementTerminated(_) => in_year(facts.termination.is_some()),
        Event::RenewalDecided(_) => in_year(facts.renewal.is_some()),
        Event::HandoverCompleted(_) => in_year(facts.handed_over_by.contains_key(role)),
        Event::SelfEvaluationSubmitted(_) => in_year(facts.self_evaluations.contains_key(role)),
        Event::PartyAdmitted(payload) => in_year(facts.party_role(payload.organisation.as_str()).is_some()),
        _ => None,
    };
    said?;
    let says = |record: &&Record| match &act.event {
        Event::PartyAdmitted(payload) => makes_a_party(&record.event, &payload.organisation),
        // Each party says it for itself.
        Event::HandoverCompleted(_) | Event::SelfEvaluationSubmitted(_) => {
            record.event_type() == event_type && record.role == role
        }
        _ => record.event_type() == event_type && year_of(&record.event) == year,
    };
    let earlier = cycle.records.iter().rev().find(says);
    let sequence = earlier.map_or(0, |record| record.sequence);
    let (zh, en) = (event_type.label(Language::Zh), event_type.label(Language::En));
    let (of_zh, of_en) =
        year.map_or_else(Default::default, |year| (format!("第 {year} 年的"), format!(" of year {year}")));
    Some(Breach::impossible(
        "said-already",
        format!("{of_zh}「{zh}」已在第 {sequence} 条记录;如有错误,请对该条作更正(CorrectRecord)"),
        format!(
            "the {en}{of_en} stands in entry {sequence} of this stream; if that is wrong, correct it (CorrectRecord)"
        ),
    ))
}

/// Whether an event makes an organisation a party.
fn makes_a_party(event: &Event, organisation: &OrganisationId) -> bool {
    match event {
        Event::PartyAdmitted(payload) => payload.organisation == *organisation,
        Event::GroupApproved(payload) => {
            payload.lead == *organisation || payload.members.contains(organisation)
        }
        Event::PartiesDesignated(payload) => [&payload.school, &payload.trustee].contains(&organisation),
        Event::AgreementSigned(payload) => [&payload.school, &payload.trustee].contains(&organisation),
        _ => false,
    }
}

/// What refers to a matter, an expert, an objection or a member that this cycle does not have, or not any more.
fn without_its_matter(facts: &Facts, act: &Act) -> Option<Breach> {
    let breach = |code, zh: String, en: String| Some(Breach::impossible(code, zh, en));
    match &act.event {
        Event::RectificationOrdered(payload)
            if facts.matters.get(&payload.matter).is_some_and(|matter| matter.ordered.is_some()) =>
        {
            let id = &payload.matter;
            breach(
                "matter-exists",
                format!("整改事项 {id} 已责令过;新的事项请另编号"),
                format!("matter {id} was ordered before; give a new matter a new id"),
            )
        }
        Event::RectificationReported(payload) | Event::RectificationAccepted(payload) => {
            let id = &payload.matter;
            let open: Vec<_> = facts.open_matters().map(|(id, _)| id.as_str()).collect();
            (!open.contains(&id.as_str())).then(|| {
                Breach::impossible(
                    "matter-not-open",
                    format!("没有待整改的事项 {id};待整改的有:{}", list(&open)),
                    format!("matter {id} is not open; open are: {}", list(&open)),
                )
            })
        }
        Event::RecusalDeclared(payload) => {
            let seated: Vec<_> = facts.seated().map(|seat| seat.expert.as_str()).collect();
            (!seated.contains(&payload.expert.as_str())).then(|| {
                Breach::impossible(
                    "expert-not-seated",
                    format!("专家组中没有 {};在组的有:{}", payload.expert, list(&seated)),
                    format!("expert {} is not on the panel; on it are: {}", payload.expert, list(&seated)),
                )
            })
        }
        Event::ObjectionResolved(payload) => {
            let open: Vec<_> = facts.open_objections().map(|open| open.filed.sequence.to_string()).collect();
            let named = payload.objection.sequence.to_string();
            (!open.contains(&named)).then(|| {
                Breach::impossible(
                    "objection-not-open",
                    format!("第 {named} 条不是待复核的异议;待复核的异议在第 {} 条", list(&open)),
                    format!(
                        "entry {named} is no open objection; open objections are entries: {}",
                        list(&open)
                    ),
                )
            })
        }
        Event::PartyExited(payload) if !facts.members.contains(&payload.organisation) => breach(
            "not-a-member",
            format!("{} 不是成员", payload.organisation),
            format!("{} is not a member", payload.organisation),
        ),
        _ => None,
    }
}

fn list<T: AsRef<str>>(items: &[T]) -> String {
    if items.is_empty() {
        return "(无 / none)".to_owned();
    }
    items.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ")
}
