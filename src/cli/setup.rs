//! `init`, `recover`, `rebuild`: what an operator does.

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use serde_json::json;
use weituo_events::OrganisationId;
use weituo_events::payload::Predecessor;
use weituo_proof::{Checkpoint, Origin, SignedNote};

use super::Desk;
use super::args::After;
use super::output::{Failure, document, line};
use super::words::words;
use crate::follower::{FollowError, Follower};
use crate::ledger::{Backup, Beside, InitOptions, Ledger, LedgerError, Recovered};
use crate::store::LedgerUrl;

/// Creates a ledger.
pub(super) async fn init(
    desk: &Desk<'_>,
    origin: &str,
    bureaus: &[OrganisationId],
    after: &After,
) -> Result<u8, Failure> {
    let origin = super::keys::origin(origin)?;
    let predecessor = predecessor(&origin, after)?;
    let url = desk.url()?;
    let options = InitOptions {
        roots: bureaus.to_vec(),
        options: desk.options(false),
        predecessor,
        ..InitOptions::new(origin)
    };
    let key = key_file(&url, desk);
    let had_key = Path::new(&key).exists();
    let ledger = Ledger::init(&url, &options).await.map_err(|error| failed_init(desk, &key, &error))?;
    let (origin, verifier) = (ledger.origin().to_string(), ledger.verifier_key().to_string());
    ledger.stop().await.map_err(|error| Failure::from_error("ledger-stop", &error))?;
    if desk.voice.json {
        document(&json!({ "key_file": key, "origin": origin, "roots": bureaus, "verifier_key": verifier }));
    } else {
        let language = desk.voice.language;
        line(words(language, "init-done", &[("origin", &origin)]));
        let roots: Vec<&str> = bureaus.iter().map(OrganisationId::as_str).collect();
        line(words(language, "init-roots", &[("roots", &roots.join(", "))]));
        line(words(language, "init-key", &[("path", &key)]));
        line(words(language, "init-verifier", &[("key", &verifier)]));
        if had_key {
            line(words(language, "init-had-key", &[]));
        }
        if after.predecessor.is_some() && after.predecessor_key.is_none() {
            line(words(language, "init-unverified", &[]));
        }
    }
    Ok(0)
}

/// Returns why there is no ledger; where its anchor is a witness of our own that does not answer, and needs the new log's key
/// first, with that key.
fn failed_init(desk: &Desk<'_>, key: &str, error: &LedgerError) -> Failure {
    let failure = Failure::from_error("init", error);
    let is_witness = desk.shared.anchor.as_ref().is_some_and(|place| place.to_string_lossy().contains("://"));
    // What the witness itself says, such as that it has a history of this log, is no matter of starting one.
    let is_silent =
        matches!(error, LedgerError::Anchor { source, .. } if source.kind() == std::io::ErrorKind::Other);
    let beside = Beside::read_files(key.as_ref(), "".as_ref()).unwrap_or_default();
    match beside.verifier() {
        Some(key) if is_witness && is_silent => Failure::could_not_run(
            "init",
            format!(
                "{};请以 `weituo witness --state 目录 --log '{key}'` 启动该见证服务,再重复本命令",
                failure.text.zh
            ),
            format!(
                "{}; start that witness by `weituo witness --state DIR --log '{key}'`, then repeat this command",
                failure.text.en
            ),
        ),
        _ => failure,
    }
}

