//! Pure folds from recorded events to current state, and the rules that they are judged by.
//!
//! Invariants: no fold panics, whatever log it is given; the same entries in the same order give the same state and the
//! same rows, in any batches; nothing here knows an arrangement by name.
//! Absent: a clock, storage, deciding (the application's), words for pages beyond the names of things.

pub mod cycle;
pub mod dates;
pub mod rulebook;
pub mod rules;

pub use cycle::{Cycle, CycleState, Facts, Irregularity, Record, Standing};
pub use dates::Calendar;
pub use rulebook::{Rulebook, RulebookError, RulebookStream, Rulebooks, Severity};
pub use rules::Breach;
