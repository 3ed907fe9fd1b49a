//! The state of a scan that found nothing wrong so far, saved and gone on from.
//!
//! Invariants: nothing is saved once anything is in doubt; what is loaded was established for the same log and the same
//! question.
//! Source: design.md "Scale" (audit is resumable).

use std::io;

use serde::{Deserialize, Serialize};
use weituo_proof::{RecordedAt, StreamName};
use weituo_verifier::Facts;

use super::Scan;
use crate::verify::chain::Chains;
use crate::verify::disclosures::Disclosures;
use crate::verify::names;
use crate::verify::replay::SavedReplay;
use crate::verify::report::Counts;
use crate::verify::resume::{self, Saver};

/// A scan that found nothing wrong so far, by its fields: what it is asked comes first, what it established follows.
#[derive(Serialize, Deserialize)]
struct Saved<O, C, F, D> {
    origin: O,
    asked: Option<StreamName>,
    next: u64,
    counts: Counts,
    last_recorded_at: Option<RecordedAt>,
    chains: C,
    facts: F,
    disclosures: D,
    replay: SavedReplay,
}

/// A scan as it is written.
type Borrowed<'a> = Saved<&'a str, &'a Chains, &'a Facts, &'a Disclosures>;
/// A scan as it is read.
type Owned = Saved<String, Chains, Facts, Disclosures>;

impl Scan {
    /// Goes on, empty as it is, from what another verification of the same log, asked for the same, has saved.
    pub(in crate::verify) fn go_on(self, saved: &mut resume::Saved) -> Option<Self> {
        let known: Owned = resume::get(saved)?;
        if known.origin != self.origin || known.asked != self.asked || known.next > self.size {
            return None;
        }
        let replay = self.replay.go_on(known.replay, saved).filter(|replay| replay.size() == known.next)?;
        Some(Self {
            chains: known.chains,
            facts: known.facts,
            disclosures: known.disclosures,
            replay,
            counts: known.counts,
            last_recorded_at: known.last_recorded_at,
            next: known.next,
            ..self
        })
    }

    pub(super) fn save(&self, saver: &mut Saver<'_>, nothing_found: bool) {
        if nothing_found && self.is_clean() {
            saver.save(|file| self.write(file));
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

    /// Writes the state, to go on from; nothing may be in doubt.
    pub(in crate::verify) fn write(&self, file: &mut impl io::Write) -> io::Result<()> {
        resume::put(file, &self.state())?;
        names::write(self.replay.names(), file)
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
