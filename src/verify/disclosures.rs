//! Disclosures against the sealed digests of the entries and the recorded erasures.
//!
//! Invariants: every sealed digest of an unaltered entry has its disclosure or a recorded erasure, or is a finding;
//! every stored disclosure belongs to such a digest, or is a finding.
//! Absent: reading what is disclosed.
//! Source: format.md "Sealed values"; RFC 9901 section 4.2.3 (digest over the disclosure's ASCII).

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use weituo_proof::{Both, Entry, Finding, FindingKind, LeafIndex, StreamName, both, sha256};
use weituo_verifier::{Collected, Facts, said};

use crate::errors::in_both;
use crate::store::{DisclosureRow, Scanned, Store};

use super::chain::KEPT_DOUBTS;
use super::report::Counts;
use super::source::{DISCLOSURES, PAGE, THE_HEAD, THE_LOG, answered, is_unreadable, read};

/// Sealed values without a stored disclosure that are kept until every erasure has been read (about 200 bytes each).
const KEPT_ABSENT: usize = 1_000_000;

/// What stands, or is read.
const A_DISCLOSURE: Both = Both::new("一个披露值", "a disclosure");
const NO_DISCLOSURE: Both = Both::new("没有披露值", "no disclosure");

/// Where a sealed value stands.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Sealed {
    leaf_index: u64,
    stream: String,
    sequence: u64,
}

impl Sealed {
    fn of(entry: &Unaltered) -> Self {
        Self { leaf_index: entry.leaf_index, stream: entry.stream.to_string(), sequence: entry.sequence }
    }

    fn finding(&self, kind: FindingKind, detail: Both) -> Finding {
        Finding::new(kind, detail)
            .at(LeafIndex::new(self.leaf_index))
            .in_stream(&self.stream, Some(self.sequence))
    }
}

/// An entry that is what was recorded, as far as its disclosures are matched with it.
#[derive(Debug)]
pub(super) struct Unaltered {
    pub(super) leaf_index: u64,
    pub(super) stream: StreamName,
    pub(super) sequence: u64,
    /// Digests of its sealed values.
    pub(super) sealed: Vec<String>,
}

/// What is open between the log and the disclosures.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Disclosures {
    /// Sealed digests whose disclosure is not stored.
    absent: HashMap<String, Sealed>,
    /// Stored digests that their entry does not hold, with the leaf index stored.
    extra: BTreeMap<String, u64>,
    overflown: bool,
}

impl Disclosures {
    /// Returns whether every disclosure so far belongs to a sealed value.
    pub(super) fn is_clean(&self) -> bool {
        self.extra.is_empty() && !self.overflown
    }

    /// Matches the disclosures of one page of the log, up to leaf `end`. `entries` are its unaltered ones.
    pub(super) async fn match_page(
        &mut self,
        store: &dyn Store,
        entries: &[Unaltered],
        end: u64,
        findings: &mut Collected,
    ) {
        let Some(first) = entries.first() else { return };
        let mut open: BTreeMap<(u64, String), Sealed> = BTreeMap::new();
        for entry in entries {
            for digest in &entry.sealed {
                open.insert((entry.leaf_index, digest.clone()), Sealed::of(entry));
            }
        }
        // No column holds a leaf index beyond 2^63.
        let range = first.leaf_index..end.min(i64::MAX.unsigned_abs());
        for row in self.stored(store, range, entries, findings).await {
            // The disclosures of an altered entry cannot be judged by it.
            if let Ok(at) = entries.binary_search_by_key(&row.leaf_index, |entry| entry.leaf_index) {
                self.match_row(&row, &entries[at], &mut open, findings);
            }
        }
        for ((_, digest), sealed) in open {
            if self.absent.len() < KEPT_ABSENT {
                self.absent.insert(digest, sealed);
            } else {
                self.overflown = true;
            }
        }
    }

