//! The log's own keys replaced and revoked, and the end of a log.
//!
//! Invariants: at every moment the key file holds a key that the log names: a new key's file is durable before the log names
//! the key, and takes the place of the old one in one step after that. Whatever broke off is finished by repeating it. A key in
//! use is never revoked.
//! Absent: when an older key stops signing (`derived`); what a verifier trusts (its own list decides).
//! Source: format.md "Log".

use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use weituo_events::payload::{LogFrozen, LogKeyAdded, LogKeyRevoked, Paper};
use weituo_events::{Act, Event};
use weituo_projections::dates::zone_minutes;
use weituo_proof::{
    Both, Checkpoint, Entry, LeafIndex, Origin, RecordedAt, SigningKey, StreamHead, VerifierKey, both,
    leaf_hash,
};

use super::anchor::blocking;
use super::clock::ClockError;
use super::handle::Ledger;
use super::index::{effective, log_act};
use super::key::{self, Keys};
use super::options::{Files, Options};
use super::shared::not_in_the_log;
use super::tree::Tree;
use super::types::{LedgerError, Mode, Proposal, SignedCheckpoint, SubmitError};
use crate::store::{LedgerUrl, Store, StoreError, failpoint};

/// The stream of the log's own events.
const LOG_STREAM: &str = "log/main";
/// Entries read at a time.
const PAGE: u32 = 1_000;
/// How often an event is tried again because others wrote to `log/main`.
const ATTEMPTS: u32 = 16;

/// Why the log's keys were not changed, or the log not frozen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogKeyError {
    /// The key that signs now cannot be revoked.
    #[error("the key {key} is in use: put another in its place first (`weituo log-key rotate`)")]
    InUse {
        /// Its verifier key.
        key: String,
    },
    /// The log names no such key.
    #[error("the log names no key {named:?}; it names {known}")]
    Unknown {
        /// What was asked for.
        named: String,
        /// The verifier keys that it names.
        known: String,
    },
    /// A file that a rotation left does not go with the key file.
    #[error("{path} was left by a rotation of another key file: move it away, then repeat")]
    OtherRotation {
        /// The file.
        path: String,
    },
    /// Another process is changing the log's keys.
    #[error("another process is changing the log's keys: wait for it, then repeat")]
    Changing,
    /// A log was named as its own successor.
    #[error("a log cannot follow itself: its successor has another origin")]
    FollowsItself,
    /// Others kept writing to `log/main`.
    #[error(
        "others keep writing to log/main: stop them, then repeat; where there are none, run `weituo verify`"
    )]
    Busy,
}

/// What a rotation did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotated {
    /// The key that signs from now on: to be published.
    pub verifier: VerifierKey,
    /// The file in which the key file before is kept.
    pub kept: PathBuf,
}

/// Makes a new key for the log, has the log name it, and puts it in the place of the old one.
pub(super) async fn rotate(url: &LedgerUrl, options: &Options) -> Result<Rotated, LedgerError> {
    let files = Files::of(url, options)?;
    let _alone = alone(&files.key)?;
    let keys = key::read_all(&files.key)?;
    let next_file = beside(&files.key, "next");
    let ledger = open(url, options).await?;
    let named = name_next(&ledger, options, &next_file, &keys).await;
    ledger.stop().await?;
    let verifier = named?;
    failpoint::hit("rotate.recorded");
    // From here the log names both keys, so either file is a usable one.
    let kept = beside(&files.key, &id_of(keys.first().verifier()));
    in_place(&files.key, || match std::fs::hard_link(&files.key, &kept) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    })?;
    failpoint::hit("rotate.kept");
    in_place(&files.key, || {
        std::fs::rename(&next_file, &files.key)?;
        crate::files::sync_folder(&files.key)
    })?;
    failpoint::hit("rotate.replaced");
    // The newest checkpoint is to bear the new key's signature at once: whoever gets the new key now verifies by it.
    let signed = match open(url, options).await {
        Ok(ledger) => ledger.stop().await,
        Err(error) => Err(error),
    };
    if let Err(error) = signed {
        tracing::warn!(%error, "the key was replaced; its first signature comes with the next start");
    }
    Ok(Rotated { verifier, kept })
}

/// Has the log name the key that is to come, whose file is there by then.
async fn name_next(
    ledger: &Ledger,
    options: &Options,
    next_file: &Path,
    keys: &Keys,
) -> Result<VerifierKey, LedgerError> {
    let (_, events) = log_events(&**ledger.store()).await?;
    let next = next_keys(next_file, keys, &events)?;
    failpoint::hit("rotate.next_written");
    let verifier = next.first().verifier().clone();
    let event = Event::LogKeyAdded(LogKeyAdded { key: verifier.to_string() });
    let named =
        |event: &Event| matches!(event, Event::LogKeyAdded(added) if added.key == verifier.to_string());
    let recorded = record_once(ledger, options, event, &named).await;
    if matches!(recorded, Err(LedgerError::ReadOnly(_))) {
        let (_, events) = log_events(&**ledger.store()).await?;
        if !events.iter().any(|(_, event)| named(event)) {
            // The log takes nothing more: the key is of no use.
            in_place(next_file, || std::fs::remove_file(next_file))?;
        }
    }
    recorded.map(|()| verifier)
}

