//! SHA-256 values and the domain-separated hashes of the log's tree.
//!
//! Invariants: the text form is exactly 64 lower-case hex digits, so a hash has one spelling.
//! Absent: hash agility (version 1 of the format has SHA-256 only); base64 forms live where a format asks for them.
//! Source: RFC 6962 section 2.1 (leaf and node prefixes); format.md "Entry".

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// A SHA-256 value, 32 bytes.
#[derive(Copy, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hash(pub [u8; 32]);

/// Root hash of the tree of size 0: SHA-256 of the empty string (RFC 6962 section 2.1).
pub const EMPTY_ROOT: Hash = Hash([
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27,
    0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
]);

/// Refusal of a text that is not a hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// The text has another length.
    #[error("a hash is 64 lower-case hex digits, found {bytes} bytes")]
    Length {
        /// Length found, in bytes.
        bytes: usize,
    },
    /// A character is not a lower-case hex digit.
    #[error("a hash is 64 lower-case hex digits, found another character at byte {offset}")]
    Digit {
        /// Offset of the first such character, in bytes.
        offset: usize,
    },
}

impl Hash {
    /// 32 zero bytes: the `prev` of entry 0 and the start of every party chain.
    pub const ZERO: Self = Self([0; 32]);

    /// Returns the 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Gives the 64 lower-case hex digits to `use_digits`, from the stack: entries are full of them.
    pub(crate) fn with_hex<T>(&self, use_digits: impl FnOnce(&str) -> T) -> T {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut hex = [0; 64];
        for (pair, byte) in hex.chunks_exact_mut(2).zip(self.0) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        use_digits(std::str::from_utf8(&hex).expect("invariant: hex digits are ASCII"))
    }
}

/// Returns the SHA-256 of the concatenated parts, 32 bytes (FIPS 180-4).
pub fn sha256(parts: &[&[u8]]) -> Hash {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    Hash(hasher.finalize().into())
}

/// Returns SHA-256(0x00 ‖ entry): an entry's leaf hash, which is also what `prev` holds (RFC 6962 section 2.1).
pub fn leaf_hash(entry: &[u8]) -> Hash {
    sha256(&[&[0x00], entry])
}

/// Returns SHA-256(0x01 ‖ left ‖ right): an interior node of the tree (RFC 6962 section 2.1).
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut block = [0x01; 65];
    block[1..33].copy_from_slice(&left.0);
    block[33..].copy_from_slice(&right.0);
    sha256(&[&block])
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with_hex(|hex| f.pad(hex))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Hash {
    type Err = HashError;

    fn from_str(text: &str) -> Result<Self, HashError> {
        let digits: &[u8; 64] =
            text.as_bytes().try_into().map_err(|_| HashError::Length { bytes: text.len() })?;
        let mut bytes = [0; 32];
        for (offset, digit) in digits.iter().enumerate() {
            let value = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                _ => return Err(HashError::Digit { offset }),
            };
            bytes[offset / 2] = bytes[offset / 2] << 4 | value;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.with_hex(|hex| serializer.serialize_str(hex))
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_string(crate::ident::TextVisitor::new("64 lower-case hex digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_root_is_the_hash_of_nothing() {
        assert_eq!(sha256(&[]), EMPTY_ROOT);
    }

    #[test]
    fn text_form_reads_back_and_has_one_spelling() {
        let hash = leaf_hash(b"entry");
        assert_eq!(hash.to_string().parse(), Ok(hash));
        assert!(hash.to_string().to_uppercase().parse::<Hash>().is_err());
        assert_eq!("00".parse::<Hash>(), Err(HashError::Length { bytes: 2 }));
        assert_eq!(format!("{}g", "0".repeat(63)).parse::<Hash>(), Err(HashError::Digit { offset: 63 }));
    }

    #[test]
    fn leaf_and_node_hashes_are_prefixed() {
        assert_eq!(leaf_hash(b"x"), sha256(&[b"\0x"]));
        let (l, r) = (leaf_hash(b"l"), leaf_hash(b"r"));
        assert_eq!(node_hash(&l, &r), sha256(&[b"\x01", &l.0, &r.0]));
    }
}
