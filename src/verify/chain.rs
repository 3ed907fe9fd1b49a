//! The chain of every stream, and what a broken one tells about the entry before.
//!
//! Invariants: after a break the chain goes on from the values as stored, so that every later entry is judged on its
//! own; what an entry names as its predecessor is believed only of entries that are themselves not in doubt.
//! Absent: the tree, which has the last word on a rewritten entry (`heads`).
//! Source: format.md "Entry", members `prev` and `sequence`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use weituo_proof::{Both, Entry, Finding, FindingKind, Hash, LeafIndex, both};
use weituo_verifier::place;

use super::names::Head;
use super::replay::Overrides;

/// The stream of entry 0.
const GENESIS_STREAM: &str = "log/main";

/// What stands where an entry is missing.
pub(super) const NO_ROW: Both = Both::new("没有这一行", "no row");

/// A place of the log without a readable entry.
#[derive(Debug, Clone)]
pub(super) struct Hole {
    pub(super) finding: Finding,
    /// Stream and sequence, once the stream's next entry has told them.
    pub(super) place: Option<(String, u64)>,
    /// Leaf hash, once that entry has named it.
    pub(super) hash: Option<Hash>,
}

/// An entry that does not name its predecessor as stored.
#[derive(Debug, Clone)]
pub(super) struct Break {
    /// What it is if nothing explains it.
    pub(super) finding: Finding,
    /// The entry that breaks the chain.
    witness: u64,
    /// The entry before it.
    before: u64,
    /// Sequence of the entry before it; `None` where that is entry 0, of another stream.
    before_sequence: Option<u64>,
    /// What the witness names.
    named: Hash,
    /// What is stored.
    stored: Hash,
}

/// An entry whose bytes and stored hash disagree.
#[derive(Debug, Clone)]
pub(super) struct Altered {
    pub(super) finding: Finding,
    stored: Hash,
    computed: Hash,
    /// Which of the two the stream's next entry names.
    named: Option<Hash>,
}

/// Most doubts of one kind that are kept for explanation; beyond, findings are listed or counted as they are.
pub(super) const KEPT_DOUBTS: usize = 10_000;

/// Every doubt about the entries so far; the streams' heads are the index's (`replay`). Saved only where there is no doubt.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Chains {
    genesis: Option<Hash>,
    #[serde(skip)]
    pub(super) holes: BTreeMap<u64, Hole>,
    #[serde(skip)]
    pub(super) breaks: Vec<Break>,
    #[serde(skip)]
    pub(super) altered: BTreeMap<u64, Altered>,
}

impl Chains {
    /// Returns whether an entry is altered, unreadable or missing anywhere.
    pub(super) fn in_doubt(&self) -> bool {
        !(self.holes.is_empty() && self.breaks.is_empty() && self.altered.is_empty())
    }

    /// Takes an entry as it is stored, without judging it.
    pub(super) fn take(&mut self, leaf_index: u64, leaf_hash: Hash) {
        if leaf_index == 0 {
            self.genesis = Some(leaf_hash);
        }
    }

    /// Remembers an entry whose bytes do not have the stored hash, and goes on from what is stored.
    pub(super) fn altered(&mut self, finding: Finding, leaf_index: u64, stored: Hash, computed: Hash) {
        self.take(leaf_index, stored);
        self.altered.insert(leaf_index, Altered { finding, stored, computed, named: None });
    }

