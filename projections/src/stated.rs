//! The state that a dossier states: what the entries in it fold to on a day.
//!
//! Invariants: a pure function of the entries, so whoever holds them computes the same text; it is what `show --json`
//! prints of the whole ledger.
//! Absent: reading and verifying the dossier (crate `weituo-verifier`).

use std::collections::BTreeMap;

use chrono::NaiveDate;
use serde_json::Value;
use weituo_events::{Category, Recorded};
use weituo_proof::StreamName;
use weituo_proof::dossier::{Subject, SubjectKind};

use crate::cycle::Cycle;
use crate::project::StreamState;
use crate::rulebook::{Rulebook, Rulebooks};
use crate::summary::CycleSummary;
use crate::view::{CycleView, HistoryView};

/// Returns the version of the fold that a subject's state is computed by. A higher one means that the same entries say
/// something else, which older dossiers do not; how projections store it (`PROJECTIONS`) is another matter.
pub fn fold_version(kind: SubjectKind) -> u32 {
    match kind {
        SubjectKind::Agreement => 4,
        SubjectKind::Trustee | SubjectKind::School => 2,
    }
}

/// Returns a subject's state on a day, folded from entries in the order of the log; `None` where there is no such
/// agreement.
pub fn state(subject: &Subject, entries: &[Recorded], on: NaiveDate) -> Option<Value> {
    let mut rulebooks = Rulebooks::default();
    let mut cycles: BTreeMap<&StreamName, StreamState> = BTreeMap::new();
    for one in entries {
        rulebooks.apply(one);
        if Category::of(&one.act.stream) == Some(Category::Agreement) {
            let new = || StreamState::new(Category::Agreement);
            cycles.entry(&one.act.stream).or_insert_with(new).apply(one, &rulebooks);
        }
    }
    let mut cycles = cycles.into_values().filter_map(|state| match state {
        StreamState::Agreement(cycle) if !cycle.is_new() => Some(*cycle),
        _ => None,
    });
    let value = match subject.kind {
        SubjectKind::Agreement => {
            let cycle = cycles.find(|cycle| cycle.id == subject.id)?;
            serde_json::to_value(cycle_view(&cycle, &rulebooks, on))
        }
        SubjectKind::Trustee | SubjectKind::School => {
            let summaries = cycles.filter(|cycle| took_part(cycle, subject));
            let summaries = summaries.map(|cycle| CycleSummary::of(&cycle.as_of(on)));
            let summaries = summaries.filter(|summary| summary.entries > 0).collect();
            serde_json::to_value(HistoryView::of(&subject.id, summaries, on))
        }
    };
    Some(value.expect("invariant: views have string keys and no fallible field"))
}

fn cycle_view(cycle: &Cycle, rulebooks: &Rulebooks, on: NaiveDate) -> CycleView {
    let rulebook = cycle.rulebook(rulebooks);
    let calendar = rulebook.map(Rulebook::working_calendar).unwrap_or_default();
    CycleView::of(cycle, rulebook, &calendar, rulebooks.zone_minutes(), on)
}

/// Returns whether a cycle belongs to the subject's history.
fn took_part(cycle: &Cycle, subject: &Subject) -> bool {
    let summary = CycleSummary::of(cycle);
    let is_subject = |id: &weituo_events::OrganisationId| id.as_str() == subject.id;
    match subject.kind {
        SubjectKind::Trustee => summary.trustee_side().any(is_subject),
        _ => summary.school_side().any(is_subject),
    }
}
