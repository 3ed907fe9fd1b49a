//! Recovery: the exact missing entries, from a backup and from what the anchor keeps itself, up to the root that it vouches for;
//! and the disclosures that are missing.
//!
//! Invariants: nothing is written unless the entries found, together with those of the backup, lead to the anchored root (and where
//! more was committed and sealed, to that), which a first walk finds out; a second puts them back in batches, each of which leaves the
//! head that is the goal where it is there, and else one that describes all below it, so that an interrupted recovery is finished by
//! repeating it. What the second walk seals is what
//! the first one found, step by step: a backup that answers otherwise the second time is refused. Memory does not grow with the log. No stored entry is
//! changed, and the anchor is never lowered. A disclosure that the log says was erased stays erased. A batch that the anchor
//! keeps is put back with the rest, unless a command of it was recorded before: then it never was in the log.
//! Absent: making backups; mending altered entries (restore the whole database for that).
//! Source: design.md "On start".

mod source;

use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use weituo_events::{Act, Event};
use weituo_proof::{Both, Entry, Frontier, Hash, both, leaf_hash};

use super::anchor::{Anchor, Standing, blocking};
use super::key::{self, Keys};
use super::options::{Files, Options};
use super::redo::{Intended, row_of};
use super::seal::SealKey;
use super::types::LedgerError;
use crate::store::{self, Batch, CommitOutcome, EntryRow, Head, LedgerUrl, Store};
use source::Source;

/// Entries walked at a time, which is the most that one batch puts back.
const PAGE: u32 = 1_024;

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
    /// Number of disclosures put back.
    pub disclosures: u64,
    /// Whether the head row was written anew.
    pub head: bool,
    /// Tree size now, which is the anchor's.
    pub size: u64,
}

/// Puts back what the database lacks below its anchor.
pub(super) async fn recover(
    url: &LedgerUrl,
    options: &Options,
    backup: &Backup,
) -> Result<Recovered, LedgerError> {
    let files = Files::of(url, options)?;
    let keys = key::read_all(&files.key)?;
    let anchor = Arc::new(Anchor::new(files.anchor, keys.verifiers(), Some(SealKey::of(&keys)))?);
    blocking(&anchor, Anchor::join).await?;
    let anchored = blocking(&anchor, Anchor::load).await?;
    let anchored = anchored.ok_or_else(|| {
        cannot(Both::new("没有锚点说明应补回到哪里", "there is no anchor that says how far to recover"))
    })?;
    let store = store::open(url, options.store, false).await?;
    store.require_current().await?;
    let mut source = Source::open(backup, options).await?;
    if let Some(other) = source.origin().await?.filter(|origin| origin != keys.first().name()) {
        let own = keys.first().name();
        return Err(cannot(both!(
            "备份是另一台账 {other} 的,不是 {own} 的",
            "the backup is of another log, {other}, and not of {own}"
        )));
    }
    let recovered = restore(&*store, &mut source, anchored, &keys).await;
    store.close().await;
    source.close().await;
    recovered
}

