//! One measurement's numbers, and their medians over the rounds.

use serde::{Deserialize, Serialize};

use crate::measure::{Measured, as_f64};
use crate::postgres::Stored;

/// What one measurement of one peer gave.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Sample {
    pub(crate) events_per_second: f64,
    pub(crate) p50_micros: f64,
    pub(crate) p99_micros: f64,
    /// CPU time of the clients' process (or processes), a microsecond an event.
    pub(crate) client_cpu_micros: f64,
    /// CPU time of the database server, where there is one.
    pub(crate) server_cpu_micros: f64,
    /// Attempts that an event took; above 1 where clients were in each other's way.
    pub(crate) attempts_per_event: f64,
    /// Attempts that failed other than by a conflict, such as by a locked database.
    pub(crate) failures: u64,
    pub(crate) failure: Option<String>,
    /// Streams taken again because those made ready ran out: they are longer than the case says.
    pub(crate) streams_taken_again: usize,
    /// WAL written for an event.
    pub(crate) wal_bytes: Option<f64>,
    /// Bytes stored for an event, indexes included.
    pub(crate) stored_bytes: Option<f64>,
    /// Bytes stored for each byte of an event's body.
    pub(crate) stored_ratio: Option<f64>,
    /// Where several processes wrote: the smallest one's share of an equal part.
    pub(crate) smallest_share: Option<f64>,
}

impl Sample {
    pub(crate) fn of(measured: &Measured) -> Self {
        let events = as_f64(measured.events.max(1));
        Self {
            events_per_second: measured.events_per_second(),
            p50_micros: measured.percentile_micros(50),
            p99_micros: measured.percentile_micros(99),
            client_cpu_micros: measured.client_cpu_seconds * 1e6 / events,
            server_cpu_micros: measured.server_cpu_seconds * 1e6 / events,
            attempts_per_event: as_f64(measured.attempts)
                / as_f64(measured.latencies_micros.len().max(1) as u64),
            failures: measured.failures,
            failure: measured.failure.clone(),
            ..Self::default()
        }
    }

    pub(crate) fn stored(mut self, stored: &Stored) -> Self {
        self.stored_bytes = Some(stored.bytes_per_entry());
        self.stored_ratio = Some(stored.ratio());
        self
    }

    /// Returns the medians of several samples, number by number.
    pub(crate) fn median(samples: &[Self]) -> Self {
        let of = |read: fn(&Self) -> f64| median(samples.iter().map(read).collect());
        let optional = |read: fn(&Self) -> Option<f64>| {
            let known: Vec<f64> = samples.iter().filter_map(read).collect();
            (!known.is_empty()).then(|| median(known))
        };
        Self {
            events_per_second: of(|sample| sample.events_per_second),
            p50_micros: of(|sample| sample.p50_micros),
            p99_micros: of(|sample| sample.p99_micros),
            client_cpu_micros: of(|sample| sample.client_cpu_micros),
            server_cpu_micros: of(|sample| sample.server_cpu_micros),
            attempts_per_event: of(|sample| sample.attempts_per_event),
            failures: samples.iter().map(|sample| sample.failures).sum(),
            failure: samples.iter().find_map(|sample| sample.failure.clone()),
            streams_taken_again: samples.iter().map(|sample| sample.streams_taken_again).sum(),
            wal_bytes: optional(|sample| sample.wal_bytes),
            stored_bytes: optional(|sample| sample.stored_bytes),
            stored_ratio: optional(|sample| sample.stored_ratio),
            smallest_share: optional(|sample| sample.smallest_share),
        }
    }
}

/// Returns the median: of an even number, the mean of the two in the middle.
fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_unstable_by(f64::total_cmp);
    match (numbers.len(), numbers.len() / 2) {
        (0, _) => f64::NAN,
        (length, half) if length % 2 == 0 => f64::midpoint(numbers[half - 1], numbers[half]),
        (_, half) => numbers[half],
    }
}
