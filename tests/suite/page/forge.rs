//! Logs that a test writes itself: chained, hashed and signed as a ledger would, with whatever lie the test wants in them.
//!
//! Invariant: without a lie, what is written is what `docs/format.md` asks for.
//! Absent: a database, deciding; the entries are those that a real ledger recorded, and a few signed ones besides.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use weituo_proof::dossier::{
    DisclosedValue, Dossier, FORMAT, NamedDocument, ProvenEntry, ProvenName, StatedState, Subject,
    SubjectKind,
};
use weituo_proof::map::{Map, PartyChain, party_name, stream_value};
use weituo_proof::tree::inclusion_proof;
use weituo_proof::{
    Checkpoint, Entry, Hash, LeafIndex, MemoryNodes, Origin, Receipt, RecordedAt, SigningKey, StreamHead,
    StreamName, canonical, entry, leaf_hash, sha256,
};

/// The stream of the index roots.
const INDEX: &str = "log/index";

/// What a test changes in an entry before it is hashed, so that everything after it fits the change.
pub(super) type Lie = fn(&mut Value);

/// A log that is still to be written.
#[derive(Clone)]
pub(super) struct Log {
    /// The key that signs the checkpoint; its name is the origin.
    pub(super) key: SigningKey,
    /// Every entry's members but `prev` and `sequence`, by leaf index.
    pub(super) entries: Vec<Value>,
    /// Seeds of the actors' keys, by the leaf index of what they sign.
    pub(super) signing: BTreeMap<u64, [u8; 32]>,
    /// Disclosures by leaf index.
    pub(super) disclosures: BTreeSet<(u64, String)>,
    /// Lies by leaf index.
    pub(super) lies: BTreeMap<u64, Lie>,
}

/// A log with its hashes.
pub(super) struct Written {
    log: Log,
    pub(super) texts: Vec<String>,
    pub(super) nodes: MemoryNodes,
    map: Map,
    pub(super) origin: Origin,
}

impl Log {
    /// Adds an entry that an organisation records in a stream; returns its leaf index.
    #[expect(clippy::needless_pass_by_value, reason = "a payload is written where it is given")]
    pub(super) fn add(
        &mut self,
        stream: &str,
        organisation: &str,
        role: &str,
        act: &str,
        payload: Value,
    ) -> u64 {
        let leaf_index = self.entries.len() as u64;
        self.entries.push(json!({
            "actor": { "organisation": organisation, "role": role },
            "as_found": false,
            "command": format!("00000000-0000-4000-8000-{leaf_index:012x}"),
            "effective": "2026-11-20",
            "format": 1,
            "ledger": self.key.name(),
            "payload": payload,
            "recorded_at": self.entries.last().map_or(json!(null), |last| last["recorded_at"].clone()),
            "stream": stream,
            "type": act,
            "version": 1,
        }));
        leaf_index
    }

    /// Adds the root of the index over every entry so far.
    pub(super) fn commit_index(&mut self) -> u64 {
        let size = self.entries.len();
        self.add(
            INDEX,
            "log",
            "operator",
            "IndexCommitted",
            json!({ "root": "", "size": size, "streams": 0 }),
        )
    }

    /// Returns the leaf index of the newest entry of a type in a stream.
    #[track_caller]
    pub(super) fn find(&self, stream: &str, act: &str) -> u64 {
        let found = self.entries.iter().rposition(|entry| entry["stream"] == stream && entry["type"] == act);
        found.unwrap_or_else(|| panic!("no {act} in {stream}")) as u64
    }

    /// Returns this log with one lie in it.
    pub(super) fn lying(&self, leaf_index: u64, lie: Lie) -> Self {
        let mut log = self.clone();
        log.lies.insert(leaf_index, lie);
        log
    }

    /// Chains, signs and hashes every entry.
    pub(super) fn write(&self) -> Written {
        let mut heads: BTreeMap<String, StreamHead> = BTreeMap::new();
        let mut parties: BTreeMap<String, PartyChain> = BTreeMap::new();
        let (mut map, mut committed) = (Map::new(), Map::new());
        let mut nodes = MemoryNodes::new();
        let mut texts: Vec<String> = Vec::new();
        for (leaf_index, members) in (0..).zip(&self.entries) {
            let mut members = members.clone();
            let stream = members["stream"].as_str().unwrap().to_owned();
            let first = texts.first().map_or(Hash::ZERO, |first| leaf_hash(first.as_bytes()));
            let head = heads.get(&stream);
            members["prev"] = json!(head.map_or(first, |head| head.leaf_hash));
            members["sequence"] = json!(head.map_or(1, |head| head.sequence + 1));
            if members["type"] == "IndexCommitted" {
                members["payload"]["root"] = json!(map.root());
                members["payload"]["streams"] = json!(heads.len());
                committed = map.clone();
            }
            if let Some(seed) = self.signing.get(&leaf_index) {
                members = signed(&members, seed);
            }
            if let Some(lie) = self.lies.get(&leaf_index) {
                lie(&mut members);
            }
            let text = text_of(&members);
            let hash = leaf_hash(text.as_bytes());
            let head = StreamHead { sequence: members["sequence"].as_u64().unwrap(), leaf_hash: hash };
            map.insert(&stream, &stream_value(&head));
            heads.insert(stream, head);
            for party in joined(&members) {
                let chain = parties.entry(party.clone()).or_default();
                chain.push(&hash);
                map.insert(&party_name(&StreamName::new(party).unwrap()), &chain.value());
            }
            nodes.append(hash);
            texts.push(text);
        }
        let origin = Origin::new(self.key.name()).unwrap();
        Written { log: self.clone(), texts, nodes, map: committed, origin }
    }
}

