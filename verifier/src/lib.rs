//! The verifier: what anyone can check of a log's entries without its database, its network or its operator.
//!
//! Invariants: pure; nothing given is believed but the keys that the reader trusts.
//! Absent: databases, mirrors and the database's own columns (the application's `verify` reads those, with what is here).

mod collected;
mod dossier;
mod facts;
mod keys;

pub use collected::{Collected, LISTED_FINDINGS, chain, place, shorten};
pub use dossier::{Counts, DossierReport, Erased, Given, Kept, contained, verify};
pub use facts::{Fact, Facts, IndexClaim, Said, index_claim, said};
