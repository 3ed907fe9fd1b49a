//! What a cycle has on a bureau's docket, as its row holds it: the terms of each duty once, however often it is due.
//!
//! Invariant: the rows of a cycle give back every spell that they were made of, by duty and then by due date.
//! Absent: anything that depends on a day; that is computed when a view is built.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use weituo_events::{EventType, OrganisationId, Role, Text};

use crate::cycle::Cycle;
use crate::dates;
use crate::obligations::{Done, Obligation, ObligationStatus, Spell};

/// What one cycle has on one bureau's docket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocketCycle {
    /// Id of the agreement.
    pub agreement: String,
    /// The bureau that watches over it.
    pub bureau: SmolStr,
    /// What it watches over, on whatever days.
    pub duties: Vec<DocketDuty>,
    /// The entrusted school.
    pub school: Option<OrganisationId>,
    /// The trustee, or the lead school.
    pub trustee: Option<OrganisationId>,
}

/// The terms of a duty and every time at which something is due on them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocketDuty {
    /// What these times have in common.
    pub terms: DutyTerms,
    /// When it is due.
    pub times: Vec<DueTime>,
}

/// What an obligation says that is the same each time it is due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DutyTerms {
    /// The act that fulfils it.
    pub act: EventType,
    /// Who may fulfil it.
    pub by: Arc<[Role]>,
    /// Which level the text names for it.
    pub level: Option<Arc<str>>,
    /// True when the duty or its window is a local setting.
    pub local: bool,
    /// The passage that it rests on.
    pub source: Option<Arc<str>>,
    /// The duty in words.
    pub title: Arc<Text>,
}

/// One time at which a duty is due, and the days on which it is so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DueTime {
    /// Code of the duty, with its number where it recurs.
    pub code: String,
    /// What fulfilled it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub done: Option<Done>,
    /// First day of its window.
    pub due_from: NaiveDate,
    /// Last day of its window.
    pub due_until: NaiveDate,
    /// [`Obligation::void_from`]: day from which it has fallen away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallen_from: Option<NaiveDate>,
    /// Number of the year, semester or month, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<u32>,
    /// The first day on which it is due at all.
    pub since: NaiveDate,
    /// [`Spell::void_from`]: day from which it has fallen away or stands otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub void_from: Option<NaiveDate>,
}

impl DocketCycle {
    /// Returns what a cycle has on every bureau's docket.
    pub fn of(cycle: &Cycle, spells: Vec<Spell>) -> impl Iterator<Item = Self> {
        let mut dockets: BTreeMap<SmolStr, Vec<DocketDuty>> = BTreeMap::new();
        for Spell { obligation, since, void_from } in spells {
            let Obligation {
                act,
                bureau,
                by,
                code,
                done,
                due_from,
                due_until,
                level,
                local,
                number,
                source,
                title,
                void_from: fallen_from,
            } = obligation;
            let terms = DutyTerms { act, by, level, local, source, title };
            let time = DueTime { code, done, due_from, due_until, fallen_from, number, since, void_from };
            let duties = dockets.entry(bureau).or_default();
            match duties.iter_mut().find(|duty| duty.terms == terms) {
                Some(duty) => duty.times.push(time),
                None => duties.push(DocketDuty { terms, times: vec![time] }),
            }
        }
        let facts = &cycle.facts;
        dockets.into_iter().map(|(bureau, duties)| Self {
            agreement: cycle.id.clone(),
            bureau,
            duties,
            school: facts.school.clone(),
            trustee: facts.trustee.clone().or_else(|| facts.lead.clone()),
        })
    }

