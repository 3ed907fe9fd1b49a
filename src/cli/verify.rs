//! `verify`: three verdicts, and every finding with both hashes and what it means.

use std::path::{Path, PathBuf};
use std::time::Duration;

use weituo_proof::note::KeyError;
use weituo_proof::tree::verify_inclusion;
use weituo_proof::{Both, Checkpoint, Dossier, Finding, Receipt, SignedNote, Verdict, VerifierKey, both};

use super::Desk;
use super::output::{Failure, Voice, document, line, visible};
use super::words::words;
use crate::errors::texts;
use crate::ledger::Beside;
use crate::store::{Head, LedgerUrl};
use crate::verify::{OutsideCheckpoint, Phase, Report, Resume, VerifyOptions};

/// How often the state is saved from which an interrupted verification goes on, at the most.
const SAVE_EVERY: Duration = Duration::from_millis(200);

/// What is asked of a verification, besides the ledger.
#[derive(Default)]
pub(super) struct Asked {
    pub(super) verifiers: Vec<VerifierKey>,
    pub(super) outside: Vec<OutsideCheckpoint>,
    pub(super) stream: Option<weituo_proof::StreamName>,
    pub(super) resume: Option<Resume>,
}

/// Verifies the ledger and prints the report.
pub(super) async fn verify(
    desk: &Desk<'_>,
    checkpoints: &[PathBuf],
    stream: Option<&str>,
    verifier_keys: &[String],
    resume: Option<&Path>,
) -> Result<u8, Failure> {
    let outside = checkpoints.iter().map(|path| outside(path)).collect::<Result<Vec<_>, _>>()?;
    let stream =
        stream.map(|text| text.parse().map_err(|error| Failure::from_error("stream", &error))).transpose()?;
    let mut verifiers = keys(verifier_keys)?;
    let beside = Beside::read(&desk.url()?, &desk.options(true), &verifiers)
        .map_err(|error| Failure::from_error("key-or-anchor", &error))?;
    if verifiers.is_empty() {
        verifiers.extend_from_slice(beside.verifiers());
    }
    let resume =
        resume.map(|folder| Resume::new(folder, SAVE_EVERY).map_err(|error| unwritable(folder, &error)));
    let asked = Asked { verifiers, outside, stream, resume: resume.transpose()? };
    let report = run(desk, &desk.url()?, &beside, asked).await?;
    if desk.voice.json {
        document(&report);
    } else {
        print(desk.voice, &report);
    }
    Ok(report.exit_code())
}

/// Verifies one ledger with what stands beside it.
pub(super) async fn run(
    desk: &Desk<'_>,
    url: &LedgerUrl,
    beside: &Beside,
    asked: Asked,
) -> Result<Report, Failure> {
    let store = crate::store::open(url, crate::verify::store_options(), false)
        .await
        .map_err(|error| Failure::from_error("store-open", &error))?;
    let seal_of = |head: &Head| beside.seal_of(head);
    let seal: Option<&crate::verify::SealOf<'_>> = beside.has_key().then_some(&seal_of as _);
    let options = VerifyOptions {
        anchor_absent: absent_anchor(desk, beside, &asked.verifiers)
            .or_else(|| lost_anchor(url, beside).filter(|_| asked.outside.is_empty())),
        verifiers: asked.verifiers,
        seal,
        anchor: beside.anchor().map(str::to_owned),
        anchor_intended: beside.anchor_intended(),
        anchor_damaged: beside.anchor_damaged().cloned(),
        anchor_broken_in_part: beside.anchor_broken_in_part(),
        outside: asked.outside,
        stream: asked.stream,
        resume: asked.resume.as_ref(),
    };
    let bar = desk.voice.progress(0, "progress-verify");
    let report = crate::verify::verify(&*store, &options, |progress| {
        if matches!(progress.phase, Phase::Fold | Phase::Rows) {
            bar.set_message(desk.voice.word("progress-verify-projections"));
        }
        bar.set_length(progress.total);
        bar.set_position(progress.done);
    })
    .await;
    bar.finish_and_clear();
    store.close().await;
    Ok(report)
}

