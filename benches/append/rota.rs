//! Which stream a client appends to next.
//!
//! Invariant: where every client has streams of its own, no two hold one stream at the same time, unless the streams
//! that were made ready have run out; that is counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::{Deserialize, Serialize};

/// How long streams are, and who appends to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Shape {
    /// Each client appends ten events to a stream of its own, then turns to the next.
    Short,
    /// The same on streams that hold this many events on average while they are appended to.
    Long(usize),
    /// All clients append to one stream; together they turn to the next after 100 events.
    Shared,
}

impl Shape {
    /// Events that a stream holds before the measurement.
    pub(crate) fn existing(self) -> usize {
        match self {
            Self::Short | Self::Shared => 0,
            Self::Long(length) => length * 3 / 4,
        }
    }

    /// Events appended to a stream before the next is taken.
    pub(crate) fn run(self) -> usize {
        match self {
            Self::Short => 10,
            Self::Long(length) => length / 2,
            Self::Shared => 100,
        }
    }

    /// Streams that so many events need.
    pub(crate) fn streams(self, events: usize, clients: usize) -> usize {
        events.div_ceil(self.run()) + if self == Self::Shared { 1 } else { clients }
    }
}

/// The streams of one measurement.
#[derive(Debug)]
pub(crate) struct Rota {
    shape: Shape,
    from: usize,
    /// Streams made ready; later ones are the first ones again.
    ready: usize,
    next: AtomicUsize,
}

impl Rota {
    pub(crate) fn new(shape: Shape, from: usize, ready: usize) -> Arc<Self> {
        Arc::new(Self { shape, from, ready, next: AtomicUsize::new(0) })
    }

    /// Returns how many streams were taken again because those made ready ran out.
    pub(crate) fn taken_again(&self) -> usize {
        let taken = self.next.load(Ordering::Relaxed);
        let taken = if self.shape == Shape::Shared { taken.div_ceil(self.shape.run()) } else { taken };
        taken.saturating_sub(self.ready)
    }
}

/// One client's place in the rota.
#[derive(Debug)]
pub(crate) struct Place {
    rota: Arc<Rota>,
    stream: usize,
    left: usize,
}

impl Place {
    pub(crate) fn new(rota: &Arc<Rota>) -> Self {
        Self { rota: Arc::clone(rota), stream: 0, left: 0 }
    }

    /// Returns the number of the stream that the next event goes to.
    pub(crate) fn next(&mut self) -> usize {
        let rota = &self.rota;
        let turn = match rota.shape {
            Shape::Shared => rota.next.fetch_add(1, Ordering::Relaxed) / rota.shape.run(),
            _ if self.left == 0 => {
                self.left = rota.shape.run();
                rota.next.fetch_add(1, Ordering::Relaxed)
            }
            _ => {
                self.left -= 1;
                return self.stream;
            }
        };
        self.left = self.left.saturating_sub(1);
        self.stream = rota.from + turn % rota.ready;
        self.stream
    }
}
