//! weituo-events
