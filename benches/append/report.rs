//! What the bench prints and writes.

use comfy_table::{Table, presets};
use serde::{Deserialize, Serialize};

use crate::flush::Flush;
use crate::plan::{Group, Kind, Store};
use crate::sample::Sample;

/// One peer's numbers in one case.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) fsync_millis: f64,
    pub(crate) store: Store,
    pub(crate) case: Kind,
    pub(crate) clients: usize,
    pub(crate) stream_length: usize,
    pub(crate) peer: String,
    pub(crate) median: Sample,
    pub(crate) rounds: Vec<Sample>,
}

/// One run: everything measured with flushes of one speed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) machine: String,
    pub(crate) postgres: Option<String>,
    /// Milliseconds added to every flush.
    pub(crate) fsync_millis: f64,
    pub(crate) flush: Flush,
    pub(crate) payload_bytes: usize,
    pub(crate) entry_bytes: usize,
    pub(crate) seconds: f64,
    pub(crate) warm_up_seconds: f64,
    pub(crate) cold: bool,
    pub(crate) records: Vec<Record>,
}

impl Part {
    /// Returns what a reader must know before the numbers.
    pub(crate) fn heading(&self) -> String {
        let postgres =
            self.postgres.as_ref().map_or_else(String::new, |shown| format!("PostgreSQL: {shown}\n"));
        format!(
            "\n==== flushes with {} ms added: an fdatasync of 4 KiB takes {:.3} ms here ({:.3} the fastest)\n{}\n{postgres}SQLite: WAL, \
             synchronous FULL\nconnections: stock-10 and stock-64 a pool of so many (SQLite: 10, its default), textbook \
             a pool of {}, raw-1 one a client, raw-1000 one, Weituo one for writing and 8 for reading\npayload {} bytes, \
             a ledger entry {} bytes; {} s a measurement after {:.1} s of warm-up{}\n",
            self.fsync_millis,
            self.flush.median_micros / 1_000.0,
            self.flush.fastest_micros / 1_000.0,
            self.machine,
            crate::textbook::POOL,
            self.payload_bytes,
            self.entry_bytes,
            self.seconds,
            self.warm_up_seconds,
            if self.cold { "; the ledger opened anew before each" } else { "" },
        )
    }
}

/// Prints one group: its peers, the better of stock's pools as the measure of the others.
pub(crate) fn print_group(group: &Group, records: &[Record]) {
    let stock = records
        .iter()
        .filter(|record| record.peer.starts_with("stock"))
        .map(|record| record.median.events_per_second)
        .max_by(f64::total_cmp);
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header([
        "peer",
        "events/s",
        "× stock",
        "p50 ms",
        "p99 ms",
        "CPU µs/event: clients",
        "server",
        "attempts",
        "WAL B",
        "stored B",
        "× entry",
    ]);
    for record in records {
        let median = &record.median;
        let optional = |number: Option<f64>, digits: usize| {
            number.map_or_else(|| "-".to_owned(), |number| format!("{number:.digits$}"))
        };
        table.add_row([
            record.peer.clone(),
            format!("{:.0}", median.events_per_second),
            optional(stock.map(|stock| median.events_per_second / stock), 2),
            format!("{:.2}", median.p50_micros / 1_000.0),
            format!("{:.2}", median.p99_micros / 1_000.0),
            format!("{:.0}", median.client_cpu_micros),
            optional((record.store == Store::Postgres).then_some(median.server_cpu_micros), 0),
            format!("{:.2}", median.attempts_per_event),
            optional(median.wal_bytes, 0),
            optional(median.stored_bytes, 0),
            optional(median.stored_ratio, 2),
        ]);
    }
    println!("{}\n{table}", group.title());
    for record in records {
        let Record { peer, median, .. } = record;
        if let Some(failure) = &median.failure {
            println!("{peer}: {} attempts failed, the first with: {failure}", median.failures);
        }
        if median.streams_taken_again > 0 {
            println!("{peer}: {} streams were taken again and grew longer", median.streams_taken_again);
        }
        if let Some(share) = median.smallest_share {
            println!("{peer}: the smallest process recorded {:.0} % of an equal part", share * 100.0);
        }
    }
    println!();
}
