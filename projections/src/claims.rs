//! Claims: what no two cycles may hold at one time, as a pure function of earlier entries.
//!
//! A trustee holds a place for a school from the first to the last day of the term, or until the entrustment was ended
//! or the cycle closed. In principle it manages so many schools at one time as its rulebook says; a signing beyond that
//! needs an exception block. The writer asks at the commit, in the order of the log, so of racing signings one wins.
//! Invariants: [`Claims::apply`] takes any act; a renewal with the same school takes no second place.
//! Absent: the date of an ending as corrected later (the place stays released as first recorded); who approved the exception (an irregularity of the cycle, module `rules`).
//! Source: regions.md 1 (原则上 one trustee manages only one entrusted school); format.md, Append protocol 1.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::NaiveDate;
use rpds::{HashTrieMapSync, RedBlackTreeSetSync};
use weituo_events::payload::{AgreementAmended, AgreementSigned, RulebookPin};
use weituo_events::{Act, Event, EventType, OrganisationId, Refusal};
use weituo_proof::StreamName;

use crate::dates;
use crate::rulebook::Rulebooks;

/// The types of event that claims depend on.
const CONCERNS: [EventType; 8] = [
    EventType::AgreementSigned,
    EventType::AgreementAmended,
    EventType::AgreementTerminated,
    EventType::CycleClosed,
    EventType::RecordCorrected,
    EventType::RulebookAdopted,
    EventType::RulebookRepealed,
    EventType::LogOpened,
];

/// What an amendment says of a place.
#[derive(Clone, Debug)]
struct Amendment {
    end: Option<NaiveDate>,
    exception: bool,
}

impl Amendment {
    fn of(payload: &AgreementAmended) -> Self {
        Self { end: payload.term_end, exception: payload.exception.is_some() }
    }
}

/// A trustee's place for one school.
#[derive(Clone, Debug)]
struct Place {
    /// By sequence, as they say after corrections.
    amendments: BTreeMap<u64, Amendment>,
    exception: bool,
    pin: RulebookPin,
    released: Option<NaiveDate>,
    school: OrganisationId,
    signed_end: Option<NaiveDate>,
    start: NaiveDate,
    trustee: OrganisationId,
}

impl Place {
    fn of(payload: &AgreementSigned, rulebooks: &Rulebooks) -> Self {
        let default = rulebooks.pinned(&payload.rulebook).and_then(|rules| rules.term.as_ref()?.months);
        Self {
            amendments: BTreeMap::new(),
            exception: payload.exception.is_some(),
            pin: payload.rulebook.clone(),
            released: None,
            school: payload.school.clone(),
            signed_end: payload
                .term_months
                .or(default)
                .map(|months| dates::term_end(payload.term_start, months)),
            start: payload.term_start,
            trustee: payload.trustee.clone(),
        }
    }

    fn amended(&self, sequence: u64, amendment: Amendment) -> Self {
        let mut place = self.clone();
        place.amendments.insert(sequence, amendment);
        place
    }

    /// Whether another reading of the same place takes nothing that this one does not hold already.
    fn covers(&self, other: &Self) -> bool {
        (&self.trustee, &self.school) == (&other.trustee, &other.school)
            && self.start <= other.start
            && other.last() <= self.last()
            && (other.is_excepted() || !self.is_excepted())
    }

    fn is_excepted(&self) -> bool {
        self.exception || self.amendments.values().any(|amendment| amendment.exception)
    }

    /// The last day on which the place is held: the last amendment of it counts, else the signing.
    fn last(&self) -> NaiveDate {
        let end = self.amendments.values().rev().find_map(|amendment| amendment.end).or(self.signed_end);
        let end = end.unwrap_or(NaiveDate::MAX);
        self.released.map_or(end, |released| released.min(end))
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.start <= other.last() && other.start <= self.last()
    }
}

/// Every place held, by stream and by trustee, so that a check looks at one trustee's only. A copy shares all of it.
#[derive(Clone, Debug, Default)]
pub struct Claims {
    by_stream: HashTrieMapSync<StreamName, Place>,
    by_trustee: HashTrieMapSync<OrganisationId, RedBlackTreeSetSync<StreamName>>,
    rulebooks: Arc<Rulebooks>,
}

impl Claims {
    /// Returns true when an event of this type matters to claims; others need not be handed in.
    pub fn concerns(event_type: &str) -> bool {
        CONCERNS.iter().any(|concern| concern.name() == event_type)
    }

