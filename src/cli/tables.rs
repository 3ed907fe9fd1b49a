//! Tables of the log: one row an entry, one entry whole, the commands.

use comfy_table::{Row, Table};
use serde_json::{Map, Value};
use weituo_events::{EventType, Role};
use weituo_proof::{Hash, Language};

use super::inspect::parsed;
use super::output::{Voice, visible};
use super::words::words;
use crate::errors::in_both;
use crate::query::Erasure;
use crate::store::EntryRow;

/// Returns an empty table for entries.
pub(super) fn log_heading(voice: Voice) -> Table {
    voice.table(&[
        "column-leaf",
        "column-recorded",
        "column-effective",
        "column-type",
        "column-actor",
        "column-stream",
        "column-hash",
    ])
}

/// Returns one entry's row; an entry that cannot be read says so in its place.
pub(super) fn log_row(voice: Voice, row: &EntryRow) -> Row {
    let (recorded_at, effective, what, actor) = match parsed(row) {
        Ok(entry) => (
            entry.recorded_at.to_string(),
            effective(voice, entry.effective.as_str(), entry.as_found),
            act(voice.language, &entry.event_type),
            visible(&entry.actor.organisation),
        ),
        Err(error) => {
            (String::new(), String::new(), in_both(&error).get(voice.language).to_owned(), String::new())
        }
    };
    Row::from([
        row.leaf_index.to_string(),
        recorded_at,
        effective,
        what,
        actor,
        format!("{}#{}", visible(&row.stream), row.sequence),
        short(row.leaf_hash),
    ])
}

/// Returns a date with the mark of a record made afterwards from paper.
pub(super) fn effective(voice: Voice, date: &str, as_found: bool) -> String {
    if as_found { format!("{date} ({})", voice.word("word-as-found")) } else { date.to_owned() }
}

/// Returns the name of an act on a page; an unknown type as it is.
pub(super) fn act(language: Language, event_type: &str) -> String {
    event_type
        .parse::<EventType>()
        .map_or_else(|_| visible(event_type), |known| known.label(language).to_owned())
}

/// Returns the first 12 hex digits of a hash.
pub(super) fn short(hash: Hash) -> String {
    hash.to_string().chars().take(12).collect()
}

/// What is known of the sealed values of an entry.
pub(super) struct Values {
    pub(super) opened: Map<String, Value>,
    pub(super) erasures: Vec<Erasure>,
}

/// Returns how a sealed value is marked that nothing discloses.
pub(super) fn undisclosed(voice: Voice, erasures: &[Erasure], digest: &str) -> String {
    let erasure = erasures.iter().find(|erasure| erasure.digest == digest);
    let Some(Erasure { leaf_index, grounds, .. }) = erasure else { return voice.word("word-missing") };
    words(voice.language, "word-erased", &[("leaf", leaf_index), ("grounds", grounds)])
}

/// Returns the lines that show one entry whole: its members, its sealed values opened or marked.
pub(super) fn entry_lines(voice: Voice, row: &EntryRow, values: &Values) -> Vec<String> {
    let mut lines = vec![format!("leaf_index: {}", row.leaf_index), format!("leaf_hash: {}", row.leaf_hash)];
    match serde_json::from_str::<Value>(&row.body) {
        Ok(Value::Object(members)) => {
            for (name, value) in &members {
                show(voice, name, value, values, 0, &mut lines);
            }
        }
        _ => lines.push(row.body.to_string()),
    }
    lines
}

fn show(voice: Voice, name: &str, value: &Value, values: &Values, depth: usize, lines: &mut Vec<String>) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(members) => {
            if let Some(digest) =
                members.get("_sd").and_then(|digests| digests.get(0)).and_then(Value::as_str)
            {
                let (shown, mark) = match values.opened.get(digest) {
                    Some(text) => (text.to_string(), voice.word("word-sealed")),
                    None => (digest.to_owned(), undisclosed(voice, &values.erasures, digest)),
                };
                lines.push(format!("{indent}{name}: {shown} {mark} {digest}"));
                return;
            }
            lines.push(format!("{indent}{name}:"));
            for (inner, value) in members {
                show(voice, inner, value, values, depth + 1, lines);
            }
        }
        Value::Array(elements) => {
            lines.push(format!("{indent}{name}:"));
            for (at, element) in elements.iter().enumerate() {
                show(voice, &format!("{}.", at + 1), element, values, depth + 1, lines);
            }
        }
        Value::String(text) => lines.push(format!("{indent}{name}: {text}")),
        other => lines.push(format!("{indent}{name}: {other}")),
    }
}

/// Returns the table of commands.
pub(super) fn commands(voice: Voice) -> Table {
    let mut table = voice.table(&["column-command", "column-event", "column-what", "column-by"]);
    for event_type in EventType::ALL {
        let by: Vec<&str> =
            event_type.recorders().iter().map(|role: &Role| role.label(voice.language)).collect();
        table.add_row([
            event_type.command(),
            event_type.name(),
            event_type.label(voice.language),
            &by.join("、"),
        ]);
    }
    table
}
