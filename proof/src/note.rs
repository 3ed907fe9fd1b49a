//! Signed notes: a text and signature lines, by keys that a verifier names in advance.
//!
//! Invariants: an accepted note serialises back to the same bytes; a text is trusted only through `verify`.
//! Absent: the meaning of the text (`checkpoint`), ECDSA and ML-DSA (their keys parse and stay distinguishable, their
//! signatures count as unknown), which keys to trust (the caller's policy).
//! Source: C2SP signed-note (format, signatures, signature types), C2SP tlog-cosignature (`note::cosignature`).

mod cosignature;
mod key;

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::ed25519::{self, Ed25519Error};

pub use cosignature::CosigningKey;
pub use key::{Algorithm, KeyError, SigningKey, VerifierKey};

/// Most signatures accepted on one note; the specification asks for at least 16.
pub const MAX_SIGNATURES: usize = 100;

/// Largest note accepted, in bytes.
pub const MAX_NOTE_BYTES: usize = 1_000_000;

/// How a signature line begins: em dash and space.
const LINE_START: &str = "\u{2014} ";

/// Refusal of a note.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Longer than 1,000,000 bytes.
    #[error("a note is at most {MAX_NOTE_BYTES} bytes, this one has {bytes}")]
    TooLarge {
        /// Length found, in bytes.
        bytes: usize,
    },
    /// A control character other than a newline.
    #[error("a note has no control characters but newlines, found one at byte {offset}")]
    Control {
        /// Offset of the first, in bytes.
        offset: usize,
    },
    /// No empty line before signature lines, or the last line has no end.
    #[error("a note is a text, an empty line and signature lines, each ending in a newline")]
    Shape,
    /// A line among the signatures that is not `— name base64`.
    #[error("signature line {line} is not an em dash, a key name and base64 of at least 5 bytes")]
    SignatureLine {
        /// Which line, 1-based.
        line: usize,
    },
    /// More than 100 signatures.
    #[error("a note has at most {MAX_SIGNATURES} signatures, this one has {count}")]
    TooManySignatures {
        /// Number found.
        count: usize,
    },
    /// A signature by a known key does not hold.
    #[error("the signature by {name} does not hold")]
    Invalid {
        /// Name of the key.
        name: String,
        /// Why.
        #[source]
        source: Ed25519Error,
    },
    /// No signature by any of the keys given.
    #[error("none of the {signatures} signatures is by one of the {keys} keys given")]
    Unverified {
        /// Signatures on the note.
        signatures: usize,
        /// Keys given.
        keys: usize,
    },
}

/// One signature line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature {
    name: String,
    key_id: [u8; 4],
    signature: Vec<u8>,
}

impl NoteSignature {
    /// Returns the name of the key.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the id of the key, 4 bytes.
    pub fn key_id(&self) -> [u8; 4] {
        self.key_id
    }

    /// Returns the signature without the key id; its form is the algorithm's.
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    fn parse(line: &str) -> Option<Self> {
        let (name, encoded) = line.strip_prefix(LINE_START)?.split_once(' ')?;
        let bytes = STANDARD.decode(encoded).ok()?;
        let (key_id, signature) = bytes.split_first_chunk()?;
        (key::is_name(name) && !signature.is_empty()).then(|| Self {
            name: name.to_owned(),
            key_id: *key_id,
            signature: signature.to_vec(),
        })
    }
}

impl fmt::Display for NoteSignature {
    /// Writes the line without its newline.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&self.key_id[..], &self.signature].concat();
        write!(f, "{LINE_START}{} {}", self.name, STANDARD.encode(bytes))
    }
}

/// A signature that held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Name of the key.
    pub name: String,
    /// Id of the key, 4 bytes.
    pub key_id: [u8; 4],
    /// For a cosignature, when it was made, in seconds since the epoch.
    pub timestamp: Option<u64>,
}

/// A text with signatures, none of them verified yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedNote {
    text: String,
    signatures: Vec<NoteSignature>,
}

impl SignedNote {
    /// Returns a text, signed by one key.
    ///
    /// # Errors
    ///
    /// `NoteError` when the text does not end in a newline or holds other control characters.
    pub fn sign(text: impl Into<String>, key: &SigningKey) -> Result<Self, NoteError> {
        let text = text.into();
        check_characters(&text)?;
        if !text.ends_with('\n') {
            return Err(NoteError::Shape);
        }
        let signature = key.sign(&text);
        Ok(Self { text, signatures: vec![signature] })
    }

