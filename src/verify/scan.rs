//! The log read once, by leaf index: every row judged by itself, by its stream and by the entries before it.
//!
//! Invariants: every row is judged, whatever stands before it; reading stops only where the store does not answer.
//! Absent: root hashes (`heads`), disclosures (`disclosures`), projections (`projections`).
//! Source: design.md "Verification"; format.md "Entry".

mod again;
mod examined;
mod holes;
mod saved;

use std::fmt::Display;

use weituo_proof::{Both, Entry, Finding, FindingKind, Hash, LeafIndex, RecordedAt, StreamName, both};
use weituo_verifier::{Collected, Facts, IndexClaim, Said, place};

use crate::store::{GarbledRow, Scanned, Store};

use super::chain::{Chains, KEPT_DOUBTS};
use super::disclosures::{Disclosures, Unaltered};
use super::replay::{Leaf, Replay};
use super::report::Counts;
use super::resume::{LOG, Resume, Saver};
use super::source::{AHEAD_BYTES, AT_ONCE, THE_LOG, answered, read};

pub(super) use examined::Examined;
use examined::{Page, Read, Row};

/// Repeated command ids that are looked up one by one.
const LISTED_COMMANDS: u32 = 100;

/// Everything that reading the log establishes.
pub(super) struct Scan {
    /// Number of entries to read: what the head row counted when the verification began; `u64::MAX` until the end of
    /// the log is found, where the head row cannot be relied on.
    pub(super) size: u64,
    origin: String,
    asked: Option<StreamName>,
    pub(super) chains: Chains,
    pub(super) facts: Facts,
    pub(super) disclosures: Disclosures,
    pub(super) replay: Replay,
    pub(super) counts: Counts,
    pub(super) last_recorded_at: Option<RecordedAt>,
    /// Number of entries that whoever asks has seen before.
    pub(super) seen: u64,
    /// Leaf index and instant of the first entry beyond those.
    pub(super) first_unseen: Option<(u64, RecordedAt)>,
    pub(super) missing: u64,
    /// Origin that every entry names although the head does not: reported once.
    other_origin: Option<String>,
    /// The leaf index to be read next.
    pub(super) next: u64,
}

impl Scan {
    pub(super) fn new(size: u64, origin: String, asked: Option<StreamName>, replay: Replay) -> Self {
        Self {
            size,
            origin,
            asked,
            chains: Chains::default(),
            facts: Facts::default(),
            disclosures: Disclosures::default(),
            replay,
            counts: Counts::default(),
            last_recorded_at: None,
            seen: 0,
            first_unseen: None,
            missing: 0,
            other_origin: None,
            next: 0,
        }
    }

    /// Reads the log up to the size of its head. Returns whether it could be read to that end.
    pub(super) async fn run(
        &mut self,
        store: &dyn Store,
        findings: &mut Collected,
        resume: Option<&Resume>,
        progress: impl Fn(u64),
    ) -> bool {
        let whole = self.read_rows(store, findings, resume, progress).await;
        if whole && self.size != u64::MAX {
            self.holes_to(self.size, findings);
        }
        self.size = self.next;
        self.counts.streams = self.replay.streams();
        self.counts.signatures = self.facts.signatures();
        self.counts.erased = self.facts.erased.len() as u64;
        self.find_repeated(store, findings).await;
        whole
    }

    async fn read_rows(
        &mut self,
        store: &dyn Store,
        findings: &mut Collected,
        resume: Option<&Resume>,
        progress: impl Fn(u64),
    ) -> bool {
        let mut saver = Saver::new(resume, LOG);
        let before = findings.collected();
        let from = if self.next == 0 { i64::MIN } else { i64::try_from(self.next).unwrap_or(i64::MAX) };
        let mut answer = Page::read(store, from).await;
        loop {
            let Some(page) = answered(&THE_LOG, findings, answer) else { return false };
            let last_page = !page.is_full || page.rows.iter().any(|row| self.is_beyond(row));
            // The next page is read and examined while this one is judged, unless the two would be large.
            let is_light = page.length <= AHEAD_BYTES;
            let next = page.next.filter(|_| !last_page);
            let following = async {
                match next {
                    Some(next) => Some(Page::read(store, next).await),
                    None => None,
                }
            };
            let judging = self.page(store, page.rows, findings);
            let following = if is_light {
                tokio::join!(following, judging).0
            } else {
                judging.await;
                following.await
            };
            progress(self.next);
            self.save(&mut saver, findings.collected() == before);
            match following {
                Some(following) => answer = following,
                None if last_page => return true,
                None => {
                    findings.could_not(Both::new(
                        "一页没有序号的行之后的台账",
                        "the log beyond a page of rows without leaf index",
                    ));
                    return false;
                }
            }
        }
    }

