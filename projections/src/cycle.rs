//! One cycle: the state of one term of an agreement, folded from the entries of its stream.
//!
//! Invariants: [`Cycle::apply`] takes any entry of the stream, however forged, and never panics; facts are what the
//! records say after their corrections, and a corrected record keeps what it said before; irregularities are found
//! when an entry is taken in and are never lost. Equal entries give equal JSON, byte for byte.
//! Absent: refusing (the application), due dates (module `obligations`).

mod facts;
mod parts;
mod record;
mod state;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use weituo_events::payload::{EntryRef, RulebookPin};
use weituo_events::{Event, Recorded, Text};
use weituo_proof::{Effective, Hash};

use crate::dates;
use crate::rulebook::{Rulebook, Rulebooks, Severity};
use crate::rules::{self, Breach, Replaced};

pub use facts::Facts;
pub use parts::*;
pub use record::{Correction, Record, paper, pinned_by, year_of};
pub use state::{CycleState, Milestones, Standing};

/// A rule broken, as the pinned rulebook sees it (疑点): a machine suspects, people decide.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Irregularity {
    /// What of the entry it is about, such as `expert:e2`.
    pub about: Option<String>,
    /// True when the entry was recorded afterwards from paper.
    pub as_found: bool,
    /// When the act took place.
    pub effective: Effective,
    /// True when the rule is a local setting.
    pub local: bool,
    /// Sequence of the entry that set it right, such as a recusal.
    pub remedied_by: Option<u64>,
    /// Code of the rule.
    pub rule: String,
    /// Sequence of the entry; absent where the irregularity is about the cycle as a whole.
    pub sequence: Option<u64>,
    /// How grave.
    pub severity: Severity,
    /// The passage that the rule rests on.
    pub source: Option<String>,
    /// What is irregular.
    pub text: Text,
}

/// How late entries were recorded, summed up: one irregularity for the cycle, details in its timeline.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordingDelay {
    /// How many entries were recorded later than the rulebook allows.
    pub count: u32,
    /// Sequence of the one recorded latest after its act.
    pub worst_sequence: u64,
    /// Its delay in working days.
    pub worst_working_days: u32,
}

/// State of one cycle.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored")]
pub struct Cycle {
    /// What holds, corrections taken in: what the records say, so it is not stored beside them.
    #[serde(skip_serializing)]
    pub facts: Facts,
    /// Id: the part of its stream after `agreement/`.
    pub id: String,
    /// Irregularities found when entries were taken in, in the order of the stream.
    pub irregularities: Vec<Irregularity>,
    /// Every entry, in the order of the stream.
    pub records: Vec<Record>,
}

/// A cycle as it is stored.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    id: String,
    irregularities: Vec<Irregularity>,
    records: Vec<Record>,
}

impl From<Stored> for Cycle {
    fn from(Stored { id, irregularities, records }: Stored) -> Self {
        Self { facts: Facts::of(&records), id, irregularities, records }
    }
}

impl Cycle {
    /// Takes in the stream's next entry.
    pub fn apply(&mut self, recorded: &Recorded, rulebooks: &Rulebooks) {
        if self.id.is_empty() {
            recorded.act.stream.id().clone_into(&mut self.id);
        }
        let recorded_on = dates::recorded_on(recorded.recorded_at, rulebooks.zone_minutes());
        let rulebook = self.rulebook_for(&recorded.act.event, rulebooks);
        let breaches = match rulebook {
            Some(rulebook) => rules::breaches(self, &recorded.act, recorded_on, rulebook),
            None => rules::without_rulebook(self, &recorded.act, recorded_on),
        };
        for breach in breaches {
            self.irregularities.push(breach.into_irregularity(recorded));
        }
        let late = rulebook.and_then(|rulebook| recorded_late(recorded, recorded_on, rulebook));
        let record = Record::of(recorded, late);
        match &recorded.act.event {
            Event::RecordCorrected(correction) => {
                if let Some(replaced) = rulebook.and_then(|rules| rules::replaced(self, &recorded.act, rules))
                {
                    self.judge_again(recorded, replaced);
                }
                self.correct(recorded, correction.corrects.sequence);
                self.records.push(record);
                self.facts = Facts::of(&self.records);
            }
            Event::RecusalDeclared(recusal) => {
                let about = rules::about_expert(&recusal.expert);
                for found in
                    self.irregularities.iter_mut().filter(|found| found.about.as_ref() == Some(&about))
                {
                    found.remedied_by.get_or_insert(recorded.sequence);
                }
                self.take(record);
            }
            _ => self.take(record),
        }
    }

    fn take(&mut self, record: Record) {
        self.facts.take(&record);
        self.records.push(record);
    }

    /// Keeps what a correction adds to the irregularities, and marks those that it ends.
    fn judge_again(&mut self, recorded: &Recorded, replaced: Replaced) {
        for found in self.irregularities.iter_mut().filter(|found| replaced.remedies(found)) {
            found.remedied_by.get_or_insert(recorded.sequence);
        }
        for breach in replaced.added {
            let effective = replaced.effective.clone();
            self.irregularities.push(Irregularity { effective, ..breach.into_irregularity(recorded) });
        }
    }

