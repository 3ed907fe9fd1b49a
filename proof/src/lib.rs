//! weituo-proof
