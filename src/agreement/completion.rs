//! Completing: digests of pins, leaf hashes of references, the term's length, the parties.
//!
//! Invariant: what a command says itself is never changed; where it says something else than the log, it is refused.

use std::collections::BTreeSet;

use weituo_events::payload::{EntryRef, RulebookPin};
use weituo_events::{Act, Event, OrganisationId, Refusal};
use weituo_projections::{Cycle, Rulebook};
use weituo_proof::StreamName;

use super::named::joining;
use crate::deciding::Context;

/// Fills in the digest of the rulebook that an event pins.
pub(super) fn pin(event: &mut Event, context: &Context) -> Result<(), Refusal> {
    let Some(pin) = pin_of(event) else { return Ok(()) };
    let digest = adopted(pin, context)?;
    pin.digest = Some(digest);
    Ok(())
}

fn pin_of(event: &mut Event) -> Option<&mut RulebookPin> {
    match event {
        Event::SchemeIssued(payload) => Some(&mut payload.rulebook),
        Event::PartiesDesignated(payload) => Some(&mut payload.rulebook),
        Event::AgreementSigned(payload) => Some(&mut payload.rulebook),
        Event::GroupApproved(payload) => Some(&mut payload.rulebook),
        _ => None,
    }
}

/// Returns the member of an event that deciding would certainly fill in, where one was left out.
pub(crate) fn left_open(event: &mut Event) -> Option<&'static str> {
    if pin_of(event).is_some_and(|pin| pin.digest.is_none()) {
        return Some("payload.rulebook.digest");
    }
    reference_of(event).is_some_and(|entry| entry.leaf.is_none()).then_some("leaf")
}

fn adopted(pin: &RulebookPin, context: &Context) -> Result<weituo_proof::Hash, Refusal> {
    let (id, version) = (&pin.id, pin.version);
    let in_force: Vec<_> = context.rulebooks.versions(id).filter(|(_, adopted)| !adopted.repealed).collect();
    let versions = in_force.iter().map(|(version, _)| version.to_string()).collect::<Vec<_>>().join(", ");
    let versions = if versions.is_empty() { "-" } else { &versions };
    let Some(adopted) = context.rulebooks.get(id, version) else {
        return Err(Refusal::invalid(
            "rulebook-unknown",
            format!("规则依据 {id} 第 {version} 版没有启用;已启用的版本:{versions}(先用 weituo adopt 启用)"),
            format!(
                "version {version} of rulebook {id} is not adopted; in force: {versions} (adopt it with weituo adopt)"
            ),
        ));
    };
    if adopted.repealed {
        return Err(Refusal::contradicts(
            "rulebook-repealed",
            format!("规则依据 {id} 第 {version} 版已废止;可用的版本:{versions}"),
            format!("version {version} of rulebook {id} is repealed; in force: {versions}"),
        ));
    }
    if pin.digest.is_some_and(|digest| digest != adopted.digest) {
        return Err(Refusal::invalid(
            "rulebook-digest",
            format!("规则依据 {id} 第 {version} 版的摘要是 {}", adopted.digest),
            format!("version {version} of rulebook {id} has digest {}", adopted.digest),
        ));
    }
    Ok(adopted.digest)
}

/// Fills in the leaf hash of every entry that an event refers to.
pub(super) fn references(cycle: &Cycle, event: &mut Event) -> Result<(), Refusal> {
    reference_of(event).map_or(Ok(()), |entry| reference(cycle, entry))
}

fn reference_of(event: &mut Event) -> Option<&mut EntryRef> {
    match event {
        Event::RecordAcknowledged(payload) => Some(&mut payload.entry),
        Event::ObjectionFiled(payload) => Some(&mut payload.entry),
        Event::ObjectionResolved(payload) => Some(&mut payload.objection),
        Event::RecordCorrected(payload) => Some(&mut payload.corrects),
        Event::FilingAccepted(payload) => Some(&mut payload.filing),
        Event::AuditFindingRecorded(payload) => payload.entry.as_mut(),
        Event::ResourceTransferConsented(payload) | Event::ResourceTransferred(payload) => {
            payload.consent.as_mut()
        }
        Event::EvidenceAttached(weituo_events::payload::Confidential::Clear(payload)) => {
            payload.entry.as_mut()
        }
        _ => None,
    }
}

fn reference(cycle: &Cycle, entry: &mut EntryRef) -> Result<(), Refusal> {
    let sequence = entry.sequence;
    let Some(known) = cycle.entry_ref(sequence) else {
        let last = cycle.last_sequence();
        return Err(Refusal::invalid(
            "entry-unknown",
            format!("本轮次没有第 {sequence} 条记录;已有第 1 至 {last} 条"),
            format!("this cycle has no entry {sequence}; it has 1 to {last}"),
        ));
    };
    if entry.leaf.is_some() && entry.leaf != known.leaf {
        return Err(Refusal::invalid(
            "entry-hash",
            format!("第 {sequence} 条记录的哈希不符;可以不写 leaf,由台账填入"),
            format!("entry {sequence} has another leaf hash; leave leaf out and the ledger fills it in"),
        ));
    }
    entry.leaf = known.leaf;
    Ok(())
}

/// Fills in the length of the term from the rulebook.
pub(super) fn term(event: &mut Event, rulebook: Option<&Rulebook>) {
    let Some(term) = rulebook.and_then(|rulebook| rulebook.term.as_ref()) else { return };
    match event {
        Event::AgreementSigned(payload) => payload.term_months = payload.term_months.or(term.months),
        Event::GroupApproved(payload) if payload.term_start.is_some() => {
            payload.term_months = payload.term_months.or(term.months);
        }
        _ => {}
    }
}

/// Returns the organisation streams that become parties by an event, sorted.
pub(super) fn parties(cycle: &Cycle, event: &Event) -> Vec<StreamName> {
    let joining_now = joining(event);
    if joining_now.is_empty() {
        return Vec::new();
    }
    let before: BTreeSet<&OrganisationId> =
        cycle.records.iter().flat_map(|record| joining(&record.event)).collect();
    let new: BTreeSet<StreamName> =
        joining_now.into_iter().filter(|id| !before.contains(id)).map(OrganisationId::stream).collect();
    new.into_iter().collect()
}

/// Checks what the actor says it had read: required where a judgement rests on the whole stream.
pub(super) fn seen(cycle: &Cycle, act: &Act) -> Result<(), Refusal> {
    let newest = cycle.last_leaf().map_or_else(|| "-".to_owned(), |leaf| leaf.to_string());
    match act.seen {
        None if matches!(act.event, Event::EndOfTermEvaluationRecorded(_)) => Err(Refusal::invalid(
            "seen-missing",
            format!("绩效评估须写明所见的最新记录(seen);最新一条的哈希是 {newest}"),
            format!("an evaluation says which entry was the newest one read (seen); the newest is {newest}"),
        )),
        Some(seen) if !cycle.records.iter().any(|record| record.leaf_hash == seen) => Err(Refusal::invalid(
            "seen-unknown",
            format!("本轮次没有哈希为 {seen} 的记录;最新一条是 {newest}"),
            format!("no entry of this cycle has the hash {seen}; the newest is {newest}"),
        )),
        _ => Ok(()),
    }
}
