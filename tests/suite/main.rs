//! The integration tests, in one binary.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(unreachable_pub, reason = "nothing here is reached from outside")]

mod alone;
mod append;
mod backup;
mod chaining;
mod cli;
mod clock;
mod corpus;
mod disk;
mod dossier;
mod erasing;
#[cfg(feature = "failpoints")]
mod failpoints;
mod faults;
mod hostile;
mod input;
mod kill;
mod log_keys;
mod outage;
mod page;
mod planted;
mod postgres_backup;
mod recording;
mod served;
mod signing;
mod size;
mod stamp;
mod standby;
mod startup;
mod store;
mod style;
mod support;
mod tamper;
mod verify;
mod watch;
mod witness;
