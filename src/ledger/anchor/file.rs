//! The anchor as a file beside the key, for the processes of one machine.
//!
//! Two slots of 4,096 bytes, then for each of them a part of `redo::ROOM` bytes. The older slot is overwritten in place and
//! synced, so a crash in the middle leaves the newer. A slot says which signed checkpoint is anchored. Where one process is
//! alone it may say more: an intent, the head of a batch that follows that checkpoint, with its redo in the slot's own part, so that
//! the batch can be committed at the same time. Until the intent is settled or withdrawn the anchor vouches for it as for a
//! checkpoint, and a restart finds the batch either in the database or here.
//!
//! Invariants: several processes on one machine write the file under its lock, which is waited for `LOCK_TIMEOUT` and no longer;
//! an intent is written by who is alone only (`lease`), and nobody gives way before his is settled or withdrawn; where none
//! stands, no redo does.
//! Absent: the contract (`anchor`), the bytes of a slot (`slot`) and of a redo (`redo`).
//! Source: design.md "The append path" step 4; docs/decisions/0018.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use weituo_proof::tree::verify_consistency;
use weituo_proof::{Both, Checkpoint, Hash, Language, TreeSize, VerifierKey, both};

use super::lease::{self, Lease, Named};
use super::slot::{Intent, SLOT_BYTES, Slot};
use super::slots::{self, Found, Slots, read_redo};
use super::{Advanced, Standing, adds_a_signer, fork, not_of_this_log};
use crate::errors::Told;
use crate::files::{create_whole, unnamed_beside};
use crate::ledger::redo::{self, Intended};
use crate::ledger::seal::SealKey;
use crate::ledger::types::{LedgerError, ReadOnly, SignedCheckpoint};
use crate::store::{Batch, failpoint};

/// How long another process is waited for: one that writes holds the lock for one write, and one that is alone gives way
/// after two batches, so whoever takes longer is stopped.
const LOCK_TIMEOUT: Duration = Duration::from_secs(2);
const LOCK_STEP: Duration = Duration::from_millis(1);
const LOCK_HELD: Both = Both::new("另一进程一直持有它的锁", "another process has held its lock");
const NOT_GIVEN_WAY: Both =
    Both::new("另一进程正独自记录而没有让出", "another process records alone and has not given way");

/// The anchor file of one log.
#[derive(Debug)]
pub(in crate::ledger) struct FileAnchor {
    path: PathBuf,
    verifiers: Vec<VerifierKey>,
    seal: Option<SealKey>,
    /// The checkpoint last found or written, whose signature need not be verified again.
    verified: Mutex<Option<SignedCheckpoint>>,
    /// This process's part in the log, once it has joined those who write to it. Never locked while a write is waited for.
    lease: Mutex<Option<Lease>>,
    /// Held by the one task of this process that writes the file. Whether, since this process has looked, everything behind the slots is
    /// zeros where no intent stands.
    swept: Mutex<bool>,
}

