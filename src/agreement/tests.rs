//! The samples, recorded in memory, and what is refused.

mod group;
pub(crate) mod harness;
mod refusals;
mod samples;
