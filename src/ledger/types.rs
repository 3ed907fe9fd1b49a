//! What goes into the ledger and what comes back.
//!
//! Invariants: an `Accepted` is returned only for a durable entry; in strict mode the anchor vouches for its checkpoint.
//! Absent: deciding (the aggregates), mapping to exit codes and HTTP statuses (the edges).
//! Source: design.md "The append path" steps 2 and 5.

use std::sync::Arc;

use weituo_events::{Act, Refusal};
use weituo_proof::{Both, EntryError, Hash, LeafIndex, Position, StreamHead, StreamName, TreeSize};

use super::clock::ClockError;
use super::rotate::LogKeyError;
use crate::store::StoreError;

/// When a receipt may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Nothing signed leaves before the anchor vouches for it, durably: by a checkpoint, or by the batch itself, kept while it is
    /// being committed.
    #[default]
    Strict,
    /// Answers do not wait; the anchor follows at most 50 ms behind, and exactly after a clean stop. A shorter rollback
    /// is caught only by receipts and witnesses.
    Guard,
}

/// One event that a command made, with all that the commit must check.
#[derive(Debug, Clone)]
pub struct Proposal {
    /// The event and what its recorder says about it.
    pub act: Arc<Act>,
    /// Disclosures of the act's sealed values, base64url.
    pub disclosures: Vec<String>,
    /// Head of the stream that the decision was made on; `None` where the stream was empty.
    pub expected: Option<StreamHead>,
    /// Digests of disclosures to delete, because this act is their `DisclosureErased`.
    pub erase: Vec<String>,
    /// Other streams that the decision rests on, such as its actor's: they must stand in the log as they were read.
    pub rests_on: Vec<RestsOn>,
}

/// A stream that a decision rests on, and its head then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestsOn {
    /// The stream.
    pub stream: StreamName,
    /// Its head; `None` where it was empty.
    pub head: Option<StreamHead>,
}

/// A tree head signed by the log's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    /// Number of entries it covers.
    pub size: TreeSize,
    /// Root hash over them.
    pub root: Hash,
    /// The signed note (C2SP tlog-checkpoint).
    pub text: String,
}

impl SignedCheckpoint {
    /// Returns its size and root.
    pub(super) fn tree_head(&self) -> (u64, Hash) {
        (self.size.get(), self.root)
    }
}

/// Proof that an entry is in the log: what every accepted command gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The entry's place in the log.
    pub leaf_index: LeafIndex,
    /// Its leaf hash.
    pub leaf_hash: Hash,
    /// Its exact bytes.
    pub entry: Arc<str>,
    /// Inclusion proof against the checkpoint (RFC 6962 section 2.1.1).
    pub inclusion: Vec<Hash>,
    /// The checkpoint.
    pub checkpoint: Arc<SignedCheckpoint>,
    /// Names of the witnesses that cosigned it, as the policy has them; none where the quorum has not.
    pub cosigned: Vec<String>,
}

/// The place of a proposal in a batch that is not committed yet: it holds if that batch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The entry's place in the log.
    pub leaf_index: LeafIndex,
    /// Its leaf hash.
    pub leaf_hash: Hash,
    /// Its place in its stream, and when the log takes it in.
    pub position: Position,
}

impl Place {
    /// Returns the stream's head that this entry makes.
    pub fn head(&self) -> StreamHead {
        StreamHead { sequence: self.position.sequence, leaf_hash: self.leaf_hash }
    }
}

/// What became of an accepted proposal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Its receipt.
    pub receipt: Receipt,
    /// Its place in its stream, and when the log took it in.
    pub position: Position,
    /// Whether the command id was in the log already, and this is its first entry's receipt again.
    pub repeated: bool,
}

impl Accepted {
    /// Returns the stream's head that this entry makes.
    pub fn head(&self) -> StreamHead {
        self.place().head()
    }

    /// Returns the entry's place.
    pub fn place(&self) -> Place {
        let Receipt { leaf_index, leaf_hash, .. } = self.receipt;
        Place { leaf_index, leaf_hash, position: self.position }
    }
}

