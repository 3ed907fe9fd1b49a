//! The table of the issue that this bench answers: what a probe reached, what is to be reached, what was measured.

use comfy_table::{Table, presets};
use serde::Serialize;

use crate::plan::{Kind, Store};
use crate::report::Record;
use crate::sample::Sample;

/// One row.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Goal {
    case: String,
    probe: &'static str,
    target: f64,
    /// Whether the target is a least or a most.
    at_most: bool,
    measured: f64,
    met: bool,
}

/// The records of a run, to look numbers up in.
struct Found<'a> {
    records: &'a [Record],
    store: Store,
    fsync_millis: f64,
}

impl<'a> Found<'a> {
    fn peer(&self, case: Kind, clients: usize, length: usize, peer: &str) -> Option<&'a Sample> {
        let found = self.records.iter().find(|record| {
            let same = (record.fsync_millis - self.fsync_millis).abs() < f64::EPSILON;
            same && (record.store, record.case, record.clients) == (self.store, case, clients)
                && (record.stream_length, record.peer.as_str()) == (length, peer)
        });
        found.map(|record| &record.median)
    }

    /// Stock at its better pool size.
    fn stock(&self, case: Kind, clients: usize, length: usize) -> Option<&'a Sample> {
        ["stock-10", "stock-64"]
            .into_iter()
            .filter_map(|peer| self.peer(case, clients, length, peer))
            .max_by(|one, other| one.events_per_second.total_cmp(&other.events_per_second))
    }

    fn clients(&self, clients: usize, peer: &str) -> Option<&'a Sample> {
        self.peer(Kind::Clients, clients, 10, peer)
    }

    fn against_stock(&self, clients: usize, peer: &str) -> Option<f64> {
        Some(rate(self.clients(clients, peer)?) / rate(self.stock(Kind::Clients, clients, 10)?))
    }

    /// p99 against stock's p50, which it is to be below.
    fn tail(&self, clients: usize, peer: &str) -> Option<f64> {
        Some(self.clients(clients, peer)?.p99_micros / self.stock(Kind::Clients, clients, 10)?.p50_micros)
    }
}

fn rate(sample: &Sample) -> f64 {
    sample.events_per_second
}

/// The rows, where they could be measured.
#[derive(Default)]
struct Rows(Vec<Goal>);

impl Rows {
    fn least(&mut self, case: impl Into<String>, probe: &'static str, goal: f64, measured: Option<f64>) {
        self.add(case.into(), probe, goal, false, measured);
    }

    fn most(&mut self, case: impl Into<String>, probe: &'static str, goal: f64, measured: Option<f64>) {
        self.add(case.into(), probe, goal, true, measured);
    }

    fn add(&mut self, case: String, probe: &'static str, goal: f64, at_most: bool, measured: Option<f64>) {
        if let Some(measured) = measured {
            let met = if at_most { measured <= goal } else { measured >= goal };
            self.0.push(Goal { case, probe, target: goal, at_most, measured, met });
        }
    }
}

/// Returns the rows that these records can answer.
pub(crate) fn goals(records: &[Record]) -> Vec<Goal> {
    let mut rows = Rows::default();
    let postgres = Found { records, store: Store::Postgres, fsync_millis: 0.0 };
    on_postgres(&postgres, &mut rows);
    slower(&Found { fsync_millis: 1.0, ..postgres }, &mut rows);
    on_sqlite(&Found { records, store: Store::Sqlite, fsync_millis: 0.0 }, &mut rows);
    rows.0
}

