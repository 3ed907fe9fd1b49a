//! What stands beside a database that its verification can use: the log's key and the anchor.
//!
//! Invariants: nothing is written; a missing file leaves its part unchecked, a damaged one is told.
//! Absent: opening a ledger.

use std::path::Path;

use weituo_proof::VerifierKey;

use super::anchor::Anchor;
use super::key;
use super::options::{Files, Options};
use super::seal::SealKey;
use super::types::{LedgerError, ReadOnly};
use crate::store::{Head, LedgerUrl};

/// Key and anchor of a ledger, as far as they are at hand.
#[derive(Debug, Default)]
pub struct Beside {
    key: Option<(VerifierKey, SealKey)>,
    anchor: Option<String>,
    anchor_damaged: Option<String>,
}

impl Beside {
    /// Reads the files that stand beside a ledger.
    ///
    /// # Errors
    /// `Key` or `Anchor` where a file is there and cannot be read, or the key cannot be understood.
    pub fn read(url: &LedgerUrl, options: &Options) -> Result<Self, LedgerError> {
        // On PostgreSQL both files may be elsewhere; without them their parts stay unchecked.
        let Ok(files) = Files::of(url, options) else { return Ok(Self::default()) };
        Self::read_files(&files.key, &files.anchor)
    }

    /// Reads key and anchor from two files.
    ///
    /// # Errors
    /// As [`Beside::read`].
    pub fn read_files(key_file: &Path, anchor_file: &Path) -> Result<Self, LedgerError> {
        if !key_file.exists() {
            return Ok(Self::default());
        }
        let key = key::read(key_file)?;
        let verifier = key.verifier().clone();
        let (anchor, anchor_damaged) = match Anchor::new(anchor_file.to_owned(), verifier.clone())?.load() {
            Ok(anchor) => (anchor.map(|one| one.text), None),
            Err(LedgerError::ReadOnly(ReadOnly::AnchorDamaged { what, .. })) => (None, Some(what)),
            Err(error) => return Err(error),
        };
        Ok(Self { key: Some((verifier, SealKey::new(key.seed()))), anchor, anchor_damaged })
    }

    /// Returns whether the signing key is at hand.
    pub fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// Returns the verifier key of the signing key at hand.
    pub fn verifier(&self) -> Option<&VerifierKey> {
        self.key.as_ref().map(|(verifier, _)| verifier)
    }

    /// Returns the anchored checkpoint, a signed note.
    pub fn anchor(&self) -> Option<&str> {
        self.anchor.as_deref()
    }

    /// Returns what is wrong with an anchor that is there and cannot be understood.
    pub fn anchor_damaged(&self) -> Option<&str> {
        self.anchor_damaged.as_deref()
    }

    /// Returns the seal that a head row should have; zeros without the key.
    pub fn seal_of(&self, head: &Head) -> [u8; 32] {
        self.key
            .as_ref()
            .map_or([0; 32], |(_, key)| key.seal(&head.origin, head.size, &head.root, &head.recorded_at))
    }
}
