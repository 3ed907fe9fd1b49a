//! Stored projections against a fresh fold of the log, stream by stream.
//!
//! Invariants: a projection is compared as of its own cursor, so one that lags behind is no finding; a difference is
//! reported only when it is there while the cursor stands still.
//! Absent: folding for readers (`follower`), rows of generations that readers do not see.
//! Source: design.md "Verification" (projections against a fresh fold) and "The append path".

mod fold;
mod headers;
mod sums;

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use weituo_events::Category;
use weituo_projections::{PROJECTIONS, Row, Rulebooks, rows};
use weituo_proof::{Both, Finding, FindingKind, LeafIndex, StreamName, both, sha256};
use weituo_verifier::Collected;

use crate::follower::SumKey;
use crate::store::{Generation, KeyRange, ProjectionRow, Store, Which};

use fold::{Last, fold_stream, read_rulebooks};

use super::report::{Counts, Phase};
use super::resume::{PROJECTIONS as PART, Resume, Saver};
use super::source::{CURSORS, THE_HEAD, read};

/// Rows of a projection read in one call; one may hold a whole cycle.
const ROWS: u32 = 128;

/// Differences confirmed one by one; beyond, one reason says that there are more.
const CONFIRMED: usize = 1_000;

/// How long differences are looked at one by one: an oversized key can make each look a slow one.
const CONFIRM_FOR: Duration = Duration::from_secs(10);

/// How often a difference is looked at again because the projection moved meanwhile.
const LOOKS: u32 = 10;

/// A projection as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Active {
    generation: i64,
    next_leaf: u64,
}

/// A row to look at again.
struct Suspect {
    projection: &'static str,
    key: String,
    /// `None` for a row that no stream gives.
    stream: Option<StreamName>,
}

/// Streams that are not compared, because entries of theirs are in doubt.
pub(super) struct InDoubt<'a> {
    pub(super) streams: &'a HashSet<String>,
}

impl InDoubt<'_> {
    fn stream(&self, stream: &StreamName) -> bool {
        self.streams.contains(stream.as_str())
    }

    fn key(&self, key: &str) -> bool {
        let ids = || self.streams.iter().filter_map(|stream| Some(stream.split_once('/')?.1));
        key.split('/').any(|part| ids().any(|id| id == part))
    }

    fn rulebooks(&self) -> bool {
        self.streams.iter().any(|stream| stream.starts_with("rulebook/"))
    }
}

/// One comparison of all projections.
struct Comparison<'a> {
    store: &'a dyn Store,
    key: SumKey,
    active: BTreeMap<&'static str, Active>,
    /// The rulebooks as of each cursor.
    rulebooks: BTreeMap<u64, Rulebooks>,
}

/// Compares every projection that readers see with a fresh fold.
pub(super) async fn compare(
    store: &dyn Store,
    (size, resume): (u64, Option<&Resume>),
    in_doubt: &InDoubt<'_>,
    (findings, counts, notes): (&mut Collected, &mut Counts, &mut Vec<Both>),
    progress: impl Fn(Phase, u64),
) {
    if in_doubt.rulebooks() {
        findings.could_not(Both::new(
            "投影:规则的记录存疑,而每次推算都依据规则",
            "the projections: entries of a rulebook are in doubt, and every fold is judged by it",
        ));
        return;
    }
    let Ok(key) = SumKey::fresh() else {
        findings.could_not(Both::new(
            "投影:这台机器不给出随机数",
            "the projections: this machine gives no random bytes",
        ));
        return;
    };
    let mut comparison = Comparison { store, key, active: BTreeMap::new(), rulebooks: BTreeMap::new() };
    if comparison.begin(size, findings, notes).await.is_none() || comparison.active.is_empty() {
        return;
    }
    let mut saver = Saver::new(resume, PART);
    let sums = Mutex::new(comparison.go_on(resume));
    if comparison.fresh_sums(findings, &sums, &mut saver, |done| progress(Phase::Fold, done)).await.is_none()
    {
        return;
    }
    let mut sums = sums.into_inner().unwrap_or_else(PoisonError::into_inner);
    if comparison
        .stored_sums(findings, &mut sums, &mut saver, |done| progress(Phase::Rows, done))
        .await
        .is_none()
    {
        return;
    }
    counts.projection_rows = sums.stored.values().map(|sum| sum.rows).sum();
    let differing: HashSet<&'static str> = comparison
        .active
        .keys()
        .copied()
        .filter(|name| sums.fresh.get(*name) != sums.stored.get(*name))
        .collect();
    if differing.is_empty() {
        return;
    }
    let Some(suspects) = comparison.suspects(&differing, in_doubt, findings).await else { return };
    if suspects.len() == CONFIRMED {
        findings.could_not(both!(
            "{CONFIRMED} 行以外的投影:可能也不同;请运行 `weituo rebuild`",
            "more than {CONFIRMED} projected rows: they may differ too; run `weituo rebuild`"
        ));
    }
    let started = Instant::now();
    for suspect in suspects {
        if started.elapsed() > CONFIRM_FOR {
            let seconds = CONFIRM_FOR.as_secs();
            return findings.could_not(both!(
                "不同的投影行:{seconds} 秒内没有逐一看完;请运行 `weituo rebuild`",
                "all projected rows that differ: not looked at one by one within {seconds} s; run `weituo rebuild`"
            ));
        }
        comparison.confirm(&suspect, findings).await;
    }
}

