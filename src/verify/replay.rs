//! The tree and the completeness index, grown leaf by leaf: roots at the sizes of interest, and every index root.
//!
//! Invariants: a root is reported only where every leaf below it is known; the index is compared before the entry that
//! commits it is counted in.
//! Absent: judging (`heads`), reading rows (`scan`).
//! Source: RFC 6962 section 2.1; format.md "Completeness index".

use std::collections::BTreeMap;
use std::io;

use serde::{Deserialize, Serialize};
use weituo_proof::map::{PartyChain, party_name};
use weituo_proof::{Both, Frontier, Hash, StreamName, TreeSize, both};
use weituo_verifier::IndexClaim;

use super::heads::of_size;
use super::names::{self, Head, Names};

/// An index root that was committed and is not what the entries give.
#[derive(Debug, Clone)]
pub(super) struct IndexDiffers {
    pub(super) leaf_index: u64,
    pub(super) sequence: u64,
    pub(super) expected: Both,
    pub(super) found: Both,
    /// Further committed roots that differ after this one, without one in between that is right.
    pub(super) following: u64,
}

/// One leaf, as far as it is known.
#[derive(Debug)]
pub(super) struct Leaf<'a> {
    pub(super) at: u64,
    pub(super) hash: Hash,
    pub(super) stream: &'a str,
    pub(super) sequence: u64,
    pub(super) parties: &'a [StreamName],
    pub(super) index: Option<IndexClaim>,
}

/// Leaf hashes to count in place of those stored.
pub(super) type Overrides = BTreeMap<u64, Hash>;

/// Tree and index over the leaves so far.
pub(super) struct Replay {
    frontier: Frontier,
    size: u64,
    /// Sizes at which the root is wanted, with the root once the tree has that size.
    wanted: BTreeMap<u64, Option<Hash>>,
    /// First leaf whose hash is not known.
    unknown_from: Option<u64>,
    /// First leaf whose place in a stream or whose parties are not known.
    unplaced_from: Option<u64>,
    names: Names,
    /// Names that are parties, not streams.
    parties: u64,
    pub(super) index_roots: u64,
    /// First leaf that no committed index covers.
    pub(super) indexed_to: u64,
    differs: Vec<IndexDiffers>,
    in_run: bool,
    /// Size and root of the tree after each index entry, where they are wanted.
    after_index: Option<Vec<(TreeSize, Hash)>>,
}

/// What a replay without doubts is made of, in the order of the fields of [`Replay`]; the names themselves follow it.
#[derive(Serialize, Deserialize)]
pub(super) struct SavedReplay {
    size: u64,
    edge: Vec<Hash>,
    wanted: BTreeMap<u64, Option<Hash>>,
    names: u64,
    parties: u64,
    index_roots: u64,
    indexed_to: u64,
}

/// Most index findings kept apart; later ones count as following.
const KEPT_RUNS: usize = 100;

impl Replay {
    /// Returns the empty tree, which is to note its root at these sizes.
    pub(super) fn new(sizes: impl IntoIterator<Item = u64>) -> Self {
        Self::on(names::in_memory(), sizes)
    }

    /// The same, with an empty index.
    pub(super) fn on(names: Names, sizes: impl IntoIterator<Item = u64>) -> Self {
        let mut replay = Self {
            frontier: Frontier::new(),
            size: 0,
            wanted: sizes.into_iter().map(|size| (size, None)).collect(),
            unknown_from: None,
            unplaced_from: None,
            names,
            parties: 0,
            index_roots: 0,
            indexed_to: 0,
            differs: Vec::new(),
            in_run: false,
            after_index: None,
        };
        replay.note_root();
        replay
    }

    /// Returns whether every leaf so far is known and every index root right.
    pub(super) fn is_clean(&self) -> bool {
        self.unknown_from.is_none() && self.unplaced_from.is_none() && self.differs.is_empty()
    }

    /// Returns what a clean replay is made of, but for its names.
    pub(super) fn saved(&self) -> SavedReplay {
        SavedReplay {
            size: self.size,
            edge: self.frontier.nodes().to_vec(),
            wanted: self.wanted.clone(),
            names: self.names.len() as u64,
            parties: self.parties,
            index_roots: self.index_roots,
            indexed_to: self.indexed_to,
        }
    }