/// Why a proposal was not recorded.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SubmitError {
    /// The stream has moved since the decision: reload it and decide again.
    #[error("the stream has moved on since the decision was made")]
    Conflict {
        /// The stream's head now; `None` where it is empty.
        current: Option<StreamHead>,
    },
    /// A claim, such as a trustee's one place, is taken.
    #[error("refused")]
    Claim(#[source] Refusal),
    /// The command id stands in the log with other content.
    #[error("this command id already recorded something else at leaf index {leaf_index}: use a new id")]
    Reused {
        /// Where.
        leaf_index: LeafIndex,
    },
    /// The act makes no valid entry, such as one of more than 65,535 bytes.
    #[error("the act makes no valid entry")]
    Invalid(#[source] Arc<EntryError>),
    /// A disclosure does not belong to the act.
    #[error("disclosure {digest} opens no sealed value of this act")]
    Disclosure {
        /// Digest of the disclosure, or `?` where it is none.
        digest: String,
    },
    /// This process does not write.
    #[error("the ledger is read-only")]
    ReadOnly(#[source] ReadOnly),
    /// The clock cannot be right; writing goes on when it is mended.
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// Not now; the same command may be repeated, with the same id.
    #[error("the ledger cannot record now; repeat the command with the same id")]
    Unavailable(#[source] Arc<LedgerError>),
    /// Recorded, but the policy's quorum has not cosigned it in the time that answers wait.
    #[error(
        "the command is recorded at leaf index {leaf_index}, but not cosigned after {seconds} s: ask `weituo receipt {leaf_index}` later"
    )]
    NotCosigned {
        /// Where it is recorded.
        leaf_index: LeafIndex,
        /// How long was waited.
        seconds: u64,
    },
    /// The ledger was stopped.
    #[error("the ledger has been stopped")]
    Stopped,
}

/// Why the ledger only reads.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadOnly {
    /// It was opened so.
    #[error("it was opened for reading")]
    Requested,
    /// The database lacks entries that the anchor vouches for.
    #[error(
        "the database has {database_size} entries, the anchor vouches for {anchor_size}: run `weituo recover --from BACKUP`"
    )]
    Behind {
        /// Entries in the database.
        database_size: u64,
        /// Entries anchored.
        anchor_size: u64,
    },
    /// The entries do not lead to the anchored root.
    #[error(
        "at {size} entries the database leads to root {found}, the anchor vouches for {anchored}: entries were altered; run `weituo verify`, then restore a backup"
    )]
    RootDiffers {
        /// Tree size of the anchor.
        size: u64,
        /// Root computed from the database.
        found: Hash,
        /// Root anchored.
        anchored: Hash,
    },
    /// The head row is not one that a holder of the key wrote.
    #[error("the head row of size {size} has a seal that this log's key did not make: run `weituo verify`")]
    SealWrong {
        /// Tree size in the head row.
        size: u64,
    },
    /// The head row does not describe the entries.
    #[error(
        "the head row says {head_size} entries and root {head_root}, the entries lead to {found_root} at {found_size}: run `weituo verify`"
    )]
    HeadDiffers {
        /// Tree size in the head row.
        head_size: u64,
        /// Root in the head row.
        head_root: Hash,
        /// Entries found.
        found_size: u64,
        /// Root computed from them.
        found_root: Hash,
    },
    /// The key is not one of the log's.
    #[error("the key {key} is not one that log/main names")]
    KeyNotInLog {
        /// Verifier key of the key in use.
        key: String,
    },
    /// There is no anchor.
    #[error(
        "{}: run `weituo recover --checkpoint FILE` with a checkpoint that somebody kept, or accept the database as it is by `weituo recover --accept-lost-anchor`, which is recorded",
        super::anchor::absent(path).en()
    )]
    AnchorLost {
        /// Where it should be.
        path: String,
    },
    /// The anchor's file holds no valid slot, or one of another log.
    #[error(
        "the anchor {path} is damaged, or the key file is not this log's newest: {}; put the right file back; only if there is no other anchor, move it away and run `weituo recover --checkpoint FILE` with a checkpoint that somebody kept",
        what.en()
    )]
    AnchorDamaged {
        /// Where it is.
        path: String,
        /// What is wrong.
        what: Both,
    },
    /// A row cannot have been written by this program.
    #[error("{}; run `weituo verify`", what.en())]
    Corrupt {
        /// Which, and what it holds.
        what: Both,
    },
    /// `LogFrozen` is in the log: nothing follows it.
    #[error(
        "the log is frozen since leaf index {leaf_index}: `weituo entry {leaf_index}` names its successor, if there is one"
    )]
    Frozen {
        /// Leaf index of the `LogFrozen` entry.
        leaf_index: u64,
    },
}

