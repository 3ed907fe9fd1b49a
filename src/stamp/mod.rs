//! Time-stamps: what an outside authority (RFC 3161) says of when a checkpoint was there.
//!
//! A stamp is over the SHA-256 of a checkpoint's note text: the lines of origin, size and root. It is kept in a folder
//! beside the anchor: `<size>.checkpoint`, the signed note, and `<size>.tsr`, the token (DER). `openssl ts -verify` is what
//! checks the authority's signature, with a certificate that its reader trusts: this module has none to trust.
//!
//! Invariants: a token is kept only where it is over the checkpoint beside it; what is kept is never replaced.
//! Absent: when to stamp (`cli`); whether a kept checkpoint is this log's (`ledger::Ledger::vouches_for`).
//! Source: RFC 3161; format.md "Dossier", member `timestamps`.

mod client;
mod der;
mod message;

use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use weituo_proof::{Checkpoint, SignedNote};

use crate::files::create_whole;

pub use message::Unusable;

/// Why there is no stamp.
#[derive(Debug, thiserror::Error)]
pub enum StampError {
    /// Not an address that can be asked.
    #[error("{url} is not an address of a time-stamping authority: http://HOST[:PORT][/PATH] or https://…")]
    Url {
        /// The address.
        url: String,
    },
    /// No answer, or not within the time-out.
    #[error("the time-stamping authority at {url} does not answer: nothing is stamped; repeat it later")]
    Http {
        /// The address.
        url: String,
        /// Why not.
        #[source]
        source: Box<ureq::Error>,
    },
    /// An answer of HTTP other than 200.
    #[error("the time-stamping authority at {url} answers with status {status}: {told}; nothing is stamped")]
    Status {
        /// The address.
        url: String,
        /// The status.
        status: u16,
        /// The beginning of the body.
        told: String,
    },
    /// An answer that is no stamp of the checkpoint.
    #[error("the answer of the time-stamping authority at {url} cannot be used; nothing is stamped")]
    Answer {
        /// The address.
        url: String,
        /// Why not.
        #[source]
        source: Unusable,
    },
    /// What should be stamped is not a checkpoint.
    #[error("this is not a signed checkpoint")]
    NotACheckpoint,
    /// A kept stamp that is not what its name says.
    #[error("the kept stamp {path} cannot be used: {what}; move it away and stamp again", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// Another checkpoint of this size is kept.
    #[error("{path} is another checkpoint of the same size: keep both, and run `weituo verify --checkpoint {path}`", path = path.display())]
    OtherHistory {
        /// The file.
        path: PathBuf,
    },
    /// The folder cannot be read or written.
    #[error("{path} cannot be read or written", path = path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// A stamped checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// Number of entries that the checkpoint covers.
    pub size: u64,
    /// The checkpoint, a signed note.
    pub note: String,
    /// DER of the `TimeStampToken`.
    pub token: Vec<u8>,
    /// When the authority says that it saw the checkpoint, `YYYY-MM-DDTHH:MM:SS[.f…]Z`.
    pub time: String,
}

/// The kept stamps of a log.
#[derive(Debug, Clone)]
pub struct Stamps {
    folder: PathBuf,
}

impl Stamps {
    /// Returns the stamps in a folder, which need not be there yet.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Returns where a size's token and checkpoint are kept.
    pub fn files(&self, size: u64) -> (PathBuf, PathBuf) {
        (self.folder.join(format!("{size}.tsr")), self.folder.join(format!("{size}.checkpoint")))
    }

