//! The samples, recorded in memory, and what is refused.

pub(crate) mod harness;
mod refusals;
mod samples;
