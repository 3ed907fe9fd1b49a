//! What several test modules need.

pub(crate) mod commands;
pub(crate) mod ledger;
pub(crate) mod many;
pub(crate) mod postgres;
pub(crate) mod process;
pub(crate) mod server;
pub(crate) mod shell;
pub(crate) mod signing;
pub(crate) mod verdict;
pub(crate) mod witness;