/// Returns why an anchor is not compared that stands beside every SQLite ledger whose key is at hand, unless it was named: it was
/// removed, or the ledger is a copy.
fn lost_anchor(url: &LedgerUrl, beside: &Beside) -> Option<Both> {
    let place = url.folder()?.join("ledger.anchor");
    if !beside.has_key() || beside.anchor().is_some() || beside.anchor_damaged().is_some() {
        return None;
    }
    let place = place.display();
    Some(both!(
        "密钥在手头,而 {place} 处没有锚点;在别处的,请以 --anchor 指明",
        "the key is at hand, and there is none at {place}; one that is elsewhere is named by --anchor"
    ))
}

/// Returns why an anchor is not compared that was asked for by name, or that whoever has the signing key cannot read.
pub(super) fn absent_anchor(desk: &Desk<'_>, beside: &Beside, verifiers: &[VerifierKey]) -> Option<Both> {
    if beside.has_key() && beside.anchor_unread().is_some() {
        return beside.anchor_unread().cloned();
    }
    let place = desk.shared.anchor.as_ref()?.display();
    if beside.anchor().is_some() || beside.anchor_damaged().is_some() {
        return None;
    }
    Some(match beside.anchor_unread() {
        Some(why) => why.clone(),
        None if verifiers.is_empty() => both!(
            "既无签名密钥,也未以 --key 给出核验公钥,无法读取 {place}",
            "no signing key is at hand and no verifier key was given by --key to read {place} with"
        ),
        None => both!("{place} 处没有锚点", "there is none at {place}"),
    })
}

fn unwritable(folder: &Path, error: &std::io::Error) -> Failure {
    let folder = folder.display();
    Failure::could_not_run(
        "folder",
        format!("无法使用文件夹 {folder}:{error}"),
        format!("the folder {folder} cannot be used: {error}"),
    )
}

pub(super) fn outside(path: &Path) -> Result<OutsideCheckpoint, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        let path = path.display();
        Failure::could_not_run(
            "file",
            format!("无法读取 {path}:{error}"),
            format!("cannot read {path}: {error}"),
        )
    })?;
    let label = path.display().to_string();
    let Ok(receipt) = Receipt::parse_with_entry(&text) else {
        return Ok(OutsideCheckpoint { label, text: checkpoint_in(text) });
    };
    if !is_whole(&receipt) {
        return Err(Failure::could_not_run(
            "receipt",
            format!("{label}:回执中的存证记录不在它的检查点之内,回执被改动"),
            format!("{label}: the receipt's entry is not in its checkpoint, so the receipt was altered"),
        ));
    }
    Ok(OutsideCheckpoint { label, text: receipt.checkpoint })
}

/// Returns whether a receipt's entry is in its checkpoint; whose the checkpoint is, the keys tell.
fn is_whole(receipt: &Receipt) -> bool {
    let Ok(note) = SignedNote::parse(&receipt.checkpoint) else { return false };
    let Ok(Checkpoint { size, root, .. }) = Checkpoint::parse(note.text()) else { return false };
    verify_inclusion(&receipt.leaf_hash(), receipt.leaf_index, size, &receipt.inclusion, &root).is_ok()
}

/// Returns the checkpoint that a file holds: the file itself, or that of a dossier.
fn checkpoint_in(text: String) -> String {
    let dossier = weituo_verifier::contained(&text).map(|text| Dossier::parse(&text));
    dossier.and_then(Result::ok).map_or(text, |dossier| dossier.checkpoint)
}

/// Reads verifier keys: each the key itself, or a file that holds some, one a line.
pub(super) fn keys(given: &[String]) -> Result<Vec<VerifierKey>, Failure> {
    let mut keys = Vec::new();
    for given in given {
        let before = keys.len();
        keys.extend(match keys_in(given) {
            Ok(keys) => keys,
            // A name, an id and a key, misspelt: no file is called so.
            Err(error) if given.matches('+').count() >= 2 && !Path::new(given).exists() => {
                let (zh, en) = texts(&error);
                return Err(Failure::could_not_run(
                    "verifier-key",
                    format!("{given} 不是核验公钥:{zh}"),
                    format!("{given} is no verifier key: {en}"),
                ));
            }
            Err(_) => keys_in_file(given)?,
        });
        if keys.len() == before {
            return Err(Failure::could_not_run(
                "verifier-key",
                format!("{given:?} 里没有核验公钥"),
                format!("there is no verifier key in {given:?}"),
            ));
        }
    }
    Ok(keys)
}

