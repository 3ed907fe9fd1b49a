//! Keys of actors, enrolments of them, and commands signed with them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use weituo::deciding::offline;
use weituo_events::Command;
use weituo_proof::Hash;
use weituo_proof::entry::{key_id, prove_possession, public_key_of_seed};

use super::commands::by;

/// Origin of the ledgers that [`super::ledger::Place`] makes.
pub(crate) const ORIGIN: &str = "log.example/test";

/// Returns the id of a seed's key.
pub(crate) fn id_of(seed: u8) -> Hash {
    key_id(&public_key_of_seed(&[seed; 32]))
}

/// Returns the command by which an organisation in a role enrols a seed's key for an organisation, unsigned.
pub(crate) fn enrolment(of: &str, seed: u8, by_whom: (&str, &str)) -> Command {
    let stream = format!("organisation/{of}");
    let possession = prove_possession(&ORIGIN.parse().unwrap(), &stream.parse().unwrap(), &[seed; 32]);
    let public_key = STANDARD.encode(public_key_of_seed(&[seed; 32]));
    let payload = json!({ "key": id_of(seed), "possession": possession, "public_key": public_key });
    by(by_whom.0, by_whom.1, "EnrolSigningKey", &stream, "2019-01-10", payload)
}

/// Returns the command by which the root bureau revokes a seed's key.
pub(crate) fn revocation(of: &str, seed: u8) -> Command {
    let payload = json!({ "key": id_of(seed) });
    by("bureau-wz", "bureau", "RevokeSigningKey", &format!("organisation/{of}"), "2019-01-11", payload)
}

/// Returns a command signed with a seed's key.
pub(crate) fn signed(command: Command, seed: u8) -> Command {
    let fresh = || *super::ledger::new_id().as_str().as_bytes()[20..].first_chunk().unwrap();
    offline::sign(command, &ORIGIN.parse().unwrap(), &[seed; 32], fresh).unwrap()
}