/// Returns the keys as they will be: with the one that a rotation which broke off had the log name, or a new one before the
/// present ones.
fn next_keys(next_file: &Path, keys: &Keys, events: &[(u64, Event)]) -> Result<Keys, LedgerError> {
    if next_file.exists() {
        let left = key::read_all(next_file)?;
        if left.first().name() != keys.first().name() {
            return Err(LogKeyError::OtherRotation { path: next_file.display().to_string() }.into());
        }
        let is_revoked = |event: &Event| matches!(event, Event::LogKeyRevoked(revoked) if revoked.key == left.first().verifier().to_string());
        if !events.iter().any(|(_, event)| is_revoked(event)) {
            // Named or not: a commit of which nobody was told may name it yet. One of the present ones may have been revoked since.
            let next = keys.behind(left.first().clone());
            in_place(next_file, || crate::files::replace_whole(next_file, next.text().as_bytes(), 0o600))?;
            return Ok(next);
        }
        in_place(next_file, || std::fs::remove_file(next_file))?;
    }
    let first = SigningKey::from_seed(keys.first().name(), key::random()?)
        .map_err(|error| LedgerError::Invalid { what: Both::plain(error) })?;
    let next = keys.behind(first);
    in_place(next_file, || crate::files::create_whole(next_file, next.text().as_bytes(), 0o600))?;
    Ok(next)
}

/// Keeps other processes from changing the log's keys until it is dropped.
fn alone(key_file: &Path) -> Result<File, LedgerError> {
    let file = in_place(key_file, || File::open(key_file))?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(LogKeyError::Changing.into()),
        Err(TryLockError::Error(error)) => in_place(key_file, || Err(error)),
        Ok(()) => Ok(file),
    }
}

/// Revokes an older key of the log, named by its verifier key or by the 8 hex digits of its id, and takes it out of the key file.
pub(super) async fn revoke(
    url: &LedgerUrl,
    options: &Options,
    named: &str,
) -> Result<VerifierKey, LedgerError> {
    let files = Files::of(url, options)?;
    let _alone = alone(&files.key)?;
    let mut keys = key::read_all(&files.key)?;
    let ledger = open(url, options).await?;
    let recorded = revocation(&ledger, options, &keys, named).await;
    ledger.stop().await?;
    let revoked = recorded?;
    failpoint::hit("revoke.recorded");
    // Whatever the file holds, the log knows the revoked key no more.
    keys.retain_older(|key| *key != revoked);
    in_place(&files.key, || crate::files::replace_whole(&files.key, keys.text().as_bytes(), 0o600))?;
    failpoint::hit("revoke.replaced");
    Ok(revoked)
}

async fn revocation(
    ledger: &Ledger,
    options: &Options,
    keys: &Keys,
    named: &str,
) -> Result<VerifierKey, LedgerError> {
    let events = log_events(&**ledger.store()).await?.1;
    let known = events.iter().filter_map(|(_, event)| match event {
        Event::LogOpened(opened) => Some(&opened.key),
        Event::LogKeyAdded(added) => Some(&added.key),
        _ => None,
    });
    let known: Vec<VerifierKey> = known.filter_map(|key| key.parse().ok()).collect();
    let wanted = known.iter().find(|key| key.to_string() == named || id_of(key) == named);
    let Some(wanted) = wanted else {
        let known: Vec<_> = known.iter().map(ToString::to_string).collect();
        return Err(LogKeyError::Unknown { named: named.to_owned(), known: known.join(", ") }.into());
    };
    if wanted == keys.first().verifier() {
        return Err(LogKeyError::InUse { key: wanted.to_string() }.into());
    }
    // From then on the key in use signs alone: an anchor that takes no such checkpoint would keep the log from being written.
    if let Some(newest) = ledger.checkpoint() {
        let (size, root) = (newest.size, newest.root);
        let note = Checkpoint { origin: ledger.origin().clone(), size, root }.sign(keys.first());
        let text = note.map_err(|error| LedgerError::Invalid { what: Both::plain(error) })?.to_string();
        let alone = SignedCheckpoint { size, root, text };
        blocking(&ledger.shared.anchor, move |anchor| anchor.require_place(&alone)).await?;
    }
    let text = wanted.to_string();
    let revoked = |event: &Event| matches!(event, Event::LogKeyRevoked(known) if known.key == text);
    let event = Event::LogKeyRevoked(LogKeyRevoked { key: text.clone(), paper: Paper::default() });
    record_once(ledger, options, event, revoked).await?;
    Ok(wanted.clone())
}

