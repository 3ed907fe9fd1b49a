//! A witness's directory: its key, one file for each log, and what proves that a log forked.
//!
//! ```text
//! witness.key                    the cosigning key, mode 0600
//! lock                           held by the process that uses the directory
//! logs/ORIGIN-HASH               the checkpoint cosigned last, with the signatures of the log and of this witness
//! cosigned                       the ORIGIN-HASH of every log that was ever cosigned, one a line
//! evidence/KIND-ORIGIN-HASH-…    the checkpoint kept, an empty line, and the request that was refused
//! ```
//!
//! Invariants: a log's file is replaced whole and durable; it is believed only with this witness's own cosignature on it;
//! a directory with a key and without memory is refused, because its witness would cosign a second history.
//! Absent: which checkpoint may be cosigned (`witness`).
//! Source: C2SP tlog-witness v1.1.0 ("MUST persist the new checkpoint before responding").

use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use weituo_proof::note::{CosigningKey, KeyError, NoteSignature};
use weituo_proof::witness::AddCheckpoint;
use weituo_proof::{Checkpoint, Hash, IdentError, Origin, SignedNote, SigningKey, TreeSize, VerifierKey};

use crate::files::{create_whole, replace_whole};

/// Checkpoints without a proof that are kept at most: anyone can send them, because checkpoints are public.
const MAX_UNPROVEN: usize = 100;
/// Forks that are kept at most.
const MAX_FORKS: usize = 10_000;

/// The list of the logs that were ever cosigned.
const COSIGNED: &str = "cosigned";

/// Why a state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// A file or folder cannot be read or written.
    #[error("{path} cannot be {doing}")]
    Io {
        /// Which.
        path: String,
        /// `read`, `written` or `locked`.
        doing: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another process uses the directory.
    #[error("another witness uses {path}: two would cosign two histories")]
    InUse {
        /// The directory.
        path: String,
    },
    /// The key's file holds no key.
    #[error("{path} holds no signing key")]
    Key {
        /// The file.
        path: String,
        /// Why not.
        #[source]
        source: KeyError,
    },
    /// The name cannot be a key's.
    #[error("the witness cannot have this name")]
    Name(#[source] KeyError),
    /// The key has another name than the one asked for.
    #[error("the witness of {path} is named {found}, not {asked}: a name belongs to its key for good")]
    OtherName {
        /// The directory.
        path: String,
        /// The key's name.
        found: String,
        /// The name asked for.
        asked: String,
    },
    /// There is a key, and a memory is gone.
    #[error(
        "{path} is missing beside a key that was used before: put it back, or give the witness up and begin a new one in an empty folder"
    )]
    MemoryLost {
        /// The folder or the file that should be there.
        path: String,
    },
    /// A log's file was not written by this witness.
    #[error("{path} is not a checkpoint that this witness cosigned: put it back, or give the witness up")]
    Damaged {
        /// The file.
        path: String,
    },
    /// A log's key has a name that is no origin.
    #[error("a log's key is named by its origin")]
    Origin {
        /// Why it is none.
        #[source]
        source: IdentError,
    },
    /// The system has no randomness.
    #[error("the system has no randomness: {what}")]
    Randomness {
        /// Its word for it.
        what: String,
    },
}

/// A checkpoint that was cosigned.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) size: TreeSize,
    pub(super) root: Hash,
    /// With the signatures of the log and of this witness.
    pub(super) note: SignedNote,
    pub(super) cosignature: NoteSignature,
    pub(super) timestamp: u64,
}

/// What a refused checkpoint shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Two roots of one size: the log signed two histories.
    Fork,
    /// A larger tree without a proof that holds: a fork, or a mistake of whoever asked.
    Unproven,
}

#[derive(Debug)]
pub(super) struct State {
    folder: PathBuf,
    _lock: File,
}

impl State {
    /// Opens a directory, or makes it with a new key.
    pub(super) fn open(folder: &Path, name: Option<&str>) -> Result<(Self, CosigningKey), StateError> {
        std::fs::create_dir_all(folder).map_err(|source| io_error(folder, "written", source))?;
        let state = Self { folder: folder.to_owned(), _lock: lock(folder)? };
        let key_file = folder.join("witness.key");
        let logs = folder.join("logs");
        let key = if key_file.exists() {
            if !logs.is_dir() {
                return Err(StateError::MemoryLost { path: logs.display().to_string() });
            }
            read_key(&key_file)?
        } else {
            // The key comes last: a key without memory is a witness that forgot.
            std::fs::create_dir_all(&logs).map_err(|source| io_error(&logs, "written", source))?;
            let key = new_key(name)?;
            create_whole(&key_file, format!("{key}\n").as_bytes(), 0o600)
                .map_err(|source| io_error(&key_file, "written", source))?;
            key
        };
        if let Some(asked) = name.filter(|name| *name != key.name()) {
            let path = folder.display().to_string();
            return Err(StateError::OtherName {
                path,
                found: key.name().to_owned(),
                asked: asked.to_owned(),
            });
        }
        let key = CosigningKey::from_seed(key.name(), *key.seed()).map_err(StateError::Name)?;
        Ok((state, key))
    }

