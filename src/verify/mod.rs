//! Verification: the whole ledger recomputed from its stored bytes, in constant memory.
//!
//! Invariants: nothing stored is believed where it can be recomputed; hostile rows give findings, never a panic or a
//! hang; memory is about 100 bytes a name of the index, a stream or a party, a page of entries, one more where they are of
//! usual length, and a bounded list of findings, whatever the number of entries.
//! Absent: tiles and receipts (weituo-proof checks them without a database), evidence files, service tables; whether an act was permitted.
//! Source: design.md "Verification"; format.md.

mod chain;
mod disclosures;
mod grown;
mod heads;
mod kept;
mod names;
mod outside;
mod projections;
mod replay;
mod report;
mod resume;
mod scan;
mod schema;
mod source;

use std::collections::BTreeMap;

use weituo_proof::{Both, Finding, FindingKind, Hash, StreamName, Verdict, Verdicts, VerifierKey, both};
use weituo_verifier::Collected;

use crate::errors::in_both;
use crate::store::{Head, Store, StoreError, StoreOptions};

use heads::{Claims, Opened};
use replay::Replay;
use resume::LOG;
use scan::Scan;
use source::{THE_HEAD, THE_LOG, answered, ask, read};

pub use grown::{Extension, Grown, Whole};
pub(crate) use heads::OTHER_KEY_OR_TEXT;
pub use outside::verify_log;
pub use report::{Counts, Phase, Progress, Report};
pub use resume::Resume;
pub use weituo_verifier::LISTED_FINDINGS;

/// Computes the seal of a head row from everything else in it; whoever has the log's signing key can.
pub type SealOf<'a> = dyn Fn(&Head) -> [u8; 32] + Send + Sync + 'a;

const NOT_TO_ITS_END: Both = Both::new("台账没有读到末尾", "the log was not read to its end");
const A_HEAD_ROW: Both = Both::new("首行", "a head row");

/// A checkpoint that somebody outside kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutsideCheckpoint {
    /// What to call it, such as its file name.
    pub label: String,
    /// The signed note.
    pub text: String,
}

/// What a verification is given besides the database.
#[derive(Clone, Default)]
pub struct VerifyOptions<'a> {
    /// The log's verifier keys, as the verifier trusts them: several while one is rotated. Never taken from the log.
    pub verifiers: Vec<VerifierKey>,
    /// The seal, where the signing key is at hand.
    pub seal: Option<&'a SealOf<'a>>,
    /// The anchored checkpoint, a signed note, read before this verification began.
    pub anchor: Option<String>,
    /// Size and root of the head that a batch leaves which the anchor keeps for the next start: where a process ended while it
    /// was committing it, the database may end before it.
    pub anchor_intended: Option<(u64, Hash)>,
    /// What is wrong with an anchor that is there and cannot be what the ledger stored.
    pub anchor_damaged: Option<Both>,
    /// Why an anchor that was asked for by name is not compared.
    pub anchor_absent: Option<Both>,
    /// Whether a part of the anchor is not whole, although a checkpoint could be read from the rest.
    pub anchor_broken_in_part: bool,
    /// Checkpoints that somebody else kept.
    pub outside: Vec<OutsideCheckpoint>,
    /// The stream asked about; findings that are only about others are left out, and counted in a note.
    pub stream: Option<StreamName>,
    /// Where the state is kept from which an interrupted verification goes on.
    pub resume: Option<&'a Resume>,
}

impl std::fmt::Debug for VerifyOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerifyOptions").field("stream", &self.stream).finish_non_exhaustive()
    }
}

/// Returns what to open a store with that is to be verified: a page is read ahead, disclosures and schema are looked at
/// beside it, and every further connection to SQLite would have a cache of its own.
pub fn store_options() -> StoreOptions {
    StoreOptions { readers: 3, ..StoreOptions::default() }
}

/// Verifies a ledger. Entries added after the start are not covered.
pub async fn verify(
    store: &dyn Store,
    options: &VerifyOptions<'_>,
    progress: impl Fn(Progress) + Send + Sync,
) -> Report {
    Verification::new(options).run(store, &progress).await
}

/// Returns the sizes at which roots are wanted.
fn sizes_wanted(head: Option<&Head>, opened: &Opened) -> impl Iterator<Item = u64> {
    opened.sizes().chain(head.map(|head| head.size))
}

/// One verification under way.
struct Verification<'a> {
    options: &'a VerifyOptions<'a>,
    intact: Collected,
    complete: Collected,
    age: Collected,
    notes: Vec<Both>,
}

