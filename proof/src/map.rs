//! The completeness index: a Merkle map from names to values, hashed as the Jellyfish Merkle tree is.
//!
//! Invariants: the root depends on the set of names and values alone, not on the order of insertion; a proof ends in
//! the leaf asked for, in another leaf that shares its path, or in an empty place.
//! Absent: removal (heads are never removed), earlier versions, where the leaves are (`Shelf`).
//! Source: format.md "Completeness index"; Diem "Jellyfish Merkle Tree" (2021) section 3 for the hashing.

mod heads;
mod proof;
mod shelf;

use std::borrow::Cow;
use std::marker::PhantomData;

use crate::hash::{Hash, sha256};

pub use heads::{PartyChain, party_name, stream_value};
pub use proof::{MapProof, MapProofError, Terminal};
pub use shelf::{InMemory, Leaf, Shelf};

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
pub trait MapValue: Copy {
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
pub const BUCKET: usize = 16;
/// By how many leaves a bucket grows, so that little of its room is empty.
const GROWTH: usize = 2;

/// A subtree that has few leaves, which are on the shelf. What is between it and them is hashed when it is asked for.
#[derive(Clone)]
struct Bucket {
    /// Hash of this subtree; wrong while `dirty`.
    hash: Hash,
    dirty: bool,
}

impl Bucket {
    const DIRTY: Self = Self { hash: EMPTY, dirty: true };
}

/// What became of a leaf that was to be put into a bucket.
enum Put {
    Added,
    Replaced,
    /// Nothing: there is no room.
    Full,
}

/// Puts a leaf among those of one bucket.
fn put<V>(leaves: &mut Vec<Leaf<V>>, key: Hash, value: V) -> Put {
    match find(leaves, &key) {
        Ok(place) => {
            leaves[place].1 = value;
            Put::Replaced
        }
        Err(_) if leaves.len() == BUCKET => Put::Full,
        Err(place) => {
            if leaves.len() == leaves.capacity() {
                leaves.reserve_exact(GROWTH);
            }
            leaves.insert(place, (key, value));
            Put::Added
        }
    }
}

fn find<V>(leaves: &[Leaf<V>], key: &Hash) -> Result<usize, usize> {
    leaves.binary_search_by(|(own, _)| own.0.cmp(&key.0))
}

/// A branch over one bit of the key.
#[derive(Clone)]
struct Node {
    below: [Link; 2],
    /// Hash of this subtree; wrong while `dirty`.
    hash: Hash,
    dirty: bool,
}

/// The map. In memory a name takes 32 bytes and its value, and about 15 more; about 15 in all where its leaf is on
/// another shelf.
///
/// `set` only marks the path; `root` and `prove` hash what was marked, each node once.
#[derive(Clone)]
pub struct Map<V = Hash, S = InMemory<V>> {
    top: Link,
    buckets: Vec<Bucket>,
    nodes: Vec<Node>,
    len: usize,
    shelf: S,
    value: PhantomData<V>,
}

impl<V: MapValue, S: Shelf<V> + Default> Default for Map<V, S> {
    fn default() -> Self {
        Self::on(S::default())
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

impl<V: MapValue, S: Shelf<V>> Map<V, S> {
    /// Returns the empty map that keeps its leaves on an empty shelf.
    pub fn on(shelf: S) -> Self {
        Self { top: Link::EMPTY, buckets: Vec::new(), nodes: Vec::new(), len: 0, shelf, value: PhantomData }
    }

    /// Returns where the leaves are.
    pub fn shelf(&self) -> &S {
        &self.shelf
    }

    /// Returns every leaf, in no order.
    pub fn leaves(&self) -> impl Iterator<Item = Leaf<V>> {
        (0..self.buckets.len()).flat_map(|bucket| self.shelf.leaves(bucket).into_owned())
    }

    /// Returns the number of names.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns whether there are no names.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns what a name has.
    pub fn get(&self, name: &str) -> Option<V> {
        let key = sha256(&[name.as_bytes()]);
        let mut link = self.top;
        let mut depth = 0;
        loop {
            match link.place() {
                Place::Empty => return None,
                Place::Node(at) => link = self.nodes[at].below[bit(&key, depth)],
                Place::Bucket(at) => {
                    let leaves = self.shelf.leaves(at);
                    return find(&leaves, &key).ok().map(|place| leaves[place].1);
                }
            }
            depth += 1;
        }
    }

    /// Sets what a name has.
    pub fn set(&mut self, name: &str, value: V) {
        self.set_leaf((sha256(&[name.as_bytes()]), value));
    }

    /// Sets what the name has of which the key is SHA-256.
    pub fn set_leaf(&mut self, (key, value): Leaf<V>) {
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
                    match self.shelf.change(at, |leaves| put(leaves, key, value)) {
                        Put::Added => self.len += 1,
                        Put::Replaced => {}
                        Put::Full => {
                            let link = self.part(at, depth);
                            self.set_link(from, link);
                            continue;
                        }
                    }
                    self.buckets[at].dirty = true;
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

    fn push_bucket(&mut self, leaves: Vec<Leaf<V>>) -> Link {
        self.shelf.push(leaves);
        self.buckets.push(Bucket::DIRTY);
        Link::bucket(self.buckets.len() - 1)
    }

    /// Returns the branch that parts a full bucket at `depth`, where all its leaves may go the same way.
    fn part(&mut self, full: usize, depth: usize) -> Link {
        self.buckets[full].dirty = true;
        let mut left = self.shelf.leaves(full).into_owned();
        let right = left.split_off(side_of(&left, depth));
        if left.is_empty() {
            return self.push_node([Link::EMPTY, Link::bucket(full)]);
        }
        if right.is_empty() {
            return self.push_node([Link::bucket(full), Link::EMPTY]);
        }
        left.shrink_to_fit();
        self.shelf.change(full, |leaves| *leaves = left);
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
                if self.buckets[at].dirty {
                    let hash = subtree(&self.shelf.leaves(at), depth);
                    self.buckets[at] = Bucket { hash, dirty: false };
                }
                self.buckets[at].hash
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
        let bucket = match link.place() {
            Place::Bucket(at) => self.shelf.leaves(at),
            _ => Cow::Borrowed(&[][..]),
        };
        let mut leaves = &bucket[..];
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
fn side_of<V>(leaves: &[Leaf<V>], depth: usize) -> usize {
    leaves.partition_point(|(key, _)| bit(key, depth) == 0)
}

/// Returns the hash of the subtree at `depth` that has these leaves.
fn subtree<V: MapValue>(leaves: &[Leaf<V>], depth: usize) -> Hash {
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

#[cfg(test)]
mod tests;
