//! The log as seen from outside: served over HTTP or copied into a folder, and copying it.
//!
//! Invariants: a copy holds only what was proven under the log's key; its checkpoint is replaced last, so that a copy
//! that was interrupted is an older copy and goes on from there.
//! Absent: judging the entries (`verify`), the database.
//! Source: C2SP tlog-tiles.

mod copy;
mod source;

pub use copy::{MirrorError, Mirrored, copy, extends};
pub(crate) use copy::{keep_evidence, write};
pub use source::{LogSource, SourceError};
