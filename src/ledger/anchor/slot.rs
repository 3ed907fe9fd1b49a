//! One of the two slots of an anchor file: a signed checkpoint, and the intent that stands on it.
//!
//! 4,096 bytes: magic 16 ‖ u64 counter ‖ u32 length ‖ signed checkpoint ‖ (u32 length ‖ intent, JSON) ‖ SHA-256 of all before,
//! 32 ‖ zeros. The magic says whether there is an intent. Integers are big-endian.
//!
//! Invariant: what decodes is whole.
//! Absent: where the slots are, and what an intent means (`file`).

use std::io;

use serde::{Deserialize, Serialize};
use weituo_proof::{Hash, sha256};

use crate::store::Head;

pub(super) const SLOT_BYTES: usize = 4096;
const SETTLED: &[u8; 16] = b"weituo anchor 1\n";
const INTENDING: &[u8; 16] = b"weituo anchor 2\n";
const CHECKSUM_BYTES: usize = 32;

/// What a slot says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slot {
    /// The newer of two slots has the higher one.
    pub(super) counter: u64,
    /// The signed note.
    pub(super) checkpoint: String,
    pub(super) intent: Option<Intent>,
}

/// The head that a batch leaves which is being committed on the slot's checkpoint, and where its redo is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Intent {
    origin: String,
    recorded_at: String,
    /// Length of the redo (`ledger::redo`) in the slot's own part of the file.
    pub(super) redo_bytes: u64,
    /// Its SHA-256.
    pub(super) redo_hash: Hash,
    root: Hash,
    seal: Hash,
    size: u64,
}

impl Intent {
    pub(super) fn new(after: &Head, redo: &[u8]) -> Self {
        Self {
            origin: after.origin.clone(),
            recorded_at: after.recorded_at.clone(),
            redo_bytes: redo.len() as u64,
            redo_hash: sha256(&[redo]),
            root: after.root,
            seal: Hash(after.seal),
            size: after.size,
        }
    }

    /// Returns the head that the batch leaves.
    pub(super) fn after(&self) -> Head {
        Head {
            origin: self.origin.clone(),
            size: self.size,
            root: self.root,
            seal: self.seal.0,
            recorded_at: self.recorded_at.clone(),
        }
    }

    /// Returns size and root of that head.
    pub(super) fn tree_head(&self) -> (u64, Hash) {
        (self.size, self.root)
    }
}

impl Slot {
    /// Returns the slot's bytes.
    ///
    /// # Errors
    ///
    /// Where it does not fit.
    pub(super) fn encode(&self) -> io::Result<[u8; SLOT_BYTES]> {
        let mut bytes = Vec::with_capacity(SLOT_BYTES);
        bytes.extend_from_slice(if self.intent.is_some() { INTENDING } else { SETTLED });
        bytes.extend_from_slice(&self.counter.to_be_bytes());
        put(&mut bytes, self.checkpoint.as_bytes())?;
        if let Some(intent) = &self.intent {
            put(&mut bytes, &serde_json::to_vec(intent)?)?;
        }
        let checksum = sha256(&[&bytes]);
        bytes.extend_from_slice(checksum.as_bytes());
        if bytes.len() > SLOT_BYTES {
            return Err(io::Error::other("the checkpoint does not fit a slot of 4,096 bytes"));
        }
        let mut slot = [0; SLOT_BYTES];
        slot[..bytes.len()].copy_from_slice(&bytes);
        Ok(slot)
    }

    /// Reads a slot; `None` where it is not whole.
    pub(super) fn decode(slot: &[u8; SLOT_BYTES]) -> Option<Self> {
        let (magic, rest) = slot.split_first_chunk::<16>()?;
        let (counter, mut rest) = rest.split_first_chunk::<8>()?;
        let checkpoint = take(&mut rest)?;
        let intent = match magic {
            SETTLED => None,
            INTENDING => Some(take(&mut rest)?),
            _ => return None,
        };
        let checksum = rest.get(..CHECKSUM_BYTES)?;
        if sha256(&[&slot[..SLOT_BYTES - rest.len()]]).as_bytes() != checksum {
            return None;
        }
        Some(Self {
            counter: u64::from_be_bytes(*counter),
            checkpoint: String::from_utf8(checkpoint.to_vec()).ok()?,
            intent: intent.map(serde_json::from_slice).transpose().ok()?,
        })
    }
}

fn put(bytes: &mut Vec<u8>, part: &[u8]) -> io::Result<()> {
    let length = u32::try_from(part.len()).map_err(io::Error::other)?;
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(part);
    Ok(())
}

fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, behind) = rest.split_first_chunk::<4>()?;
    let (part, behind) = behind.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    *rest = behind;
    Some(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_read_as_it_was_written_or_not_at_all() {
        let recorded_at = "2026-01-02T03:04:05.678Z".to_owned();
        let after = Head {
            origin: "log.example".to_owned(),
            size: 9,
            root: Hash([1; 32]),
            seal: [2; 32],
            recorded_at,
        };
        let settled = Slot { counter: 7, checkpoint: "log.example\n".to_owned(), intent: None };
        let intent = Intent::new(&after, b"redo");
        assert_eq!((intent.after(), intent.tree_head()), (after, (9, Hash([1; 32]))));
        for slot in [settled.clone(), Slot { intent: Some(intent), ..settled.clone() }] {
            let bytes = slot.encode().unwrap();
            assert_eq!(Slot::decode(&bytes), Some(slot));
            let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
            for at in 0..=end {
                let mut torn = bytes;
                torn[at] ^= 1;
                assert_eq!(Slot::decode(&torn), None, "byte {at}");
            }
        }
        assert!(Slot { checkpoint: "x".repeat(SLOT_BYTES - 50), ..settled }.encode().is_err());
    }
}
