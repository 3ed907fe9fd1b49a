//! Deciding on agreements: one file a family of checks.
//!
//! Order of the checks, so that the most telling refusal is given: rulebook pinned, contradictions of the stream, who
//! acts, who is named, what is said, what is referred to, the rulebook's rules, the renewed round, what was read.
//! Invariants: what is procedural ([`Severity::Refuse`]) is not refused when recorded afterwards from paper; the fold
//! keeps it as an irregularity.
//! Absent: the rules themselves (weituo-projections), capacity (claims).
//! Source: issue 2 part 4; regions.md.

mod actor;
mod completion;
mod correction;
mod ending;
mod money;
mod named;
mod renewal;
#[cfg(test)]
mod tests;
mod values;

use weituo_events::{Act, Event, Refusal};
use weituo_projections::rules::{self, Breach};
use weituo_projections::{Cycle, Severity};

use crate::deciding::Context;

pub(crate) use actor::allowed_role;

/// Decides on one act of an agreement: returns it complete.
///
/// # Errors
/// A refusal that says what would be accepted.
pub fn decide(cycle: &Cycle, mut act: Act, context: &Context) -> Result<Act, Refusal> {
    completion::pin(&mut act.event, context)?;
    let rulebook = cycle.rulebook_for(&act.event, &context.rulebooks);
    let breaches = match rulebook {
        Some(rulebook) => rules::breaches(cycle, &act, context.recorded_on, rulebook),
        None => rules::without_rulebook(cycle, &act, context.recorded_on),
    };
    refuse(&breaches, Severity::Impossible)?;
    actor::check(cycle, &act, context)?;
    named::check(&act, context)?;
    if let Some(rulebook) = rulebook {
        values::check(cycle, &act.event, &act.effective, context, rulebook)?;
    }
    completion::references(cycle, &mut act.event)?;
    if matches!(act.event, Event::RecordCorrected(_)) {
        correction::check(cycle, &mut act, context)?;
    }
    if !act.as_found {
        refuse(&breaches, Severity::Refuse)?;
    }
    renewal::check(&act, context)?;
    completion::seen(cycle, &act)?;
    completion::term(&mut act.event, rulebook);
    act.parties = completion::parties(cycle, &act.event);
    Ok(act)
}

/// Refuses the first breach of a severity.
fn refuse(breaches: &[Breach], severity: Severity) -> Result<(), Refusal> {
    let Some(breach) = breaches.iter().find(|breach| breach.severity == severity) else { return Ok(()) };
    let (zh, en) = match &breach.source {
        Some(source) => (format!("{}(依据:{source})", breach.text.zh), format!("{} (source: {source})", breach.text.en)),
        None => (breach.text.zh.clone(), breach.text.en.clone()),
    };
    let code = breach.rule.clone();
    Err(match breach.rule.as_str() {
        rules::ROLE_NOT_ALLOWED => Refusal::forbidden(code, zh, en),
        rules::RULEBOOK_MISSING | "effective-after-recorded" => Refusal::invalid(code, zh, en),
        _ => Refusal::contradicts(code, zh, en),
    })
}
