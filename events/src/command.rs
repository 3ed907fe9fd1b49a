//! A command: one JSON object in, one act out.
//!
//! `{"command":"<uuid>","do":"SignAgreement","stream":"agreement/WZ-2019-001","actor":{"organisation":"bureau-wz",
//! "role":"bureau"},"effective":"2019-06-28","payload":{…}}`. Sealed values stand in clear in a command.

use schemars::{JsonSchema, Schema, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use smol_str::SmolStr;
use weituo_proof::sealed::{SealedError, seal};
use weituo_proof::{Actor, CommandId, Effective, Hash, StreamName};

use crate::exact::{Altered, altered};
use crate::payload::{AccountabilityImposed, Confidential, EvidenceAttached, MatterReferred, PlainAct};
use crate::signed::{Signed, unusable_salts};
use crate::{Act, Event, EventError, EventType, OrganisationId, Refusal, Role, Seal, told};

/// Name of the disclosure of a payload that is sealed as a whole.
const PAYLOAD_DISCLOSURE: &str = "payload";

/// Who gives a command, in what capacity.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommandActor {
    /// The organisation that records.
    pub organisation: OrganisationId,
    /// The person acting, as text; sealed in the entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// In what capacity.
    pub role: Role,
}

/// What the actor had read of the stream: named by its leaf hash, or whatever is newest when the command is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a leaf hash, 64 lower-case hex digits, or the word newest")]
pub enum Seen {
    /// Leaf hash of the newest entry read.
    Leaf(Hash),
    /// The word `newest`.
    Word(SeenWord),
}

/// The word that stands for the newest entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SeenWord {
    /// The newest entry of the stream when the command is decided.
    Newest,
}

/// One command as it is read, its payload not yet looked at.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// Who gives it.
    pub actor: CommandActor,
    /// True when recorded afterwards from paper.
    #[serde(default)]
    pub as_found: bool,
    /// Its id, unique in the ledger; the same id with the same content gives the first receipt again.
    pub command: CommandId,
    /// True when the whole payload is to be sealed.
    #[serde(default)]
    pub confidential: bool,
    /// What to do, such as `SignAgreement`.
    pub r#do: String,
    /// When it took place.
    pub effective: Effective,
    /// Organisation streams that become parties by it, sorted: filled in by the ledger, stated where it is signed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parties: Vec<StreamName>,
    /// What the event says.
    pub payload: Box<RawValue>,
    /// The newest entry of the stream that the actor has read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen: Option<Seen>,
    /// The actor's signature.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signed: Option<Signed>,
    /// The stream it is about.
    pub stream: StreamName,
}

impl Command {
    /// Reads one command.
    ///
    /// # Errors
    /// A refusal that names the place and what was expected.
    pub fn parse(json: &str) -> Result<Self, Refusal> {
        let unreadable = |error: serde_json::Error| {
            let (zh, en) = told::json(&error.to_string());
            Refusal::invalid(
                "command-unreadable",
                format!(
                    "无法读取命令:{zh}。命令应为一个 JSON 对象,含 command、do、stream、actor、effective、payload;格式见 `weituo schema`"
                ),
                format!(
                    "the command cannot be read: {en}; it is one JSON object with command, do, stream, actor, effective and payload (see `weituo schema`)"
                ),
            )
        };
        let command: Self = serde_json::from_str(json).map_err(unreadable)?;
        // Bounds the nesting of the payload too, which the command keeps as text.
        let said: Value = serde_json::from_str(json).map_err(unreadable)?;
        let read = serde_json::to_value(&command).map_err(unreadable)?;
        altered("", &said, &read).map_or(Ok(command), |found| Err(not_exact(&found)))
    }

