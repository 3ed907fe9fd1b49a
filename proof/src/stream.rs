//! The chain of one stream: consecutive sequences, each entry naming the leaf hash of the one before.
//!
//! Invariants: a head always describes an entry that exists.
//! Absent: keeping heads (the caller has one a stream), reading entries.
//! Source: format.md "Entry", members `prev` and `sequence`.

use serde::{Deserialize, Serialize};

use crate::entry::Entry;
use crate::hash::Hash;
use crate::ident::StreamName;

/// The newest entry of a stream.
#[derive(Debug, Copy, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StreamHead {
    /// Its 1-based sequence.
    pub sequence: u64,
    /// Its leaf hash.
    pub leaf_hash: Hash,
}

impl StreamHead {
    /// Returns the head that an entry makes, whether or not it follows: a verifier goes on from it after a break.
    pub fn of(entry: &Entry, leaf: Hash) -> Self {
        Self { sequence: entry.sequence, leaf_hash: leaf }
    }
}

/// An entry that does not follow its predecessor. Either pair, or both, differ.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{stream}: expected sequence {expected_sequence} after {expected}, found sequence {found_sequence} after {found}"
)]
pub struct ChainBreak {
    /// The stream.
    pub stream: StreamName,
    /// The sequence that would follow.
    pub expected_sequence: u64,
    /// The sequence found.
    pub found_sequence: u64,
    /// The leaf hash that `prev` should hold.
    pub expected: Hash,
    /// The leaf hash that `prev` holds.
    pub found: Hash,
}

impl ChainBreak {
    /// Returns whether the sequence differs.
    pub fn sequence_differs(&self) -> bool {
        self.expected_sequence != self.found_sequence
    }

    /// Returns whether the hash of the predecessor differs.
    pub fn prev_differs(&self) -> bool {
        self.expected != self.found
    }
}

/// Returns the stream's head after `entry`, whose leaf hash is `leaf`.
///
/// `genesis` is the leaf hash of entry 0, which the first entry of every stream names; for entry 0 itself pass
/// [`Hash::ZERO`].
///
/// # Errors
///
/// `ChainBreak` with what was expected and found.
pub fn follow(
    previous: Option<&StreamHead>,
    genesis: Hash,
    entry: &Entry,
    leaf: Hash,
) -> Result<StreamHead, ChainBreak> {
    let expected = previous.map_or(genesis, |head| head.leaf_hash);
    let expected_sequence = previous.map_or(1, |head| head.sequence.saturating_add(1));
    if entry.prev == expected && entry.sequence == expected_sequence {
        return Ok(StreamHead::of(entry, leaf));
    }
    Err(ChainBreak {
        stream: entry.stream.clone(),
        expected_sequence,
        found_sequence: entry.sequence,
        expected,
        found: entry.prev,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::leaf_hash;

    fn entry(sequence: u64, prev: Hash) -> Entry {
        let text = format!(
            concat!(
                r#"{{"actor":{{"organisation":"o","role":"bureau"}},"as_found":false,"#,
                r#""command":"0190a3b2-7c1d-7def-8123-456789abcdef","effective":"2020-09","format":1,"ledger":"l","#,
                r#""payload":{{}},"prev":"{}","recorded_at":"2020-07-02T01:15:09.120Z","sequence":{},"#,
                r#""stream":"agreement/a","type":"T","version":1}}"#
            ),
            prev, sequence
        );
        Entry::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn entries_follow_from_genesis_on() {
        let (genesis, first, second) = (leaf_hash(b"0"), leaf_hash(b"1"), leaf_hash(b"2"));
        assert!(follow(None, Hash::ZERO, &entry(1, Hash::ZERO), genesis).is_ok());
        let head = follow(None, genesis, &entry(1, genesis), first).unwrap();
        let head = follow(Some(&head), genesis, &entry(2, first), second).unwrap();
        assert_eq!(head, StreamHead { sequence: 2, leaf_hash: second });
    }

    #[test]
    fn a_gap_and_a_wrong_predecessor_are_told_apart() {
        let (genesis, first) = (leaf_hash(b"0"), leaf_hash(b"1"));
        let head = StreamHead { sequence: 1, leaf_hash: first };
        let gap = follow(Some(&head), genesis, &entry(3, first), first).unwrap_err();
        assert!(gap.sequence_differs() && !gap.prev_differs());
        let wrong = follow(Some(&head), genesis, &entry(2, genesis), first).unwrap_err();
        assert!(!wrong.sequence_differs() && wrong.prev_differs());
        assert_eq!((wrong.expected, wrong.found), (first, genesis));
        assert!(follow(None, genesis, &entry(1, Hash::ZERO), first).is_err());
    }
}
