//! Which entries a history consists of: its own streams, and those without which they cannot be understood or checked.
//!
//! Invariants: only entries below the index that proves them; every stream named is gathered whole.
//! Absent: proofs (the ledger's).

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde_json::Value;
use weituo_events::{Category, Event, Recorded};
use weituo_proof::dossier::{DisclosedValue, NamedDocument, Subject, SubjectKind};
use weituo_proof::{Disclosure, Entry, Hash, LeafIndex, StreamName, both};

use crate::follower::{FollowError, recorded};
use crate::ledger::{Names, Proven};
use crate::store::{EntryRow, Store, StoreError};

/// Rows read at a time.
const PAGE: u32 = 500;

/// Digests asked for at a time.
const DIGESTS: usize = 500;

/// One history below one index.
pub(super) struct Gathered {
    /// Streams and parties that must be proven for it.
    pub(super) names: Names,
    /// Its entries by leaf index, that of the index being the last.
    pub(super) rows: BTreeMap<u64, EntryRow>,
    /// Sealed digests that are neither disclosed nor erased: something was erased just now.
    unsettled: bool,
    disclosed: Vec<DisclosedValue>,
}

/// Returns what has to be proven of a subject at least; `None` where its id is none.
pub(super) fn first_names(subject: &Subject) -> Option<Names> {
    let mut names = Names::default();
    match subject.kind {
        SubjectKind::Agreement => {
            names.streams.insert(StreamName::of("agreement", &subject.id).ok()?);
        }
        SubjectKind::Trustee | SubjectKind::School => {
            let organisation = StreamName::of("organisation", &subject.id).ok()?;
            names.streams.insert(organisation.clone());
            names.parties.insert(organisation);
        }
    }
    Some(names)
}

impl Gathered {
    /// Gathers a subject's history below the index at `proven.index`. `names` are what `proven` was asked about.
    pub(super) async fn below(
        store: &dyn Store,
        subject: &Subject,
        names: &Names,
        proven: &Proven,
    ) -> Result<Self, FollowError> {
        let mut needed = first_names(subject).unwrap_or_default();
        let mut rows: BTreeMap<u64, EntryRow> = BTreeMap::new();
        for leaf in names.parties.iter().zip(&proven.parties).flat_map(|(_, party)| &party.joined) {
            let row = entry(store, leaf.get()).await?;
            needed.streams.insert(stream_of(&row)?);
        }
        let main = StreamName::of("log", "main").expect("invariant: log/main is a stream name");
        let mut of_log = whole(store, &main, proven.index).await?;
        let roots = of_log.first().map(roots).transpose()?.unwrap_or_default();
        let mut open: Vec<StreamName> = needed.streams.iter().cloned().collect();
        loop {
            let mut taken = Vec::new();
            for stream in open.drain(..) {
                taken.extend(whole(store, &stream, proven.index).await?);
            }
            for row in std::mem::take(&mut of_log) {
                if concerns(&row, &rows)? { &mut taken } else { &mut of_log }.push(row);
            }
            if taken.is_empty() {
                break;
            }
            for row in taken {
                open.extend(
                    grounds(&row, &roots)?.into_iter().filter(|stream| needed.streams.insert(stream.clone())),
                );
                rows.insert(row.leaf_index, row);
            }
        }
        let index = entry(store, proven.index.get()).await?;
        rows.insert(index.leaf_index, index);
        let mut gathered = Self { names: needed, rows, unsettled: false, disclosed: Vec::new() };
        gathered.disclose(store).await?;
        Ok(gathered)
    }

    /// Returns whether every sealed value is disclosed or its erasure is among the entries.
    pub(super) fn is_settled(&self) -> bool {
        !self.unsettled
    }

    /// Returns whether the subject is in the log at all.
    pub(super) fn exists(&self, subject: &Subject) -> bool {
        let Some(names) = first_names(subject) else { return false };
        self.rows.values().any(|row| names.streams.iter().any(|stream| stream.as_str() == row.stream))
    }

    /// Returns the entries as acts.
    pub(super) fn recorded(&self) -> Result<Vec<Recorded>, FollowError> {
        self.rows.values().map(recorded).collect()
    }

    /// Returns what the entries disclose.
    pub(super) fn disclosures(&self) -> Vec<DisclosedValue> {
        self.disclosed.clone()
    }

    async fn disclose(&mut self, store: &dyn Store) -> Result<(), FollowError> {
        let (mut sealed, mut erased) = (HashSet::new(), HashSet::new());
        for row in self.rows.values() {
            let entry = parse(row)?;
            sealed.extend(entry.sealed_digests().into_iter().map(|digest| (row.leaf_index, digest)));
            if let Event::DisclosureErased(act) = &recorded(row)?.act.event {
                erased.insert((act.leaf_index, act.digest.clone()));
            }
        }
        let wanted: Vec<String> = sealed.difference(&erased).map(|(_, digest)| digest.clone()).collect();
        for digests in wanted.chunks(DIGESTS) {
            for row in store.disclosures_by_digest(digests).await? {
                let leaf_index = LeafIndex::new(row.leaf_index);
                self.disclosed.push(DisclosedValue { disclosure: row.disclosure, leaf_index });
            }
        }
        self.disclosed.sort_by(|a, b| (a.leaf_index, &a.disclosure).cmp(&(b.leaf_index, &b.disclosure)));
        self.unsettled = self.disclosed.len() < wanted.len();
        Ok(())
    }

