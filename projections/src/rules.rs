//! Judging: which rules an act breaks, given the cycle so far and the pinned rulebook.
//!
//! One mechanism serves both sides: deciding refuses what is [`Severity::Refuse`] (unless recorded from paper) or
//! [`Severity::Impossible`]; the fold keeps every breach as an irregularity, so what a forged or older log let through
//! is still seen.
//! Invariants: pure; an empty list means that nothing is broken; the order is that of the rulebook.
//! Absent: capacity across cycles (module `claims`), what a payload must look like (the application).

mod content;
mod contradictions;
mod procedure;
mod replaced;
#[cfg(test)]
mod tests;

use chrono::NaiveDate;
use weituo_events::{Act, Event, EventType, Role, Text};
use weituo_proof::Language;

use crate::cycle::Cycle;
use crate::rulebook::{Check, Rule, Rulebook, Severity, SourceKind};

pub use replaced::{Replaced, replaced};

/// Code of the breach that an act is not used by the arrangement.
pub const ACT_NOT_IN_USE: &str = "act-not-in-use";
/// Code of the breach that a role may not record an act.
pub const ROLE_NOT_ALLOWED: &str = "role-not-allowed";
/// Code of the breach that an act is not signed and the rulebook requires it.
pub const SIGNATURE_MISSING: &str = "signature-missing";
/// Code of the breach that entries were recorded between reading and judging.
pub const READ_NOT_NEWEST: &str = "read-not-newest";
/// Code of the breach that no adopted rulebook is pinned.
pub const RULEBOOK_MISSING: &str = "rulebook-missing";

/// One rule broken by one act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// What of the act it is about, such as `expert:e2`.
    pub about: Option<String>,
    /// True when the rule is a local setting.
    pub local: bool,
    /// Code of the rule.
    pub rule: String,
    /// How grave.
    pub severity: Severity,
    /// The passage that the rule rests on.
    pub source: Option<String>,
    /// What is broken, and what would be accepted.
    pub text: Text,
}

impl Breach {
    /// Returns a breach that no rulebook allows.
    pub(crate) fn impossible(code: &str, zh: impl Into<String>, en: impl Into<String>) -> Self {
        Self {
            about: None,
            local: false,
            rule: code.to_owned(),
            severity: Severity::Impossible,
            source: None,
            text: Text::new(zh, en),
        }
    }
}

/// What one rule has to say of an act.
pub(crate) struct Found {
    about: Option<String>,
    severity: Option<Severity>,
    text: Text,
}

impl Found {
    fn new(zh: impl Into<String>, en: impl Into<String>) -> Self {
        Self { about: None, severity: None, text: Text::new(zh, en) }
    }
}

/// What every check looks at.
#[derive(Clone, Copy)]
pub(crate) struct Case<'a> {
    pub(crate) act: &'a Act,
    pub(crate) cycle: &'a Cycle,
    pub(crate) rulebook: &'a Rulebook,
}

/// Returns what an irregularity about an expert is about.
pub fn about_expert(expert: &str) -> String {
    format!("expert:{expert}")
}

/// Returns the rules that an act breaks itself; what a correction makes its record break is [`replaced`].
pub fn breaches(cycle: &Cycle, act: &Act, recorded_on: NaiveDate, rulebook: &Rulebook) -> Vec<Breach> {
    let mut breaches = contradictions::contradictions(cycle, act, recorded_on);
    breaches.extend(outside_the_rulebook(act, rulebook));
    breaches.extend(unsigned(cycle, act, rulebook));
    breaches.extend(judged_on_older_entries(cycle, act));
    let case = Case { act, cycle, rulebook };
    for rule in &rulebook.rules {
        breaches.extend(judge(case, rule).into_iter().map(|found| breach(rule, found)));
    }
    breaches
}

/// Returns what is broken where no rulebook can be found: the contradictions, and that.
pub fn without_rulebook(cycle: &Cycle, act: &Act, recorded_on: NaiveDate) -> Vec<Breach> {
    let mut breaches = contradictions::contradictions(cycle, act, recorded_on);
    breaches.push(Breach::impossible(
        RULEBOOK_MISSING,
        "本轮次所依据的规则未启用,或内容与所记摘要不符;应先启用规则依据",
        "the rulebook that this cycle pins was never adopted with that digest; adopt it first",
    ));
    breaches
}

fn breach(rule: &Rule, found: Found) -> Breach {
    let severity = found.severity.unwrap_or(rule.severity);
    Breach {
        about: found.about,
        local: rule.local,
        rule: rule.code.clone(),
        severity,
        source: rule.source.clone(),
        text: Text::new(
            format!("{}:{}", rule.title.zh, found.text.zh),
            format!("{}: {}", rule.title.en, found.text.en),
        ),
    }
}

