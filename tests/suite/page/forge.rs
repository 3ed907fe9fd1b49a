//! Logs that a test writes itself: chained, hashed and signed as a ledger would, with whatever lie the test wants in them.
//!
//! Invariant: without a lie, what is written is what `docs/format.md` asks for.
//! Absent: a database, deciding; the entries are those that a real ledger recorded, and a few signed ones besides.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Value, json};
use weituo_proof::dossier::{
    DisclosedValue, Dossier, FORMAT, NamedDocument, ProvenEntry, ProvenName, StatedState, Subject,
    SubjectKind,
};
use weituo_proof::map::{Map, PartyChain, party_name, stream_value};
use weituo_proof::tile::{TilePath, bundles_between, encode_bundle, hash_tile, tiles_of};
use weituo_proof::tree::inclusion_proof;
use weituo_proof::{
    Checkpoint, Entry, Hash, LeafIndex, MemoryNodes, Origin, Receipt, RecordedAt, SigningKey, StreamHead,
    StreamName, TreeSize, canonical, entry, leaf_hash, sha256,
};

/// The stream of the index roots.
const INDEX: &str = "log/index";

/// What a test changes in an entry before it is hashed, so that everything after it fits the change.
pub(crate) type Lie = fn(&mut Value);

/// A log that is still to be written.
#[derive(Clone)]
pub(crate) struct Log {
    /// The key that signs the checkpoint; its name is the origin.
    pub(crate) key: SigningKey,
    /// Every entry's members but `prev` and `sequence`, by leaf index.
    pub(crate) entries: Vec<Value>,
    /// Seeds of the actors' keys, by the leaf index of what they sign.
    pub(crate) signing: BTreeMap<u64, [u8; 32]>,
    /// Disclosures by leaf index.
    pub(crate) disclosures: BTreeSet<(u64, String)>,
    /// Lies by leaf index.
    pub(crate) lies: BTreeMap<u64, Lie>,
    /// What an index entry leaves out, by its leaf index: the leaves that it is computed without.
    pub(crate) hidden: BTreeMap<u64, BTreeSet<u64>>,
}

/// What an entry adds to the index: its stream's head and the parties that it names.
struct Indexed {
    stream: String,
    head: StreamHead,
    parties: Vec<String>,
}

/// A log with its hashes.
pub(crate) struct Written {
    log: Log,
    pub(crate) texts: Vec<String>,
    pub(crate) nodes: MemoryNodes,
    map: Map,
    pub(crate) origin: Origin,
}

/// Returns the index over the entries but those hidden, and the number of its streams.
fn index_over(entries: &[Indexed], hidden: Option<&BTreeSet<u64>>) -> (Map, usize) {
    let mut map = Map::new();
    let mut streams = BTreeSet::new();
    let mut parties: BTreeMap<&str, PartyChain> = BTreeMap::new();
    for (leaf_index, Indexed { stream, head, parties: joined }) in (0..).zip(entries) {
        if hidden.is_some_and(|hidden| hidden.contains(&leaf_index)) {
            continue;
        }
        map.insert(stream, &stream_value(head));
        streams.insert(stream);
        for party in joined {
            let chain = parties.entry(party).or_default();
            chain.push(&head.leaf_hash);
            map.insert(&party_name(&StreamName::new(party.as_str()).unwrap()), &chain.value());
        }
    }
    (map, streams.len())
}

impl Log {
    /// Takes over what a ledger has stored, to be signed with a key.
    pub(crate) fn taken_over(
        key: SigningKey,
        bodies: impl Iterator<Item = impl AsRef<str>>,
        disclosures: BTreeSet<(u64, String)>,
    ) -> Self {
        let entries = bodies.map(|body| serde_json::from_str(body.as_ref()).unwrap()).collect();
        let (signing, lies, hidden) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { key, entries, signing, disclosures, lies, hidden }
    }

