//! Where the missing entries come from: a copy of the database, or a file of entries.
//!
//! Invariants: nothing of it is believed; entries count by the root that they lead to, disclosures by the digests that the entries
//! seal.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use weituo_proof::both;

use super::{Backup, PAGE, cannot};
use crate::ledger::anchor::Standing;
use crate::ledger::options::Options;
use crate::ledger::redo::opens;
use crate::ledger::types::LedgerError;
use crate::store::{self, DisclosureRow, EntryRow, Store};

/// An entry has at most 65,535 bytes, and a line its end.
const MAX_LINE_BYTES: u64 = 65_537;

/// A backup, opened.
pub(super) enum Source {
    Ledger(Arc<dyn Store>),
    Entries(Lines),
}

/// A file of exported entries, read in order.
pub(super) struct Lines {
    path: PathBuf,
    reader: BufReader<File>,
    /// Leaf index of the next line.
    next: u64,
}

impl Lines {
    fn open(path: &Path) -> std::io::Result<Self> {
        Ok(Self { path: path.to_owned(), reader: BufReader::new(File::open(path)?), next: 0 })
    }

    fn page(&mut self, from: u64, limit: u64) -> std::io::Result<Vec<Arc<str>>> {
        if from < self.next {
            *self = Self::open(&self.path)?;
        }
        let mut bodies = Vec::new();
        let mut line = String::new();
        while self.next < from + limit {
            line.clear();
            // A longer line is no entry; its rest is no entry either, so it is refused where it is parsed.
            if (&mut self.reader).take(MAX_LINE_BYTES).read_line(&mut line)? == 0 {
                break;
            }
            if self.next >= from {
                bodies.push(Arc::from(line.trim_end_matches(['\n', '\r'])));
            }
            self.next += 1;
        }
        Ok(bodies)
    }
}

impl Source {
    pub(super) async fn open(backup: &Backup, options: &Options) -> Result<Self, LedgerError> {
        match backup {
            Backup::Ledger(url) => Ok(Self::Ledger(store::open(url, options.store, false).await?)),
            Backup::Entries(path) => {
                Lines::open(path).map(Self::Entries).map_err(|error| unreadable(path, &error))
            }
        }
    }

    /// Returns the log's name, where it says so.
    pub(super) async fn origin(&self) -> Result<Option<String>, LedgerError> {
        match self {
            Self::Ledger(store) => Ok(store.head().await?.map(|head| head.origin)),
            Self::Entries(_) => Ok(None),
        }
    }

    /// Returns entries from a leaf index on, at least one where the backup has it, none from `end` on.
    pub(super) async fn page(&mut self, from: u64, end: u64) -> Result<Vec<Arc<str>>, LedgerError> {
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
            Self::Entries(lines) => lines.page(from, limit).map_err(|error| unreadable(&lines.path, &error)),
        }
    }

    /// Returns the disclosures of entries that were not erased and are not stored, and the digests of those that are stored and are
    /// not what was sealed.
    pub(super) async fn disclosures(
        &self,
        stored: &dyn Store,
        sealing: &[EntryRow],
        erased: &[String],
        anchored: &Standing,
    ) -> Result<(Vec<DisclosureRow>, Vec<String>), LedgerError> {
        let (Some(first), Some(last)) = (sealing.first(), sealing.last()) else {
            return Ok(Default::default());
        };
        let opens_one = |kept: &DisclosureRow| {
            let at = sealing.binary_search_by_key(&kept.leaf_index, |row| row.leaf_index);
            at.is_ok_and(|at| opens(&sealing[at], kept))
        };
        let mut found: Vec<DisclosureRow> = match &anchored.intended {
            Some(intended) => intended.disclosures().collect(),
            None => Vec::new(),
        };
        if let Self::Ledger(backup) = self {
            found.extend(backup.disclosures(first.leaf_index..last.leaf_index + 1).await?);
        }
        found.retain(opens_one);
        found.sort_unstable_by(|one, other| one.digest.cmp(&other.digest));
        found.dedup_by(|one, other| one.digest == other.digest);
        found.retain(|row| erased.binary_search(&row.digest).is_err());
        let digests: Vec<String> = found.iter().map(|row| row.digest.clone()).collect();
        let stored = stored.disclosures_by_digest(&digests).await?;
        let (right, altered): (Vec<_>, Vec<_>) = stored.into_iter().partition(opens_one);
        found.retain(|row| right.iter().all(|stored| stored.digest != row.digest));
        Ok((found, altered.into_iter().map(|row| row.digest).collect()))
    }

    pub(super) async fn close(&self) {
        if let Self::Ledger(store) = self {
            store.close().await;
        }
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> LedgerError {
    let path = path.display();
    cannot(both!("无法读取 {path}:{error}", "{path} cannot be read: {error}"))
}