    fn is_beyond(&self, row: &Result<Examined, GarbledRow>) -> bool {
        let at = match row {
            Ok(examined) => Some(examined.row.leaf_index),
            Err(garbled) => garbled.leaf_index.and_then(|at| u64::try_from(at).ok()),
        };
        at.is_some_and(|at| at >= self.size)
    }

    /// Judges the rows of one page, up to the end of what is to be read.
    async fn page(
        &mut self,
        store: &dyn Store,
        rows: Vec<Result<Examined, GarbledRow>>,
        findings: &mut Collected,
    ) {
        let mut unaltered = Vec::new();
        for (count, row) in rows.into_iter().enumerate() {
            if self.is_beyond(&row) {
                break;
            }
            match row {
                Ok(row) => unaltered.extend(self.row(row, findings)),
                Err(garbled) => self.garbled(store, &garbled, findings).await,
            }
            if count % AT_ONCE == AT_ONCE - 1 {
                tokio::task::yield_now().await;
            }
        }
        self.disclosures.match_page(store, &unaltered, self.next, findings).await;
    }

    /// Returns the committed index roots that the entries do not give.
    pub(super) fn index_findings(&self) -> impl Iterator<Item = Finding> {
        self.replay.index_differs().iter().map(|differs| {
            let (further_zh, further) = match differs.following {
                0 => (String::new(), String::new()),
                count => (
                    format!(";其后另有 {count} 个也不同"),
                    format!("; {count} further ones after it differ too"),
                ),
            };
            let before = differs.leaf_index;
            let detail = both!(
                "所承诺的索引与它之前 {before} 条记录推算的不同{further_zh}",
                "the committed index of the {before} entries before it is not what they give{further}"
            );
            Finding::new(FindingKind::IndexRootDiffers, detail)
                .at(LeafIndex::new(differs.leaf_index))
                .in_stream("log/index", Some(differs.sequence))
                .differing(differs.expected.clone(), differs.found.clone())
        })
    }

    /// Judges a row and counts it in. Returns its entry's place and sealed values if that is what was recorded.
    pub(super) fn row(&mut self, examined: Examined, findings: &mut Collected) -> Option<Unaltered> {
        let Examined { row, read } = examined;
        let at = row.leaf_index;
        let in_row =
            |finding: Finding| finding.at(LeafIndex::new(at)).in_stream(&row.stream, Some(row.sequence));
        if at < self.next {
            findings.push(in_row(Finding::new(
                FindingKind::LeafDuplicated,
                Both::new("另有一行也是这个序号", "another row has this leaf index too"),
            )));
            return None;
        }
        self.holes_to(at, findings);
        self.next = at + 1;
        self.counts.entries += 1;
        let (stored, computed) = (row.leaf_hash, row.computed);
        if computed == stored {
            return match read {
                Ok(Read { entry, said, sealed }) => {
                    self.entry(&row, &entry, said, findings);
                    let Entry { stream, sequence, .. } = entry;
                    Some(Unaltered { leaf_index: at, stream, sequence, sealed })
                }
                Err(error) => {
                    findings.push(in_row(row.unreadable(&error)));
                    self.unread(&row);
                    None
                }
            };
        }
        let detail = Both::new(
            "所存的内容与所存的哈希不符:二者之一被改动",
            "the stored bytes do not have the stored leaf hash: one of the two was edited",
        );
        let finding =
            in_row(Finding::new(FindingKind::LeafHashDiffers, detail)).differing(&stored, &computed);
        if self.chains.altered.len() < KEPT_DOUBTS {
            self.chains.altered(finding, at, stored, computed);
        } else {
            findings.push(finding);
            self.chains.take(at, stored);
        }
        match read {
            Ok(Read { entry, said, .. }) => {
                self.facts.take_altered(at, &entry, said, findings);
                self.count(&row, &entry.parties, stored, None);
            }
            Err(_) => self.unread(&row),
        }
        None
    }

