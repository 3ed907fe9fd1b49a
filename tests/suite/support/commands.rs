//! Commands as a bureau gives them, and ledgers that they are recorded in.

use serde_json::{Value, json};
use weituo::ledger::Ledger;
use weituo::recorder::{RecordError, Recorder, Recording};
use weituo_events::Command;

use super::ledger::{Place, new_id};

pub(crate) const RULEBOOK: &str = include_str!("../../../rulebooks/wenzhou-entrustment-2018.toml");
pub(crate) const REGISTRY: &str = include_str!("../../../samples/00-registry.jsonl");
pub(crate) const CYCLES: [(&str, &str); 4] = [
    ("01-full-cycle", include_str!("../../../samples/01-full-cycle.jsonl")),
    ("02-goes-wrong", include_str!("../../../samples/02-goes-wrong.jsonl")),
    ("03-irregular", include_str!("../../../samples/03-irregular.jsonl")),
    ("04-as-found", include_str!("../../../samples/04-as-found.jsonl")),
];

/// Returns a command of the root bureau.
pub(crate) fn by_bureau(act: &str, stream: &str, effective: &str, payload: Value) -> Command {
    by("bureau-wz", "bureau", act, stream, effective, payload)
}

/// Returns a command of an organisation in a role.
#[expect(clippy::needless_pass_by_value, reason = "a payload is written where it is given")]
pub(crate) fn by(
    organisation: &str,
    role: &str,
    act: &str,
    stream: &str,
    effective: &str,
    payload: Value,
) -> Command {
    parse(&json!({
        "command": new_id().as_str(),
        "do": act,
        "stream": stream,
        "actor": { "organisation": organisation, "role": role },
        "effective": effective,
        "payload": payload,
    }))
}

pub(crate) fn parse(value: &Value) -> Command {
    Command::parse(&value.to_string()).unwrap()
}

/// Returns the command that adopts the shipped rulebook.
pub(crate) fn adoption() -> Command {
    let payload = json!({ "text": RULEBOOK, "version": 1 });
    by_bureau("AdoptRulebook", "rulebook/wenzhou-entrustment-2018", "2018-12-20", payload)
}

/// Makes a ledger with `bureau-wz` as its root bureau.
pub(crate) async fn new_ledger(place: &Place) -> Ledger {
    let mut options = place.init_options();
    options.roots = vec!["bureau-wz".parse().unwrap()];
    Ledger::init(&place.url, &options).await.unwrap()
}

/// Makes a ledger with the sample registry and the rulebook in it.
pub(crate) async fn new_recorder(place: &Place) -> Recorder {
    let recorder = Recorder::open(new_ledger(place).await).await.unwrap();
    record_lines(&recorder, REGISTRY).await;
    recorder.record(&adoption()).await.unwrap();
    recorder
}

/// Records every line; each has to be accepted.
pub(crate) async fn record_lines(recorder: &Recorder, lines: &str) -> Vec<Recording> {
    let mut recordings = Vec::new();
    for (number, line) in lines.lines().enumerate() {
        let command = Command::parse(line).unwrap_or_else(|refusal| panic!("line {}: {refusal}", number + 1));
        match recorder.record(&command).await {
            Ok(recording) => recordings.push(recording),
            Err(error) => panic!("line {}: {}", number + 1, told(&error)),
        }
    }
    recordings
}

/// Returns an error with its sources.
pub(crate) fn told(error: &dyn std::error::Error) -> String {
    let source = error.source().map_or_else(String::new, |source| format!(": {}", told(source)));
    format!("{error}{source}")
}

/// Returns the code of a refusal.
pub(crate) fn refusal_code(error: &RecordError) -> String {
    use weituo::ledger::SubmitError;
    match error {
        RecordError::Refused(refusal) | RecordError::Ledger(SubmitError::Claim(refusal)) => {
            refusal.code.to_string()
        }
        other => panic!("not a refusal: {}", told(other)),
    }
}
