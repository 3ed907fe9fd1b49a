//! The canonical text of an entry and the rules of its members, for a draft and for an entry read alike.
//!
//! Invariants: members are pushed in ascending order; optional members are left out, never null or empty.
//! Source: format.md "Entry".

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Actor, Draft, Entry, EntryError, Position};
use crate::canonical::{MAX_INTEGER, write_string};
use crate::hash::Hash;
use crate::ident::{CommandId, Effective, Origin, StreamName, is_stream_id};

/// Domain separation of actors' signatures (format.md "Signatures by actors").
const SIGNING_PREFIX: &str = "weituo/entry-signature/v1\n";

pub(super) fn broken(member: &'static str, rule: &'static str, found: &str) -> EntryError {
    EntryError::Rule { member, rule, found: found.chars().take(80).collect() }
}

/// What a command fixes, borrowed from a draft or an entry.
pub(super) struct Text<'a> {
    actor: &'a Actor,
    as_found: bool,
    command: &'a CommandId,
    effective: &'a Effective,
    ledger: &'a Origin,
    parties: &'a [StreamName],
    payload: &'a str,
    seen: Option<&'a Hash>,
    signature: Option<&'a str>,
    stream: &'a StreamName,
    event_type: &'a str,
    version: u32,
}

impl<'a> Text<'a> {
    pub(super) fn of_draft(draft: &'a Draft) -> Self {
        Self {
            actor: &draft.actor,
            as_found: draft.as_found,
            command: &draft.command,
            effective: &draft.effective,
            ledger: &draft.ledger,
            parties: &draft.parties,
            payload: &draft.payload,
            seen: draft.seen.as_ref(),
            signature: draft.signature.as_deref(),
            stream: &draft.stream,
            event_type: &draft.event_type,
            version: draft.version,
        }
    }

    pub(super) fn of_entry(entry: &'a Entry) -> Self {
        Self {
            actor: &entry.actor,
            as_found: entry.as_found,
            command: &entry.command,
            effective: &entry.effective,
            ledger: &entry.ledger,
            parties: &entry.parties,
            payload: &entry.payload,
            seen: entry.seen.as_ref(),
            signature: entry.signature.as_deref(),
            stream: &entry.stream,
            event_type: &entry.event_type,
            version: entry.version,
        }
    }

    /// Checks the rules that the members' types do not carry.
    pub(super) fn check_rules(&self, sequence: u64) -> Result<(), EntryError> {
        let organisation = &self.actor.organisation;
        if !is_stream_id(organisation) {
            let rule = "must be an organisation id, [A-Za-z0-9][A-Za-z0-9._-]{0,63}";
            return Err(broken("actor.organisation", rule, organisation));
        }
        if !is_word(&self.actor.role, 32, u8::is_ascii_lowercase, |b| {
            b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-')
        }) {
            return Err(broken("actor.role", "must be [a-z][a-z0-9_-]{0,31}", &self.actor.role));
        }
        if !is_word(self.event_type, 64, u8::is_ascii_uppercase, u8::is_ascii_alphanumeric) {
            return Err(broken("type", "must be [A-Z][A-Za-z0-9]{0,63}", self.event_type));
        }
        if self.version == 0 {
            return Err(broken("version", "counts from 1", "0"));
        }
        if !(1..=MAX_INTEGER).contains(&sequence) {
            return Err(broken("sequence", "counts from 1 to 2^53 - 1", &sequence.to_string()));
        }
        if !self.payload.starts_with('{') {
            return Err(broken("payload", "must be a JSON object", self.payload));
        }
        self.check_parties()?;
        self.check_signature()
    }

    fn check_parties(&self) -> Result<(), EntryError> {
        if let Some(other) = self.parties.iter().find(|party| party.category() != "organisation") {
            return Err(broken("parties", "must be organisation streams", other.as_str()));
        }
        match self.parties.windows(2).find(|pair| pair[0] >= pair[1]) {
            Some(pair) => Err(broken("parties", "must be sorted and unique", pair[1].as_str())),
            None => Ok(()),
        }
    }

