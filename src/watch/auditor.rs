//! An auditor: cosigns the checkpoints up to which it has replayed every entry and found every index root right.
//!
//! Invariants: it cosigns nothing else; a statement is one file, written whole.
//! Absent: replaying (`Monitor`).
//! Source: format.md "Completeness index" (what an auditor's cosignature states); C2SP tlog-cosignature.

use std::fs;
use std::path::{Path, PathBuf};

use weituo_proof::note::{CosigningKey, KeyError};
use weituo_proof::{SignedNote, SigningKey, VerifierKey};

use super::Look;
use crate::mirror::{MirrorError, write};

/// The newest statements are kept, so many.
const KEPT: usize = 1_000;

/// An auditor with the folder of its statements.
#[derive(Debug)]
pub struct Auditor {
    key: CosigningKey,
    folder: PathBuf,
}

impl Auditor {
    /// Returns the auditor of a key, whose statements go into `cosigned/` of a folder.
    ///
    /// # Errors
    /// [`KeyError`] where the key's name cannot be a cosigner's.
    pub fn new(key: &SigningKey, folder: &Path) -> Result<Self, KeyError> {
        let key = CosigningKey::from_seed(key.name(), *key.seed())?;
        Ok(Self { key, folder: folder.join("cosigned") })
    }

    /// Returns the key that verifies its cosignatures.
    pub fn verifier_key(&self) -> &VerifierKey {
        self.key.verifier()
    }

    /// Cosigns what a look found right: the tree after each index entry, which dossiers quote, and the checkpoint shown.
    /// Nothing where the look found anything wrong or could not check. `now` is in seconds since 1970.
    ///
    /// # Errors
    /// [`MirrorError::Write`].
    pub fn cosign(&self, look: &Look, now: u64) -> Result<(), MirrorError> {
        if look.exit_code() != 0 {
            return Ok(());
        }
        let newest = look.indexed.len().saturating_sub(KEPT);
        for checkpoint in &look.indexed[newest..] {
            // The log's own signature is on the checkpoint that this one was proven to be a prefix of.
            self.keep(&self.key.cosigned(checkpoint, now), checkpoint.size.get())?;
        }
        if let Some(mut note) = look.note.as_deref().and_then(|note| SignedNote::parse(note).ok()) {
            let line = self.key.cosign(&note, now);
            note.push(line);
            self.keep(&note, look.size)?;
        }
        self.drop_oldest();
        Ok(())
    }

    fn keep(&self, note: &SignedNote, size: u64) -> Result<(), MirrorError> {
        write(&self.folder, &size.to_string(), note.to_string().as_bytes())
    }

    fn drop_oldest(&self) {
        let Ok(files) = fs::read_dir(&self.folder) else { return };
        let sizes = files.filter_map(|file| file.ok()?.file_name().to_str()?.parse::<u64>().ok());
        let mut sizes: Vec<u64> = sizes.collect();
        sizes.sort_unstable();
        let surplus = sizes.len().saturating_sub(KEPT);
        for size in &sizes[..surplus] {
            // One that stays is only superfluous.
            let _ = fs::remove_file(self.folder.join(size.to_string()));
        }
    }
}