fn on_postgres(found: &Found<'_>, rows: &mut Rows) {
    for (clients, probe, goal) in [(1, "2.1", 2.0), (8, "3.5", 4.0), (64, "6.0", 8.0)] {
        rows.least(against(clients, "guard"), probe, goal, found.against_stock(clients, "guard"));
    }
    rows.most("PostgreSQL, 64 clients, guard: p99 against stock's p50", "-", 1.0, found.tail(64, "guard"));
    for (clients, raw, probe, goal) in
        [(256, "raw-1000", "0.34 to 0.46", 0.5), (1, "raw-1", "0.53 to 0.63", 0.6)]
    {
        let ratio = found.clients(clients, "guard").zip(found.clients(clients, raw));
        let case = format!("PostgreSQL, {clients} client(s), guard, against {raw}");
        rows.least(case, probe, goal, ratio.map(|(guard, raw)| rate(guard) / rate(raw)));
    }
    for (clients, probe, goal) in [(1, "1.4", 1.5), (8, "2.3", 2.5), (64, "5.0", 6.0)] {
        rows.least(against(clients, "strict"), probe, goal, found.against_stock(clients, "strict"));
    }
    let chain = found.clients(64, "guard").zip(found.clients(64, "textbook"));
    let chain = chain.map(|(guard, textbook)| rate(guard) / rate(textbook));
    rows.least("PostgreSQL, 64 clients, guard, against the textbook chain", "about 15", 15.0, chain);
    let of = |count: usize| found.peer(Kind::Processes, 64, 10, &format!("guard-{count}-processes"));
    let two = of(2).zip(of(1)).map(|(two, one)| rate(two) / rate(one));
    rows.least("PostgreSQL, 64 clients, two processes against one", "0.5 to 0.66", 0.6, two);
    let share = of(2).and_then(|two| two.smallest_share);
    rows.least("  the smaller process's share of an equal part", "-", 0.5, share);
    by_stream("PostgreSQL", found, rows);
    let stored = found.clients(64, "guard").and_then(|guard| guard.stored_ratio);
    rows.most("PostgreSQL, bytes stored for each byte of an entry", "1.5", 1.6, stored);
    let wal = found.clients(64, "guard").zip(found.stock(Kind::Clients, 64, 10));
    let wal = wal.and_then(|(guard, stock)| Some(guard.wal_bytes? / stock.wal_bytes?));
    rows.most("PostgreSQL, WAL an entry against stock, 64 clients", "1.4", 1.6, wal);
}

fn slower(found: &Found<'_>, rows: &mut Rows) {
    let guard = [(1, "1.35", 1.35), (8, "1.7", 1.7), (64, "4.8", 4.8)].map(|row| ("guard", row));
    let strict = [(1, "0.6", 0.6), (8, "0.9", 0.9), (64, "3.4", 3.4)].map(|row| ("strict", row));
    for (peer, (clients, probe, goal)) in guard.into_iter().chain(strict) {
        let case = format!("1 ms fsync: {}", against(clients, peer));
        rows.least(case, probe, goal, found.against_stock(clients, peer));
    }
}

fn on_sqlite(found: &Found<'_>, rows: &mut Rows) {
    for peer in ["guard", "strict"] {
        for (clients, probe, goal) in [(8, "4.4", 5.0), (64, "6.3", 6.0)] {
            let case = format!("SQLite, {clients} clients, {peer}, against stock");
            rows.least(case, probe, goal, found.against_stock(clients, peer));
            #[expect(clippy::cast_precision_loss, reason = "a count of failures")]
            let failures = found.clients(clients, peer).map(|sample| sample.failures as f64);
            rows.most(
                format!("  its failures, such as 'database is locked' ({peer}, {clients})"),
                "0",
                0.0,
                failures,
            );
        }
        let case = format!("SQLite, 64 clients, {peer}: p99 against stock's p50");
        rows.most(case, "-", 1.0, found.tail(64, peer));
    }
    by_stream("SQLite", found, rows);
    let stored = found.clients(64, "guard").and_then(|guard| guard.stored_ratio);
    rows.most("SQLite, bytes stored for each byte of an entry", "1.5", 1.6, stored);
}

fn by_stream(store: &str, found: &Found<'_>, rows: &mut Rows) {
    let of = |length: usize| found.peer(Kind::Streams, 8, length, "guard");
    let long = of(1_000).zip(of(10)).map(|(long, short)| rate(long) / rate(short));
    rows.least(format!("{store}, streams of 1,000 events against 10, guard"), "- (stock: 0.06)", 0.8, long);
    let one = found.peer(Kind::OneStream, 8, 100, "guard").zip(found.stock(Kind::OneStream, 8, 100));
    let one = one.map(|(guard, stock)| rate(guard) / rate(stock));
    rows.least(format!("{store}, 8 clients on one stream, guard, against stock"), "-", 10.0, one);
}

fn against(clients: usize, peer: &str) -> String {
    let s = if clients == 1 { "" } else { "s" };
    format!("PostgreSQL, {clients} client{s}, {peer}, against stock at its better pool size")
}

/// Prints the rows.
pub(crate) fn print(goals: &[Goal]) {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["case", "probe", "goal", "measured", ""]);
    for goal in goals {
        let sign = if goal.at_most { "≤" } else { "≥" };
        let met = if goal.met { "met" } else { "short" };
        table.add_row([
            goal.case.clone(),
            goal.probe.to_owned(),
            format!("{sign} {}", goal.target),
            format!("{:.2}", goal.measured),
            met.to_owned(),
        ]);
    }
    println!("{table}");
}
