//! Renewal: a further round names the cycle that it renews, with the same parties, after its end.

use weituo_events::payload::{AgreementSigned, Renews};
use weituo_events::{Act, Event, Refusal};
use weituo_projections::Cycle;

use crate::deciding::Context;

/// Checks what a signing says about the cycle that it renews.
pub(super) fn check(act: &Act, context: &Context) -> Result<(), Refusal> {
    let Event::AgreementSigned(payload) = &act.event else { return Ok(()) };
    let Some(renews) = &payload.renews else { return Ok(()) };
    let Some(earlier) = context.renewed.as_ref().filter(|cycle| !cycle.is_new()) else {
        return Err(Refusal::invalid(
            "renewed-unknown",
            format!("没有轮次 {};续签应写明上一轮次的流", renews.stream),
            format!("there is no cycle {}; a renewal names the stream of the round before it", renews.stream),
        ));
    };
    if renews.stream == act.stream {
        return Err(Refusal::invalid("renews-itself", "轮次不能续签自己", "a cycle cannot renew itself"));
    }
    next_round(renews, earlier)?;
    same_parties(payload, renews, earlier)?;
    after_its_end(payload, renews, earlier)?;
    decided(act, renews, earlier)
}

fn next_round(renews: &Renews, earlier: &Cycle) -> Result<(), Refusal> {
    let next = earlier.facts.round().saturating_add(1);
    if renews.round == next {
        return Ok(());
    }
    Err(Refusal::invalid(
        "round",
        format!("{} 是第 {} 轮,续签的是第 {next} 轮", renews.stream, earlier.facts.round()),
        format!("{} is round {}, so this one is round {next}", renews.stream, earlier.facts.round()),
    ))
}

fn same_parties(payload: &AgreementSigned, renews: &Renews, earlier: &Cycle) -> Result<(), Refusal> {
    let facts = &earlier.facts;
    if facts.school.as_ref() == Some(&payload.school) && facts.trustee.as_ref() == Some(&payload.trustee) {
        return Ok(());
    }
    Err(Refusal::contradicts(
        "renewal-parties",
        format!("续签的双方应与 {} 相同;换了一方的是新的委托,不写 renews", renews.stream),
        format!(
            "a renewal has the parties of {}; with another party it is a new entrustment, without `renews`",
            renews.stream
        ),
    ))
}

fn after_its_end(payload: &AgreementSigned, renews: &Renews, earlier: &Cycle) -> Result<(), Refusal> {
    match earlier.facts.ended_on() {
        Some(end) if payload.term_start <= end => Err(Refusal::contradicts(
            "renewal-overlaps",
            format!("{} 到 {end} 为止,新一轮应在此后开始", renews.stream),
            format!("{} runs until {end}; the new round begins after that", renews.stream),
        )),
        _ => Ok(()),
    }
}

/// The decision to renew is procedure: from paper it may be missing. That it was decided against contradicts it.
fn decided(act: &Act, renews: &Renews, earlier: &Cycle) -> Result<(), Refusal> {
    match earlier.facts.renewal {
        Some(true) => Ok(()),
        None if act.as_found => Ok(()),
        Some(false) => Err(Refusal::contradicts(
            "renewal-denied",
            format!("{} 已决定不续签;如有错误,请先更正该决定", renews.stream),
            format!(
                "{} was decided not to be renewed; if that is wrong, correct that decision first",
                renews.stream
            ),
        )),
        None => Err(Refusal::contradicts(
            "renewal-undecided",
            format!(
                "{} 没有续签决定;应先在该轮次记录 DecideRenewal,或据纸质材料补录(as_found)",
                renews.stream
            ),
            format!(
                "{} has no decision to renew; record DecideRenewal there first, or record this as_found",
                renews.stream
            ),
        )),
    }
}
