//! The log read once, by leaf index: every row judged by itself, by its stream and by the entries before it.
//!
//! Invariants: every row is judged, whatever stands before it; reading stops only where the store does not answer.
//! Absent: root hashes (`heads`), disclosures (`disclosures`), projections (`projections`).
//! Source: design.md "Verification"; format.md "Entry".

mod again;
mod saved;

use std::fmt::Display;

use weituo_proof::{
    Entry, EntryError, Finding, FindingKind, Hash, LeafIndex, RecordedAt, StreamName, leaf_hash,
};
use weituo_verifier::{Collected, Facts, IndexClaim, chain, place};

use crate::store::{EntryRow, GarbledRow, Scanned, Store};

use super::chain::{Chains, Hole, KEPT_DOUBTS};
use super::disclosures::Disclosures;
use super::replay::{Leaf, Replay};
use super::report::Counts;
use super::resume::{LOG, Resume, Saver};
use super::source::{PAGE, answered, ask, read};

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
        let mut from = if self.next == 0 { i64::MIN } else { i64::try_from(self.next).unwrap_or(i64::MAX) };
        let mut answer = ask(|| store.scan(from, PAGE)).await;
        loop {
            let Some(page) = answered("the log", findings, answer) else { return false };
            let last_page = page.len() < PAGE as usize || page.iter().any(|scanned| self.is_beyond(scanned));
            let next = page.iter().filter_map(index_of).max().and_then(|last| last.checked_add(1));
            let next = next.filter(|next| *next > from);
            // The next page is read while this one is judged.
            let following = async {
                match next.filter(|_| !last_page) {
                    Some(next) => Some((next, ask(|| store.scan(next, PAGE)).await)),
                    None => None,
                }
            };
            let (following, ()) = tokio::join!(following, self.page(store, page, findings));
            progress(self.next);
            self.save(&mut saver, findings.collected() == before);
            match following {
                Some(following) => (from, answer) = following,
                None if last_page => return true,
                None => {
                    findings.could_not("the log beyond a page of rows without leaf index");
                    return false;
                }
            }
        }
    }

    fn is_beyond(&self, scanned: &Scanned) -> bool {
        index_of(scanned).is_some_and(|at| u64::try_from(at).is_ok_and(|at| at >= self.size))
    }

    /// Judges the rows of one page, up to the end of what is to be read.
    async fn page(&mut self, store: &dyn Store, page: Vec<Scanned>, findings: &mut Collected) {
        let mut rows = Vec::new();
        for scanned in page {
            if self.is_beyond(&scanned) {
                break;
            }
            match scanned {
                Scanned::Row(row) => {
                    if let Some(entry) = self.row(&row, findings) {
                        rows.push((row.leaf_index, entry));
                    }
                }
                Scanned::Garbled(garbled) => self.garbled(store, &garbled, findings).await,
            }
        }
        self.disclosures.match_page(store, &rows, self.next, findings).await;
    }

    /// Returns the committed index roots that the entries do not give.
    pub(super) fn index_findings(&self) -> impl Iterator<Item = Finding> {
        self.replay.index_differs().iter().map(|differs| {
            let further = match differs.following {
                0 => String::new(),
                count => format!("; {count} further ones after it differ too"),
            };
            let detail = format!(
                "the committed index of the {} entries before it is not what they give{further}",
                differs.leaf_index
            );
            Finding::new(FindingKind::IndexRootDiffers, detail)
                .at(LeafIndex::new(differs.leaf_index))
                .in_stream("log/index", Some(differs.sequence))
                .differing(&differs.expected, &differs.found)
        })
    }

    /// Judges a row and counts it in. Returns its entry if that is what was recorded.
    pub(super) fn row(&mut self, row: &EntryRow, findings: &mut Collected) -> Option<Entry> {
        let at = row.leaf_index;
        let in_row =
            |finding: Finding| finding.at(LeafIndex::new(at)).in_stream(&row.stream, Some(row.sequence));
        if at < self.next {
            findings.push(in_row(Finding::new(
                FindingKind::LeafDuplicated,
                "another row has this leaf index too",
            )));
            return None;
        }
        self.holes_to(at, findings);
        self.next = at + 1;
        self.counts.entries += 1;
        let computed = leaf_hash(row.body.as_bytes());
        let parsed = Entry::parse(row.body.as_bytes());
        if computed == row.leaf_hash {
            return match parsed {
                Ok(entry) => Some(self.entry(row, entry, findings)),
                Err(error) => {
                    findings.push(in_row(unreadable(&error, row.body.len(), computed)));
                    self.unread(row);
                    None
                }
            };
        }
        let detail = "the stored bytes do not have the stored leaf hash: one of the two was edited";
        let finding =
            in_row(Finding::new(FindingKind::LeafHashDiffers, detail)).differing(&row.leaf_hash, &computed);
        if self.chains.altered.len() < KEPT_DOUBTS {
            self.chains.altered(finding, at, row.leaf_hash, computed);
        } else {
            findings.push(finding);
            self.chains.take(at, row.leaf_hash);
        }
        match parsed {
            Ok(entry) => {
                self.facts.take(at, &entry, false, findings);
                self.count(row, &entry.parties, row.leaf_hash, None);
            }
            Err(_) => self.unread(row),
        }
        None
    }

    /// Judges an entry whose bytes have the stored hash.
    fn entry(&mut self, row: &EntryRow, entry: Entry, findings: &mut Collected) -> Entry {
        let at = row.leaf_index;
        let command = uuid::Uuid::from_bytes(row.command);
        let columns: [(&str, bool, &dyn Display, &dyn Display); 3] = [
            ("stream", entry.stream.as_str() == row.stream, &entry.stream, &row.stream),
            ("sequence", entry.sequence == row.sequence, &entry.sequence, &row.sequence),
            ("command", entry.command.to_bytes() == row.command, &entry.command, &command),
        ];
        for (column, _, expected, found) in columns.into_iter().filter(|(_, same, ..)| !same) {
            let detail = format!("column {column} does not repeat the entry");
            let finding = Finding::new(FindingKind::ColumnDiffers, detail).differing(expected, found);
            findings.push(place(finding, at, &entry));
        }
        let last = self.replay.head(entry.stream.as_str());
        if let Some(finding) = self.chains.follow(at, &entry, row.leaf_hash, last) {
            findings.push(finding);
        }
        self.check_origin(at, &entry, findings);
        if self.last_recorded_at.is_some_and(|last| entry.recorded_at < last) {
            let last = self.last_recorded_at.map(|last| last.to_string()).unwrap_or_default();
            let detail = "recorded_at is smaller than that of the entry before it";
            let finding = Finding::new(FindingKind::RecordedAtDecreases, detail);
            findings
                .push(place(finding, at, &entry).differing(&format!("{last} or later"), &entry.recorded_at));
        }
        self.last_recorded_at = Some(entry.recorded_at);
        if at >= self.seen {
            self.first_unseen.get_or_insert((at, entry.recorded_at));
        }
        let index = self.facts.take(at, &entry, true, findings);
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
        entry
    }

    fn check_origin(&mut self, at: u64, entry: &Entry, findings: &mut Collected) {
        if entry.ledger.as_str() == self.origin || self.other_origin.as_deref() == Some(entry.ledger.as_str())
        {
            return;
        }
        let detail = "the entry names another origin than the head row";
        let finding = Finding::new(FindingKind::OriginDiffers, detail);
        findings.push(place(finding, at, entry).differing(&self.origin, &entry.ledger));
        if at == 0 {
            // The head row is the odd one out: saying so once is enough.
            self.other_origin = Some(entry.ledger.to_string());
        }
    }

    /// Counts a row in by its columns, with what is known of it.
    fn count(&mut self, row: &EntryRow, parties: &[StreamName], hash: Hash, index: Option<IndexClaim>) {
        let (stream, sequence) = (row.stream.as_str(), row.sequence);
        self.replay.add(&Leaf { at: row.leaf_index, hash, stream, sequence, parties, index });
    }

    /// Counts in a row whose bytes are not an entry.
    fn unread(&mut self, row: &EntryRow) {
        self.chains.take(row.leaf_index, row.leaf_hash);
        self.replay.add_missing(Some(row.leaf_hash), Some((&row.stream, row.sequence)));
    }

    /// Reports a row with a column that no writer stored, and counts it in by its leaf hash where that can be read.
    async fn garbled(&mut self, store: &dyn Store, garbled: &GarbledRow, findings: &mut Collected) {
        let GarbledRow { leaf_index, column, found } = garbled;
        let kind = match *column {
            "body" => FindingKind::BadEntry,
            "leaf_hash" => FindingKind::LeafHashDiffers,
            _ => FindingKind::ColumnDiffers,
        };
        let finding = Finding::new(kind, format!("column {column} cannot be what the ledger stored"));
        let Some(at) = leaf_index.and_then(|at| u64::try_from(at).ok()).filter(|at| *at >= self.next) else {
            let at = leaf_index.map_or("unknown".to_owned(), |at| at.to_string());
            findings.push(finding.differing("a row of the log", &format!("{found}, at leaf index {at}")));
            return;
        };
        self.holes_to(at, findings);
        self.next = at + 1;
        self.counts.entries += 1;
        let stored = store.leaf_hashes(at..at + 1).await.ok().and_then(|hashes| hashes.first().copied());
        let expected = stored.map_or("a value of its type".to_owned(), |hash| format!("entry {hash}"));
        self.hole(at, finding.at(LeafIndex::new(at)).differing(&expected, &found), stored, findings);
    }

    /// Reports bytes that are no entry, and counts them in by their leaf hash.
    pub(super) fn unreadable_at(
        &mut self,
        at: u64,
        finding: Finding,
        leaf_hash: Hash,
        findings: &mut Collected,
    ) {
        self.holes_to(at, findings);
        self.next = at + 1;
        self.counts.entries += 1;
        self.hole(at, finding, Some(leaf_hash), findings);
    }

    /// Reports the leaf indexes without a row before `end`.
    pub(super) fn holes_to(&mut self, end: u64, findings: &mut Collected) {
        while self.next < end {
            self.missing += 1;
            if self.chains.holes.len() >= KEPT_DOUBTS {
                let detail = format!("there is no row from this leaf index up to {}", end - 1);
                let finding = Finding::new(FindingKind::LeafMissing, detail)
                    .at(LeafIndex::new(self.next))
                    .differing(&format!("{} entries", end - self.next), "no row");
                self.hole(self.next, finding, None, findings);
                self.missing += end - self.next - 1;
                self.replay.skip(end - self.next - 1);
                self.next = end;
                return;
            }
            let finding = Finding::new(FindingKind::LeafMissing, "there is no row with this leaf index")
                .at(LeafIndex::new(self.next))
                .differing("an entry", "no row");
            self.hole(self.next, finding, None, findings);
            self.next += 1;
        }
    }

    fn hole(&mut self, at: u64, finding: Finding, hash: Option<Hash>, findings: &mut Collected) {
        if self.chains.holes.len() <= KEPT_DOUBTS {
            self.chains.holes.insert(at, Hole { finding, place: None, hash });
        } else {
            findings.push(finding);
        }
        self.replay.add_missing(hash, None);
    }

    /// Finds command ids that stand in more than one row. The column was compared with every entry.
    async fn find_repeated(&self, store: &dyn Store, findings: &mut Collected) {
        let Some(repeated) =
            read("the command ids", findings, || store.repeated_commands(LISTED_COMMANDS)).await
        else {
            return;
        };
        for command in repeated.into_iter().filter_map(|bytes| <[u8; 16]>::try_from(bytes).ok()) {
            let Some(mut rows) =
                read("a command id", findings, || store.by_command(std::slice::from_ref(&command))).await
            else {
                continue;
            };
            rows.sort_by_key(|row| row.leaf_index);
            let Some((first, others)) = rows.split_first() else { continue };
            let id = uuid::Uuid::from_bytes(command);
            for other in others.iter().filter(|other| other.leaf_index < self.size) {
                let detail = format!("command {id} is that of leaf {} too", first.leaf_index);
                let finding = Finding::new(FindingKind::CommandDuplicated, detail);
                let finding = finding.at(LeafIndex::new(other.leaf_index));
                findings.push(finding.differing("a new command id", &id));
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

/// Returns what is wrong with bytes that are not an entry.
pub(super) fn unreadable(error: &EntryError, bytes: usize, computed: Hash) -> Finding {
    let kind = match error {
        EntryError::NotCanonical(_) => FindingKind::NotCanonical,
        _ => FindingKind::BadEntry,
    };
    Finding::new(kind, chain(error))
        .differing("the entry as recorded", &format!("{bytes} bytes with leaf hash {computed}"))
}
