//! `backup`, `restore`: copies of a ledger, each verified before it counts.

use std::fs::TryLockError;
use std::path::{Path, PathBuf};

use serde_json::json;
use weituo_proof::{FindingKind, Language};

use super::output::{Failure, document, line};
use super::setup::is_database;
use super::words::words;
use super::{Desk, verify};
use crate::ledger::{Beside, Copied, Ledger};
use crate::store::{Head, LedgerUrl};
use crate::verify::{Report, VerifyOptions};

/// Files that SQLite keeps beside a database while it is open.
const BESIDE: [&str; 2] = ["-wal", "-shm"];

/// Copies the ledger into a new file, verifies the copy, and only then gives it its name.
pub(super) async fn backup(desk: &Desk<'_>, to: &Path) -> Result<u8, Failure> {
    refuse_existing(to)?;
    let url = desk.url()?;
    // The anchor first: what is recorded meanwhile makes the copy longer than it, never shorter.
    let beside = read_beside(desk, &url)?;
    // Never made here: where a disk is not mounted, the copy would end up on this one.
    if let Some(folder) = to.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.is_dir()) {
        let folder = folder.display();
        return Err(Failure::could_not_run(
            "folder",
            format!("没有文件夹 {folder}:所在的盘挂载了吗?请先挂载或建立它"),
            format!("there is no folder {folder}: is its disk mounted? Mount it, or make it, first"),
        ));
    }
    let new = with_ending(to, ".unverified");
    let _alone = alone(&new)?;
    refuse_existing(to)?;
    // What another one left that was killed.
    remove(&new)?;
    let copied = Ledger::backup(&url, &desk.options(true), &new).await;
    let copied = match copied {
        Ok(copied) => copied,
        Err(error) => {
            remove(&new)?;
            return Err(Failure::from_error("backup", &error));
        }
    };
    let report = checked(desk, &LedgerUrl::Sqlite(new.clone()), &beside, true).await?;
    if report.exit_code() != 0 {
        remove(&new)?;
        told(desk, &report);
        let failure = not_compared(desk, &beside).filter(|_| report.exit_code() != 1).unwrap_or_else(|| {
            Failure::could_not_run(
                "backup-not-verified",
                "没有写入备份:副本未通过核验,问题见上",
                "no backup was written: its copy does not verify, as told above",
            )
        });
        return Err(Failure { exit: report.exit_code(), ..failure });
    }
    closed(&new).and_then(|()| named(&new, to)).map_err(|error| unusable(to, &error))?;
    let behind = beside.is_behind(copied.size);
    done(desk, "backup-done", copied, &to.display().to_string(), &report, behind);
    if behind.is_none() && !desk.voice.json {
        line(desk.voice.word("backup-no-anchor"));
    }
    Ok(0)
}

/// Keeps another process from making a backup of the same name until it is dropped.
struct Alone {
    lock: PathBuf,
    _file: std::fs::File,
}

impl Drop for Alone {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.lock);
    }
}

fn alone(new: &Path) -> Result<Alone, Failure> {
    let lock = with_ending(new, ".lock");
    let file = std::fs::OpenOptions::new().create(true).append(true).open(&lock);
    let file = file.map_err(|error| unusable(&lock, &error))?;
    file.try_lock().map_err(|error| match error {
        TryLockError::Error(error) => unusable(&lock, &error),
        TryLockError::WouldBlock => {
            let lock = lock.display();
            Failure::could_not_run(
                "backup-under-way",
                format!("另一进程正在做同名的备份({lock})"),
                format!("another process is making a backup of this name ({lock})"),
            )
        }
    })?;
    Ok(Alone { lock, _file: file })
}

fn refuse_existing(to: &Path) -> Result<(), Failure> {
    if !to.exists() {
        return Ok(());
    }
    let to = to.display();
    Err(Failure::could_not_run(
        "backup-exists",
        format!("{to} 已存在;备份不会覆盖任何文件"),
        format!("{to} is there already; a backup is written over nothing"),
    ))
}

