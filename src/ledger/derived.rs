//! What a writer knows by having followed the log: stream heads, recent command ids, completeness index, claims, keys.
//!
//! Invariants: a pure function of the entries applied, in order of leaf index, but for the moment at which an entry
//! became uncovered; nothing here is stored. What follows from an entry is read from its bytes, never from the columns
//! that repeat them.
//! Absent: the tree (`tree`); rolling back (a batch is applied only once it is committed).
//! Source: design.md "The append path" step 2; format.md "Completeness index".

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::time::Instant;

use serde::Deserialize;
use weituo_events::{Act, Event};
use weituo_projections::Claims;
use weituo_projections::dates::zone_minutes;
use weituo_proof::map::{Map, MapProof, PartyChain, party_name, stream_value};
use weituo_proof::{CommandId, Entry, Hash, LeafIndex, RecordedAt, SigningKey, StreamHead, StreamName, both};

use super::index::{Names, PartyProof};
use super::key::Keys;
use super::types::ReadOnly;
use crate::store::{EntryRow, Head};

/// Command ids kept in memory; an older one is found by the database's unique index.
const RECENT_COMMANDS: usize = 1 << 16;

/// How long an older key signs along once the next one signs: 90 days.
const OVERLAP_MILLIS: i64 = 90 * 86_400_000;

/// Digests kept that were found to be stored already.
const STORED_DIGESTS: usize = 1 << 16;

/// The stream of the completeness index.
pub(super) const INDEX_STREAM: &str = "log/index";

/// One entry, as far as the derived state depends on it.
#[derive(Debug)]
pub(super) struct Step<'a> {
    pub(super) leaf_index: u64,
    pub(super) leaf_hash: Hash,
    pub(super) stream: &'a str,
    pub(super) sequence: u64,
    pub(super) command: [u8; 16],
    pub(super) recorded_at: RecordedAt,
    pub(super) parties: &'a [StreamName],
}

/// State that follows from the log.
pub(super) struct Derived {
    heads: HashMap<Box<str>, StreamHead>,
    recent: Recent,
    /// Digests of stored disclosures that a batch wanted to store again.
    stored: HashSet<String>,
    index: Map,
    /// The newest `IndexCommitted`, which the map takes in with the entry after it: until then it is what was committed.
    index_head: Option<StreamHead>,
    index_committed_at: Option<RecordedAt>,
    parties: HashMap<StreamName, Joined>,
    claims: Claims,
    keys: Vec<LogKey>,
    frozen: Option<u64>,
    zone_minutes: i32,
    genesis: Hash,
    last_recorded_at: Option<RecordedAt>,
    uncovered: u64,
    uncovered_since: Option<Instant>,
}

/// The entries by which one organisation became a party.
#[derive(Debug, Default)]
struct Joined {
    chain: PartyChain,
    leaves: Vec<LeafIndex>,
}

/// A key that the log names as its own and has not revoked.
#[derive(Debug, Clone)]
struct LogKey {
    verifier: String,
    since: RecordedAt,
}

#[derive(Debug, Default)]
struct Recent {
    leaves: HashMap<[u8; 16], u64>,
    order: VecDeque<[u8; 16]>,
}

/// The members of an entry that following needs; serde passes over the rest without keeping it.
#[derive(Debug, Deserialize)]
pub struct Header<'a> {
    /// The command's id.
    pub command: CommandId,
    /// Organisation streams that become parties by this entry.
    #[serde(default)]
    pub parties: Vec<StreamName>,
    /// When the log took the entry in.
    pub recorded_at: RecordedAt,
    /// 1-based place in the stream.
    pub sequence: u64,
    /// The stream.
    #[serde(borrow)]
    pub stream: Cow<'a, str>,
    /// The event type.
    #[serde(borrow, rename = "type")]
    pub event_type: Cow<'a, str>,
}

/// Reads the header of an entry's bytes, as a writer follows the log by it.
///
/// # Errors
/// When the bytes are not JSON with these members.
pub fn header(body: &str) -> Result<Header<'_>, serde_json::Error> {
    serde_json::from_str(body)
}

impl Derived {
    pub(super) fn new() -> Self {
        Self {
            heads: HashMap::new(),
            recent: Recent::default(),
            stored: HashSet::new(),
            index: Map::new(),
            index_head: None,
            index_committed_at: None,
            parties: HashMap::new(),
            claims: Claims::default(),
            keys: Vec::new(),
            frozen: None,
            zone_minutes: 0,
            genesis: Hash::ZERO,
            last_recorded_at: None,
            uncovered: 0,
            uncovered_since: None,
        }
    }

    /// Returns a stream's head; `None` where it is empty.
    pub(super) fn head(&self, stream: &str) -> Option<StreamHead> {
        self.heads.get(stream).copied()
    }