fn judge(case: Case<'_>, rule: &Rule) -> Vec<Found> {
    match &rule.check {
        Check::Needs { .. } => procedure::needs(case, &rule.check),
        Check::AfterTerm { acts, or_terminated } => procedure::after_term(case, acts, *or_terminated),
        Check::WithinTerm { acts } => procedure::within_term(case, acts),
        Check::Once { acts, per } => procedure::once(case, acts, *per),
        Check::PoorWorkShown => procedure::poor_work_shown(case),
        Check::NothingOpen { acts } => procedure::nothing_open(case, acts),
        Check::TermLength => procedure::term_length(case),
        Check::AsDesignated => procedure::as_designated(case),
        Check::Countersigned { by } => procedure::countersigned(case, by),
        Check::Capacity { .. } => content::capacity(case),
        Check::NoPartyEmploysAnExpert => content::no_party_employs_an_expert(case),
        Check::Panel { at_least, conveners, odd } => content::panel(case, *at_least, *conveners, *odd),
        Check::DocumentNumber { acts } => content::document_number(case, acts),
        Check::AnotherReviewer => content::another_reviewer(case),
        Check::Within { act, total } => content::within(case, *act, *total),
        Check::GradeFollowsScore => content::grade_follows_score(case),
        Check::VetoCapsGrade => content::veto_caps_grade(case),
        Check::NamesConsent => content::names_consent(case),
        Check::PublicFor { working_days } => content::public_for(case, *working_days),
        // Looked at over the whole cycle (module `irregularities`).
        Check::RecordedWithin { .. } => Vec::new(),
    }
}

/// A judgement says which entry was the newest that its author had read; more was recorded since.
fn judged_on_older_entries(cycle: &Cycle, act: &Act) -> Option<Breach> {
    let newest = cycle.last_leaf()?;
    (act.seen? != newest).then(|| Breach {
        severity: Severity::Flag,
        ..Breach::impossible(
            READ_NOT_NEWEST,
            format!("作出时所见的不是最新记录;最新一条是第 {} 条", cycle.last_sequence()),
            format!("it was made without having read the newest entry, {}", cycle.last_sequence()),
        )
    })
}

/// Acts that the arrangement does not use, and roles that may not record them.
fn outside_the_rulebook(act: &Act, rulebook: &Rulebook) -> Option<Breach> {
    let event_type = act.event.event_type();
    let (zh, en) = (event_type.label(Language::Zh), event_type.label(Language::En));
    let binding = rulebook.source_kind == SourceKind::Policy;
    let Some(rule) = rulebook.act(event_type) else {
        let severity = if binding { Severity::Refuse } else { Severity::Flag };
        return Some(Breach {
            severity,
            ..Breach::impossible(
                ACT_NOT_IN_USE,
                format!("「{}」不使用「{zh}」这一行为;所用行为见规则依据", rulebook.title.zh),
                format!(
                    "{} does not use the act {en:?}; its rulebook lists the acts in use",
                    rulebook.title.en
                ),
            )
        });
    };
    let allowed = act.actor.role.parse::<Role>().is_ok_and(|role| rule.by.contains(&role));
    if allowed {
        return None;
    }
    Some(Breach {
        local: rule.local,
        severity: if binding { Severity::Impossible } else { Severity::Flag },
        source: rule.source.clone(),
        ..Breach::impossible(
            ROLE_NOT_ALLOWED,
            format!("「{zh}」应由{}记录", roles(&rule.by, Language::Zh)),
            format!("{en:?} is recorded by {}", roles(&rule.by, Language::En)),
        )
    })
}

/// Acts without the signature that the rulebook requires; a correction needs the one that its record needs. It says who
/// speaks, as a role does, so paper is no excuse: who records now can sign now (decision 16).
fn unsigned(cycle: &Cycle, act: &Act, rulebook: &Rulebook) -> Option<Breach> {
    let required = |event_type| rulebook.signatures_required.contains(&event_type);
    let corrected = match &act.event {
        Event::RecordCorrected(correction) => cycle.record(correction.corrects.sequence),
        _ => None,
    };
    let own = act.event.event_type();
    let corrected = corrected.map(|record| record.event.event_type());
    let event_type = Some(own).into_iter().chain(corrected).find(|event_type| required(*event_type))?;
    act.signature.is_none().then(|| {
        let binding = rulebook.source_kind == SourceKind::Policy;
        let (zh, en) = (event_type.label(Language::Zh), event_type.label(Language::En));
        Breach {
            severity: if binding { Severity::Impossible } else { Severity::Flag },
            ..Breach::impossible(
                SIGNATURE_MISSING,
                format!("「{}」要求「{zh}」有签名:请用 `weituo sign` 签名后再记录", rulebook.title.zh),
                format!(
                    "{} requires the act {en:?} to be signed: sign the command with `weituo sign`",
                    rulebook.title.en
                ),
            )
        }
    })
}

/// Returns roles in words.
pub(crate) fn roles(roles: &[Role], language: Language) -> String {
    let labels: Vec<_> = roles.iter().map(|role| role.label(language)).collect();
    labels.join(if language == Language::Zh { "或" } else { " or " })
}

/// Returns acts in words.
pub(crate) fn labels(acts: &[EventType], language: Language) -> String {
    let labels: Vec<_> = acts.iter().map(|act| act.label(language)).collect();
    labels.join(if language == Language::Zh { "或" } else { " or " })
}