    /// Returns the names, which are saved behind that.
    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    /// Goes on, empty as it is, from a replay saved before; `None` where it did not note a root that is wanted now, or its
    /// names cannot be read.
    pub(super) fn go_on(mut self, saved: SavedReplay, names: &mut impl io::Read) -> Option<Self> {
        let frontier = Frontier::from_nodes(TreeSize::new(saved.size), saved.edge).ok()?;
        names::read(&mut self.names, saved.names, names).ok()?;
        let names = self.names.len() as u64;
        if names != saved.names || saved.parties > names {
            return None;
        }
        let mut wanted = self.wanted;
        for (size, root) in wanted.iter_mut().filter(|(size, _)| **size <= saved.size) {
            *root = Some(saved.wanted.get(size).copied().flatten()?);
        }
        Some(Self {
            frontier,
            size: saved.size,
            wanted,
            names: self.names,
            parties: saved.parties,
            index_roots: saved.index_roots,
            indexed_to: saved.indexed_to,
            unknown_from: None,
            unplaced_from: None,
            differs: Vec::new(),
            in_run: false,
            after_index: None,
        })
    }

    /// Counts a leaf of which everything is known.
    pub(super) fn add(&mut self, leaf: &Leaf<'_>) {
        if let Some(claim) = leaf.index {
            self.compare_index(leaf, claim);
        }
        self.place(leaf.stream, leaf.sequence, leaf.hash);
        for party in leaf.parties {
            self.join(party, leaf.hash);
        }
        self.append(leaf.hash);
        if let (Some(roots), Some(_)) = (&mut self.after_index, leaf.index) {
            roots.push((self.frontier.size(), self.frontier.root()));
        }
    }

    /// Notes, from now on, the tree after each index entry.
    pub(super) fn note_index_roots(&mut self) {
        self.after_index = Some(Vec::new());
    }

    /// Returns size and root of the tree after each index entry that was noted.
    pub(super) fn index_roots_noted(&self) -> impl Iterator<Item = (TreeSize, Hash)> {
        self.after_index.iter().flatten().copied()
    }

    /// Counts a leaf whose row is gone or cannot be read, with its hash and its place where other entries tell them.
    pub(super) fn add_missing(&mut self, hash: Option<Hash>, place: Option<(&str, u64)>) {
        let at = self.size;
        // Its parties are not known, even where its place is: only the tree can be grown over it.
        self.unplaced_from.get_or_insert(at);
        if let (Some(hash), Some((stream, sequence))) = (hash, place) {
            self.place(stream, sequence, hash);
        }
        match hash {
            Some(hash) => self.append(hash),
            None => self.skip(1),
        }
    }

    /// Counts leaves of which nothing is known. No root is known over them.
    pub(super) fn skip(&mut self, leaves: u64) {
        self.unknown_from.get_or_insert(self.size);
        self.unplaced_from.get_or_insert(self.size);
        self.size = self.size.saturating_add(leaves);
    }

    /// Returns the root at a size of interest; `None` where a leaf below it is not known or the tree is smaller.
    pub(super) fn root_at(&self, size: u64) -> Option<Hash> {
        self.wanted.get(&size).copied().flatten()
    }

    /// Returns the root of the whole tree; `None` where a leaf is not known.
    pub(super) fn root(&self) -> Option<Hash> {
        self.unknown_from.is_none().then(|| self.frontier.root())
    }

    /// Returns size and root of the tree before the first leaf that is not known.
    pub(super) fn known(&self) -> (u64, Hash) {
        (self.frontier.size().get(), self.frontier.root())
    }

    /// Returns the number of leaves counted, those not known among them.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Returns the committed index roots that are not right.
    pub(super) fn index_differs(&self) -> &[IndexDiffers] {
        &self.differs
    }

    /// Returns the first leaf from which on the index could not be replayed.
    pub(super) fn unplaced_from(&self) -> Option<u64> {
        self.unplaced_from
    }

