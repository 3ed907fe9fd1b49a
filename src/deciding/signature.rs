//! Who says it: an actor's signature, checked before anything is decided, and that nothing was filled in behind it.
//!
//! Invariants: a signed act is recorded byte for byte as it was signed; one whose signature does not hold, or whose key may
//! not speak for the actor, is not decided on at all.
//! Absent: whether an act must be signed (a rulebook's rule, `weituo_projections::rules`); that the key is still enrolled when
//! the act gets its place (the commit compares what the decision rested on, `ledger::prepare`).
//! Source: format.md, Signatures by actors.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use weituo_events::{Act, Command, OrganisationId, Refusal};
use weituo_proof::entry::verify_draft_signature;
use weituo_proof::{Hash, Origin, StreamName};

use super::Context;

/// Refuses a command that was signed for another ledger.
///
/// # Errors
/// A refusal that names both ledgers.
pub(crate) fn addressed(command: &Command, ledger: &Origin) -> Result<(), Refusal> {
    match &command.signed {
        Some(signed) if signed.ledger != *ledger => Err(Refusal::forbidden(
            "signed-other-ledger",
            format!("该命令是为台账 {} 签名的,本台账是 {ledger}:请为本台账重新签名", signed.ledger),
            format!(
                "the command was signed for the ledger {}, this one is {ledger}: sign it for this one",
                signed.ledger
            ),
        )),
        _ => Ok(()),
    }
}

/// Checks the signature of an act that has one: the key is enrolled for the actor and not revoked, and the signature holds.
pub(super) fn check(act: &Act, context: &Context) -> Result<(), Refusal> {
    let Some(key) = act.actor.key.filter(|_| act.signature.is_some()) else { return Ok(()) };
    let id = act.actor.organisation.as_str();
    let known = context.organisation(id).and_then(|organisation| organisation.keys.get(&key));
    let Some(known) = known else {
        return Err(Refusal::forbidden(
            "key-not-enrolled",
            format!("密钥 {key} 没有为 {id} 登记:请先用 EnrolSigningKey 登记,或用 {id} 已登记的密钥签名"),
            format!(
                "key {key} is not enrolled for {id}: enrol it first (EnrolSigningKey), or sign with an enrolled key of {id}"
            ),
        ));
    };
    if let Some(leaf_index) = known.revoked {
        return Err(Refusal::forbidden(
            "key-revoked",
            format!("{id} 的密钥 {key} 已在序号 {leaf_index} 撤销:请用未撤销的密钥重新签名"),
            format!(
                "key {key} of {id} was revoked at leaf {leaf_index}: sign with a key that is not revoked"
            ),
        ));
    }
    let public_key =
        STANDARD.decode(&known.public_key).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    let held = context.ledger.as_ref().zip(public_key).map(|(ledger, public_key)| {
        let draft = act.draft(ledger);
        verify_draft_signature(&draft, &public_key).map_err(|error| error.to_string())
    });
    match held {
        Some(Ok(())) => Ok(()),
        _ => Err(wrong(&key, id)),
    }
}

fn wrong(key: &Hash, id: &str) -> Refusal {
    Refusal::forbidden(
        "signature-wrong",
        format!(
            "{id} 的密钥 {key} 的签名与此命令不符:签名后被改动,或是为另一流、另一命令所签;请重新签名(`weituo sign`)"
        ),
        format!(
            "the signature by key {key} of {id} does not hold for this command: it was altered after signing, or the signature is another command's or stream's; sign it again (`weituo sign`)"
        ),
    )
}

/// Refuses stated parties that are not those whom the act makes parties.
pub(super) fn parties(stated: &[StreamName], decided: &Act) -> Result<(), Refusal> {
    if stated == decided.parties {
        return Ok(());
    }
    let names: Vec<&str> = decided.parties.iter().map(StreamName::as_str).collect();
    let list = serde_json::to_string(&names).unwrap_or_default();
    Err(Refusal::invalid(
        "parties",
        format!("因此行为成为当事方的是 {list}:请在命令中写 \"parties\":{list}(签名的命令须重新签名)"),
        format!(
            "by this act become parties: {list}; write \"parties\":{list} into the command (and sign it again where it is signed)"
        ),
    ))
}

/// Refuses a signed act that deciding had to complete: the signature does not cover what was filled in.
pub(super) fn complete(signed: &Act, decided: &Act) -> Result<(), Refusal> {
    if signed == decided {
        return Ok(());
    }
    let json = |act: &Act| serde_json::from_str(&act.event.payload_json()).unwrap_or(Value::Null);
    let (place, value) =
        filled_in("payload", &json(signed), &json(decided)).unwrap_or(("payload".to_owned(), Value::Null));
    Err(Refusal::invalid(
        "signed-incomplete",
        format!("台账会把 {place} 补为 {value},而签名没有涵盖它:请写明后重新签名"),
        format!(
            "the ledger would fill in {place} as {value}, which the signature does not cover: write it into the command and sign again"
        ),
    ))
}

/// Returns the first place where deciding added or changed something, and what.
fn filled_in(place: &str, signed: &Value, decided: &Value) -> Option<(String, Value)> {
    match (signed, decided) {
        (Value::Object(before), Value::Object(after)) => after.iter().find_map(|(key, after)| {
            let place = format!("{place}.{key}");
            match before.get(key) {
                Some(before) => filled_in(&place, before, after),
                None => Some((place, after.clone())),
            }
        }),
        (Value::Array(before), Value::Array(after)) if before.len() == after.len() => before
            .iter()
            .zip(after)
            .enumerate()
            .find_map(|(at, (before, after))| filled_in(&format!("{place}.{at}"), before, after)),
        _ => (signed != decided).then(|| (place.to_owned(), decided.clone())),
    }
}

/// Returns those of a list of organisations that ever had a key enrolled.
pub(crate) fn holders(
    ids: impl IntoIterator<Item = OrganisationId>,
    context: &Context,
) -> Vec<OrganisationId> {
    let mut found: Vec<OrganisationId> = Vec::new();
    for id in ids {
        let holds =
            context.organisation(id.as_str()).is_some_and(|organisation| !organisation.keys.is_empty());
        if holds && !found.contains(&id) {
            found.push(id);
        }
    }
    found
}
