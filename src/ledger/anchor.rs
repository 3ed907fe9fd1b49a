//! The anchor: the newest signed checkpoint, kept outside the database, so that an older database is noticed.
//!
//! Contract: the anchor vouches for a signed checkpoint or, by an intent, for the head that a batch leaves which follows one and is being
//! committed; an intent of what was not committed can be withdrawn, nothing else. `advance` replaces the checkpoint only where it still is the one that the caller proved consistency from,
//! only by a signed checkpoint that extends it, and is durable when it returns. So the anchor never goes back and never
//! forks, whoever calls, in whatever order.
//!
//! Two kinds: a file, for one machine (`file`), and a witness of our own, for several (`remote`). With a file, a process that
//! writes alone may have the anchor vouch for a batch while it is being committed (`intend`).
//! Absent: when the anchor is advanced (`shared`), outside witnesses (`cosign`).
//! Source: design.md "The append path" step 4; C2SP tlog-witness (the same rule).

mod file;
mod lease;
mod remote;
mod slot;
mod slots;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use weituo_proof::note::NoteSignature;
use weituo_proof::{Both, Hash, SignedNote, VerifierKey, both};

use super::redo::Intended;
use super::seal::SealKey;
use super::types::{LedgerError, ReadOnly, SignedCheckpoint};
use crate::errors::texts;
use crate::store::Batch;
use file::FileAnchor;
use remote::RemoteAnchor;

/// The anchor of one log.
#[derive(Debug)]
pub(super) enum Anchor {
    File(FileAnchor),
    Remote(RemoteAnchor),
}

/// What is anchored.
#[derive(Debug)]
pub(super) struct Standing {
    pub(super) checkpoint: SignedCheckpoint,
    /// The batch that was being committed on it when its process, which was alone, ended.
    pub(super) intended: Option<Intended>,
}

impl Standing {
    /// Returns size and root that the anchor vouches for.
    pub(super) fn vouched(&self) -> (u64, Hash) {
        self.intended.as_ref().map_or(self.checkpoint.tree_head(), Intended::tree_head)
    }

    /// Returns size and root that a database of so many entries is held against: one that ends where a batch was to follow may
    /// lack that batch, which is here.
    pub(super) fn held_against(&self, size: u64) -> (u64, Hash) {
        if size == self.checkpoint.size.get() { self.checkpoint.tree_head() } else { self.vouched() }
    }
}

/// What became of an advance.
#[derive(Debug)]
pub(super) enum Advanced {
    /// The new checkpoint is on the disk.
    Durable,
    /// Another process has anchored this size or a larger one: these, with the root.
    Ahead((u64, Hash)),
    /// Another process has moved it, to a smaller size than ours: prove consistency from there.
    Moved((u64, Hash)),
}

/// What is said of an anchor that is not where it should be.
pub(crate) fn absent(place: &str) -> Both {
    if address(Path::new(place)).is_none() {
        return both!(
            "{place} 处没有锚点。请先确认这是它的路径(WEITUO_ANCHOR、--anchor),且所在的盘已挂载;只有确已丢失时",
            "there is no anchor at {place}. See first that this is its path (WEITUO_ANCHOR, --anchor), and that its disk is mounted; \
             only if it is lost"
        );
    }
    both!(
        "见证方 {place} 没有本台账的检查点。请先确认地址无误,且它是以原来的目录和本台账的密钥(`--log`)运行的;只有其中的检查点确已丢失时",
        "the witness {place} has no checkpoint of this log. See first that this is its address, and that it runs on its own \
         folder with this log's keys (`--log`); only if its checkpoint is lost"
    )
}

