//! Projections: the rows that one stream's state gives rise to.
//!
//! Invariants: rows are a pure function of one stream's state; every key names the stream that it comes from, so no two
//! streams write one row. A follower folds an entry into its stream's state and writes the difference between the rows
//! before and after; the result is that of a fold from scratch, in whatever batches (property test below).
//! Absent: storage, cursors, batches (the follower's).

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use weituo_events::{Category, Recorded};
use weituo_proof::StreamName;

use crate::cycle::Cycle;
use crate::docket::DocketCycle;
use crate::irregularities;
use crate::obligations;
use crate::organisation::Organisation;
use crate::rulebook::{RulebookStream, Rulebooks};
use crate::summary::CycleSummary;

/// Every projection with the version of its fold and rows: a higher version means rebuild. Where the fold says something
/// else, what dossiers state does too ([`crate::stated::fold_version`]).
pub const PROJECTIONS: &[(&str, u32)] = &[
    ("cycle", 5),
    ("trustee", 2),
    ("school", 2),
    ("docket", 3),
    ("irregularities", 4),
    ("organisation", 1),
    ("rulebook", 1),
];

/// One row of a projection.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// Name of the projection.
    pub projection: &'static str,
    /// Key within it.
    pub key: String,
    /// What it says, JSON.
    pub body: String,
}

impl Row {
    fn new(projection: &'static str, key: impl Into<String>, body: &impl Serialize) -> Self {
        Self { projection, key: key.into(), body: json(body) }
    }
}

fn json(body: &impl Serialize) -> String {
    serde_json::to_string(body).expect("invariant: states have string keys and no fallible field")
}

/// State of one stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StreamState {
    /// `agreement/<id>`.
    Agreement(Box<Cycle>),
    /// `organisation/<id>`.
    Organisation(Arc<Organisation>),
    /// `rulebook/<id>`.
    Rulebook(RulebookStream),
    /// `log/…`: the ledger's own entries, which give no rows.
    Log,
}

impl StreamState {
    /// Returns the state of a stream without entries.
    pub fn new(category: Category) -> Self {
        match category {
            Category::Agreement => Self::Agreement(Box::default()),
            Category::Organisation => Self::Organisation(Arc::default()),
            Category::Rulebook => Self::Rulebook(RulebookStream::default()),
            Category::Log => Self::Log,
        }
    }

    /// Returns the state that the body of a row of `cycle`, `organisation` or `rulebook` holds; `None` for any other
    /// projection, and for a body that is not of this version of the fold.
    pub fn from_row(projection: &str, body: &str) -> Option<Self> {
        match projection {
            "cycle" => serde_json::from_str(body).ok().map(Self::Agreement),
            "organisation" => serde_json::from_str(body).ok().map(Self::Organisation),
            "rulebook" => serde_json::from_str(body).ok().map(Self::Rulebook),
            _ => None,
        }
    }

    /// Returns how many entries it was folded from, as far as it keeps them.
    pub fn entries(&self) -> u64 {
        match self {
            Self::Agreement(cycle) => cycle.last_sequence(),
            Self::Organisation(organisation) => organisation.sequence,
            Self::Rulebook(stream) => stream.sequence,
            Self::Log => 0,
        }
    }

    /// Takes in the stream's next entry. `rulebooks` holds what the log adopted before it.
    pub fn apply(&mut self, recorded: &Recorded, rulebooks: &Rulebooks) {
        match self {
            Self::Agreement(cycle) => cycle.apply(recorded, rulebooks),
            Self::Organisation(organisation) => Arc::make_mut(organisation).apply(recorded),
            Self::Rulebook(stream) => stream.apply(recorded),
            Self::Log => {}
        }
    }
}

/// Returns every row that a stream's state gives rise to, sorted, each key once; none before its first entry.
/// `stream` is the stream's own name, the only source of the part of a key that tells streams apart.
pub fn rows(stream: &StreamName, state: &StreamState, rulebooks: &Rulebooks) -> Vec<Row> {
    let id = stream.id();
    let mut rows = match state {
        StreamState::Agreement(cycle) if !cycle.is_new() => cycle_rows(id, cycle, rulebooks),
        StreamState::Organisation(state) if state.sequence > 0 => vec![Row::new("organisation", id, state)],
        StreamState::Rulebook(state) if state.sequence > 0 => vec![Row::new("rulebook", id, state)],
        _ => Vec::new(),
    };
    rows.sort();
    rows
}

fn cycle_rows(id: &str, cycle: &Cycle, rulebooks: &Rulebooks) -> Vec<Row> {
    let summary = CycleSummary::of(cycle);
    let mut rows = vec![Row::new("cycle", id, cycle)];
    let body = json(&summary);
    let of = |projection, organisation| Row {
        projection,
        key: format!("{organisation}/{id}"),
        body: body.clone(),
    };
    rows.extend(summary.trustee_side().map(|trustee| of("trustee", trustee)));
    rows.extend(summary.school_side().map(|school| of("school", school)));
    let rulebook = cycle.rulebook(rulebooks);
    if let Some(rulebook) = rulebook {
        let spells = obligations::over_time(cycle, rulebook, &rulebook.working_calendar());
        for docket in DocketCycle::of(cycle, spells) {
            rows.push(Row::new("docket", format!("{}/{id}", docket.bureau), &docket));
        }
    }
    let mut keys = Keys::default();
    for found in irregularities::lasting(cycle, rulebook) {
        let key = keys.next(format!("{id}/{:08}/{}", found.sequence.unwrap_or(0), found.rule));
        rows.push(Row::new("irregularities", key, &found));
    }
    rows
}

/// Keys, each once: one entry can break one rule twice, such as two experts employed by parties.
#[derive(Default)]
struct Keys(BTreeMap<String, u32>);

impl Keys {
    fn next(&mut self, key: String) -> String {
        let times = self.0.entry(key.clone()).and_modify(|times| *times += 1).or_insert(1);
        if *times == 1 { key } else { format!("{key}/{times}") }
    }
}