    /// Returns the note read from its serialised form.
    ///
    /// # Errors
    ///
    /// `NoteError` when it breaks the format or one of this module's limits.
    pub fn parse(note: &str) -> Result<Self, NoteError> {
        if note.len() > MAX_NOTE_BYTES {
            return Err(NoteError::TooLarge { bytes: note.len() });
        }
        check_characters(note)?;
        // The text is separated by the last empty line and keeps its own final newline.
        let split = note.rfind("\n\n").ok_or(NoteError::Shape)?;
        let (text, lines) = (&note[..=split], &note[split + 2..]);
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Shape)?;
        let count = lines.split('\n').count();
        if count > MAX_SIGNATURES {
            return Err(NoteError::TooManySignatures { count });
        }
        let signatures = lines
            .split('\n')
            .enumerate()
            .map(|(at, line)| NoteSignature::parse(line).ok_or(NoteError::SignatureLine { line: at + 1 }));
        Ok(Self { text: text.to_owned(), signatures: signatures.collect::<Result<_, _>>()? })
    }

    /// Returns the text, with its final newline. Nothing vouches for it before `verify`.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the signatures in the order of their lines.
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// Returns the text alone, to which signatures are then added.
    #[must_use]
    pub fn without_signatures(&self) -> Self {
        Self { text: self.text.clone(), signatures: Vec::new() }
    }

    /// Adds a signature by another key, such as the log's next one.
    pub fn add_signature(&mut self, key: &SigningKey) {
        self.signatures.push(key.sign(&self.text));
    }

    /// Adds a signature line made elsewhere, such as a witness's.
    pub fn push(&mut self, signature: NoteSignature) {
        self.signatures.push(signature);
    }

    /// Returns the line by which a key signed, and the time that a cosignature states; `None` where it did not, or where
    /// any line under its name and id does not hold.
    pub fn signed_by(&self, key: &VerifierKey) -> Option<(&NoteSignature, Option<u64>)> {
        let verified = self.verify(std::slice::from_ref(key)).ok()?.pop()?;
        let by_key = |line: &&NoteSignature| line.name == key.name() && line.key_id == key.key_id();
        Some((self.signatures.iter().find(by_key)?, verified.timestamp))
    }

    /// Returns the keys whose signature holds, one a key, in the order of the lines.
    ///
    /// Signatures by other keys are ignored; keys of an algorithm that this crate lacks count as not given.
    ///
    /// # Errors
    ///
    /// `NoteError::Invalid` when a signature by a key given does not hold, `NoteError::Unverified` when there is none.
    pub fn verify(&self, keys: &[VerifierKey]) -> Result<Vec<Verified>, NoteError> {
        let mut verified: Vec<Verified> = Vec::new();
        for line in &self.signatures {
            let matching = keys.iter().find(|key| key.name() == line.name && key.key_id() == line.key_id);
            let Some(key) = matching else { continue };
            let holds = match key.algorithm() {
                Algorithm::Ed25519 => {
                    ed25519::verify(key.ed25519(), self.text.as_bytes(), &line.signature).map(|()| None)
                }
                Algorithm::CosignatureV1 => {
                    cosignature::verify(key.ed25519(), &self.text, &line.signature).map(Some)
                }
                Algorithm::Other(_) => continue,
            };
            let timestamp = holds.map_err(|source| NoteError::Invalid { name: line.name.clone(), source })?;
            if !verified.iter().any(|known| known.name == line.name && known.key_id == line.key_id) {
                verified.push(Verified { name: line.name.clone(), key_id: line.key_id, timestamp });
            }
        }
        if verified.is_empty() {
            return Err(NoteError::Unverified { signatures: self.signatures.len(), keys: keys.len() });
        }
        Ok(verified)
    }
}

impl fmt::Display for SignedNote {
    /// Writes the serialised form: text, empty line, signature lines.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| writeln!(f, "{signature}"))
    }
}

fn check_characters(text: &str) -> Result<(), NoteError> {
    match text.bytes().position(|byte| byte < 0x20 && byte != b'\n') {
        Some(offset) => Err(NoteError::Control { offset }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
