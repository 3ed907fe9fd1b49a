//! The Weituo audit ledger: the application behind the binary `weituo`.

pub mod ledger;
pub mod store;
