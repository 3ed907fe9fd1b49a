//! Actors' signatures over what their command fixed.
//!
//! Invariants: the signed bytes hold everything but the log's own members and the signature, so a signature cannot
//! move to another command; `actor.key` names the key and is itself signed. A proof of possession is bound to one ledger,
//! one organisation and one key, and no signature of an entry can pass for it.
//! Absent: whether the key was enrolled for the organisation at that leaf index (that needs the log).
//! Source: format.md "Signatures by actors"; RFC 8032.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Actor, Draft, Entry};
use crate::ed25519::{self, Ed25519Error, PrivateKey};
use crate::hash::{Hash, sha256};
use crate::ident::{Origin, StreamName};

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
    verify(&entry.actor, entry.signature.as_deref(), public_key, || entry.signing_bytes())
}

/// Verifies the signature of what is to become an entry, like [`verify_actor_signature`].
///
/// # Errors
///
/// The same.
pub fn verify_draft_signature(draft: &Draft, public_key: &[u8; 32]) -> Result<(), SignatureError> {
    verify(&draft.actor, draft.signature.as_deref(), public_key, || draft.signing_bytes())
}

fn verify(
    actor: &Actor,
    signature: Option<&str>,
    public_key: &[u8; 32],
    signing_bytes: impl FnOnce() -> Vec<u8>,
) -> Result<(), SignatureError> {
    let (Some(signature), Some(found)) = (signature, actor.key) else {
        return Err(SignatureError::Unsigned);
    };
    let expected = key_id(public_key);
    if expected != found {
        return Err(SignatureError::OtherKey { expected, found });
    }
    let signature = STANDARD.decode(signature).map_err(SignatureError::Base64)?;
    ed25519::verify(public_key, &signing_bytes(), &signature).map_err(SignatureError::Invalid)
}

/// Returns the public key of a 32-byte Ed25519 seed, 32 bytes.
pub fn public_key_of_seed(seed: &[u8; 32]) -> [u8; 32] {
    PrivateKey::from_seed(seed).public_key()
}

/// Returns the proof that whoever enrols a key holds it: base64 of the key's own signature (format.md "Signatures by
/// actors") for one ledger and one organisation's stream.
pub fn prove_possession(ledger: &Origin, organisation: &StreamName, seed: &[u8; 32]) -> String {
    let private = PrivateKey::from_seed(seed);
    let key = key_id(&private.public_key());
    STANDARD.encode(private.sign(&possession_bytes(ledger, organisation, &key)))
}

/// Verifies a proof of possession strictly under the 32-byte public key that is being enrolled.
///
/// # Errors
///
/// `SignatureError` when it is not base64 or does not verify, also because the key is of small order.
pub fn verify_possession(
    ledger: &Origin,
    organisation: &StreamName,
    public_key: &[u8; 32],
    possession: &str,
) -> Result<(), SignatureError> {
    let signature = STANDARD.decode(possession).map_err(SignatureError::Base64)?;
    let message = possession_bytes(ledger, organisation, &key_id(public_key));
    ed25519::verify(public_key, &message, &signature).map_err(SignatureError::Invalid)
}

/// "weituo/key-possession/v2\n" and origin, organisation stream and key id, each on its line.
fn possession_bytes(ledger: &Origin, organisation: &StreamName, key: &Hash) -> Vec<u8> {
    format!("weituo/key-possession/v2\n{ledger}\n{organisation}\n{key}\n").into_bytes()
}
