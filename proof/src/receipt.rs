//! Receipts: the proof that an entry is in the log, in the C2SP tlog-proof format.
//!
//! Invariants: `verify` trusts nothing but the key it is given; a receipt's text reads back to itself.
//! Absent: the policy on witnesses (verify the returned note's cosignatures with `note`); later checkpoints
//! (a receipt's own checkpoint is compared with them by a consistency proof).
//!
//! The text goes with the entry's bytes beside it. For a single file the `extra` line, whose use the specification
//! leaves open and which nobody may trust, can hold the entry: the leaf hash is computed from it and so proven.
//! Source: C2SP tlog-proof, "Format"; format.md "Log".

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::checkpoint::{Checkpoint, CheckpointError, decimal, parse_hash};
use crate::entry::{Entry, EntryError, MAX_ENTRY_BYTES};
use crate::hash::{Hash, leaf_hash};
use crate::ident::{LeafIndex, Origin};
use crate::note::{MAX_NOTE_BYTES, NoteError, SignedNote, VerifierKey};
use crate::tree::{ProofError, verify_inclusion};

const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// Most hashes on a proof: a tree of fewer than 2^64 leaves.
const MAX_HASHES: usize = 64;

/// Refusal of a receipt.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptError {
    /// A line is not what the format has there.
    #[error("line {line} of the receipt should be {expected}")]
    Line {
        /// Which line, 1-based.
        line: usize,
        /// What the format has there.
        expected: &'static str,
    },
    /// Larger than any receipt.
    #[error("the receipt has {bytes} bytes, more than any receipt needs")]
    TooLarge {
        /// Length found, in bytes.
        bytes: usize,
    },
    /// The checkpoint is not a signed note.
    #[error("the receipt's checkpoint is not a signed note")]
    Note(#[source] NoteError),
    /// The text holds no entry in its extra line.
    #[error("the receipt holds no entry; give the entry's bytes beside it")]
    NoEntry,
    /// The checkpoint is not the log's.
    #[error("the receipt's checkpoint is not the log's")]
    Checkpoint(#[source] CheckpointError),
    /// The entry is malformed.
    #[error("the receipt's entry is malformed")]
    Entry(#[source] EntryError),
    /// The entry names another ledger.
    #[error("the entry is of ledger {found}, the checkpoint of {expected}")]
    OtherLedger {
        /// The checkpoint's origin.
        expected: Origin,
        /// The ledger that the entry names.
        found: Origin,
    },
    /// The inclusion proof fails.
    #[error("the receipt does not prove its entry")]
    Proof(#[source] ProofError),
}

/// Entry, leaf index, inclusion proof and checkpoint: what every accepted command is answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The entry's exact bytes.
    pub entry: String,
    /// Its 0-based place in the log.
    pub leaf_index: LeafIndex,
    /// From the leaf's sibling up to the root's child.
    pub inclusion: Vec<Hash>,
    /// The signed checkpoint, verbatim.
    pub checkpoint: String,
}

impl Receipt {
    /// Returns the tlog-proof text, with the entry to be kept beside it.
    pub fn text(&self) -> String {
        self.write(false)
    }

    /// Returns the tlog-proof text with the entry in its extra line: one file that proves itself.
    pub fn text_with_entry(&self) -> String {
        self.write(true)
    }

    fn write(&self, with_entry: bool) -> String {
        let mut out = format!("{HEADER}\n");
        if with_entry {
            out.push_str("extra ");
            STANDARD.encode_string(&self.entry, &mut out);
            out.push('\n');
        }
        writeln!(out, "index {}", self.leaf_index).expect("invariant: writing to a String cannot fail");
        for hash in &self.inclusion {
            STANDARD.encode_string(hash.0, &mut out);
            out.push('\n');
        }
        out.push('\n');
        out.push_str(&self.checkpoint);
        out
    }

    /// Returns the receipt of `entry` from its tlog-proof text; an extra line is ignored.
    ///
    /// # Errors
    ///
    /// `ReceiptError` naming the line at fault. Nothing is proven before `verify`.
    pub fn parse(text: &str, entry: &str) -> Result<Self, ReceiptError> {
        let parts = Parts::read(text)?;
        Ok(parts.with(entry.to_owned()))
    }

    /// Returns the receipt from a tlog-proof text that holds the entry in its extra line.
    ///
    /// # Errors
    ///
    /// `ReceiptError` naming the line at fault, or that there is no entry. Nothing is proven before `verify`.
    pub fn parse_with_entry(text: &str) -> Result<Self, ReceiptError> {
        let mut parts = Parts::read(text)?;
        let entry = parts.extra.take().ok_or(ReceiptError::NoEntry)?;
        let expected = "base64 of an entry in UTF-8";
        let entry = String::from_utf8(entry).map_err(|_| ReceiptError::Line { line: 2, expected })?;
        Ok(parts.with(entry))
    }

    /// Returns the entry's leaf hash.
    pub fn leaf_hash(&self) -> Hash {
        leaf_hash(self.entry.as_bytes())
    }

    /// Verifies the receipt under the log's key and returns the checkpoint that it proves the entry in.
    ///
    /// # Errors
    ///
    /// `ReceiptError` when the checkpoint is not signed by the key, the entry is malformed or of another ledger, or
    /// the inclusion proof fails.
    pub fn verify(&self, key: &VerifierKey) -> Result<Checkpoint, ReceiptError> {
        self.verify_by(std::slice::from_ref(key))
    }

    /// Verifies the receipt under any of these keys, as [`Checkpoint::open_by`] takes them.
    ///
    /// # Errors
    ///
    /// As [`Receipt::verify`].
    pub fn verify_by(&self, keys: &[VerifierKey]) -> Result<Checkpoint, ReceiptError> {
        let (checkpoint, _) =
            Checkpoint::open_by(&self.checkpoint, keys).map_err(ReceiptError::Checkpoint)?;
        let entry = Entry::parse(self.entry.as_bytes()).map_err(ReceiptError::Entry)?;
        if entry.ledger != checkpoint.origin {
            let expected = checkpoint.origin;
            return Err(ReceiptError::OtherLedger { expected, found: entry.ledger });
        }
        verify_inclusion(
            &self.leaf_hash(),
            self.leaf_index,
            checkpoint.size,
            &self.inclusion,
            &checkpoint.root,
        )
        .map_err(ReceiptError::Proof)?;
        Ok(checkpoint)
    }
}

/// What a tlog-proof text holds.
struct Parts {
    extra: Option<Vec<u8>>,
    leaf_index: LeafIndex,
    inclusion: Vec<Hash>,
    checkpoint: String,
}

impl Parts {
    fn read(text: &str) -> Result<Self, ReceiptError> {
        // A third for base64, and ample room for the lines of the proof.
        if text.len() > MAX_NOTE_BYTES + 2 * MAX_ENTRY_BYTES {
            return Err(ReceiptError::TooLarge { bytes: text.len() });
        }
        let (head, checkpoint) = text
            .split_once("\n\n")
            .ok_or(ReceiptError::Line { line: 1, expected: "followed by an empty line and a checkpoint" })?;
        let mut lines = head.split('\n').zip(1..).peekable();
        let bad = |line, expected| ReceiptError::Line { line, expected };
        lines.next_if(|(line, _)| *line == HEADER).ok_or_else(|| bad(1, HEADER))?;
        let extra = lines.next_if(|(line, _)| line.starts_with("extra "));
        let extra = extra.map(|(line, at)| {
            STANDARD.decode(&line["extra ".len()..]).map_err(|_| bad(at, "\"extra \" and base64"))
        });
        let extra = extra.transpose()?;
        let at = if extra.is_some() { 3 } else { 2 };
        let leaf_index = lines
            .next()
            .and_then(|(line, _)| decimal(line.strip_prefix("index ")?))
            .ok_or_else(|| bad(at, "\"index \" and a decimal without leading zeros"))?;
        let mut inclusion = Vec::new();
        for (line, at) in lines {
            let hash = parse_hash(line).filter(|_| inclusion.len() < MAX_HASHES);
            inclusion.push(hash.ok_or_else(|| bad(at, "base64 of 32 bytes, at most 64 such lines"))?);
        }
        SignedNote::parse(checkpoint).map_err(ReceiptError::Note)?;
        Ok(Self {
            extra,
            leaf_index: LeafIndex::new(leaf_index),
            inclusion,
            checkpoint: checkpoint.to_owned(),
        })
    }

    fn with(self, entry: String) -> Receipt {
        let Self { leaf_index, inclusion, checkpoint, .. } = self;
        Receipt { entry, leaf_index, inclusion, checkpoint }
    }
}

#[cfg(test)]
mod tests;
