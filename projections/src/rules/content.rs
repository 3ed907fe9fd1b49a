//! Rules about what an act says: experts, grades, money, documents, exceptions.

use weituo_events::payload::Grade;
use weituo_events::{Event, EventType, document_number_is_regular};
use weituo_proof::Language;

use super::{Case, Found, about_expert};
use crate::cycle::{Seat, paper};
use crate::dates;
use crate::rulebook::{Severity, Total};

/// An exception was claimed: recorded and flagged. That one is claimed at all is demanded by `claims`.
pub(super) fn capacity(case: Case<'_>) -> Vec<Found> {
    let (exception, zh, en) = match &case.act.event {
        Event::AgreementSigned(payload) => (&payload.exception, "签订", "signed"),
        Event::AgreementAmended(payload) => (&payload.exception, "变更", "amended"),
        _ => return Vec::new(),
    };
    let Some(exception) = exception else { return Vec::new() };
    let text = match &exception.approved_by {
        Some(who) => Found::new(
            format!("作为例外{zh},由 {who} 批准"),
            format!("{en} as an exception that {who} approved"),
        ),
        None => {
            Found::new(format!("作为例外{zh},无人批准"), format!("{en} as an exception that nobody approved"))
        }
    };
    vec![Found { severity: Some(Severity::Flag), ..text }]
}

pub(super) fn no_party_employs_an_expert(case: Case<'_>) -> Vec<Found> {
    let Event::PanelConvened(payload) = &case.act.event else { return Vec::new() };
    let mut found = Vec::new();
    for member in &payload.members {
        if let Some(role) = case.cycle.facts.party_role(member.employer.as_str()) {
            let (zh, en) = (role.label(Language::Zh), role.label(Language::En));
            let text = Found::new(
                format!("专家 {} 的工作单位 {} 是本轮次的{zh}", member.expert, member.employer),
                format!(
                    "expert {} is employed by {}, the {en} of this cycle",
                    member.expert, member.employer
                ),
            );
            found.push(Found { about: Some(about_expert(&member.expert)), ..text });
        }
    }
    found
}

pub(super) fn panel(case: Case<'_>, at_least: u32, conveners: u32, odd: bool) -> Vec<Found> {
    let seats: Vec<Seat> = match &case.act.event {
        Event::PanelConvened(payload) => payload
            .members
            .iter()
            .map(|member| Seat {
                convener: member.convener,
                employer: member.employer.clone(),
                expert: member.expert.clone(),
                recused: None,
            })
            .collect(),
        // Judged again only where somebody withdrew since.
        Event::EndOfTermEvaluationRecorded(_)
            if case.cycle.facts.panel.iter().any(|seat| seat.recused.is_some()) =>
        {
            case.cycle.facts.seated().cloned().collect()
        }
        _ => return Vec::new(),
    };
    let (count, leading) = (seats.len(), seats.iter().filter(|seat| seat.convener).count());
    let small = count < usize::try_from(at_least).unwrap_or(usize::MAX);
    let even = odd && count % 2 == 0;
    let led = leading == usize::try_from(conveners).unwrap_or(usize::MAX);
    if !small && !even && led {
        return Vec::new();
    }
    let (kind_zh, kind_en) = if odd { ("单数", "an odd number of members, ") } else { ("", "") };
    vec![Found::new(
        format!(
            "现有 {count} 人,其中召集人 {leading} 人;应为{kind_zh}不少于 {at_least} 人,召集人 {conveners} 人"
        ),
        format!(
            "{count} members with {leading} conveners; it takes {kind_en}at least {at_least}, and {conveners} convener"
        ),
    )]
}

pub(super) fn document_number(case: Case<'_>, acts: &[EventType]) -> Vec<Found> {
    if !case.is(acts) {
        return Vec::new();
    }
    match paper(&case.act.event).and_then(|paper| paper.document.as_deref()) {
        None => vec![Found::new("没有文号", "it carries no document number")],
        Some(number) if !document_number_is_regular(number) => vec![Found::new(
            format!("文号「{number}」不是「机关代字〔年份〕序号号」的形式"),
            format!("the document number {number:?} is not of the form 机关代字〔年份〕序号号"),
        )],
        Some(_) => Vec::new(),
    }
}

pub(super) fn another_reviewer(case: Case<'_>) -> Vec<Found> {
    let Event::ObjectionResolved(payload) = &case.act.event else { return Vec::new() };
    let objection =
        case.cycle.facts.objections.iter().find(|o| o.filed.sequence == payload.objection.sequence);
    let Some(record) = objection.and_then(|objection| case.cycle.record(objection.entry)) else {
        return Vec::new();
    };
    let reviewer = payload.paper.by.as_deref();
    let first = paper(&record.event).and_then(|paper| paper.by.as_deref());
    let same = record.by == case.act.actor.organisation && (reviewer.is_none() || reviewer == first);
    if !same {
        return Vec::new();
    }
    vec![Found::new(
        format!("第 {} 条由同一机构作出,paper.by 没有写明另一复核机构", record.sequence),
        format!("entry {} was made by the same body; paper.by names no other reviewer", record.sequence),
    )]
}

