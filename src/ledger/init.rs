//! A new ledger: tables, key, entry 0, first checkpoint, anchor.
//!
//! Invariants: the key is on the disk before the log names it; an interrupted `init` is finished by repeating it, and a
//! finished one is never repeated.
//! Absent: registering organisations and rulebooks (commands like others).
//! Source: format.md "Entry" (entry 0).

use std::path::Path;
use std::sync::Arc;

use tokio::sync::oneshot;
use weituo_events::Event;
use weituo_events::payload::LogOpened;
use weituo_projections::dates::zone_minutes;
use weituo_proof::{Both, Frontier, Hash, Origin, SigningKey, both};

use super::anchor::{self, Anchor, blocking};
use super::clock::Watched;
use super::commit::sign;
use super::derived::Derived;
use super::index::{command_id, effective, log_act};
use super::key::{self, Keys};
use super::options::{Files, InitOptions};
use super::prepare::{Ground, Open, Pending};
use super::seal::SealKey;
use super::types::{LedgerError, Proposal, SignedCheckpoint};
use crate::store::{self, CommitOutcome, Head, LedgerUrl, Store};

/// Makes a new ledger.
pub(super) async fn init(url: &LedgerUrl, init: &InitOptions) -> Result<(), LedgerError> {
    let files = Files::of(url, &init.options)?;
    let zone = &init.zone;
    if zone_minutes(zone).is_none() {
        return Err(LedgerError::Invalid {
            what: both!(
                "{zone:?} 不是时区:请写与 UTC 的时差,如 +08:00",
                "{zone:?} is no zone: write an offset from UTC such as +08:00"
            ),
        });
    }
    // Before anything is made.
    anchor::require_form(&files.anchor)?;
    if files.anchor.exists() {
        let anchor = files.anchor.display();
        let what = both!(
            "锚点 {anchor} 已在:此处有或曾有台账,没有改动任何内容;数据库丢失的,请运行 `weituo restore 备份`",
            "the anchor {anchor} is there: here is a ledger, or was one, and nothing was changed; where its database is lost, \
             run `weituo restore BACKUP`"
        );
        return Err(LedgerError::Exists { what });
    }
    if files.key.exists() {
        check_name(&files.key, &key::read(&files.key)?, &init.origin)?;
        refuse_known(&files, url, init).await?;
    }
    let anchor = Some(&files.anchor).filter(|place| anchor::address(place).is_none());
    for file in [Some(&files.key), anchor].into_iter().flatten() {
        if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            make_folder(folder)?;
        }
    }
    if let Some(folder) = url.folder() {
        make_folder(folder)?;
    }
    let store = store::open(url, init.options.store, true).await?;
    store.migrate().await?;
    let made = make(&*store, url, &files, init).await;
    store.close().await;
    made
}

/// Refuses where a witness as the anchor has a checkpoint of this log, other than of an `init` that broke off.
async fn refuse_known(files: &Files, url: &LedgerUrl, init: &InitOptions) -> Result<(), LedgerError> {
    let Some(address) = anchor::address(&files.anchor).map(str::to_owned) else { return Ok(()) };
    let keys = key::read_all(&files.key)?;
    let anchor = Arc::new(Anchor::new(files.anchor.clone(), keys.verifiers(), None)?);
    let Some(standing) = blocking(&anchor, Anchor::load).await? else { return Ok(()) };
    let there = match store::open(url, init.options.store, false).await {
        Ok(store) => {
            let head = store.head().await;
            store.close().await;
            head.ok().flatten().map(|head| (head.size, head.root))
        }
        Err(_) => None,
    };
    if there == Some(standing.vouched()) {
        return Ok(());
    }
    let (size, _) = standing.vouched();
    Err(LedgerError::Exists {
        what: both!(
            "见证方 {address} 已有本台账 {size} 条记录的检查点:没有改动任何内容;数据库丢失的,请运行 `weituo restore 备份`",
            "the witness {address} has a checkpoint of this log with {size} entries: nothing was changed; where its database is lost, \
             run `weituo restore BACKUP`"
        ),
    })
}

fn there_is_one(url: &LedgerUrl) -> LedgerError {
    let what = both!("{url} 处已有台账:没有改动任何内容", "there is a ledger at {url}: nothing was changed");
    LedgerError::Exists { what }
}

