//! Pure folds from recorded events to current state, and the rules that they are judged by.
//!
//! Invariants: no fold panics, whatever log it is given; the same entries in the same order give the same state and the
//! same rows, in any batches; nothing here knows an arrangement by name.
//! Absent: a clock, storage, deciding (the application's), words for pages beyond the names of things.

pub mod claims;
pub mod cycle;
pub mod dates;
pub mod docket;
pub mod irregularities;
pub mod obligations;
pub mod organisation;
pub mod project;
pub mod rulebook;
pub mod rules;
pub mod stated;
pub mod summary;
#[cfg(test)]
mod testing;
pub mod view;

pub use claims::Claims;
pub use cycle::{Cycle, CycleState, Facts, Irregularity, Record, Standing};
pub use dates::Calendar;
pub use docket::DocketCycle;
pub use obligations::{Obligation, ObligationStatus, obligations};
pub use organisation::Organisation;
pub use project::{PROJECTIONS, Row, StreamState, rows};
pub use rulebook::{Rulebook, RulebookError, RulebookStream, Rulebooks, Severity};
pub use rules::{Breach, breaches};
pub use summary::CycleSummary;
pub use view::{CycleView, DocketView, SchoolView, TrusteeView};