async fn restore(
    store: &dyn Store,
    source: &mut Source,
    mut anchored: Standing,
    keys: &Keys,
) -> Result<Recovered, LedgerError> {
    let (seal, origin) = (SealKey::of(keys), keys.first().name());
    // Whoever died before he anchored what he had committed and sealed: a start would take it over, if nothing were missing.
    let ahead = store.head().await?.filter(|head| seal.holds(head)).map(|head| (head.size, head.root));
    let mut goal = goal(&anchored, ahead);
    let mut found = walk(store, source, &anchored, goal).await?;
    if found.refused {
        anchored.intended = None;
        goal = self::goal(&anchored, ahead);
        found = walk(store, source, &anchored, goal).await?;
    }
    found.require_roots(goal)?;
    let erased: Vec<String> = found.erased.into_iter().collect();
    let mut merged = Merged::new(&anchored, goal.0);
    let mut done = Recovered { restored: 0, disclosures: 0, head: false, size: goal.0 };
    for expected in found.roots {
        let more = merged.step(store, source).await?;
        // What is sealed is what the first walk found to be right, whatever the backup says this time.
        if merged.frontier.root() != expected {
            return Err(cannot(Both::new(
                "备份在读取时有变化:请重试",
                "the backup has changed while it was read: run it again",
            )));
        }
        let (rows, sealing) = (std::mem::take(&mut merged.missing), std::mem::take(&mut merged.sealing));
        let (disclosures, altered) = source.disclosures(store, &sealing, &erased, &anchored).await?;
        if rows.is_empty() && disclosures.is_empty() && more {
            continue;
        }
        let (size, recorded_at) = (merged.frontier.size().get(), &merged.recorded_at);
        let described = Head {
            origin: origin.to_owned(),
            size,
            root: expected,
            seal: seal.seal(origin, size, &expected, recorded_at),
            recorded_at: recorded_at.clone(),
        };
        let mut head = store.head().await?;
        if !altered.is_empty() {
            // A batch writes before it erases, so these go first.
            let (before, after) = (head.as_ref().map(Head::fence), head.unwrap_or_else(|| described.clone()));
            head = Some(after.clone());
            let (rows, disclosures) = (Vec::new(), Vec::new());
            commit(store, Batch { before, after, rows, disclosures, erase: altered }).await?;
        }
        let after = match &head {
            // Below the end, what is put back beside entries that are there changes no head; nor does anything the one that is the
            // goal, because nothing else says what was committed.
            Some(head) if rows.is_empty() && more || (head.size, head.root) == goal => head.clone(),
            _ => described,
        };
        let is_new = head.as_ref() != Some(&after);
        let is_whole = rows.is_empty() && disclosures.is_empty() && !is_new;
        if !is_whole || !store.disclosures_by_digest(&erased).await?.is_empty() {
            done.restored += rows.len() as u64;
            done.disclosures += disclosures.len() as u64;
            done.head |= is_new;
            let before = head.as_ref().map(Head::fence);
            commit(store, Batch { before, after, rows, disclosures, erase: erased.clone() }).await?;
        }
    }
    Ok(done)
}

/// Returns size and root up to which to recover: what the anchor vouches for, or what is committed and sealed beyond it.
fn goal(anchored: &Standing, ahead: Option<(u64, Hash)>) -> (u64, Hash) {
    let vouched = anchored.vouched();
    ahead.filter(|(size, _)| *size > vouched.0).unwrap_or(vouched)
}

/// Walks over all entries up to the goal, as database and backup give them together.
async fn walk<'a>(
    store: &dyn Store,
    source: &mut Source,
    anchored: &'a Standing,
    (size, _): (u64, Hash),
) -> Result<Merged<'a>, LedgerError> {
    let mut merged = Merged::new(anchored, size);
    loop {
        let more = merged.step(store, source).await?;
        merged.missing.clear();
        merged.sealing.clear();
        merged.roots.push(merged.frontier.root());
        if !more {
            return Ok(merged);
        }
    }
}

/// Commits a batch. From here a crash recovers forward: what is committed is right, and recovery goes on behind it.
async fn commit(store: &dyn Store, batch: Batch) -> Result<(), LedgerError> {
    match store.commit(&Arc::new(batch)).await? {
        CommitOutcome::Committed => Ok(()),
        CommitOutcome::FenceLost => Err(cannot(Both::new(
            "另一进程正在写这个数据库:请先停止它",
            "another process writes to this database: stop it first",
        ))),
        CommitOutcome::Duplicate => Err(cannot(Both::new(
            "备份的一条记录或一个披露值在数据库中位于别处",
            "an entry or a disclosure of the backup stands elsewhere in the database",
        ))),
    }
}

/// The entries of a log up to the goal, as database and backup give them together, walked in steps.
struct Merged<'a> {
    anchored: &'a Standing,
    /// How many entries there are to be.
    size: u64,
    frontier: Frontier,
    /// The root after each step: 32 bytes for a thousand entries.
    roots: Vec<Hash>,
    /// The root where the anchor vouches for one.
    at_anchor: Option<Hash>,
    recorded_at: String,
    /// Digests that the entries walked say were erased: as many as there were erasures.
    erased: BTreeSet<String>,
    /// Rows of this step that the database lacks.
    missing: Vec<EntryRow>,
    /// Rows of this step, there or missing, whose entries seal a value.
    sealing: Vec<EntryRow>,
    /// Commands of the batch that the anchor keeps.
    commands: HashSet<[u8; 16]>,
    /// Whether one of them was recorded before it, so that it never was in the log.
    refused: bool,
}

impl<'a> Merged<'a> {
    fn new(anchored: &'a Standing, size: u64) -> Self {
        let entries = anchored.intended.iter().flat_map(Intended::entries);
        let commands = entries.filter_map(|body| Entry::parse(body.as_bytes()).ok());
        Self {
            anchored,
            size,
            frontier: Frontier::new(),
            roots: Vec::new(),
            at_anchor: None,
            recorded_at: String::new(),
            erased: BTreeSet::new(),
            missing: Vec::new(),
            sealing: Vec::new(),
            commands: commands.map(|entry| entry.command.to_bytes()).collect(),
            refused: false,
        }
    }

