//! The cache of streams' states, bounded by the entries folded into them.
//!
//! Invariants: it keeps at most two generations, and of a stream the newest state only; a state in use stays when the older
//! generation goes.

use std::collections::HashMap;

use weituo_proof::StreamName;

use super::streams::Loaded;

/// Entries folded into the states of one generation.
const GENERATION: u64 = 100_000;

/// States at hand, and which are being read: what is forgotten meanwhile may be old, and is not kept.
#[derive(Debug, Default)]
pub(super) struct Kept {
    young: HashMap<StreamName, Loaded>,
    old: HashMap<StreamName, Loaded>,
    /// Entries folded into the states of the young generation.
    entries: u64,
    /// Number of the newest reading of each stream that is being read.
    reading: HashMap<StreamName, u64>,
    readings: u64,
}

impl Kept {
    /// Returns a stream's state.
    pub(super) fn get(&mut self, stream: &StreamName) -> Option<Loaded> {
        if let Some(loaded) = self.young.get(stream) {
            return Some(loaded.clone());
        }
        let loaded = self.old.remove(stream)?;
        self.put(stream, loaded.clone());
        Some(loaded)
    }

    /// Takes a stream's state out.
    pub(super) fn take(&mut self, stream: &StreamName) -> Option<Loaded> {
        let young = self.young.remove(stream).inspect(|loaded| self.entries -= weight(loaded));
        let old = self.old.remove(stream);
        young.or(old)
    }

    /// Keeps a state, unless a newer one of its stream is kept.
    pub(super) fn put(&mut self, stream: &StreamName, loaded: Loaded) {
        let newest = match self.take(stream) {
            Some(kept) if kept.sequence() > loaded.sequence() => kept,
            _ => loaded,
        };
        if self.entries >= GENERATION {
            let gone = std::mem::replace(&mut self.old, std::mem::take(&mut self.young));
            self.entries = 0;
            // Freeing so many states takes tens of milliseconds, in which nobody could decide. Without a thread they are freed here.
            let _ = std::thread::Builder::new().spawn(move || drop(gone));
        }
        self.entries += weight(&newest);
        self.young.insert(stream.clone(), newest);
    }

    /// Forgets a stream's state.
    pub(super) fn forget(&mut self, stream: &StreamName) {
        self.take(stream);
        self.reading.remove(stream);
    }

    /// Forgets every state.
    pub(super) fn forget_all(&mut self) {
        *self = Self { readings: self.readings, ..Self::default() };
    }

    /// Notes that a stream is being read and returns the reading's number.
    pub(super) fn begin_reading(&mut self, stream: &StreamName) -> u64 {
        self.readings += 1;
        self.reading.insert(stream.clone(), self.readings);
        self.readings
    }

    /// Keeps what was read, unless the stream was forgotten or read again meanwhile.
    pub(super) fn end_reading(&mut self, stream: &StreamName, number: u64, loaded: &Loaded) {
        if self.reading.get(stream) == Some(&number) {
            self.reading.remove(stream);
            self.put(stream, loaded.clone());
        }
    }
}

fn weight(loaded: &Loaded) -> u64 {
    loaded.sequence().max(1)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use weituo_events::Category;
    use weituo_projections::StreamState;
    use weituo_proof::{Hash, StreamHead};

    use super::*;

    fn state(sequence: u64) -> Loaded {
        let head = Some(StreamHead { sequence, leaf_hash: Hash::ZERO });
        Loaded { state: Arc::new(StreamState::new(Category::Agreement)), head }
    }

    fn stream(number: u64) -> StreamName {
        StreamName::new(format!("agreement/A-{number}")).unwrap()
    }

    #[test]
    fn states_go_with_their_generation_unless_they_are_used() {
        let mut kept = Kept::default();
        for number in 0..200 {
            kept.put(&stream(number), state(2_000));
            assert!(kept.get(&stream(0)).is_some(), "in use at {number}");
        }
        assert!(kept.young.len() + kept.old.len() <= 101);
        assert!(kept.get(&stream(199)).is_some());
        assert!(kept.get(&stream(1)).is_none());
    }

    #[test]
    fn an_older_state_never_replaces_a_newer_one() {
        let mut kept = Kept::default();
        kept.put(&stream(1), state(5));
        kept.put(&stream(1), state(4));
        assert_eq!(kept.get(&stream(1)).map(|loaded| loaded.sequence()), Some(5));
        assert_eq!(kept.entries, 5);
        kept.forget(&stream(1));
        assert!(kept.get(&stream(1)).is_none());
        assert_eq!(kept.entries, 0);
    }

    #[test]
    fn what_is_forgotten_while_it_is_read_is_not_kept() {
        let mut kept = Kept::default();
        let (one, two) = (kept.begin_reading(&stream(1)), kept.begin_reading(&stream(2)));
        kept.forget(&stream(1));
        kept.end_reading(&stream(1), one, &state(1));
        kept.end_reading(&stream(2), two, &state(1));
        assert!(kept.get(&stream(1)).is_none());
        assert!(kept.get(&stream(2)).is_some());
        assert!(kept.reading.is_empty());
    }
}
