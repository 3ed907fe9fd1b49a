//! What each name of the completeness index has, in memory or in a file that has no name and goes with the process.
//!
//! Invariants: a file that once failed is not read again, and everything after that is empty: whoever asked must look
//! whether it failed before saying anything of a log.
//! Source: format.md "Completeness index".

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::OnceLock;

use weituo_proof::map::{BUCKET, InMemory, Leaf, Map, MapValue, Shelf};
use weituo_proof::{Hash, sha256};

use crate::files::unnamed_beside;

/// What a name has, with the leaf that gave it: all that is kept of a stream or a party.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    /// Sequence of the stream's last entry; how often the party has joined.
    pub(super) number: u64,
    /// Leaf hash of that entry; the chain of the joinings.
    pub(super) hash: Hash,
    pub(super) leaf_index: u64,
}

impl MapValue for Head {
    fn value_hash(&self) -> Hash {
        sha256(&[&self.number.to_be_bytes(), &self.hash.0])
    }
}

/// Length of a leaf as it is written: key ‖ number ‖ hash ‖ leaf index.
const LEAF_BYTES: usize = 32 + 8 + 32 + 8;

fn to_bytes((key, head): &Leaf<Head>) -> [u8; LEAF_BYTES] {
    let mut bytes = [0; LEAF_BYTES];
    bytes[..32].copy_from_slice(&key.0);
    bytes[32..40].copy_from_slice(&head.number.to_be_bytes());
    bytes[40..72].copy_from_slice(&head.hash.0);
    bytes[72..].copy_from_slice(&head.leaf_index.to_be_bytes());
    bytes
}

fn from_bytes(bytes: &[u8; LEAF_BYTES]) -> Leaf<Head> {
    let number = |at: usize| u64::from_be_bytes(std::array::from_fn(|byte| bytes[at + byte]));
    let hash = |at: usize| Hash(std::array::from_fn(|byte| bytes[at + byte]));
    (hash(0), Head { number: number(32), hash: hash(40), leaf_index: number(72) })
}

/// The index, with what each name has.
pub(super) type Names = Map<Head, Room>;

/// Returns the empty index in memory: 100 bytes a name.
pub(super) fn in_memory() -> Names {
    Names::on(Room::Memory(InMemory::default()))
}

/// Returns the empty index in a file on the disk of this path: about 15 bytes a name are in memory.
pub(super) fn in_file_beside(path: &Path) -> io::Result<Names> {
    let file = unnamed_beside(path)?;
    Ok(Names::on(Room::File(InFile { file, lengths: Vec::new(), failure: OnceLock::new() })))
}

/// Writes every leaf.
pub(super) fn write(names: &Names, into: &mut impl Write) -> io::Result<()> {
    names.leaves().try_for_each(|leaf| into.write_all(&to_bytes(&leaf)))?;
    names.shelf().failure().map_or(Ok(()), |failure| Err(same(failure)))
}

/// Reads so many leaves that were written.
pub(super) fn read(names: &mut Names, count: u64, from: &mut impl Read) -> io::Result<()> {
    let mut bytes = [0; LEAF_BYTES];
    (0..count).try_for_each(|_| from.read_exact(&mut bytes).map(|()| names.set_leaf(from_bytes(&bytes))))
}

/// Returns a failure once more.
pub(super) fn same(failure: &io::Error) -> io::Error {
    io::Error::new(failure.kind(), failure.to_string())
}

/// Where the leaves are.
pub(super) enum Room {
    Memory(InMemory<Head>),
    File(InFile),
}

impl Room {
    /// Returns why the leaves are not all there.
    pub(super) fn failure(&self) -> Option<&io::Error> {
        match self {
            Self::Memory(_) => None,
            Self::File(file) => file.failure.get(),
        }
    }
}

impl Shelf<Head> for Room {
    fn push(&mut self, leaves: Vec<Leaf<Head>>) {
        match self {
            Self::Memory(memory) => memory.push(leaves),
            Self::File(file) => file.push(leaves),
        }
    }

