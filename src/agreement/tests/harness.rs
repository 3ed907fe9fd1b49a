//! A ledger in memory: decides, checks claims, and folds; its leaf hashes are made up.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::NaiveDate;
use weituo_events::{Category, Command, OrganisationId, Recorded, Refusal};
use weituo_projections::{Claims, Cycle, Irregularity, Rulebook, Rulebooks, StreamState, irregularities};
use weituo_proof::{LeafIndex, RecordedAt, StreamName, leaf_hash};

use crate::deciding::{Context, decide, mentions, mentions_of};

pub(crate) const RULEBOOK: &str = include_str!("../../../rulebooks/wenzhou-entrustment-2018.toml");
pub(crate) const REGISTRY: &str = include_str!("../../../samples/00-registry.jsonl");
pub(crate) const FULL_CYCLE: &str = include_str!("../../../samples/01-full-cycle.jsonl");
pub(crate) const GOES_WRONG: &str = include_str!("../../../samples/02-goes-wrong.jsonl");
pub(crate) const IRREGULAR: &str = include_str!("../../../samples/03-irregular.jsonl");
pub(crate) const AS_FOUND: &str = include_str!("../../../samples/04-as-found.jsonl");

/// The ledger's origin.
pub(crate) const ORIGIN: &str = "ledger.example/harness";

/// The day on which everything is recorded.
pub(crate) fn today() -> NaiveDate {
    day("2026-11-20")
}

pub(crate) fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

pub(crate) struct Ledger {
    pub(crate) claims: Claims,
    leaf: u64,
    pub(crate) rulebooks: Rulebooks,
    pub(crate) states: BTreeMap<StreamName, StreamState>,
}

impl Ledger {
    /// A ledger with the sample registry and the rulebook.
    pub(crate) fn open() -> Self {
        let mut ledger = Self {
            claims: Claims::default(),
            leaf: 1,
            rulebooks: Rulebooks::default(),
            states: BTreeMap::new(),
        };
        ledger.all(REGISTRY);
        let adopt = serde_json::json!({
            "command": "00000000-0000-4000-8000-000000000000",
            "do": "AdoptRulebook",
            "stream": "rulebook/wenzhou-entrustment-2018",
            "actor": { "organisation": "bureau-wz", "role": "bureau" },
            "effective": "2018-12-20",
            "payload": { "text": RULEBOOK, "version": 1 }
        });
        ledger.record(&adopt.to_string()).unwrap();
        ledger
    }

    /// A ledger with these samples.
    pub(crate) fn with(samples: &[&str]) -> Self {
        let mut ledger = Self::open();
        for sample in samples {
            ledger.all(sample);
        }
        ledger
    }

    /// Records every line; panics at the first refusal.
    pub(crate) fn all(&mut self, lines: &str) {
        for (number, line) in lines.lines().enumerate() {
            if let Err(refusal) = self.record(line) {
                panic!("line {}: {refusal}\n{line}", number + 1);
            }
        }
    }

    pub(crate) fn record(&mut self, line: &str) -> Result<Recorded, Refusal> {
        let command = Command::parse(line)?;
        let stream = command.stream.clone();
        let category = Category::of(&stream).expect("a stream of ours");
        let state = self.states.get(&stream).cloned().unwrap_or_else(|| StreamState::new(category));
        let newest = match &state {
            StreamState::Agreement(cycle) => cycle.last_leaf(),
            _ => None,
        };
        let mut act = command.act(newest)?;
        command.seal(&mut act, || [7; 16])?;
        let context = self.context(&act, &state);
        self.claims.check(&act)?;
        let act = decide(&state, act, &context)?;
        let sequence = match &state {
            StreamState::Agreement(cycle) => cycle.last_sequence(),
            StreamState::Organisation(organisation) => organisation.sequence,
            StreamState::Rulebook(rulebook) => rulebook.sequence,
            StreamState::Log => 0,
        } + 1;
        let recorded = Recorded {
            leaf_hash: leaf_hash(self.leaf.to_string().as_bytes()),
            leaf_index: LeafIndex::new(self.leaf),
            recorded_at: RecordedAt::new("2026-11-20T01:00:00.000Z").unwrap(),
            sequence,
            act: Arc::new(act),
        };
        self.leaf += 1;
        self.rulebooks.apply(&recorded);
        self.claims.apply(&recorded.act, recorded.sequence);
        let mut state = state;
        state.apply(&recorded, &self.rulebooks);
        self.states.insert(stream, state);
        Ok(recorded)
    }

    /// What the application would load: what is mentioned, and the authorities above.
    fn context(&self, act: &weituo_events::Act, state: &StreamState) -> Context {
        let roots = vec![OrganisationId::new("bureau-wz").unwrap()];
        let (named, known) = (mentions(act, &roots), mentions_of(state));
        let mut organisations = BTreeMap::new();
        for id in named.organisations.iter().chain(&known.organisations) {
            let mut next = Some(id.clone());
            while let Some(id) = next.take() {
                if let Some(StreamState::Organisation(found)) = self.states.get(&id.stream()) {
                    next = found.superior().cloned().filter(|above| !organisations.contains_key(above));
                    organisations.insert(id, Arc::new(found.as_ref().clone()));
                }
            }
        }
        let renewed = named.agreements.first().and_then(|stream| match self.states.get(stream) {
            Some(StreamState::Agreement(cycle)) => Some(Arc::new(cycle.as_ref().clone())),
            _ => None,
        });
        Context {
            erasure: None,
            ledger: Some(ORIGIN.parse().unwrap()),
            organisations,
            recorded_on: today(),
            renewed,
            roots,
            rulebooks: Arc::new(self.rulebooks.clone()),
        }
    }

    pub(crate) fn cycle(&self, id: &str) -> &Cycle {
        match &self.states[&StreamName::of("agreement", id).unwrap()] {
            StreamState::Agreement(cycle) => cycle,
            _ => panic!("an agreement"),
        }
    }

    pub(crate) fn rulebook(&self) -> &Rulebook {
        &self.rulebooks.get("wenzhou-entrustment-2018", 1).unwrap().rulebook
    }

    /// The irregularities of a cycle on a day.
    pub(crate) fn irregularities(&self, id: &str, on: &str) -> Vec<Irregularity> {
        let calendar = self.rulebook().working_calendar();
        irregularities::on(self.cycle(id), Some(self.rulebook()), &calendar, day(on))
    }

    /// Their rules, sorted.
    pub(crate) fn rules(&self, id: &str, on: &str) -> Vec<String> {
        let mut rules: Vec<_> = self.irregularities(id, on).into_iter().map(|found| found.rule).collect();
        rules.sort();
        rules
    }
}
