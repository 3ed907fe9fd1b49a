//! Actors' signatures over what their command fixed.
//!
//! Invariants: the signed bytes hold everything but the log's own members and the signature, so a signature cannot
//! move to another command; `actor.key` names the key and is itself signed.
//! Absent: whether the key was enrolled for the organisation at that leaf index (that needs the log).
//! Source: format.md "Signatures by actors"; RFC 8032.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Draft, Entry};
use crate::ed25519::{self, Ed25519Error, PrivateKey};
use crate::hash::{Hash, sha256};

/// The algorithm's name in a key id.
const ALGORITHM: &[u8] = b"ed25519";

/// Why an actor's signature is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The entry carries no signature.
    #[error("the entry carries no signature")]
    Unsigned,
    /// The entry names another key.
    #[error("the entry names key {found}, this key is {expected}")]
    OtherKey {
        /// Key id of the key given.
        expected: Hash,
        /// Key id that the entry names.
        found: Hash,
    },
    /// The signature is not base64.
    #[error("the signature is not base64")]
    Base64(#[source] base64::DecodeError),
    /// Key or signature fails.
    #[error("the signature of the actor is not valid")]
    Invalid(#[source] Ed25519Error),
}

/// Returns SHA-256("ed25519" ‖ 0x00 ‖ public key): how `actor.key` names a key.
pub fn key_id(public_key: &[u8; 32]) -> Hash {
    sha256(&[ALGORITHM, &[0x00], public_key])
}

/// Signs a draft with a 32-byte Ed25519 seed: sets `actor.key` and `signature`.
pub fn sign(draft: &mut Draft, seed: &[u8; 32]) {
    let private = PrivateKey::from_seed(seed);
    draft.actor.key = Some(key_id(&private.public_key()));
    draft.signature = Some(STANDARD.encode(private.sign(&draft.signing_bytes())));
}

/// Verifies the signature of an entry strictly under a 32-byte public key.
///
/// # Errors
///
/// `SignatureError` when it is absent, names another key, or does not verify.
pub fn verify_actor_signature(entry: &Entry, public_key: &[u8; 32]) -> Result<(), SignatureError> {
    let (Some(signature), Some(found)) = (&entry.signature, entry.actor.key) else {
        return Err(SignatureError::Unsigned);
    };
    let expected = key_id(public_key);
    if expected != found {
        return Err(SignatureError::OtherKey { expected, found });
    }
    let signature = STANDARD.decode(signature).map_err(SignatureError::Base64)?;
    ed25519::verify(public_key, &entry.signing_bytes(), &signature).map_err(SignatureError::Invalid)
}
