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
use weituo_events::payload::{AgreementSigned, RulebookPin};
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

/// A trustee's place for one school.
#[derive(Clone, Debug)]
struct Place {
    end: Option<NaiveDate>,
    exception: bool,
    pin: RulebookPin,
    released: Option<NaiveDate>,
    school: OrganisationId,
    start: NaiveDate,
    trustee: OrganisationId,
}

impl Place {
    fn of(payload: &AgreementSigned, rulebooks: &Rulebooks) -> Self {
        let default = rulebooks.pinned(&payload.rulebook).and_then(|rules| rules.term.as_ref()?.months);
        Self {
            end: payload.term_months.or(default).map(|months| dates::term_end(payload.term_start, months)),
            exception: payload.exception.is_some(),
            pin: payload.rulebook.clone(),
            released: None,
            school: payload.school.clone(),
            start: payload.term_start,
            trustee: payload.trustee.clone(),
        }
    }

    /// The last day on which the place is held.
    fn last(&self) -> NaiveDate {
        let end = self.end.unwrap_or(NaiveDate::MAX);
        self.released.map_or(end, |released| released.min(end))
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.start <= other.last() && other.start <= self.last()
    }
}

/// Places held, by stream and by trustee, so that a check looks at one trustee's only.
#[derive(Clone, Debug, Default)]
struct Places {
    by_stream: BTreeMap<StreamName, Place>,
    by_trustee: BTreeMap<OrganisationId, BTreeSet<StreamName>>,
}

impl Places {
    fn put(&mut self, stream: StreamName, place: Place) {
        self.by_trustee.entry(place.trustee.clone()).or_default().insert(stream.clone());
        self.by_stream.insert(stream, place);
    }
}

/// Every place held. A copy is cheap: it shares what was settled before it, and keeps its own additions apart until it
/// is alone again.
#[derive(Clone, Debug, Default)]
pub struct Claims {
    recent: Places,
    rulebooks: Arc<Rulebooks>,
    settled: Arc<Places>,
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
        let Some(place) = self.after(act) else { return Ok(()) };
        let Some(rulebook) = self.rulebooks.pinned(&place.pin) else { return Ok(()) };
        let Some((limit, in_principle, rule)) = rulebook.capacity() else { return Ok(()) };
        if in_principle && place.exception {
            return Ok(());
        }
        let others: Vec<(&StreamName, &Place)> = self
            .streams_of(&place.trustee)
            .into_iter()
            .filter(|stream| **stream != act.stream)
            .filter_map(|stream| Some((stream, self.place(stream)?)))
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

    /// Takes in one act of any stream, in the order of the log.
    pub fn apply(&mut self, act: &Act) {
        if matches!(act.event, Event::RulebookAdopted(_) | Event::RulebookRepealed(_) | Event::LogOpened(_)) {
            Arc::make_mut(&mut self.rulebooks).apply_act(act);
        }
        if let Some(place) = self.after(act) {
            self.put(act.stream.clone(), place);
        }
        if matches!(act.event, Event::AgreementTerminated(_) | Event::CycleClosed(_))
            && let Some(place) = self.place(&act.stream)
        {
            let released = place.released.or(Some(dates::latest(&act.effective)));
            self.put(act.stream.clone(), Place { released, ..place.clone() });
        }
    }

    fn put(&mut self, stream: StreamName, place: Place) {
        match Arc::get_mut(&mut self.settled) {
            Some(settled) => {
                for (earlier, kept) in std::mem::take(&mut self.recent).by_stream {
                    settled.put(earlier, kept);
                }
                settled.put(stream, place);
            }
            None => self.recent.put(stream, place),
        }
    }

    fn place(&self, stream: &StreamName) -> Option<&Place> {
        self.recent.by_stream.get(stream).or_else(|| self.settled.by_stream.get(stream))
    }

    fn streams_of(&self, trustee: &OrganisationId) -> BTreeSet<&StreamName> {
        [&*self.settled, &self.recent]
            .into_iter()
            .filter_map(|places| places.by_trustee.get(trustee))
            .flatten()
            .collect()
    }

    /// The place that a stream holds after an act that takes or moves one.
    fn after(&self, act: &Act) -> Option<Place> {
        match &act.event {
            Event::AgreementSigned(payload) if self.place(&act.stream).is_none() => {
                Some(Place::of(payload, &self.rulebooks))
            }
            Event::AgreementAmended(payload) => {
                let place = self.place(&act.stream)?;
                payload.term_end.map(|end| Place { end: Some(end), ..place.clone() })
            }
            Event::RecordCorrected(payload) => {
                let place = self.place(&act.stream)?;
                let replacement = payload.replacement.as_ref()?;
                match &*replacement.0 {
                    Event::AgreementSigned(signed) => {
                        Some(Place { released: place.released, ..Place::of(signed, &self.rulebooks) })
                    }
                    Event::AgreementAmended(amended) => {
                        amended.term_end.map(|end| Place { end: Some(end), ..place.clone() })
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }
}
