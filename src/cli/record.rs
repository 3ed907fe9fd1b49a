//! `record`, `adopt`, `erase`: commands in, receipts or refusals out.

use std::io::{BufRead, BufReader, IsTerminal, Read};
use std::path::Path;

use serde_json::{Value, json};
use weituo_events::payload::{DisclosureErased, RulebookAdopted};
use weituo_events::{Command, CommandActor, EventType, OrganisationId, Refusal, Role};
use weituo_projections::Rulebook;
use weituo_projections::rulebook::MAX_TEXT_BYTES;
use weituo_proof::{CommandId, Effective, StreamName};
use weituo_verifier::chain;

use super::Desk;
use super::lines::Lines;
use super::output::{Failure, line, try_line};
use super::words::words;
use crate::ledger::SubmitError;
use crate::recorder::{RecordError, Recorder, Recording};

/// Exit code when a command was refused.
pub(super) const REFUSED: u8 = 3;

/// Records every line of a file or of standard input, in order.
pub(super) async fn record(desk: &Desk<'_>, file: &str, max_line: u64) -> Result<u8, Failure> {
    let mut input = open(file)?;
    let recorder = desk.recorder().await?;
    let lines = Lines::new(&mut input, max_line);
    let outcome = record_lines(desk, &recorder, lines, &mut |result| try_line(result.to_string())).await;
    let stopped = stop(&recorder).await;
    // Which line failed says more than that the stop failed, too.
    let counts = outcome?;
    stopped?;
    if std::io::stderr().is_terminal() {
        let summary: [(&str, &dyn ToString); 2] =
            [("accepted", &counts.accepted), ("refused", &counts.refused)];
        eprintln!("{}", words(desk.voice.language, "record-done", &summary));
    }
    Ok(if counts.refused == 0 { 0 } else { REFUSED })
}

/// Opens a file of commands, or standard input.
pub(super) fn open(file: &str) -> Result<Box<dyn BufRead>, Failure> {
    if file == "-" {
        return Ok(Box::new(BufReader::new(std::io::stdin())));
    }
    let opened = std::fs::File::open(file).map_err(|error| {
        Failure::could_not_run(
            "file",
            format!("无法打开 {file}:{error}"),
            format!("cannot open {file}: {error}"),
        )
    })?;
    Ok(Box::new(BufReader::new(opened)))
}

/// How many commands of an input were recorded and refused.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) accepted: u64,
    pub(super) refused: u64,
}