/// Returns the ledger that a new one follows: its last checkpoint, verified where its key is given.
fn predecessor(origin: &Origin, after: &After) -> Result<Option<Predecessor>, Failure> {
    let Some(file) = &after.predecessor else { return Ok(None) };
    if let (Some(from), Some(to)) = (after.lost_from, after.lost_to)
        && from >= to
    {
        return Err(Failure::could_not_run(
            "predecessor",
            format!("--lost-to 是失去部分之后的第一个序号,应大于 --lost-from:{from} 至 {to} 不含任何记录"),
            format!(
                "--lost-to is the first leaf index after what is lost and above --lost-from: {from} to {to} holds nothing"
            ),
        ));
    }
    let text = std::fs::read_to_string(file).map_err(|error| {
        Failure::could_not_run(
            "file",
            format!("无法读取 {}:{error}", file.display()),
            format!("cannot read {}: {error}", file.display()),
        )
    })?;
    let unusable = |error: &(dyn std::error::Error + 'static)| Failure::from_error("predecessor", error);
    let checkpoint = if let Some(given) = &after.predecessor_key {
        Checkpoint::open_by(&text, &super::verify::keys(std::slice::from_ref(given))?)
            .map_err(|error| unusable(&error))?
            .0
    } else {
        let note = SignedNote::parse(&text).map_err(|error| unusable(&error))?;
        Checkpoint::parse(note.text()).map_err(|error| unusable(&error))?
    };
    if checkpoint.origin == *origin {
        return Err(Failure::could_not_run(
            "predecessor",
            format!("新台账须有新的名称;{origin} 是前一台账的名称"),
            format!("a ledger that follows another has a new origin; {origin} is the old one's"),
        ));
    }
    Ok(Some(Predecessor {
        checkpoint: text,
        lost_from: after.lost_from,
        lost_to: after.lost_to,
        origin: checkpoint.origin.to_string(),
    }))
}

/// Returns where the signing key is, for people.
fn key_file(url: &crate::store::LedgerUrl, desk: &Desk<'_>) -> String {
    let given = desk.shared.signing_key.clone();
    given
        .or_else(|| super::beside(url, "ledger.key"))
        .map_or_else(String::new, |path| path.display().to_string())
}

/// Puts back what a backup holds beyond the database, up to the anchored root.
pub(super) async fn recover(desk: &Desk<'_>, from: &str) -> Result<u8, Failure> {
    let backup = match from.parse() {
        Ok(LedgerUrl::Sqlite(path)) if !path.is_file() => {
            let path = path.display();
            return Err(Failure::could_not_run(
                "no-backup",
                format!("没有文件 {path}:请给出有缺失记录的副本"),
                format!("there is no file {path}: name a copy that has the missing entries"),
            ));
        }
        Ok(url) => Backup::Ledger(url),
        Err(error) if from.contains("://") => return Err(Failure::from_error("recover", &error)),
        Err(_) if is_database(from) => Backup::Ledger(LedgerUrl::Sqlite(from.into())),
        Err(_) => Backup::Entries(from.into()),
    };
    let recovered = Ledger::recover(&desk.url()?, &desk.options(false), &backup)
        .await
        .map_err(|error| Failure::from_error("recover", &error))?;
    if desk.voice.json {
        told_recovery(&recovered);
        return Ok(0);
    }
    let language = desk.voice.language;
    if recovered.restored > 0 {
        let counts: [(&str, &dyn ToString); 2] = [("count", &recovered.restored), ("size", &recovered.size)];
        line(words(language, "recover-done", &counts));
    } else {
        line(desk.voice.word(if recovered.head { "recover-head" } else { "recover-nothing" }));
    }
    if recovered.disclosures > 0 {
        line(words(language, "recover-disclosures", &[("count", &recovered.disclosures)]));
    }
    Ok(0)
}

fn told_recovery(done: &Recovered) {
    document(&json!({
        "disclosures": done.disclosures, "head": done.head, "recovered": done.restored, "size": done.size,
    }));
}

/// Whether a file is a database of SQLite (its file format, section 1.3).
pub(super) fn is_database(file: impl AsRef<Path>) -> bool {
    let mut magic = [0; 16];
    let read = std::fs::File::open(file).and_then(|mut file| file.read_exact(&mut magic));
    read.is_ok() && magic == *b"SQLite format 3\0"
}

/// Settles a lost anchor: by a checkpoint that somebody kept, or by accepting the database as it is.
pub(super) async fn accept_anchor(desk: &Desk<'_>, kept: Option<&Path>) -> Result<u8, Failure> {
    let read = |file: &Path| {
        std::fs::read_to_string(file).map_err(|error| {
            let file = file.display();
            Failure::could_not_run(
                "file",
                format!("无法读取检查点文件 {file}:{error}"),
                format!("the checkpoint's file {file} cannot be read: {error}"),
            )
        })
    };
    let checkpoint = kept.map(read).transpose()?;
    let settled = Ledger::accept_anchor(&desk.url()?, &desk.options(false), checkpoint)
        .await
        .map_err(|error| Failure::from_error("recover", &error))?;
    if desk.voice.json {
        told_recovery(&settled);
    } else {
        line(words(desk.voice.language, "recover-anchor", &[("size", &settled.size)]));
    }
    Ok(0)
}

/// Rebuilds one projection, or all.
pub(super) async fn rebuild(desk: &Desk<'_>, projection: Option<&str>) -> Result<u8, Failure> {
    let store = desk.store_to_fold().await?;
    let total = store.head().await.map_err(|error| Failure::from_error("store-read", &error))?;
    let bar = desk.voice.progress(total.map_or(0, |head| head.size), "progress-projections");
    let follower = Follower::new(Arc::clone(&store));
    let rebuilt = follower.rebuild(projection, |done| bar.set_position(done)).await;
    bar.finish_and_clear();
    let size = rebuilt.map_err(|error| match &error {
        FollowError::UnknownProjection(_) => Failure::not_found(
            format!("没有投影 {};有:{}", projection.unwrap_or_default(), crate::follower::names().join("、")),
            error.to_string(),
        ),
        _ => Failure::from_error("rebuild", &error),
    })?;
    store.close().await;
    if desk.voice.json {
        document(&json!({ "size": size }));
    } else {
        line(words(desk.voice.language, "rebuild-done", &[("size", &size)]));
    }
    Ok(0)
}
