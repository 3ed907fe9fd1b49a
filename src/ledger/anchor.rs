//! The anchor: the newest signed checkpoint, kept outside the database, so that an older database is noticed.
//!
//! Contract: `advance` replaces the checkpoint only where it still is the one that the caller proved consistency from,
//! only by a signed checkpoint that extends it, and is durable when it returns. So the anchor never goes back and never
//! forks, whoever calls, in whatever order.
//!
//! Two kinds: a file, for one machine (`file`), and a witness of our own, for several (`remote`).
//! Absent: when the anchor is advanced (`shared`), outside witnesses (`cosign`).
//! Source: format.md "Append protocol" step 4; C2SP tlog-witness (the same rule).

mod file;
mod remote;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use weituo_proof::{Hash, VerifierKey};

use super::types::{LedgerError, ReadOnly, SignedCheckpoint};
use file::FileAnchor;
use remote::RemoteAnchor;

/// The anchor of one log.
#[derive(Debug)]
pub(super) enum Anchor {
    File(FileAnchor),
    Remote(RemoteAnchor),
}

/// What became of an advance.
#[derive(Debug)]
pub(super) enum Advanced {
    /// The new checkpoint is on the disk.
    Durable,
    /// Another process has anchored this size or a larger one.
    Ahead(SignedCheckpoint),
    /// Another process has moved it, to a smaller size than ours: prove consistency from there.
    Moved(SignedCheckpoint),
}

/// Returns the address, where a place is that of a witness instead of a file's.
pub(super) fn address(place: &Path) -> Option<&str> {
    place.to_str().filter(|place| place.starts_with("http://") || place.starts_with("https://"))
}

impl Anchor {
    /// Returns the anchor at a place: a path, or a witness's address.
    pub(super) fn new(place: PathBuf, verifiers: Vec<VerifierKey>) -> Result<Self, LedgerError> {
        match address(&place) {
            Some(url) => RemoteAnchor::new(url, verifiers).map(Self::Remote),
            None => Ok(Self::File(FileAnchor::new(place, verifiers))),
        }
    }

    /// Returns where it is, for people.
    pub(super) fn place(&self) -> String {
        match self {
            Self::File(file) => file.path().display().to_string(),
            Self::Remote(remote) => remote.url().to_owned(),
        }
    }

    /// Returns the anchored checkpoint; `None` where there is none.
    pub(super) fn load(&self) -> Result<Option<SignedCheckpoint>, LedgerError> {
        match self {
            Self::File(file) => file.load(),
            Self::Remote(remote) => remote.load(),
        }
    }

    /// Returns whether a part of it that was written is not whole, although the rest can be read.
    pub(super) fn is_broken_in_part(&self) -> Result<bool, LedgerError> {
        match self {
            Self::File(file) => file.has_broken_slot(),
            Self::Remote(_) => Ok(false),
        }
    }

    /// Makes the anchor from a first checkpoint; refuses to replace another.
    pub(super) fn create(&self, checkpoint: &SignedCheckpoint) -> Result<(), LedgerError> {
        match self {
            Self::File(file) => file.create(checkpoint),
            Self::Remote(remote) => remote.create(checkpoint),
        }
    }

    /// Puts a checkpoint in the place of a lost or damaged anchor. For the start only, on an explicit command or a
    /// witness's word.
    pub(super) fn replace_lost(&self, checkpoint: &SignedCheckpoint) -> Result<(), LedgerError> {
        match self {
            Self::File(file) => file.replace_lost(checkpoint),
            Self::Remote(remote) => remote.create(checkpoint),
        }
    }

    /// Moves the anchor from `known` (size, root) to `next`, given the consistency proof between them.
    pub(super) fn advance(
        &self,
        known: (u64, Hash),
        next: &SignedCheckpoint,
        proof: &[Hash],
    ) -> Result<Advanced, LedgerError> {
        match self {
            Self::File(file) => file.advance(known, next, proof),
            Self::Remote(remote) => remote.advance(known, next, proof),
        }
    }
}

/// Runs a call on the anchor on a blocking thread.
pub(super) async fn blocking<T: Send + 'static>(
    anchor: &Arc<Anchor>,
    call: impl FnOnce(&Anchor) -> Result<T, LedgerError> + Send + 'static,
) -> Result<T, LedgerError> {
    let anchor = Arc::clone(anchor);
    let path = anchor.place();
    tokio::task::spawn_blocking(move || call(&anchor)).await.unwrap_or_else(|error| {
        Err(LedgerError::Anchor { path, doing: "reached", source: io::Error::other(error) })
    })
}

fn fork(current: &SignedCheckpoint, next: &SignedCheckpoint) -> LedgerError {
    tracing::error!(anchored = %current.text, refused = %next.text, "the anchor refuses a fork");
    LedgerError::ReadOnly(ReadOnly::RootDiffers {
        size: current.size.get(),
        found: next.root,
        anchored: current.root,
    })
}
