//! The append path.
mod clock;
mod seal;
mod tree;
mod types;

pub use clock::{Clock, SystemClock};
pub use types::*;
