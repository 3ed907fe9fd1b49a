//! Projections: the rows that one stream's state gives rise to.
//!
//! Invariants: rows are a pure function of one stream's state; every key names the stream that it comes from, so no two
//! streams write one row. A follower folds an entry into its stream's state and writes the difference between the rows
//! before and after; the result is that of a fold from scratch, in whatever batches (property test below).
//! Absent: storage, cursors, batches (the follower's).

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;
use weituo_events::{Category, Recorded};

use crate::cycle::Cycle;
use crate::irregularities;
use crate::obligations;
use crate::organisation::Organisation;
use crate::rulebook::{RulebookStream, Rulebooks};
use crate::summary::{CycleSummary, DocketItem};

/// Every projection with the version of its fold: a higher version means rebuild.
pub const PROJECTIONS: &[(&str, u32)] = &[
    ("cycle", 1),
    ("trustee", 1),
    ("school", 1),
    ("docket", 1),
    ("irregularities", 1),
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
        let body = serde_json::to_string(body).expect("invariant: states have string keys and no fallible field");
        Self { projection, key: key.into(), body }
    }
}

/// State of one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamState {
    /// `agreement/<id>`.
    Agreement(Box<Cycle>),
    /// `organisation/<id>`.
    Organisation(Box<Organisation>),
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
            Category::Organisation => Self::Organisation(Box::default()),
            Category::Rulebook => Self::Rulebook(RulebookStream::default()),
            Category::Log => Self::Log,
        }
    }

    /// Returns the projection and the key of the row that holds the whole state, so that a follower can load it back.
    pub fn home(category: Category, id: &str) -> Option<(&'static str, String)> {
        let projection = match category {
            Category::Agreement => "cycle",
            Category::Organisation => "organisation",
            Category::Rulebook => "rulebook",
            Category::Log => return None,
        };
        Some((projection, id.to_owned()))
    }

    /// Returns the state that the body of its home row holds.
    ///
    /// # Errors
    /// When the body is not of this version of the fold.
    pub fn from_row(category: Category, body: &str) -> Result<Self, serde_json::Error> {
        fn read<T: DeserializeOwned>(body: &str) -> Result<T, serde_json::Error> {
            serde_json::from_str(body)
        }
        Ok(match category {
            Category::Agreement => Self::Agreement(read(body)?),
            Category::Organisation => Self::Organisation(read(body)?),
            Category::Rulebook => Self::Rulebook(read(body)?),
            Category::Log => Self::Log,
        })
    }

    /// Takes in the stream's next entry. `rulebooks` holds what the log adopted before it.
    pub fn apply(&mut self, recorded: &Recorded, rulebooks: &Rulebooks) {
        match self {
            Self::Agreement(cycle) => cycle.apply(recorded, rulebooks),
            Self::Organisation(organisation) => organisation.apply(recorded),
            Self::Rulebook(stream) => stream.apply(recorded),
            Self::Log => {}
        }
    }

    /// Returns every row that this state gives rise to, sorted, each key once; none before the first entry.
    pub fn rows(&self, rulebooks: &Rulebooks) -> Vec<Row> {
        let mut rows = match self {
            Self::Agreement(cycle) if !cycle.is_new() => cycle_rows(cycle, rulebooks),
            Self::Organisation(state) if state.sequence > 0 => vec![Row::new("organisation", &*state.id, state)],
            Self::Rulebook(state) if state.sequence > 0 => vec![Row::new("rulebook", &*state.id, state)],
            _ => Vec::new(),
        };
        rows.sort();
        rows
    }
}

fn cycle_rows(cycle: &Cycle, rulebooks: &Rulebooks) -> Vec<Row> {
    let id = &cycle.id;
    let summary = CycleSummary::of(cycle);
    let mut rows = vec![Row::new("cycle", &**id, cycle)];
    for trustee in summary.trustee_side() {
        rows.push(Row::new("trustee", format!("{trustee}/{id}"), &summary));
    }
    for school in summary.school_side() {
        rows.push(Row::new("school", format!("{school}/{id}"), &summary));
    }
    let rulebook = cycle.rulebook(rulebooks);
    if let Some(rulebook) = rulebook {
        for due in obligations::obligations(cycle, rulebook, &rulebook.working_calendar()) {
            if !due.void {
                let key = format!("{}/{}/{id}/{}", due.bureau, due.due_until, due.code);
                rows.push(Row::new("docket", key, &DocketItem::of(cycle, due)));
            }
        }
    }
    let mut seen = BTreeMap::new();
    for found in irregularities::lasting(cycle, rulebook) {
        let key = format!("{id}/{:08}/{}", found.sequence, found.rule);
        let times = seen.entry(key.clone()).and_modify(|times| *times += 1).or_insert(1);
        // One entry can break one rule twice, such as two experts employed by parties.
        let key = if *times == 1 { key } else { format!("{key}/{times}") };
        rows.push(Row::new("irregularities", key, &found));
    }
    rows
}

/// What a follower has to write: rows to put, and keys to take away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Rows that are new or say something else now.
    pub put: Vec<Row>,
    /// Projection and key of rows that are gone.
    pub take: Vec<(&'static str, String)>,
}

/// Returns what turns the rows before into the rows after.
pub fn changes(before: &[Row], after: &[Row]) -> Changes {
    let old: BTreeMap<_, _> = before.iter().map(|row| ((row.projection, &row.key), &row.body)).collect();
    let new: BTreeMap<_, _> = after.iter().map(|row| ((row.projection, &row.key), &row.body)).collect();
    let put = after.iter().filter(|row| old.get(&(row.projection, &row.key)) != Some(&&row.body));
    let take = old.keys().filter(|key| !new.contains_key(*key));
    Changes { put: put.cloned().collect(), take: take.map(|(name, key)| (*name, (*key).clone())).collect() }
}
