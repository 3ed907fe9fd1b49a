//! Proofs that a map of a given root has a value under a name, or has none.
//!
//! Invariants: verification reads nothing but root, name, value and proof.
//! Source: format.md "Completeness index".

use serde::{Deserialize, Serialize};

use super::{EMPTY, bit, inner_node, leaf_node, shared_bits};
use crate::hash::{Hash, sha256};

/// Most siblings on a path: the bits of a key.
const MAX_SIBLINGS: usize = 256;

/// Where the path of a name ends.
#[derive(Debug, Copy, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Terminal {
    /// In an empty place: the name is absent.
    Empty,
    /// In the only leaf below: that of the name, or another's, so that the name is absent.
    Leaf {
        /// SHA-256 of the leaf's name.
        key: Hash,
        /// SHA-256 of the leaf's value.
        value_hash: Hash,
    },
}

/// The path of a name: its end and the siblings on the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MapProof {
    /// From the terminal's sibling up to the root's child, at most 256.
    pub siblings: Vec<Hash>,
    /// Where the path ends.
    pub terminal: Terminal,
}

/// Why a map proof does not prove.
#[derive(Debug, Copy, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MapProofError {
    /// More siblings than a key has bits.
    #[error("a path has at most {MAX_SIBLINGS} siblings, found {found}")]
    TooLong {
        /// Siblings found.
        found: usize,
    },
    /// The path ends elsewhere although the name should have a value.
    #[error("the path does not end in the leaf of the name")]
    NotPresent,
    /// The path ends in the name's own leaf although it should have no value.
    #[error("the path ends in the leaf of the name, which has the value hash {value_hash}")]
    Present {
        /// SHA-256 of the value that it has.
        value_hash: Hash,
    },
    /// The leaf holds another value.
    #[error("the value's hash should be {expected}, found {found}")]
    ValueDiffers {
        /// SHA-256 of the value claimed.
        expected: Hash,
        /// SHA-256 of the value in the leaf.
        found: Hash,
    },
    /// The path ends in a leaf that does not lie on it.
    #[error("the leaf shares {shared} bits with the name, the path has {depth}")]
    OffPath {
        /// Leading bits that the two keys share.
        shared: usize,
        /// Siblings on the path.
        depth: usize,
    },
    /// The path leads to another root.
    #[error("the root should be {expected}, the path leads to {computed}")]
    RootDiffers {
        /// The root given.
        expected: Hash,
        /// The root computed.
        computed: Hash,
    },
}

impl MapProof {
    /// Verifies that the map with this root has `value` under `name`, or has nothing there for `None`.
    ///
    /// # Errors
    ///
    /// `MapProofError` with what disagrees.
    pub fn verify(&self, root: &Hash, name: &str, value: Option<&[u8]>) -> Result<(), MapProofError> {
        let depth = self.siblings.len();
        if depth > MAX_SIBLINGS {
            return Err(MapProofError::TooLong { found: depth });
        }
        let key = sha256(&[name.as_bytes()]);
        match (self.terminal, value) {
            (Terminal::Leaf { key: own, value_hash: found }, Some(value)) if own == key => {
                let expected = sha256(&[value]);
                if expected != found {
                    return Err(MapProofError::ValueDiffers { expected, found });
                }
            }
            (_, Some(_)) => return Err(MapProofError::NotPresent),
            (Terminal::Leaf { key: own, value_hash }, None) if own == key => {
                return Err(MapProofError::Present { value_hash });
            }
            (Terminal::Leaf { key: other, .. }, None) => {
                let shared = shared_bits(&other, &key);
                if shared < depth {
                    return Err(MapProofError::OffPath { shared, depth });
                }
            }
            (Terminal::Empty, None) => {}
        }
        let start = match self.terminal {
            Terminal::Empty => EMPTY,
            Terminal::Leaf { key, value_hash } => leaf_node(&key, &value_hash),
        };
        let levels = (0..depth).rev();
        let computed = self.siblings.iter().zip(levels).fold(start, |below, (sibling, level)| {
            if bit(&key, level) == 1 { inner_node(sibling, &below) } else { inner_node(&below, sibling) }
        });
        if computed == *root { Ok(()) } else { Err(MapProofError::RootDiffers { expected: *root, computed }) }
    }
}
