//! The samples, recorded in memory, and what is refused.

mod corrections;
mod group;
pub(crate) mod harness;
mod refusals;
mod samples;