    /// Returns the documents that the entries name, in clear or in a disclosure.
    pub(super) fn evidence(&self) -> Vec<NamedDocument> {
        let opened: BTreeMap<String, Value> = self
            .disclosed
            .iter()
            .filter_map(|one| Disclosure::decode(&one.disclosure).ok())
            .map(|disclosure| (disclosure.digest(), disclosure.value().clone()))
            .collect();
        let mut documents = BTreeSet::new();
        for row in self.rows.values() {
            let Ok(entry) = serde_json::from_str::<Value>(&row.body) else { continue };
            collect_documents(&entry["payload"], LeafIndex::new(row.leaf_index), &opened, &mut documents);
        }
        documents.into_iter().collect()
    }
}

/// Collects the objects that name a document, at any depth, in what was sealed as a whole too.
fn collect_documents(
    value: &Value,
    leaf_index: LeafIndex,
    opened: &BTreeMap<String, Value>,
    documents: &mut BTreeSet<NamedDocument>,
) {
    match value {
        Value::Array(elements) => {
            for element in elements {
                collect_documents(element, leaf_index, opened, documents);
            }
        }
        Value::Object(members) => {
            if let Some(disclosed) = digest_in(value).and_then(|digest| opened.get(digest)) {
                return collect_documents(disclosed, leaf_index, opened, documents);
            }
            let sealed = || digest_in(value.get("sha256_sealed")?).and_then(|digest| opened.get(digest));
            let sha256 = value.get("sha256").or_else(sealed).and_then(Value::as_str);
            if let (Some(media_type), Some(size_bytes), Some(sha256)) =
                (value["media_type"].as_str(), value["size_bytes"].as_i64(), sha256)
                && let Ok(sha256) = sha256.parse::<Hash>()
            {
                let media_type = media_type.to_owned();
                documents.insert(NamedDocument { leaf_index, media_type, sha256, size_bytes });
            }
            for member in members.values() {
                collect_documents(member, leaf_index, opened, documents);
            }
        }
        _ => {}
    }
}

/// Returns the digest that a sealed reference holds.
fn digest_in(value: &Value) -> Option<&str> {
    value.get("_sd")?.get(0)?.as_str()
}

async fn entry(store: &dyn Store, leaf_index: u64) -> Result<EntryRow, StoreError> {
    let row = store.entry(leaf_index).await?;
    row.ok_or_else(|| {
        StoreError::corrupt(both!(
            "没有序号 {leaf_index} 的记录",
            "there is no entry at leaf index {leaf_index}"
        ))
    })
}

/// Reads a stream's entries below a leaf index.
async fn whole(
    store: &dyn Store,
    stream: &StreamName,
    below: LeafIndex,
) -> Result<Vec<EntryRow>, StoreError> {
    let mut rows = Vec::new();
    let mut next = 1;
    loop {
        let page = store.stream_rows(stream.as_str(), next, PAGE).await?;
        let full = page.len() == PAGE as usize;
        next = page.last().map_or(next, |last| last.sequence + 1);
        rows.extend(page.into_iter().filter(|row| row.leaf_index < below.get()));
        if !full {
            return Ok(rows);
        }
    }
}

fn parse(row: &EntryRow) -> Result<Entry, FollowError> {
    let leaf_index = row.leaf_index;
    Entry::parse(row.body.as_bytes()).map_err(|source| FollowError::Entry { leaf_index, source })
}

fn stream_of(row: &EntryRow) -> Result<StreamName, FollowError> {
    Ok(parse(row)?.stream)
}

/// Returns the streams of the root bureaus that entry 0 names.
fn roots(opening: &EntryRow) -> Result<Vec<StreamName>, FollowError> {
    Ok(match &recorded(opening)?.act.event {
        Event::LogOpened(opened) => opened
            .roots
            .iter()
            .filter_map(|root| StreamName::of("organisation", root.as_str()).ok())
            .collect(),
        _ => Vec::new(),
    })
}

/// Returns the streams without which an entry cannot be understood or checked: who acted and who became a party, under
/// which rulebook, by whose key, and who could vouch for a key.
fn grounds(row: &EntryRow, roots: &[StreamName]) -> Result<Vec<StreamName>, FollowError> {
    let recorded = recorded(row)?;
    let act = &recorded.act;
    let of_agreement = Category::of(&act.stream) == Some(Category::Agreement);
    let mut streams = Vec::new();
    if of_agreement {
        streams.extend(act.parties.iter().cloned());
        let pin = match &act.event {
            Event::SchemeIssued(act) => Some(&act.rulebook),
            Event::PartiesDesignated(act) => Some(&act.rulebook),
            Event::AgreementSigned(act) => Some(&act.rulebook),
            Event::GroupApproved(act) => Some(&act.rulebook),
            _ => None,
        };
        streams.extend(pin.and_then(|pin| StreamName::of("rulebook", &pin.id).ok()));
    }
    let superior = match &act.event {
        Event::OrganisationRegistered(act) => act.superior.as_ref(),
        Event::OrganisationChanged(act) => act.superior.as_ref(),
        _ => None,
    };
    streams.extend(superior.and_then(|superior| StreamName::of("organisation", superior.as_str()).ok()));
    if let Event::SigningKeyEnrolled(_) = &act.event {
        streams.extend_from_slice(roots);
    }
    if of_agreement || act.signature.is_some() {
        streams.extend(StreamName::of("organisation", &act.actor.organisation).ok());
    }
    Ok(streams)
}

/// Returns whether an entry of `log/main` belongs to a history: the opening, the log's keys, erasures of its values.
fn concerns(row: &EntryRow, rows: &BTreeMap<u64, EntryRow>) -> Result<bool, FollowError> {
    Ok(match &recorded(row)?.act.event {
        Event::DisclosureErased(act) => rows.contains_key(&act.leaf_index),
        _ => true,
    })
}