impl FileAnchor {
    pub(super) fn new(path: PathBuf, verifiers: Vec<VerifierKey>, seal: Option<SealKey>) -> Self {
        let (verified, lease, swept) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { path, verifiers, seal, verified, lease, swept }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns what is anchored; `None` where there is no file. An intent is told only where whoever wrote it is gone: one who
    /// is there settles it himself.
    pub(super) fn load(&self) -> Result<Option<Standing>, LedgerError> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.error("read", error)),
        };
        locked(&LOCK_HELD, || file.try_lock_shared()).map_err(|error| self.error("read", error))?;
        let found = self.read(&file)?;
        let is_live = lease::is_somebodys_alone(&file);
        let (Some(intent), Some(seal), false) = (found.intent(), &self.seal, is_live) else {
            return Ok(Some(Standing { checkpoint: found.checkpoint, intended: None }));
        };
        let redo = read_redo(&file, found.newest, intent).map_err(|error| self.error("read", error))?;
        let intended = Intended { from: found.checkpoint.size.get(), after: intent.after(), redo };
        if !intended.is_sealed(seal) {
            return Err(self.damaged(redo::NOT_SEALED));
        }
        Ok(Some(Standing { intended: Some(intended), checkpoint: found.checkpoint }))
    }

    /// Returns whether something is written in a slot that is not whole: by a write that broke off, or by an edit.
    pub(super) fn is_broken_in_part(&self) -> Result<bool, LedgerError> {
        let broken = || -> io::Result<bool> {
            let file = File::open(&self.path)?;
            locked(&LOCK_HELD, || file.try_lock_shared())?;
            let slots = Slots::read(&file)?;
            let is_torn = slots.newest(&file)? != slots.last_written().map(|at| (at, true));
            Ok(is_torn || slots.has_broken(&file)?)
        };
        broken().map_err(|error| self.error("read", error))
    }

    /// Creates the file with a first checkpoint; refuses to replace another.
    pub(super) fn create(&self, checkpoint: &SignedCheckpoint) -> Result<(), LedgerError> {
        // Both slots from the start: a checkpoint goes into place and needs no more room. An intent may, and is left out without.
        let create = || {
            let slot = Slot { counter: 1, checkpoint: checkpoint.text.clone(), intent: None };
            let mut slots = slot.encode()?.to_vec();
            slots.resize(2 * SLOT_BYTES, 0);
            create_whole(&self.path, &slots, 0o640)
        };
        create().map_err(|error| self.error("written", error))
    }

    /// Refuses where no file can be made in its place.
    pub(super) fn require_place(&self) -> Result<(), LedgerError> {
        unnamed_beside(&self.path).map(drop).map_err(|error| self.error("written", error))
    }

    /// Puts a checkpoint in the place of a lost or damaged anchor; a damaged file is kept beside it. For the start only,
    /// on an explicit command or a witness's word.
    pub(super) fn replace_lost(&self, checkpoint: &SignedCheckpoint) -> Result<(), LedgerError> {
        if self.path.exists() {
            let names = std::iter::once("anchor.damaged".to_owned())
                .chain((2..).map(|at| format!("anchor.damaged.{at}")));
            let mut files = names.map(|name| self.path.with_extension(name));
            let kept = files.find(|file| !file.exists()).unwrap_or_else(|| self.path.clone());
            let renamed = std::fs::rename(&self.path, &kept);
            // Of what it kept for a restart, nothing is needed any more.
            let cut = renamed.and_then(|()| OpenOptions::new().write(true).open(kept)).and_then(|file| {
                let length = file.metadata()?.len();
                file.set_len(length.min(2 * SLOT_BYTES as u64))
            });
            cut.map_err(|error| self.error("written", error))?;
        }
        self.create(checkpoint)
    }

    /// Joins those who write to the log, where this process has not yet, or the file is another than the one it joined.
    pub(super) fn join(&self) -> Result<(), LedgerError> {
        self.rejoin(&mut self.writing())
    }

    fn rejoin(&self, swept: &mut bool) -> Result<(), LedgerError> {
        if self.has_joined() {
            return Ok(());
        }
        *swept = false;
        let joined = || -> io::Result<Lease> {
            let lease = Lease::open(&self.path)?;
            locked(&NOT_GIVEN_WAY, || lease.join())?;
            Ok(lease)
        };
        *self.lease() = None;
        let lease = match joined() {
            Ok(lease) => Some(lease),
            // There is none to join yet.
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(self.error("written", error)),
        };
        *self.lease() = lease;
        Ok(())
    }

    /// Whether `join` has nothing to do.
    pub(super) fn has_joined(&self) -> bool {
        self.lease().as_ref().is_some_and(|lease| lease.named(&self.path) != Named::Another)
    }

    /// Becomes or stays alone where nobody else is present. Returns whether an intent may be written: not before a commit of this
    /// process has shown that it knows the head (`has_committed`), because somebody who is gone may have committed last.
    pub(super) fn may_intend(&self) -> bool {
        let mut lease = self.lease();
        let present = lease.as_mut().filter(|lease| lease.named(&self.path) == Named::Same);
        present.is_some_and(Lease::may_intend)
    }

    /// Remembers that this process has just committed on the head that it knows.
    pub(super) fn has_committed(&self) {
        if let Some(lease) = self.lease().as_mut() {
            lease.has_committed();
        }
    }

    /// Whether this process is alone.
    pub(super) fn is_alone(&self) -> bool {
        self.lease().as_ref().is_some_and(Lease::is_alone)
    }

    /// Whether an intent of this process stands, or may.
    pub(super) fn intends(&self) -> bool {
        self.lease().as_ref().is_some_and(|lease| lease.intends)
    }

    /// Lets others be present, where they wait for it and no intent stands.
    pub(super) fn give_way(&self) {
        if let Some(lease) = self.lease().as_mut() {
            lease.give_way();
        }
    }

    /// Leaves those who write to the log.
    pub(super) fn leave(&self) {
        *self.lease() = None;
    }

    /// Writes what is being committed on a checkpoint, which is all that the anchor vouches for. Durable on return.
    pub(super) fn intend(&self, base: &SignedCheckpoint, batch: &Batch) -> Result<(), LedgerError> {
        let unwritable = |error| self.error("written", error);
        let mut swept = self.writing();
        let file = self.lease().as_mut().filter(|lease| lease.is_alone()).map(Lease::intend);
        let file = file.ok_or_else(|| unwritable(io::Error::other("another process is present")))?;
        // Of the very file that this process is alone with, whatever has its name by now.
        locked(&LOCK_HELD, || file.try_lock()).map_err(unwritable)?;
        let intended = self.read(&file).and_then(|found| {
            if found.vouched() != base.tree_head() {
                return Err(unwritable(io::Error::other("the batch does not follow what it vouches for")));
            }
            failpoint::hit("anchor.before_intent");
            let redo = redo::encode(batch);
            let intent = Intent::new(&batch.after, &redo);
            found.write(&file, base, Some((intent, redo))).map_err(unwritable)
        });
        drop(file.unlock());
        *swept &= intended.is_ok();
        intended?;
        *self.verified() = Some(base.clone());
        // From here a crash recovers forward: the next start commits the batch from what stands here.
        failpoint::hit("anchor.after_intent");
        Ok(())
    }

    /// Takes back the intent of the head `after`, whose batch was not committed, of this process or of one that is gone. Where it
    /// was not written, or not whole, the one before it stands, whose batch was.
    pub(super) fn withdraw(&self, after: (u64, Hash)) -> Result<(), LedgerError> {
        let mut swept = self.writing();
        let file = self.open(&mut swept)?;
        let found = self.read(&file)?;
        if found.intent().is_some_and(|intent| intent.tree_head() != after) {
            return Ok(());
        }
        if found.intent().is_some() || !found.is_clean() {
            self.write(&mut swept, &file, &found, &found.checkpoint)?;
        }
        self.settled(&mut swept, &file)
    }

    /// Moves the anchor from `known` (size, root) to `next`, given the consistency proof between them.
    pub(super) fn advance(
        &self,
        known: (u64, Hash),
        next: &SignedCheckpoint,
        proof: &[Hash],
    ) -> Result<Advanced, LedgerError> {
        let mut swept = self.writing();
        let file = self.open(&mut swept)?;
        let found = self.read(&file)?;
        let (current, to) = (found.vouched(), next.tree_head());
        if current.0 == to.0 && current.1 != to.1 {
            return Err(fork(current, next));
        }
        let stands = found.intent().is_some();
        let is_there = || found.is_clean() && !adds_a_signer(&found.checkpoint.text, &next.text);
        if current.0 > to.0 || current == to && !stands && is_there() {
            if !stands {
                self.settled(&mut swept, &file)?;
            }
            return Ok(Advanced::Ahead(current));
        }
        if current != to && current != known {
            return Ok(Advanced::Moved(current));
        }
        let extends =
            || verify_consistency(TreeSize::new(current.0), next.size, proof, &current.1, &next.root);
        if current != to && extends().is_err() {
            return Err(fork(current, next));
        }
        failpoint::hit("anchor.before_write");
        self.write(&mut swept, &file, &found, next)?;
        failpoint::hit("anchor.after_write");
        self.settled(&mut swept, &file)?;
        *self.verified() = Some(next.clone());
        Ok(Advanced::Durable)
    }

    /// Writes a checkpoint without an intent.
    fn write(
        &self,
        swept: &mut bool,
        file: &File,
        found: &Found,
        checkpoint: &SignedCheckpoint,
    ) -> Result<(), LedgerError> {
        let written = found.write(file, checkpoint, None);
        *swept &= written.is_ok();
        written.map_err(|error| self.error("written", error))
    }

    /// Opens the file under its lock, once this process has joined it where it had joined another of this name.
    fn open(&self, swept: &mut bool) -> Result<File, LedgerError> {
        if self.lease().is_some() {
            self.rejoin(swept)?;
        }
        let open = || -> io::Result<File> {
            let file = OpenOptions::new().read(true).write(true).open(&self.path)?;
            locked(&LOCK_HELD, || file.try_lock())?;
            Ok(file)
        };
        open().map_err(|error| self.error("written", error))
    }

    /// Remembers that no intent stands, and sees to it that nothing else does behind the slots.
    fn settled(&self, swept: &mut bool, file: &File) -> Result<(), LedgerError> {
        if !*swept {
            slots::sweep(file).map_err(|error| self.error("written", error))?;
            *swept = true;
        }
        if let Some(lease) = self.lease().as_mut() {
            lease.intends = false;
        }
        Ok(())
    }

    /// Reads what a file says.
    fn read(&self, file: &File) -> Result<Found, LedgerError> {
        let read = || -> io::Result<_> {
            let slots = Slots::read(file)?;
            let newest = slots.newest(file)?;
            Ok((slots, newest))
        };
        let (slots, newest) = read().map_err(|error| self.error("read", error))?;
        let neither = || self.damaged(Both::new("两槽都不完整", "neither slot is whole"));
        let (newest, counts) = newest.ok_or_else(neither)?;
        let (text, _) = slots.at(newest);
        let verified = self.verified().clone().filter(|verified| verified.text == text);
        let checkpoint = match verified {
            Some(verified) => verified,
            None => self.verify(text.to_owned())?,
        };
        Ok(Found { slots, newest, counts, checkpoint })
    }

    fn verify(&self, text: String) -> Result<SignedCheckpoint, LedgerError> {
        let (checkpoint, _) = Checkpoint::open_by(&text, &self.verifiers)
            .map_err(|error| self.damaged(not_of_this_log(&error)))?;
        let checkpoint = SignedCheckpoint { size: checkpoint.size, root: checkpoint.root, text };
        *self.verified() = Some(checkpoint.clone());
        Ok(checkpoint)
    }

    fn verified(&self) -> MutexGuard<'_, Option<SignedCheckpoint>> {
        self.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn writing(&self) -> MutexGuard<'_, bool> {
        self.swept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lease(&self) -> MutexGuard<'_, Option<Lease>> {
        self.lease.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn damaged(&self, what: Both) -> LedgerError {
        LedgerError::ReadOnly(ReadOnly::AnchorDamaged { path: self.path.display().to_string(), what })
    }

    fn error(&self, doing: &'static str, source: io::Error) -> LedgerError {
        LedgerError::Anchor { path: self.path.display().to_string(), doing, source }
    }
}

/// Takes a lock within `LOCK_TIMEOUT`.
fn locked(held: &Both, take: impl Fn() -> Result<(), TryLockError>) -> io::Result<()> {
    let start = Instant::now();
    loop {
        match take() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if start.elapsed() < LOCK_TIMEOUT => std::thread::sleep(LOCK_STEP),
            Err(TryLockError::WouldBlock) => {
                let seconds = LOCK_TIMEOUT.as_secs();
                let (zh, en) = (held.get(Language::Zh), held.en());
                let what = both!(
                    "{zh},已 {seconds} 秒:请看是否有进程停住了(`fuser 文件`),让它继续或结束它",
                    "{en} for {seconds} s: see whether one is stopped (`fuser FILE`), continue or end it"
                );
                return Err(io::Error::new(ErrorKind::TimedOut, Told(what)));
            }
        }
    }
}

#[cfg(test)]
mod tests;
