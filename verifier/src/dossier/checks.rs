//! The checks of a dossier that look at entries, disclosures, documents, receipts and the state.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use weituo_events::Recorded;
use weituo_projections::stated;
use weituo_proof::dossier::ProvenEntry;
use weituo_proof::tree::verify_inclusion;
use weituo_proof::{
    Both, Checkpoint, Disclosure, Entry, EntryError, Finding, FindingKind, LeafIndex, Receipt, StreamName,
    both, sha256,
};

use super::{Known, Verification, leaf_of};
use crate::collected::chain;
use crate::facts::{Facts, said};

/// Reads an entry and verifies that it is in the checkpoint's tree.
pub(super) fn entry(proven: &ProvenEntry, checkpoint: &Checkpoint) -> Result<Known, Box<Finding>> {
    let leaf = leaf_of(proven);
    let entry = Entry::parse(proven.entry.as_bytes()).map_err(|error| {
        let kind = match error {
            EntryError::NotCanonical(_) => FindingKind::NotCanonical,
            _ => FindingKind::BadEntry,
        };
        let error = chain(&error);
        Box::new(Finding::new(kind, both!("不能作为存证记录读取:{error}", "{error}")))
    })?;
    verify_inclusion(&leaf, proven.leaf_index, checkpoint.size, &proven.inclusion, &checkpoint.root)
        .map_err(|error| {
            let finding =
                Finding::new(FindingKind::EntryNotIncluded, both!("包含证明不成立:{error}", "{error}"));
            Box::new(finding.in_stream(&entry.stream, Some(entry.sequence)))
        })?;
    Ok(Known { leaf_index: proven.leaf_index, leaf, entry })
}

/// Returns the known entry at a leaf index.
fn at(known: &[Known], leaf_index: LeafIndex) -> Option<&Known> {
    known.binary_search_by_key(&leaf_index, |one| one.leaf_index).ok().map(|at| &known[at])
}