/// Verifies a backup, copies it into the ledger's place, and verifies what stands there then.
pub(super) async fn restore(desk: &Desk<'_>, from: &Path, behind_anchor: bool) -> Result<u8, Failure> {
    if let Err(error) = std::fs::File::open(from)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        return Err(unusable(from, &error));
    }
    if !is_database(from) {
        let shown = from.display();
        let (zh, en) =
            if from.exists() { ("不是备份", "is no backup") } else { ("不存在", "is not there") };
        return Err(Failure::could_not_run(
            "no-backup",
            format!("{shown} {zh}:请给出 `weituo backup` 所写的文件"),
            format!("{shown} {en}: name a file that `weituo backup` wrote"),
        ));
    }
    let (url, backup) = (desk.url()?, LedgerUrl::Sqlite(from.to_owned()));
    let beside = read_beside(desk, &url)?;
    let report = checked(desk, &backup, &beside, !behind_anchor).await?;
    if report.exit_code() != 0 {
        told(desk, &report);
        let (from, exit) = (from.display(), report.exit_code());
        let is_behind = !behind_anchor && beside.is_behind(report.counts.entries) == Some(true);
        let failure = if is_behind && exit == 1 {
            Failure::could_not_run(
                "backup-behind-anchor",
                format!(
                    "{from} 没有锚点所作证的最新记录,什么都没有写入:请找更新的备份、备用库或导出的记录;确实没有时才用 --behind-anchor"
                ),
                format!(
                    "{from} ends before what the anchor vouches for; nothing was written: look for a newer backup, a standby or \
                     exported entries, and only where there are none restore it with --behind-anchor"
                ),
            )
        } else if exit == 1 {
            Failure::could_not_run(
                "backup-not-verified",
                format!("{from} 未通过核验,什么都没有写入"),
                format!("{from} does not verify; nothing was written"),
            )
        } else if let Some(failure) = not_compared(desk, &beside).filter(|_| !behind_anchor) {
            failure
        } else {
            Failure::could_not_run(
                "backup-not-checked",
                format!("{from} 无法核验(台账的签名密钥在手头吗?),什么都没有写入"),
                format!(
                    "{from} could not be verified (is the log's signing key at hand?); nothing was written"
                ),
            )
        };
        return Err(Failure { exit, ..failure });
    }
    if let Some(folder) = url.folder() {
        std::fs::create_dir_all(folder).map_err(|error| unusable(folder, &error))?;
    }
    if let Some(report) = altered(desk, &url, &beside).await? {
        told(desk, &report);
        return Err(Failure {
            exit: 1,
            ..Failure::could_not_run(
                "restored-over-altered",
                format!("以上所见属于 {url} 现有的内容,什么都没有写入:请原样保留它,恢复到空的地方"),
                format!(
                    "what was found is in what stands at {url} now; nothing was written: keep it as it is, and restore into an empty place"
                ),
            )
        });
    }
    let copied = Ledger::restore(&url, &desk.options(false), &backup, behind_anchor)
        .await
        .map_err(|error| Failure::from_error("restore", &error))?;
    let report = checked(desk, &url, &beside, !behind_anchor).await?;
    if report.exit_code() != 0 {
        told(desk, &report);
        let failure = Failure::could_not_run(
            "restored-not-verified",
            format!("备份本身完好;以上所见属于 {url} 现有的内容:请恢复到空的地方"),
            format!(
                "the backup itself is sound; what was found is in what stands at {url} now: restore into an empty place"
            ),
        );
        return Err(Failure { exit: report.exit_code(), ..failure });
    }
    let behind = beside.is_behind(copied.size);
    done(desk, "restore-done", copied, &url.to_string(), &report, behind);
    if desk.voice.json {
        return Ok(0);
    }
    match behind {
        None => line(desk.voice.word("restore-no-anchor")),
        Some(true) => line(desk.voice.word("restore-behind")),
        Some(false) => {}
    }
    Ok(0)
}

/// Returns what is found at a place whose ledger is not as it was recorded. What a restore left that broke off has none.
async fn altered(desk: &Desk<'_>, url: &LedgerUrl, beside: &Beside) -> Result<Option<Report>, Failure> {
    let Ok(store) = crate::store::open(url, crate::verify::store_options(), false).await else {
        return Ok(None);
    };
    let holds = store.scan(0, 1).await.is_ok_and(|rows| !rows.is_empty());
    store.close().await;
    if !holds {
        return Ok(None);
    }
    let report = checked(desk, url, beside, false).await?;
    // Projections are no evidence: they are built anew.
    let derived = [
        FindingKind::ProjectionDiffers,
        FindingKind::ProjectionMissing,
        FindingKind::ProjectionExtra,
        FindingKind::CursorWrong,
    ];
    let is_altered = report.findings().any(|finding| !derived.contains(&finding.kind));
    Ok(is_altered.then_some(report))
}