/// Freezes the log: nothing follows. Its index is committed first, so that it covers everything but the freeze.
pub(super) async fn freeze(
    url: &LedgerUrl,
    options: &Options,
    successor: Option<&Origin>,
) -> Result<(), LedgerError> {
    let ledger = open(url, options).await?;
    let frozen = async {
        if successor == Some(ledger.origin()) {
            return Err(LogKeyError::FollowsItself.into());
        }
        ledger.commit_index().await?;
        let successor = successor.map(ToString::to_string);
        let event = Event::LogFrozen(LogFrozen { paper: Paper::default(), successor });
        record_once(&ledger, options, event, |_| false).await
    };
    let frozen = frozen.await;
    ledger.stop().await?;
    frozen
}

/// Opens the ledger to record an event of its own; one that only reads says why.
async fn open(url: &LedgerUrl, options: &Options) -> Result<Ledger, LedgerError> {
    let options = Options { mode: Mode::Strict, read_only: false, ..options.clone() };
    let ledger = Ledger::open(url, options).await?;
    match ledger.read_only() {
        Some(reason) => {
            ledger.stop().await?;
            Err(LedgerError::ReadOnly(reason))
        }
        None => Ok(ledger),
    }
}

/// Records an event of the log itself, unless one is there that `done` accepts.
async fn record_once(
    ledger: &Ledger,
    options: &Options,
    event: Event,
    done: impl Fn(&Event) -> bool,
) -> Result<(), LedgerError> {
    let unix_millis = options.clock.unix_millis();
    let now = RecordedAt::from_unix_millis(unix_millis).ok_or(ClockError::NoDate { unix_millis })?;
    let command = crate::fresh_command_id();
    for _ in 0..ATTEMPTS {
        ledger.follow().await?;
        let (head, events) = log_events(&**ledger.store()).await?;
        if let Some((leaf_index, _)) = events.iter().find(|(_, event)| done(event)) {
            // That a row says so is not enough: it has to be in the log.
            if *leaf_index >= ledger.shared.with_tree(Tree::size) {
                return Err(not_in_the_log(*leaf_index));
            }
            let receipt = ledger.receipt(LeafIndex::new(*leaf_index)).await?;
            let proven =
                Entry::parse(receipt.entry.as_bytes()).ok().and_then(|entry| Act::from_entry(&entry).ok());
            return match proven {
                Some(act) if done(&act.event) => Ok(()),
                _ => Err(not_in_the_log(*leaf_index)),
            };
        }
        let zone = events.iter().find_map(|(_, event)| match event {
            Event::LogOpened(opened) => zone_minutes(&opened.zone),
            _ => None,
        });
        let date = effective(now, zone.unwrap_or(0));
        let act = log_act(LOG_STREAM, event.clone(), command.clone(), date);
        let proposal = Proposal {
            act,
            disclosures: Vec::new(),
            expected: head,
            erase: Vec::new(),
            rests_on: Vec::new(),
        };
        match ledger.submit(proposal).await {
            Ok(_) => return Ok(()),
            Err(SubmitError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(LogKeyError::Busy.into())
}

/// Returns the head of `log/main` and its events with their leaf indexes, in their order, as the rows say: nothing of it is proven.
pub(super) async fn log_events(
    store: &dyn Store,
) -> Result<(Option<StreamHead>, Vec<(u64, Event)>), LedgerError> {
    let (mut head, mut events): (Option<StreamHead>, _) = (None, Vec::new());
    loop {
        let next = head.map_or(1, |head| head.sequence + 1);
        let rows = store.stream_rows(LOG_STREAM, next, PAGE).await?;
        if rows.is_empty() {
            return Ok((head, events));
        }
        for row in rows {
            let unreadable = |error: &dyn std::fmt::Display| {
                let leaf_index = row.leaf_index;
                StoreError::corrupt(both!(
                    "序号 {leaf_index} 的记录无法读取:{error}",
                    "the entry at leaf index {leaf_index} cannot be read: {error}"
                ))
            };
            let entry = Entry::parse(row.body.as_bytes()).map_err(|error| unreadable(&error))?;
            let act = Act::from_entry(&entry).map_err(|error| unreadable(&error))?;
            events.push((row.leaf_index, act.event));
            head = Some(StreamHead { sequence: row.sequence, leaf_hash: leaf_hash(row.body.as_bytes()) });
        }
    }
}

/// The file of this name's ending beside the key file.
fn beside(key_file: &Path, ending: &str) -> PathBuf {
    let mut name = key_file.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{ending}"));
    key_file.with_file_name(name)
}

/// The 8 hex digits of a key's id.
fn id_of(key: &VerifierKey) -> String {
    format!("{:08x}", u32::from_be_bytes(key.key_id()))
}

fn in_place<T>(path: &Path, change: impl FnOnce() -> std::io::Result<T>) -> Result<T, LedgerError> {
    change().map_err(|error| LedgerError::Key { path: path.display().to_string(), what: Both::plain(error) })
}
