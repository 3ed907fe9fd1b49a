//! weituo-proof
#![forbid(unsafe_code)]

pub mod canonical;
pub mod checkpoint;
mod ed25519;
pub mod entry;
pub mod hash;
pub mod ident;
pub mod note;
pub mod sealed;
pub mod stream;
pub mod tree;
pub mod verdict;

// The names of the format, which the other crates write without a module.
pub use checkpoint::Checkpoint;
pub use ed25519::Ed25519Error;
pub use entry::{Actor, Draft, Entry, EntryError, Position};
pub use hash::{EMPTY_ROOT, Hash, leaf_hash, node_hash, sha256};
pub use ident::{CommandId, Effective, IdentError, LeafIndex, Origin, RecordedAt, StreamName, TreeSize};
pub use note::{SignedNote, SigningKey, VerifierKey};
pub use sealed::{Disclosure, SealedRef};
pub use stream::{ChainBreak, StreamHead};
pub use tree::{Frontier, MemoryNodes, Nodes};
pub use verdict::{Finding, FindingKind, Language, Verdict, Verdicts};
