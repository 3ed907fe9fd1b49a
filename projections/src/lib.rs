//! weituo-projections