    fn match_row(
        &mut self,
        row: &DisclosureRow,
        entry: &Unaltered,
        open: &mut BTreeMap<(u64, String), Sealed>,
        findings: &mut Collected,
    ) {
        let computed = URL_SAFE_NO_PAD.encode(sha256(&[row.disclosure.as_bytes()]).0);
        let sealed = Sealed::of(entry);
        if open.remove(&(row.leaf_index, row.digest.clone())).is_some() {
            if computed != row.digest {
                let detail = Both::new(
                    "所存的披露值与封存的摘要不符",
                    "the stored disclosure does not have the sealed digest",
                );
                let finding = sealed.finding(FindingKind::DisclosureUnmatched, detail);
                findings.push(finding.differing(&row.digest, &computed));
            }
        } else if open.remove(&(row.leaf_index, computed.clone())).is_some() {
            let detail = Both::new(
                "披露值的 digest 列不是其文本的摘要",
                "column digest of the disclosure is not the digest of its text",
            );
            findings
                .push(sealed.finding(FindingKind::ColumnDiffers, detail).differing(&computed, &row.digest));
        } else if self.extra.len() < KEPT_DOUBTS {
            self.extra.insert(row.digest.clone(), row.leaf_index);
        } else {
            findings.push(unmatched(row.leaf_index, &row.digest));
        }
    }

    /// Returns the stored disclosures of a range; a row that cannot be read is a finding, and the others are read
    /// around it.
    async fn stored(
        &self,
        store: &dyn Store,
        range: Range<u64>,
        entries: &[Unaltered],
        findings: &mut Collected,
    ) -> Vec<DisclosureRow> {
        let error = match store.disclosures(range.clone()).await {
            Ok(rows) => return rows,
            Err(error) if is_unreadable(&error) => error,
            Err(_) => {
                return read(&DISCLOSURES, findings, || store.disclosures(range.clone()))
                    .await
                    .unwrap_or_default();
            }
        };
        tracing::debug!(%error, "reading disclosures one leaf at a time");
        let mut rows = Vec::new();
        // Of the entries only: a hostile leaf index makes the range as long as it likes.
        for Unaltered { leaf_index: at, .. } in entries {
            let at = *at;
            match store.disclosures(at..at.saturating_add(1)).await {
                Ok(found) => rows.extend(found),
                Err(error) if is_unreadable(&error) => {
                    let detail = Both::new(
                        "该记录的一个披露值不可能是台账所存的",
                        "a stored disclosure of this entry cannot be what the ledger stored",
                    );
                    let finding =
                        Finding::new(FindingKind::DisclosureUnmatched, detail).at(LeafIndex::new(at));
                    findings.push(finding.differing(A_DISCLOSURE, in_both(&error)));
                }
                Err(error) => {
                    answered::<()>(&DISCLOSURES, findings, Err(error));
                }
            }
        }
        rows
    }

    /// Settles what the recorded erasures explain, after the log has been read up to `size`.
    pub(super) async fn finish(
        mut self,
        store: &dyn Store,
        facts: &Facts,
        size: u64,
        findings: &mut Collected,
    ) {
        for (leaf_index, digest) in &facts.erased {
            let was_absent = self.absent.get(digest).is_some_and(|sealed| sealed.leaf_index == *leaf_index);
            if was_absent {
                self.absent.remove(digest);
                continue;
            }
            let digests = std::slice::from_ref(digest);
            let stored = read(&A_DISCLOSURE, findings, || store.disclosures_by_digest(digests)).await;
            if stored.is_some_and(|rows| !rows.is_empty()) {
                let detail = Both::new(
                    "已有擦除它的记录,而它仍存着",
                    "its erasure is recorded and it is still stored",
                );
                let finding =
                    Finding::new(FindingKind::DisclosureNotErased, detail).at(LeafIndex::new(*leaf_index));
                findings.push(finding.differing(NO_DISCLOSURE, digest));
                self.extra.remove(digest);
            }
        }
        if !self.absent.is_empty() {
            self.drop_erased_since(store, size, findings).await;
        }
        let mut absent: Vec<_> = self.absent.drain().collect();
        absent.sort_by_key(|(_, sealed)| sealed.leaf_index);
        for (digest, sealed) in absent {
            findings.push(match self.extra.remove(&digest) {
                Some(elsewhere) => {
                    let detail = Both::new(
                        "披露值的 leaf_index 列所指的记录不是它打开的那一条",
                        "column leaf_index of the disclosure names another entry than the one it opens",
                    );
                    let finding = sealed.finding(FindingKind::ColumnDiffers, detail);
                    finding.differing(&sealed.leaf_index, &elsewhere)
                }
                None => sealed
                    .finding(
                        FindingKind::DisclosureMissing,
                        Both::new(
                            "既没有存下披露值,也没有擦除它的记录",
                            "no disclosure is stored and no erasure recorded",
                        ),
                    )
                    .differing(&digest, NO_DISCLOSURE),
            });
        }
        for (digest, leaf_index) in &self.extra {
            findings.push(unmatched(*leaf_index, digest));
        }
        if self.overflown {
            findings.could_not(both!(
                "超过 {KEPT_ABSENT} 个封存值没有披露值;其余的有无擦除记录没有核对",
                "more than {KEPT_ABSENT} sealed values have no disclosure stored; whether the erasure of the others is \
                 recorded was not checked"
            ));
        }
    }