    /// Judges an entry against its stream's head, the last entry before it. Returns what nothing can explain.
    pub(super) fn follow(
        &mut self,
        leaf_index: u64,
        entry: &Entry,
        leaf_hash: Hash,
        last: Option<Head>,
    ) -> Option<Finding> {
        let last = last.or_else(|| self.genesis_told(entry));
        let genesis = if leaf_index == 0 { Hash::ZERO } else { self.genesis.unwrap_or(Hash::ZERO) };
        let (before, expected) = last.map_or((0, genesis), |last| (last.leaf_index, last.hash));
        let expected_sequence = last.map_or(1, |last| last.number.saturating_add(1));
        self.take(leaf_index, leaf_hash);
        if entry.sequence == expected_sequence {
            if let Some(altered) = self.altered.get_mut(&before).filter(|_| leaf_index > 0) {
                if entry.prev == altered.stored || entry.prev == altered.computed {
                    altered.named = Some(entry.prev);
                    return None;
                }
            } else if entry.prev == expected {
                return None;
            }
            return self.broken(leaf_index, entry, before, expected, last.map(|last| last.number));
        }
        if self.fills_holes(leaf_index, entry, before, expected_sequence) {
            return None;
        }
        let (sequence, last, prev) = (entry.sequence, expected_sequence - 1, entry.prev);
        let detail = both!(
            "流内第 {sequence} 条接在序号 {before} 的第 {last} 条之后;它所指的前一条是 {prev}",
            "sequence {sequence} follows sequence {last} at leaf {before}; it names {prev} as its predecessor"
        );
        let finding = Finding::new(FindingKind::SequenceGap, detail);
        Some(place(finding, leaf_index, entry).differing(&expected, &entry.prev))
    }

    /// Returns entry 0 as the head of its stream where its row is missing and other entries have told its hash.
    fn genesis_told(&self, entry: &Entry) -> Option<Head> {
        let hole = self.holes.get(&0).filter(|_| entry.stream.as_str() == GENESIS_STREAM)?;
        let is_told = hole.place.as_ref().is_some_and(|(stream, _)| stream == GENESIS_STREAM);
        Some(Head { number: 1, hash: hole.hash.filter(|_| is_told)?, leaf_index: 0 })
    }

    fn broken(
        &mut self,
        leaf_index: u64,
        entry: &Entry,
        before: u64,
        expected: Hash,
        before_sequence: Option<u64>,
    ) -> Option<Finding> {
        if before == 0 && before_sequence.is_none() && leaf_index > 0 {
            // Later streams name entry 0 too: one break speaks for all of them.
            self.genesis = Some(entry.prev);
            if let Some(hole) = self.holes.get_mut(&0) {
                hole.place = Some((GENESIS_STREAM.to_owned(), 1));
                hole.hash = Some(entry.prev);
                hole.finding =
                    hole.finding.clone().in_stream(GENESIS_STREAM, Some(1)).differing(&entry.prev, NO_ROW);
                return None;
            }
        }
        let prev = entry.prev;
        let detail = both!(
            "它所指的前一条是 {prev},而序号 {before} 处的是 {expected}",
            "it names {prev} as its predecessor, which stands at leaf {before} with {expected}"
        );
        let finding = place(Finding::new(FindingKind::ChainBroken, detail), leaf_index, entry)
            .differing(&expected, &entry.prev);
        if leaf_index == 0 || self.breaks.len() == KEPT_DOUBTS {
            return Some(finding);
        }
        let (named, stored) = (entry.prev, expected);
        self.breaks.push(Break { finding, witness: leaf_index, before, before_sequence, named, stored });
        None
    }

    /// Gives the missing sequences of a stream to the holes since its last entry, where the numbers fit.
    fn fills_holes(&mut self, leaf_index: u64, entry: &Entry, before: u64, expected_sequence: u64) -> bool {
        let Some(missing) = entry.sequence.checked_sub(expected_sequence).filter(|missing| *missing > 0)
        else {
            return false;
        };
        let free: Vec<u64> = self
            .holes
            .range(before..leaf_index)
            .filter(|(_, hole)| hole.place.is_none())
            .map(|(at, _)| *at)
            .collect();
        if free.len() as u64 != missing {
            return false;
        }
        for (at, sequence) in free.iter().zip(expected_sequence..) {
            let Some(hole) = self.holes.get_mut(at) else { continue };
            let last = sequence + 1 == entry.sequence;
            hole.place = Some((entry.stream.to_string(), sequence));
            hole.hash = last.then_some(entry.prev);
            let finding = hole.finding.clone().in_stream(&entry.stream, Some(sequence));
            let found = finding.found.clone().unwrap_or(NO_ROW);
            hole.finding = if last { finding.differing(&entry.prev, found) } else { finding };
        }
        true
    }

