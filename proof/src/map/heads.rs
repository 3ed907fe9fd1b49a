//! What the names of the completeness index have: a stream its last entry, a party the chain of its entries.
//!
//! Source: format.md "Completeness index".

use crate::hash::{Hash, sha256};
use crate::ident::StreamName;
use crate::stream::StreamHead;

/// Returns the value of a stream: u64 big-endian sequence ‖ leaf hash of its last entry, 40 bytes.
pub fn stream_value(head: &StreamHead) -> [u8; 40] {
    value(head.sequence, &head.leaf_hash)
}

/// Returns the name under which an organisation's party chain stands: `party:` and its stream.
pub fn party_name(organisation: &StreamName) -> String {
    format!("party:{organisation}")
}

/// The chain of the entries whose `parties` name one organisation.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub struct PartyChain {
    /// Number of such entries.
    pub n: u64,
    /// hₙ, with h₀ = 32 zeros and hᵢ = SHA-256(hᵢ₋₁ ‖ leaf hash of the i-th such entry).
    pub h: Hash,
}

impl Default for PartyChain {
    fn default() -> Self {
        Self { n: 0, h: Hash::ZERO }
    }
}

impl PartyChain {
    /// Returns the chain of no entries.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends an entry by its leaf hash.
    pub fn push(&mut self, leaf_hash: &Hash) {
        self.h = sha256(&[&self.h.0, &leaf_hash.0]);
        self.n += 1;
    }

    /// Returns the value in the map: u64 big-endian n ‖ hₙ, 40 bytes.
    pub fn value(&self) -> [u8; 40] {
        value(self.n, &self.h)
    }
}

fn value(number: u64, hash: &Hash) -> [u8; 40] {
    let mut value = [0; 40];
    value[..8].copy_from_slice(&number.to_be_bytes());
    value[8..].copy_from_slice(&hash.0);
    value
}
