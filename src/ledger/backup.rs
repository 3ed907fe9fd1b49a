//! Copying a ledger: into a backup, which is a SQLite ledger without projections, and back from one.
//!
//! Invariants: entries are copied in order of leaf index, and a copy that breaks off is a shorter prefix of the same log; what a
//! restore seals on the way was proven to lead to a head that the log's key sealed, page by page;
//! a history that is newer than the backup, or another one, is never written over; an erased disclosure stays erased.
//! Absent: verifying what was written (`verify`, which both commands run), the signing key and the anchor, which are
//! kept apart from every backup.
//! Source: format.md "What the operator's database adds".

use std::path::Path;
use std::sync::Arc;

use weituo_events::{Act, Event};
use weituo_proof::{Both, Entry, Frontier, Hash, both, leaf_hash};

use super::anchor::{Anchor, blocking};
use super::key;
use super::options::{Files, Options};
use super::redo::row_of;
use super::seal::SealKey;
use super::types::LedgerError;
use crate::store::{self, Batch, CommitOutcome, EntryRow, Head, LedgerUrl, Store, StoreError};

const PAGE: u32 = 4_096;

/// What was copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// Number of entries written.
    pub entries: u64,
    /// Tree size of the copy.
    pub size: u64,
}

/// Copies a ledger, while it is in use, into a new SQLite file. Entries recorded after the start may be left out.
pub(super) async fn backup(url: &LedgerUrl, options: &Options, to: &Path) -> Result<Copied, LedgerError> {
    let source = store::open(url, options.store, false).await?;
    let target = store::open(&LedgerUrl::Sqlite(to.to_owned()), options.store, true).await?;
    let copied = async {
        source.require_current().await?;
        target.migrate().await?;
        let mut copying = Copying::new(&*source, &*target, None);
        copying.run().await
    };
    let copied = copied.await;
    source.close().await;
    target.close().await;
    copied
}

/// Copies a backup into a database that holds no ledger, or the first entries of this one.
pub(super) async fn restore(
    url: &LedgerUrl,
    options: &Options,
    from: &LedgerUrl,
    behind_anchor: bool,
) -> Result<Copied, LedgerError> {
    let files = Files::of(url, options)?;
    let keys = key::read_all(&files.key)?;
    let seal = SealKey::of(&keys);
    let anchor = Arc::new(Anchor::new(files.anchor, keys.verifiers(), Some(seal.clone()))?);
    // A batch that the anchor itself keeps is put in by the next start.
    let anchored =
        blocking(&anchor, Anchor::load).await?.map_or(0, |anchored| anchored.checkpoint.size.get());
    let source = store::open(from, options.store, false).await?;
    let copied = async {
        source.require_current().await?;
        let size = head_of(&*source).await?.size;
        if size < anchored && !behind_anchor {
            return Err(cannot(both!(
                "备份有 {size} 条记录,锚点为 {anchored} 条作证:需要更新的备份;加 --behind-anchor 则台账只读,直到 `weituo \
                 recover` 补回其余",
                "the backup has {size} entries, the anchor vouches for {anchored}: a newer backup is wanted; with \
                 --behind-anchor the ledger only reads until `weituo recover` has put back the rest"
            )));
        }
        let target = store::open(url, options.store, true).await?;
        let copied = async {
            target.migrate().await?;
            Copying::new(&*source, &*target, Some(&seal)).run().await
        };
        let copied = copied.await;
        target.close().await;
        copied
    };
    let copied = copied.await;
    source.close().await;
    copied
}

async fn head_of(store: &dyn Store) -> Result<Head, LedgerError> {
    let head = store.head().await?;
    head.ok_or_else(|| cannot(Both::new("要复制的地方没有台账", "there is no log in what is to be copied")))
}

