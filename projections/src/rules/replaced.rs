//! Judging a correction by what it makes the record say: the same rules, on the cycle without that record.
//!
//! The record is judged twice, as it stood and as corrected, at its own place in the stream and among everything
//! recorded since; what the correction adds is the difference, so later entries are not held against it.
//! Absent: what a correction may not touch at all (the application).

use weituo_events::{Act, Event, Text};
use weituo_proof::Effective;

use super::{Breach, Case, breach, judge};
use crate::cycle::{Cycle, Facts, Irregularity, Record};
use crate::rulebook::Rulebook;

/// What a correction does to the rules that its record breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaced {
    /// What the record breaks as corrected and did not break before.
    pub added: Vec<Breach>,
    /// When the record took place, as corrected.
    pub effective: Effective,
    ended: Vec<(String, Option<String>)>,
    sequences: Vec<u64>,
}

impl Replaced {
    /// Returns true for an irregularity of the record that no longer holds as it was told.
    pub fn remedies(&self, found: &Irregularity) -> bool {
        found.sequence.is_some_and(|sequence| self.sequences.contains(&sequence))
            && self.ended.iter().any(|(rule, about)| *rule == found.rule && *about == found.about)
    }
}

/// Returns what a correction does to the rules that its record breaks; `None` for any other act.
pub fn replaced(cycle: &Cycle, act: &Act, rulebook: &Rulebook) -> Option<Replaced> {
    let Event::RecordCorrected(correction) = &act.event else { return None };
    let before = cycle.record(correction.corrects.sequence)?;
    let mut after = before.clone();
    after.correct(0, correction);
    let elsewhere = without(cycle, |record| record.sequence != before.sequence);
    let earlier = without(cycle, |record| record.sequence < before.sequence);
    let broken = |record: &Record| {
        let mut found = broken_by(&elsewhere, act, record, rulebook);
        for breach in broken_by(&earlier, act, record, rulebook) {
            if !found.iter().any(|known| same(known, &breach)) {
                found.push(breach);
            }
        }
        found
    };
    let (old, new) = (broken(before), broken(&after));
    let added: Vec<Breach> = new.iter().filter(|breach| !old.contains(breach)).cloned().collect();
    let ended = old.iter().filter(|breach| {
        added.iter().any(|one| same(one, breach)) || !new.iter().any(|one| same(one, breach))
    });
    Some(Replaced {
        ended: ended.map(|breach| (breach.rule.clone(), breach.about.clone())).collect(),
        added: added.into_iter().map(|breach| told(breach, before.sequence)).collect(),
        effective: after.effective,
        sequences: std::iter::once(before.sequence)
            .chain(before.corrections.iter().map(|correction| correction.sequence))
            .collect(),
    })
}

/// The cycle with some of its records only.
fn without(cycle: &Cycle, keep: impl Fn(&Record) -> bool) -> Cycle {
    let records: Vec<Record> = cycle.records.iter().filter(|record| keep(record)).cloned().collect();
    Cycle { facts: Facts::of(&records), id: cycle.id.clone(), records, ..Cycle::default() }
}

/// The rules that a record breaks in a cycle.
fn broken_by(cycle: &Cycle, correction: &Act, record: &Record, rulebook: &Rulebook) -> Vec<Breach> {
    let mut act = correction.clone();
    act.actor.organisation.clone_from(&record.by);
    act.actor.role.clone_from(&record.role);
    act.effective = record.effective.clone();
    act.event = record.event.clone();
    let case = Case { act: &act, cycle, rulebook };
    let rules = rulebook.rules.iter();
    rules.flat_map(|rule| judge(case, rule).into_iter().map(move |found| breach(rule, found))).collect()
}

fn same(one: &Breach, other: &Breach) -> bool {
    one.rule == other.rule && one.about == other.about
}

fn told(breach: Breach, sequence: u64) -> Breach {
    let text = Text::new(
        format!("第 {sequence} 条更正后:{}", breach.text.zh),
        format!("entry {sequence} as corrected: {}", breach.text.en),
    );
    Breach { text, ..breach }
}
