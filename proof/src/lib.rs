//! weituo-proof
#![forbid(unsafe_code)]

pub mod canonical;
mod ed25519;
pub mod entry;
pub mod hash;
pub mod ident;
pub mod sealed;
pub mod stream;

pub use ed25519::Ed25519Error;

// Re-exported at the root: the other crates write `weituo_proof::Hash`.
pub use entry::{Actor, Draft, Entry, EntryError, Position};
pub use hash::{Hash, leaf_hash, sha256};
pub use ident::{CommandId, Effective, IdentError, LeafIndex, Origin, RecordedAt, StreamName, TreeSize};
pub use sealed::{Disclosure, SealedRef};
pub use stream::StreamHead;
mod language;
pub use language::Language;
