//! Signing a command where no ledger is at hand: what deciding would fill in is filled in where it follows from the command,
//! and refused where it does not.
//!
//! Absent: key files and randomness (the edges), whether the ledger will accept the command.
//! Source: docs/decisions/0004 and 0016.

use weituo_events::{Command, Event, Refusal};
use weituo_proof::{Origin, sha256};

use crate::agreement::{joining, left_open};

/// Signs a command for a ledger with a 32-byte Ed25519 seed.
///
/// # Errors
/// A refusal that names what the command leaves open, or why it is no command.
pub fn sign(
    mut command: Command,
    ledger: &Origin,
    seed: &[u8; 32],
    fresh_salt: impl FnMut() -> [u8; 16],
) -> Result<Command, Refusal> {
    command.signed = None;
    let mut event = command.act(None)?.event;
    if let Some(member) = left_open(&mut event) {
        return Err(Refusal::invalid(
            "signed-incomplete",
            format!(
                "签名的命令须写明 {member}:不连接台账时无法补填(可用 `weituo entry 序号` 或 `sha256sum` 查得)"
            ),
            format!(
                "a signed command states {member}: it cannot be filled in without the ledger (`weituo entry LEAF` or `sha256sum` tell it)"
            ),
        ));
    }
    if command.parties.is_empty() {
        command.parties = usual_parties(&event);
    }
    if let Event::RulebookAdopted(adopted) = &mut event
        && adopted.digest.is_none()
    {
        adopted.digest = Some(sha256(&[adopted.text.as_bytes()]));
        command.set_payload(&event);
    }
    command.sign(ledger, seed, fresh_salt)?;
    Ok(command)
}

/// Those who become parties by an act unless the command states others: those that it names, where making parties is what
/// the act is for. Whoever signs an agreement was designated before.
fn usual_parties(event: &Event) -> Vec<weituo_proof::StreamName> {
    match event {
        Event::PartiesDesignated(_) | Event::GroupApproved(_) | Event::PartyAdmitted(_) => {
            joining(event).into_iter().map(weituo_events::OrganisationId::stream).collect()
        }
        _ => Vec::new(),
    }
}
