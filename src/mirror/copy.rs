//! Copying a log into a folder that any static file server can serve.
//!
//! Invariants: a tile or bundle is written only once it is proven under the new checkpoint, and the new checkpoint only
//! once everything that it commits to is there and it extends the one before; both are durable in that order.
//! Source: C2SP tlog-tiles; RFC 9162 section 2.1.4 (consistency).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use weituo_proof::checkpoint::CheckpointError;
use weituo_proof::tile::{
    TileNodes, TilePath, TileReadError, bundles_between, decode_bundle, hash_tile, tiles_between,
};
use weituo_proof::tree::{ProofError, ProveError, consistency_proof, verify_consistency};
use weituo_proof::{Both, Checkpoint, Nodes, TreeSize, VerifierKey, both, leaf_hash};

use super::source::{LogSource, SourceError};
use crate::errors::texts;
use crate::files::replace_whole;

/// Why a log could not be copied.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// Something of it could not be read.
    #[error("the log could not be read")]
    Source(#[from] SourceError),
    /// Its checkpoint is not signed by the key given.
    #[error("the checkpoint of {place} is not the log's")]
    Checkpoint {
        /// Whose checkpoint.
        place: String,
        /// Why.
        #[source]
        source: CheckpointError,
    },
    /// The folder holds something else than a copy of this log.
    #[error("{} holds no copy of this log: {}; name an empty folder", folder.display(), what.en())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What is there.
        what: Both,
    },
    /// It does not extend what was copied before.
    #[error(
        "the log of size {found} does not extend the one of size {kept} that was copied before: it was rolled back or \
         forked; both checkpoints are kept in {}", evidence.display()
    )]
    NotExtended {
        /// Size copied before.
        kept: u64,
        /// Size that is served now.
        found: u64,
        /// Folder with both checkpoints.
        evidence: PathBuf,
    },
    /// What is served is not what the checkpoint commits to.
    #[error("{path} is not what the checkpoint commits to: {what}")]
    Differs {
        /// Tile or bundle.
        path: String,
        /// How.
        what: String,
    },
    /// The folder could not be written.
    #[error("{} could not be written", path.display())]
    Write {
        /// File.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl MirrorError {
    /// Returns whether this is evidence against the log, and not a failure to read or write.
    pub fn is_finding(&self) -> bool {
        matches!(self, Self::NotExtended { .. } | Self::Differs { .. } | Self::Checkpoint { .. })
    }
}

/// What a copy now holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirrored {
    /// Entries that it held before.
    pub before: u64,
    /// The checkpoint that it holds now.
    pub checkpoint: Checkpoint,
    /// Tiles and bundles that were fetched.
    pub fetched: u64,
}

/// Brings the copy in a folder up to the log. `progress` is told the entries proven so far and those in all.
///
/// # Errors
/// [`MirrorError`]; the copy is still the one that it was.
pub fn copy(
    log: &LogSource,
    folder: &Path,
    keys: &[VerifierKey],
    progress: impl Fn(u64, u64),
) -> Result<Mirrored, MirrorError> {
    let text = log.checkpoint()?;
    let checkpoint = open(log, &text, keys)?;
    let own = LogSource::Folder(folder.to_owned());
    let before = match own.checkpoint() {
        Ok(text) => Some((open_own(folder, &text, keys)?, text)),
        Err(SourceError::NotFound { .. }) => {
            refuse_strangers(folder)?;
            None
        }
        Err(error) => return Err(error.into()),
    };
    let from = before.as_ref().map_or(0, |(checkpoint, _)| checkpoint.size.get());
    let copying = Copying { log, own: &own, folder };
    let mut fetched = 0;
    if checkpoint.size.get() > 0 {
        let nodes =
            TileNodes::open(checkpoint.size, &checkpoint.root, |path| log.tile(path)).map_err(differs)?;
        if let Some((before, before_text)) = &before
            && !tiles_extend(before, &checkpoint, &nodes)?
        {
            let evidence = keep_evidence(folder, before_text, &text)?;
            let (kept, found) = (before.size.get(), checkpoint.size.get());
            return Err(MirrorError::NotExtended { kept, found, evidence });
        }
        fetched = copying.bundles(&nodes, from, checkpoint.size, progress)?;
        for path in tiles_between(TreeSize::new(from), checkpoint.size) {
            copying.put(&path, &hash_tile(&nodes, &path).map_err(differs)?)?;
        }
    }
    let stated: Vec<String> = keys.iter().map(ToString::to_string).collect();
    copying.write("key", (stated.join("\n") + "\n").as_bytes())?;
    copying.write("checkpoint", text.as_bytes())?;
    if let Some((before, _)) = before {
        copying.drop_partial(before.size, checkpoint.size);
    }
    Ok(Mirrored { before: from, checkpoint, fetched })
}