    /// Returns the act that the command asks for, with sealed values still open; `newest` is the leaf hash that the word
    /// `newest` stands for.
    ///
    /// # Errors
    /// A refusal when the command or its payload is unknown, misspelt or on a stream of another kind.
    pub fn act(&self, newest: Option<Hash>) -> Result<Act, Refusal> {
        if self.signed.is_some() {
            self.fixed()?;
        }
        let event_type = EventType::from_command(&self.r#do).map_err(|error| {
            Refusal::invalid(
                "command-unknown",
                format!("没有名为 {:?} 的命令;`weituo schema` 列出全部命令", self.r#do),
                format!("{error}; `weituo schema` lists every command"),
            )
        })?;
        if self.stream.category() != event_type.category().code() {
            let (want, got) = (event_type.category().code(), self.stream.as_str());
            return Err(Refusal::invalid(
                "stream-kind",
                format!("{} 属于 {want}/… 流,不能记在 {got}", self.r#do),
                format!("{} belongs to a stream {want}/…, not to {got}", self.r#do),
            ));
        }
        let mut event = Event::parse(event_type.name(), event_type.version(), self.payload.get()).map_err(
            |mut error| {
                if let (EventError::Payload { reason, .. }, Some(clear)) =
                    (&mut error, in_clear(event_type, self.payload.get()))
                {
                    *reason = clear.to_string();
                }
                Refusal::invalid(
                    "payload-unreadable",
                    format!(
                        "{} 的{};格式见 `weituo schema {}`",
                        self.r#do,
                        told::zh(&error).unwrap_or_default(),
                        self.r#do
                    ),
                    format!("{error}; its shape is shown by `weituo schema {}`", self.r#do),
                )
            },
        )?;
        let said = self.payload.get();
        let json = |text: &str| serde_json::from_str(text).unwrap_or(Value::Null);
        // A payload that is spelt as its entry will spell it needs no closer look.
        if !event.is_written(said)
            && let Some(found) = altered("payload", &json(said), &json(&event.payload_json()))
        {
            return Err(not_exact(&found));
        }
        let mut sealed_already = false;
        event.each_sealed(&mut |sealed| sealed_already |= matches!(sealed, crate::Sealed::Shut(_)));
        if sealed_already {
            return Err(Refusal::invalid(
                "already-sealed",
                "命令中的密封字段应写明文,由台账密封",
                "sealed fields stand in clear in a command; the ledger seals them",
            ));
        }
        Ok(Act {
            actor: Actor {
                key: self.signed.as_ref().map(|signed| signed.key),
                organisation: self.actor.organisation.as_str().into(),
                person: None,
                role: SmolStr::new_static(self.actor.role.code()),
            },
            as_found: self.as_found,
            command: self.command.clone(),
            effective: self.effective.clone(),
            parties: self.parties.clone(),
            seen: match self.seen {
                Some(Seen::Leaf(leaf)) => Some(leaf),
                Some(Seen::Word(SeenWord::Newest)) => newest,
                None => None,
            },
            signature: self.signed.as_ref().map(|signed| signed.signature.clone()),
            stream: self.stream.clone(),
            event,
        })
    }

    /// Seals what the command says in clear: the acting person, the payload's sealed fields, or the payload whole.
    /// Returns the disclosures. What is signed is sealed under the salts that it was signed with.
    ///
    /// # Errors
    /// A refusal when `confidential` is asked for a type that a decision depends on, or when a signed command does not bring
    /// a salt for each value.
    pub fn seal(&self, act: &mut Act, fresh_salt: impl FnMut() -> [u8; 16]) -> Result<Vec<String>, Refusal> {
        let Some(signed) = &self.signed else { return self.seal_under(act, fresh_salt) };
        let salts = signed.salts()?;
        let mut used = 0;
        let disclosures = self.seal_under(act, || {
            used += 1;
            salts.get(used - 1).copied().unwrap_or_default()
        })?;
        if used == salts.len() { Ok(disclosures) } else { Err(unusable_salts()) }
    }

    fn seal_under(
        &self,
        act: &mut Act,
        mut fresh_salt: impl FnMut() -> [u8; 16],
    ) -> Result<Vec<String>, Refusal> {
        let mut disclosures = Vec::new();
        if let Some(person) = &self.actor.person {
            let name = Value::String(person.clone());
            let (sealed, disclosure) = seal(fresh_salt(), crate::sealed::DISCLOSURE_NAME, name)
                .map_err(|error| unsealable(&error))?;
            act.actor.person = Some(sealed);
            disclosures.push(disclosure);
        }
        if self.confidential {
            let whole = seal_whole(&mut act.event, fresh_salt()).map_err(|error| unsealable(&error))?;
            disclosures.push(whole.ok_or_else(|| {
                let what = act.event.event_type();
                Refusal::invalid(
                    "not-confidential",
                    format!("{what} 的内容是判断依据,不能整体密封;可将文字写入 paper.note"),
                    format!("decisions depend on what {what} says, so it cannot be sealed whole; put words into paper.note"),
                )
            })?);
        } else {
            disclosures.extend(act.seal(fresh_salt).map_err(|error| unsealable(&error))?);
        }
        Ok(disclosures)
    }
}

fn not_exact(Altered { place, said, read }: &Altered) -> Refusal {
    let member = if place.is_empty() { "the command" } else { place };
    Refusal::invalid(
        "not-kept-exactly",
        format!("{member} 写作 {said},会记成 {read};请照后者的写法书写"),
        format!("{member} says {said} and would be kept as {read}; write it in that way"),
    )
}

/// Seals a payload whole where its type allows it; `None` where it does not.
fn seal_whole(event: &mut Event, salt: [u8; 16]) -> Result<Option<String>, SealedError> {
    fn shut<T: Serialize>(
        payload: &mut Confidential<T>,
        salt: [u8; 16],
    ) -> Result<Option<String>, SealedError> {
        let Confidential::Clear(clear) = payload else { return Ok(None) };
        let value = serde_json::to_value(clear).expect("a payload has only string keys");
        let (sealed, disclosure) = seal(salt, PAYLOAD_DISCLOSURE, value)?;
        *payload = Confidential::Sealed(sealed);
        Ok(Some(disclosure))
    }
    match event {
        Event::InterviewHeld(payload) => shut(payload, salt),
        Event::AccountabilityImposed(payload) => shut(payload, salt),
        Event::MatterReferred(payload) => shut(payload, salt),
        Event::EvidenceAttached(payload) => shut(payload, salt),
        _ => Ok(None),
    }
}

/// Returns what is wrong with a payload that may be sealed whole, as one in clear: of two forms that do not fit, the parser does
/// not say what is wrong with either.
fn in_clear(event_type: EventType, payload: &str) -> Option<serde_json::Error> {
    match event_type {
        EventType::InterviewHeld => serde_json::from_str::<PlainAct>(payload).err(),
        EventType::AccountabilityImposed => serde_json::from_str::<AccountabilityImposed>(payload).err(),
        EventType::MatterReferred => serde_json::from_str::<MatterReferred>(payload).err(),
        EventType::EvidenceAttached => serde_json::from_str::<EvidenceAttached>(payload).err(),
        _ => None,
    }
}

fn unsealable(error: &SealedError) -> Refusal {
    Refusal::invalid(
        "unsealable",
        format!("密封字段无法保存:{error};请去掉 U+0000 等不能保存的字符"),
        format!("a sealed field cannot be kept: {error}; remove U+0000 and the like"),
    )
}

/// Returns the JSON Schema of the command that makes `event_type`.
pub fn command_schema(event_type: EventType) -> Schema {
    let roles: Vec<&str> = event_type.recorders().iter().map(|role| role.code()).collect();
    json_schema!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": event_type.command(),
        "type": "object",
        "properties": {
            "actor": {
                "type": "object",
                "properties": {
                    "organisation": { "type": "string" },
                    "person": { "type": "string", "description": "the person acting; sealed in the entry" },
                    "role": { "enum": roles }
                },
                "required": ["organisation", "role"],
                "additionalProperties": false
            },
            "as_found": { "type": "boolean", "default": false },
            "command": { "type": "string", "format": "uuid" },
            "confidential": { "type": "boolean", "default": false },
            "do": { "const": event_type.command() },
            "effective": {
                "type": "string",
                "description": "YYYY-MM-DD, YYYY-MM, or SYyyyy for a school year"
            },
            "parties": {
                "type": "array",
                "items": { "type": "string", "pattern": "^organisation/" },
                "description": "organisations that become parties by it; filled in by the ledger, stated where it is signed"
            },
            "payload": event_type.schema(),
            "seen": { "type": "string", "pattern": "^([0-9a-f]{64}|newest)$" },
            "signed": {
                "type": "object",
                "description": "the actor's signature, as `weituo sign` makes it",
                "properties": {
                    "key": { "type": "string", "pattern": "^[0-9a-f]{64}$" },
                    "ledger": { "type": "string" },
                    "salts": { "type": "array", "items": { "type": "string", "pattern": "^[A-Za-z0-9_-]{22}$" } },
                    "signature": { "type": "string", "pattern": "^[A-Za-z0-9+/]{86}==$" }
                },
                "required": ["key", "ledger", "signature"],
                "additionalProperties": false
            },
            "stream": { "type": "string", "pattern": format!("^{}/", event_type.category().code()) }
        },
        "required": ["actor", "command", "do", "effective", "payload", "stream"],
        "additionalProperties": false
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_payload_that_may_be_sealed_is_named() {
        for act in ["AttachEvidence", "HoldInterview", "ImposeAccountability", "ReferMatter"] {
            let command = serde_json::json!({
                "command": "00000000-0000-4000-8000-000000000001",
                "do": act,
                "stream": "agreement/A-1",
                "actor": { "organisation": "bureau-wz", "role": "bureau" },
                "effective": "2020-01-10",
                "payload": { "entry": { "sequence": 1 }, "evidence": [] },
            });
            let refusal = Command::parse(&command.to_string()).unwrap().act(None).unwrap_err();
            assert!(refusal.reason.en.contains("unknown field"), "{}", refusal.reason.en);
        }
    }
}