    /// Returns a checkpoint's stamp: the one that is kept, or else one that the authority at `url` gives now, which is kept.
    ///
    /// # Errors
    ///
    /// [`StampError`]; nothing is kept then, and nothing that was kept is lost.
    pub fn stamp(&self, note: &str, url: &str) -> Result<Stamp, StampError> {
        let (size, text) = note_text(note).ok_or(StampError::NotACheckpoint)?;
        let (token_file, note_file) = self.files(size);
        if let Some(kept) = self.at(size)? {
            return Self::same(kept, &text, note_file);
        }
        let digest: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        let mut random = [0; 8];
        getrandom::fill(&mut random)
            .expect("the operating system gives random bytes, or nothing here is safe");
        let nonce = message::nonce(random);
        let response = client::ask(url, &message::request(&digest, nonce))?;
        let answered = message::answered(&response, &digest, nonce);
        let token = answered.map_err(|source| StampError::Answer { url: url.to_owned(), source })?;
        std::fs::create_dir_all(&self.folder)
            .map_err(|source| StampError::Io { path: self.folder.clone(), source })?;
        // The checkpoint first: a token is never kept without what it is over.
        create(&note_file, note.as_bytes())?;
        if note_text(&read_text(&note_file)?.unwrap_or_default()).is_none_or(|(_, kept)| kept != text) {
            return Err(StampError::OtherHistory { path: note_file });
        }
        create(&token_file, &token.bytes)?;
        // Another process may have been faster: what is kept is the stamp.
        let kept = self
            .at(size)?
            .ok_or(StampError::Io { path: token_file, source: io::ErrorKind::NotFound.into() })?;
        Self::same(kept, &text, note_file)
    }

    fn same(kept: Stamp, text: &str, file: PathBuf) -> Result<Stamp, StampError> {
        match note_text(&kept.note) {
            Some((_, kept_text)) if kept_text == text => Ok(kept),
            _ => Err(StampError::OtherHistory { path: file }),
        }
    }

    /// Returns the kept stamp of a size; `None` where there is none.
    ///
    /// # Errors
    ///
    /// `Damaged` where the token is not over the checkpoint beside it; `Io`.
    pub fn at(&self, size: u64) -> Result<Option<Stamp>, StampError> {
        let (token_file, note_file) = self.files(size);
        let token = match std::fs::read(&token_file) {
            Ok(token) => token,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(StampError::Io { path: token_file, source }),
        };
        let damaged = |what: &str| StampError::Damaged { path: token_file.clone(), what: what.to_owned() };
        let note = read_text(&note_file)?.ok_or_else(|| damaged("the checkpoint beside it is missing"))?;
        let text = note_text(&note).filter(|(found, _)| *found == size);
        let (_, text) = text.ok_or_else(|| damaged("the checkpoint beside it is not one of this size"))?;
        let token = message::token_of(&token).map_err(damaged)?;
        if token.digest != Sha256::digest(text.as_bytes()).as_slice() {
            return Err(damaged("the token is not over the checkpoint beside it"));
        }
        Ok(Some(Stamp { size, note, token: token.bytes, time: token.time }))
    }

    /// Returns the sizes of which a token is kept, ascending.
    ///
    /// # Errors
    ///
    /// `Io` where the folder is there and cannot be read.
    pub fn sizes(&self) -> Result<Vec<u64>, StampError> {
        let unreadable = |source| StampError::Io { path: self.folder.clone(), source };
        let files = match std::fs::read_dir(&self.folder) {
            Ok(files) => files,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(unreadable(error)),
        };
        let mut sizes = Vec::new();
        for file in files {
            let name = file.map_err(unreadable)?.file_name();
            let size = name.to_str().and_then(|name| name.strip_suffix(".tsr")?.parse::<u64>().ok());
            sizes.extend(size.filter(|size| name.to_str() == Some(&format!("{size}.tsr"))));
        }
        sizes.sort_unstable();
        Ok(sizes)
    }
}

/// Returns the size and the text, without signatures, of a signed checkpoint.
fn note_text(note: &str) -> Option<(u64, String)> {
    let note = SignedNote::parse(note).ok()?;
    let checkpoint = Checkpoint::parse(note.text()).ok()?;
    Some((checkpoint.size.get(), note.text().to_owned()))
}

fn read_text(path: &Path) -> Result<Option<String>, StampError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(StampError::Io { path: path.to_owned(), source }),
    }
}

/// Creates a file, or leaves the one that is there.
fn create(path: &Path, bytes: &[u8]) -> Result<(), StampError> {
    match create_whole(path, bytes, 0o644) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        created => created.map_err(|source| StampError::Io { path: path.to_owned(), source }),
    }
}