    fn correct(&mut self, recorded: &Recorded, sequence: u64) {
        let Event::RecordCorrected(correction) = &recorded.act.event else { return };
        if let Some(record) = self.records.iter_mut().find(|record| record.sequence == sequence) {
            record.correct(recorded.sequence, correction);
        }
    }

    /// Returns true before the first entry.
    pub fn is_new(&self) -> bool {
        self.records.is_empty()
    }

    /// Returns the sequence of the last entry; 0 before the first.
    pub fn last_sequence(&self) -> u64 {
        self.records.last().map_or(0, |record| record.sequence)
    }

    /// Returns the leaf hash of the last entry.
    pub fn last_leaf(&self) -> Option<Hash> {
        self.records.last().map(|record| record.leaf_hash)
    }

    /// Returns one record by its sequence.
    pub fn record(&self, sequence: u64) -> Option<&Record> {
        self.records.iter().find(|record| record.sequence == sequence)
    }

    /// Returns a reference to an entry of this stream, complete with its leaf hash.
    pub fn entry_ref(&self, sequence: u64) -> Option<EntryRef> {
        self.record(sequence).map(|record| EntryRef { leaf: Some(record.leaf_hash), sequence })
    }

    /// Returns the rulebook pinned so far.
    pub fn pin(&self) -> Option<&RulebookPin> {
        self.facts.rulebook.as_ref()
    }

    /// Returns the rules that this cycle is under.
    pub fn rulebook<'r>(&self, rulebooks: &'r Rulebooks) -> Option<&'r Rulebook> {
        rulebooks.pinned(self.pin()?).map(AsRef::as_ref)
    }

    /// Returns the rules that an event is judged by: those it pins itself, else the cycle's.
    pub fn rulebook_for<'r>(&self, event: &Event, rulebooks: &'r Rulebooks) -> Option<&'r Rulebook> {
        match pinned_by(event) {
            Some(pin) if !self.facts.is_signed() => rulebooks.pinned(pin).map(AsRef::as_ref),
            _ => self.rulebook(rulebooks),
        }
    }

    /// Returns the cycle as its acts of up to a day make it: later acts are left out, corrections are kept.
    #[must_use]
    pub fn as_of(&self, on: NaiveDate) -> Self {
        let happened = |effective: &Effective| dates::earliest(effective) <= on;
        let records: Vec<_> =
            self.records.iter().filter(|record| happened(&record.effective)).cloned().collect();
        let irregularities = self.irregularities.iter().filter(|found| happened(&found.effective)).cloned();
        Self {
            facts: Facts::of(&records),
            id: self.id.clone(),
            irregularities: irregularities.collect(),
            records,
        }
    }

    /// Returns where the cycle stands on a day.
    pub fn standing(&self, on: NaiveDate) -> Standing {
        Standing::of(&self.as_of(on).facts, on)
    }

    /// Returns the cycle's state on a day, without what overlays it.
    pub fn state(&self, on: NaiveDate) -> CycleState {
        self.standing(on).state
    }

    /// Returns how late entries were recorded.
    pub fn recording_delay(&self) -> RecordingDelay {
        let mut delay = RecordingDelay::default();
        for (record, days) in self.records.iter().filter_map(|record| Some((record, record.recorded_after?)))
        {
            delay.count = delay.count.saturating_add(1);
            if days > delay.worst_working_days {
                delay.worst_working_days = days;
                delay.worst_sequence = record.sequence;
            }
        }
        delay
    }

    /// Returns how many irregularities each rule has led to, in the order of the codes.
    pub fn irregularity_counts(&self) -> BTreeMap<&str, u32> {
        let mut counts = BTreeMap::new();
        for irregularity in &self.irregularities {
            *counts.entry(irregularity.rule.as_str()).or_insert(0) += 1;
        }
        counts
    }
}

/// The working days from an act to its recording, where they are more than the rulebook allows; not told of what was
/// recorded from paper.
fn recorded_late(recorded: &Recorded, recorded_on: NaiveDate, rulebook: &Rulebook) -> Option<u32> {
    let (allowed, _) = rulebook.recording_days().filter(|_| !recorded.act.as_found)?;
    let acted_on = dates::latest(&recorded.act.effective);
    let days = rulebook.working_calendar().working_days_between(acted_on, recorded_on);
    (days > allowed).then_some(days)
}

impl Breach {
    fn into_irregularity(self, recorded: &Recorded) -> Irregularity {
        Irregularity {
            about: self.about,
            as_found: recorded.act.as_found,
            effective: recorded.act.effective.clone(),
            local: self.local,
            remedied_by: None,
            rule: self.rule,
            sequence: Some(recorded.sequence),
            severity: self.severity,
            source: self.source,
            text: self.text,
        }
    }
}
