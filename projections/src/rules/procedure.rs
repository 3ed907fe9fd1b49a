//! Rules about order and time: what needs what, what comes after what, what happens once.

use weituo_events::payload::{Grade, TerminationGrounds};
use weituo_events::{Event, EventType, OrganisationId, Role};
use weituo_proof::Language;

use super::{Case, Found, labels, roles};
use crate::cycle::{Judgement, Record, year_of};
use crate::dates;
use crate::rulebook::{Check, Per};

impl<'a> Case<'a> {
    /// Returns true when the act is one of these.
    pub(super) fn is(self, acts: &[EventType]) -> bool {
        acts.contains(&self.act.event.event_type())
    }

    /// Records of these types that can have taken place before the act.
    fn before(self, types: &'a [EventType]) -> impl Iterator<Item = &'a Record> {
        let by = dates::latest(&self.act.effective);
        self.cycle.records.iter().filter(move |record| {
            types.contains(&record.event_type()) && dates::earliest(&record.effective) <= by
        })
    }
}

pub(super) fn needs(case: Case<'_>, check: &Check) -> Vec<Found> {
    let Check::Needs { acts, any_of, from_each, same_year, unless_renewed, voided_by } = check else {
        return Vec::new();
    };
    let renewed = *unless_renewed && case.cycle.facts.renewal == Some(true);
    if !case.is(acts) || renewed {
        return Vec::new();
    }
    let year = year_of(&case.act.event);
    if *same_year && year.is_none() {
        return Vec::new();
    }
    let found: Vec<_> =
        case.before(any_of).filter(|record| !same_year || year_of(&record.event) == year).collect();
    let last = found.iter().map(|record| record.sequence).max();
    let voided = case.before(voided_by).map(|record| record.sequence).max() > last;
    let wanted = || (labels(any_of, Language::Zh), labels(any_of, Language::En));
    if last.is_none() || voided {
        let (zh, en) = wanted();
        let of = if *same_year { year } else { None };
        let of_zh = of.map_or_else(String::new, |year| format!("第 {year} 年的"));
        let of_en = of.map_or_else(String::new, |year| format!(" for year {year}"));
        return vec![Found::new(
            format!("此前没有{of_zh}「{zh}」的记录;应先记录它"),
            format!("there is no earlier record of {en}{of_en}; record that first"),
        )];
    }
    let missing: Vec<Role> = from_each
        .iter()
        .copied()
        .filter(|role| !found.iter().any(|record| record.role == role.code()))
        .collect();
    if missing.is_empty() {
        return Vec::new();
    }
    let (zh, en) = wanted();
    vec![Found::new(
        format!("「{zh}」还缺{}的记录", roles(&missing, Language::Zh)),
        format!("{en} has not been recorded by {}", roles(&missing, Language::En)),
    )]
}

pub(super) fn after_term(case: Case<'_>, acts: &[EventType], or_terminated: bool) -> Vec<Found> {
    if !case.is(acts) {
        return Vec::new();
    }
    let facts = &case.cycle.facts;
    let on = dates::latest(&case.act.effective);
    let ended = facts.termination.as_ref().is_some_and(|end| dates::earliest(&end.at.effective) <= on);
    if or_terminated && ended {
        return Vec::new();
    }
    match facts.term.and_then(|term| term.end) {
        Some(end) if on > end => Vec::new(),
        Some(end) => vec![Found::new(
            format!("期满日为 {end},发生日期为 {};期满之后的可以记录", case.act.effective),
            format!(
                "the term ends on {end} and the act is dated {}; from the day after on it is accepted",
                case.act.effective
            ),
        )],
        None => vec![Found::new("协议尚未签订或没有期限", "no agreement with an end is signed yet")],
    }
}

pub(super) fn within_term(case: Case<'_>, acts: &[EventType]) -> Vec<Found> {
    let facts = &case.cycle.facts;
    let Some(term) = facts.term.filter(|_| case.is(acts)) else { return Vec::new() };
    let before = dates::latest(&case.act.effective) < term.start;
    let after = facts.ended_on().is_some_and(|end| dates::earliest(&case.act.effective) > end);
    if !before && !after {
        return Vec::new();
    }
    let end = facts.ended_on().map_or_else(String::new, |end| end.to_string());
    vec![Found::new(
        format!("托管期为 {} 至 {end},发生日期为 {}", term.start, case.act.effective),
        format!("the term runs from {} to {end} and the act is dated {}", term.start, case.act.effective),
    )]
}

pub(super) fn once(case: Case<'_>, acts: &[EventType], per: Per) -> Vec<Found> {
    if !case.is(acts) {
        return Vec::new();
    }
    let year = year_of(&case.act.event);
    let same = |record: &&Record| {
        record.event_type() == case.act.event.event_type()
            && record.role == case.act.actor.role
            && (per == Per::Cycle || year_of(&record.event) == year)
    };
    let Some(earlier) = case.cycle.records.iter().find(same) else { return Vec::new() };
    vec![Found::new(
        format!("已有第 {} 条记录", earlier.sequence),
        format!("entry {} already says it; correct that one instead", earlier.sequence),
    )]
}

pub(super) fn poor_work_shown(case: Case<'_>) -> Vec<Found> {
    let Event::AgreementTerminated(payload) = &case.act.event else { return Vec::new() };
    if payload.grounds != TerminationGrounds::PoorWork {
        return Vec::new();
    }
    let facts = &case.cycle.facts;
    let failed = |judgement: &Judgement| judgement.grade == Some(Grade::Fail);
    let shown = facts.assessments.values().chain(facts.supervisions.values()).any(failed)
        || facts.mid_term.as_ref().is_some_and(failed)
        || facts.evaluation.as_ref().is_some_and(|evaluation| evaluation.grade == Grade::Fail)
        || facts.matters.values().any(|matter| matter.ordered.is_some());
    if shown {
        return Vec::new();
    }
    vec![Found::new(
        "此前没有不合格的评估,也没有责令整改",
        "no failing assessment, review or evaluation and no order to rectify came before it",
    )]
}

pub(super) fn nothing_open(case: Case<'_>, acts: &[EventType]) -> Vec<Found> {
    if !case.is(acts) {
        return Vec::new();
    }
    let facts = &case.cycle.facts;
    let mut found = Vec::new();
    for (id, _) in facts.open_matters() {
        found.push(Found::new(
            format!("整改事项 {id} 尚未销号"),
            format!("matter {id} is still to be put right"),
        ));
    }
    for open in facts.open_objections() {
        let sequence = open.filed.sequence;
        found.push(Found::new(
            format!("第 {sequence} 条异议尚未复核"),
            format!("the objection in entry {sequence} is not decided"),
        ));
    }
    found
}

pub(super) fn term_length(case: Case<'_>) -> Vec<Found> {
    let Some(months) = case.rulebook.term.as_ref().and_then(|term| term.months) else { return Vec::new() };
    let (start, end) = match &case.act.event {
        Event::AgreementSigned(payload) => {
            let agreed = payload.term_months.unwrap_or(months);
            (payload.term_start, dates::term_end(payload.term_start, agreed))
        }
        Event::AgreementAmended(payload) => match (case.cycle.facts.term, payload.term_end) {
            (Some(term), Some(end)) => (term.start, end),
            _ => return Vec::new(),
        },
        _ => return Vec::new(),
    };
    if end == dates::term_end(start, months) {
        return Vec::new();
    }
    vec![Found::new(
        format!("托管期为 {start} 至 {end},不是 {months} 个月"),
        format!("the term runs from {start} to {end}, which is not {months} months"),
    )]
}

pub(super) fn as_designated(case: Case<'_>) -> Vec<Found> {
    let Event::AgreementSigned(payload) = &case.act.event else { return Vec::new() };
    let Some((school, trustee)) = &case.cycle.facts.designated else { return Vec::new() };
    if *school == payload.school && *trustee == payload.trustee {
        return Vec::new();
    }
    vec![Found::new(
        format!("落实的名单是 {school} 与 {trustee},签约的是 {} 与 {}", payload.school, payload.trustee),
        format!("designated were {school} and {trustee}; {} and {} signed", payload.school, payload.trustee),
    )]
}

pub(super) fn countersigned(case: Case<'_>, by: &[Role]) -> Vec<Found> {
    let Event::AgreementSigned(payload) = &case.act.event else { return Vec::new() };
    let signed = |organisation: &OrganisationId| {
        payload.countersigned.iter().any(|signature| signature.organisation == *organisation)
    };
    let missing: Vec<Role> = by
        .iter()
        .copied()
        .filter(|role| match role {
            Role::School => !signed(&payload.school),
            Role::Trustee => !signed(&payload.trustee),
            _ => false,
        })
        .collect();
    if missing.is_empty() {
        return Vec::new();
    }
    vec![Found::new(
        format!("缺{}的签署", roles(&missing, Language::Zh)),
        format!("the signature of {} is missing", roles(&missing, Language::En)),
    )]
}
