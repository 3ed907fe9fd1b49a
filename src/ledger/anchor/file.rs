//! The anchor as a file beside the key, for the processes of one machine.
//!
//! Invariants: the file has two slots, each with a counter and a checksum; the older one is overwritten in place and
//! synced, so a crash in the middle leaves the newer. Several processes on one machine share the file under its lock,
//! which is waited for `LOCK_TIMEOUT` and no longer.
//! Absent: the contract (`anchor`).
//! Source: format.md "Append protocol" step 4.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use weituo_proof::tree::verify_consistency;
use weituo_proof::{Checkpoint, Hash, VerifierKey, sha256};

use super::{Advanced, fork};
use crate::files::create_whole;
use crate::ledger::types::{LedgerError, ReadOnly, SignedCheckpoint};
use crate::store::failpoint;

const MAGIC: &[u8; 16] = b"weituo anchor 1\n";
const SLOT_BYTES: usize = 4096;
const HEADER_BYTES: usize = 16 + 8 + 4;
const CHECKSUM_BYTES: usize = 32;
/// How long another process's lock is waited for: it is held for one write, so whoever holds it longer is stopped.
const LOCK_TIMEOUT: Duration = Duration::from_secs(2);
const LOCK_STEP: Duration = Duration::from_millis(1);

/// The anchor file of one log.
#[derive(Debug)]
pub(in crate::ledger) struct FileAnchor {
    path: PathBuf,
    verifiers: Vec<VerifierKey>,
    /// The checkpoint last found or written, whose signature need not be verified again.
    verified: Mutex<Option<SignedCheckpoint>>,
}

struct Slot {
    counter: u64,
    at: usize,
    checkpoint: SignedCheckpoint,
}

impl FileAnchor {
    pub(super) fn new(path: PathBuf, verifiers: Vec<VerifierKey>) -> Self {
        Self { path, verifiers, verified: Mutex::default() }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the anchored checkpoint; `None` where there is no file.
    pub(super) fn load(&self) -> Result<Option<SignedCheckpoint>, LedgerError> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.error("read", error)),
        };
        locked(|| file.try_lock_shared()).map_err(|error| self.error("read", error))?;
        Ok(Some(self.newest(&file)?.checkpoint))
    }

    /// Returns whether something is written in a slot that is not whole: by a write that broke off, or by an edit.
    pub(super) fn has_broken_slot(&self) -> Result<bool, LedgerError> {
        let read = |at: usize| -> io::Result<bool> {
            let file = File::open(&self.path)?;
            let mut bytes = [0; SLOT_BYTES];
            file.read_exact_at(&mut bytes, (at * SLOT_BYTES) as u64)?;
            Ok(bytes != [0; SLOT_BYTES] && decode(&bytes).is_none())
        };
        let broken = read(0).and_then(|first| Ok(first || read(1)?));
        broken.map_err(|error| self.error("read", error))
    }

    /// Creates the file with a first checkpoint; refuses to replace another.
    pub(super) fn create(&self, checkpoint: &SignedCheckpoint) -> Result<(), LedgerError> {
        // Both slots from the start: later writes go into place and need no more room.
        let create = || {
            let mut slots = encode(1, &checkpoint.text)?.to_vec();
            slots.resize(2 * SLOT_BYTES, 0);
            create_whole(&self.path, &slots, 0o644)
        };
        create().map_err(|error| self.error("written", error))
    }

    /// Puts a checkpoint in the place of a lost or damaged anchor; a damaged file is kept beside it. For the start only,
    /// on an explicit command or a witness's word.
    pub(super) fn replace_lost(&self, checkpoint: &SignedCheckpoint) -> Result<(), LedgerError> {
        if self.path.exists() {
            let kept = self.path.with_extension("anchor.damaged");
            std::fs::rename(&self.path, kept).map_err(|error| self.error("written", error))?;
        }
        self.create(checkpoint)
    }

    /// Moves the anchor from `known` (size, root) to `next`, given the consistency proof between them.
    pub(super) fn advance(
        &self,
        known: (u64, Hash),
        next: &SignedCheckpoint,
        proof: &[Hash],
    ) -> Result<Advanced, LedgerError> {
        let unwritable = |error| self.error("written", error);
        let file = OpenOptions::new().read(true).write(true).open(&self.path).map_err(unwritable)?;
        locked(|| file.try_lock()).map_err(unwritable)?;
        let slot = self.newest(&file)?;
        let current = &slot.checkpoint;
        if current.size == next.size && current.root != next.root {
            return Err(fork(current, next));
        }
        if current.size >= next.size {
            return Ok(Advanced::Ahead(slot.checkpoint));
        }
        if (current.size.get(), current.root) != known {
            return Ok(Advanced::Moved(slot.checkpoint));
        }
        if verify_consistency(current.size, next.size, proof, &current.root, &next.root).is_err() {
            return Err(fork(current, next));
        }
        failpoint::hit("anchor.before_write");
        let at = (1 - slot.at) * SLOT_BYTES;
        file.write_all_at(&encode(slot.counter + 1, &next.text).map_err(unwritable)?, at as u64)
            .and_then(|()| file.sync_data())
            .map_err(unwritable)?;
        failpoint::hit("anchor.after_write");
        *self.verified() = Some(next.clone());
        Ok(Advanced::Durable)
    }

    /// Returns the valid slot with the highest counter.
    fn newest(&self, file: &File) -> Result<Slot, LedgerError> {
        let slots = (0..2).map(|at| read_slot(file, at));
        let slots = slots.collect::<io::Result<Vec<_>>>().map_err(|error| self.error("read", error))?;
        let newest = slots.into_iter().flatten().max_by_key(|(counter, ..)| *counter);
        let (counter, at, text) = newest.ok_or_else(|| self.damaged("neither slot is whole".to_owned()))?;
        let verified = self.verified().clone().filter(|verified| verified.text == text);
        let checkpoint = match verified {
            Some(verified) => verified,
            None => self.verify(text)?,
        };
        Ok(Slot { counter, at, checkpoint })
    }

    fn verify(&self, text: String) -> Result<SignedCheckpoint, LedgerError> {
        let (checkpoint, _) = Checkpoint::open_by(&text, &self.verifiers)
            .map_err(|error| self.damaged(format!("its checkpoint is not this log's: {error}")))?;
        let checkpoint = SignedCheckpoint { size: checkpoint.size, root: checkpoint.root, text };
        *self.verified() = Some(checkpoint.clone());
        Ok(checkpoint)
    }

    fn verified(&self) -> MutexGuard<'_, Option<SignedCheckpoint>> {
        self.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn damaged(&self, what: String) -> LedgerError {
        LedgerError::ReadOnly(ReadOnly::AnchorDamaged { path: self.path.display().to_string(), what })
    }

    fn error(&self, doing: &'static str, source: io::Error) -> LedgerError {
        LedgerError::Anchor { path: self.path.display().to_string(), doing, source }
    }
}