impl<'a> Verification<'a> {
    fn new(options: &'a VerifyOptions<'a>) -> Self {
        let [intact, complete, age] = [(); 3].map(|()| Collected::default());
        Self { options, intact, complete, age, notes: Vec::new() }
    }

    async fn run(mut self, store: &dyn Store, progress: &(impl Fn(Progress) + Send + Sync)) -> Report {
        let (head, is_absent) = self.head(store).await;
        let opened = Opened::of(self.options, &mut self.intact, &mut self.age);
        let size = self.size_to_read(store, head.as_ref(), is_absent).await;
        let total = head.as_ref().map_or(0, |head| head.size);
        let told = |phase: Phase| {
            let total = if matches!(phase, Phase::Log | Phase::Fold) { total } else { 0 };
            move |done: u64| progress(Progress { phase, done, total })
        };

        let origin = self.origin(store, head.as_ref()).await;
        let empty = || {
            let replay = Replay::new(sizes_wanted(head.as_ref(), &opened));
            Scan::new(size, origin.clone().unwrap_or_default(), self.options.stream.clone(), replay)
        };
        let saved = self.options.resume.and_then(|resume| resume.load(LOG));
        let went_on = saved.and_then(|mut saved| empty().go_on(&mut saved));
        self.notes.extend(went_on.as_ref().map(|Scan { next: from, .. }| {
            both!(
                "前 {from} 条记录在中断之前已核验,没有再读",
                "the first {from} entries were verified before an interruption, and not read again"
            )
        }));
        let mut scan = went_on.unwrap_or_else(empty);
        // Looking at every page of the database takes long, too, and needs nothing of what is read meanwhile.
        let (schema, whole) = tokio::join!(
            ask(|| store.catalogue()),
            scan.run(store, &mut self.intact, self.options.resume, told(Phase::Log))
        );
        schema::judge(schema, &mut self.intact, &mut self.notes);
        if whole {
            let claims = Claims { options: self.options, head: head.as_ref(), opened: &opened };
            self.judge(store, &mut scan, &claims, &told).await;
        } else {
            // What the rest would say depends on the entries that were not read.
            self.complete.could_not(NOT_TO_ITS_END);
            self.age.could_not(NOT_TO_ITS_END);
            for finding in scan.chains.findings() {
                self.intact.push(finding.clone());
            }
        }
        self.report(origin, &scan)
    }

    /// Judges a log that was read to its end, and then what stands beside it.
    async fn judge<P: Fn(u64)>(
        &mut self,
        store: &dyn Store,
        scan: &mut Scan,
        claims: &Claims<'_>,
        told: &impl Fn(Phase) -> P,
    ) {
        if scan.chains.in_doubt() && !claims.confirm(&scan.replay) {
            told(Phase::Replay)(0);
            self.settle(store, scan, claims).await;
        }
        claims.judge(scan, &mut self.intact, &mut self.age, &mut self.notes);
        for finding in scan.chains.findings() {
            self.intact.push(finding.clone());
        }
        self.judge_index(scan);
        let disclosures = std::mem::take(&mut scan.disclosures);
        disclosures.finish(store, &scan.facts, scan.size, &mut self.intact).await;
        disclosures::count_stored(store, &mut scan.counts, &mut self.intact, told(Phase::Disclosures)).await;
        let streams = self.intact.streams();
        let in_doubt = projections::InDoubt { streams: &streams };
        let kept = (&mut self.intact, &mut scan.counts, &mut self.notes);
        let resume = self.options.resume;
        projections::compare(store, (scan.size, resume), &in_doubt, kept, |phase, done| told(phase)(done))
            .await;
    }

    /// Reads the head row, and says whether there is none; one that cannot be what the ledger stored is a finding.
    async fn head(&mut self, store: &dyn Store) -> (Option<Head>, bool) {
        match ask(|| store.head()).await {
            Err(error @ StoreError::Corrupt { .. }) => {
                let detail =
                    Both::new("首行不可能是台账所存的", "the head row cannot be what the ledger stored");
                let finding = Finding::new(FindingKind::ColumnDiffers, detail);
                self.intact.push(finding.differing(A_HEAD_ROW, in_both(&error)));
                (None, false)
            }
            answer => match answered(&THE_HEAD, &mut self.intact, answer) {
                Some(head) => (head.clone(), head.is_none()),
                None => (None, false),
            },
        }
    }