/// Says why nothing was written, or what stands there now.
fn told(desk: &Desk<'_>, report: &Report) {
    if desk.voice.json { document(report) } else { verify::print(desk.voice, report) }
}

/// Returns the refusal where the anchor that was named cannot be compared with.
fn not_compared(desk: &Desk<'_>, beside: &Beside) -> Option<Failure> {
    let why = verify::absent_anchor(desk, beside, beside.verifiers())?;
    let (zh, en) = (why.get(Language::Zh), why.en());
    Some(Failure::could_not_run(
        "anchor-not-compared",
        format!(
            "没有与锚点比对({zh}),什么都没有写入:请确认其路径与所在的盘;确已丢失时,恢复请加 --behind-anchor,备份请不写 --anchor"
        ),
        format!(
            "the anchor was not compared ({en}); nothing was written: see to its path and its disk; only if it is lost, restore \
             with --behind-anchor, or back up without --anchor"
        ),
    ))
}

fn done(desk: &Desk<'_>, key: &str, copied: Copied, place: &str, report: &Report, behind: Option<bool>) {
    if desk.voice.json {
        document(&json!({
            "behind_anchor": behind, "entries": copied.entries, "place": place, "root": report.root, "size": copied.size,
        }));
        return;
    }
    let told: [(&str, &dyn ToString); 3] =
        [("entries", &copied.entries), ("size", &copied.size), ("place", &place)];
    line(words(desk.voice.language, key, &told));
}

fn read_beside(desk: &Desk<'_>, url: &LedgerUrl) -> Result<Beside, Failure> {
    Beside::read(url, &desk.options(true), &[]).map_err(|error| Failure::from_error("key-or-anchor", &error))
}

/// Verifies a ledger with the key and, where it has to extend it, the anchor of this one.
async fn checked(
    desk: &Desk<'_>,
    url: &LedgerUrl,
    beside: &Beside,
    anchored: bool,
) -> Result<Report, Failure> {
    let store = crate::store::open(url, crate::verify::store_options(), false)
        .await
        .map_err(|error| Failure::from_error("store-open", &error))?;
    let seal_of = |head: &Head| beside.seal_of(head);
    let options = VerifyOptions {
        verifiers: beside.verifiers().to_vec(),
        seal: beside.has_key().then_some(&seal_of as _),
        anchor: beside.anchor().filter(|_| anchored).map(str::to_owned),
        anchor_intended: beside.anchor_intended().filter(|_| anchored),
        anchor_absent: verify::absent_anchor(desk, beside, beside.verifiers()).filter(|_| anchored),
        anchor_damaged: beside.anchor_damaged().filter(|_| anchored).cloned(),
        anchor_broken_in_part: anchored && beside.anchor_broken_in_part(),
        ..VerifyOptions::default()
    };
    let bar = desk.voice.progress(0, "progress-verify");
    let report = crate::verify::verify(&*store, &options, |progress| {
        bar.set_length(progress.total);
        bar.set_position(progress.done);
    })
    .await;
    bar.finish_and_clear();
    store.close().await;
    Ok(report)
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// Removes a file that an earlier backup left, and what SQLite keeps beside it.
fn remove(file: &Path) -> Result<(), Failure> {
    for ending in ["", BESIDE[0], BESIDE[1]] {
        let file = with_ending(file, ending);
        if file.exists() {
            std::fs::remove_file(&file).map_err(|error| unusable(&file, &error))?;
        }
    }
    Ok(())
}

/// Makes sure that a closed database is one file.
fn closed(file: &Path) -> std::io::Result<()> {
    if BESIDE.iter().any(|ending| with_ending(file, ending).exists()) {
        return Err(std::io::Error::other("SQLite left its WAL beside it: a part of the copy is there"));
    }
    Ok(())
}

/// Gives a finished file its name, unless there is another of that name, and makes both durable.
fn named(new: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::File::open(new)?.sync_all()?;
    std::fs::hard_link(new, to)?;
    std::fs::remove_file(new)?;
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
    std::fs::File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

fn unusable(path: &Path, error: &std::io::Error) -> Failure {
    let path = path.display();
    Failure::could_not_run("file", format!("无法使用 {path}:{error}"), format!("cannot use {path}: {error}"))
}
