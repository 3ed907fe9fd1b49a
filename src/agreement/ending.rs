//! The end of a cycle: panel, evaluation, publication.

use std::collections::BTreeMap;

use weituo_events::payload::{EndOfTermEvaluationRecorded, IndicatorScore};
use weituo_events::{Event, Refusal};
use weituo_projections::Rulebook;

use super::values::{dates_in_order, evidence, score, unique};

/// Satisfaction of everybody, in hundredths of a percent.
const ALL_SATISFIED_CENTI: i64 = 10_000;

/// Checks what an event says about the end.
pub(super) fn check(event: &Event, rulebook: &Rulebook) -> Result<(), Refusal> {
    match event {
        Event::PanelConvened(payload) => {
            if payload.members.is_empty() {
                return Err(Refusal::invalid(
                    "panel-empty",
                    "专家组至少有一人",
                    "a panel has at least one member",
                ));
            }
            unique("members", payload.members.iter().map(|member| member.expert.as_str()))
        }
        Event::EndOfTermEvaluationRecorded(payload) => evaluation(payload, rulebook),
        Event::ResultPublicised(payload) => dates_in_order("until", Some(payload.from), Some(payload.until)),
        _ => Ok(()),
    }
}

fn evaluation(payload: &EndOfTermEvaluationRecorded, rulebook: &Rulebook) -> Result<(), Refusal> {
    evidence(std::slice::from_ref(&payload.opinion))?;
    score("score_centi", Some(payload.score_centi), rulebook)?;
    score("school_gain_centi", payload.school_gain_centi, rulebook)?;
    score("trustee_effort_centi", payload.trustee_effort_centi, rulebook)?;
    if let Some(share) = payload.satisfaction_centi.filter(|share| !(0..=ALL_SATISFIED_CENTI).contains(share))
    {
        return Err(Refusal::invalid(
            "satisfaction",
            format!("satisfaction_centi {share} 不可能;应为 0 至 {ALL_SATISFIED_CENTI}(百分之一个百分点)"),
            format!(
                "satisfaction_centi {share} is impossible; 0 to {ALL_SATISFIED_CENTI} hundredths of a percent are accepted"
            ),
        ));
    }
    unique("vetoes", &payload.vetoes)?;
    let known: Vec<_> = rulebook.vetoes.iter().map(|veto| veto.code.as_str()).collect();
    if let Some(veto) = payload.vetoes.iter().find(|veto| !known.contains(&veto.as_str())) {
        return Err(Refusal::invalid(
            "code-unknown",
            format!("否决项 {veto:?} 不在规则依据中;可用:{}", known.join(", ")),
            format!("veto {veto:?} is not in the rulebook; accepted: {}", known.join(", ")),
        ));
    }
    indicators(payload)
}

/// Indicators have up to three levels, `1`, `1.2`, `1.2.3`: each is the sum of those below it, and the whole score is
/// the sum of the lowest.
fn indicators(payload: &EndOfTermEvaluationRecorded) -> Result<(), Refusal> {
    let all = &payload.indicators;
    if all.is_empty() {
        return Ok(());
    }
    unique("indicators", all.iter().map(|one| one.indicator.as_str()))?;
    for one in all {
        let levels = one.indicator.split('.').count();
        if one.max_centi <= 0 || !(0..=one.max_centi).contains(&one.score_centi) || levels > 3 {
            return Err(Refusal::invalid(
                "indicator",
                format!(
                    "指标 {}:得分 {} 应为 0 至满分 {},层级至多三级",
                    one.indicator, one.score_centi, one.max_centi
                ),
                format!(
                    "indicator {}: {} is to lie between 0 and its maximum {}, at up to three levels",
                    one.indicator, one.score_centi, one.max_centi
                ),
            ));
        }
    }
    let mut below: BTreeMap<&str, Vec<&IndicatorScore>> = BTreeMap::new();
    for one in all {
        let parent = one.indicator.rsplit_once('.').map_or("", |(parent, _)| parent);
        let parent = if all.iter().any(|other| other.indicator == parent) { parent } else { "" };
        below.entry(parent).or_default().push(one);
    }
    for (parent, children) in &below {
        let sum = children.iter().fold(0_i64, |sum, child| sum.saturating_add(child.score_centi));
        let stated = all
            .iter()
            .find(|one| one.indicator == *parent)
            .map_or(payload.score_centi, |one| one.score_centi);
        if sum != stated {
            let what = if parent.is_empty() { "score_centi" } else { parent };
            return Err(Refusal::invalid(
                "indicator-sum",
                format!("{what} 记为 {stated},而各项指标之和为 {sum};二者应相等"),
                format!("{what} says {stated} and its indicators add up to {sum}; the two are equal"),
            ));
        }
    }
    Ok(())
}
