//! Everything that is hashed, signed and proven in a Weituo ledger, and the means to check it.
//!
//! No database, clock, network, randomness or async: the verifier, the command line, a browser and an auditor's
//! laptop run this same code. What needs entropy or the time takes it as an argument.
//!
//! | module | what | source |
//! | --- | --- | --- |
//! | [`canonical`] | the JSON subset of entries | RFC 8785 |
//! | [`ident`] | checked names, dates and numbers | format.md |
//! | [`hash`] | SHA-256, leaf and node hashes | RFC 6962 |
//! | [`entry`] | entries and actors' signatures | format.md, RFC 8032 |
//! | [`sealed`] | values that can be erased | RFC 9901 |
//! | [`stream`] | the chain of one stream | format.md |
//! | [`tree`] | Merkle tree, inclusion and consistency | RFC 6962, RFC 9162 |
//! | [`note`], [`checkpoint`] | signed tree heads and cosignatures | C2SP signed-note, tlog-checkpoint, tlog-cosignature |
//! | [`tile`] | tree and entries as static files | C2SP tlog-tiles |
//! | [`receipt`] | entry, proof and checkpoint in one text | C2SP tlog-proof |
//! | [`witness`], [`policy`] | asking for cosignatures, and which ones are enough | C2SP tlog-witness, tlog-policy |
//! | [`map`] | the completeness index | Jellyfish Merkle tree |
//! | [`dossier`] | one history in one file | format.md |
//! | [`verdict`] | what verification says | design.md |
//!
//! # A verifier in ten lines
//!
//! A verifier needs the log's key, told over a channel it trusts, and a receipt. Nothing in the receipt is trusted.
//!
//! ```
//! use weituo_proof::{Receipt, VerifierKey};
//!
//! fn check(key: &str, receipt: &str, entry: &str) -> Result<u64, Box<dyn std::error::Error>> {
//!     let key: VerifierKey = key.parse()?;
//!     let checkpoint = Receipt::parse(receipt, entry)?.verify(&key)?;
//!     Ok(checkpoint.size.get())
//! }
//!
//! let key = include_str!("../tests/data/receipt/key.txt");
//! let receipt = include_str!("../tests/data/receipt/receipt.tlog-proof");
//! let entry = include_str!("../tests/data/receipt/entry.json");
//! assert_eq!(check(key.trim_end(), receipt, entry)?, 600);
//! assert!(check(key.trim_end(), receipt, &entry.replace("2020-06-30", "2020-06-29")).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod both;
pub mod canonical;
pub mod checkpoint;
pub mod dossier;
mod ed25519;
pub mod entry;
pub mod hash;
pub mod ident;
pub mod map;
pub mod note;
pub mod policy;
pub mod receipt;
pub mod sealed;
pub mod stream;
pub mod tile;
pub mod tree;
pub mod verdict;
pub mod witness;

// The names of the format, which the other crates write without a module.
pub use both::Both;
pub use checkpoint::Checkpoint;
pub use dossier::Dossier;
pub use ed25519::Ed25519Error;
pub use entry::{Actor, Draft, Entry, EntryError, Position};
pub use hash::{EMPTY_ROOT, Hash, leaf_hash, node_hash, sha256};
pub use ident::{
    CommandId, Effective, IdentError, LeafIndex, Origin, RecordedAt, StreamName, TreeSize, is_stream_id,
};
pub use note::{SignedNote, SigningKey, VerifierKey};
pub use policy::Policy;
pub use receipt::Receipt;
pub use sealed::{Disclosure, SealedRef};
pub use stream::{ChainBreak, StreamHead};
pub use tree::{Frontier, MemoryNodes, Nodes};
pub use verdict::{Finding, FindingKind, Language, Verdict, Verdicts};
