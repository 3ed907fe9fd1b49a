//! `dossier`: one history in one file that proves itself.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::NaiveDate;
use serde_json::json;
use weituo_proof::dossier::{Dossier, Subject, SubjectKind};

use super::Desk;
use super::args::Subjects;
use super::output::{Failure, document, line};
use super::words::words;
use crate::dossier::DossierError;
use crate::files::replace_whole;

/// Writes the dossier of one agreement, trustee or school.
pub(super) async fn dossier(
    desk: &Desk<'_>,
    of: Subjects,
    id: &str,
    out: &Path,
    on: Option<NaiveDate>,
    tsa: Option<&str>,
) -> Result<u8, Failure> {
    let form = Form::of(out)?;
    let kind = match of {
        Subjects::Agreement => SubjectKind::Agreement,
        Subjects::Trustee => SubjectKind::Trustee,
        Subjects::School => SubjectKind::School,
    };
    let recorder = desk.recorder().await?;
    let subject = Subject { id: id.to_owned(), kind };
    let made =
        crate::dossier::make(recorder.ledger(), subject, on.unwrap_or_else(crate::today), crate::now()).await;
    let stopped = recorder.ledger().stop().await;
    let mut dossier = made.map_err(|error| failure(&error))?;
    stopped.map_err(|error| Failure::from_error("ledger-stop", &error))?;
    let stamp = match tsa {
        Some(tsa) => Some(super::stamp::of(&desk.stamps()?, &dossier.checkpoint, tsa).await?),
        None => None,
    };
    dossier.timestamps.extend(stamp.iter().map(|stamp| STANDARD.encode(&stamp.token)));
    replace_whole(out, form.text(&dossier).as_bytes(), 0o644).map_err(|error| unwritable(out, &error))?;
    told(desk, &dossier, out);
    if let Some(stamp) = stamp.filter(|_| !desk.voice.json) {
        let (token, note) = desk.stamps()?.files(stamp.size);
        super::stamp::told(desk, &stamp, &token, &note);
    }
    Ok(0)
}

fn told(desk: &Desk<'_>, dossier: &Dossier, out: &Path) {
    let counts = (dossier.entries.len(), dossier.streams.len(), dossier.disclosures.len());
    let size = weituo_proof::SignedNote::parse(&dossier.checkpoint)
        .ok()
        .and_then(|note| weituo_proof::Checkpoint::parse(note.text()).ok())
        .map_or(0, |checkpoint| checkpoint.size.get());
    if desk.voice.json {
        let (entries, streams, disclosures) = counts;
        document(&json!({
            "file": out, "subject": dossier.subject, "checkpoint_size": size,
            "timestamps": dossier.timestamps.len(), "entries": entries, "streams": streams, "disclosures": disclosures,
        }));
        return;
    }
    let file = out.display();
    let shown: [(&str, &dyn ToString); 4] =
        [("file", &file), ("entries", &counts.0), ("streams", &counts.1), ("size", &size)];
    line(words(desk.voice.language, "dossier-written", &shown));
    line(words(desk.voice.language, "dossier-verify", &[("file", &file)]));
}

/// The two forms of one content.
#[derive(Debug, Clone, Copy)]
enum Form {
    Json,
    Html,
}

impl Form {
    fn of(out: &Path) -> Result<Self, Failure> {
        match out.extension().and_then(|extension| extension.to_str()) {
            Some("json") => Ok(Self::Json),
            Some("html") => Ok(Self::Html),
            _ => Err(Failure::could_not_run(
                "dossier-form",
                format!("{} 应以 .json 或 .html 结尾", out.display()),
                format!("{} should end in .json or .html", out.display()),
            )),
        }
    }

    fn text(self, dossier: &Dossier) -> String {
        match self {
            Self::Json => dossier.text(),
            Self::Html => crate::dossier::page(&dossier.text()),
        }
    }
}

fn unwritable(out: &Path, error: &std::io::Error) -> Failure {
    let out = out.display();
    Failure::could_not_run(
        "file",
        format!("无法写入 {out}:{error}"),
        format!("{out} cannot be written: {error}"),
    )
}

fn failure(error: &DossierError) -> Failure {
    match error {
        DossierError::NotFound { subject } => Failure::not_found(
            format!("没有编号为 {} 的{};`weituo log` 列出全部记录", subject.id, kind_zh(subject.kind)),
            format!("there is no {} {}; `weituo log` lists every entry", subject.kind.code(), subject.id),
        ),
        error => Failure::from_error("dossier", error),
    }
}

fn kind_zh(kind: SubjectKind) -> &'static str {
    match kind {
        SubjectKind::Agreement => "委托轮次",
        SubjectKind::Trustee => "受托单位",
        SubjectKind::School => "托管学校",
    }
}
