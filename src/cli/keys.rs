//! `key new`, `key show`, `key enrol`: an actor's key file, and the command that enrols its key.
//!
//! Absent: recording the command (`record`), signing it (`sign`).

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use weituo_events::payload::SigningKeyEnrolled;
use weituo_events::{EventType, OrganisationId, Role};
use weituo_proof::entry::{key_id, prove_possession, public_key_of_seed};
use weituo_proof::{Origin, SigningKey};

use super::args::KeyAction;
use super::output::{Failure, Voice, document, line};
use super::record::compose;
use super::words::words;
use crate::ledger::key;

/// Runs one of the subcommands of `key`.
pub(super) fn run(voice: Voice, action: &KeyAction) -> Result<u8, Failure> {
    match action {
        KeyAction::New { key_file, name } => {
            let stem = key_file.file_stem().map(|stem| stem.to_string_lossy().into_owned());
            let name = name.clone().or(stem).unwrap_or_default();
            if key_file.exists() {
                let file = key_file.display();
                return Err(Failure::could_not_run(
                    "key-file-exists",
                    format!("{file} 已存在,不会覆盖:请换一个文件名"),
                    format!("{file} is there already and is not written over: choose another name"),
                ));
            }
            let key = key::create(key_file, &name).map_err(|error| unusable(&error))?;
            print(voice, key_file, &key);
        }
        KeyAction::Show { key_file } => print(voice, key_file, &read(key_file)?),
        KeyAction::Enrol { key_file, organisation, ledger_origin, by_whom, role, effective } => {
            let by = by_whom.as_ref().unwrap_or(organisation);
            let effective = effective.as_deref();
            line(enrolment(&read(key_file)?, organisation, &origin(ledger_origin)?, (by, *role), effective)?);
        }
    }
    Ok(0)
}

/// Reads an actor's key file.
pub(super) fn read(file: &Path) -> Result<SigningKey, Failure> {
    key::read(file).map_err(|error| unusable(&error))
}

fn unusable(error: &(dyn std::error::Error + 'static)) -> Failure {
    Failure::from_error("key-file", error)
}

/// Reads the origin that a signature is bound to.
pub(super) fn origin(text: &str) -> Result<Origin, Failure> {
    text.parse().map_err(|error| Failure::from_error("origin", &error))
}

/// Prints what may be known of a key.
fn print(voice: Voice, file: &Path, key: &SigningKey) {
    let public_key = public_key_of_seed(key.seed());
    let (id, public_key) = (key_id(&public_key), STANDARD.encode(public_key));
    let file = file.display().to_string();
    if voice.json {
        document(&json!({ "key": id, "key_file": file, "name": key.name(), "public_key": public_key }));
        return;
    }
    let language = voice.language;
    line(words(language, "key-file", &[("path", &file)]));
    line(words(language, "key-public", &[("key", &public_key)]));
    line(words(language, "key-id", &[("id", &id)]));
}

/// Returns the command, one line, that enrols a key for an organisation, with its proof of possession.
fn enrolment(
    key: &SigningKey,
    organisation: &OrganisationId,
    ledger: &Origin,
    (by, role): (&OrganisationId, Role),
    effective: Option<&str>,
) -> Result<String, Failure> {
    let public_key = public_key_of_seed(key.seed());
    let stream = organisation.stream();
    let payload = SigningKeyEnrolled {
        key: key_id(&public_key),
        possession: prove_possession(ledger, &stream, key.seed()),
        public_key: STANDARD.encode(public_key),
    };
    let kind = EventType::SigningKeyEnrolled;
    let command = compose(kind, stream.as_str(), by.clone(), role, effective, None, &payload)?;
    serde_json::to_string(&command).map_err(|error| Failure::from_error("command", &error))
}