    fn append(&mut self, hash: Hash) {
        self.size += 1;
        if self.unknown_from.is_none() {
            self.frontier.append(hash);
            self.note_root();
        }
    }

    fn note_root(&mut self) {
        if let Some(wanted) = self.wanted.get_mut(&self.size) {
            *wanted = Some(self.frontier.root());
        }
    }

    /// Returns the last entry of a stream so far, as it is stored.
    pub(super) fn head(&self, stream: &str) -> Option<Head> {
        self.names.get(stream)
    }

    /// Returns the number of streams.
    pub(super) fn streams(&self) -> u64 {
        self.names.len() as u64 - self.parties
    }

    fn place(&mut self, stream: &str, number: u64, hash: Hash) {
        self.names.set(stream, Head { number, hash, leaf_index: self.size });
    }

    fn join(&mut self, party: &StreamName, leaf_hash: Hash) {
        let name = party_name(party);
        let known = self.names.get(&name).map(|head| PartyChain { n: head.number, h: head.hash });
        self.parties += u64::from(known.is_none());
        let mut chain = known.unwrap_or_default();
        chain.push(&leaf_hash);
        self.names.set(&name, Head { number: chain.n, hash: chain.h, leaf_index: self.size });
    }

    fn compare_index(&mut self, leaf: &Leaf<'_>, claim: IndexClaim) {
        self.indexed_to = leaf.at;
        if self.unplaced_from.is_some() {
            return;
        }
        self.index_roots += 1;
        let streams = self.streams();
        let (root, size) = (self.names.root(), leaf.at);
        let (expected, found) = if root != claim.root {
            (Both::from(&root), Both::from(&claim.root))
        } else if claim.size != size {
            (of_size(size), of_size(claim.size))
        } else if claim.streams != streams {
            let of_streams = |count: u64| both!("{count} 个流", "{count} streams");
            (of_streams(streams), of_streams(claim.streams))
        } else {
            self.in_run = false;
            return;
        };
        let joins = self.in_run || self.differs.len() >= KEPT_RUNS;
        match self.differs.last_mut().filter(|_| joins) {
            Some(last) => last.following += 1,
            None => self.differs.push(IndexDiffers {
                leaf_index: leaf.at,
                sequence: leaf.sequence,
                expected,
                found,
                following: 0,
            }),
        }
        self.in_run = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weituo_proof::leaf_hash;

    fn leaf(leaf_index: u64, index: Option<IndexClaim>) -> Leaf<'static> {
        let hash = leaf_hash(&leaf_index.to_be_bytes());
        Leaf { at: leaf_index, hash, stream: "log/main", sequence: leaf_index + 1, parties: &[], index }
    }

    #[test]
    fn roots_over_an_unknown_leaf_are_not_reported() {
        let mut replay = Replay::new([0, 1, 2]);
        replay.add(&leaf(0, None));
        replay.add_missing(None, None);
        assert!(replay.root_at(0).is_some() && replay.root_at(1).is_some());
        assert_eq!((replay.root_at(2), replay.root(), replay.size()), (None, None, 2));
    }

    #[test]
    fn a_run_of_wrong_index_roots_is_one_finding() {
        let wrong = IndexClaim { root: Hash::ZERO, size: 1, streams: 1 };
        let mut replay = Replay::new([]);
        replay.add(&leaf(0, None));
        replay.add(&leaf(1, Some(wrong)));
        replay.add(&leaf(2, Some(wrong)));
        let mut map = weituo_proof::map::Map::new();
        let head = weituo_proof::StreamHead { sequence: 3, leaf_hash: leaf_hash(&2_u64.to_be_bytes()) };
        map.insert("log/main", &weituo_proof::map::stream_value(&head));
        replay.add(&leaf(3, Some(IndexClaim { root: map.root(), size: 3, streams: 1 })));
        replay.add(&leaf(4, Some(wrong)));
        let found: Vec<_> = replay.index_differs().iter().map(|d| (d.leaf_index, d.following)).collect();
        assert_eq!(found, [(1, 1), (4, 0)]);
        assert_eq!(replay.index_roots, 4);
    }
}
