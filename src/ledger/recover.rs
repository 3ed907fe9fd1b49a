//! Recovery: the exact missing entries, from a backup, up to the anchored root.
//!
//! Invariants: nothing is written unless the entries found, together with those of the backup, lead to the anchored root;
//! no stored entry is changed, and the anchor is never lowered. A disclosure that the log says was erased stays erased.
//! Absent: making backups; mending altered entries (restore the whole database for that).
//! Source: format.md "Append protocol", table "on start".

use std::collections::HashSet;
use std::io::{BufRead as _, BufReader};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use weituo_events::{Act, Event};
use weituo_proof::{Disclosure, Entry, Frontier, SigningKey, leaf_hash};

use super::anchor::{FileAnchor, blocking};
use super::key;
use super::options::{Files, Options};
use super::seal::SealKey;
use super::types::{LedgerError, SignedCheckpoint};
use crate::store::{self, Batch, CommitOutcome, DisclosureRow, EntryRow, Head, LedgerUrl, Store};

const PAGE: u32 = 4_096;

/// Where the missing entries come from.
#[derive(Debug, Clone)]
pub enum Backup {
    /// A copy of the ledger's database.
    Ledger(LedgerUrl),
    /// A file of exported entries, one a line, from leaf index 0 on.
    Entries(PathBuf),
}

/// What a recovery did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovered {
    /// Number of entries put back.
    pub restored: u64,
    /// Tree size now, which is the anchor's.
    pub size: u64,
}

/// The entries of a log up to the anchor, as database and backup give them together.
#[derive(Default)]
struct Merged {
    frontier: Frontier,
    missing: Vec<EntryRow>,
    erased: HashSet<String>,
    recorded_at: String,
}

/// Puts back what the database lacks below its anchor.
pub(super) async fn recover(
    url: &LedgerUrl,
    options: &Options,
    backup: &Backup,
) -> Result<Recovered, LedgerError> {
    let files = Files::of(url, options)?;
    let key = key::read(&files.key)?;
    let anchor = Arc::new(FileAnchor::new(files.anchor, key.verifier().clone()));
    let anchored = blocking(&anchor, FileAnchor::load).await?;
    let anchored = anchored.ok_or_else(|| cannot("there is no anchor that says how far to recover"))?;
    let store = store::open(url, options.store, false).await?;
    store.require_current().await?;
    let source = Source::open(backup, options).await?;
    let recovered = restore(&*store, &source, &anchored, &key).await;
    store.close().await;
    source.close().await;
    recovered
}

async fn restore(
    store: &dyn Store,
    source: &Source,
    anchored: &SignedCheckpoint,
    key: &SigningKey,
) -> Result<Recovered, LedgerError> {
    let head = store.head().await?;
    let size = anchored.size.get();
    let merged = merge(store, source, size).await?;
    let root = merged.frontier.root();
    if root != anchored.root {
        return Err(cannot(&format!(
            "database and backup together lead to root {root} at size {size}, the anchor vouches for {}: an entry \
             was altered in one of them; run `weituo verify` on both",
            anchored.root
        )));
    }
    let seal = SealKey::new(key.seed()).seal(key.name(), size, &root, &merged.recorded_at);
    let after =
        Head { origin: key.name().to_owned(), size, root, seal, recorded_at: merged.recorded_at.clone() };
    let erase: Vec<String> = merged.erased.iter().cloned().collect();
    let whole = merged.missing.is_empty() && head.as_ref() == Some(&after);
    if whole && store.disclosures_by_digest(&erase).await?.is_empty() {
        return Ok(Recovered { restored: 0, size });
    }
    let disclosures = source.disclosures(store, &merged).await?;
    let restored = merged.missing.len() as u64;
    let before = head.as_ref().map(Head::fence);
    let batch = Arc::new(Batch { before, after, rows: merged.missing, disclosures, erase });
    // From here a crash recovers forward: the batch is committed whole, or recovery starts again.
    match store.commit(&batch).await? {
        CommitOutcome::Committed => Ok(Recovered { restored, size }),
        CommitOutcome::FenceLost => Err(cannot("another process writes to this database: stop it first")),
        CommitOutcome::Duplicate => Err(cannot("an entry of the backup stands elsewhere in the database")),
    }
}

/// Reads the stored entries in order and fills their gaps from the backup.
async fn merge(store: &dyn Store, source: &Source, size: u64) -> Result<Merged, LedgerError> {
    let mut merged = Merged::default();
    let mut next = 0;
    loop {
        let page = store.scan(i64::try_from(next).unwrap_or(i64::MAX), PAGE).await?;
        let last_page = page.len() < PAGE as usize;
        for scanned in page {
            let row = scanned.into_row()?;
            if row.leaf_index >= size {
                return Err(cannot(&format!(
                    "the database has an entry at leaf index {}, the anchor vouches for {size} entries only",
                    row.leaf_index
                )));
            }
            merged.fill(source, next..row.leaf_index).await?;
            next = row.leaf_index + 1;
            merged.take(&row)?;
        }
        if last_page {
            merged.fill(source, next..size).await?;
            return Ok(merged);
        }
    }
}

