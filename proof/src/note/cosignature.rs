//! Timestamped cosignatures of checkpoints by witnesses and auditors.
//!
//! Invariants: the signed message names version and time, so it can be mistaken for no other signature.
//! Absent: whether the checkpoint extends what the witness saw (its own duty); ML-DSA-44 cosignatures.
//! Source: C2SP tlog-cosignature, "Format" and "Ed25519 signed message".

use super::key::{Algorithm, KeyError, SigningKey, VerifierKey};
use super::{NoteSignature, SignedNote};
use crate::checkpoint::Checkpoint;
use crate::ed25519::{self, Ed25519Error};

/// Bytes of a cosignature: u64 big-endian timestamp and an Ed25519 signature.
const COSIGNATURE_BYTES: usize = 72;

/// Largest timestamp: 2^63 - 1.
const MAX_TIMESTAMP: u64 = i64::MAX as u64;

fn message(timestamp: u64, text: &str) -> Vec<u8> {
    format!("cosignature/v1\ntime {timestamp}\n{text}").into_bytes()
}

/// Verifies a cosignature of a checkpoint's text and returns its timestamp, in seconds since the epoch.
pub(super) fn verify(public_key: &[u8; 32], text: &str, cosignature: &[u8]) -> Result<u64, Ed25519Error> {
    let signature = match cosignature.split_first_chunk() {
        Some((timestamp, signature)) if cosignature.len() == COSIGNATURE_BYTES => {
            (u64::from_be_bytes(*timestamp), signature)
        }
        // Reported as the length of the signature proper.
        _ => return Err(Ed25519Error::Length { bytes: cosignature.len().saturating_sub(8) }),
    };
    let (timestamp, signature) = signature;
    if timestamp > MAX_TIMESTAMP {
        return Err(Ed25519Error::Mismatch);
    }
    ed25519::verify(public_key, &message(timestamp, text), signature)?;
    Ok(timestamp)
}

/// An Ed25519 key that cosigns checkpoints. It must not also sign a log's own notes under the same name.
#[derive(Debug, Clone)]
pub struct CosigningKey(SigningKey);

impl CosigningKey {
    /// Returns the key of a cosigner's name and a 32-byte seed.
    ///
    /// # Errors
    ///
    /// `KeyError::Name` when the name is not a key name.
    pub fn from_seed(name: impl Into<String>, seed: [u8; 32]) -> Result<Self, KeyError> {
        SigningKey::of_algorithm(name, Algorithm::CosignatureV1, seed).map(Self)
    }

    /// Returns the key that verifies what this one cosigns.
    pub fn verifier(&self) -> &VerifierKey {
        self.0.verifier()
    }

    /// Returns the cosignature line of a checkpoint, made at `timestamp` seconds since the epoch.
    ///
    /// The caller must have verified the log's signature and that the checkpoint extends all it saw before. A time
    /// beyond 2^63 - 1, which the specification forbids, is written as that.
    pub fn cosign(&self, checkpoint: &SignedNote, timestamp: u64) -> NoteSignature {
        let timestamp = timestamp.min(MAX_TIMESTAMP);
        let signature = self.0.private().sign(&message(timestamp, checkpoint.text()));
        self.0.line([&timestamp.to_be_bytes()[..], &signature].concat())
    }

    /// Returns a checkpoint with this cosignature alone, as `cosign` makes it. For a checkpoint that the log has not signed
    /// itself, but one that was proven to extend it.
    pub fn cosigned(&self, checkpoint: &Checkpoint, timestamp: u64) -> SignedNote {
        let mut note = SignedNote { text: checkpoint.text(), signatures: Vec::new() };
        note.signatures.push(self.cosign(&note, timestamp));
        note
    }
}
