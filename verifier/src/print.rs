//! What is printed of a dossier's verification.
//!
//! Invariants: whatever the file holds, no control character of it reaches the terminal.

use std::io::{self, Write};

use serde_json::Value;
use weituo_proof::{Both, Finding, Language, Verdict};
use weituo_verifier::DossierReport;

use crate::words;

/// Writes a text with its newline.
pub(crate) fn to(out: &mut dyn Write, text: &str) -> io::Result<()> {
    let shown: String = text
        .chars()
        .map(
            |letter| if letter.is_control() && letter != '\n' { char::REPLACEMENT_CHARACTER } else { letter },
        )
        .collect();
    writeln!(out, "{shown}")?;
    out.flush()
}

/// Returns the report as JSON.
pub(crate) fn json(report: &DossierReport) -> String {
    serde_json::to_string_pretty(report).expect("invariant: a report has string keys and no fallible member")
}

/// Returns the report for people: verdicts, findings, what was erased, the state.
pub(crate) fn report(report: &DossierReport, language: Language) -> String {
    let verdicts = &report.verdicts;
    let mut lines = heading(report, language);
    lines.push(verdict(
        &verdicts.intact,
        [&words::INTACT, &words::NOT_INTACT, &words::UNCHECKED_INTACT],
        language,
    ));
    let mut complete = verdict(
        &verdicts.complete,
        [&words::COMPLETE, &words::NOT_COMPLETE, &words::UNCHECKED_COMPLETE],
        language,
    );
    if verdicts.complete.is_yes() {
        let by = match report.audited_by.as_slice() {
            [] => words::BY_OPERATOR.get(language).to_owned(),
            names => format!("{}{}", words::BY_AUDITOR.get(language), names.join(", ")),
        };
        complete = format!("{complete} ({by})");
    }
    lines.push(complete);
    if report.age_asked {
        lines.push(verdict(&verdicts.age, [&words::AGE, &words::NOT_AGE, &words::UNCHECKED_AGE], language));
    }
    for one in report.findings() {
        lines.push(String::new());
        lines.extend(finding(one, language));
    }
    for (kind, count) in &report.unlisted {
        lines.push(format!("{kind}: + {count}"));
    }
    for one in &report.erased {
        lines.push(format!(
            "  {} {}: {} {}{}",
            words::LEAF.get(language),
            one.leaf_index,
            one.on,
            words::ERASED.get(language),
            one.grounds
        ));
    }
    let counts = &report.counts;
    let counted = [
        (counts.entries, &words::ENTRIES),
        (counts.streams, &words::STREAMS),
        (counts.parties, &words::PARTIES),
        (counts.disclosures, &words::DISCLOSURES),
        (counts.signatures, &words::SIGNATURES),
    ];
    let counted = counted.map(|(count, word)| format!("{count} {}", word.get(language)));
    lines.push(format!("\n{} {}", words::CHECKED.get(language), counted.join(words::COMMA.get(language))));
    match (&report.state, &report.as_of) {
        (Some(state), Some(as_of)) if verdicts.intact.is_yes() => {
            lines.push(format!("\n{} {as_of}:", words::STATE.get(language)));
            outline(state, 1, &mut lines);
        }
        _ => lines.push(format!("\n{}", words::NO_STATE.get(language))),
    }
    lines.join("\n")
}

fn heading(report: &DossierReport, language: Language) -> Vec<String> {
    let (Some(subject), Some(origin)) = (&report.subject, &report.origin) else { return Vec::new() };
    let size = report.size.unwrap_or_default();
    let root = report.root.map(|root| root.to_string()).unwrap_or_default();
    vec![
        format!("{} {}", subject.kind.code(), subject.id),
        format!("{} {origin} · {size} · {root}\n", words::OF_LOG.get(language)),
    ]
}

/// Returns one verdict's line; `texts` are those of yes, no and could not check.
fn verdict(verdict: &Verdict, [yes, no, unchecked]: [&Both; 3], language: Language) -> String {
    match verdict {
        Verdict::Yes => format!("✔ {}", yes.get(language)),
        Verdict::No { findings, .. } => {
            format!("✘ {}; {}{}", no.get(language), words::FINDINGS.get(language), findings.len())
        }
        Verdict::CouldNotCheck { reasons } => {
            let reasons: Vec<&str> = reasons.iter().map(|reason| reason.get(language)).collect();
            format!("? {}: {}", unchecked.get(language), reasons.join("; "))
        }
    }
}

fn finding(finding: &Finding, language: Language) -> Vec<String> {
    let mut place = format!("✘ {}", finding.kind);
    if let Some(leaf_index) = finding.leaf_index {
        place = format!("{place} · {} {leaf_index}", words::LEAF.get(language));
    }
    if let Some(stream) = &finding.stream {
        let sequence = finding.sequence.map_or_else(String::new, |sequence| format!("#{sequence}"));
        place = format!("{place} · {stream}{sequence}");
    }
    let mut lines = vec![
        place,
        format!("  {}", finding.kind.meaning(language)),
        format!("  {}", finding.detail.get(language)),
    ];
    for (word, value) in [(&words::EXPECTED, &finding.expected), (&words::FOUND, &finding.found)] {
        lines.extend(value.iter().map(|value| format!("  {} {}", word.get(language), value.get(language))));
    }
    lines
}

/// Appends a JSON value as an indented outline, without what is empty.
fn outline(value: &Value, depth: usize, lines: &mut Vec<String>) {
    let indent = "  ".repeat(depth);
    let members: Vec<(String, &Value)> = match value {
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), value)).collect(),
        Value::Array(elements) => {
            elements.iter().enumerate().map(|(at, value)| (format!("{}.", at + 1), value)).collect()
        }
        _ => return,
    };
    for (name, value) in members {
        match value {
            Value::Null => {}
            Value::Array(elements) if elements.is_empty() => {}
            Value::Object(members) if members.is_empty() => {}
            Value::Array(_) | Value::Object(_) => {
                lines.push(format!("{indent}{name}"));
                outline(value, depth + 1, lines);
            }
            Value::String(text) => lines.push(format!("{indent}{name} {text}")),
            plain => lines.push(format!("{indent}{name} {plain}")),
        }
    }
}
