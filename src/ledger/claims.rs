//! The seam to claims: what only one stream may hold at a time, such as a trustee's one place.
//!
//! Invariants: an implementation is a pure function of the acts applied to it, in order of leaf index.
//! Absent: which claims there are (weituo-projections, rulebooks).
//! Source: format.md "Append protocol" step 1.

use std::fmt::Debug;

use weituo_events::{Act, Refusal};

/// Claims taken so far.
pub trait ClaimCheck: Send + Sync + Debug {
    /// Returns whether acts of this type can take, need or give back a claim. Others are neither checked nor applied.
    fn concerns(&self, event_type: &str) -> bool;

    /// Refuses an act whose claim is taken.
    ///
    /// # Errors
    ///
    /// The refusal to answer.
    fn check(&self, act: &Act) -> Result<(), Refusal>;

    /// Takes over a recorded act.
    fn apply(&mut self, act: &Act);

    /// Returns a copy, on which a batch is tried that may not be committed.
    fn boxed_clone(&self) -> Box<dyn ClaimCheck>;
}

/// No claims at all.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoClaims;

impl ClaimCheck for NoClaims {
    fn concerns(&self, _event_type: &str) -> bool {
        false
    }

    fn check(&self, _act: &Act) -> Result<(), Refusal> {
        Ok(())
    }

    fn apply(&mut self, _act: &Act) {}

    fn boxed_clone(&self) -> Box<dyn ClaimCheck> {
        Box::new(*self)
    }
}
