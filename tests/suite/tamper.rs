//! The tamper matrix: every way to edit what is stored, really done, on both stores, on a ledger with the sample cycles
//! and built projections. Each test asserts the finding's kind, its place and both hashes, and that `weituo verify`
//! prints them with what they mean. docs/trust.md names the test of each row.

pub(crate) mod bench;
mod beside;
mod entries;
pub(crate) mod forge;
mod garbage;
mod order;
mod outside;
mod random;
mod schema;
mod trust;
