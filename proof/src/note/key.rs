//! Keys of notes: the verifier's text form and the signer's.
//!
//! Invariants: a key of a known algorithm has the id that its name and bytes give; a seed never shows in `Debug`.
//! Absent: making seeds (the caller brings 32 random bytes), keeping them.
//! Source: C2SP signed-note, "Signatures", "Verifier keys"; the private form is that of Go's sumdb/note.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::NoteSignature;
use crate::ed25519::{self, Ed25519Error, PrivateKey};
use crate::hash::sha256;

/// The signature type identifier byte of Ed25519.
const ED25519: u8 = 0x01;
/// The signature type identifier byte of timestamped Ed25519 cosignatures.
const COSIGNATURE_V1: u8 = 0x04;

/// Signature algorithm of a key.
#[derive(Debug, Copy, Clone, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// Ed25519 over the text, type 0x01.
    Ed25519,
    /// Timestamped Ed25519 cosignature, type 0x04.
    CosignatureV1,
    /// Another type, by its identifier byte.
    Other(u8),
}

impl Algorithm {
    pub(super) fn identifier(self) -> u8 {
        match self {
            Self::Ed25519 => ED25519,
            Self::CosignatureV1 => COSIGNATURE_V1,
            Self::Other(identifier) => identifier,
        }
    }
}

/// Refusal of a key's text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not `name+hex8+base64`.
    #[error("a verifier key is name+8 hex digits+base64")]
    Shape,
    /// Not `PRIVATE+KEY+name+hex8+base64` of a 32-byte Ed25519 seed.
    #[error("a signing key is PRIVATE+KEY+name+8 hex digits+base64 of type 1 and a 32-byte seed")]
    PrivateShape,
    /// The name is empty or holds white space, `+` or a control character.
    #[error("a key name is not empty and has no white space, '+' or control character: {name:?}")]
    Name {
        /// The name refused.
        name: String,
    },
    /// The id is not the one that name and key give.
    #[error("the id of key {name} should be {expected:08x}, found {found:08x}")]
    Id {
        /// The key's name.
        name: String,
        /// The id that name and bytes give.
        expected: u32,
        /// The id found.
        found: u32,
    },
    /// The key's bytes are not an acceptable Ed25519 key.
    #[error("the key is not an acceptable Ed25519 key")]
    Ed25519(#[source] Ed25519Error),
}

/// Returns whether this is a key name: not empty, no white space, no `+`, no control character.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c == '+' || c < ' ')
}

fn check_name(name: &str) -> Result<(), KeyError> {
    if is_name(name) { Ok(()) } else { Err(KeyError::Name { name: name.chars().take(80).collect() }) }
}

/// SHA-256(name ‖ 0x0A ‖ type ‖ public key)[:4] (C2SP signed-note, "Signatures").
fn id_of(name: &str, algorithm: Algorithm, public_key: &[u8]) -> [u8; 4] {
    let hash = sha256(&[name.as_bytes(), b"\n", &[algorithm.identifier()], public_key]);
    [hash.0[0], hash.0[1], hash.0[2], hash.0[3]]
}

/// A public key with its name, as a policy lists it: `name+hex8+base64`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct VerifierKey {
    name: String,
    key_id: [u8; 4],
    algorithm: Algorithm,
    public_key: Vec<u8>,
}

impl VerifierKey {
    /// Returns the key of a name and a 32-byte Ed25519 public key, for notes (0x01) or cosignatures (0x04).
    ///
    /// # Errors
    ///
    /// `KeyError` when the name is not one, or the key is weak or not canonically encoded.
    pub fn ed25519_key(
        name: impl Into<String>,
        algorithm: Algorithm,
        public_key: &[u8; 32],
    ) -> Result<Self, KeyError> {
        let name = name.into();
        check_name(&name)?;
        ed25519::public_key_of(public_key).map_err(KeyError::Ed25519)?;
        let key_id = id_of(&name, algorithm, public_key);
        Ok(Self { name, key_id, algorithm, public_key: public_key.to_vec() })
    }

    /// Returns the key's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the key's id, 4 bytes.
    pub fn key_id(&self) -> [u8; 4] {
        self.key_id
    }

    /// Returns the key's algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Returns the public key's bytes: 32 for the two Ed25519 algorithms.
    pub fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    pub(super) fn ed25519(&self) -> &[u8; 32] {
        self.public_key.as_slice().try_into().expect("invariant: a key of an Ed25519 algorithm has 32 bytes")
    }

