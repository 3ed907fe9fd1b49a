//! Witnesses: ours as a server, and the log that asks witnesses.

mod conformance;
mod server;