    /// Says whether the places that an act takes are free.
    ///
    /// # Errors
    /// A refusal that names the agreement in the way and what would be accepted.
    pub fn check(&self, act: &Act) -> Result<(), Refusal> {
        // Where it will stand is not known yet: after everything else of its stream.
        let Some(place) = self.after(act, u64::MAX) else { return Ok(()) };
        if self.by_stream.get(&act.stream).is_some_and(|held| held.covers(&place)) {
            return Ok(());
        }
        let Some(rulebook) = self.rulebooks.pinned(&place.pin) else { return Ok(()) };
        let Some((limit, in_principle, rule)) = rulebook.capacity() else { return Ok(()) };
        if in_principle && place.is_excepted() {
            return Ok(());
        }
        let others: Vec<(&StreamName, &Place)> = self
            .by_trustee
            .get(&place.trustee)
            .into_iter()
            .flatten()
            .filter(|stream| **stream != act.stream)
            .filter_map(|stream| Some((stream, self.by_stream.get(stream)?)))
            .filter(|(_, other)| {
                other.trustee == place.trustee && other.school != place.school && other.overlaps(&place)
            })
            .collect();
        let schools: BTreeSet<_> = others.iter().map(|(_, other)| &other.school).collect();
        if schools.len() < usize::try_from(limit).unwrap_or(usize::MAX) {
            return Ok(());
        }
        let held: Vec<_> = others
            .iter()
            .map(|(stream, other)| format!("{stream} ({}, – {})", other.school, other.last()))
            .collect();
        let (zh, en) = if in_principle {
            (
                "确需例外的,应写明 exception(批准单位、文号、理由;无人批准也须写明)",
                "an exception block is accepted (who approved it, document number, grounds; approved by nobody must be said as well)",
            )
        } else {
            ("应待前一协议期满或中止", "wait until the earlier agreement has ended")
        };
        Err(Refusal::contradicts(
            rule.code.clone(),
            format!("{}:{} 已受托管理 {};{zh}", rule.title.zh, place.trustee, held.join(", ")),
            format!("{}: {} holds {}; {en}", rule.title.en, place.trustee, held.join(", ")),
        ))
    }

    /// Takes in one act of any stream, at its place in the stream, in the order of the log.
    pub fn apply(&mut self, act: &Act, sequence: u64) {
        if matches!(act.event, Event::RulebookAdopted(_) | Event::RulebookRepealed(_) | Event::LogOpened(_)) {
            Arc::make_mut(&mut self.rulebooks).apply_act(act);
        }
        if let Some(place) = self.after(act, sequence) {
            self.put(act.stream.clone(), place);
        }
        if matches!(act.event, Event::AgreementTerminated(_) | Event::CycleClosed(_))
            && let Some(place) = self.by_stream.get(&act.stream)
        {
            let released = place.released.or(Some(dates::latest(&act.effective)));
            self.put(act.stream.clone(), Place { released, ..place.clone() });
        }
    }

    fn put(&mut self, stream: StreamName, place: Place) {
        let mut streams = self.by_trustee.get(&place.trustee).cloned().unwrap_or_default();
        streams.insert_mut(stream.clone());
        self.by_trustee.insert_mut(place.trustee.clone(), streams);
        self.by_stream.insert_mut(stream, place);
    }

    /// The place that a stream holds after an act, at a place in the stream, that takes or moves one.
    fn after(&self, act: &Act, sequence: u64) -> Option<Place> {
        let place = self.by_stream.get(&act.stream);
        match &act.event {
            Event::AgreementSigned(payload) if place.is_none() => Some(Place::of(payload, &self.rulebooks)),
            Event::AgreementAmended(payload) => Some(place?.amended(sequence, Amendment::of(payload))),
            Event::RecordCorrected(payload) => match &*payload.replacement.as_ref()?.0 {
                Event::AgreementSigned(signed) => {
                    let (amendments, released) = (place?.amendments.clone(), place?.released);
                    Some(Place { amendments, released, ..Place::of(signed, &self.rulebooks) })
                }
                Event::AgreementAmended(amended) => {
                    Some(place?.amended(payload.corrects.sequence, Amendment::of(amended)))
                }
                _ => None,
            },
            _ => None,
        }
    }
}