    /// Refuses where the entries do not lead to what the anchor vouches for, and to the goal.
    fn require_roots(&self, goal: (u64, Hash)) -> Result<(), LedgerError> {
        let vouched = self.anchored.vouched();
        let passed = (vouched, self.at_anchor.unwrap_or(Hash::ZERO));
        let reached = (goal, self.frontier.root());
        for ((size, wanted), root) in [passed, reached] {
            if root != wanted {
                return Err(cannot(both!(
                    "数据库与备份合起来在大小 {size} 处的根哈希是 {root},锚点或首行作证的是 {wanted}:其一有记录被改动;请对二者运行 \
                     `weituo verify`",
                    "database and backup together lead to root {root} at size {size}, anchor or head row vouch for {wanted}: an \
                     entry was altered in one of them; run `weituo verify` on both"
                )));
            }
        }
        Ok(())
    }

    /// Walks over at most `PAGE` entries, and returns whether there are more.
    async fn step(&mut self, store: &dyn Store, source: &mut Source) -> Result<bool, LedgerError> {
        let next = self.frontier.size().get();
        let from = i64::try_from(next).unwrap_or(i64::MAX);
        let mut page = Vec::new();
        for scanned in store.scan(from, PAGE).await? {
            page.push(scanned.into_row()?);
        }
        if let Some(row) = page.iter().find(|row| row.leaf_index >= self.size) {
            let (leaf, size) = (row.leaf_index, self.size);
            return Err(cannot(both!(
                "数据库有序号 {leaf} 的记录,而锚点与首行只为 {size} 条作证",
                "the database has an entry at leaf index {leaf}, anchor and head row vouch for {size} entries only"
            )));
        }
        let end = self.size.min(next + u64::from(PAGE));
        for row in page.iter().filter(|row| row.leaf_index < end) {
            self.fill(source, row.leaf_index).await?;
            self.take(row)?;
        }
        self.fill(source, end).await?;
        Ok(end < self.size)
    }

    /// Takes the entries below `end` from the backup, and from the anchor those that it keeps itself.
    async fn fill(&mut self, source: &mut Source, end: u64) -> Result<(), LedgerError> {
        while self.frontier.size().get() < end {
            let next = self.frontier.size().get();
            let page: Vec<_> = match &self.anchored.intended {
                Some(intended) if next >= intended.from => intended.entries_from(next, end).collect(),
                Some(intended) => source.page(next, end.min(intended.from)).await?,
                None => source.page(next, end).await?,
            };
            if page.is_empty() {
                return Err(cannot(both!(
                    "备份缺少序号 {next} 的记录",
                    "the backup lacks the entry at leaf index {next}"
                )));
            }
            for (body, leaf_index) in page.into_iter().zip(next..) {
                let row = row_of(leaf_index, body).map_err(|error| {
                    cannot(both!(
                        "备份中序号 {leaf_index} 的记录:{error}",
                        "the backup's entry at leaf index {leaf_index}: {error}"
                    ))
                })?;
                self.take(&row)?;
                self.missing.push(row);
            }
        }
        Ok(())
    }

    fn take(&mut self, row: &EntryRow) -> Result<(), LedgerError> {
        self.frontier.append(leaf_hash(row.body.as_bytes()));
        if self.frontier.size().get() == self.anchored.vouched().0 {
            self.at_anchor = Some(self.frontier.root());
        }
        let entry = Entry::parse(row.body.as_bytes()).map_err(|error| {
            let leaf = row.leaf_index;
            cannot(both!("序号 {leaf} 的记录:{error}", "the entry at leaf index {leaf}: {error}"))
        })?;
        self.recorded_at = entry.recorded_at.to_string();
        if !entry.sealed_digests().is_empty() {
            self.sealing.push(row.clone());
        }
        let is_before = row.leaf_index < self.anchored.checkpoint.size.get();
        self.refused |= is_before && self.commands.contains(&entry.command.to_bytes());
        if let Ok(Event::DisclosureErased(erased)) = Act::from_entry(&entry).map(|act| act.event) {
            self.erased.insert(erased.digest);
        }
        Ok(())
    }
}

fn cannot(what: Both) -> LedgerError {
    LedgerError::Recover { what }
}
