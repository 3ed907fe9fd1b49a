//! Entries: the exact bytes that are hashed for one event, written from a draft and read back.
//!
//! Invariants: whatever `Entry::parse` accepts, `Entry::draft` and `Draft::entry` write back byte for byte; whatever
//! `Draft::entry` returns, `Entry::parse` accepts. So one entry has one spelling.
//! Absent: the meaning of payloads (crate `weituo-events`), who may record what (the application), clocks.
//! Source: format.md "Entry" and "Signatures by actors"; RFC 8785.

mod read;
mod signature;
mod text;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::canonical::{self, NotCanonical};
use crate::hash::Hash;
use crate::ident::{CommandId, Effective, Origin, RecordedAt, StreamName};
use crate::sealed::{SealedRef, find_digests};

use text::Text;

pub use signature::{
    SignatureError, key_id, prove_possession, public_key_of_seed, sign, verify_actor_signature,
    verify_draft_signature, verify_possession,
};

/// Largest entry, in bytes: what the 16-bit length of an entry bundle can say.
pub const MAX_ENTRY_BYTES: usize = 65_535;

/// The value of the member `format`.
pub const FORMAT: u32 = 1;

/// Refusal of an entry, while writing or reading.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    /// Longer than 65,535 bytes.
    #[error("an entry is at most {MAX_ENTRY_BYTES} bytes, this one has {bytes}")]
    TooLarge {
        /// Length, in bytes.
        bytes: usize,
    },
    /// Not in canonical form.
    #[error("the entry is not canonical JSON")]
    NotCanonical(#[source] NotCanonical),
    /// Canonical, but not of an entry's members: one is missing, unknown or of another type.
    #[error("the entry does not have the members of format {FORMAT}: {member} {what}")]
    Members {
        /// Name of the member, at most 80 characters of it.
        member: String,
        /// What is wrong with it, as a clause.
        what: String,
    },
    /// A member breaks its rule.
    #[error("member {member}: {rule}, found {found:?}")]
    Rule {
        /// Name of the member.
        member: &'static str,
        /// The rule, as a clause.
        rule: &'static str,
        /// What was found, at most 80 characters.
        found: String,
    },
}

/// Who recorded an entry. Never a person in clear.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Actor {
    /// Key id of the signing key ([`key_id`]); present exactly when the entry is signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Hash>,
    /// Id of the organisation, the part after the slash of its stream name.
    pub organisation: SmolStr,
    /// The person, sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<SealedRef>,
    /// The role in which the organisation acts, `[a-z][a-z0-9_-]{0,31}`.
    pub role: SmolStr,
}

/// Everything that a command fixes; the log adds the [`Position`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Who records.
    pub actor: Actor,
    /// True: recorded afterwards from paper.
    pub as_found: bool,
    /// The command's id, unique in the ledger.
    pub command: CommandId,
    /// When the act took place.
    pub effective: Effective,
    /// The origin of the log.
    pub ledger: Origin,
    /// Organisation streams that become parties by this entry: sorted, unique, often none.
    pub parties: Vec<StreamName>,
    /// The payload: the text of a canonical JSON object.
    pub payload: String,
    /// Leaf hash of the newest entry of this stream that the actor had read.
    pub seen: Option<Hash>,
    /// The actor's signature over [`Draft::signing_bytes`]: base64, 88 characters.
    pub signature: Option<String>,
    /// The stream.
    pub stream: StreamName,
    /// The event type, `[A-Z][A-Za-z0-9]{0,63}`.
    pub event_type: SmolStr,
    /// Version of the event type, from 1.
    pub version: u32,
}

/// What the log adds to a draft.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub struct Position {
    /// Leaf hash of the stream's previous entry; of entry 0 for a stream's first; zeros for entry 0.
    pub prev: Hash,
    /// When the log takes the entry in.
    pub recorded_at: RecordedAt,
    /// 1-based place in the stream.
    pub sequence: u64,
}

