//! An entry's members, read out of its canonical text.
//!
//! Invariants: a member has one spelling: strings without escapes, optional members never null or empty, nothing in
//! another order. So what is read here writes back to the same bytes.
//! Source: format.md "Entry".

use std::cmp::Ordering;
use std::fmt::Display;
use std::str::FromStr;

use super::{Actor, Entry, EntryError, check_size};
use crate::canonical;
use crate::ident::StreamName;
use crate::sealed::SealedRef;

/// The members that were not taken yet, ascending by name: each with the text of its value.
struct Members<'a> {
    rest: std::vec::IntoIter<(&'a str, &'a str)>,
    /// What stands before a name in an error: nothing, or `actor.`.
    within: &'static str,
}

impl<'a> Members<'a> {
    fn of(text: &'a [u8], within: &'static str) -> Result<Self, EntryError> {
        let members = canonical::members(text).map_err(EntryError::NotCanonical)?;
        if !text.starts_with(b"{") {
            let member = within.strip_suffix('.').unwrap_or("entry").to_owned();
            return Err(EntryError::Members { member, what: "is not an object".to_owned() });
        }
        Ok(Self { rest: members.into_iter(), within })
    }

    fn refuse(&self, name: &str, what: impl Display) -> EntryError {
        let member = self.within.chars().chain(name.chars().take(80)).collect();
        EntryError::Members { member, what: what.to_string() }
    }

    /// Takes a member that may be left out.
    fn optional<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&'a str) -> Result<T, String>,
    ) -> Result<Option<T>, EntryError> {
        let Some((next, value)) = self.rest.as_slice().first().copied() else { return Ok(None) };
        match next.cmp(name) {
            Ordering::Less => Err(self.refuse(next, "is not one of them")),
            Ordering::Greater => Ok(None),
            Ordering::Equal => {
                self.rest.next();
                read(value).map(Some).map_err(|what| self.refuse(name, what))
            }
        }
    }

    /// Takes a member that must be there.
    fn take<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&'a str) -> Result<T, String>,
    ) -> Result<T, EntryError> {
        self.optional(name, read)?.ok_or_else(|| self.refuse(name, "is missing"))
    }

    /// Ends the taking.
    fn end<T>(mut self, taken: T) -> Result<T, EntryError> {
        match self.rest.next() {
            Some((name, _)) => Err(self.refuse(name, "is not one of them")),
            None => Ok(taken),
        }
    }
}

/// Reads an entry from its exact bytes, but for the rules that its members' types do not carry.
pub(super) fn entry(bytes: &[u8]) -> Result<Entry, EntryError> {
    check_size(bytes.len())?;
    let mut members = Members::of(bytes, "")?;
    let entry = Entry {
        actor: actor(members.take("actor", Ok)?)?,
        as_found: members.take("as_found", truth)?,
        command: members.take("command", parsed)?,
        effective: members.take("effective", parsed)?,
        format: members.take("format", number)?,
        ledger: members.take("ledger", parsed)?,
        parties: members.optional("parties", parties)?.unwrap_or_default(),
        payload: members.take("payload", |text| Ok(text.to_owned()))?,
        prev: members.take("prev", parsed)?,
        recorded_at: members.take("recorded_at", parsed)?,
        seen: members.optional("seen", parsed)?,
        sequence: members.take("sequence", number)?,
        signature: members.optional("signature", owned)?,
        stream: members.take("stream", parsed)?,
        event_type: members.take("type", owned)?,
        version: members.take("version", number)?,
    };
    members.end(entry)
}

fn actor(text: &str) -> Result<Actor, EntryError> {
    let mut members = Members::of(text.as_bytes(), "actor.")?;
    let actor = Actor {
        key: members.optional("key", parsed)?,
        organisation: members.take("organisation", owned)?,
        person: members.optional("person", sealed)?,
        role: members.take("role", owned)?,
    };
    members.end(actor)
}

fn truth(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| "is neither true nor false".to_owned())
}

fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| "is not a number that it can be".to_owned())
}

/// Reads a string. No member may hold a character that needs an escape.
fn string(text: &str) -> Result<&str, String> {
    let inside = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inside.filter(|inside| !inside.contains('\\')).ok_or_else(|| "is not a plain string".to_owned())
}

fn owned<'a, T: From<&'a str>>(text: &'a str) -> Result<T, String> {
    string(text).map(T::from)
}

fn parsed<T: FromStr<Err: Display>>(text: &str) -> Result<T, String> {
    string(text)?.parse().map_err(|error: T::Err| format!("cannot be that: {error}"))
}

fn sealed(text: &str) -> Result<SealedRef, String> {
    SealedRef::read(text).ok_or_else(|| "is not a sealed value".to_owned())
}

/// Reads a list of streams, whose names have no comma; never an empty one.
fn parties(text: &str) -> Result<Vec<StreamName>, String> {
    let inside = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    inside.ok_or_else(|| "is not a list".to_owned())?.split(',').map(parsed).collect()
}
