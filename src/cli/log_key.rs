//! `log-key show`, `log-key rotate`, `log-key revoke`, `freeze`: the log's own keys, and its end.
//!
//! Absent: succession, which is `init --predecessor` of the ledger that follows (`setup`).

use serde_json::json;

use super::Desk;
use super::args::LogKeyAction;
use super::output::{Failure, document, line};
use super::words::words;
use crate::ledger::{Beside, Ledger};

/// Runs one of the subcommands of `log-key`.
pub(super) async fn run(desk: &Desk<'_>, action: &LogKeyAction) -> Result<u8, Failure> {
    let (url, options) = (desk.url()?, desk.options(false));
    let failed = |error| Failure::from_error("log-key", &error);
    let language = desk.voice.language;
    match action {
        LogKeyAction::Show => {
            let beside = Beside::read(&url, &options, &[]).map_err(failed)?;
            let keys: Vec<String> = beside.verifiers().iter().map(ToString::to_string).collect();
            if keys.is_empty() {
                return Err(Failure::could_not_run(
                    "log-key",
                    "手头没有台账的签名密钥:用 --signing-key 指明,或从运行中的台账取 /log/key",
                    "the log's signing key is not at hand: name it by --signing-key, or take /log/key of the log served",
                ));
            }
            if desk.voice.json {
                document(&json!({ "verifier_keys": keys }));
            } else {
                keys.into_iter().for_each(line);
            }
        }
        LogKeyAction::Rotate => {
            let rotated = Ledger::rotate_key(&url, &options).await.map_err(failed)?;
            let (key, kept) = (rotated.verifier.to_string(), rotated.kept.display().to_string());
            if desk.voice.json {
                document(&json!({ "kept": kept, "verifier_key": key }));
            } else {
                line(words(language, "log-key-rotated", &[("key", &key)]));
                line(words(language, "log-key-kept", &[("path", &kept)]));
            }
        }
        LogKeyAction::Revoke { log_key } => {
            let revoked = Ledger::revoke_key(&url, &options, log_key).await.map_err(failed)?.to_string();
            if desk.voice.json {
                document(&json!({ "revoked": revoked }));
            } else {
                line(words(language, "log-key-revoked", &[("key", &revoked)]));
            }
        }
    }
    Ok(0)
}

/// Freezes the ledger for good.
pub(super) async fn freeze(desk: &Desk<'_>, successor: Option<&str>) -> Result<u8, Failure> {
    let successor = successor.map(super::keys::origin).transpose()?;
    Ledger::freeze(&desk.url()?, &desk.options(false), successor.as_ref())
        .await
        .map_err(|error| Failure::from_error("freeze", &error))?;
    let successor = successor.map(|origin| origin.to_string());
    if desk.voice.json {
        document(&json!({ "frozen": true, "successor": successor }));
    } else {
        line(desk.voice.word("freeze-done"));
        if let Some(origin) = &successor {
            line(words(desk.voice.language, "freeze-next", &[("origin", origin)]));
        }
    }
    Ok(0)
}
