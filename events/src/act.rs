//! An act: what a command makes of an event before the log gives it its place, and what a fold reads afterwards.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use weituo_proof::sealed::SealedError;
use weituo_proof::{
    Actor, CommandId, Draft, Effective, Entry, Hash, LeafIndex, Origin, RecordedAt, StreamName,
};

use crate::{Event, EventError, Seal};

/// One event with all that its recorder says about it. The log adds place and time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Act {
    /// Who records it, in what capacity.
    pub actor: Actor,
    /// True when recorded afterwards from paper.
    pub as_found: bool,
    /// The command's id.
    pub command: CommandId,
    /// When it took place.
    pub effective: Effective,
    /// Organisation streams that become parties by it, sorted.
    pub parties: Vec<StreamName>,
    /// Leaf hash of the newest entry of this stream that the actor had read.
    pub seen: Option<Hash>,
    /// The actor's signature, base64.
    pub signature: Option<String>,
    /// The stream it belongs to.
    pub stream: StreamName,
    /// What happened.
    pub event: Event,
}

impl Act {
    /// Returns what the entry will say, except for its place, in the newest version of its type.
    pub fn draft(&self, ledger: &Origin) -> Draft {
        let event_type = self.event.event_type();
        Draft {
            actor: self.actor.clone(),
            as_found: self.as_found,
            command: self.command.clone(),
            effective: self.effective.clone(),
            ledger: ledger.clone(),
            parties: self.parties.clone(),
            payload: self.event.payload_json(),
            seen: self.seen,
            signature: self.signature.clone(),
            stream: self.stream.clone(),
            event_type: SmolStr::new_static(event_type.name()),
            version: event_type.version(),
        }
    }

    /// Returns the act that an entry records, its event lifted to the newest version.
    ///
    /// # Errors
    /// When the entry's type or version is unknown, or its payload does not have the type's shape.
    pub fn from_entry(entry: &Entry) -> Result<Self, EventError> {
        Ok(Self {
            actor: entry.actor.clone(),
            as_found: entry.as_found,
            command: entry.command.clone(),
            effective: entry.effective.clone(),
            parties: entry.parties.clone(),
            seen: entry.seen,
            signature: entry.signature.clone(),
            stream: entry.stream.clone(),
            event: Event::parse(&entry.event_type, entry.version, &entry.payload)?,
        })
    }

    /// Seals every open value under a salt from `fresh_salt` and returns the disclosures, in the order of the fields.
    ///
    /// # Errors
    /// When a value holds what an entry cannot hold, such as U+0000.
    pub fn seal(&mut self, mut fresh_salt: impl FnMut() -> [u8; 16]) -> Result<Vec<String>, SealedError> {
        let mut disclosures = Ok(Vec::new());
        self.event.each_sealed(&mut |sealed| {
            if let Ok(found) = &mut disclosures {
                match sealed.shut(fresh_salt()) {
                    Ok(disclosure) => found.extend(disclosure),
                    Err(error) => disclosures = Err(error),
                }
            }
        });
        disclosures
    }
}

/// An act in its place in the log: what folds read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// What was recorded.
    pub act: Arc<Act>,
    /// Its 0-based place in the log.
    pub leaf_index: LeafIndex,
    /// Its leaf hash.
    pub leaf_hash: Hash,
    /// When the log took it in.
    pub recorded_at: RecordedAt,
    /// Its 1-based place in its stream.
    pub sequence: u64,
}

impl Recorded {
    /// Returns the recorded act of an entry that stands at `leaf_index`.
    ///
    /// # Errors
    /// As [`Act::from_entry`].
    pub fn from_entry(entry: &Entry, leaf_index: LeafIndex, leaf_hash: Hash) -> Result<Self, EventError> {
        Ok(Self {
            act: Arc::new(Act::from_entry(entry)?),
            leaf_index,
            leaf_hash,
            recorded_at: entry.recorded_at,
            sequence: entry.sequence,
        })
    }
}
