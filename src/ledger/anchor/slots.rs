//! The bytes of an anchor file: two slots, then for each of them a part of `redo::ROOM` bytes, for the redo of its intent.
//!
//! Invariants: the older slot is written, never the newer; what an older redo leaves of itself is overwritten with zeros, and
//! where the newest slot has no intent neither part has a redo.
//! Absent: signatures and locks (`file`), the bytes of one slot (`slot`).

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt as _;

use weituo_proof::{Hash, sha256};

use super::slot::{Intent, SLOT_BYTES, Slot};
use crate::ledger::redo;
use crate::ledger::types::SignedCheckpoint;
use crate::store::failpoint;

/// The slots of a file, as far as they are whole.
#[derive(Debug)]
pub(super) struct Slots([Option<Slot>; 2]);

impl Slots {
    pub(super) fn read(file: &File) -> io::Result<Self> {
        Ok(Self([read_slot(file, 0)?, read_slot(file, 1)?]))
    }

    /// Returns the place of the newest slot, and whether the redo of its intent is there if it has one; `None` where neither slot
    /// is whole. An older slot with its redo goes before a newer one without: writing that one broke off.
    pub(super) fn newest(&self, file: &File) -> io::Result<Option<(usize, bool)>> {
        let Some(last) = self.last_written() else { return Ok(None) };
        let older = 1 - last;
        if self.has_whole_redo(last, file)? {
            return Ok(Some((last, true)));
        }
        let is_older_whole = self.0[older].is_some() && self.has_whole_redo(older, file)?;
        Ok(Some(if is_older_whole { (older, true) } else { (last, false) }))
    }

    /// Returns the place of the slot with the highest counter; `None` where neither is whole.
    pub(super) fn last_written(&self) -> Option<usize> {
        (0..2)
            .filter(|at| self.0[*at].is_some())
            .max_by_key(|at| self.0[*at].as_ref().map(|slot| slot.counter))
    }

    /// Returns what the slot at a place says, which is a whole one.
    pub(super) fn at(&self, at: usize) -> (&str, Option<&Intent>) {
        let slot = self.0[at].as_ref();
        (slot.map_or("", |slot| &slot.checkpoint), slot.and_then(|slot| slot.intent.as_ref()))
    }

    /// Whether something is written in a slot that is not whole.
    pub(super) fn has_broken(&self, file: &File) -> io::Result<bool> {
        for (at, slot) in self.0.iter().enumerate() {
            let mut bytes = [0; SLOT_BYTES];
            match file.read_exact_at(&mut bytes, (at * SLOT_BYTES) as u64) {
                // The file was cut off.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(true),
                read => read?,
            }
            if slot.is_none() && bytes != [0; SLOT_BYTES] {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Writes the slot that is not `newest`: a checkpoint and, where there is one, an intent with its redo. Durable on return.
    fn write(
        &self,
        newest: usize,
        file: &File,
        checkpoint: &str,
        intent: Option<(Intent, Vec<u8>)>,
    ) -> io::Result<()> {
        let at = 1 - newest;
        let left = if intent.is_some() { 0 } else { self.kept(newest, file)? };
        let (intent, mut redo) = intent.map_or((None, Vec::new()), |(intent, redo)| (Some(intent), redo));
        let counter = self.0[newest].as_ref().map_or(0, |slot| slot.counter) + 1;
        let slot = Slot { counter, checkpoint: checkpoint.to_owned(), intent }.encode()?;
        redo.resize(redo.len().max(self.kept(at, file)?), 0);
        // The slot first: it says how much there may be to overwrite, should the process end in between.
        file.write_all_at(&slot, (at * SLOT_BYTES) as u64)?;
        failpoint::hit("anchor.slot_written");
        file.write_all_at(&redo, part(at))?;
        file.sync_data()?;
        if left > 0 {
            // Only now: until the new slot is durable, the other one's redo may be needed.
            file.write_all_at(&vec![0; left], part(newest))?;
            file.sync_data()?;
        }
        Ok(())
    }

    /// Returns how far a slot's part is other than zeros, of what a slot has said that it holds.
    fn kept(&self, at: usize, file: &File) -> io::Result<usize> {
        let there = file.metadata()?.len().saturating_sub(part(at));
        let said =
            self.0[at].as_ref().map_or(there, |slot| slot.intent.as_ref().map_or(0, |it| it.redo_bytes));
        let mut bytes = vec![0; usize::try_from(said.min(there)).unwrap_or(redo::ROOM).min(redo::ROOM)];
        file.read_exact_at(&mut bytes, part(at))?;
        Ok(bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1))
    }

    fn has_whole_redo(&self, at: usize, file: &File) -> io::Result<bool> {
        let Some(intent) = self.at(at).1 else { return Ok(true) };
        match read_redo(file, at, intent) {
            Ok(redo) => Ok(sha256(&[&redo]) == intent.redo_hash),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// What an open file says, its newest checkpoint verified (by `file`).
pub(super) struct Found {
    pub(super) slots: Slots,
    /// Which slot is the newest, and whether its intent counts.
    pub(super) newest: usize,
    pub(super) counts: bool,
    pub(super) checkpoint: SignedCheckpoint,
}

impl Found {
    pub(super) fn intent(&self) -> Option<&Intent> {
        self.slots.at(self.newest).1.filter(|_| self.counts)
    }

    /// Whether the last write did not break off.
    pub(super) fn is_clean(&self) -> bool {
        self.counts && self.slots.last_written() == Some(self.newest)
    }

    /// Returns size and root that the anchor vouches for.
    pub(super) fn vouched(&self) -> (u64, Hash) {
        self.intent().map_or(self.checkpoint.tree_head(), Intent::tree_head)
    }

    pub(super) fn write(
        &self,
        file: &File,
        checkpoint: &SignedCheckpoint,
        intent: Option<(Intent, Vec<u8>)>,
    ) -> io::Result<()> {
        self.slots.write(self.newest, file, &checkpoint.text, intent)
    }
}

/// Overwrites whatever stands behind the slots, which none of them says: a power failure may have kept a redo and not its slot.
pub(super) fn sweep(file: &File) -> io::Result<()> {
    let length = file.metadata()?.len().saturating_sub(part(0));
    let mut left = vec![0; usize::try_from(length).unwrap_or(usize::MAX).min(2 * redo::ROOM)];
    file.read_exact_at(&mut left, part(0))?;
    if left.iter().any(|byte| *byte != 0) {
        left.fill(0);
        file.write_all_at(&left, part(0))?;
        file.sync_data()?;
    }
    Ok(())
}

/// Returns the redo of a slot's intent.
pub(super) fn read_redo(file: &File, at: usize, intent: &Intent) -> io::Result<Vec<u8>> {
    let length = usize::try_from(intent.redo_bytes).unwrap_or(usize::MAX).min(redo::ROOM);
    let mut redo = vec![0; length];
    file.read_exact_at(&mut redo, part(at))?;
    Ok(redo)
}

/// Returns where a slot's own part of the file begins.
fn part(at: usize) -> u64 {
    (2 * SLOT_BYTES + at * redo::ROOM) as u64
}

fn read_slot(file: &File, at: usize) -> io::Result<Option<Slot>> {
    let mut bytes = [0; SLOT_BYTES];
    match file.read_exact_at(&mut bytes, (at * SLOT_BYTES) as u64) {
        Ok(()) => Ok(Slot::decode(&bytes)),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}
