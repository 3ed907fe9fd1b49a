//! The clock, and when it cannot be right.
//!
//! Invariants: `recorded_at` never decreases; nothing is recorded while the clock is more than 60 s behind the newest
//! entry or has come more than 5 minutes apart from the monotonic clock.
//! Absent: time zones.
//! Source: format.md "Entry" (`recorded_at`); design.md "The append path".

use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use weituo_proof::RecordedAt;

/// Why the clock cannot be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClockError {
    /// Behind the newest entry.
    #[error(
        "the clock says {now}, the newest entry was recorded at {last}: set the clock right, writing then goes on"
    )]
    Behind {
        /// The clock.
        now: RecordedAt,
        /// `recorded_at` of the newest entry.
        last: RecordedAt,
    },
    /// The wall clock moved by other than the time that passed.
    #[error(
        "since the start the wall clock and the monotonic clock have come {seconds} s apart: set the clock right and restart"
    )]
    Apart {
        /// By how much, in seconds.
        seconds: i64,
    },
    /// Outside the years 1 to 9999.
    #[error("the clock says {unix_millis} ms since 1970, which is no date")]
    NoDate {
        /// The clock, in milliseconds since the epoch.
        unix_millis: i64,
    },
}

const BEHIND_MILLIS: i64 = 60_000;
const APART_MILLIS: i64 = 5 * 60_000;

/// Where the time comes from; tests bring their own.
pub trait Clock: Send + Sync + Debug {
    /// Returns the wall clock, in milliseconds since 1970-01-01T00:00:00Z.
    fn unix_millis(&self) -> i64;

    /// Returns the monotonic time since some fixed moment.
    fn monotonic(&self) -> Duration;
}

/// The operating system's clocks.
#[derive(Debug)]
pub struct SystemClock(Instant);

impl Default for SystemClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    fn unix_millis(&self) -> i64 {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |millis| -millis),
        }
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

/// A clock that is watched from the start on.
#[derive(Debug)]
pub(super) struct Watched {
    clock: Arc<dyn Clock>,
    /// Wall clock minus monotonic clock at the start, in milliseconds.
    offset_millis: i64,
}

impl Watched {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let offset_millis = offset(&*clock);
        Self { clock, offset_millis }
    }

    /// Returns the instant at which the next entries are recorded: max(clock, last).
    pub(super) fn recorded_at(&self, last: RecordedAt) -> Result<RecordedAt, ClockError> {
        let unix_millis = self.clock.unix_millis();
        let now = RecordedAt::from_unix_millis(unix_millis).ok_or(ClockError::NoDate { unix_millis })?;
        let apart_millis = offset(&*self.clock).saturating_sub(self.offset_millis);
        if apart_millis.saturating_abs() > APART_MILLIS {
            return Err(ClockError::Apart { seconds: apart_millis / 1000 });
        }
        if last.unix_millis().saturating_sub(unix_millis) > BEHIND_MILLIS {
            return Err(ClockError::Behind { now, last });
        }
        Ok(now.max(last))
    }
}

fn offset(clock: &dyn Clock) -> i64 {
    let monotonic = i64::try_from(clock.monotonic().as_millis()).unwrap_or(i64::MAX);
    clock.unix_millis().saturating_sub(monotonic)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    #[derive(Debug, Default)]
    struct Hands(AtomicI64, AtomicI64);

    impl Clock for Hands {
        fn unix_millis(&self) -> i64 {
            self.0.load(Ordering::Relaxed)
        }

        fn monotonic(&self) -> Duration {
            Duration::from_millis(self.1.load(Ordering::Relaxed).unsigned_abs())
        }
    }

    fn at(millis: i64) -> RecordedAt {
        RecordedAt::from_unix_millis(millis).unwrap()
    }

    #[test]
    fn recorded_at_never_decreases_and_stops_60_s_behind() {
        let hands = Arc::new(Hands::default());
        hands.0.store(1_000_000, Ordering::Relaxed);
        let clock = Watched::new(hands);
        assert_eq!(clock.recorded_at(at(5)), Ok(at(1_000_000)));
        assert_eq!(clock.recorded_at(at(1_060_000)), Ok(at(1_060_000)));
        assert!(matches!(clock.recorded_at(at(1_060_001)), Err(ClockError::Behind { .. })));
    }

    #[test]
    fn a_wall_clock_that_jumps_five_minutes_stops_the_writing() {
        let hands = Arc::new(Hands::default());
        let clock = Watched::new(Arc::clone(&hands) as Arc<dyn Clock>);
        hands.0.store(300_000, Ordering::Relaxed);
        assert_eq!(clock.recorded_at(at(0)), Ok(at(300_000)));
        hands.0.store(300_001, Ordering::Relaxed);
        assert_eq!(clock.recorded_at(at(0)), Err(ClockError::Apart { seconds: 300 }));
        hands.1.store(300_001, Ordering::Relaxed);
        assert_eq!(clock.recorded_at(at(0)), Ok(at(300_001)));
    }
}
