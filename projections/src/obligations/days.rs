//! On which days each obligation of a cycle stands: a signing brings it about, an amendment moves it, an end voids it.
//!
//! Invariant: the spells that hold a day, with what was done by then, are the obligations of the cycle as of that day
//! that have not fallen away.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use weituo_events::EventType;

use super::{Obligation, laid_out};
use crate::cycle::Cycle;
use crate::dates::{self, Calendar};
use crate::rulebook::Rulebook;

/// Acts that bring about, move or void what is due, besides those that duties name themselves.
const MOVING: [EventType; 7] = [
    EventType::AgreementAmended,
    EventType::AgreementSigned,
    EventType::AgreementTerminated,
    EventType::GroupApproved,
    EventType::PartiesDesignated,
    EventType::RectificationOrdered,
    EventType::RenewalDecided,
];

/// One obligation and the days on which it stands as it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spell {
    /// What is due.
    pub obligation: Obligation,
    /// The first day: the effective date of what brought it about.
    pub since: NaiveDate,
    /// The day from which it has fallen away or stands otherwise.
    pub void_from: Option<NaiveDate>,
}

/// Returns every obligation that the cycle had on some day, fulfilled by whatever was recorded.
pub fn over_time(cycle: &Cycle, rulebook: &Rulebook, calendar: &Calendar) -> Vec<Spell> {
    let named: BTreeSet<EventType> =
        rulebook.duties.iter().flat_map(|duty| &duty.after).copied().chain(MOVING).collect();
    let moving = cycle.records.iter().filter(|record| named.contains(&record.event_type()));
    let days: BTreeSet<NaiveDate> = moving.map(|record| dates::earliest(&record.effective)).collect();
    let (mut past, mut standing) = (Vec::new(), Vec::<Spell>::new());
    for day in days {
        let mut due = laid_out(&cycle.as_of(day), &cycle.records, rulebook, calendar);
        due.retain(|one| one.void_from.is_none() || one.done.is_some());
        let due_now = |spell: &Spell| holds(&due, |one| one, &spell.obligation);
        let (kept, gone) = standing.into_iter().partition(due_now);
        standing = kept;
        past.extend(gone.into_iter().map(|spell: Spell| Spell { void_from: Some(day), ..spell }));
        due.retain(|one| !holds(&standing, |spell| &spell.obligation, one));
        standing.extend(due.into_iter().map(|obligation| Spell { obligation, since: day, void_from: None }));
        standing.sort_by(|a, b| place(&a.obligation).cmp(&place(&b.obligation)));
    }
    past.extend(standing);
    past.sort_by(|a, b| (place(&a.obligation), a.since).cmp(&(place(&b.obligation), b.since)));
    past
}

/// The order in which obligations lie.
fn place(one: &Obligation) -> (NaiveDate, &str) {
    (one.due_until, &one.code)
}

/// Returns whether a list in that order holds an obligation: a century of months would be slow to walk for each.
fn holds<T>(all: &[T], of: impl Fn(&T) -> &Obligation, wanted: &Obligation) -> bool {
    let from = all.partition_point(|one| place(of(one)) < place(wanted));
    all[from..].iter().map(of).take_while(|one| place(one) == place(wanted)).any(|one| one == wanted)
}
