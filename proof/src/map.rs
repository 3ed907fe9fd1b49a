//! The completeness index: a Merkle map from names to values, hashed as the Jellyfish Merkle tree is.
//!
//! Invariants: the root depends on the set of names and values alone, not on the order of insertion; a proof ends in
//! the leaf asked for, in another leaf that shares its path, or in an empty place.
//! Absent: removal (heads are never removed), storage (the index is replayed from the log), earlier versions.
//! Source: format.md "Completeness index"; Diem "Jellyfish Merkle Tree" (2021) section 3 for the hashing.

mod proof;

use crate::hash::{Hash, sha256};
use crate::ident::StreamName;
use crate::stream::StreamHead;

pub use proof::{MapProof, MapProofError, Terminal};

/// Hash of an empty place: the 32 ASCII bytes themselves.
pub const EMPTY: Hash = Hash(*b"SPARSE_MERKLE_PLACEHOLDER_HASH__");

/// Returns SHA-256(`JMT::LeafNode` ‖ key ‖ value hash).
fn leaf_node(key: &Hash, value_hash: &Hash) -> Hash {
    sha256(&[b"JMT::LeafNode", &key.0, &value_hash.0])
}

/// Returns SHA-256(`JMT::IntrnalNode` ‖ left ‖ right); the spelling is that of the Jellyfish tree.
fn inner_node(left: &Hash, right: &Hash) -> Hash {
    sha256(&[b"JMT::IntrnalNode", &left.0, &right.0])
}

/// Returns bit `depth` of a key, counted from the most significant: 0 is left, 1 is right.
fn bit(key: &Hash, depth: usize) -> usize {
    usize::from(key.0[depth / 8] >> (7 - depth % 8) & 1)
}

/// Where a branch leads, in 4 bytes: nowhere, to a leaf (odd) or to a node (even).
#[derive(Copy, Clone, PartialEq, Eq)]
struct Link(u32);

/// A `Link`, opened.
enum Place {
    Empty,
    Leaf(usize),
    Node(usize),
}

impl Link {
    const EMPTY: Self = Self(u32::MAX);

    fn leaf(at: usize) -> Self {
        Self::pack(at, 1)
    }

    fn node(at: usize) -> Self {
        Self::pack(at, 0)
    }

    fn pack(at: usize, tag: u32) -> Self {
        let at = u32::try_from(at).ok().filter(|at| *at < u32::MAX >> 1);
        Self(at.expect("invariant: a map in memory has fewer than 2^31 leaves and nodes") << 1 | tag)
    }

    fn place(self) -> Place {
        let at = (self.0 >> 1) as usize;
        match self {
            Self::EMPTY => Place::Empty,
            Self(packed) if packed & 1 == 1 => Place::Leaf(at),
            Self(_) => Place::Node(at),
        }
    }
}

#[derive(Clone)]
struct Leaf {
    key: Hash,
    value_hash: Hash,
}

/// A branch over one bit of the key.
#[derive(Clone)]
struct Node {
    below: [Link; 2],
    /// Hash of this subtree; wrong while `dirty`.
    hash: Hash,
    dirty: bool,
}

/// The map, in memory: 64 bytes a leaf and 44 a node, about 130 bytes a key.
///
/// `insert` only marks the path; `root` and `prove` hash what was marked, each node once.
#[derive(Clone)]
pub struct Map {
    top: Link,
    leaves: Vec<Leaf>,
    nodes: Vec<Node>,
}

impl Default for Map {
    fn default() -> Self {
        Self { top: Link::EMPTY, leaves: Vec::new(), nodes: Vec::new() }
    }
}

impl Map {
    /// Returns the empty map.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the number of names.
    pub fn len(&self) -> usize {
        self.leaves.len()
    }

    /// Returns whether there are no names.
    pub fn is_empty(&self) -> bool {
        self.leaves.is_empty()
    }

    /// Returns the leaves, in the order in which their names were first set: key and value hash.
    pub fn leaves(&self) -> impl ExactSizeIterator<Item = (Hash, Hash)> {
        self.leaves.iter().map(|leaf| (leaf.key, leaf.value_hash))
    }

    /// Sets the value of a name.
    pub fn insert(&mut self, name: &str, value: &[u8]) {
        self.insert_leaf(sha256(&[name.as_bytes()]), sha256(&[value]));
    }

    /// Sets a value by its hash, of a name by its hash: a leaf as `leaves` gives it.
    pub fn insert_leaf(&mut self, key: Hash, value_hash: Hash) {
        let leaf = Leaf { key, value_hash };
        // The branch that leads here: (node, side), or the top.
        let mut from: Option<(usize, usize)> = None;
        let mut depth = 0;
        loop {
            match self.link(from).place() {
                Place::Empty => {
                    let link = self.push_leaf(leaf);
                    return self.set_link(from, link);
                }
                Place::Leaf(at) if self.leaves[at].key == leaf.key => {
                    self.leaves[at] = leaf;
                    return;
                }
                Place::Leaf(at) => {
                    let link = self.part(at, leaf, depth);
                    return self.set_link(from, link);
                }
                Place::Node(at) => {
                    self.nodes[at].dirty = true;
                    from = Some((at, bit(&leaf.key, depth)));
                    depth += 1;
                }
            }
        }
    }