/// A failure of the ledger itself.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The database.
    #[error("the database failed")]
    Store(#[from] StoreError),
    /// The anchor cannot be read or written.
    #[error("the anchor {path} cannot be {doing}")]
    Anchor {
        /// Its file.
        path: String,
        /// `read` or `written`.
        doing: &'static str,
        /// The file system's error.
        #[source]
        source: std::io::Error,
    },
    /// The key's file cannot be read, written or understood.
    #[error("the key file {path}: {}", what.en())]
    Key {
        /// Its file.
        path: String,
        /// What is wrong.
        what: Both,
    },
    /// The ledger may not write.
    #[error("the ledger is read-only")]
    ReadOnly(#[from] ReadOnly),
    /// The clock.
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// What was asked for is not in the log.
    #[error("{}", what.en())]
    NotFound {
        /// What, and how large the log is.
        what: Both,
    },
    /// There is a ledger here already.
    #[error("{}", what.en())]
    Exists {
        /// Where.
        what: Both,
    },
    /// Recovery cannot lead to the anchored root.
    #[error("cannot recover: {}", what.en())]
    Recover {
        /// Why.
        what: Both,
    },
    /// A backup cannot be made or restored.
    #[error("cannot copy: {}", what.en())]
    Copy {
        /// Why.
        what: Both,
    },
    /// The policy's file cannot be read or understood.
    #[error("the policy {path} cannot be used")]
    Policy {
        /// Its file.
        path: String,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Something the caller gave cannot be used.
    #[error("{}", what.en())]
    Invalid {
        /// What would be right.
        what: Both,
    },
    /// The log's keys were not changed, or the log not frozen.
    #[error(transparent)]
    LogKey(#[from] LogKeyError),
    /// An entry of the log's own could not be recorded.
    #[error("the log could not record an entry of its own")]
    Record(#[source] SubmitError),
    /// The ledger was stopped.
    #[error("the ledger has been stopped")]
    Stopped,
}

impl From<SubmitError> for LedgerError {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::ReadOnly(reason) => Self::ReadOnly(reason),
            SubmitError::Clock(error) => Self::Clock(error),
            SubmitError::Stopped => Self::Stopped,
            error => Self::Record(error),
        }
    }
}

impl From<LedgerError> for SubmitError {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::ReadOnly(reason) => Self::ReadOnly(reason),
            LedgerError::Clock(error) => Self::Clock(error),
            LedgerError::Stopped => Self::Stopped,
            error => Self::Unavailable(Arc::new(error)),
        }
    }
}

impl From<EntryError> for SubmitError {
    fn from(error: EntryError) -> Self {
        Self::Invalid(Arc::new(error))
    }
}

impl LedgerError {
    /// Returns whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Store(error) => error.is_retryable(),
            Self::Anchor { .. } | Self::Clock(_) | Self::Record(SubmitError::Unavailable(_)) => true,
            _ => false,
        }
    }
}

impl Receipt {
    /// Returns the receipt in the form that is given away (C2SP tlog-proof).
    pub fn to_proof(&self) -> weituo_proof::Receipt {
        weituo_proof::Receipt {
            entry: self.entry.to_string(),
            leaf_index: self.leaf_index,
            inclusion: self.inclusion.clone(),
            checkpoint: self.checkpoint.text.clone(),
        }
    }
}