/// Takes a lock within `LOCK_TIMEOUT`.
fn locked(take: impl Fn() -> Result<(), TryLockError>) -> io::Result<()> {
    let start = Instant::now();
    loop {
        match take() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if start.elapsed() < LOCK_TIMEOUT => std::thread::sleep(LOCK_STEP),
            Err(TryLockError::WouldBlock) => {
                let what = format!(
                    "another process has held its lock for {} s: see whether one is stopped (`fuser`)",
                    LOCK_TIMEOUT.as_secs()
                );
                return Err(io::Error::new(ErrorKind::TimedOut, what));
            }
        }
    }
}

fn read_slot(file: &File, at: usize) -> io::Result<Option<(u64, usize, String)>> {
    let mut bytes = [0; SLOT_BYTES];
    match file.read_exact_at(&mut bytes, (at * SLOT_BYTES) as u64) {
        Ok(()) => Ok(decode(&bytes).map(|(counter, text)| (counter, at, text))),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

fn encode(counter: u64, text: &str) -> io::Result<[u8; SLOT_BYTES]> {
    let end = HEADER_BYTES + text.len();
    let mut slot = [0; SLOT_BYTES];
    let length = u32::try_from(text.len()).ok().filter(|_| end + CHECKSUM_BYTES <= SLOT_BYTES);
    let length =
        length.ok_or_else(|| io::Error::other("the checkpoint does not fit a slot of 4,096 bytes"))?;
    slot[..16].copy_from_slice(MAGIC);
    slot[16..24].copy_from_slice(&counter.to_be_bytes());
    slot[24..28].copy_from_slice(&length.to_be_bytes());
    slot[HEADER_BYTES..end].copy_from_slice(text.as_bytes());
    let checksum = sha256(&[&slot[..end]]);
    slot[end..end + CHECKSUM_BYTES].copy_from_slice(checksum.as_bytes());
    Ok(slot)
}

fn decode(slot: &[u8; SLOT_BYTES]) -> Option<(u64, String)> {
    let (magic, rest) = slot.split_first_chunk::<16>()?;
    let (counter, rest) = rest.split_first_chunk::<8>()?;
    let (length, _) = rest.split_first_chunk::<4>()?;
    let end = usize::try_from(u32::from_be_bytes(*length)).ok()?.checked_add(HEADER_BYTES)?;
    let checksum = slot.get(end..end.checked_add(CHECKSUM_BYTES)?)?;
    if magic != MAGIC || sha256(&[&slot[..end]]).as_bytes() != checksum {
        return None;
    }
    Some((u64::from_be_bytes(*counter), String::from_utf8(slot[HEADER_BYTES..end].to_vec()).ok()?))
}

#[cfg(test)]
mod tests {
    use weituo_proof::{MemoryNodes, Origin, SigningKey, TreeSize};

    use super::*;

    struct Log {
        folder: tempfile::TempDir,
        key: SigningKey,
        nodes: MemoryNodes,
    }

    impl Log {
        fn new() -> Self {
            let key = SigningKey::from_seed("log.example", [3; 32]).unwrap();
            let mut nodes = MemoryNodes::new();
            nodes.extend((0..20_u64).map(|index| weituo_proof::leaf_hash(&index.to_be_bytes())));
            Self { folder: tempfile::tempdir().unwrap(), key, nodes }
        }

        fn anchor(&self) -> FileAnchor {
            FileAnchor::new(self.folder.path().join("ledger.anchor"), vec![self.key.verifier().clone()])
        }

        fn at(&self, size: u64) -> SignedCheckpoint {
            let Ok(root) = weituo_proof::tree::root(&self.nodes, TreeSize::new(size));
            self.signed(size, root)
        }

        fn signed(&self, size: u64, root: Hash) -> SignedCheckpoint {
            let (origin, size) = (Origin::new("log.example").unwrap(), TreeSize::new(size));
            let text = Checkpoint { origin, size, root }.sign(&self.key).unwrap().to_string();
            SignedCheckpoint { size, root, text }
        }

        fn proof(&self, from: u64, to: u64) -> Vec<Hash> {
            weituo_proof::tree::consistency_proof(&self.nodes, TreeSize::new(from), TreeSize::new(to))
                .unwrap()
        }

        fn advance(&self, from: u64, to: u64) -> Result<Advanced, LedgerError> {
            self.anchor().advance((from, self.at(from).root), &self.at(to), &self.proof(from, to))
        }
    }

    #[test]
    fn the_anchor_moves_forward_only_and_never_forks() {
        let log = Log::new();
        assert!(log.anchor().load().unwrap().is_none());
        log.anchor().create(&log.at(1)).unwrap();
        assert!(log.anchor().create(&log.at(2)).is_err());
        assert!(matches!(log.advance(1, 5).unwrap(), Advanced::Durable));
        assert!(matches!(log.advance(5, 9).unwrap(), Advanced::Durable));
        assert!(matches!(log.advance(5, 7).unwrap(), Advanced::Ahead(_)));
        assert!(matches!(log.advance(5, 12).unwrap(), Advanced::Moved(now) if now == log.at(9)));
        let other = log.signed(9, Hash([1; 32]));
        assert!(log.anchor().advance((9, log.at(9).root), &other, &[]).is_err());
        let fork = log.signed(12, Hash([1; 32]));
        assert!(log.anchor().advance((9, log.at(9).root), &fork, &log.proof(9, 12)).is_err());
        assert_eq!(log.anchor().load().unwrap(), Some(log.at(9)));
    }

    #[test]
    fn a_torn_write_leaves_the_other_slot() {
        let log = Log::new();
        log.anchor().create(&log.at(1)).unwrap();
        log.advance(1, 5).unwrap();
        let file = OpenOptions::new().write(true).open(log.anchor().path()).unwrap();
        file.write_all_at(b"torn", (SLOT_BYTES + HEADER_BYTES) as u64).unwrap();
        assert_eq!(log.anchor().load().unwrap(), Some(log.at(1)));
        assert!(matches!(log.advance(1, 7).unwrap(), Advanced::Durable));
        assert_eq!(log.anchor().load().unwrap(), Some(log.at(7)));
    }

    #[test]
    fn a_damaged_anchor_says_so() {
        let log = Log::new();
        std::fs::write(log.anchor().path(), [0; 100]).unwrap();
        assert!(matches!(log.anchor().load(), Err(LedgerError::ReadOnly(ReadOnly::AnchorDamaged { .. }))));
        let other = SigningKey::from_seed("log.example", [4; 32]).unwrap();
        let log = Log { key: other, ..Log::new() };
        log.anchor().create(&log.at(1)).unwrap();
        let stranger = SigningKey::from_seed("log.example", [5; 32]).unwrap().verifier().clone();
        assert!(FileAnchor::new(log.anchor().path, vec![stranger]).load().is_err());
    }
}
