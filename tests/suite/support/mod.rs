//! What several test modules need.

pub(crate) mod ledger;
pub(crate) mod postgres;
