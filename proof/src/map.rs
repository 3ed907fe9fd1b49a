//! The completeness index: a Merkle map from names to values, hashed as the Jellyfish Merkle tree is.
//!
//! Invariants: the root depends on the set of names and values alone, not on the order of insertion; a proof ends in
//! the leaf asked for, in another leaf that shares its path, or in an empty place.
//! Absent: removal (heads are never removed), storage (the index is replayed from the log), earlier versions.
//! Source: format.md "Completeness index"; Diem "Jellyfish Merkle Tree" (2021) section 3 for the hashing.

mod proof;
mod saved;

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

/// What a name has in a map.
pub trait MapValue {
    /// Returns SHA-256 of the value's bytes.
    fn value_hash(&self) -> Hash;
}

/// A value of which only the hash is kept.
impl MapValue for Hash {
    fn value_hash(&self) -> Hash {
        *self
    }
}

/// Where a branch leads, in 4 bytes: nowhere, to a bucket (odd) or to a node (even).
#[derive(Copy, Clone, PartialEq, Eq)]
struct Link(u32);

/// A `Link`, opened.
enum Place {
    Empty,
    Bucket(usize),
    Node(usize),
}

impl Link {
    const EMPTY: Self = Self(u32::MAX);

    fn bucket(at: usize) -> Self {
        Self::pack(at, 1)
    }

    fn node(at: usize) -> Self {
        Self::pack(at, 0)
    }

    fn pack(at: usize, tag: u32) -> Self {
        let at = u32::try_from(at).ok().filter(|at| *at < u32::MAX >> 1);
        Self(at.expect("invariant: a map in memory has fewer than 2^31 buckets and nodes") << 1 | tag)
    }

    fn place(self) -> Place {
        let at = (self.0 >> 1) as usize;
        match self {
            Self::EMPTY => Place::Empty,
            Self(packed) if packed & 1 == 1 => Place::Bucket(at),
            Self(_) => Place::Node(at),
        }
    }
}

/// Most leaves of a bucket. Fewer would cost memory, more would cost hashing.
const BUCKET: usize = 16;
/// By how many leaves a bucket grows, so that little of its room is empty.
const GROWTH: usize = 2;

/// The leaves of a subtree that has few of them, ascending by key. What is above them is hashed when it is asked for.
#[derive(Clone)]
struct Bucket<V> {
    leaves: Vec<(Hash, V)>,
    /// Hash of this subtree; wrong while `dirty`.
    hash: Hash,
    dirty: bool,
}

impl<V> Bucket<V> {
    fn new(leaves: Vec<(Hash, V)>) -> Self {
        Self { leaves, hash: EMPTY, dirty: true }
    }

    fn find(&self, key: &Hash) -> Result<usize, usize> {
        self.leaves.binary_search_by(|(own, _)| own.0.cmp(&key.0))
    }
}

/// A branch over one bit of the key.
#[derive(Clone)]
struct Node {
    below: [Link; 2],
    /// Hash of this subtree; wrong while `dirty`.
    hash: Hash,
    dirty: bool,
}

/// The map, in memory: a name takes 32 bytes and its value, and about 15 more.
///
/// `set` only marks the path; `root` and `prove` hash what was marked, each node once.
#[derive(Clone)]
pub struct Map<V = Hash> {
    top: Link,
    buckets: Vec<Bucket<V>>,
    nodes: Vec<Node>,
    len: usize,
}

impl<V> Default for Map<V> {
    fn default() -> Self {
        Self { top: Link::EMPTY, buckets: Vec::new(), nodes: Vec::new(), len: 0 }
    }
}

impl Map {
    /// Returns the empty map of values of which only the hashes are kept.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the value of a name.
    pub fn insert(&mut self, name: &str, value: &[u8]) {
        self.set(name, sha256(&[value]));
    }
}

impl<V: MapValue> Map<V> {
    /// Returns the number of names.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns whether there are no names.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns what a name has.
    pub fn get(&self, name: &str) -> Option<&V> {
        let key = sha256(&[name.as_bytes()]);
        let mut link = self.top;
        let mut depth = 0;
        loop {
            match link.place() {
                Place::Empty => return None,
                Place::Node(at) => link = self.nodes[at].below[bit(&key, depth)],
                Place::Bucket(at) => {
                    let bucket = &self.buckets[at];
                    return bucket.find(&key).ok().map(|place| &bucket.leaves[place].1);
                }
            }
            depth += 1;
        }
    }

    /// Sets what a name has.
    pub fn set(&mut self, name: &str, value: V) {
        self.set_leaf(sha256(&[name.as_bytes()]), value);
    }

