//! The log read once more, to grow the tree with what other entries say of altered and missing ones.
//!
//! Absent: judging anything anew.

use weituo_proof::Entry;
use weituo_verifier::{Collected, index_claim};

use super::{Scan, index_of};
use crate::store::{EntryRow, Scanned, Store};
use crate::verify::replay::{Leaf, Overrides, Replay};
use crate::verify::source::{PAGE, THE_LOG, read};

impl Scan {
    /// Grows the tree and the index once more, with other hashes for the leaves in doubt.
    pub(in crate::verify) async fn replay_with(
        &self,
        store: &dyn Store,
        overrides: &Overrides,
        mut replay: Replay,
        findings: &mut Collected,
    ) -> Option<Replay> {
        let mut from = 0;
        while replay.size() < self.size {
            let page = read(&THE_LOG, findings, || store.scan(from, PAGE)).await?;
            let Some(last) = page.iter().filter_map(index_of).max() else { break };
            from = last.checked_add(1)?;
            for scanned in page {
                let Some(at) = index_of(&scanned).and_then(|at| u64::try_from(at).ok()) else { continue };
                if at >= self.size || at < replay.size() {
                    continue;
                }
                self.fill(&mut replay, at, overrides);
                match scanned {
                    Scanned::Row(row) => self.again(&mut replay, &row, overrides),
                    Scanned::Garbled(_) => self.fill(&mut replay, at + 1, overrides),
                }
            }
        }
        self.fill(&mut replay, self.size, overrides);
        Some(replay)
    }

    fn again(&self, replay: &mut Replay, row: &EntryRow, overrides: &Overrides) {
        let at = row.leaf_index;
        let hash = overrides.get(&at).copied().unwrap_or(row.leaf_hash);
        let in_doubt = self.chains.altered.contains_key(&at);
        let Ok(entry) = Entry::parse(row.body.as_bytes()) else {
            return replay.add_missing(Some(hash), Some((&row.stream, row.sequence)));
        };
        let (stream, sequence) = if in_doubt {
            (row.stream.as_str(), row.sequence)
        } else {
            (entry.stream.as_str(), entry.sequence)
        };
        let index = if in_doubt { None } else { index_claim(&entry) };
        replay.add(&Leaf { at, hash, stream, sequence, parties: &entry.parties, index });
    }

    fn fill(&self, replay: &mut Replay, end: u64, overrides: &Overrides) {
        while replay.size() < end {
            let at = replay.size();
            let Some(hole) = self.chains.holes.get(&at) else { return replay.skip(end - at) };
            let place = hole.place.as_ref().map(|(stream, sequence)| (stream.as_str(), *sequence));
            replay.add_missing(overrides.get(&at).copied().or(hole.hash), place);
        }
    }
}
