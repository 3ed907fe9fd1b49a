//! What is said: values that cannot be true, whatever the stream says.
//!
//! Absent: rules of an arrangement; those are breaches (weituo-projections, module `rules`).

use std::collections::BTreeSet;

use weituo_events::payload::{AgreementSigned, AnnualAssessmentRecorded, Evidence, Resource};
use weituo_events::{Event, Refusal};
use weituo_projections::cycle::{paper, year_of};
use weituo_projections::dates::earliest;
use weituo_projections::rulebook::Code;
use weituo_projections::{Cycle, Rulebook};
use weituo_proof::Effective;

use super::{ending, limits, money};
use crate::deciding::Context;

/// Longest term, in months: a century.
const MAX_TERM_MONTHS: u32 = 1_200;

/// Checks what an event says.
pub(super) fn check(
    cycle: &Cycle,
    event: &Event,
    effective: &Effective,
    context: &Context,
    rulebook: &Rulebook,
) -> Result<(), Refusal> {
    evidence(paper(event).map_or(&[], |paper| &paper.evidence))?;
    limits::check(event)?;
    year(cycle, event, rulebook)?;
    money::check(cycle, event, rulebook)?;
    ending::check(event, rulebook)?;
    match event {
        Event::PartiesDesignated(payload) => two_parties(&payload.school, &payload.trustee),
        Event::AgreementSigned(payload) => signed(payload, context, rulebook),
        Event::AgreementAmended(payload) => {
            if payload.fee_fen.is_none()
                && payload.fields.is_none()
                && payload.form.is_none()
                && payload.term_end.is_none()
            {
                return Err(Refusal::invalid(
                    "amendment-empty",
                    "变更应写明 fee_fen、fields、form 或 term_end",
                    "an amendment changes fee_fen, fields, form or term_end",
                ));
            }
            one_of("form", payload.form.as_deref(), &rulebook.forms)?;
            let start = cycle.facts.term.map(|term| term.start);
            dates_in_order("term_end", start, payload.term_end)
        }
        Event::GroupApproved(payload) => {
            one_of("form", payload.form.as_deref(), &rulebook.forms)?;
            months(payload.term_months)?;
            unique("members", payload.members.iter().chain([&payload.lead]))
        }
        Event::AnnualGoalsSet(payload) => {
            if payload.goals.is_empty() {
                return Err(Refusal::invalid(
                    "goals-empty",
                    "至少应有一项目标",
                    "there is at least one goal",
                ));
            }
            unique("goals", payload.goals.iter().map(|goal| goal.id.as_str()))
        }
        Event::AnnualAssessmentRecorded(payload) => assessed(cycle, payload, rulebook),
        Event::AnnualSupervisionRecorded(payload) => score("score_centi", payload.score_centi, rulebook),
        Event::MidTermReviewRecorded(payload)
        | Event::SelfEvaluationSubmitted(payload)
        | Event::PlanAccredited(payload) => score("score_centi", payload.score_centi, rulebook),
        Event::QualityMonitored(payload) => score("score_centi", payload.score_centi, rulebook),
        Event::ActivityRecorded(payload) => {
            dates_in_order("ends_on", Some(earliest(effective)), payload.ends_on)?;
            match payload.ends_on.filter(|end| *end > context.recorded_on) {
                Some(end) => Err(Refusal::invalid(
                    "effective-after-recorded",
                    format!("结束日期 {end} 晚于存证日期 {};结束之后再记录", context.recorded_on),
                    format!(
                        "ends_on {end} is after the day of recording, {}; record it once it has ended",
                        context.recorded_on
                    ),
                )),
                None => Ok(()),
            }
        }
        Event::ResourceTransferConsented(payload) | Event::ResourceTransferred(payload) => {
            two_parties(&payload.from, &payload.to)?;
            resources(&payload.resources)
        }
        Event::RectificationOrdered(payload) => {
            dates_in_order("due_on", Some(earliest(effective)), payload.due_on)?;
            match payload.of.as_ref().filter(|of| cycle.facts.party_role(of.as_str()).is_none()) {
                Some(of) => Err(money::not_a_party("of", of)),
                None => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

fn two_parties<T: PartialEq + std::fmt::Display>(one: &T, other: &T) -> Result<(), Refusal> {
    if one == other {
        return Err(Refusal::invalid(
            "one-party",
            format!("{one} 不能同时是双方;应为两个不同的机构"),
            format!("{one} cannot be on both sides; name two organisations"),
        ));
    }
    Ok(())
}

fn months(term_months: Option<u32>) -> Result<(), Refusal> {
    match term_months.filter(|months| !(1..=MAX_TERM_MONTHS).contains(months)) {
        Some(months) => Err(Refusal::invalid(
            "term-months",
            format!("托管期 {months} 个月不可能;应为 1 至 {MAX_TERM_MONTHS} 个月"),
            format!("a term of {months} months is impossible; 1 to {MAX_TERM_MONTHS} are accepted"),
        )),
        None => Ok(()),
    }
}

fn signed(payload: &AgreementSigned, context: &Context, rulebook: &Rulebook) -> Result<(), Refusal> {
    two_parties(&payload.school, &payload.trustee)?;
    months(payload.term_months)?;
    one_of("form", payload.form.as_deref(), &rulebook.forms)?;
    unique("fields", &payload.fields)?;
    unique("countersigned", payload.countersigned.iter().map(|signature| &signature.organisation))?;
    for signature in &payload.countersigned {
        if signature.organisation != payload.school && signature.organisation != payload.trustee {
            return Err(Refusal::invalid(
                "countersigned-by",
                format!(
                    "{} 不是协议的一方;签署的只能是 {} 和 {}",
                    signature.organisation, payload.school, payload.trustee
                ),
                format!(
                    "{} is no party to it; {} and {} countersign",
                    signature.organisation, payload.school, payload.trustee
                ),
            ));
        }
        if let Some(day) = signature.signed_on.filter(|day| *day > context.recorded_on) {
            return Err(Refusal::invalid(
                "effective-after-recorded",
                format!("签署日期 {day} 晚于存证日期 {}", context.recorded_on),
                format!("signed_on {day} is after the day of recording, {}", context.recorded_on),
            ));
        }
    }
    Ok(())
}

fn assessed(cycle: &Cycle, payload: &AnnualAssessmentRecorded, rulebook: &Rulebook) -> Result<(), Refusal> {
    score("score_centi", Some(payload.score_centi), rulebook)?;
    unique("results", payload.results.iter().map(|result| result.goal.as_str()))?;
    let Some(goals) = cycle.facts.goals.get(&payload.year) else { return Ok(()) };
    let ids: Vec<_> = goals.iter().map(|goal| goal.id.as_str()).collect();
    match payload.results.iter().find(|result| !ids.contains(&result.goal.as_str())) {
        Some(result) => Err(Refusal::invalid(
            "goal-unknown",
            format!("第 {} 年没有目标 {};有:{}", payload.year, result.goal, ids.join(", ")),
            format!("year {} has no goal {}; it has: {}", payload.year, result.goal, ids.join(", ")),
        )),
        None => Ok(()),
    }
}

fn resources(resources: &[Resource]) -> Result<(), Refusal> {
    if resources.is_empty() || resources.iter().any(|resource| resource.quantity == 0) {
        return Err(Refusal::invalid(
            "resources",
            "应列明调剂的资源,数量大于 0",
            "list what is reallocated, each in a quantity above 0",
        ));
    }
    Ok(())
}

fn year(cycle: &Cycle, event: &Event, rulebook: &Rulebook) -> Result<(), Refusal> {
    let Some(year) = year_of(event) else { return Ok(()) };
    let open_years = rulebook.term.as_ref().map_or(100, |term| term.open_years.max(100));
    let last = cycle.facts.term.map_or(100, |term| term.years(open_years));
    if (1..=last).contains(&year) {
        return Ok(());
    }
    Err(Refusal::invalid(
        "year",
        format!("本轮次没有第 {year} 年;应为第 1 至 {last} 年"),
        format!("this cycle has no year {year}; 1 to {last} are accepted"),
    ))
}

/// Checks a score against the rulebook's scale.
pub(super) fn score(field: &str, score_centi: Option<i64>, rulebook: &Rulebook) -> Result<(), Refusal> {
    let max = rulebook.scale.as_ref().map_or(i64::MAX, |scale| scale.max_centi);
    match score_centi.filter(|score| !(0..=max).contains(score)) {
        Some(score) => Err(Refusal::invalid(
            "score",
            format!("{field} {score} 不在量表内;应为 0 至 {max}(百分之一分)"),
            format!("{field} {score} is off the scale; 0 to {max} hundredths of a point are accepted"),
        )),
        None => Ok(()),
    }
}

/// Checks a code against a closed list of the rulebook; a rulebook without the list accepts any.
pub(super) fn one_of(field: &str, code: Option<&str>, list: &[Code]) -> Result<(), Refusal> {
    let Some(code) = code.filter(|code| !list.is_empty() && !list.iter().any(|known| known.code == *code))
    else {
        return Ok(());
    };
    let known = list.iter().map(|known| known.code.as_str()).collect::<Vec<_>>().join(", ");
    Err(Refusal::invalid(
        "code-unknown",
        format!("{field} {code:?} 不在规则依据中;可用:{known}"),
        format!("{field} {code:?} is not in the rulebook; accepted: {known}"),
    ))
}

/// Checks that no item of a list stands in it twice.
pub(super) fn unique<T: Ord + std::fmt::Display>(
    field: &str,
    items: impl IntoIterator<Item = T>,
) -> Result<(), Refusal> {
    let mut seen = BTreeSet::new();
    for item in items {
        if seen.contains(&item) {
            return Err(Refusal::invalid(
                "twice",
                format!("{field} 中 {item} 出现两次;每项只写一次"),
                format!("{item} stands twice in {field}; each stands once"),
            ));
        }
        seen.insert(item);
    }
    Ok(())
}

/// Checks that a period does not end before it starts.
pub(super) fn dates_in_order(
    field: &str,
    from: Option<chrono::NaiveDate>,
    until: Option<chrono::NaiveDate>,
) -> Result<(), Refusal> {
    match from.zip(until).filter(|(from, until)| until < from) {
        Some((from, until)) => Err(Refusal::invalid(
            "end-before-start",
            format!("{field} {until} 早于开始日期 {from};应为 {from} 或以后"),
            format!("{field} {until} is before the start, {from}; that day or a later one is accepted"),
        )),
        None => Ok(()),
    }
}

/// Checks evidence: a size that a file can have, and a media type.
pub(super) fn evidence(evidence: &[Evidence]) -> Result<(), Refusal> {
    for item in evidence {
        if item.size_bytes < 0 || !item.media_type.contains('/') {
            return Err(Refusal::invalid(
                "evidence",
                format!(
                    "佐证应有类型(如 application/pdf)和不小于 0 的字节数,现为 {:?}、{}",
                    item.media_type, item.size_bytes
                ),
                format!(
                    "evidence has a media type such as application/pdf and a size of 0 or more, found {:?} and {}",
                    item.media_type, item.size_bytes
                ),
            ));
        }
        if item.sha256.is_none() && item.sha256_sealed.is_none() {
            return Err(Refusal::invalid(
                "evidence",
                "佐证应有 sha256,或密封的 sha256_sealed",
                "evidence has a sha256, or a sealed one (sha256_sealed)",
            ));
        }
    }
    Ok(())
}