    /// Returns the heads of the streams whose names begin so.
    pub(super) fn heads_of(&self, begin: &str) -> BTreeMap<String, StreamHead> {
        let named = self.heads.iter().filter(|(name, _)| name.starts_with(begin));
        named.map(|(name, head)| (name.to_string(), *head)).collect()
    }

    /// Returns the leaf hash of entry 0, the `prev` of every stream's first entry; zeros before there is one.
    pub(super) fn genesis(&self) -> Hash {
        self.genesis
    }

    /// Returns the leaf index of a command that is among the recent ones.
    pub(super) fn recent(&self, command: &[u8; 16]) -> Option<u64> {
        self.recent.leaves.get(command).copied()
    }

    /// Remembers a command that was found in the database.
    pub(super) fn remember(&mut self, command: [u8; 16], leaf_index: u64) {
        self.recent.put(command, leaf_index);
    }

    /// Returns whether a disclosure of this digest was found to be stored.
    pub(super) fn is_stored(&self, digest: &str) -> bool {
        self.stored.contains(digest)
    }

    /// Remembers digests of disclosures that were found in the database.
    pub(super) fn remember_stored(&mut self, digests: impl IntoIterator<Item = String>) {
        if self.stored.len() > STORED_DIGESTS {
            self.stored.clear();
        }
        self.stored.extend(digests);
    }

    /// Returns the claims taken so far.
    pub(super) fn claims(&self) -> &Claims {
        &self.claims
    }

    /// Takes over the claims of a committed batch.
    pub(super) fn set_claims(&mut self, claims: Claims) {
        self.claims = claims;
    }

    /// Returns whether the log names this verifier key and has not revoked it.
    pub(super) fn knows_key(&self, verifier_key: &str) -> bool {
        self.keys.iter().any(|key| key.verifier == verifier_key)
    }