impl Written {
    fn checkpoint(&self) -> String {
        let (size, root) = (self.nodes.size(), self.nodes.root());
        Checkpoint { origin: self.origin.clone(), size, root }.sign(&self.log.key).unwrap().to_string()
    }

    fn inclusion(&self, leaf_index: u64) -> Vec<Hash> {
        inclusion_proof(&self.nodes, LeafIndex::new(leaf_index), self.nodes.size()).unwrap()
    }

    /// Returns the receipt of an entry, as a text that holds the entry.
    pub(super) fn receipt(&self, leaf_index: u64) -> String {
        let entry = self.texts[usize::try_from(leaf_index).unwrap()].clone();
        let (inclusion, checkpoint) = (self.inclusion(leaf_index), self.checkpoint());
        Receipt { entry, leaf_index: LeafIndex::new(leaf_index), inclusion, checkpoint }.text_with_entry()
    }

    fn proven(&mut self, stream: &str, name: &str) -> ProvenName {
        ProvenName { proof: self.map.prove(name), stream: StreamName::new(stream).unwrap() }
    }

    /// Returns the dossier of a subject: every stream but other cycles, and the newest index root.
    pub(super) fn dossier(mut self, kind: SubjectKind, id: &str, state: &StatedState) -> Dossier {
        let members: Vec<Value> =
            self.texts.iter().map(|text| serde_json::from_str(text).unwrap_or_default()).collect();
        let stream_of = |entry: &Value| entry["stream"].as_str().unwrap_or_default().to_owned();
        let home = format!("organisation/{id}");
        let cycles: BTreeSet<String> = if kind == SubjectKind::Agreement {
            BTreeSet::from([format!("agreement/{id}")])
        } else {
            members.iter().filter(|entry| joined(entry).contains(&home)).map(stream_of).collect()
        };
        let streams: BTreeSet<String> = members
            .iter()
            .map(stream_of)
            .filter(|stream| {
                cycles.contains(stream) || (!stream.starts_with("agreement/") && stream != INDEX)
            })
            .collect();
        let last = members.len() - 1;
        let here = |at: &usize| *at == last || streams.contains(&stream_of(&members[*at]));
        let here: Vec<u64> = (0..members.len()).filter(here).map(|at| at as u64).collect();
        let entries = here.iter().map(|at| ProvenEntry {
            entry: self.texts[usize::try_from(*at).unwrap()].clone(),
            inclusion: self.inclusion(*at),
            leaf_index: LeafIndex::new(*at),
        });
        let entries = entries.collect();
        let opened = self.log.disclosures.iter().filter(|(at, _)| here.contains(at));
        let opened = opened
            .map(|(at, text)| DisclosedValue { disclosure: text.clone(), leaf_index: LeafIndex::new(*at) });
        let evidence = here.iter().flat_map(|at| documents(*at, &members[usize::try_from(*at).unwrap()]));
        Dossier {
            checkpoint: self.checkpoint(),
            disclosures: opened.collect(),
            entries,
            evidence: evidence.collect(),
            format: FORMAT.to_owned(),
            made_at: RecordedAt::new("2026-11-24T08:00:00.000Z").unwrap(),
            parties: match kind {
                SubjectKind::Agreement => vec![],
                _ => vec![self.proven(&home, &format!("party:{home}"))],
            },
            state: state.clone(),
            streams: streams.iter().map(|stream| self.proven(stream, stream)).collect(),
            subject: Subject { id: id.to_owned(), kind },
            timestamps: vec![],
        }
    }
}

/// Returns an entry's canonical text.
pub(super) fn text_of(members: &Value) -> String {
    let mut text = String::new();
    canonical::write_value(&mut text, members).unwrap();
    text
}

fn signed(members: &Value, seed: &[u8; 32]) -> Value {
    let parsed = Entry::parse(text_of(members).as_bytes()).unwrap();
    let mut draft = parsed.draft();
    entry::sign(&mut draft, seed);
    serde_json::from_str(&draft.entry(&parsed.position()).unwrap()).unwrap()
}

fn joined(members: &Value) -> Vec<String> {
    let parties = members["parties"].as_array().map_or(&[][..], Vec::as_slice);
    parties.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Returns the documents that an entry names in clear, at any depth.
fn documents(leaf_index: u64, value: &Value) -> Vec<NamedDocument> {
    let mut found = Vec::new();
    if let (Some(hash), Some(size_bytes)) = (value["sha256"].as_str(), value["size_bytes"].as_i64()) {
        let (sha256, leaf_index) = (hash.parse().unwrap(), LeafIndex::new(leaf_index));
        let media_type = value["media_type"].as_str().unwrap().to_owned();
        found.push(NamedDocument { leaf_index, media_type, sha256, size_bytes });
    }
    match value {
        Value::Object(members) => {
            found.extend(members.values().flat_map(|inner| documents(leaf_index, inner)));
        }
        Value::Array(elements) => {
            found.extend(elements.iter().flat_map(|inner| documents(leaf_index, inner)));
        }
        _ => {}
    }
    found
}

/// Returns the digest of a disclosure.
pub(super) fn digest_of(disclosure: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(sha256(&[disclosure.as_bytes()]).0)
}