/// A copy under way.
struct Copying<'a> {
    source: &'a dyn Store,
    target: &'a dyn Store,
    /// Seals the heads in between, so that a copy that breaks off is whole; without it they are the last one.
    seal: Option<&'a SealKey>,
    frontier: Frontier,
    /// The target's head.
    written: Option<Head>,
    /// Entries written.
    entries: u64,
}

impl<'a> Copying<'a> {
    fn new(source: &'a dyn Store, target: &'a dyn Store, seal: Option<&'a SealKey>) -> Self {
        Self { source, target, seal, frontier: Frontier::new(), written: None, entries: 0 }
    }

    async fn run(&mut self) -> Result<Copied, LedgerError> {
        let mut head = head_of(self.source).await?;
        self.written = self.target.head().await?;
        if let Some(written) = self.written.clone() {
            self.pass_over(&written, &head).await?;
        }
        loop {
            let roots = self.proven(&head).await?;
            self.append(&head, &roots).await?;
            // What was erased while the disclosures were read is told by entries that have to be copied too.
            let newer = head_of(self.source).await?;
            if !self.erases(head.size, newer.size).await? {
                return Ok(Copied { entries: self.entries, size: head.size });
            }
            head = newer;
        }
    }

    /// Goes over the entries that the target has already; they must be the source's.
    async fn pass_over(&mut self, written: &Head, head: &Head) -> Result<(), LedgerError> {
        if written.size > head.size {
            let (there, size) = (written.size, head.size);
            return Err(cannot(both!(
                "那里已有 {there} 条记录的台账,比有 {size} 条的备份更新:没有改动任何内容",
                "there is a ledger of {there} entries, which is newer than the backup with {size}: nothing was changed"
            )));
        }
        while self.frontier.size().get() < written.size {
            for row in self.page(self.frontier.size().get(), written.size).await? {
                self.frontier.append(leaf_hash(row.body.as_bytes()));
            }
        }
        if written.origin != head.origin || self.frontier.root() != written.root {
            let Head { size, origin, .. } = written;
            return Err(cannot(both!(
                "那里是另一段历史,{size} 条记录({origin}):没有改动任何内容;请先移走那个数据库",
                "there is another history of {size} entries ({origin}): nothing was changed; move that database away first"
            )));
        }
        Ok(())
    }

    /// Walks over the entries that are to be copied and sealed on the way, and returns the root after each page of them, once they
    /// have led to a head that the log's key sealed: 32 bytes for a thousand entries.
    async fn proven(&self, head: &Head) -> Result<Vec<Hash>, LedgerError> {
        let Some(seal) = self.seal else { return Ok(Vec::new()) };
        let (mut frontier, mut roots) = (self.frontier.clone(), Vec::new());
        while frontier.size().get() < head.size {
            for row in self.page(frontier.size().get(), head.size).await? {
                frontier.append(leaf_hash(row.body.as_bytes()));
            }
            roots.push(frontier.root());
        }
        if !seal.holds(head) || frontier.root() != head.root {
            let size = head.size;
            return Err(cannot(both!(
                "备份的首行(共 {size} 条)不是本台账的密钥所封,或与其中的记录不符:什么都没有写入",
                "the backup's head row ({size} entries) is not one that this log's key sealed, or not what its entries lead to: \
                 nothing was written"
            )));
        }
        Ok(roots)
    }