    /// Reads what was cosigned of a log; `None` for nothing.
    pub(super) fn read(
        &self,
        origin_hash: &Hash,
        origin: &Origin,
        key: &VerifierKey,
    ) -> Result<Option<Kept>, StateError> {
        let path = self.log_file(origin_hash);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let was_cosigned = self.cosigned()?.lines().any(|known| known == origin_hash.to_string());
                let lost = || StateError::MemoryLost { path: path.display().to_string() };
                return if was_cosigned { Err(lost()) } else { Ok(None) };
            }
            Err(error) if error.kind() == ErrorKind::InvalidData => return Err(damaged(&path)),
            Err(source) => return Err(io_error(&path, "read", source)),
        };
        let note = SignedNote::parse(&text).map_err(|_| damaged(&path))?;
        let checkpoint = Checkpoint::parse(note.text()).map_err(|_| damaged(&path))?;
        let own = note.signed_by(key).and_then(|(line, time)| Some((line.clone(), time?)));
        match own {
            Some((cosignature, timestamp)) if checkpoint.origin == *origin => {
                Ok(Some(Kept { size: checkpoint.size, root: checkpoint.root, note, cosignature, timestamp }))
            }
            _ => Err(damaged(&path)),
        }
    }

    /// Puts a cosigned checkpoint in the place of the one before it, durable on return.
    pub(super) fn write(&self, origin_hash: &Hash, kept: &Kept) -> Result<(), StateError> {
        let path = self.log_file(origin_hash);
        replace_whole(&path, kept.note.to_string().as_bytes(), 0o644)
            .map_err(|source| io_error(&path, "written", source))?;
        // Behind it: a list that names a log without a file is a memory that was lost.
        let known = self.cosigned()?;
        if known.lines().any(|known| known == origin_hash.to_string()) {
            return Ok(());
        }
        let list = self.folder.join(COSIGNED);
        replace_whole(&list, format!("{known}{origin_hash}\n").as_bytes(), 0o644)
            .map_err(|source| io_error(&list, "written", source))
    }

    /// Returns the list of the logs that were ever cosigned.
    fn cosigned(&self) -> Result<String, StateError> {
        let path = self.folder.join(COSIGNED);
        match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
            read => read.map_err(|source| io_error(&path, "read", source)),
        }
    }

    /// Keeps two checkpoints that do not fit together, durable on return.
    pub(super) fn keep_evidence(
        &self,
        kind: Kind,
        origin_hash: &Hash,
        kept: &Kept,
        request: &AddCheckpoint,
        checkpoint: &Checkpoint,
    ) -> Result<(), StateError> {
        let folder = self.folder.join("evidence");
        std::fs::create_dir_all(&folder).map_err(|source| io_error(&folder, "written", source))?;
        let (start, most) = match kind {
            Kind::Fork => ("fork", MAX_FORKS),
            Kind::Unproven => ("unproven", MAX_UNPROVEN),
        };
        let root = checkpoint.root.to_string();
        let name = format!("{start}-{origin_hash}-{}-{}-{}", kept.size, checkpoint.size, &root[..16]);
        let path = folder.join(name);
        let unreadable = |source| io_error(&folder, "read", source);
        if path.exists() || count(&folder, start).map_err(unreadable)? >= most {
            tracing::warn!(file = %path.display(), "evidence is there already, or there is too much of it");
            return Ok(());
        }
        let text = format!("{}\n{request}", kept.note);
        create_whole(&path, text.as_bytes(), 0o644).map_err(|source| io_error(&path, "written", source))
    }

    fn log_file(&self, origin_hash: &Hash) -> PathBuf {
        self.folder.join("logs").join(origin_hash.to_string())
    }
}

/// Takes the directory for this process, until it ends.
fn lock(folder: &Path) -> Result<File, StateError> {
    let path = folder.join("lock");
    let file = File::options().create(true).append(true).open(&path);
    let file = file.map_err(|source| io_error(&path, "written", source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StateError::InUse { path: folder.display().to_string() }),
        Err(TryLockError::Error(source)) => Err(io_error(&path, "locked", source)),
    }
}

fn read_key(path: &Path) -> Result<SigningKey, StateError> {
    let text = std::fs::read_to_string(path).map_err(|source| io_error(path, "read", source))?;
    text.trim_end().parse().map_err(|source| StateError::Key { path: path.display().to_string(), source })
}

/// Makes a key; without a name it gets one that no other has, from its public key.
fn new_key(name: Option<&str>) -> Result<SigningKey, StateError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| StateError::Randomness { what: error.to_string() })?;
    let named = |name: &str| SigningKey::from_seed(name, seed).map_err(StateError::Name);
    let Some(name) = name else {
        let public = weituo_proof::sha256(&[named("weituo-witness")?.verifier().public_key()]).to_string();
        return named(&format!("weituo-witness-{}", &public[..8]));
    };
    named(name)
}

fn count(folder: &Path, start: &str) -> io::Result<usize> {
    let mut found = 0;
    for file in std::fs::read_dir(folder)? {
        found += usize::from(file?.file_name().to_string_lossy().starts_with(start));
    }
    Ok(found)
}

fn damaged(path: &Path) -> StateError {
    StateError::Damaged { path: path.display().to_string() }
}

fn io_error(path: &Path, doing: &'static str, source: io::Error) -> StateError {
    StateError::Io { path: path.display().to_string(), doing, source }
}
