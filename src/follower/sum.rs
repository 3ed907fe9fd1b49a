//! The sum by which sets of projected rows are compared, in whatever order they come.
//!
//! Invariant: a sum is keyed by bytes that whoever wrote the rows does not know, so nobody can make other rows with the same one.

use serde::{Deserialize, Serialize};
use weituo_proof::{Hash, sha256};

/// Number and keyed sum of rows: equal for equal sets of rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sum {
    pub(crate) rows: u64,
    sum: u128,
}

impl Sum {
    /// Counts a row in.
    pub(crate) fn add(&mut self, key: &SumKey, row_key: &str, body: &str) {
        let length = (row_key.len() as u64).to_be_bytes();
        let Hash(hash) = sha256(&[&key.0, &length, row_key.as_bytes(), body.as_bytes()]);
        let half = hash.iter().take(16).fold(0, |half, byte| half << 8 | u128::from(*byte));
        *self = Self { rows: self.rows + 1, sum: self.sum.wrapping_add(half) };
    }
}

/// What makes sums unpredictable: random bytes of one comparison.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct SumKey([u8; 32]);

impl SumKey {
    /// Returns a new key.
    ///
    /// # Errors
    /// When this machine gives no random bytes.
    pub(crate) fn fresh() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map(|()| Self(bytes))
    }
}