    /// Adds an entry that an organisation records in a stream; returns its leaf index.
    #[expect(clippy::needless_pass_by_value, reason = "a payload is written where it is given")]
    pub(crate) fn add(
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
    pub(crate) fn commit_index(&mut self) -> u64 {
        let size = self.entries.len();
        self.add(
            INDEX,
            "log",
            "operator",
            "IndexCommitted",
            json!({ "root": "", "size": size, "streams": 0 }),
        )
    }

    /// Adds a root of the index over every entry so far but those hidden.
    pub(crate) fn commit_index_without(&mut self, hidden: BTreeSet<u64>) -> u64 {
        let leaf_index = self.commit_index();
        self.hidden.insert(leaf_index, hidden);
        leaf_index
    }

    /// Returns the leaf index of the newest entry of a type in a stream.
    #[track_caller]
    pub(crate) fn find(&self, stream: &str, act: &str) -> u64 {
        let found = self.entries.iter().rposition(|entry| entry["stream"] == stream && entry["type"] == act);
        found.unwrap_or_else(|| panic!("no {act} in {stream}")) as u64
    }

    /// Returns this log with one lie in it.
    pub(crate) fn lying(&self, leaf_index: u64, lie: Lie) -> Self {
        let mut log = self.clone();
        log.lies.insert(leaf_index, lie);
        log
    }

    /// Chains, signs and hashes every entry.
    pub(crate) fn write(&self) -> Written {
        let mut heads: BTreeMap<String, StreamHead> = BTreeMap::new();
        let (mut indexed, mut committed) = (Vec::new(), Map::new());
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
                let (mut map, streams) = index_over(&indexed, self.hidden.get(&leaf_index));
                members["payload"]["root"] = json!(map.root());
                members["payload"]["streams"] = json!(streams);
                committed = map;
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
            indexed.push(Indexed { stream: stream.clone(), head, parties: joined(&members) });
            heads.insert(stream, head);
            nodes.append(hash);
            texts.push(text);
        }
        let origin = Origin::new(self.key.name()).unwrap();
        Written { log: self.clone(), texts, nodes, map: committed, origin }
    }
}

impl Written {
    /// Returns the checkpoint over the whole log.
    pub(crate) fn checkpoint(&self) -> String {
        let (size, root) = (self.nodes.size(), self.nodes.root());
        Checkpoint { origin: self.origin.clone(), size, root }.sign(&self.log.key).unwrap().to_string()
    }

    fn inclusion(&self, leaf_index: u64) -> Vec<Hash> {
        inclusion_proof(&self.nodes, LeafIndex::new(leaf_index), self.nodes.size()).unwrap()
    }

    /// Returns the receipt of an entry, as a text that holds the entry.
    pub(crate) fn receipt(&self, leaf_index: u64) -> String {
        let entry = self.texts[usize::try_from(leaf_index).unwrap()].clone();
        let (inclusion, checkpoint) = (self.inclusion(leaf_index), self.checkpoint());
        Receipt { entry, leaf_index: LeafIndex::new(leaf_index), inclusion, checkpoint }.text_with_entry()
    }

    /// Writes the log into a folder, as any file server serves it.
    pub(crate) fn publish(&self, folder: &Path) {
        let put = |path: &TilePath, bytes: Vec<u8>| {
            let file = folder.join(path.to_string());
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, bytes).unwrap();
        };
        for path in tiles_of(self.nodes.size()) {
            let Ok(tile) = hash_tile(&self.nodes, &path);
            put(&path, tile);
        }
        for path in bundles_between(TreeSize::new(0), self.nodes.size()) {
            let first = usize::try_from(path.index() * 256).unwrap();
            put(&path, encode_bundle(&self.texts[first..first + usize::from(path.width())]).unwrap());
        }
        std::fs::write(folder.join("checkpoint"), self.checkpoint()).unwrap();
    }

    fn proven(&mut self, stream: &str, name: &str) -> ProvenName {
        ProvenName { proof: self.map.prove(name), stream: StreamName::new(stream).unwrap() }
    }

    /// Returns the dossier of a subject: every stream but other cycles, and the newest index root.
    pub(crate) fn dossier(mut self, kind: SubjectKind, id: &str, state: &StatedState) -> Dossier {
        let members: Vec<Value> =
            self.texts.iter().map(|text| serde_json::from_str(text).unwrap_or_default()).collect();
        let stream_of = |entry: &Value| entry["stream"].as_str().unwrap_or_default().to_owned();
        let home = format!("organisation/{id}");
        let last = members.len() - 1;
        let nothing = BTreeSet::new();
        let hidden = self.log.hidden.get(&(last as u64)).unwrap_or(&nothing).clone();
        let shown = |at: &usize| !hidden.contains(&(*at as u64));
        let cycles: BTreeSet<String> = if kind == SubjectKind::Agreement {
            BTreeSet::from([format!("agreement/{id}")])
        } else {
            let joins = |at: &usize| shown(at) && joined(&members[*at]).contains(&home);
            (0..members.len()).filter(joins).map(|at| stream_of(&members[at])).collect()
        };
        let streams: BTreeSet<String> = members
            .iter()
            .map(stream_of)
            .filter(|stream| {
                cycles.contains(stream) || (!stream.starts_with("agreement/") && stream != INDEX)
            })
            .collect();
        let here = |at: &usize| shown(at) && (*at == last || streams.contains(&stream_of(&members[*at])));
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
pub(crate) fn text_of(members: &Value) -> String {
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
pub(crate) fn digest_of(disclosure: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(sha256(&[disclosure.as_bytes()]).0)
}
