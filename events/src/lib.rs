//! The vocabulary of Weituo: every event type and version, sealed values, identifiers, upcasters.
//!
//! Invariants: a payload serialises to canonical JSON; golden fixtures hold the bytes and the leaf hash of one entry of
//! every type and version, and are never edited once landed.
//! Absent: rules (when an act is permitted), folds, storage, clocks, randomness.

pub mod payload;
pub mod told;

mod act;
mod command;
mod content;
mod exact;
mod identifiers;
mod refusal;
mod replacement;
mod sealed;
mod signed;
mod upcast;
mod vocabulary;

pub use act::{Act, Recorded};
pub use command::{Command, CommandActor, Seen, SeenWord, command_schema};
pub use content::same_content;
pub use identifiers::{
    CreditCode, IdentifierError, OrganisationId, RegionCode, SchoolCode, document_number_is_regular,
};
pub use refusal::{Refusal, RefusalKind, Text};
pub use replacement::Replacement;
pub use sealed::{DISCLOSURE_NAME, Seal, Sealed};
pub use signed::Signed;
pub use upcast::OLD_VERSIONS;
pub use vocabulary::{Category, Event, EventError, EventType, Role, UnknownName};