    fn set_leaf(&mut self, key: Hash, value: V) {
        // The branch that leads here: (node, side), or the top.
        let mut from: Option<(usize, usize)> = None;
        let mut depth = 0;
        loop {
            match self.link(from).place() {
                Place::Empty => {
                    self.len += 1;
                    let link = self.push_bucket(vec![(key, value)]);
                    return self.set_link(from, link);
                }
                Place::Node(at) => {
                    self.nodes[at].dirty = true;
                    from = Some((at, bit(&key, depth)));
                    depth += 1;
                }
                Place::Bucket(at) => {
                    let bucket = &mut self.buckets[at];
                    match bucket.find(&key) {
                        Ok(place) => bucket.leaves[place].1 = value,
                        Err(_) if bucket.leaves.len() == BUCKET => {
                            let link = self.part(at, depth);
                            self.set_link(from, link);
                            continue;
                        }
                        Err(place) => {
                            if bucket.leaves.len() == bucket.leaves.capacity() {
                                bucket.leaves.reserve_exact(GROWTH);
                            }
                            bucket.leaves.insert(place, (key, value));
                            self.len += 1;
                        }
                    }
                    bucket.dirty = true;
                    return;
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

    fn push_bucket(&mut self, leaves: Vec<(Hash, V)>) -> Link {
        if leaves.is_empty() {
            return Link::EMPTY;
        }
        self.buckets.push(Bucket::new(leaves));
        Link::bucket(self.buckets.len() - 1)
    }

    /// Returns the branch that parts a full bucket at `depth`, where all its leaves may go the same way.
    fn part(&mut self, full: usize, depth: usize) -> Link {
        let mut left = std::mem::take(&mut self.buckets[full].leaves);
        let mut right = left.split_off(side_of(&left, depth));
        if left.is_empty() {
            std::mem::swap(&mut left, &mut right);
            self.buckets[full] = Bucket::new(left);
            return self.push_node([Link::EMPTY, Link::bucket(full)]);
        }
        left.shrink_to_fit();
        self.buckets[full] = Bucket::new(left);
        let right = self.push_bucket(right);
        self.push_node([Link::bucket(full), right])
    }

    fn push_node(&mut self, below: [Link; 2]) -> Link {
        self.nodes.push(Node { below, hash: Hash::ZERO, dirty: true });
        Link::node(self.nodes.len() - 1)
    }

    /// Returns the root hash.
    pub fn root(&mut self) -> Hash {
        self.rehash(self.top, 0)
    }

    /// Returns the hash of a subtree at `depth`, hashing what is dirty in it; at most 256 deep.
    fn rehash(&mut self, link: Link, depth: usize) -> Hash {
        match link.place() {
            Place::Empty => EMPTY,
            Place::Bucket(at) => {
                let bucket = &mut self.buckets[at];
                if bucket.dirty {
                    (bucket.hash, bucket.dirty) = (subtree(&bucket.leaves, depth), false);
                }
                bucket.hash
            }
            Place::Node(at) => {
                if self.nodes[at].dirty {
                    let [left, right] = self.nodes[at].below;
                    let hash = inner_node(&self.rehash(left, depth + 1), &self.rehash(right, depth + 1));
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
        while let Place::Node(at) = link.place() {
            let side = bit(&key, siblings.len());
            let below = self.nodes[at].below;
            siblings.push(self.rehash(below[1 - side], siblings.len() + 1));
            link = below[side];
        }
        let mut leaves = match link.place() {
            Place::Bucket(at) => self.buckets[at].leaves.as_slice(),
            _ => &[],
        };
        while leaves.len() > 1 {
            let depth = siblings.len();
            let (left, right) = leaves.split_at(side_of(leaves, depth));
            let (own, other) = if bit(&key, depth) == 0 { (left, right) } else { (right, left) };
            siblings.push(subtree(other, depth + 1));
            leaves = own;
        }
        let terminal = leaves.first().map_or(Terminal::Empty, |(key, value)| Terminal::Leaf {
            key: *key,
            value_hash: value.value_hash(),
        });
        siblings.reverse();
        MapProof { siblings, terminal }
    }
}

/// Returns how many of the leaves, ascending by keys that share `depth` bits, go left there.
fn side_of<V>(leaves: &[(Hash, V)], depth: usize) -> usize {
    leaves.partition_point(|(key, _)| bit(key, depth) == 0)
}

/// Returns the hash of the subtree at `depth` that has these leaves.
fn subtree<V: MapValue>(leaves: &[(Hash, V)], depth: usize) -> Hash {
    match leaves {
        [] => EMPTY,
        [(key, value)] => leaf_node(key, &value.value_hash()),
        _ => {
            let (left, right) = leaves.split_at(side_of(leaves, depth));
            inner_node(&subtree(left, depth + 1), &subtree(right, depth + 1))
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