impl Comparison<'_> {
    /// Reads the cursors and the rulebooks.
    async fn begin(&mut self, size: u64, findings: &mut Collected, notes: &mut Vec<Both>) -> Option<()> {
        let (headers, apart, unseen) = self.headers(size, findings).await?;
        for (name, version) in PROJECTIONS {
            let Some(active) = headers.get(*name) else {
                if unseen.contains(*name) {
                    findings.could_not(both!(
                        "投影 {name}:正在建立,或建立中断;其各行没有比对;请运行 `weituo rebuild`",
                        "projection {name}: it is being built, or its building broke off; its rows were not compared; run \
                         `weituo rebuild`"
                    ));
                } else if headers.is_empty() {
                    notes.push(both!(
                        "投影 {name} 还没有建立,因此没有比对",
                        "projection {name} was never built, so it was not compared"
                    ));
                } else {
                    findings.could_not(both!(
                        "投影 {name}:其他投影已建立,而它没有;请运行 `weituo rebuild`",
                        "projection {name}: readers see none of it, though other projections are built; run `weituo \
                         rebuild`"
                    ));
                }
                continue;
            };
            if apart.contains(*name) {
                continue;
            }
            if unseen.contains(*name) {
                notes.push(both!(
                    "投影 {name} 正在重建,或重建中断:已写下的各行没有比对,`weituo rebuild` 会先核对再接着建",
                    "projection {name} is being rebuilt, or that broke off: the rows written were not compared; `weituo \
                     rebuild` compares them before it goes on"
                ));
            }
            if active.fold_version != i64::from(*version) {
                let folded_by = active.fold_version;
                findings.could_not(both!(
                    "投影 {name}:它由第 {folded_by} 版推算,本程序是第 {version} 版;请运行 `weituo rebuild`",
                    "projection {name}: it was folded by version {folded_by} and this program has version {version}; run \
                     `weituo rebuild`"
                ));
                continue;
            }
            let next_leaf = active.next_leaf;
            if next_leaf > size {
                // The log may have grown since it was read.
                let now = read(&THE_HEAD, findings, || self.store.head()).await?.map_or(0, |head| head.size);
                if next_leaf > now.max(size) {
                    let detail = both!(
                        "投影 {name} 的进度超出了台账",
                        "the cursor of projection {name} is beyond the log"
                    );
                    let finding = Finding::new(FindingKind::CursorWrong, detail);
                    findings.push(finding.differing(both!("至多 {now}", "{now} or less"), &next_leaf));
                    continue;
                }
            } else if next_leaf < size {
                let behind = size - next_leaf;
                notes.push(both!(
                    "投影 {name} 落后 {behind} 条记录,按序号 {next_leaf} 时比对",
                    "projection {name} is {behind} entries behind and was compared as of leaf {next_leaf}"
                ));
            }
            self.active.insert(name, Active { generation: active.generation, next_leaf });
        }
        let cursors: Vec<u64> = self.active.values().map(|active| active.next_leaf).collect();
        for next_leaf in cursors {
            if !self.rulebooks.contains_key(&next_leaf) {
                let rulebooks = read_rulebooks(self.store, next_leaf, findings).await?;
                self.rulebooks.insert(next_leaf, rulebooks);
            }
        }
        Some(())
    }

    /// Hands over the stored rows of a projection.
    async fn stored(
        &self,
        name: &'static str,
        findings: &mut Collected,
        mut each: impl FnMut(ProjectionRow),
    ) -> Option<()> {
        let which = Which::Generation(self.active[name].generation);
        let mut after = String::new();
        loop {
            let range = KeyRange { prefix: "", after: &after, limit: ROWS };
            let page = read(&both!("投影 {name}", "projection {name}"), findings, || {
                self.store.projection_rows(name, which, range)
            })
            .await?;
            let full = page.len() >= ROWS as usize;
            let last = page.last().map(|row| row.key.clone()).filter(|last| full && *last > after);
            page.into_iter().for_each(&mut each);
            // An empty key is a row too, though none is behind it where it stands alone.
            let Some(last) = last else { return Some(()) };
            after = last;
        }
    }

    /// Returns the rows of the differing projections that are not what a fold gives, as they stand now.
    async fn suspects(
        &self,
        differing: &HashSet<&'static str>,
        in_doubt: &InDoubt<'_>,
        findings: &mut Collected,
    ) -> Option<Vec<Suspect>> {
        let short = |projection: &str, text: &str| sha256(&[projection.as_bytes(), b"\0", text.as_bytes()]);
        // 64 bytes a row, and only where something differs.
        let mut bodies = std::collections::HashMap::new();
        for name in differing {
            self.stored(name, findings, |row| {
                bodies.insert(short(name, &row.key), sha256(&[row.body.as_bytes()]));
            })
            .await?;
        }
        let mut suspects = Vec::new();
        let mut expected = HashSet::new();
        self.fold(
            (String::new(), 0),
            findings,
            |_, _, _| (),
            |stream, row| {
                let Row { projection, key, body } = row;
                if !differing.contains(projection) {
                    return;
                }
                let hash = short(projection, &key);
                let same = bodies.get(&hash) == Some(&sha256(&[body.as_bytes()]));
                expected.insert(hash);
                if !same && !in_doubt.stream(stream) && suspects.len() < CONFIRMED {
                    suspects.push(Suspect { projection, key, stream: Some(stream.clone()) });
                }
            },
        )
        .await?;
        for name in differing {
            self.stored(name, findings, |row| {
                let extra = !expected.contains(&short(name, &row.key)) && !in_doubt.key(&row.key);
                if extra && suspects.len() < CONFIRMED {
                    suspects.push(Suspect { projection: name, key: row.key, stream: None });
                }
            })
            .await?;
        }
        Some(suspects)
    }

    /// Looks at one row again while its projection stands still, and reports it if it still differs.
    async fn confirm(&self, suspect: &Suspect, findings: &mut Collected) -> Option<()> {
        let Suspect { projection, key, stream } = suspect;
        for _ in 0..LOOKS {
            let Some(before) = active(self.store, projection, findings).await? else { return Some(()) };
            let cursor = before.next_leaf;
            let rulebooks = match self.rulebooks.get(&cursor) {
                Some(rulebooks) => rulebooks.clone(),
                None => read_rulebooks(self.store, cursor, findings).await?,
            };
            let mut expected = None;
            let mut last = Last::default();
            let mut of = None;
            for stream in Self::streams_of(stream.as_ref(), key) {
                let folded = fold_stream(self.store, &stream, cursor, &rulebooks, findings).await?;
                let Some((state, end)) = folded else { continue };
                let row = rows(&stream, &state, &rulebooks)
                    .into_iter()
                    .find(|row| row.projection == *projection && row.key == *key);
                (last, of) = (end, Some(stream));
                if row.is_some() {
                    expected = row.map(|row| row.body);
                    break;
                }
            }
            let which = Which::Generation(before.generation);
            let keys = std::slice::from_ref(key);
            let found = read(&Both::new("一行投影", "a projected row"), findings, || {
                self.store.projection_get(projection, which, keys)
            })
            .await?;
            let found = found.into_iter().next().map(|row| row.body);
            if active(self.store, projection, findings).await? != Some(before) {
                continue;
            }
            if expected != found {
                findings.push(differing(suspect, expected, found, of.map(|stream| (stream, last))));
            }
            return Some(());
        }
        findings.could_not(both!(
            "投影 {projection}:每次查看 {key:?} 这一行时它都已变化",
            "projection {projection}: it moved on each time that row {key:?} was looked at"
        ));
        Some(())
    }

    /// Returns the stream of a row, or those that a key may be of: the id of the stream is one part of it.
    fn streams_of(stream: Option<&StreamName>, key: &str) -> Vec<StreamName> {
        if let Some(stream) = stream {
            return vec![stream.clone()];
        }
        let categories = [Category::Agreement, Category::Organisation, Category::Rulebook];
        let named = |part| categories.map(|category| StreamName::of(category.code(), part).ok());
        key.split('/').flat_map(named).flatten().collect()
    }
}