pub(super) fn within(case: Case<'_>, act: EventType, total: Total) -> Vec<Found> {
    if case.act.event.event_type() != act {
        return Vec::new();
    }
    let facts = &case.cycle.facts;
    let money = &facts.money;
    let sum = match &case.act.event {
        Event::FundsBudgeted(payload) => money.budgeted_fen.saturating_add(payload.amount_fen),
        Event::FundsDisbursed(payload) => money.paid_fen.saturating_add(payload.amount_fen),
        Event::ServiceAccepted(payload) => money.accepted_fen.saturating_add(payload.amount_fen),
        Event::FundsSettled(payload) => payload.amount_fen,
        Event::FundsRecovered(payload) => money.recovered_fen.saturating_add(payload.amount_fen),
        _ => return Vec::new(),
    };
    let (limit, zh, en) = match total {
        Total::Budgeted => (Some(money.budgeted_fen), "已列入预算", "budgeted"),
        Total::Accepted => (Some(money.accepted_fen), "已验收", "accepted"),
        Total::Fee => (facts.fee_fen, "协议价款", "agreed"),
    };
    let Some(limit) = limit.filter(|limit| sum > *limit) else { return Vec::new() };
    vec![Found::new(
        format!("累计 {} 元,{zh} {} 元", yuan(sum), yuan(limit)),
        format!("{} yuan in all against {} yuan {en}", yuan(sum), yuan(limit)),
    )]
}

/// Returns fen as yuan with two decimals.
pub(crate) fn yuan(fen: i64) -> String {
    let sign = if fen < 0 { "-" } else { "" };
    let fen = fen.unsigned_abs();
    format!("{sign}{}.{:02}", fen / 100, fen % 100)
}

/// Returns the grade and the score that an event gives, where it gives both.
fn graded(event: &Event) -> Option<(Grade, i64)> {
    let (grade, score) = match event {
        Event::AnnualAssessmentRecorded(payload) => (payload.grade, Some(payload.score_centi)),
        Event::AnnualSupervisionRecorded(payload) => (payload.grade, payload.score_centi),
        Event::MidTermReviewRecorded(payload)
        | Event::SelfEvaluationSubmitted(payload)
        | Event::PlanAccredited(payload) => (payload.grade, payload.score_centi),
        Event::EndOfTermEvaluationRecorded(payload) => (Some(payload.grade), Some(payload.score_centi)),
        _ => return None,
    };
    grade.zip(score)
}

pub(super) fn grade_follows_score(case: Case<'_>) -> Vec<Found> {
    let Some((grade, score)) = graded(&case.act.event) else { return Vec::new() };
    let earned = case.rulebook.scale.as_ref().and_then(|scale| scale.grade(score));
    // Grades stand best first.
    let Some(earned) = earned.filter(|earned| grade < *earned) else { return Vec::new() };
    vec![Found::new(
        format!("{} 分为「{}」,记为「{}」", yuan(score), earned.zh(), grade.zh()),
        format!("{} points earn {}, recorded is {}", yuan(score), grade_en(earned), grade_en(grade)),
    )]
}

pub(super) fn veto_caps_grade(case: Case<'_>) -> Vec<Found> {
    let Event::EndOfTermEvaluationRecorded(payload) = &case.act.event else { return Vec::new() };
    let vetoes =
        case.rulebook.vetoes.iter().filter(|veto| payload.vetoes.iter().any(|code| *code == veto.code));
    vetoes
        .filter(|veto| payload.grade < veto.cap)
        .map(|veto| {
            Found::new(
                format!("有「{}」,至多为「{}」,记为「{}」", veto.title.zh, veto.cap.zh(), payload.grade.zh()),
                format!(
                    "{} allows at best {}, recorded is {}",
                    veto.title.en,
                    grade_en(veto.cap),
                    grade_en(payload.grade)
                ),
            )
        })
        .collect()
}

/// Returns the grade's English word.
pub(crate) fn grade_en(grade: Grade) -> &'static str {
    match grade {
        Grade::Excellent => "excellent",
        Grade::Good => "good",
        Grade::Pass => "pass",
        Grade::Fail => "fail",
    }
}

pub(super) fn names_consent(case: Case<'_>) -> Vec<Found> {
    let Event::ResourceTransferred(payload) = &case.act.event else { return Vec::new() };
    let consent = payload.consent.as_ref().and_then(|entry| case.cycle.record(entry.sequence));
    if consent.is_some_and(|record| record.event_type() == EventType::ResourceTransferConsented) {
        return Vec::new();
    }
    vec![Found::new(
        "没有写明所依据的「同意调剂」记录(consent)",
        "it names no record of consent (consent) that it rests on",
    )]
}

pub(super) fn public_for(case: Case<'_>, working_days: u32) -> Vec<Found> {
    let Event::ResultPublicised(payload) = &case.act.event else { return Vec::new() };
    let eve = dates::add_days(payload.from, -1);
    let days = case.rulebook.working_calendar().working_days_between(eve, payload.until);
    if days >= working_days {
        return Vec::new();
    }
    vec![Found::new(
        format!("{} 至 {} 共 {days} 个工作日,应不少于 {working_days} 个", payload.from, payload.until),
        format!("{} to {} are {days} working days; it takes {working_days}", payload.from, payload.until),
    )]
}