/// Records every line, in order, and gives each result to `out`.
pub(super) async fn record_lines(
    desk: &Desk<'_>,
    recorder: &Recorder,
    mut lines: Lines<'_>,
    out: &mut dyn FnMut(Value) -> std::io::Result<()>,
) -> Result<Counts, Failure> {
    let bar = desk.voice.progress(0, "progress-record");
    let mut counts = Counts::default();
    let mut line_number = 0_u64;
    while let Some(line) = lines.next_line().map_err(|error| Failure::from_error("input", &error))? {
        line_number += 1;
        let command = match line {
            Ok(text) if text.trim().is_empty() => continue,
            Ok(text) => Command::parse(&text),
            Err(refusal) => Err(refusal),
        };
        let result = match command {
            Ok(command) => recorder.record(&command).await.map(|recording| (command, recording)),
            Err(refusal) => Err(RecordError::Refused(refusal)),
        };
        let answer = match result {
            Ok((command, recording)) => {
                counts.accepted += 1;
                accepted(&command, &recording)
            }
            Err(error) => {
                let refusal = refusal_of(&error).ok_or_else(|| could_not_record(line_number, &error))?;
                counts.refused += 1;
                json!({ "refused": { "line": line_number, "code": refusal.code, "kind": refusal.kind,
                    "reason": refusal.reason } })
            }
        };
        out(answer).map_err(|error| nobody_reads(line_number, &error))?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(counts)
}

/// Returns the refusal that an error tells, where it is one.
fn refusal_of(error: &RecordError) -> Option<Refusal> {
    match error {
        RecordError::Refused(refusal) | RecordError::Ledger(SubmitError::Claim(refusal)) => {
            Some(refusal.clone())
        }
        RecordError::Ledger(SubmitError::Reused { leaf_index }) => Some(Refusal::contradicts(
            "command-reused",
            format!("该命令编号已用于序号 {leaf_index} 的另一内容;请使用新的 UUID"),
            format!("this command id already recorded something else at leaf {leaf_index}; use a new UUID"),
        )),
        RecordError::Ledger(SubmitError::Invalid(error)) => Some(Refusal::invalid(
            "entry-invalid",
            format!("无法形成存证记录:{}", crate::errors::chain_zh(error)),
            format!("this makes no entry: {}", chain(error)),
        )),
        RecordError::Conflict { stream } => Some(Refusal::contradicts(
            "stream-moved",
            crate::errors::chain_zh(error),
            format!(
                "{stream}, or an organisation that this rests on, kept changing; repeat the command with the same id, and where nobody changes them, run `weituo verify`"
            ),
        )),
        _ => None,
    }
}

/// A result that cannot be given away ends the recording: nobody would know what became of the lines that follow.
fn nobody_reads(line: u64, error: &std::io::Error) -> Failure {
    Failure::could_not_run(
        "output",
        format!("第 {line} 行的结果无法写出,其后各行未处理:{error};可用同一编号重新记录"),
        format!(
            "the result of line {line} cannot be written, and what follows it was not tried: {error}; recording again with the same ids is safe"
        ),
    )
}

fn could_not_record(line: u64, error: &RecordError) -> Failure {
    if let RecordError::Ledger(SubmitError::NotCosigned { leaf_index, seconds }) = error {
        return Failure::could_not_run(
            "not-cosigned",
            format!(
                "第 {line} 行已记录,序号 {leaf_index},但 {seconds} 秒内未获足够的见证附署,其后各行未处理:稍后请运行 `weituo receipt {leaf_index}`;可用同一编号重新记录"
            ),
            format!(
                "line {line} is recorded at leaf {leaf_index}, but the witnesses of the policy have not cosigned it in {seconds} s, and what follows it was not tried: run `weituo receipt {leaf_index}` later; recording again with the same ids is safe"
            ),
        );
    }
    Failure::could_not_run(
        "not-recorded",
        format!("第 {line} 行未能记录,其后各行未处理:{}", crate::errors::chain_zh(error)),
        format!("line {line} could not be recorded, and what follows it was not tried: {}", chain(error)),
    )
}

fn accepted(command: &Command, recording: &Recording) -> Value {
    let receipt = &recording.accepted.receipt;
    json!({ "ok": {
        "command": command.command,
        "do": command.r#do,
        "stream": command.stream,
        "sequence": recording.accepted.position.sequence,
        "leaf_index": receipt.leaf_index,
        "leaf_hash": receipt.leaf_hash,
        "recorded_at": recording.accepted.position.recorded_at,
        "repeated": recording.accepted.repeated,
        "irregularities": recording.irregularities,
        "cosigned": receipt.cosigned,
        "receipt": receipt.to_proof().text_with_entry(),
    } })
}

/// Stops the ledger cleanly: the index is committed and the anchor exact.
pub(super) async fn stop(recorder: &Recorder) -> Result<(), Failure> {
    recorder.ledger().stop().await.map_err(|error| Failure::from_error("ledger-stop", &error))
}

/// Adopts a rulebook file.
pub(super) async fn adopt(
    desk: &Desk<'_>,
    file: &Path,
    by: &OrganisationId,
    effective: Option<&str>,
    command: Option<&str>,
) -> Result<u8, Failure> {
    let text = read_rulebook(file).map_err(|error| {
        let file = file.display();
        Failure::could_not_run(
            "file",
            format!("无法读取 {file}:{error}"),
            format!("cannot read {file}: {error}"),
        )
    })?;
    let command = adoption(&text, by, effective, command)?;
    let recorder = desk.recorder().await?;
    one(&recorder, &command).await
}

/// Reads a rulebook's text; one byte too many is enough to refuse it.
fn read_rulebook(file: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(file)?.take(MAX_TEXT_BYTES as u64 + 1).read_to_string(&mut text)?;
    Ok(text)
}

/// Returns the command that adopts a rulebook's text.
pub(super) fn adoption(
    text: &str,
    by: &OrganisationId,
    effective: Option<&str>,
    command: Option<&str>,
) -> Result<Command, Failure> {
    let rulebook = Rulebook::parse(text).map_err(|error| {
        Failure::could_not_run(
            "rulebook",
            format!("规则依据不可用:{}", chain(&error)),
            format!("the rulebook cannot be used: {}", chain(&error)),
        )
    })?;
    let payload = RulebookAdopted {
        digest: None,
        paper: weituo_events::payload::Paper::default(),
        text: text.to_owned(),
        version: rulebook.version,
    };
    let stream = format!("rulebook/{}", rulebook.id);
    compose(EventType::RulebookAdopted, &stream, by.clone(), Role::Bureau, effective, command, &payload)
}

/// Erases one disclosure.
pub(super) async fn erase(
    desk: &Desk<'_>,
    leaf_index: u64,
    digest: &str,
    grounds: &str,
    by: Option<&OrganisationId>,
) -> Result<u8, Failure> {
    let (organisation, role) = match by {
        Some(by) => (by.clone(), Role::Bureau),
        None => (operator(), Role::Operator),
    };
    let payload = DisclosureErased { digest: digest.to_owned(), grounds: grounds.to_owned(), leaf_index };
    let kind = EventType::DisclosureErased;
    let command = compose(kind, "log/main", organisation, role, None, None, &payload)?;
    let recorder = desk.recorder().await?;
    one(&recorder, &command).await
}

/// The ledger itself, as an actor.
fn operator() -> OrganisationId {
    OrganisationId::new("log").expect("`log` is an organisation id")
}

/// Makes a command of its parts.
pub(super) fn compose(
    event_type: EventType,
    stream: &str,
    organisation: OrganisationId,
    role: Role,
    effective: Option<&str>,
    command: Option<&str>,
    payload: &impl serde::Serialize,
) -> Result<Command, Failure> {
    let unusable = |what: &str, error: &dyn std::fmt::Display| {
        Failure::could_not_run(
            "argument",
            format!("{what} 不可用:{error}"),
            format!("{what} cannot be used: {error}"),
        )
    };
    let stream: StreamName = stream.parse().map_err(|error| unusable(stream, &error))?;
    let effective: Effective = match effective {
        Some(text) => text.parse().map_err(|error| unusable("--effective", &error))?,
        None => crate::today().to_string().parse().map_err(|error| unusable("--effective", &error))?,
    };
    let command: CommandId = match command {
        Some(text) => text.parse().map_err(|error| unusable("--command", &error))?,
        None => crate::fresh_command_id(),
    };
    let payload = serde_json::value::to_raw_value(payload).map_err(|error| unusable("payload", &error))?;
    Ok(Command {
        actor: CommandActor { organisation, person: None, role },
        as_found: false,
        command,
        confidential: false,
        r#do: event_type.command().to_owned(),
        effective,
        parties: Vec::new(),
        payload,
        seen: None,
        signed: None,
        stream,
    })
}

/// Records one command that the command line made itself.
async fn one(recorder: &Recorder, command: &Command) -> Result<u8, Failure> {
    let result = recorder.record(command).await;
    if let Ok(recording) = &result {
        line(accepted(command, recording).to_string());
    }
    stop(recorder).await?;
    let Err(error) = result else { return Ok(0) };
    Err(match refusal_of(&error) {
        Some(refusal) => Failure { code: refusal.code, text: refusal.reason, exit: REFUSED },
        None => could_not_record(1, &error),
    })
}