    fn leaves(&self, bucket: usize) -> Cow<'_, [Leaf<Head>]> {
        match self {
            Self::Memory(memory) => memory.leaves(bucket),
            Self::File(file) => file.leaves(bucket),
        }
    }

    fn change<R>(&mut self, bucket: usize, change: impl FnOnce(&mut Vec<Leaf<Head>>) -> R) -> R {
        match self {
            Self::Memory(memory) => memory.change(bucket, change),
            Self::File(file) => file.change(bucket, change),
        }
    }
}

/// A file with room for a full bucket at each bucket's place.
pub(super) struct InFile {
    file: File,
    /// Number of leaves in each bucket.
    lengths: Vec<u8>,
    failure: OnceLock<io::Error>,
}

impl InFile {
    /// Returns what a use of the file gave; its first failure is the last use.
    fn used<T: Default>(&self, usage: impl FnOnce(&File) -> io::Result<T>) -> T {
        if self.failure.get().is_some() {
            return T::default();
        }
        usage(&self.file).unwrap_or_else(|error| {
            self.failure.get_or_init(|| error);
            T::default()
        })
    }

    fn write(&mut self, bucket: usize, leaves: &[Leaf<Head>]) {
        let bytes: Vec<u8> = leaves.iter().flat_map(to_bytes).collect();
        self.used(|file| file.write_all_at(&bytes, place_of(bucket)));
        self.lengths[bucket] = u8::try_from(leaves.len()).expect("invariant: a bucket has at most 16 leaves");
    }
}

fn place_of(bucket: usize) -> u64 {
    (bucket * BUCKET * LEAF_BYTES) as u64
}

impl Shelf<Head> for InFile {
    fn push(&mut self, leaves: Vec<Leaf<Head>>) {
        self.lengths.push(0);
        self.write(self.lengths.len() - 1, &leaves);
    }

    fn leaves(&self, bucket: usize) -> Cow<'_, [Leaf<Head>]> {
        let mut bytes = [[0; LEAF_BYTES]; BUCKET];
        let read = &mut bytes[..usize::from(self.lengths[bucket])];
        self.used(|file| {
            file.read_exact_at(read.as_flattened_mut(), place_of(bucket))?;
            Ok(read.iter().map(from_bytes).collect::<Vec<_>>())
        })
        .into()
    }

    fn change<R>(&mut self, bucket: usize, change: impl FnOnce(&mut Vec<Leaf<Head>>) -> R) -> R {
        let mut leaves = self.leaves(bucket).into_owned();
        let changed = change(&mut leaves);
        self.write(bucket, &leaves);
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(mut names: Names, count: u64) -> Names {
        for number in 0..count {
            let hash = sha256(&[&number.to_be_bytes()]);
            names.set(&format!("agreement/{}", number % 1_000), Head { number, hash, leaf_index: number });
        }
        names
    }

    #[test]
    fn an_index_is_the_same_in_a_file_as_in_memory_and_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        for count in [0, 1, 17, 3_000] {
            let mut in_file = filled(in_file_beside(&folder.path().join("state")).unwrap(), count);
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the file has no name");
            let (root, len) = (in_file.root(), in_file.len());
            assert_eq!((filled(in_memory(), count).root(), len as u64), (root, count.min(1_000)));
            let mut bytes = Vec::new();
            write(&in_file, &mut bytes).unwrap();
            let mut back = in_memory();
            read(&mut back, len as u64, &mut &bytes[..]).unwrap();
            assert_eq!((back.root(), back.len()), (root, len));
            assert!(read(&mut back, len as u64 + 1, &mut &bytes[..]).is_err());
            let head = back.get("agreement/7").map(|head| (head.number, head.leaf_index));
            assert_eq!(head, in_file.get("agreement/7").map(|head| (head.number, head.number)));
            assert!(in_file.shelf().failure().is_none());
        }
    }

    #[test]
    fn a_file_that_failed_says_so_and_gives_nothing_more() {
        let file = File::open("/dev/null").unwrap();
        let room = InFile { file, lengths: Vec::new(), failure: OnceLock::new() };
        let mut names = filled(Names::on(Room::File(room)), 3_000);
        names.root();
        assert!(names.get("agreement/7").is_none());
        assert!(names.shelf().failure().is_some(), "it was opened to be read alone");
    }
}