fn keys_in(text: &str) -> Result<Vec<VerifierKey>, KeyError> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::parse).collect()
}

fn keys_in_file(file: &str) -> Result<Vec<VerifierKey>, Failure> {
    let refused = |zh: String, en: String| Failure::could_not_run("verifier-key", zh, en);
    let text = std::fs::read_to_string(file).map_err(|error| {
        refused(
            format!("{file} 既不是核验公钥,也不是可读的文件({error})"),
            format!("{file} is neither a verifier key nor a file that can be read ({error})"),
        )
    })?;
    keys_in(&text).map_err(|error| {
        let (zh, en) = texts(&error);
        refused(
            format!("文件 {file} 里有一行不是核验公钥({zh})"),
            format!("the file {file} has a line that is no verifier key ({en})"),
        )
    })
}

/// Prints a report: verdicts first, then findings.
pub(super) fn print(voice: Voice, report: &Report) {
    let language = voice.language;
    let verdicts = &report.verdicts;
    line(verdict(voice, &verdicts.intact, "verify-intact"));
    line(verdict(voice, &verdicts.complete, "verify-complete"));
    if report.age_asked {
        line(verdict(voice, &verdicts.age, "verify-age"));
    } else {
        line(format!("? {}", voice.word("verify-age-not-asked")));
    }
    let mut seen: Vec<&Finding> = Vec::new();
    for finding in report.findings() {
        if !seen.contains(&finding) {
            seen.push(finding);
            line("");
            for shown in finding_lines(voice, finding) {
                line(visible(&shown));
            }
        }
    }
    for (kind, count) in &report.unlisted {
        line(format!("{kind}: {}", words(language, "verify-more", &[("count", count)])));
    }
    for note in &report.notes {
        line(format!("  {}", visible(note.get(language))));
    }
    let counts = &report.counts;
    let read: [(&str, &dyn ToString); 4] = [
        ("entries", &counts.entries),
        ("streams", &counts.streams),
        ("disclosures", &counts.disclosures),
        ("rows", &counts.projection_rows),
    ];
    line(format!("\n{}", words(language, "verify-read", &read)));
    if let Some(root) = report.root {
        line(words(language, "verify-root", &[("root", &root), ("size", &counts.entries)]));
    }
}

fn verdict(voice: Voice, verdict: &Verdict, key: &str) -> String {
    match verdict {
        Verdict::Yes => format!("✔ {}", voice.word(&format!("{key}-yes"))),
        Verdict::No { findings, .. } => {
            let count = findings.len();
            format!("✘ {}", words(voice.language, &format!("{key}-no"), &[("count", &count)]))
        }
        Verdict::CouldNotCheck { reasons } => {
            let reasons: Vec<&str> = reasons.iter().map(|reason| reason.get(voice.language)).collect();
            format!("? {}: {}", voice.word(&format!("{key}-unchecked")), reasons.join("; "))
        }
    }
}

/// Returns the lines that show one finding: where, what it means, what should stand there and what does.
pub(super) fn finding_lines(voice: Voice, finding: &Finding) -> Vec<String> {
    let mut place = vec![format!("✘ {}", finding.kind)];
    if let Some(leaf_index) = finding.leaf_index {
        place.push(format!("{} {leaf_index}", voice.word("column-leaf")));
    }
    if let Some(stream) = &finding.stream {
        let sequence = finding.sequence.map_or_else(String::new, |sequence| format!("#{sequence}"));
        place.push(format!("{stream}{sequence}"));
    }
    let mut lines = vec![place.join(" · "), format!("  {}", finding.kind.meaning(voice.language))];
    lines.push(format!("  {}", finding.detail.get(voice.language)));
    for (key, value) in [("verify-expected", &finding.expected), ("verify-found", &finding.found)] {
        if let Some(value) = value {
            lines.push(format!("  {} {}", voice.word(key), value.get(voice.language)));
        }
    }
    lines
}