impl Verification<'_> {
    /// Judges an entry by what the entries before it established: signatures, rulebooks, erasures, the end of the log.
    pub(super) fn check_facts(&mut self, facts: &mut Facts, one: &Known) {
        let (leaf_index, entry) = (one.leaf_index.get(), &one.entry);
        let judged = entry.signature.is_none() || self.covers_signer(entry);
        if !judged {
            let organisation = &entry.actor.organisation;
            self.intact.could_not(both!(
                "序号 {leaf_index} 的记录的签名:卷宗没有证明 {organisation} 的经过",
                "the signature of the entry at leaf {leaf_index}: the history of {organisation} is not proven here"
            ));
        }
        facts.take_judged(leaf_index, entry, said(entry), judged, &mut self.intact);
    }

    fn covers_signer(&self, entry: &Entry) -> bool {
        StreamName::of("organisation", &entry.actor.organisation)
            .is_ok_and(|stream| self.dossier.streams.iter().any(|one| one.stream == stream))
    }

    /// Checks that every sealed value is disclosed or its erasure recorded, and every disclosure belongs to one.
    pub(super) fn check_disclosures(&mut self, known: &[Known], facts: &Facts) {
        let mut open: HashSet<(u64, String)> = HashSet::new();
        for one in known {
            open.extend(one.entry.sealed_digests().into_iter().map(|digest| (one.leaf_index.get(), digest)));
        }
        let sealed = open.clone();
        for disclosed in &self.dossier.disclosures {
            let leaf_index = disclosed.leaf_index;
            let digest = URL_SAFE_NO_PAD.encode(sha256(&[disclosed.disclosure.as_bytes()]).as_bytes());
            let key = (leaf_index.get(), digest);
            let unread = self.dossier.entries.iter().any(|one| one.leaf_index == leaf_index)
                && at(known, leaf_index).is_none();
            if unread {
                continue;
            }
            if !sealed.contains(&key) {
                let detail =
                    Both::new("该记录没有封存这个披露值", "a disclosure that this entry does not seal");
                self.intact.push(
                    Finding::new(FindingKind::DisclosureUnmatched, detail)
                        .at(leaf_index)
                        .differing(Both::new("记录中的一个摘要", "a digest in the entry"), &key.1),
                );
                continue;
            }
            if facts.is_erased(key.0, &key.1) {
                let detail =
                    Both::new("已记为擦除的值仍在其中", "the value was recorded as erased and is here");
                self.intact.push(
                    Finding::new(FindingKind::DisclosureNotErased, detail)
                        .at(leaf_index)
                        .differing(NO_DISCLOSURE, &key.1),
                );
            }
            open.remove(&key);
            self.counts.disclosures += 1;
        }
        let mut missing: Vec<(u64, String)> =
            open.into_iter().filter(|(leaf_index, digest)| !facts.is_erased(*leaf_index, digest)).collect();
        missing.sort();
        for (leaf_index, digest) in missing {
            let detail = Both::new(
                "一个封存值没有披露值,也没有擦除它的记录",
                "a sealed value without its disclosure, and no erasure of it is recorded here",
            );
            self.intact.push(
                Finding::new(FindingKind::DisclosureMissing, detail)
                    .at(LeafIndex::new(leaf_index))
                    .differing(&digest, NO_DISCLOSURE),
            );
        }
    }

    /// Checks that every document listed is named by its entry.
    pub(super) fn check_evidence(&mut self, known: &[Known]) {
        for document in &self.dossier.evidence {
            let quoted = format!("\"{}\"", document.sha256);
            let proven =
                |one: &&ProvenEntry| one.leaf_index == document.leaf_index && one.entry.contains(&quoted);
            let disclosed = || {
                self.dossier
                    .disclosures
                    .iter()
                    .filter(|one| one.leaf_index == document.leaf_index)
                    .filter_map(|one| Disclosure::decode(&one.disclosure).ok())
                    .any(|one| one.value().to_string().contains(&quoted))
            };
            let read = at(known, document.leaf_index).is_some();
            // What hangs on an entry that could not be read is not judged: the finding about the entry is the cause.
            if !read && self.dossier.entries.iter().any(|one| one.leaf_index == document.leaf_index) {
                continue;
            }
            if !read || (self.dossier.entries.iter().find(proven).is_none() && !disclosed()) {
                let detail = Both::new(
                    "列出的材料不是其记录所指的",
                    "a document is listed that its entry does not name",
                );
                self.intact.push(
                    Finding::new(FindingKind::EvidenceDiffers, detail).at(document.leaf_index).differing(
                        Both::new("该记录所指的材料", "a document of the entry"),
                        &document.sha256,
                    ),
                );
            }
        }
    }

    /// Compares with receipts that somebody kept: what they show must be here.
    pub(super) fn check_receipts(&mut self, checkpoint: &Checkpoint) {
        let mut forks = HashSet::new();
        let keys = self.given.keys_of(&checkpoint.origin);
        for kept in &self.given.receipts {
            let label = &kept.label;
            let receipt = match Receipt::parse_with_entry(&kept.text) {
                Ok(receipt) => receipt,
                Err(error) => {
                    self.intact.could_not(both!("回执 {label}:{error}", "receipt {label}: {error}"));
                    continue;
                }
            };
            let Ok(shown) = receipt.verify_by(&keys) else {
                self.intact.could_not(both!(
                    "回执 {label}:按所给公钥无效",
                    "receipt {label}: it is not valid under the keys given"
                ));
                continue;
            };
            // Told once where many receipts are of one checkpoint, as those of an earlier dossier are.
            if shown.size == checkpoint.size && shown.root != checkpoint.root && forks.insert(shown.root) {
                let detail = both!(
                    "回执 {label} 出自大小相同的另一版本:台账有两个版本",
                    "receipt {label} is of another log of the same size: the log was forked"
                );
                self.intact.push(
                    Finding::new(FindingKind::CheckpointNotExtended, detail)
                        .differing(&shown.root, &checkpoint.root),
                );
            }
            self.check_receipt(label, &receipt);
        }
    }

    fn check_receipt(&mut self, label: &str, receipt: &Receipt) {
        let Ok(entry) = Entry::parse(receipt.entry.as_bytes()) else { return };
        if self.dossier.entries.last().is_some_and(|last| receipt.leaf_index >= last.leaf_index) {
            return;
        }
        let here = self.dossier.entries.iter().find(|one| one.leaf_index == receipt.leaf_index);
        let (expected, found) = (receipt.leaf_hash(), here.map(super::leaf_of));
        let unmet = match found {
            Some(leaf) => leaf != expected,
            None => {
                self.dossier.streams.iter().any(|one| one.stream == entry.stream)
                    || self.dossier.parties.iter().any(|one| entry.parties.contains(&one.stream))
            }
        };
        if unmet {
            let detail = both!(
                "回执 {label} 证明的一条记录属于这段经过,却不在其中",
                "receipt {label} shows an entry of this history that is not here"
            );
            let found = found.map_or(Both::new("没有记录", "no entry"), |leaf| Both::from(&leaf));
            self.complete.push(
                Finding::new(FindingKind::ReceiptUnmet, detail)
                    .at(receipt.leaf_index)
                    .in_stream(&entry.stream, Some(entry.sequence))
                    .differing(&expected, found),
            );
        }
    }

    /// Folds the entries anew and compares. Returns the state that they give.
    pub(super) fn check_state(&mut self, recorded: &[Recorded]) -> Option<Value> {
        let stated = &self.dossier.state;
        let kind = self.dossier.subject.kind;
        if stated.projection != kind.projection()
            || stated.fold_version != u64::from(stated::fold_version(kind))
        {
            let (projection, version) = (&stated.projection, stated.fold_version);
            self.intact.could_not(both!(
                "状态:本程序不认识投影 {projection} 的第 {version} 版",
                "the state: this program does not know projection {projection} in version {version}"
            ));
            return None;
        }
        let Ok(on) = stated.as_of.parse() else {
            let as_of = &stated.as_of;
            self.intact.could_not(both!("状态:{as_of:?} 不是日期", "the state: {as_of:?} is no day"));
            return None;
        };
        let computed = stated::state(&self.dossier.subject, recorded, on);
        let said: Option<Value> = serde_json::from_str(&stated.value).ok();
        // What the entries lack is told by the findings about them, of which another state is only the consequence.
        let sound = !self.intact.has_findings() && !self.complete.has_findings();
        if sound && computed != said {
            let (expected, found) = (digest(computed.as_ref()), digest(said.as_ref()));
            let as_of = &stated.as_of;
            let detail = both!(
                "所述截至 {as_of} 的状态与记录推算的不同",
                "the state stated for {as_of} is not what the entries give"
            );
            self.intact.push(Finding::new(FindingKind::StateDiffers, detail).differing(expected, found));
        }
        computed.filter(|_| sound)
    }
}

/// What stands where there is no disclosure.
const NO_DISCLOSURE: Both = Both::new("没有披露值", "no disclosure");

fn digest(state: Option<&Value>) -> Both {
    state.map_or(Both::new("没有状态", "no state"), |state| {
        let digest = sha256(&[state.to_string().as_bytes()]);
        both!("SHA-256 为 {digest} 的状态", "a state of SHA-256 {digest}")
    })
}
