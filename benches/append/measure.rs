//! Closed-loop clients, and what is measured of them.
//!
//! Every client sends its next event when the last was answered. After a warm-up, what is answered within the window
//! counts; an event that needs several attempts counts once, with the time from its first.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::process;

/// Result of the bench's own work.
pub(crate) type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Attempts at one event before the measurement is given up.
const ATTEMPTS: u32 = 10_000;

/// What became of one attempt.
#[derive(Debug)]
pub(crate) enum Attempt {
    /// So many events are durable.
    Recorded(u64),
    /// Another client was faster; the next attempt is on the same event.
    Conflict,
    /// Something failed; the next attempt is on the same event.
    Failed(String),
}

/// One client of a peer.
pub(crate) trait Client: Send + 'static {
    /// Attempts one event: the one of the last attempt, unless that was recorded.
    fn append(&mut self) -> impl Future<Output = Attempt> + Send;
}

/// How long a measurement takes.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Window {
    pub(crate) warm_up: Duration,
    pub(crate) measured: Duration,
}

impl Window {
    pub(crate) fn seconds(self) -> f64 {
        (self.warm_up + self.measured).as_secs_f64()
    }
}

/// What all clients of one measurement did.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// Length of the window.
    pub(crate) seconds: f64,
    /// Events answered within it.
    pub(crate) events: u64,
    /// Attempts that those took.
    pub(crate) attempts: u64,
    /// Events answered at all, before and after it too.
    pub(crate) acknowledged: u64,
    /// Attempts that failed other than by a conflict.
    pub(crate) failures: u64,
    /// What the first of them said.
    pub(crate) failure: Option<String>,
    /// Microseconds that each append within the window took, sorted.
    pub(crate) latencies_micros: Vec<u32>,
    /// CPU time of this process within the window.
    pub(crate) client_cpu_seconds: f64,
    /// CPU time of the database server within the window.
    pub(crate) server_cpu_seconds: f64,
}

impl Measured {
    /// Adds what other clients did in the same window.
    pub(crate) fn add(&mut self, other: Self) {
        self.seconds = self.seconds.max(other.seconds);
        self.events += other.events;
        self.attempts += other.attempts;
        self.acknowledged += other.acknowledged;
        self.failures += other.failures;
        self.failure = self.failure.take().or(other.failure);
        self.latencies_micros.extend(other.latencies_micros);
        self.latencies_micros.sort_unstable();
        self.client_cpu_seconds += other.client_cpu_seconds;
        self.server_cpu_seconds += other.server_cpu_seconds;
    }

    pub(crate) fn events_per_second(&self) -> f64 {
        as_f64(self.events) / self.seconds.max(f64::MIN_POSITIVE)
    }

    /// Returns a percentile of the latencies, in microseconds.
    pub(crate) fn percentile_micros(&self, percent: usize) -> f64 {
        let all = &self.latencies_micros;
        let at = (all.len() * percent).div_ceil(100).saturating_sub(1);
        all.get(at).map_or(f64::NAN, |micros| f64::from(*micros))
    }
}

/// Returns a count as a float; none of ours comes near 2^53.
#[expect(clippy::cast_precision_loss, reason = "counts of events and bytes are far below 2^53")]
pub(crate) fn as_f64(count: u64) -> f64 {
    count as f64
}

const WARM_UP: u8 = 0;
const MEASURING: u8 = 1;
const OVER: u8 = 2;

/// What one client did.
#[derive(Default)]
struct Tally {
    events: u64,
    attempts: u64,
    acknowledged: u64,
    failures: u64,
    failure: Option<String>,
    latencies_micros: Vec<u32>,
}

/// Runs clients through a window and returns them with what they did.
pub(crate) async fn run<C: Client>(
    clients: Vec<C>,
    window: Window,
    server: Option<u32>,
) -> Outcome<(Measured, Vec<C>)> {
    let phase = Arc::new(AtomicU8::new(WARM_UP));
    let tasks: Vec<_> =
        clients.into_iter().map(|client| tokio::spawn(work(client, Arc::clone(&phase)))).collect();
    tokio::time::sleep(window.warm_up).await;
    let before = (process::own_cpu()?, server.map_or(Ok(0.0), process::tree_cpu)?);
    let started = Instant::now();
    phase.store(MEASURING, Ordering::SeqCst);
    tokio::time::sleep(window.measured).await;
    phase.store(OVER, Ordering::SeqCst);
    let seconds = started.elapsed().as_secs_f64();
    let after = (process::own_cpu()?, server.map_or(Ok(0.0), process::tree_cpu)?);
    let mut measured = Measured {
        seconds,
        client_cpu_seconds: after.0 - before.0,
        server_cpu_seconds: after.1 - before.1,
        ..Measured::default()
    };
    let mut clients = Vec::with_capacity(tasks.len());
    for task in tasks {
        let (client, tally) = task.await??;
        clients.push(client);
        measured.events += tally.events;
        measured.attempts += tally.attempts;
        measured.acknowledged += tally.acknowledged;
        measured.failures += tally.failures;
        measured.failure = measured.failure.take().or(tally.failure);
        measured.latencies_micros.extend(tally.latencies_micros);
    }
    measured.latencies_micros.sort_unstable();
    Ok((measured, clients))
}

async fn work<C: Client>(mut client: C, phase: Arc<AtomicU8>) -> Outcome<(C, Tally)> {
    let mut tally = Tally::default();
    while phase.load(Ordering::SeqCst) != OVER {
        let (started, mut attempts) = (Instant::now(), 0);
        let recorded = loop {
            attempts += 1;
            match client.append().await {
                Attempt::Recorded(events) => break events,
                Attempt::Conflict => {}
                Attempt::Failed(what) => {
                    tally.failures += 1;
                    tally.failure.get_or_insert(what);
                }
            }
            if attempts >= ATTEMPTS {
                let what = tally.failure.as_deref().unwrap_or("nothing but conflicts");
                return Err(format!("an event was not recorded in {ATTEMPTS} attempts: {what}").into());
            }
        };
        tally.acknowledged += recorded;
        if phase.load(Ordering::SeqCst) == MEASURING {
            let micros = u32::try_from(started.elapsed().as_micros()).unwrap_or(u32::MAX);
            tally.latencies_micros.push(micros);
            tally.events += recorded;
            tally.attempts += u64::from(attempts);
        }
    }
    Ok((client, tally))
}
