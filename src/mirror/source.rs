//! Where a log is read from: a folder, or a server.
//!
//! Invariants: nothing read is believed; whatever a server sends, memory is bounded.
//! Source: C2SP tlog-tiles, "APIs" and "Partial Tiles".

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use weituo_proof::tile::{TILE_WIDTH, TileKind, TilePath, decode_bundle, encode_bundle};

/// Most bytes of a checkpoint that are read.
const MAX_CHECKPOINT: u64 = 1 << 20;
/// Most bytes of a tile or bundle: 256 entries of 65,535 bytes with their lengths.
const MAX_TILE: u64 = 256 * (65_535 + 2);
/// A request that is not answered after this has failed.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Pauses before a request that failed is tried again.
const PAUSES: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(1)];

/// Why something of a log could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// It is not there.
    #[error("{what} is not there")]
    NotFound {
        /// Path or address.
        what: String,
    },
    /// It could not be read.
    #[error("{what} could not be read")]
    Read {
        /// Path or address.
        what: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A log as seen from outside.
#[derive(Clone)]
pub enum LogSource {
    /// A folder that holds `checkpoint` and `tile/`.
    Folder(PathBuf),
    /// A server's address, ending in `/`.
    Server {
        /// Keeps connections between requests.
        agent: ureq::Agent,
        /// What comes before `checkpoint`.
        base: String,
    },
}

impl LogSource {
    /// Returns the log at an address (`http://…`, `https://…`) or in a folder.
    pub fn of(place: &str) -> Self {
        if !place.starts_with("http://") && !place.starts_with("https://") {
            return Self::Folder(PathBuf::from(place));
        }
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .http_status_as_error(false)
            .user_agent(concat!("weituo/", env!("CARGO_PKG_VERSION")))
            .build();
        let base = format!("{}/", place.trim_end_matches('/'));
        Self::Server { agent: config.into(), base }
    }

    /// Returns the checkpoint, a signed note that nobody has verified yet.
    ///
    /// # Errors
    /// [`SourceError`].
    pub fn checkpoint(&self) -> Result<String, SourceError> {
        let bytes = self.read("checkpoint", MAX_CHECKPOINT)?;
        String::from_utf8(bytes).map_err(|error| self.unreadable("checkpoint", error))
    }

    /// Returns the verifier keys that the log states as its own, one a line: nothing vouches for them.
    ///
    /// # Errors
    /// [`SourceError`].
    pub fn stated_keys(&self) -> Result<String, SourceError> {
        let bytes = self.read("key", MAX_CHECKPOINT)?;
        String::from_utf8(bytes).map_err(|error| self.unreadable("key", error))
    }

    /// Returns the content of a tile or bundle as it is there, of the width that its path names. Where a partial one is not
    /// there any more, it is cut from the full one.
    ///
    /// # Errors
    /// [`SourceError`].
    pub fn tile(&self, path: &TilePath) -> Result<Vec<u8>, SourceError> {
        let name = path.to_string();
        match self.read(&name, MAX_TILE) {
            Err(SourceError::NotFound { what }) if path.is_partial() => {
                let full = TilePath::new(path.kind(), path.index(), TILE_WIDTH);
                let full = full.and_then(|full| self.read(&full.to_string(), MAX_TILE).ok());
                full.and_then(|bytes| cut(&bytes, path)).ok_or(SourceError::NotFound { what })
            }
            read => read,
        }
    }

    fn unreadable(
        &self,
        name: &str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> SourceError {
        SourceError::Read { what: self.full_name(name), source: source.into() }
    }

    fn full_name(&self, name: &str) -> String {
        match self {
            Self::Folder(folder) => folder.join(name).display().to_string(),
            Self::Server { base, .. } => format!("{base}{name}"),
        }
    }

    fn read(&self, name: &str, limit: u64) -> Result<Vec<u8>, SourceError> {
        match self {
            Self::Folder(folder) => read_file(&folder.join(name), limit).map_err(|error| {
                if error.kind() == io::ErrorKind::NotFound {
                    SourceError::NotFound { what: self.full_name(name) }
                } else {
                    self.unreadable(name, error)
                }
            }),
            Self::Server { agent, base } => {
                let address = format!("{base}{name}");
                let mut pauses = PAUSES.iter();
                loop {
                    match get(agent, &address, limit) {
                        Ok(Some(bytes)) => return Ok(bytes),
                        Ok(None) => return Err(SourceError::NotFound { what: address }),
                        Err(error) => match pauses.next() {
                            Some(pause) => std::thread::sleep(*pause),
                            None => return Err(self.unreadable(name, error)),
                        },
                    }
                }
            }
        }
    }
}

/// Returns what a server answers; `None` where it says that there is no such thing.
fn get(
    agent: &ureq::Agent,
    address: &str,
    limit: u64,
) -> Result<Option<Vec<u8>>, Box<dyn std::error::Error + Send + Sync>> {
    let mut response = agent.get(address).call()?;
    match response.status().as_u16() {
        200 => Ok(Some(response.body_mut().with_config().limit(limit + 1).read_to_vec()?)),
        404 | 410 => Ok(None),
        status => Err(format!("the server answers with status {status}").into()),
    }
}

fn read_file(path: &std::path::Path, limit: u64) -> io::Result<Vec<u8>> {
    use io::Read as _;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::other(format!("it has more than {limit} bytes")));
    }
    Ok(bytes)
}

/// Cuts the content of a full tile or bundle to the width of a partial one.
fn cut(full: &[u8], path: &TilePath) -> Option<Vec<u8>> {
    match path.kind() {
        TileKind::Hashes { .. } => full.get(..usize::from(path.width()) * 32).map(<[u8]>::to_vec),
        TileKind::Entries => {
            let entries = decode_bundle(full, TILE_WIDTH).ok()?;
            encode_bundle(entries.get(..usize::from(path.width()))?).ok()
        }
    }
}

impl fmt::Debug for LogSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for LogSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.full_name("").trim_end_matches('/'))
    }
}
