//! `sign`: commands in, signed commands out. No ledger is needed.
//!
//! Invariant: only signed commands go to standard output, so that it can be recorded as it is; refusals go to standard error.

use std::io::Write as _;
use std::path::Path;

use serde_json::json;
use weituo_events::{Command, Refusal};

use super::lines::Lines;
use super::output::{Failure, try_line};
use super::record::{REFUSED, open};
use super::{Desk, keys};
use crate::deciding::offline;

/// Signs every line of a file or of standard input.
pub(super) fn sign(
    desk: &Desk<'_>,
    file: &str,
    key_file: &Path,
    ledger_origin: &str,
    max_line: u64,
) -> Result<u8, Failure> {
    let (key, ledger) = (keys::read(key_file)?, keys::origin(ledger_origin)?);
    if key.name() == ledger.as_str() {
        return Err(Failure::could_not_run(
            "key-of-the-log",
            format!("{} 是台账自己的密钥,不能为行为人签名:请用 `weituo key new` 生成", key_file.display()),
            format!(
                "{} is the log's own key and signs for no actor: make one with `weituo key new`",
                key_file.display()
            ),
        ));
    }
    let mut input = open(file)?;
    let mut lines = Lines::new(&mut input, max_line);
    let (mut line_number, mut refused) = (0_u64, false);
    while let Some(line) = lines.next_line().map_err(|error| Failure::from_error("input", &error))? {
        line_number += 1;
        let signed = match line {
            Ok(text) if text.trim().is_empty() => continue,
            Ok(text) => Command::parse(&text),
            Err(refusal) => Err(refusal),
        }
        .and_then(|command| offline::sign(command, &ledger, key.seed(), crate::fresh_salt));
        match signed {
            Ok(command) => {
                let text = serde_json::to_string(&command);
                let text = text.map_err(|error| Failure::from_error("command", &error))?;
                try_line(text).map_err(|error| Failure::from_error("output", &error))?;
            }
            Err(refusal) => {
                refused = true;
                tell(desk, line_number, &refusal);
            }
        }
    }
    Ok(if refused { REFUSED } else { 0 })
}

/// Tells a refusal on standard error, as JSON or for people.
fn tell(desk: &Desk<'_>, line: u64, refusal: &Refusal) {
    let Refusal { code, kind, reason } = refusal;
    let text = if desk.voice.json {
        json!({ "refused": { "line": line, "code": code, "kind": kind, "reason": reason } }).to_string()
    } else {
        let said = super::output::visible_lines(reason.get(desk.voice.language));
        super::words::words(desk.voice.language, "sign-refused", &[("line", &line), ("reason", &said)])
    };
    // Whoever closed standard error does not want to know; the exit code still says it.
    let _ = writeln!(std::io::stderr(), "{text}");
}
