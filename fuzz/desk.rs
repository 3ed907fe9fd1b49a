//! A small ledger in memory for the fuzz bodies: it decides, folds and chains as the real one does.
//!
//! Invariants: its entries, columns, head and projections verify without a finding, so whatever a body then finds is
//! what the fuzzed bytes did. Absent: signing, sealing of the head, concurrency.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::NaiveDate;
use weituo::deciding::{Context, decide, mentions, mentions_of};
use weituo::store::EntryRow;
use weituo_events::payload::LogOpened;
use weituo_events::{Act, Category, Command, Event, OrganisationId, Recorded, Refusal};
use weituo_projections::{Claims, Rulebooks, StreamState};
use weituo_proof::{
    Actor, Entry, EntryError, Hash, LeafIndex, Origin, Position, RecordedAt, StreamHead, StreamName,
    leaf_hash,
};

pub(crate) const REGISTRY: &str = include_str!("../samples/00-registry.jsonl");
pub(crate) const CYCLE: &str = include_str!("../samples/01-full-cycle.jsonl");
pub(crate) const RULEBOOK: &str = include_str!("../rulebooks/wenzhou-entrustment-2018.toml");
/// A rulebook of the same id with few acts, read in no time.
pub(crate) const SMALL_RULEBOOK: &str = include_str!("corpus/rulebook/valid_small");

/// Where the ledger stands: entries, and what follows from them.
pub(crate) struct Desk {
    pub(crate) claims: Claims,
    pub(crate) rows: Vec<EntryRow>,
    pub(crate) rulebooks: Rulebooks,
    pub(crate) states: BTreeMap<StreamName, StreamState>,
    pub(crate) disclosures: Vec<(u64, String)>,
    heads: BTreeMap<StreamName, StreamHead>,
}

/// What became of a line that is a command of a stream of ours.
pub(crate) struct Decided {
    pub(crate) entry: Result<String, EntryError>,
    pub(crate) act: Act,
    pub(crate) state: StreamState,
    pub(crate) disclosures: Vec<String>,
}

impl Desk {
    /// Returns a ledger with the sample registry, a rulebook, and the first `lines` of the sample cycle.
    pub(crate) fn open(rulebook: &str, lines: usize) -> Self {
        let mut desk = Self {
            claims: Claims::default(),
            rows: Vec::new(),
            rulebooks: Rulebooks::default(),
            states: BTreeMap::new(),
            disclosures: Vec::new(),
            heads: BTreeMap::new(),
        };
        desk.append(&opening(), Vec::new());
        let adopt = serde_json::json!({
            "command": "00000000-0000-4000-8000-000000000000",
            "do": "AdoptRulebook",
            "stream": "rulebook/wenzhou-entrustment-2018",
            "actor": { "organisation": "bureau-wz", "role": "bureau" },
            "effective": "2018-12-20",
            "payload": { "text": rulebook, "version": 1 }
        });
        let adopt = adopt.to_string();
        for line in REGISTRY.lines().chain([adopt.as_str()]).chain(CYCLE.lines().take(lines)) {
            let decided = desk.decide(&Command::parse(line).expect("a sample is a command"));
            let decided = decided.unwrap_or_else(|refusal| panic!("{refusal}: {line}"));
            desk.append(&decided.act, decided.disclosures);
        }
        desk
    }

    /// Decides on a command as the ledger does, without recording it.
    pub(crate) fn decide(&self, command: &Command) -> Result<Decided, Refusal> {
        let stream = &command.stream;
        let Some(category) = Category::of(stream) else {
            return Err(Refusal::invalid("stream-kind", "无此类流", "a stream of no known kind"));
        };
        let state = self.states.get(stream).cloned().unwrap_or_else(|| StreamState::new(category));
        let mut act = command.act(self.heads.get(stream).map(|head| head.leaf_hash))?;
        let disclosures = command.seal(&mut act, || [7; 16])?;
        self.claims.check(&act)?;
        let context = self.context(&act, &state);
        let act = decide(&state, act, &context)?;
        let entry = act.draft(&origin()).entry(&self.position(stream));
        Ok(Decided { entry, act, state, disclosures })
    }

    /// Returns the place that the next entry of a stream takes.
    fn position(&self, stream: &StreamName) -> Position {
        let head = self.heads.get(stream);
        let genesis = self.rows.first().map_or(Hash::ZERO, |row| row.leaf_hash);
        Position {
            prev: head.map_or(genesis, |head| head.leaf_hash),
            recorded_at: RecordedAt::new("2026-11-20T01:00:00.000Z").expect("an instant"),
            sequence: head.map_or(0, |head| head.sequence) + 1,
        }
    }

    fn append(&mut self, act: &Act, disclosures: Vec<String>) {
        let position = self.position(&act.stream);
        let body = act.draft(&origin()).entry(&position).expect("a sample makes an entry");
        let leaf = self.rows.len() as u64;
        let hash = leaf_hash(body.as_bytes());
        let entry = Entry::parse(body.as_bytes()).expect("what was written can be read");
        let recorded = Recorded::from_entry(&entry, LeafIndex::new(leaf), hash).expect("of a known type");
        assert_eq!(*recorded.act, *act);
        self.rulebooks.apply(&recorded);
        self.claims.apply(act, position.sequence);
        if let Some(category) = Category::of(&act.stream) {
            let state = self.states.entry(act.stream.clone()).or_insert_with(|| StreamState::new(category));
            state.apply(&recorded, &self.rulebooks);
        }
        self.heads.insert(act.stream.clone(), StreamHead { sequence: position.sequence, leaf_hash: hash });
        self.disclosures.extend(disclosures.into_iter().map(|disclosure| (leaf, disclosure)));
        self.rows.push(EntryRow {
            leaf_index: leaf,
            stream: act.stream.to_string(),
            sequence: position.sequence,
            command: act.command.to_bytes(),
            leaf_hash: hash,
            body: Arc::from(body),
        });
    }

    /// What the application loads: what is mentioned, and the authorities above.
    fn context(&self, act: &Act, state: &StreamState) -> Context {
        let roots = vec![OrganisationId::new("bureau-wz").expect("an id")];
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
            ledger: Some(origin()),
            organisations,
            recorded_on: NaiveDate::from_ymd_opt(2026, 11, 20).expect("a date"),
            renewed,
            roots,
            rulebooks: Arc::new(self.rulebooks.clone()),
        }
    }
}

pub(crate) fn origin() -> Origin {
    "ledger.example/fuzz".parse().expect("an origin")
}

/// Entry 0.
fn opening() -> Act {
    Act {
        actor: Actor { key: None, organisation: "log".into(), person: None, role: "operator".into() },
        as_found: false,
        command: "00000000-0000-4000-8000-0000000000ff".parse().expect("a command id"),
        effective: "2018-01-01".parse().expect("a date"),
        parties: Vec::new(),
        seen: None,
        signature: None,
        stream: "log/main".parse().expect("a stream"),
        event: Event::LogOpened(LogOpened {
            key: "ledger.example/fuzz+00000000+AAAA".to_owned(),
            nonce: Hash::ZERO,
            predecessor: None,
            roots: vec![OrganisationId::new("bureau-wz").expect("an id")],
            zone: "+08:00".to_owned(),
        }),
    }
}