    fn link(&self, from: Option<(usize, usize)>) -> Link {
        from.map_or(self.top, |(node, side)| self.nodes[node].below[side])
    }

    fn set_link(&mut self, from: Option<(usize, usize)>, link: Link) {
        match from {
            None => self.top = link,
            Some((node, side)) => self.nodes[node].below[side] = link,
        }
    }

    fn push_leaf(&mut self, leaf: Leaf) -> Link {
        self.leaves.push(leaf);
        Link::leaf(self.leaves.len() - 1)
    }

    /// Returns the branch, from `depth` down, that parts the leaf at `old` from a new one with another key.
    fn part(&mut self, old: usize, leaf: Leaf, depth: usize) -> Link {
        let (old_key, new_key) = (self.leaves[old].key, leaf.key);
        let parting = shared_bits(&old_key, &new_key);
        let mut below = [Link::leaf(old); 2];
        below[bit(&new_key, parting)] = self.push_leaf(leaf);
        let mut link = self.push_node(below);
        // Above the parting both keys go the same way.
        for level in (depth..parting).rev() {
            let mut below = [Link::EMPTY; 2];
            below[bit(&new_key, level)] = link;
            link = self.push_node(below);
        }
        link
    }

    fn push_node(&mut self, below: [Link; 2]) -> Link {
        self.nodes.push(Node { below, hash: Hash::ZERO, dirty: true });
        Link::node(self.nodes.len() - 1)
    }

    /// Returns the root hash.
    pub fn root(&mut self) -> Hash {
        self.rehash(self.top)
    }

    /// Returns the hash of a subtree, hashing its dirty nodes; at most 256 deep.
    fn rehash(&mut self, link: Link) -> Hash {
        match link.place() {
            Place::Empty => EMPTY,
            Place::Leaf(at) => leaf_node(&self.leaves[at].key, &self.leaves[at].value_hash),
            Place::Node(at) => {
                if self.nodes[at].dirty {
                    let [left, right] = self.nodes[at].below;
                    let hash = inner_node(&self.rehash(left), &self.rehash(right));
                    (self.nodes[at].hash, self.nodes[at].dirty) = (hash, false);
                }
                self.nodes[at].hash
            }
        }
    }

    /// Returns the proof of what the map says of a name: its value, or that it has none.
    pub fn prove(&mut self, name: &str) -> MapProof {
        let key = sha256(&[name.as_bytes()]);
        let mut siblings = Vec::new();
        let mut link = self.top;
        loop {
            let terminal = match link.place() {
                Place::Empty => Terminal::Empty,
                Place::Leaf(at) => {
                    let Leaf { key, value_hash } = self.leaves[at];
                    Terminal::Leaf { key, value_hash }
                }
                Place::Node(at) => {
                    let side = bit(&key, siblings.len());
                    let below = self.nodes[at].below;
                    siblings.push(self.rehash(below[1 - side]));
                    link = below[side];
                    continue;
                }
            };
            siblings.reverse();
            return MapProof { siblings, terminal };
        }
    }
}

/// Returns how many leading bits two different keys share.
fn shared_bits(a: &Hash, b: &Hash) -> usize {
    let differing = a.0.iter().zip(&b.0).map(|(a, b)| a ^ b).enumerate().find(|(_, xor)| *xor != 0);
    differing.map_or(256, |(byte, xor)| byte * 8 + xor.leading_zeros() as usize)
}

/// Returns the value of a stream: u64 big-endian sequence ‖ leaf hash of its last entry, 40 bytes.
pub fn stream_value(head: &StreamHead) -> [u8; 40] {
    value(head.sequence, &head.leaf_hash)
}

/// Returns the name under which an organisation's party chain stands: `party:` and its stream.
pub fn party_name(organisation: &StreamName) -> String {
    format!("party:{organisation}")
}

/// The chain of the entries whose `parties` name one organisation.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub struct PartyChain {
    /// Number of such entries.
    pub n: u64,
    /// hₙ, with h₀ = 32 zeros and hᵢ = SHA-256(hᵢ₋₁ ‖ leaf hash of the i-th such entry).
    pub h: Hash,
}

impl Default for PartyChain {
    fn default() -> Self {
        Self { n: 0, h: Hash::ZERO }
    }
}

impl PartyChain {
    /// Returns the chain of no entries.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends an entry by its leaf hash.
    pub fn push(&mut self, leaf_hash: &Hash) {
        self.h = sha256(&[&self.h.0, &leaf_hash.0]);
        self.n += 1;
    }

    /// Returns the value in the map: u64 big-endian n ‖ hₙ, 40 bytes.
    pub fn value(&self) -> [u8; 40] {
        value(self.n, &self.h)
    }
}

fn value(number: u64, hash: &Hash) -> [u8; 40] {
    let mut value = [0; 40];
    value[..8].copy_from_slice(&number.to_be_bytes());
    value[8..].copy_from_slice(&hash.0);
    value
}

#[cfg(test)]
mod tests;