    /// Returns the leaf hashes that the other entries name for those in doubt; `computed` tells which hash to count
    /// for altered entries that nothing names.
    pub(super) fn overrides(&self, computed: bool) -> Overrides {
        let mut overrides: Overrides = self
            .altered
            .iter()
            .filter_map(|(at, altered)| {
                let hash = altered.named.or(computed.then_some(altered.computed))?;
                (hash != altered.stored).then_some((*at, hash))
            })
            .collect();
        overrides.extend(self.holes.iter().filter_map(|(at, hole)| Some((*at, hole.hash?))));
        // From the newest witness back, so that one that was itself rewritten is not believed.
        for broken in self.breaks.iter().rev() {
            if !overrides.contains_key(&broken.witness) {
                overrides.entry(broken.before).or_insert(broken.named);
            }
        }
        overrides
    }

    /// Turns breaks into the alterations that `proven` overrides show them to be, and settles which hash of an altered
    /// entry is the recorded one.
    pub(super) fn settle(&mut self, proven: &Overrides) {
        let mut explained = Vec::new();
        for broken in self.breaks.drain(..) {
            if proven.contains_key(&broken.witness) || proven.get(&broken.before) != Some(&broken.named) {
                continue;
            }
            let witness = broken.witness;
            let detail = both!(
                "它与所存的哈希一同被改写:序号 {witness} 的记录所指的是原来的哈希,按它复算才是承诺过的根哈希",
                "it was rewritten together with its stored hash: the entry at leaf {witness} names the recorded one, and \
                 with that one the tree has the root committed to"
            );
            let mut finding =
                Finding::new(FindingKind::LeafHashDiffers, detail).at(LeafIndex::new(broken.before));
            finding.stream.clone_from(&broken.finding.stream);
            finding.sequence = broken.before_sequence;
            if broken.before_sequence.is_none() {
                (finding.stream, finding.sequence) = (Some(GENESIS_STREAM.to_owned()), Some(1));
            }
            let finding = finding.differing(&broken.named, &broken.stored);
            explained.push(Break { finding, ..broken });
        }
        explained.dedup_by_key(|broken| broken.before);
        self.breaks = explained;
        for (at, altered) in &mut self.altered {
            if proven.get(at) == Some(&altered.computed) {
                altered.finding = altered.finding.clone().differing(&altered.computed, &altered.stored);
                altered.finding.detail = Both::new(
                    "所存的哈希被改动:记录的内容与台账承诺过的哈希相符",
                    "the stored leaf hash was edited: the entry's bytes have the hash that the log was committed with",
                );
            }
        }
    }

    /// Forgets the holes from `size` on: the log never was larger, whatever its head row says.
    pub(super) fn forget_holes_from(&mut self, size: u64) {
        self.holes.split_off(&size);
    }

    /// Names the committed root and that of the entries left in the holes at the log's end.
    pub(super) fn set_last_roots(&mut self, from: u64, committed: Hash, left: Hash) {
        for hole in self.holes.range_mut(from..).map(|(_, hole)| hole) {
            hole.finding.detail = both!(
                "没有这个序号的行;它之前 {from} 条记录的根哈希是 {left}",
                "there is no row with this leaf index; the {from} entries before it have root {left}"
            );
            hole.finding = hole.finding.clone().differing(&committed, &left);
        }
    }

    /// Returns every doubt as the finding that it is.
    pub(super) fn findings(&self) -> impl Iterator<Item = &Finding> {
        let holes = self.holes.values().map(|hole| &hole.finding);
        holes
            .chain(self.breaks.iter().map(|broken| &broken.finding))
            .chain(self.altered.values().map(|a| &a.finding))
    }
}