    fn check_signature(&self) -> Result<(), EntryError> {
        match (self.signature, &self.actor.key) {
            (None, None) => Ok(()),
            (Some(signature), Some(_)) => match STANDARD.decode(signature) {
                Ok(bytes) if bytes.len() == 64 => Ok(()),
                _ => Err(broken("signature", "must be base64 of 64 bytes", signature)),
            },
            (Some(signature), None) => Err(broken("signature", "needs actor.key", signature)),
            (None, Some(key)) => Err(broken("actor.key", "needs a signature", &key.to_string())),
        }
    }

    pub(super) fn signing_bytes(&self) -> Vec<u8> {
        let mut out = String::with_capacity(self.payload.len() + 1024);
        out.push_str(SIGNING_PREFIX);
        self.write(&mut out, None);
        out.into_bytes()
    }

    /// Appends the entry; without a position, what the actor signs.
    pub(super) fn write(&self, out: &mut String, at: Option<&Position>) {
        out.push_str("{\"actor\":");
        write_actor(out, self.actor);
        out.push_str(if self.as_found { ",\"as_found\":true" } else { ",\"as_found\":false" });
        push_text(out, ",\"command\":\"", self.command.as_str());
        push_text(out, ",\"effective\":\"", self.effective.as_str());
        // No identifier has a character that needs an escape.
        push_text(out, ",\"format\":1,\"ledger\":\"", self.ledger.as_str());
        if let Some((first, rest)) = self.parties.split_first() {
            push_text(out, ",\"parties\":[\"", first.as_str());
            for party in rest {
                push_text(out, ",\"", party.as_str());
            }
            out.push(']');
        }
        out.push_str(",\"payload\":");
        out.push_str(self.payload);
        if let Some(at) = at {
            push_hash(out, ",\"prev\":\"", &at.prev);
            out.push_str(",\"recorded_at\":\"");
            at.recorded_at.write(out);
            out.push('"');
        }
        if let Some(seen) = self.seen {
            push_hash(out, ",\"seen\":\"", seen);
        }
        if let Some(at) = at {
            out.push_str(",\"sequence\":");
            out.push_str(&at.sequence.to_string());
            if let Some(signature) = self.signature {
                out.push_str(",\"signature\":");
                write_string(out, signature);
            }
        }
        push_text(out, ",\"stream\":\"", self.stream.as_str());
        out.push_str(",\"type\":");
        write_string(out, self.event_type);
        out.push_str(",\"version\":");
        out.push_str(&self.version.to_string());
        out.push('}');
    }
}

fn write_actor(out: &mut String, actor: &Actor) {
    out.push('{');
    if let Some(key) = &actor.key {
        push_hash(out, "\"key\":\"", key);
        out.push(',');
    }
    out.push_str("\"organisation\":");
    write_string(out, &actor.organisation);
    if let Some(person) = &actor.person {
        out.push_str(",\"person\":");
        person.write(out);
    }
    out.push_str(",\"role\":");
    write_string(out, &actor.role);
    out.push('}');
}

/// Appends `head`, which opens a string, then a text that needs no escapes, then the closing quote.
fn push_text(out: &mut String, head: &str, text: &str) {
    out.push_str(head);
    out.push_str(text);
    out.push('"');
}

fn push_hash(out: &mut String, head: &str, hash: &Hash) {
    out.push_str(head);
    hash.with_hex(|hex| out.push_str(hex));
    out.push('"');
}

/// Returns whether `text` is 1 to `longest` bytes, the first of one class and all of another.
fn is_word(text: &str, longest: usize, first: fn(&u8) -> bool, all: fn(&u8) -> bool) -> bool {
    text.len() <= longest && text.as_bytes().first().is_some_and(first) && text.as_bytes().iter().all(all)
}
