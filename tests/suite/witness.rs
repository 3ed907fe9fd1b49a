//! Witnesses: ours as a server, and the log that asks witnesses.

mod anchor;
mod cli;
mod conformance;
mod log;
mod server;