    /// Copies entries and disclosures up to a head, in pages; those that are sealed on the way are the ones that were proven.
    async fn append(&mut self, head: &Head, proven: &[Hash]) -> Result<(), LedgerError> {
        let mut proven = proven.iter();
        while self.frontier.size().get() < head.size {
            let first = self.frontier.size().get();
            let mut rows = self.page(first, head.size).await?;
            if self.seal.is_some() {
                // Every column follows from the bytes, whatever stands beside them.
                for row in &mut rows {
                    *row = row_of(row.leaf_index, Arc::clone(&row.body))
                        .map_err(|error| StoreError::corrupt(Both::plain(error)))?;
                }
            }
            let mut recorded_at = String::new();
            let mut erase = Vec::new();
            for row in &rows {
                let entry = parse(row)?;
                self.frontier.append(leaf_hash(row.body.as_bytes()));
                recorded_at = entry.recorded_at.to_string();
                erase.extend(erased(&entry));
            }
            let next = self.frontier.size().get();
            if self.seal.is_some() && proven.next() != Some(&self.frontier.root()) {
                return Err(cannot(Both::new(
                    "备份在读取时有变化:请重试",
                    "the backup has changed while it was read: run it again",
                )));
            }
            let after = match self.seal {
                Some(seal) if next < head.size => {
                    let root = self.frontier.root();
                    let seal = seal.seal(&head.origin, next, &root, &recorded_at);
                    Head { origin: head.origin.clone(), size: next, root, seal, recorded_at }
                }
                _ => head.clone(),
            };
            let disclosures = self.source.disclosures(first..next).await?;
            let before = self.written.as_ref().map(Head::fence);
            let batch = Arc::new(Batch { before, after, rows, disclosures, erase });
            match self.target.commit(&batch).await? {
                CommitOutcome::Committed => {}
                CommitOutcome::FenceLost => {
                    return Err(cannot(Both::new(
                        "另一进程正在写那里:请先停止它",
                        "another process writes there: stop it first",
                    )));
                }
                CommitOutcome::Duplicate => {
                    return Err(cannot(Both::new("那里有一条记录出现两次", "an entry stands there twice")));
                }
            }
            self.entries += next - first;
            self.written = Some(batch.after.clone());
        }
        Ok(())
    }

    /// Returns the source's next entries, a whole page unless the end comes before.
    async fn page(&self, from: u64, end: u64) -> Result<Vec<EntryRow>, LedgerError> {
        let limit = u32::try_from((end - from).min(u64::from(PAGE))).unwrap_or(PAGE);
        let page = self.source.scan(i64::try_from(from).unwrap_or(i64::MAX), limit).await?;
        let rows = page.into_iter().map(store::Scanned::into_row).collect::<Result<Vec<_>, _>>()?;
        let wrong = rows.iter().zip(from..).find(|(row, expected)| row.leaf_index != *expected);
        let short = (rows.len() < limit as usize).then_some(from + rows.len() as u64);
        match wrong.map(|(_, expected)| expected).or(short) {
            None => Ok(rows),
            Some(at) => {
                let what = both!("序号 {at} 的记录不在", "the entry at leaf index {at} is missing");
                Err(StoreError::corrupt(what).into())
            }
        }
    }

    /// Returns whether one of these entries erases a disclosure.
    async fn erases(&self, from: u64, to: u64) -> Result<bool, LedgerError> {
        let mut next = from;
        while next < to {
            let page = self.source.scan(i64::try_from(next).unwrap_or(i64::MAX), PAGE).await?;
            if page.is_empty() {
                break;
            }
            for scanned in page {
                let row = scanned.into_row()?;
                if erased(&parse(&row)?).is_some() {
                    return Ok(true);
                }
                next = row.leaf_index + 1;
            }
        }
        Ok(false)
    }
}

fn parse(row: &EntryRow) -> Result<Entry, LedgerError> {
    let entry = Entry::parse(row.body.as_bytes());
    entry.map_err(|error| {
        let leaf_index = row.leaf_index;
        let what = both!("序号 {leaf_index} 的记录:{error}", "the entry at leaf index {leaf_index}: {error}");
        StoreError::corrupt(what).into()
    })
}

/// Returns the digest of the disclosure that an entry erases.
fn erased(entry: &Entry) -> Option<String> {
    match Act::from_entry(entry).map(|act| act.event) {
        Ok(Event::DisclosureErased(erased)) => Some(erased.digest),
        _ => None,
    }
}

fn cannot(what: Both) -> LedgerError {
    LedgerError::Copy { what }
}