/// An entry as read.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Who recorded it.
    pub actor: Actor,
    /// True: recorded afterwards from paper.
    pub as_found: bool,
    /// The command's id.
    pub command: CommandId,
    /// When the act took place.
    pub effective: Effective,
    /// Version of the entry format: 1.
    pub format: u32,
    /// The origin of the log.
    pub ledger: Origin,
    /// Organisation streams that become parties by this entry.
    pub parties: Vec<StreamName>,
    /// The payload's exact text, a JSON object.
    pub payload: String,
    /// Leaf hash of the stream's previous entry; of entry 0 for a stream's first; zeros for entry 0.
    pub prev: Hash,
    /// When the log took the entry in.
    pub recorded_at: RecordedAt,
    /// Leaf hash of the newest entry of this stream that the actor had read.
    pub seen: Option<Hash>,
    /// 1-based place in the stream.
    pub sequence: u64,
    /// The actor's signature, base64.
    pub signature: Option<String>,
    /// The stream.
    pub stream: StreamName,
    /// The event type.
    pub event_type: SmolStr,
    /// Version of the event type.
    pub version: u32,
}

impl Draft {
    /// Returns the canonical bytes of the entry at this position, at most 65,535.
    ///
    /// # Errors
    ///
    /// `EntryError` when a member breaks its rule, the payload is not a canonical object, or the entry is too large.
    pub fn entry(&self, at: &Position) -> Result<String, EntryError> {
        let text = Text::of_draft(self);
        text.check_rules(at.sequence)?;
        let mut out = String::with_capacity(self.payload.len() + 1024);
        text.write(&mut out, Some(at));
        check_size(out.len())?;
        // Both sides of the boundary check: what is committed here can never be taken back.
        canonical::check(out.as_bytes()).map_err(EntryError::NotCanonical)?;
        Ok(out)
    }

    /// Returns the bytes that the actor signs: `"weituo/entry-signature/v1\n"` and the canonical entry without
    /// `prev`, `recorded_at`, `sequence` and `signature` (format.md "Signatures by actors").
    ///
    /// Set `actor.key` first: it is part of what is signed. [`sign`] does both.
    pub fn signing_bytes(&self) -> Vec<u8> {
        Text::of_draft(self).signing_bytes()
    }
}

fn check_size(bytes: usize) -> Result<(), EntryError> {
    if bytes > MAX_ENTRY_BYTES { Err(EntryError::TooLarge { bytes }) } else { Ok(()) }
}

impl Entry {
    /// Returns the entry read from its exact bytes.
    ///
    /// # Errors
    ///
    /// `EntryError` when the bytes are too many, not canonical, not of exactly an entry's members, or break a rule.
    pub fn parse(bytes: &[u8]) -> Result<Self, EntryError> {
        let entry = read::entry(bytes)?;
        if entry.format != FORMAT {
            return Err(text::broken("format", "must be 1", &entry.format.to_string()));
        }
        Text::of_entry(&entry).check_rules(entry.sequence)?;
        Ok(entry)
    }

    /// Returns what the command fixed. `draft().entry(&position())` gives the entry's bytes again.
    pub fn draft(&self) -> Draft {
        Draft {
            actor: self.actor.clone(),
            as_found: self.as_found,
            command: self.command.clone(),
            effective: self.effective.clone(),
            ledger: self.ledger.clone(),
            parties: self.parties.clone(),
            payload: self.payload.clone(),
            seen: self.seen,
            signature: self.signature.clone(),
            stream: self.stream.clone(),
            event_type: self.event_type.clone(),
            version: self.version,
        }
    }

    /// Returns what the log added.
    pub fn position(&self) -> Position {
        Position { prev: self.prev, recorded_at: self.recorded_at, sequence: self.sequence }
    }

    /// Returns the bytes that the actor signed; see [`Draft::signing_bytes`].
    pub fn signing_bytes(&self) -> Vec<u8> {
        Text::of_entry(self).signing_bytes()
    }

    /// Returns the digests of every sealed value: the actor's person, then those of the payload.
    ///
    /// # Panics
    ///
    /// Never for an entry from [`Entry::parse`], whose payload is JSON.
    pub fn sealed_digests(&self) -> Vec<String> {
        let mut digests: Vec<_> = self.actor.person.iter().map(SealedRef::digest).collect();
        // The key has one spelling in canonical JSON, so a payload without this text has no sealed value.
        if self.payload.contains("\"_sd\"") {
            let payload = serde_json::from_str(&self.payload).expect("invariant: a parsed payload is JSON");
            digests.extend(find_digests(&payload));
        }
        digests
    }
}

#[cfg(test)]
mod tests;
