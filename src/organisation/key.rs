//! Signing keys: a key is enrolled under its own id, once, by whoever holds it, and vouched for by a key that was there before.
//!
//! Invariants: the proof of possession holds for this ledger and this organisation; an enrolment that a key could have
//! signed is signed (decision 16). Revoking needs no signature: whoever may enrol may revoke, and a lost key signs nothing.
//! Source: format.md, Signatures by actors.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use weituo_events::payload::{SigningKeyEnrolled, SigningKeyRevoked};
use weituo_events::{Act, OrganisationId, Refusal};
use weituo_projections::Organisation;
use weituo_proof::Ed25519Error;
use weituo_proof::entry::{SignatureError, key_id, verify_possession};

use crate::deciding::{Context, holders};

/// Checks an enrolment.
pub(super) fn enrolled(
    state: &Organisation,
    act: &Act,
    payload: &SigningKeyEnrolled,
    context: &Context,
) -> Result<(), Refusal> {
    let bytes = STANDARD.decode(&payload.public_key).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    let Some(public_key) = bytes else {
        return Err(Refusal::invalid(
            "key-unreadable",
            "public_key 应为 32 字节 Ed25519 公钥的 base64",
            "public_key is the base64 of an Ed25519 public key, 32 bytes",
        ));
    };
    let expected = key_id(&public_key);
    if expected != payload.key {
        return Err(Refusal::invalid(
            "key-id",
            format!("该公钥的编号是 {expected}"),
            format!("the id of that public key is {expected}"),
        ));
    }
    if state.keys.contains_key(&payload.key) {
        return Err(Refusal::contradicts(
            "key-enrolled-before",
            "该密钥已登记过;撤销的密钥不能再登记,请换新密钥",
            "that key was enrolled before; a revoked key is not enrolled again, take a new one",
        ));
    }
    possession(&public_key, act, payload, context)?;
    vouched_for(state, act, context)
}

/// Proof of possession: the key's own signature, for this ledger and this organisation.
fn possession(
    public_key: &[u8; 32],
    act: &Act,
    payload: &SigningKeyEnrolled,
    context: &Context,
) -> Result<(), Refusal> {
    let verified = context
        .ledger
        .as_ref()
        .map(|ledger| verify_possession(ledger, &act.stream, public_key, &payload.possession));
    let Some(Err(error)) = verified else {
        return verified.map_or_else(|| Err(not_possessed(act, context)), |_| Ok(()));
    };
    match error {
        SignatureError::Invalid(weak @ (Ed25519Error::WeakKey | Ed25519Error::KeyEncoding)) => {
            Err(Refusal::invalid(
                "key-weak",
                "该公钥不是可用的 Ed25519 公钥(小阶或编码不规范):请用 `weituo key new` 生成密钥",
                format!("{weak}: make a key with `weituo key new`"),
            ))
        }
        _ => Err(not_possessed(act, context)),
    }
}

fn not_possessed(act: &Act, context: &Context) -> Refusal {
    let ledger = context.ledger.as_ref().map_or_else(String::new, ToString::to_string);
    Refusal::invalid(
        "key-possession",
        format!(
            "possession 应为该密钥自己对台账 {ledger} 和 {} 所作的签名:请用 `weituo key enrol` 生成登记命令",
            act.stream
        ),
        format!(
            "possession is the key's own signature for the ledger {ledger} and {}: make the command with `weituo key enrol`",
            act.stream
        ),
    )
}

/// An enrolment is signed as soon as there is a key that may sign it: of the organisation, of an authority above it or of
/// a root bureau. That the signer is one of them was checked with the actor.
fn vouched_for(state: &Organisation, act: &Act, context: &Context) -> Result<(), Refusal> {
    if act.signature.is_some() {
        return Ok(());
    }
    let itself = OrganisationId::new(state.id.clone()).ok();
    let may = itself.into_iter().chain(context.above(&state.id)).chain(context.roots.iter().cloned());
    let holders = holders(may, context);
    if holders.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = holders.iter().map(OrganisationId::as_str).collect();
    let names = names.join(", ");
    Err(Refusal::forbidden(
        "enrolment-unsigned",
        format!("此前已有密钥可为登记签名:请由 {names} 之一用其未撤销的密钥签名(`weituo sign`)"),
        format!(
            "there are keys that can vouch for this one: have the enrolment signed with a key, not revoked, of one of {names} (`weituo sign`)"
        ),
    ))
}

/// Checks a revocation.
pub(super) fn revoked(state: &Organisation, payload: &SigningKeyRevoked) -> Result<(), Refusal> {
    match state.keys.get(&payload.key) {
        Some(key) if key.revoked.is_none() => Ok(()),
        Some(_) => {
            Err(Refusal::contradicts("key-revoked-before", "该密钥已撤销", "that key is revoked already"))
        }
        None => {
            let known: Vec<_> = state.keys.keys().map(ToString::to_string).collect();
            Err(Refusal::invalid(
                "key-unknown",
                format!("没有登记该密钥;已登记:{}", known.join(", ")),
                format!("that key is not enrolled; enrolled are: {}", known.join(", ")),
            ))
        }
    }
}