fn check_name(file: &Path, key: &SigningKey, origin: &Origin) -> Result<(), LedgerError> {
    if key.name() == origin.as_str() {
        return Ok(());
    }
    let (file, name) = (file.display(), key.name());
    Err(LedgerError::Exists {
        what: both!(
            "{file} 是 {name} 的密钥:没有改动任何内容;请用此名称,或另指一个尚不存在的密钥文件",
            "{file} holds the key of {name}: nothing was changed; use that name, or another key file, that is not there yet"
        ),
    })
}

async fn make(
    store: &dyn Store,
    url: &LedgerUrl,
    files: &Files,
    init: &InitOptions,
) -> Result<(), LedgerError> {
    let found = store.head().await?;
    if files.anchor.exists() || found.as_ref().is_some_and(|head| head.size > 1) {
        return Err(there_is_one(url));
    }
    // A key without an anchor is what an interrupted `init` leaves.
    let key = if files.key.exists() {
        key::read(&files.key)?
    } else {
        key::create(&files.key, init.origin.as_str())?
    };
    let keys = Keys::from(key);
    let key = keys.first();
    check_name(&files.key, key, &init.origin)?;
    let seal = SealKey::of(&keys);
    let head = match found {
        Some(head) if seal.holds(&head) && head.origin == init.origin.as_str() => {
            // The interrupted `init` may never have learnt whether a standby has it.
            store.barrier().await?;
            head
        }
        Some(_) => {
            return Err(LedgerError::Exists {
                what: both!(
                    "{url} 处是另一台账:没有改动任何内容",
                    "there is another ledger at {url}: nothing was changed"
                ),
            });
        }
        None => open_log(store, init, key, &seal).await?,
    };
    // From here a crash recovers forward: the log exists, and repeating `init` signs and anchors it.
    let checkpoint = sign(&[key], &init.origin, &head);
    let anchor = Arc::new(Anchor::new(files.anchor.clone(), keys.verifiers(), None)?);
    let first = SignedCheckpoint::clone(&checkpoint);
    blocking(&anchor, move |anchor| anchor.create(&first)).await
}

async fn open_log(
    store: &dyn Store,
    init: &InitOptions,
    key: &SigningKey,
    seal: &SealKey,
) -> Result<Head, LedgerError> {
    let epoch = weituo_proof::RecordedAt::from_unix_millis(0).expect("invariant: 1970 is a year");
    let recorded_at = Watched::new(Arc::clone(&init.options.clock)).recorded_at(epoch)?;
    let event = Event::LogOpened(LogOpened {
        key: key.verifier().to_string(),
        nonce: Hash(key::random()?),
        predecessor: init.predecessor.clone(),
        roots: init.roots.clone(),
        zone: init.zone.clone(),
    });
    let date = effective(recorded_at, zone_minutes(&init.zone).unwrap_or(0));
    let act = log_act("log/main", event, command_id(&init.origin, 0), date);
    let proposal =
        Proposal { act, disclosures: Vec::new(), expected: None, erase: Vec::new(), rests_on: Vec::new() };
    let (answer, _answered) = oneshot::channel();
    let pending = Pending::new(proposal, &init.origin, answer)?;
    let mut open = Open::on_head(None, &Frontier::new());
    let ground = Ground { derived: &Derived::new(), under: None, contended: false };
    open.push(ground, pending, recorded_at);
    let prepared = open.close(&init.origin, seal).map_err(|_| LedgerError::Invalid {
        what: Both::new(
            "首条记录无效:名称或顶级机构过长",
            "the first entry is not valid: its origin or roots are too long",
        ),
    })?;
    match store.commit(&prepared.batch).await? {
        CommitOutcome::Committed => Ok(prepared.batch.after.clone()),
        CommitOutcome::FenceLost | CommitOutcome::Duplicate => Err(LedgerError::Exists {
            what: Both::new(
                "另一进程同时在此建立了台账:没有改动任何内容",
                "another process has made a ledger here at the same moment: nothing was changed",
            ),
        }),
    }
}

fn make_folder(folder: &std::path::Path) -> Result<(), LedgerError> {
    std::fs::create_dir_all(folder).map_err(|error| {
        let folder = folder.display();
        LedgerError::Invalid {
            what: both!("无法建立文件夹 {folder}:{error}", "the folder {folder} cannot be made: {error}"),
        }
    })
}
