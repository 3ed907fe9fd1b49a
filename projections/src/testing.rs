//! Entries for tests: the sample commands as recorded acts, without anybody deciding on them.

use std::collections::BTreeMap;
use std::sync::Arc;

use weituo_events::{Act, Command, Event, Recorded};
use weituo_proof::{LeafIndex, RecordedAt, StreamName, leaf_hash};

use crate::rulebook::Rulebooks;

pub(crate) const RULEBOOK: &str = include_str!("../../rulebooks/wenzhou-entrustment-2018.toml");

/// Every sample, in the order in which they are meant to be recorded.
const SAMPLES: [&str; 5] = [
    include_str!("../../samples/00-registry.jsonl"),
    include_str!("../../samples/01-full-cycle.jsonl"),
    include_str!("../../samples/02-goes-wrong.jsonl"),
    include_str!("../../samples/03-irregular.jsonl"),
    include_str!("../../samples/04-as-found.jsonl"),
];

/// The adoption of the rulebook.
pub(crate) fn adoption() -> Act {
    let adopt = serde_json::json!({
        "command": "00000000-0000-4000-8000-000000000000",
        "do": "AdoptRulebook",
        "stream": "rulebook/wenzhou-entrustment-2018",
        "actor": { "organisation": "bureau-wz", "role": "bureau" },
        "effective": "2018-12-20",
        "payload": { "text": RULEBOOK, "version": 1 }
    });
    act(&adopt.to_string())
}

/// The act of one command.
pub(crate) fn act(command: &str) -> Act {
    let command = Command::parse(command).unwrap();
    let mut act = command.act(None).unwrap();
    command.seal(&mut act, || [7; 16]).unwrap();
    act
}

/// The acts of every sample, after the adoption of the rulebook.
pub(crate) fn sample_acts() -> Vec<Act> {
    let mut acts: Vec<Act> = std::iter::once(adoption())
        .chain(SAMPLES.iter().flat_map(|sample| sample.lines()).map(act))
        .collect();
    for act in &mut acts {
        // Deciding fills in the rulebook's length of the term.
        if let Event::AgreementSigned(payload) = &mut act.event {
            payload.term_months.get_or_insert(36);
        }
    }
    acts
}

/// Rulebooks as the log knows them after the adoption.
pub(crate) fn rulebooks() -> Rulebooks {
    let mut rulebooks = Rulebooks::default();
    rulebooks.apply_act(&adoption());
    rulebooks
}

/// Acts as a log would hold them: in this order, numbered in log and stream, an hour apart.
pub(crate) fn record(acts: impl IntoIterator<Item = Act>) -> Vec<Recorded> {
    let mut sequences: BTreeMap<StreamName, u64> = BTreeMap::new();
    let numbered = acts.into_iter().zip(0_u64..);
    numbered
        .map(|(act, leaf)| {
            let sequence = sequences.entry(act.stream.clone()).or_insert(0);
            *sequence += 1;
            let millis = 1_795_000_000_000 + i64::try_from(leaf).unwrap() * 3_600_000;
            Recorded {
                leaf_hash: leaf_hash(leaf.to_string().as_bytes()),
                leaf_index: LeafIndex::new(leaf),
                recorded_at: RecordedAt::from_unix_millis(millis).unwrap(),
                sequence: *sequence,
                act: Arc::new(act),
            }
        })
        .collect()
}