    /// Judges an entry whose bytes have the stored hash.
    fn entry(&mut self, row: &Row, entry: &Entry, said: Said, findings: &mut Collected) {
        let at = row.leaf_index;
        let command = uuid::Uuid::from_bytes(row.command);
        let columns: [(&str, bool, &dyn Display, &dyn Display); 3] = [
            ("stream", entry.stream.as_str() == row.stream, &entry.stream, &row.stream),
            ("sequence", entry.sequence == row.sequence, &entry.sequence, &row.sequence),
            ("command", entry.command.to_bytes() == row.command, &entry.command, &command),
        ];
        for (column, _, expected, found) in columns.into_iter().filter(|(_, same, ..)| !same) {
            let detail = both!("{column} 列与记录不符", "column {column} does not repeat the entry");
            let finding = Finding::new(FindingKind::ColumnDiffers, detail).differing(expected, found);
            findings.push(place(finding, at, entry));
        }
        let last = self.replay.head(entry.stream.as_str());
        if let Some(finding) = self.chains.follow(at, entry, row.leaf_hash, last) {
            findings.push(finding);
        }
        self.check_origin(at, entry, findings);
        if self.last_recorded_at.is_some_and(|last| entry.recorded_at < last) {
            let last = self.last_recorded_at.map(|last| last.to_string()).unwrap_or_default();
            let detail = Both::new(
                "存证时间早于前一条记录",
                "recorded_at is smaller than that of the entry before it",
            );
            let finding = Finding::new(FindingKind::RecordedAtDecreases, detail);
            let expected = both!("{last} 或之后", "{last} or later");
            findings.push(place(finding, at, entry).differing(expected, &entry.recorded_at));
        }
        self.last_recorded_at = Some(entry.recorded_at);
        if at >= self.seen {
            self.first_unseen.get_or_insert((at, entry.recorded_at));
        }
        let index = self.facts.take_judged(at, entry, said, true, findings);
        let leaf = Leaf {
            at,
            hash: row.leaf_hash,
            stream: entry.stream.as_str(),
            sequence: entry.sequence,
            parties: &entry.parties,
            index,
        };
        self.replay.add(&leaf);
        if self.asked.as_ref().is_none_or(|asked| *asked == entry.stream) {
            self.counts.entries_asked += 1;
        }
    }

    fn check_origin(&mut self, at: u64, entry: &Entry, findings: &mut Collected) {
        if entry.ledger.as_str() == self.origin || self.other_origin.as_deref() == Some(entry.ledger.as_str())
        {
            return;
        }
        let detail =
            Both::new("该记录所写的台账名与首行不同", "the entry names another origin than the head row");
        let finding = Finding::new(FindingKind::OriginDiffers, detail);
        findings.push(place(finding, at, entry).differing(&self.origin, &entry.ledger));
        if at == 0 {
            // The head row is the odd one out: saying so once is enough.
            self.other_origin = Some(entry.ledger.to_string());
        }
    }

    /// Counts a row in by its columns, with what is known of it.
    fn count(&mut self, row: &Row, parties: &[StreamName], hash: Hash, index: Option<IndexClaim>) {
        let (stream, sequence) = (row.stream.as_str(), row.sequence);
        self.replay.add(&Leaf { at: row.leaf_index, hash, stream, sequence, parties, index });
    }

    /// Counts in a row whose bytes are not an entry.
    fn unread(&mut self, row: &Row) {
        self.chains.take(row.leaf_index, row.leaf_hash);
        self.replay.add_missing(Some(row.leaf_hash), Some((&row.stream, row.sequence)));
    }

    /// Finds command ids that stand in more than one row. The column was compared with every entry.
    async fn find_repeated(&self, store: &dyn Store, findings: &mut Collected) {
        let Some(repeated) = read(&Both::new("命令标识", "the command ids"), findings, || {
            store.repeated_commands(LISTED_COMMANDS)
        })
        .await
        else {
            return;
        };
        for command in repeated.into_iter().filter_map(|bytes| <[u8; 16]>::try_from(bytes).ok()) {
            let Some(mut rows) = read(&Both::new("一个命令标识", "a command id"), findings, || {
                store.by_command(std::slice::from_ref(&command))
            })
            .await
            else {
                continue;
            };
            rows.sort_by_key(|row| row.leaf_index);
            let Some((first, others)) = rows.split_first() else { continue };
            let id = uuid::Uuid::from_bytes(command);
            for other in others.iter().filter(|other| other.leaf_index < self.size) {
                let first = first.leaf_index;
                let detail =
                    both!("命令 {id} 也是序号 {first} 的命令", "command {id} is that of leaf {first} too");
                let finding = Finding::new(FindingKind::CommandDuplicated, detail);
                let finding = finding.at(LeafIndex::new(other.leaf_index));
                findings.push(finding.differing(Both::new("新的命令标识", "a new command id"), &id));
            }
        }
    }
}

pub(super) fn index_of(scanned: &Scanned) -> Option<i64> {
    match scanned {
        Scanned::Row(row) => i64::try_from(row.leaf_index).ok(),
        Scanned::Garbled(garbled) => garbled.leaf_index,
    }
}