/// What is wrong with an anchor whose checkpoint no key of the log opens.
fn not_of_this_log(error: &(dyn std::error::Error + 'static)) -> Both {
    let (zh, en) = texts(error);
    both!("其检查点不是这一台账的:{zh}", "its checkpoint is not this log's: {en}")
}

/// Whether a key signed the second note that did not sign the first, as after a rotation.
pub(super) fn adds_a_signer(kept: &str, next: &str) -> bool {
    let signers = |text: &str| {
        let note = SignedNote::parse(text);
        note.map_or_else(|_| Vec::new(), |note| note.signatures().iter().map(NoteSignature::key_id).collect())
    };
    let kept = signers(kept);
    signers(next).iter().any(|key| !kept.contains(key))
}

/// Returns the address, where a place is that of a witness instead of a file's.
pub(super) fn address(place: &Path) -> Option<&str> {
    place.to_str().filter(|place| place.starts_with("http://") || place.starts_with("https://"))
}

/// Refuses a place that looks like an address that was mistyped, of which a file would be made: another scheme, one slash, none.
pub(super) fn require_form(place: &Path) -> Result<(), LedgerError> {
    let Some(text) = place.to_str().filter(|_| address(place).is_none()) else { return Ok(()) };
    let is_port = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let host_and_port = text.split_once(':').filter(|(host, _)| !host.contains('/'));
    let resembles =
        |(_, rest): (&str, &str)| rest.starts_with('/') || is_port(rest.split('/').next().unwrap_or(rest));
    if !host_and_port.is_some_and(resembles) {
        return Ok(());
    }
    Err(LedgerError::Invalid {
        what: both!(
            "{text} 不是见证方的地址:应为 http://主机[:端口][/路径] 或 https://…;若是文件,请写 ./{text}",
            "{text} is not an address of a witness: http://HOST[:PORT][/PATH] or https://…; if it is a file, write ./{text}"
        ),
    })
}

impl Anchor {
    /// Returns the anchor at a place: a path, or a witness's address. Without the seal of the log's keys no intent is believed, or
    /// told.
    pub(super) fn new(
        place: PathBuf,
        verifiers: Vec<VerifierKey>,
        seal: Option<SealKey>,
    ) -> Result<Self, LedgerError> {
        require_form(&place)?;
        match address(&place) {
            Some(url) => RemoteAnchor::new(url, verifiers).map(Self::Remote),
            None => Ok(Self::File(FileAnchor::new(place, verifiers, seal))),
        }
    }

    /// Returns where it is, for people.
    pub(super) fn place(&self) -> String {
        match self {
            Self::File(file) => file.path().display().to_string(),
            Self::Remote(remote) => remote.url().to_owned(),
        }
    }

    /// Returns what is anchored; `None` where there is nothing.
    pub(super) fn load(&self) -> Result<Option<Standing>, LedgerError> {
        match self {
            Self::File(file) => file.load(),
            Self::Remote(remote) => {
                let checkpoint = remote.load()?;
                Ok(checkpoint.map(|checkpoint| Standing { checkpoint, intended: None }))
            }
        }
    }

    /// Returns whether a part of it that was written is not whole, although the rest can be read.
    pub(super) fn is_broken_in_part(&self) -> Result<bool, LedgerError> {
        match self {
            Self::File(file) => file.is_broken_in_part(),
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

    /// Refuses where `replace_lost` would be refused for the place, whatever the checkpoint.
    pub(super) fn require_place(&self, checkpoint: &SignedCheckpoint) -> Result<(), LedgerError> {
        match self {
            Self::File(file) => file.require_place(),
            Self::Remote(remote) => remote.require_place(checkpoint),
        }
    }

    /// Joins those who write to the log: before anything is committed, because one of them may be alone. Waits for him to give
    /// way.
    pub(super) fn join(&self) -> Result<(), LedgerError> {
        match self {
            Self::File(file) => file.join(),
            Self::Remote(_) => Ok(()),
        }
    }

    /// Whether `join` has nothing to do.
    pub(super) fn has_joined(&self) -> bool {
        match self {
            Self::File(file) => file.has_joined(),
            Self::Remote(_) => true,
        }
    }

    /// Whether this process is the only one that writes, and knows the head, so that it may write what it is committing while it
    /// commits it. Becomes so where it can; where others wait, lets them be present instead, as soon as no intent stands.
    pub(super) fn may_intend(&self) -> bool {
        match self {
            Self::File(file) => file.may_intend(),
            Self::Remote(_) => false,
        }
    }

    /// Remembers that this process has just committed on the head that it knows.
    pub(super) fn has_committed(&self) {
        if let Self::File(file) = self {
            file.has_committed();
        }
    }

    /// Whether others have to wait until this process gives way.
    pub(super) fn is_alone(&self) -> bool {
        match self {
            Self::File(file) => file.is_alone(),
            Self::Remote(_) => false,
        }
    }

    /// Whether an intent of this process stands.
    pub(super) fn intends(&self) -> bool {
        match self {
            Self::File(file) => file.intends(),
            Self::Remote(_) => false,
        }
    }

    /// Lets others be present, where they wait for it and no intent stands.
    pub(super) fn give_way(&self) {
        if let Self::File(file) = self {
            file.give_way();
        }
    }

    /// Leaves those who write to the log.
    pub(super) fn leave(&self) {
        if let Self::File(file) = self {
            file.leave();
        }
    }

    /// Writes a batch that is being committed on the anchored checkpoint, where it `may_intend`. Durable on return: from there on
    /// the anchor vouches for the head that the batch leaves, until `advance` puts its checkpoint there or `withdraw` takes it back.
    pub(super) fn intend(&self, base: &SignedCheckpoint, batch: &Batch) -> Result<(), LedgerError> {
        match self {
            Self::File(file) => file.intend(base, batch),
            Self::Remote(_) => Err(no_intents(self.place())),
        }
    }

    /// Takes back the intent of a head (size, root) whose batch was not committed, and never will be.
    pub(super) fn withdraw(&self, after: (u64, Hash)) -> Result<(), LedgerError> {
        match self {
            Self::File(file) => file.withdraw(after),
            Self::Remote(_) => Ok(()),
        }
    }

    /// Moves the anchor from `known` (size, root) to `next`, given the consistency proof between them. Where it vouches for
    /// `next` by an intent, the checkpoint takes its place.
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

fn no_intents(path: String) -> LedgerError {
    LedgerError::Anchor { path, doing: "written", source: io::ErrorKind::Unsupported.into() }
}

fn fork((size, anchored): (u64, Hash), next: &SignedCheckpoint) -> LedgerError {
    tracing::error!(size, %anchored, refused = %next.text, "the anchor refuses a fork");
    LedgerError::ReadOnly(ReadOnly::RootDiffers { size, found: next.root, anchored })
}