    /// Drops what was erased while this verification ran: by entries that it does not cover.
    async fn drop_erased_since(&mut self, store: &dyn Store, size: u64, findings: &mut Collected) {
        let mut later = Facts::default();
        let mut from = i64::try_from(size).unwrap_or(i64::MAX);
        while let Some(page) = read(&THE_LOG, findings, || store.scan(from, PAGE)).await {
            let Some(last) = page.iter().filter_map(super::scan::index_of).max() else { break };
            for scanned in &page {
                let Scanned::Row(row) = scanned else { continue };
                if let Ok(entry) = Entry::parse(row.body.as_bytes()) {
                    later.take_altered(row.leaf_index, &entry, said(&entry), findings);
                }
            }
            let Some(next) = last.checked_add(1).filter(|next| *next > from) else { break };
            from = next;
        }
        self.absent.retain(|digest, sealed| !later.erased.contains(&(sealed.leaf_index, digest.clone())));
    }
}

/// Reads all stored disclosures, to count them and to find those of entries that the log does not have.
pub(super) async fn count_stored(
    store: &dyn Store,
    counts: &mut Counts,
    findings: &mut Collected,
    progress: impl Fn(u64),
) {
    let mut after = String::new();
    let mut beyond = Vec::new();
    loop {
        let page = match store.scan_disclosures(&after, PAGE).await {
            Ok(page) => page,
            Err(error) if is_unreadable(&error) => {
                let detail = both!(
                    "摘要在 {after:?} 之后的一个披露值不可能是台账所存的",
                    "a disclosure whose digest is after {after:?} cannot be what the ledger stored"
                );
                let finding = Finding::new(FindingKind::DisclosureUnmatched, detail);
                return findings.push(finding.differing(A_DISCLOSURE, in_both(&error)));
            }
            Err(error) => {
                answered::<()>(&DISCLOSURES, findings, Err(error));
                return;
            }
        };
        let Some(last) = page.last().filter(|last| last.digest > after) else { break };
        after.clone_from(&last.digest);
        counts.disclosures += page.len() as u64;
        let full = page.len() >= PAGE as usize;
        beyond.extend(page.into_iter().filter(|row| row.leaf_index >= counts.entries).take(KEPT_DOUBTS));
        progress(counts.disclosures);
        if !full {
            break;
        }
    }
    // Entries may have been added since the log was read: only the head of now can tell.
    if beyond.is_empty() {
        return;
    }
    let size = read(&THE_HEAD, findings, || store.head()).await.flatten().map(|head| head.size);
    for row in beyond {
        if size.is_some_and(|size| row.leaf_index >= size) {
            findings.push(unmatched(row.leaf_index, &row.digest));
        }
    }
}

fn unmatched(leaf_index: u64, digest: &str) -> Finding {
    let detail =
        Both::new("存有一个不属于其记录的披露值", "a disclosure is stored that its entry does not hold");
    Finding::new(FindingKind::DisclosureUnmatched, detail)
        .at(LeafIndex::new(leaf_index))
        .differing(NO_DISCLOSURE, digest)
}
