//! The append path: from a proposal to a receipt, in one commit.
//!
//! One writer task a process takes proposals in, prepares a batch on the head it knows (`prepare`), commits it under the
//! store's fence (`flight`; a process that is alone has the anchor keep the batch meanwhile), signs the committed head, anchors it and
//! answers (`commit`). Any number of processes share a database;
//! one that loses the fence follows what the other wrote (`follow`) and prepares again, holding the head's lock.
//!
//! Invariants: an accepted proposal is durable, in strict mode anchored too; one tree size has one signed root, ever.
//! Absent: deciding (the aggregates), projections, HTTP, the terminal.
//! Source: design.md "The append path"; format.md "Completeness index".

mod accept;
mod anchor;
mod anchoring;
mod answer;
mod backup;
mod beside;
mod clock;
mod commit;
mod cosign;
mod derived;
mod flight;
mod follow;
mod guard;
mod handle;
mod inbox;
mod index;
mod init;
pub(crate) mod key;
mod open;
mod options;
mod prepare;
mod proofs;
mod recover;
mod redo;
mod rotate;
mod seal;
mod served;
mod settle;
mod shared;
mod tree;
mod types;
mod writer;

pub(crate) use anchor::absent;
pub use backup::Copied;
pub use beside::Beside;
pub use clock::{Clock, ClockError, SystemClock};
pub use derived::{Header, header};
pub use handle::{Ledger, Submitted};
pub use index::{Names, PartyProof, Proven};
pub(crate) use key::read as read_key;
pub use options::{InitOptions, Options};
pub use recover::{Backup, Recovered};
pub use rotate::{LogKeyError, Rotated};
pub use types::{
    Accepted, LedgerError, Mode, Place, Proposal, ReadOnly, Receipt, RestsOn, SignedCheckpoint, SubmitError,
};
