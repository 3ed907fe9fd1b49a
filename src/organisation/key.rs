//! Signing keys: a key is enrolled under its own id, once.
//!
//! Absent: the proof of possession and the signature of an earlier key. They are checked where actors' signatures are
//! (a later issue); the field is required already, so that no entry lacks it.
//! Source: format.md, Signatures by actors.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use weituo_events::Refusal;
use weituo_events::payload::{SigningKeyEnrolled, SigningKeyRevoked};
use weituo_projections::Organisation;
use weituo_proof::entry::key_id;

/// Checks an enrolment.
pub(super) fn enrolled(
    state: &Organisation,
    stream: &str,
    payload: &SigningKeyEnrolled,
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
    possession(&public_key, stream, payload)
}

/// Proof of possession: present and of a signature's length. Verified with actors' signatures.
fn possession(_: &[u8; 32], _: &str, payload: &SigningKeyEnrolled) -> Result<(), Refusal> {
    if STANDARD.decode(&payload.possession).is_ok_and(|bytes| bytes.len() == 64) {
        return Ok(());
    }
    Err(Refusal::invalid(
        "key-possession",
        "possession 应为该密钥自己的签名(64 字节的 base64)",
        "possession is the key's own signature, the base64 of 64 bytes",
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