/// Opens the checkpoint of the copy itself: what is wrong with it is no evidence against the log.
fn open_own(folder: &Path, text: &str, keys: &[VerifierKey]) -> Result<Checkpoint, MirrorError> {
    let opened = Checkpoint::open_by(text, keys);
    let opened = opened.map_err(|error| {
        let (zh, en) = texts(&error);
        let what = both!("其中的检查点打不开({zh})", "its checkpoint does not open ({en})");
        MirrorError::Folder { folder: folder.to_owned(), what }
    })?;
    Ok(opened.0)
}

/// Refuses a folder with what a ledger has in it: a file server shows all that it finds there.
fn refuse_strangers(folder: &Path) -> Result<(), MirrorError> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let ending = Path::new(&name).extension().unwrap_or_default();
        if ["anchor", "db", "key"].iter().any(|of_ledger| ending == *of_ledger) {
            let what = both!("其中有 {name}", "{name} is in it");
            return Err(MirrorError::Folder { folder: folder.to_owned(), what });
        }
    }
    Ok(())
}

fn open(log: &LogSource, text: &str, keys: &[VerifierKey]) -> Result<Checkpoint, MirrorError> {
    let opened = Checkpoint::open_by(text, keys);
    let opened = opened.map_err(|source| MirrorError::Checkpoint { place: log.to_string(), source })?;
    Ok(opened.0)
}

/// Returns whether a log, as its tiles show it under a checkpoint, extends an earlier checkpoint.
///
/// # Errors
/// [`MirrorError`] where the tiles cannot be read or are not the checkpoint's.
pub fn extends(log: &LogSource, before: &Checkpoint, now: &Checkpoint) -> Result<bool, MirrorError> {
    if before.size >= now.size {
        return Ok(before == now);
    }
    let nodes = TileNodes::open(now.size, &now.root, |path| log.tile(path)).map_err(differs)?;
    tiles_extend(before, now, &nodes)
}

/// Returns whether the log that the tiles show extends an earlier checkpoint.
fn tiles_extend<N>(before: &Checkpoint, now: &Checkpoint, nodes: &N) -> Result<bool, MirrorError>
where
    N: Nodes<Error = TileReadError<SourceError>>,
{
    if before.size > now.size {
        return Ok(false);
    }
    if before.size == TreeSize::new(0) {
        return Ok(true);
    }
    let proof = match consistency_proof(nodes, before.size, now.size) {
        Ok(proof) => proof,
        Err(ProveError::Nodes(error)) => return Err(differs(error)),
        Err(_) => return Ok(false),
    };
    let verified: Result<(), ProofError> =
        verify_consistency(before.size, now.size, &proof, &before.root, &now.root);
    Ok(verified.is_ok())
}

fn differs(error: TileReadError<SourceError>) -> MirrorError {
    match error {
        TileReadError::Fetch { source, .. } => MirrorError::Source(source),
        TileReadError::TileDiffers { path, .. } => {
            MirrorError::Differs { path: path.to_string(), what: "its hashes have another root".to_owned() }
        }
        other => MirrorError::Differs { path: "a tile".to_owned(), what: other.to_string() },
    }
}