    /// Returns those of a log's keys that sign a head: the first, and older ones that the log knows, until the key after them
    /// has been signing for 90 days.
    pub(super) fn signers<'a>(&self, keys: &'a Keys, head: &Head) -> Vec<&'a SigningKey> {
        let now = head.recorded_at.parse::<RecordedAt>().map_or(i64::MAX, RecordedAt::unix_millis);
        let along = |key: &SigningKey| {
            let verifier = key.verifier().to_string();
            let mut after = self.keys.iter().skip_while(|known| known.verifier != verifier).skip(1);
            after.next().is_some_and(|next| now.saturating_sub(next.since.unix_millis()) < OVERLAP_MILLIS)
        };
        keys.all().enumerate().filter(|(at, key)| *at == 0 || along(key)).map(|(_, key)| key).collect()
    }

    /// Returns the leaf index of the `LogFrozen` entry.
    pub(super) fn frozen(&self) -> Option<u64> {
        self.frozen
    }

    /// Returns the ledger's zone, in minutes east of UTC.
    pub(super) fn zone_minutes(&self) -> i32 {
        self.zone_minutes
    }

    /// Returns when the newest entry was recorded; the epoch before there is one.
    pub(super) fn last_recorded_at(&self) -> Option<RecordedAt> {
        self.last_recorded_at
    }

    /// Returns how many entries the committed index does not cover, not counting the newest `IndexCommitted` itself,
    /// and since when.
    pub(super) fn uncovered(&self) -> (u64, Option<Instant>) {
        (self.uncovered, self.uncovered_since)
    }

    /// Returns when the index was last committed.
    pub(super) fn index_committed_at(&self) -> Option<RecordedAt> {
        self.index_committed_at
    }

    /// Returns the index's root and its number of streams, over the entries applied so far.
    pub(super) fn index_root(&mut self) -> (Hash, u64) {
        self.take_in_index_head();
        (self.index.root(), self.heads.len() as u64)
    }

    /// Returns what the committed index says of names; `None` unless its own entry is the newest but for a `LogFrozen`.
    pub(super) fn prove(&mut self, names: &Names) -> Option<(Vec<MapProof>, Vec<PartyProof>)> {
        self.index_head?;
        let streams = names.streams.iter().map(|stream| self.index.prove(stream.as_str())).collect();
        let party = |party: &StreamName| PartyProof {
            proof: self.index.prove(&party_name(party)),
            joined: self.parties.get(party).map_or_else(Vec::new, |joined| joined.leaves.clone()),
        };
        Some((streams, names.parties.iter().map(party).collect()))
    }

    fn take_in_index_head(&mut self) {
        if let Some(head) = self.index_head.take() {
            self.index.insert(INDEX_STREAM, &stream_value(&head));
        }
    }

    /// Applies an entry that was read from the database.
    pub(super) fn apply_row(&mut self, row: &EntryRow, leaf_hash: Hash) -> Result<(), ReadOnly> {
        let unreadable = |error: &dyn std::fmt::Display| {
            let leaf_index = row.leaf_index;
            let what = both!(
                "序号 {leaf_index} 的记录无法读取:{error}",
                "the entry at leaf index {leaf_index} cannot be read: {error}"
            );
            ReadOnly::Corrupt { what }
        };
        let header = header(&row.body).map_err(|error| unreadable(&error))?;
        let command = header.command.to_bytes();
        if (row.stream.as_str(), row.sequence, row.command) != (&*header.stream, header.sequence, command) {
            // What is read by its columns, such as a stream, would be read without it.
            let leaf_index = row.leaf_index;
            let what = both!(
                "序号 {leaf_index} 的行,其列与记录所说的不同",
                "the columns of the row at leaf index {leaf_index} are not what its entry says"
            );
            return Err(ReadOnly::Corrupt { what });
        }
        let of_log = header.stream.starts_with("log/");
        if of_log || Claims::concerns(&header.event_type) {
            let entry = Entry::parse(row.body.as_bytes()).map_err(|error| unreadable(&error))?;
            let act = Act::from_entry(&entry).map_err(|error| unreadable(&error))?;
            if Claims::concerns(&header.event_type) {
                self.claims.apply(&act, header.sequence);
            }
            if of_log {
                self.apply_log_event(&act.event, row.leaf_index, leaf_hash, header.recorded_at);
            }
        }
        self.apply(&Step {
            leaf_index: row.leaf_index,
            leaf_hash,
            stream: &header.stream,
            sequence: header.sequence,
            command,
            recorded_at: header.recorded_at,
            parties: &header.parties,
        });
        Ok(())
    }

    /// Applies what an event says about the log itself.
    pub(super) fn apply_log_event(
        &mut self,
        event: &Event,
        leaf_index: u64,
        leaf_hash: Hash,
        recorded_at: RecordedAt,
    ) {
        let named = |key: &String| LogKey { verifier: key.clone(), since: recorded_at };
        match event {
            Event::LogOpened(opened) => {
                self.genesis = leaf_hash;
                self.keys.push(named(&opened.key));
                self.zone_minutes = zone_minutes(&opened.zone).unwrap_or(0);
            }
            Event::LogKeyAdded(added) => self.keys.push(named(&added.key)),
            Event::LogKeyRevoked(revoked) => self.keys.retain(|key| key.verifier != revoked.key),
            Event::LogFrozen(_) => self.frozen = Some(leaf_index),
            _ => {}
        }
    }

    /// Applies one entry, claims and log events apart.
    pub(super) fn apply(&mut self, step: &Step<'_>) {
        let head = StreamHead { sequence: step.sequence, leaf_hash: step.leaf_hash };
        match self.heads.get_mut(step.stream) {
            Some(known) => *known = head,
            None => {
                self.heads.insert(step.stream.into(), head);
            }
        }
        self.recent.put(step.command, step.leaf_index);
        self.last_recorded_at = Some(step.recorded_at);
        if self.frozen == Some(step.leaf_index) {
            // Nothing follows, no index either: the last one goes on proving what it covers.
            return;
        }
        self.take_in_index_head();
        if step.stream == INDEX_STREAM {
            (self.index_head, self.index_committed_at) = (Some(head), Some(step.recorded_at));
        } else {
            self.index.insert(step.stream, &stream_value(&head));
        }
        for party in step.parties {
            let joined = self.parties.entry(party.clone()).or_default();
            joined.chain.push(&step.leaf_hash);
            joined.leaves.push(LeafIndex::new(step.leaf_index));
            self.index.insert(&party_name(party), &joined.chain.value());
        }
        if step.stream == INDEX_STREAM {
            (self.uncovered, self.uncovered_since) = (0, None);
        } else {
            self.uncovered += 1;
            self.uncovered_since.get_or_insert_with(Instant::now);
        }
    }
}

impl Recent {
    fn put(&mut self, command: [u8; 16], leaf_index: u64) {
        if self.leaves.insert(command, leaf_index).is_none() {
            self.order.push_back(command);
        }
        if self.order.len() > RECENT_COMMANDS
            && let Some(oldest) = self.order.pop_front()
        {
            self.leaves.remove(&oldest);
        }
    }
}

impl std::fmt::Debug for Derived {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Derived of {} streams, {:?}", self.heads.len(), self.claims)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_many_recent_commands_are_kept() {
        let mut recent = Recent::default();
        for index in 0..=RECENT_COMMANDS as u128 {
            recent.put(index.to_be_bytes(), 1);
        }
        assert_eq!(recent.leaves.len(), RECENT_COMMANDS);
        assert!(!recent.leaves.contains_key(&0_u128.to_be_bytes()));
    }
}
