//! The state of a scan that found nothing wrong so far, saved and gone on from.
//!
//! Invariants: nothing is saved once anything is in doubt; what is loaded was established for the same log and the same
//! question.
//! Source: design.md "Scale" (audit is resumable).

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use weituo_proof::map::Map;
use weituo_proof::{RecordedAt, StreamName};
use weituo_verifier::Facts;

use super::Scan;
use crate::verify::chain::Chains;
use crate::verify::disclosures::Disclosures;
use crate::verify::replay::{Head, Replay, SavedReplay};
use crate::verify::report::Counts;
use crate::verify::resume::{self, LOG, Resume, Saver};

/// A scan that found nothing wrong so far, by its fields: what it is asked comes first, what it established follows.
#[derive(Serialize, Deserialize)]
struct Saved<O, C, F, D, M> {
    origin: O,
    asked: Option<StreamName>,
    next: u64,
    counts: Counts,
    last_recorded_at: Option<RecordedAt>,
    chains: C,
    facts: F,
    disclosures: D,
    replay: SavedReplay<M>,
}

/// A scan as it is written.
type Borrowed<'a> = Saved<&'a str, &'a Chains, &'a Facts, &'a Disclosures, &'a Map<Head>>;
/// A scan as it is read.
type Owned = Saved<String, Chains, Facts, Disclosures, Map<Head>>;

impl Scan {
    /// Goes on from what another verification of the same log, asked for the same, has saved. Returns where that is.
    pub(in crate::verify) fn go_on(self, resume: &Resume) -> (Self, Option<u64>) {
        match resume.load::<Owned>(LOG) {
            Some(saved) => self.go_on_from(saved),
            None => (self, None),
        }
    }

    /// The same from a file that `write` wrote.
    pub(in crate::verify) fn go_on_from_file(self, path: &Path, form: &[u8]) -> Self {
        match resume::read::<Owned>(path, form) {
            Some(saved) => self.go_on_from(saved).0,
            None => self,
        }
    }

    fn go_on_from(self, saved: Owned) -> (Self, Option<u64>) {
        if saved.origin != self.origin || saved.asked != self.asked || saved.next > self.size {
            return (self, None);
        }
        let wanted = Replay::new(self.replay.wanted());
        let Some(replay) = wanted.go_on(saved.replay).filter(|replay| replay.size() == saved.next) else {
            return (self, None);
        };
        let went_on = Self {
            chains: saved.chains,
            facts: saved.facts,
            disclosures: saved.disclosures,
            replay,
            counts: saved.counts,
            last_recorded_at: saved.last_recorded_at,
            next: saved.next,
            ..self
        };
        (went_on, Some(saved.next))
    }

    pub(super) fn save(&self, saver: &mut Saver<'_>, nothing_found: bool) {
        if nothing_found && self.is_clean() {
            saver.save(|| self.state());
        }
    }

    /// Returns whether nothing is in doubt.
    pub(in crate::verify) fn is_clean(&self) -> bool {
        self.missing == 0
            && self.other_origin.is_none()
            && !self.chains.in_doubt()
            && self.replay.is_clean()
            && self.disclosures.is_clean()
    }

    /// Writes the state into a file, to go on from; nothing may be in doubt.
    pub(in crate::verify) fn write(&self, path: &Path, form: &[u8]) -> io::Result<()> {
        resume::write(path, form, &self.state())
    }

    fn state(&self) -> Borrowed<'_> {
        Saved {
            origin: self.origin.as_str(),
            asked: self.asked.clone(),
            next: self.next,
            counts: self.counts,
            last_recorded_at: self.last_recorded_at,
            chains: &self.chains,
            facts: &self.facts,
            disclosures: &self.disclosures,
            replay: self.replay.saved(),
        }
    }
}