fn differing(
    suspect: &Suspect,
    expected: Option<String>,
    found: Option<String>,
    of: Option<(StreamName, Last)>,
) -> Finding {
    let kind = match (&expected, &found) {
        (Some(_), Some(_)) => FindingKind::ProjectionDiffers,
        (Some(_), None) => FindingKind::ProjectionMissing,
        (None, _) => FindingKind::ProjectionExtra,
    };
    let hash = |body: Option<String>| {
        body.map_or(Both::new("没有这一行", "no row"), |body| Both::from(&sha256(&[body.as_bytes()])))
    };
    let Suspect { projection, key, .. } = suspect;
    let detail = both!(
        "投影 {projection} 的 {key:?} 这一行;所示哈希是其内容的 SHA-256",
        "row {key:?} of projection {projection}; the hashes are SHA-256 of its body"
    );
    let finding = Finding::new(kind, detail).differing(hash(expected), hash(found));
    match of {
        Some((stream, last)) => {
            finding.at(LeafIndex::new(last.leaf_index)).in_stream(&stream, Some(last.sequence))
        }
        None => finding,
    }
}

async fn active(store: &dyn Store, name: &str, findings: &mut Collected) -> Option<Option<Generation>> {
    let generations = read(&CURSORS, findings, || store.generations(name)).await?;
    Some(generations.into_iter().find(|generation| generation.active))
}