    /// Returns how many entries to read: as many as the head counts, or all (`u64::MAX`) where it cannot be relied on.
    async fn size_to_read(&mut self, store: &dyn Store, head: Option<&Head>, is_absent: bool) -> u64 {
        let Some(head) = head else {
            match read(&THE_LOG, &mut self.intact, || store.scan(i64::MIN, 1)).await {
                Some(rows) if rows.is_empty() => self
                    .intact
                    .could_not(Both::new("这个数据库里没有台账", "there is no log in this database")),
                Some(_) if is_absent => self.intact.push(
                    Finding::new(
                        FindingKind::SizeDiffers,
                        Both::new("有记录而没有首行", "there are entries and no head row"),
                    )
                    .differing(A_HEAD_ROW, Both::new("没有", "none")),
                ),
                _ => {}
            }
            return u64::MAX;
        };
        let Ok(end) = i64::try_from(head.size) else { return u64::MAX };
        let beyond = read(&THE_LOG, &mut self.intact, || store.scan(end, 1)).await.unwrap_or_default();
        // A batch and its head are committed together: a head read after the row counts it, or the row is no entry.
        let Some(at) = beyond.first().and_then(scan::index_of) else { return head.size };
        match read(&THE_HEAD, &mut self.intact, || store.head()).await.flatten() {
            Some(now) if u64::try_from(at).is_ok_and(|at| at >= now.size) => u64::MAX,
            _ => head.size,
        }
    }

    /// Returns the origin that every entry must name: the head's, or entry 0's where there is no head.
    async fn origin(&mut self, store: &dyn Store, head: Option<&Head>) -> Option<String> {
        if let Some(head) = head {
            return Some(head.origin.clone());
        }
        let first = store.entry(0).await.ok().flatten()?;
        let entry = weituo_proof::Entry::parse(first.body.as_bytes()).ok()?;
        Some(entry.ledger.to_string())
    }

    /// Finds out what entries in doubt were: grows the tree with the hashes that other entries name for them, and
    /// believes those when the tree then has every root that was committed to.
    async fn settle(&mut self, store: &dyn Store, scan: &mut Scan, claims: &Claims<'_>) {
        let mut tried = BTreeMap::new();
        for computed in [false, true] {
            let overrides = scan.chains.overrides(computed);
            if overrides == tried {
                continue;
            }
            let empty = Replay::new(sizes_wanted(claims.head, claims.opened));
            let Some(replay) = scan.replay_with(store, &overrides, empty, &mut self.intact).await else {
                return;
            };
            if claims.confirm(&replay) {
                scan.chains.settle(&overrides);
                scan.replay = replay;
                return;
            }
            tried = overrides;
        }
    }

    fn judge_index(&mut self, scan: &Scan) {
        for finding in scan.index_findings() {
            self.complete.push(finding);
        }
        if let Some(from) = scan.replay.unplaced_from() {
            self.complete.could_not(both!(
                "序号 {from} 起的索引:该记录缺失或无法读取",
                "the index from leaf {from} on: that entry is missing or unreadable"
            ));
        }
        if scan.chains.in_doubt() {
            self.complete.could_not(Both::new(
                "有记录被改动或缺失,见核验异常",
                "entries are altered or missing: see what is not intact",
            ));
        }
        if scan.counts.entries == 0 {
            self.complete.could_not(Both::new("没有读到任何记录", "no entry was read"));
        }
        if let Some(asked) = self.options.stream.as_ref().filter(|_| scan.counts.entries_asked == 0) {
            self.complete
                .could_not(both!("台账没有流 {asked} 的记录", "the log has no entry of stream {asked}"));
        }
    }

    fn report(mut self, mut origin: Option<String>, scan: &Scan) -> Report {
        origin.iter_mut().for_each(weituo_verifier::shorten);
        let mut counts = scan.counts;
        counts.index_roots = scan.replay.index_roots;
        counts.not_indexed = scan.size.saturating_sub(scan.replay.indexed_to);
        if let Some(asked) = &self.options.stream {
            let lists = [&mut self.intact, &mut self.complete];
            let elsewhere: u64 = lists.into_iter().map(|list| list.keep_stream(asked.as_str())).sum();
            if elsewhere > 0 {
                self.notes.push(both!(
                    "另有 {elsewhere} 处异常属于其他流,未列出",
                    "{elsewhere} findings about other streams are left out"
                ));
            }
        }
        let mut unlisted = BTreeMap::new();
        let verdicts = Verdicts {
            intact: self.intact.verdict(&mut unlisted),
            complete: self.complete.verdict(&mut unlisted),
            age: self.age.verdict(&mut unlisted),
        };
        // A database that went away in between is gone on with, too.
        let ended = !matches!(verdicts.intact, Verdict::CouldNotCheck { .. });
        if let Some(resume) = self.options.resume.filter(|_| ended) {
            resume.clear();
        }
        let age_asked = !self.options.outside.is_empty();
        Report { origin, root: scan.replay.root(), verdicts, age_asked, counts, unlisted, notes: self.notes }
    }
}
