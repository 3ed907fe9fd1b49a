//! Independent implementations, asked whether they agree with this crate: one module for each.
//!
//! Absent: the Python package `aics-tlog`, which `tests/oracles/aics_tlog_check.py` at the root of the repository runs.

#![expect(clippy::unwrap_used, reason = "what fails in a test's helper fails the test")]

#[path = "oracles/canonicaliser.rs"]
mod canonicaliser;
#[path = "oracles/cloudflare.rs"]
mod cloudflare;
#[path = "oracles/dependency_tree.rs"]
mod dependency_tree;
#[path = "oracles/jellyfish.rs"]
mod jellyfish;
#[path = "oracles/merkle_vectors.rs"]
mod merkle_vectors;
