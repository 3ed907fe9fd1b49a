//! What stands beside a database that its verification can use: the log's key and the anchor.
//!
//! Invariants: nothing is written; a missing file leaves its part unchecked, a damaged one is told.
//! Absent: opening a ledger.

use std::path::Path;

use weituo_proof::{Both, Hash, VerifierKey};

use super::anchor::{Anchor, Standing};
use super::key::{self, Keys};
use super::options::{Files, Options};
use super::redo::Intended;
use super::seal::SealKey;
use super::types::{LedgerError, ReadOnly};
use crate::errors::in_both;
use crate::store::{Head, LedgerUrl};

/// Key and anchor of a ledger, as far as they are at hand.
#[derive(Debug, Default)]
pub struct Beside {
    verifiers: Vec<VerifierKey>,
    seal: Option<SealKey>,
    standing: Option<Standing>,
    anchor_damaged: Option<Both>,
    anchor_unread: Option<Both>,
    anchor_broken_in_part: bool,
}

impl Beside {
    /// Reads the files that stand beside a ledger. Without a signing key the anchor is read with the verifier keys that are
    /// `trusted`, if any are; one that they do not open is left unread, because they may be older than it.
    ///
    /// # Errors
    /// `Key` where the key's file is there and cannot be read or understood; `Invalid` for an anchor's address that is none.
    pub fn read(url: &LedgerUrl, options: &Options, trusted: &[VerifierKey]) -> Result<Self, LedgerError> {
        // On PostgreSQL both files may be elsewhere; without them their parts stay unchecked.
        let (key_file, anchor_file) = Files::known(url, options);
        Self::read_known(key_file.as_deref(), anchor_file.as_deref(), trusted)
    }

    /// Reads key and anchor from two files.
    ///
    /// # Errors
    /// As [`Beside::read`].
    pub fn read_files(key_file: &Path, anchor_file: &Path) -> Result<Self, LedgerError> {
        Self::read_known(Some(key_file), Some(anchor_file), &[])
    }

    fn read_known(
        key_file: Option<&Path>,
        anchor_file: Option<&Path>,
        trusted: &[VerifierKey],
    ) -> Result<Self, LedgerError> {
        let keys = key_file.filter(|file| file.exists()).map(key::read_all).transpose()?;
        let seal = keys.as_ref().map(SealKey::of);
        let verifiers = keys.as_ref().map_or_else(Vec::new, Keys::verifiers);
        let reading = if keys.is_some() { &verifiers } else { trusted };
        let mut found = Self { seal: seal.clone(), verifiers: verifiers.clone(), ..Self::default() };
        let Some(anchor_file) = anchor_file.filter(|_| !reading.is_empty()) else { return Ok(found) };
        let kept = Anchor::new(anchor_file.to_owned(), reading.to_vec(), seal)?;
        let read = kept.load().and_then(|standing| {
            let is_broken_in_part = standing.is_some() && kept.is_broken_in_part()?;
            Ok((standing, is_broken_in_part))
        });
        match read {
            Ok((standing, is_broken_in_part)) => {
                found.standing = standing;
                found.anchor_broken_in_part = is_broken_in_part;
            }
            Err(LedgerError::ReadOnly(ReadOnly::AnchorDamaged { what, .. })) if keys.is_some() => {
                found.anchor_damaged = Some(what);
            }
            Err(LedgerError::ReadOnly(ReadOnly::AnchorDamaged { what, .. })) => {
                found.anchor_unread = Some(what);
            }
            Err(error) => found.anchor_unread = Some(in_both(&error)),
        }
        Ok(found)
    }

    /// Returns whether the signing key is at hand.
    pub fn has_key(&self) -> bool {
        self.seal.is_some()
    }

    /// Returns the verifier key of the signing key at hand.
    pub fn verifier(&self) -> Option<&VerifierKey> {
        self.verifiers.first()
    }

    /// Returns the verifier keys of every signing key at hand: after a rotation the older ones, too.
    pub fn verifiers(&self) -> &[VerifierKey] {
        &self.verifiers
    }

    /// Returns the anchored checkpoint, a signed note.
    pub fn anchor(&self) -> Option<&str> {
        self.standing.as_ref().map(|standing| standing.checkpoint.text.as_str())
    }

    /// Returns whether a database of so many entries lacks what the anchor vouches for and does not keep itself; `None` without an
    /// anchor.
    pub fn is_behind(&self, size: u64) -> Option<bool> {
        self.standing.as_ref().map(|standing| size < standing.held_against(size).0)
    }

    /// Returns size and root of the head that a batch leaves which was being committed on the anchored checkpoint when the process
    /// ended that wrote it. A database that ends at the checkpoint may lack it: the anchor keeps it for the next start.
    pub fn anchor_intended(&self) -> Option<(u64, Hash)> {
        self.standing.as_ref()?.intended.as_ref().map(Intended::tree_head)
    }

    /// Returns what is wrong with an anchor that is there and cannot be understood.
    pub fn anchor_damaged(&self) -> Option<&Both> {
        self.anchor_damaged.as_ref()
    }

    /// Returns why an anchor could not be read.
    pub fn anchor_unread(&self) -> Option<&Both> {
        self.anchor_unread.as_ref()
    }

    /// Returns whether a part of the anchor is not whole, so that a newer checkpoint than the one read may have stood there.
    pub fn anchor_broken_in_part(&self) -> bool {
        self.anchor_broken_in_part
    }

    /// Returns the seal that a head row should have; zeros without the key.
    pub fn seal_of(&self, head: &Head) -> [u8; 32] {
        match &self.seal {
            // An older key's seal is as good.
            Some(seal) if seal.holds(head) => head.seal,
            Some(seal) => seal.seal(&head.origin, head.size, &head.root, &head.recorded_at),
            None => [0; 32],
        }
    }
}
