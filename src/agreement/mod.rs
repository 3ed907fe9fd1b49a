//! Deciding on agreements: one file a family of checks.
//!
//! Order of the checks, so that the most telling refusal is given: rulebook pinned, contradictions of the stream, who
//! is named, who acts, what is said, what is referred to, the rulebook's rules, the renewed round, what was read.
//! Invariants: what is procedural ([`Severity::Refuse`]) is not refused when recorded afterwards from paper; the fold
//! keeps it as an irregularity.
//! Absent: the rules themselves (weituo-projections), capacity (claims).
//! Source: regions.md "Acts"; design.md "Words".

mod actor;
mod completion;
mod correction;
mod ending;
mod limits;
mod money;
mod named;
mod renewal;
#[cfg(test)]
pub(crate) mod tests;
mod values;

use weituo_events::{Act, Event, Refusal};
use weituo_projections::rules::{self, Breach};
use weituo_projections::{Cycle, Severity};

use crate::deciding::Context;

pub(crate) use actor::allowed_role;
pub(crate) use completion::left_open;
pub(crate) use named::joining;

/// Decides on one act of an agreement: returns it complete.
///
/// # Errors
/// A refusal that says what would be accepted.
pub fn decide(cycle: &Cycle, mut act: Act, context: &Context) -> Result<Act, Refusal> {
    completion::pin(&mut act.event, context)?;
    let rulebook = cycle.rulebook_for(&act.event, &context.rulebooks);
    let breaches = match rulebook {
        Some(rulebook) => {
            let mut breaches = rules::breaches(cycle, &act, context.recorded_on, rulebook);
            breaches.extend(rules::replaced(cycle, &act, rulebook).into_iter().flat_map(|by| by.added));
            breaches
        }
        None => rules::without_rulebook(cycle, &act, context.recorded_on),
    };
    refuse(&breaches, Severity::Impossible)?;
    if !act.as_found {
        // Told before who acts: the roles of another arrangement's act do not exist here.
        let unused: Vec<_> =
            breaches.iter().filter(|breach| breach.rule == rules::ACT_NOT_IN_USE).cloned().collect();
        refuse(&unused, Severity::Refuse)?;
    }
    named::check(&act, context)?;
    actor::check(cycle, &act, context)?;
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
    let (mut zh, mut en) = (breach.text.zh.clone(), breach.text.en.clone());
    if let Some(source) = &breach.source {
        zh = format!("{zh}(依据:{source})");
        en = format!("{en} (source: {source})");
    }
    if severity == Severity::Refuse {
        zh.push_str("。据纸质材料补录(as_found)的可以记录,并标为疑点");
        en.push_str("; recorded afterwards from paper (as_found) it is accepted and flagged");
    }
    let code = breach.rule.clone();
    Err(match breach.rule.as_str() {
        rules::ROLE_NOT_ALLOWED | rules::SIGNATURE_MISSING => Refusal::forbidden(code, zh, en),
        rules::RULEBOOK_MISSING | "effective-after-recorded" => Refusal::invalid(code, zh, en),
        _ => Refusal::contradicts(code, zh, en),
    })
}