    fn parse(text: &str) -> Result<Self, KeyError> {
        let (name, rest) = text.split_once('+').ok_or(KeyError::Shape)?;
        let (id, encoded) = rest.split_once('+').ok_or(KeyError::Shape)?;
        check_name(name)?;
        let key_id = parse_id(id).ok_or(KeyError::Shape)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| KeyError::Shape)?;
        let (&identifier, public_key) = bytes.split_first().ok_or(KeyError::Shape)?;
        let algorithm = match identifier {
            ED25519 => Algorithm::Ed25519,
            COSIGNATURE_V1 => Algorithm::CosignatureV1,
            // Its id may be computed otherwise (0x02 hashes an SPKI), so it is taken as given.
            other => {
                let (name, public_key) = (name.to_owned(), public_key.to_vec());
                return Ok(Self { name, key_id, algorithm: Algorithm::Other(other), public_key });
            }
        };
        let public_key = public_key.try_into().map_err(|_| KeyError::Ed25519(Ed25519Error::KeyEncoding))?;
        let key = Self::ed25519_key(name, algorithm, public_key)?;
        check_id(name, key.key_id, key_id)?;
        Ok(key)
    }
}

/// Reads exactly 8 lower-case hex digits.
fn parse_id(text: &str) -> Option<[u8; 4]> {
    let lower = text.len() == 8 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    lower.then(|| u32::from_str_radix(text, 16).ok()).flatten().map(u32::to_be_bytes)
}

fn check_id(name: &str, expected: [u8; 4], found: [u8; 4]) -> Result<(), KeyError> {
    if expected == found {
        return Ok(());
    }
    let (expected, found) = (u32::from_be_bytes(expected), u32::from_be_bytes(found));
    Err(KeyError::Id { name: name.to_owned(), expected, found })
}

impl FromStr for VerifierKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::parse(text)
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&[self.algorithm.identifier()], self.public_key.as_slice()].concat();
        write!(f, "{}+{:08x}+{}", self.name, u32::from_be_bytes(self.key_id), STANDARD.encode(bytes))
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An Ed25519 key that signs notes. `Display` writes the secret (to a key file); `Debug` does not.
#[derive(Clone)]
pub struct SigningKey {
    private: PrivateKey,
    verifier: VerifierKey,
}

impl SigningKey {
    /// Returns the key of a name and a 32-byte seed (RFC 8032 section 5.1.5).
    ///
    /// # Errors
    ///
    /// `KeyError::Name` when the name is not a key name.
    pub fn from_seed(name: impl Into<String>, seed: [u8; 32]) -> Result<Self, KeyError> {
        Self::of_algorithm(name, Algorithm::Ed25519, seed)
    }

    pub(super) fn of_algorithm(
        name: impl Into<String>,
        algorithm: Algorithm,
        seed: [u8; 32],
    ) -> Result<Self, KeyError> {
        let private = PrivateKey::from_seed(&seed);
        let verifier = VerifierKey::ed25519_key(name, algorithm, &private.public_key())?;
        Ok(Self { private, verifier })
    }

    /// Returns the key that verifies what this one signs.
    pub fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// Returns the key's name.
    pub fn name(&self) -> &str {
        self.verifier.name()
    }

    /// Returns the 32-byte seed, for keys derived from this one (the seal's).
    pub fn seed(&self) -> &[u8; 32] {
        self.private.seed()
    }

    pub(super) fn private(&self) -> &PrivateKey {
        &self.private
    }

    /// Returns the signature line of a note's text, which ends in a newline.
    pub(super) fn sign(&self, text: &str) -> NoteSignature {
        self.line(self.private.sign(text.as_bytes()).to_vec())
    }

    /// Returns a line with this key's name and id.
    pub(super) fn line(&self, signature: Vec<u8>) -> NoteSignature {
        NoteSignature { name: self.name().to_owned(), key_id: self.verifier.key_id, signature }
    }
}

impl FromStr for SigningKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let rest = text.strip_prefix("PRIVATE+KEY+").ok_or(KeyError::PrivateShape)?;
        let (name, rest) = rest.split_once('+').ok_or(KeyError::PrivateShape)?;
        let (id, encoded) = rest.split_once('+').ok_or(KeyError::PrivateShape)?;
        let id = parse_id(id).ok_or(KeyError::PrivateShape)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| KeyError::PrivateShape)?;
        match bytes.split_first() {
            Some((&ED25519, seed)) => {
                let seed = seed.try_into().map_err(|_| KeyError::PrivateShape)?;
                let key = Self::from_seed(name, seed)?;
                check_id(name, key.verifier.key_id, id)?;
                Ok(key)
            }
            _ => Err(KeyError::PrivateShape),
        }
    }
}

impl fmt::Display for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&[ED25519], &self.seed()[..]].concat();
        let id = u32::from_be_bytes(self.verifier.key_id);
        write!(f, "PRIVATE+KEY+{}+{id:08x}+{}", self.name(), STANDARD.encode(bytes))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey of {}", self.verifier)
    }
}