struct Copying<'a> {
    log: &'a LogSource,
    own: &'a LogSource,
    folder: &'a Path,
}

impl Copying<'_> {
    /// Copies the bundles of a log that has grown; those that an interrupted copy has left are taken where they hold what
    /// the tree says. Returns how many were fetched.
    fn bundles<N>(
        &self,
        nodes: &N,
        from: u64,
        to: TreeSize,
        progress: impl Fn(u64, u64),
    ) -> Result<u64, MirrorError>
    where
        N: Nodes<Error = TileReadError<SourceError>>,
    {
        let mut fetched = 0;
        for path in bundles_between(TreeSize::new(from), to) {
            let kept = self.own.tile(&path).ok();
            if kept.as_ref().is_none_or(|bytes| holds(nodes, &path, bytes).is_err()) {
                let bytes = self.log.tile(&path)?;
                holds(nodes, &path, &bytes)?;
                self.put(&path, &bytes)?;
                fetched += 1;
            } else if let Some(bytes) = kept.filter(|_| path.is_partial()) {
                // It may have been cut from a full one that is newer than the checkpoint.
                self.put(&path, &bytes)?;
            }
            progress(path.index() * 256 + u64::from(path.width()), to.get());
        }
        Ok(fetched)
    }

    fn put(&self, path: &TilePath, bytes: &[u8]) -> Result<(), MirrorError> {
        self.write(&path.to_string(), bytes)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), MirrorError> {
        write(self.folder, name, bytes)
    }

    /// Removes the partial tiles of the size before, which the new checkpoint has no use for.
    fn drop_partial(&self, before: TreeSize, now: TreeSize) {
        let edge = |size: TreeSize| {
            let tiles = tiles_between(TreeSize::new(0), size).filter(TilePath::is_partial);
            tiles.chain(bundles_between(TreeSize::new(size.get().saturating_sub(1)), size))
        };
        let wanted: Vec<TilePath> = edge(now).collect();
        for path in edge(before).filter(|path| path.is_partial() && !wanted.contains(path)) {
            let file = self.folder.join(path.to_string());
            if fs::remove_file(&file).is_ok()
                && let Some(folder) = file.parent()
            {
                // Left where other widths are still in it.
                let _ = fs::remove_dir(folder);
            }
        }
    }
}

/// Checks that a bundle holds the entries that the tree has.
fn holds<N>(nodes: &N, path: &TilePath, bytes: &[u8]) -> Result<(), MirrorError>
where
    N: Nodes<Error = TileReadError<SourceError>>,
{
    let wrong = |what: String| MirrorError::Differs { path: path.to_string(), what };
    let entries = decode_bundle(bytes, path.width()).map_err(|error| wrong(error.to_string()))?;
    for (leaf_index, entry) in (path.index() * 256..).zip(entries) {
        let (expected, found) = (nodes.node(0, leaf_index).map_err(differs)?, leaf_hash(entry));
        if expected != found {
            return Err(wrong(format!("entry {leaf_index} has leaf hash {found}, the tree says {expected}")));
        }
    }
    Ok(())
}

/// Keeps both checkpoints of a log that does not extend itself. Returns the folder.
pub(crate) fn keep_evidence(folder: &Path, kept: &str, found: &str) -> Result<PathBuf, MirrorError> {
    let name = format!("evidence/{}", &weituo_proof::sha256(&[found.as_bytes()]).to_string()[..16]);
    write(folder, &format!("{name}/kept"), kept.as_bytes())?;
    write(folder, &format!("{name}/found"), found.as_bytes())?;
    Ok(folder.join(name))
}

/// Writes a file of a folder whole or not at all, durably.
pub(crate) fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), MirrorError> {
    let path = folder.join(name);
    let made = path.parent().map_or(Ok(()), fs::create_dir_all);
    let written = made.and_then(|()| replace_whole(&path, bytes, 0o644));
    written.map_err(|source| MirrorError::Write { path: path.clone(), source })
}
