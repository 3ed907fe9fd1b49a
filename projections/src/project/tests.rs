use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use weituo_events::Act;

use super::*;
use crate::testing::{record, sample_acts};

type Table = BTreeMap<(&'static str, String), String>;

/// What a follower does: fold batch by batch, write the difference of rows, forget states and read them back.
fn follow(log: &[Recorded], batches: &[usize], forget: bool) -> Table {
    let mut table = Table::new();
    let mut rulebooks = Rulebooks::default();
    let mut states: BTreeMap<StreamName, StreamState> = BTreeMap::new();
    let mut rest = log;
    let mut sizes = batches.iter().copied().cycle();
    while !rest.is_empty() {
        let (batch, later) = rest.split_at(sizes.next().unwrap_or(1).clamp(1, rest.len()));
        rest = later;
        let mut before: BTreeMap<&StreamName, Vec<Row>> = BTreeMap::new();
        for recorded in batch {
            let stream = &recorded.act.stream;
            let category = Category::of(stream).unwrap();
            let state = states.entry(stream.clone()).or_insert_with(|| StreamState::new(category));
            before.entry(stream).or_insert_with(|| rows(stream, state, &rulebooks));
            rulebooks.apply(recorded);
            state.apply(recorded, &rulebooks);
        }
        for (stream, old) in before {
            let new = rows(stream, &states[stream], &rulebooks);
            for row in &old {
                table.remove(&(row.projection, row.key.clone()));
            }
            for row in new {
                if let Some(read) = StreamState::from_row(row.projection, &row.body) {
                    assert_eq!(read, states[stream], "a state that was kept is the one that is read back");
                }
                assert!(
                    table.insert((row.projection, row.key), row.body).is_none(),
                    "two streams write one row"
                );
            }
        }
        if forget {
            states = read_back(&table);
            // Rulebooks come back from their rows as well.
            rulebooks = Rulebooks::default();
            for state in states.values() {
                if let StreamState::Rulebook(stream) = state {
                    rulebooks.include(stream);
                }
            }
        }
    }
    table
}

fn read_back(table: &Table) -> BTreeMap<StreamName, StreamState> {
    let homes = [("cycle", "agreement"), ("organisation", "organisation"), ("rulebook", "rulebook")];
    let mut states = BTreeMap::new();
    for ((projection, key), body) in table {
        if let Some((_, category)) = homes.iter().find(|(name, _)| name == projection) {
            let state = StreamState::from_row(projection, body).expect("a row reads back");
            states.insert(StreamName::of(category, key).unwrap(), state);
        }
    }
    states
}

/// The rows of a fold from scratch, stream by stream.
fn from_scratch(log: &[Recorded]) -> Table {
    follow(log, &[log.len()], false)
}

/// A history: the samples with entries left out, repeated or moved, and dates and recorders exchanged.
fn histories() -> impl Strategy<Value = Vec<Act>> {
    let acts = sample_acts();
    let count = acts.len();
    let picks = proptest::collection::vec((0..count, 0..count, 0_u8..8), 1..120);
    let orderly = (0..count, Just(acts.clone())).prop_map(|(length, acts)| acts[..=length].to_vec());
    let forged = picks.prop_map(move |picks| {
        let adoption = acts[0].clone();
        let forge = |(one, other, how): (usize, usize, u8)| {
            let mut act = acts[one].clone();
            let donor = &acts[other];
            match how {
                0 => act.effective = donor.effective.clone(),
                1 => act.actor = donor.actor.clone(),
                2 if donor.stream.category() == act.stream.category() => act.stream = donor.stream.clone(),
                3 => act.as_found = !act.as_found,
                _ => {}
            }
            act
        };
        std::iter::once(adoption).chain(picks.into_iter().map(forge)).collect()
    });
    // Interleaves the streams while each keeps its own order.
    let interleaved =
        proptest::collection::vec(any::<prop::sample::Index>(), count).prop_map(move |indices| {
            let mut queues: BTreeMap<StreamName, Vec<Act>> = BTreeMap::new();
            for act in sample_acts().into_iter().rev() {
                queues.entry(act.stream.clone()).or_default().push(act);
            }
            let mut acts: Vec<Act> = vec![sample_acts().swap_remove(0)];
            queues.remove(&acts[0].stream);
            for index in indices {
                let open: Vec<StreamName> = queues
                    .iter()
                    .filter(|(_, queue)| !queue.is_empty())
                    .map(|(stream, _)| stream.clone())
                    .collect();
                let Some(stream) = open.get(index.index(open.len().max(1))) else { break };
                acts.extend(queues.get_mut(stream).and_then(Vec::pop));
            }
            acts
        });
    prop_oneof![1 => orderly, 3 => forged, 2 => interleaved]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn batches_of_any_size_give_the_rows_of_a_fold_from_scratch(
        acts in histories(),
        batches in proptest::collection::vec(1_usize..40, 1..6),
        forget in any::<bool>(),
    ) {
        let log = record(acts);
        prop_assert_eq!(follow(&log, &batches, forget), from_scratch(&log));
    }
}

#[test]
fn every_projection_has_rows_in_the_samples_and_no_other_has() {
    let table = from_scratch(&record(sample_acts()));
    let found: BTreeSet<_> = table.keys().map(|(projection, _)| *projection).collect();
    let named: BTreeSet<_> = PROJECTIONS.iter().map(|(name, _)| *name).collect();
    assert_eq!(found, named);
    assert!(table.contains_key(&("trustee", "trustee-a/WZ-2022-001".to_owned())));
    assert!(table.contains_key(&("school", "school-jia/WZ-2026-001".to_owned())));
    assert!(table.contains_key(&("docket", "bureau-county/WZ-2026-001".to_owned())));
    assert!(
        table.contains_key(&("irregularities", "WZ-2021-003/00000005/one-school-per-trustee".to_owned()))
    );
}

#[test]
fn two_breaches_of_one_rule_by_one_entry_are_two_rows() {
    let mut acts = sample_acts();
    for act in &mut acts {
        if let weituo_events::Event::PanelConvened(panel) = &mut act.event
            && act.stream.id() == "WZ-2021-003"
        {
            panel.members[3].employer = weituo_events::OrganisationId::new("school-bing").unwrap();
        }
    }
    let table = from_scratch(&record(acts));
    let conflicts = table.keys().filter(|(name, key)| {
        *name == "irregularities" && key.starts_with("WZ-2021-003/") && key.contains("/evaluator-independent")
    });
    assert_eq!(conflicts.count(), 2);
}
