//! A witness: it cosigns a log's checkpoint only where that extends everything it cosigned of the log before.
//!
//! Invariants: what it cosigned is on the disk before the cosignature leaves; of one log, neither size nor time of its
//! cosignatures ever goes back; a checkpoint that the log signed and that does not extend the one kept is kept beside it
//! as evidence, and never cosigned. One request of a log at a time is checked and kept, so two cannot overtake each other.
//! Absent: HTTP (`http::witness`), a log's entries, ML-DSA cosignatures and `sign-subtree`, which are optional.
//! Source: C2SP tlog-witness v1.1.0, "add-checkpoint"; C2SP tlog-cosignature.

pub(crate) mod client;
mod state;

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use weituo_proof::checkpoint::CheckpointError;
use weituo_proof::note::{CosigningKey, NoteError};
use weituo_proof::tree::{ProofError, verify_consistency};
use weituo_proof::witness::{AddCheckpoint, RequestError, origin_hash};
use weituo_proof::{Checkpoint, EMPTY_ROOT, Hash, Origin, SignedNote, TreeSize, VerifierKey};

use crate::store::failpoint;
pub use state::StateError;
use state::{Kept, Kind, State};

/// Why a checkpoint is not cosigned.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The body is not a request: 400.
    #[error("the request is not `old SIZE`, a proof, an empty line and a checkpoint")]
    Request(#[source] RequestError),
    /// The body is not UTF-8: 400.
    #[error("the request is not UTF-8")]
    Encoding,
    /// The note is not a checkpoint: 400.
    #[error("the note is not a checkpoint")]
    Checkpoint(#[source] CheckpointError),
    /// The proof would start beyond the checkpoint: 400.
    #[error("the old size {old} is larger than the checkpoint's, {size}")]
    OldLarger {
        /// The old size.
        old: TreeSize,
        /// The checkpoint's size.
        size: TreeSize,
    },
    /// This witness knows no such log: 404.
    #[error("this witness knows no log of that origin")]
    UnknownOrigin,
    /// No known key of the log signed it: 403.
    #[error("no key known of this log signed the checkpoint")]
    Signature(#[source] NoteError),
    /// The old size is not the one cosigned last: 409.
    #[error("the checkpoint cosigned last has size {newest}")]
    Moved {
        /// Size of the checkpoint cosigned last, 0 for none.
        newest: TreeSize,
    },
    /// The checkpoint does not extend the one cosigned last, or its proof does not say so: 422.
    #[error("the checkpoint is not proven to extend the one cosigned last")]
    Inconsistent(#[source] ProofError),
    /// The clock stands before the last cosignature: 503.
    #[error(
        "the witness's clock is {behind_seconds} s behind its last cosignature of this log: set it right"
    )]
    Clock {
        /// By how much.
        behind_seconds: u64,
    },
    /// What was to be cosigned could not be kept: 500.
    #[error("the witness could not keep the checkpoint")]
    State(#[source] StateError),
}

/// A log that is witnessed.
#[derive(Debug)]
struct Log {
    origin: Origin,
    hash: Hash,
    keys: Vec<VerifierKey>,
    /// What was cosigned last; held from the check until it is on the disk.
    memory: Mutex<Memory>,
}

/// What a log's file holds.
#[derive(Debug)]
enum Memory {
    Known(Option<Kept>),
    /// A write failed, and the file may or may not hold what was written.
    Unknown,
}

/// A witness over a state directory, which no other process uses meanwhile.
#[derive(Debug)]
pub struct Witness {
    state: State,
    key: CosigningKey,
    logs: Vec<Log>,
}

impl Witness {
    /// Opens a state directory, making it and a cosigning key where there is none, and reads what was cosigned.
    ///
    /// Keys of one name are keys of one log. A new witness without a name gets one made from its key.
    ///
    /// # Errors
    ///
    /// `StateError` where the directory cannot be used: another process has it, files are damaged or missing, or the key
    /// has another name than the one given.
    pub fn open(folder: &Path, name: Option<&str>, log_keys: Vec<VerifierKey>) -> Result<Self, StateError> {
        let (state, key) = State::open(folder, name)?;
        let mut logs: Vec<Log> = Vec::new();
        for key in log_keys {
            let known = logs.iter_mut().find(|log| log.origin.as_str() == key.name());
            if let Some(log) = known {
                log.keys.push(key);
                continue;
            }
            let origin = Origin::new(key.name()).map_err(|source| StateError::Origin { source })?;
            let hash = origin_hash(&origin);
            logs.push(Log { origin, hash, keys: vec![key], memory: Mutex::new(Memory::Unknown) });
        }
        for log in &mut logs {
            let kept = state.read(&log.hash, &log.origin, key.verifier())?;
            log.memory = Mutex::new(Memory::Known(kept));
        }
        Ok(Self { state, key, logs })
    }

    /// Returns the key that verifies this witness's cosignatures.
    pub fn verifier_key(&self) -> &VerifierKey {
        self.key.verifier()
    }

    /// Returns the origins of the logs witnessed.
    pub fn origins(&self) -> impl Iterator<Item = &Origin> {
        self.logs.iter().map(|log| &log.origin)
    }

    /// Returns the newest checkpoint cosigned of the log whose origin has this SHA-256, with the signatures of the log and
    /// of this witness; `None` where none was cosigned.
    ///
    /// # Errors
    ///
    /// `StateError` where it cannot be read.
    pub fn newest(&self, origin_hash: &Hash) -> Result<Option<String>, StateError> {
        let Some(log) = self.logs.iter().find(|log| log.hash == *origin_hash) else { return Ok(None) };
        let mut memory = log.memory.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(self.recall(log, &mut memory)?.map(|kept| kept.note.to_string()))
    }

    /// Answers a request with the lines of the answer 200, at a time in seconds since the epoch.
    ///
    /// # Errors
    ///
    /// `Refusal`; nothing was cosigned.
    pub fn add_checkpoint(&self, body: &[u8], now: u64) -> Result<String, Refusal> {
        let body = std::str::from_utf8(body).map_err(|_| Refusal::Encoding)?;
        let request = AddCheckpoint::parse(body).map_err(Refusal::Request)?;
        let checkpoint = Checkpoint::parse(request.note.text()).map_err(|error| match error {
            // No log that this witness could know has such a name.
            CheckpointError::Origin(_) => Refusal::UnknownOrigin,
            error => Refusal::Checkpoint(error),
        })?;
        let log = self.logs.iter().find(|log| log.origin == checkpoint.origin);
        let log = log.ok_or(Refusal::UnknownOrigin)?;
        request.note.verify(&log.keys).map_err(Refusal::Signature)?;
        if request.old_size > checkpoint.size {
            return Err(Refusal::OldLarger { old: request.old_size, size: checkpoint.size });
        }
        let mut memory = log.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = self.recall(log, &mut memory).map_err(Refusal::State)?.cloned();
        self.check(log, kept.as_ref(), &request, &checkpoint)?;
        if let Some(kept) = &kept {
            if now < kept.timestamp {
                return Err(Refusal::Clock { behind_seconds: kept.timestamp - now });
            }
            let is_known = |key: &VerifierKey| {
                kept.note.signed_by(key).is_some() || request.note.signed_by(key).is_none()
            };
            if (now, checkpoint.size) == (kept.timestamp, kept.size) && log.keys.iter().all(is_known) {
                return Ok(format!("{}\n", kept.cosignature));
            }
        }
        let next = self.cosigned(log, &request.note, &checkpoint, now);
        let line = format!("{}\n", next.cosignature);
        *memory = Memory::Unknown;
        self.state.write(&log.hash, &next).map_err(Refusal::State)?;
        // From here a crash recovers forward: the checkpoint counts as cosigned, and the log, which got no answer, asks
        // again from this size (409 names it).
        failpoint::hit("witness.after_persist");
        *memory = Memory::Known(Some(next));
        Ok(line)
    }

    /// Returns what the log's file holds.
    fn recall<'a>(&self, log: &Log, memory: &'a mut Memory) -> Result<Option<&'a Kept>, StateError> {
        if let Memory::Unknown = memory {
            *memory = Memory::Known(self.state.read(&log.hash, &log.origin, self.key.verifier())?);
        }
        Ok(match memory {
            Memory::Known(kept) => kept.as_ref(),
            Memory::Unknown => None,
        })
    }

    /// Checks that a checkpoint extends the one kept; what it shows of a fork is kept as evidence.
    fn check(
        &self,
        log: &Log,
        kept: Option<&Kept>,
        request: &AddCheckpoint,
        checkpoint: &Checkpoint,
    ) -> Result<(), Refusal> {
        let (size, root) = kept.map_or((TreeSize::new(0), EMPTY_ROOT), |kept| (kept.size, kept.root));
        let evidence = |kind| match kept {
            Some(kept) => self.state.keep_evidence(kind, &log.hash, kept, request, checkpoint),
            None => Ok(()),
        };
        // Two roots of one size prove a fork, whatever proof came with them.
        if checkpoint.size == size && checkpoint.root != root {
            tracing::error!(origin = %log.origin, %size, kept = %root, refused = %checkpoint.root,
                "the log signed two histories");
            evidence(Kind::Fork).map_err(Refusal::State)?;
        }
        if request.old_size != size {
            return Err(Refusal::Moved { newest: size });
        }
        let proven = verify_consistency(size, checkpoint.size, &request.proof, &root, &checkpoint.root);
        proven.map_err(|error| {
            if checkpoint.size > size
                && let Err(error) = evidence(Kind::Unproven)
            {
                return Refusal::State(error);
            }
            Refusal::Inconsistent(error)
        })
    }

    /// Returns a checkpoint with the log's known signatures and this witness's.
    fn cosigned(&self, log: &Log, note: &SignedNote, checkpoint: &Checkpoint, timestamp: u64) -> Kept {
        let cosignature = self.key.cosign(note, timestamp);
        let mut kept = note.without_signatures();
        let known = log.keys.iter().filter_map(|key| note.signed_by(key));
        known.for_each(|(line, _)| kept.push(line.clone()));
        kept.push(cosignature.clone());
        Kept { size: checkpoint.size, root: checkpoint.root, note: kept, cosignature, timestamp }
    }
}