    /// Returns its items, by duty: whoever shows them puts them in order.
    pub fn into_items(self) -> impl Iterator<Item = DocketItem> {
        let Self { agreement, bureau, duties, school, trustee } = self;
        let times = duties
            .into_iter()
            .flat_map(|DocketDuty { terms, times }| times.into_iter().map(move |time| (terms.clone(), time)));
        times.map(move |(DutyTerms { act, by, level, local, source, title }, time)| {
            let DueTime { code, done, due_from, due_until, fallen_from, number, since, void_from } = time;
            let obligation = Obligation {
                act,
                bureau: bureau.clone(),
                by,
                code,
                done,
                due_from,
                due_until,
                level,
                local,
                number,
                source,
                title,
                void_from: fallen_from,
            };
            let (agreement, school, trustee) = (agreement.clone(), school.clone(), trustee.clone());
            DocketItem { agreement, obligation, school, since, trustee, void_from }
        })
    }
}

/// One thing due, with the cycle that it belongs to and the days on which it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DocketItem {
    /// Id of the agreement.
    pub agreement: String,
    /// What is due.
    pub obligation: Obligation,
    /// The entrusted school.
    pub school: Option<OrganisationId>,
    /// The first day on which it is due at all.
    pub since: NaiveDate,
    /// The trustee, or the lead school.
    pub trustee: Option<OrganisationId>,
    /// The day from which it has fallen away or stands otherwise.
    pub void_from: Option<NaiveDate>,
}

impl DocketItem {
    /// Returns the item as it stood on a day; `None` where it did not yet, or not any more.
    #[must_use]
    pub fn as_of(mut self, on: NaiveDate) -> Option<Self> {
        self.obligation.done = self.obligation.done.filter(|done| dates::earliest(&done.effective) <= on);
        let stands = self.since <= on && self.void_from.is_none_or(|day| on < day);
        (stands && self.obligation.status(on) != ObligationStatus::Void).then_some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::obligations;
    use crate::testing::{record, rulebooks, sample_acts};

    #[test]
    fn the_rows_of_a_cycle_give_back_every_spell_that_they_were_made_of() {
        let (rulebooks, mut cycles) = (rulebooks(), BTreeMap::<String, Cycle>::new());
        for recorded in record(sample_acts()).iter().filter(|one| one.act.stream.category() == "agreement") {
            cycles.entry(recorded.act.stream.id().to_owned()).or_default().apply(recorded, &rulebooks);
        }
        let mut members = [0; 4];
        for cycle in cycles.values() {
            let rulebook = cycle.rulebook(&rulebooks).unwrap();
            let mut spells = obligations::over_time(cycle, rulebook, &rulebook.working_calendar());
            for (number, spell) in spells.iter_mut().enumerate() {
                // Two bureaus, and every member that may be missing.
                if number % 3 == 0 {
                    spell.obligation.bureau = "bureau-other".into();
                }
                if number % 5 == 0 {
                    (spell.void_from, spell.obligation.void_from) =
                        (Some(spell.since), Some(spell.obligation.due_until));
                }
            }
            let rows: Vec<DocketCycle> = DocketCycle::of(cycle, spells.clone()).collect();
            assert_eq!(rows.len(), 2);
            let mut back = Vec::new();
            for row in rows {
                let read: DocketCycle = serde_json::from_str(&serde_json::to_string(&row).unwrap()).unwrap();
                assert_eq!(read, row);
                for DocketItem { agreement, obligation, school, since, trustee, void_from } in
                    read.into_items()
                {
                    assert_eq!((&agreement, &school), (&cycle.id, &cycle.facts.school));
                    assert_eq!(trustee.as_ref(), cycle.facts.trustee.as_ref().or(cycle.facts.lead.as_ref()));
                    back.push(Spell { obligation, since, void_from });
                }
            }
            for spell in &back {
                let Obligation { done, number, void_from, .. } = &spell.obligation;
                let here = [done.is_some(), number.is_some(), void_from.is_some(), spell.void_from.is_some()];
                members.iter_mut().zip(here).for_each(|(count, is_there)| *count += i32::from(is_there));
            }
            let order = |spells: &mut Vec<Spell>| {
                spells.sort_by_key(|one| (one.obligation.due_until, one.obligation.code.clone(), one.since));
            };
            order(&mut back);
            order(&mut spells);
            assert_eq!(back, spells);
        }
        assert!(members.iter().all(|count| *count > 0), "{members:?}");
    }
}
