//! Where a map's leaves are.

use std::borrow::Cow;

use crate::hash::Hash;

/// A key and what it has.
pub type Leaf<V> = (Hash, V);

/// Keeps the leaves of each bucket of a map, at most [`BUCKET`](super::BUCKET) and ascending by key. Buckets count from 0 and
/// are never removed. A shelf that has failed may answer with none: whoever made it must ask it before relying on the map.
pub trait Shelf<V: Copy> {
    /// Keeps the leaves of one bucket more.
    fn push(&mut self, leaves: Vec<Leaf<V>>);

    /// Returns the leaves of a bucket.
    fn leaves(&self, bucket: usize) -> Cow<'_, [Leaf<V>]>;

    /// Changes the leaves of a bucket.
    fn change<R>(&mut self, bucket: usize, change: impl FnOnce(&mut Vec<Leaf<V>>) -> R) -> R;
}

/// In memory: a leaf takes its own size and 3 bytes more.
#[derive(Debug, Clone)]
pub struct InMemory<V>(Vec<Vec<Leaf<V>>>);

impl<V> Default for InMemory<V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<V: Copy> Shelf<V> for InMemory<V> {
    fn push(&mut self, leaves: Vec<Leaf<V>>) {
        self.0.push(leaves);
    }

    fn leaves(&self, bucket: usize) -> Cow<'_, [Leaf<V>]> {
        Cow::Borrowed(&self.0[bucket])
    }

    fn change<R>(&mut self, bucket: usize, change: impl FnOnce(&mut Vec<Leaf<V>>) -> R) -> R {
        change(&mut self.0[bucket])
    }
}
