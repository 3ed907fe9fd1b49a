//! Witnesses: ours as a server, and the log that asks witnesses.

mod server;