impl Merged {
    /// Takes the entries of a gap from the backup.
    async fn fill(&mut self, source: &Source, gap: Range<u64>) -> Result<(), LedgerError> {
        let mut next = gap.start;
        while next < gap.end {
            let page = source.page(next, gap.end).await?;
            if page.is_empty() {
                return Err(cannot(&format!("the backup lacks the entry at leaf index {next}")));
            }
            for body in page {
                let row = row_of(next, body)?;
                self.take(&row)?;
                self.missing.push(row);
                next += 1;
            }
        }
        Ok(())
    }

    fn take(&mut self, row: &EntryRow) -> Result<(), LedgerError> {
        self.frontier.append(leaf_hash(row.body.as_bytes()));
        let entry = Entry::parse(row.body.as_bytes())
            .map_err(|error| cannot(&format!("the entry at leaf index {}: {error}", row.leaf_index)))?;
        self.recorded_at = entry.recorded_at.to_string();
        if let Ok(Event::DisclosureErased(erased)) = Act::from_entry(&entry).map(|act| act.event) {
            self.erased.insert(erased.digest);
        }
        Ok(())
    }
}

/// Returns the row of an entry: every column follows from its bytes.
fn row_of(leaf_index: u64, body: Arc<str>) -> Result<EntryRow, LedgerError> {
    let entry = Entry::parse(body.as_bytes())
        .map_err(|error| cannot(&format!("the backup's entry at leaf index {leaf_index}: {error}")))?;
    Ok(EntryRow {
        leaf_index,
        stream: entry.stream.to_string(),
        sequence: entry.sequence,
        command: entry.command.to_bytes(),
        leaf_hash: leaf_hash(body.as_bytes()),
        body,
    })
}

/// Returns whether a disclosure opens a value that its entry seals, and says so by its right digest.
fn opens(row: &EntryRow, kept: &DisclosureRow) -> bool {
    let digest = Disclosure::decode(&kept.disclosure).map(|disclosure| disclosure.digest());
    let sealed = Entry::parse(row.body.as_bytes()).map(|entry| entry.sealed_digests()).unwrap_or_default();
    digest.is_ok_and(|digest| digest == kept.digest && sealed.contains(&digest))
}

/// A backup, opened.
enum Source {
    Ledger(Arc<dyn Store>),
    Entries(Vec<Arc<str>>),
}

impl Source {
    async fn open(backup: &Backup, options: &Options) -> Result<Self, LedgerError> {
        match backup {
            Backup::Ledger(url) => Ok(Self::Ledger(store::open(url, options.store, false).await?)),
            Backup::Entries(path) => {
                let lines = std::fs::File::open(path)
                    .and_then(|file| BufReader::new(file).lines().collect::<std::io::Result<Vec<_>>>());
                let lines =
                    lines.map_err(|error| cannot(&format!("{} cannot be read: {error}", path.display())))?;
                Ok(Self::Entries(lines.into_iter().map(Arc::from).collect()))
            }
        }
    }

    /// Returns entries from a leaf index on, at least one where the backup has it, none from `end` on.
    async fn page(&self, from: u64, end: u64) -> Result<Vec<Arc<str>>, LedgerError> {
        let limit = (end - from).min(u64::from(PAGE));
        match self {
            Self::Ledger(store) => {
                let limit = u32::try_from(limit).unwrap_or(PAGE);
                let page = store.scan(i64::try_from(from).unwrap_or(i64::MAX), limit).await?;
                let mut bodies = Vec::with_capacity(page.len());
                for (scanned, expected) in page.into_iter().zip(from..) {
                    let row = scanned.into_row()?;
                    if row.leaf_index != expected {
                        break;
                    }
                    bodies.push(row.body);
                }
                Ok(bodies)
            }
            Self::Entries(lines) => {
                let (from, limit) =
                    (usize::try_from(from).unwrap_or(usize::MAX), usize::try_from(limit).unwrap_or(0));
                Ok(lines.iter().skip(from).take(limit).cloned().collect())
            }
        }
    }

    /// Returns the disclosures of the missing entries that were not erased and are not stored.
    async fn disclosures(
        &self,
        stored: &dyn Store,
        merged: &Merged,
    ) -> Result<Vec<DisclosureRow>, LedgerError> {
        let Self::Ledger(backup) = self else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for row in &merged.missing {
            let kept = backup.disclosures(row.leaf_index..row.leaf_index + 1).await?;
            found.extend(kept.into_iter().filter(|kept| opens(row, kept)));
        }
        found.retain(|row| !merged.erased.contains(&row.digest));
        let digests: Vec<String> = found.iter().map(|row| row.digest.clone()).collect();
        let stored = stored.disclosures_by_digest(&digests).await?;
        found.retain(|row| stored.iter().all(|stored| stored.digest != row.digest));
        Ok(found)
    }

    async fn close(&self) {
        if let Self::Ledger(store) = self {
            store.close().await;
        }
    }
}

fn cannot(what: &str) -> LedgerError {
    LedgerError::Recover { what: what.to_owned() }
}
