//! The checks of a dossier by the completeness index: that no entry and no cycle is left out.
//!
//! Source: format.md "Completeness index", "Dossier" 5 to 7.

use weituo_proof::map::{PartyChain, party_name, stream_value};
use weituo_proof::{Both, Checkpoint, Finding, FindingKind, Hash, LeafIndex, StreamHead, StreamName, both};

use super::{Known, Verification};
use crate::facts::index_claim;
use weituo_proof::dossier::{ProvenName, SubjectKind};

impl Verification<'_> {
    /// Returns leaf index M and the root of the index that the dossier rests on.
    pub(super) fn index(&mut self, checkpoint: &Checkpoint, known: &[Known]) -> Option<(LeafIndex, Hash)> {
        let last = known.last()?;
        let claim = index_claim(&last.entry).filter(|_| last.entry.stream.as_str() == "log/index");
        let at = last.leaf_index.get();
        match claim {
            Some(claim) if claim.size == at && checkpoint.size.get() == at + 1 => {
                Some((last.leaf_index, claim.root))
            }
            _ => {
                let detail = Both::new(
                    "最后一条记录不是检查点中其余全部记录的索引",
                    "the last entry is not the index over all the others of the checkpoint",
                );
                self.complete.push(
                    Finding::new(FindingKind::IndexProof, detail).at(last.leaf_index).differing(
                        Both::new(
                            "IndexCommitted,其大小比检查点的小一",
                            "IndexCommitted, of a size one less than the checkpoint's",
                        ),
                        &last.entry.event_type,
                    ),
                );
                None
            }
        }
    }

    /// Checks that each stream is here whole.
    pub(super) fn check_streams(&mut self, known: &[Known], genesis: Hash, index: LeafIndex, root: &Hash) {
        let streams = std::mem::take(&mut self.dossier.streams);
        for proven in &streams {
            let entries =
                known.iter().filter(|one| one.leaf_index < index && one.entry.stream == proven.stream);
            let head = self.check_chain(entries, genesis);
            let value = head.as_ref().map(stream_value);
            self.check_proof(proven, proven.stream.as_str(), value.as_ref(), root);
        }
        self.counts.streams = streams.len() as u64;
        self.dossier.streams = streams;
    }

    /// Checks the chain of one stream's entries. Returns its head.
    fn check_chain<'k>(
        &mut self,
        entries: impl Iterator<Item = &'k Known>,
        genesis: Hash,
    ) -> Option<StreamHead> {
        let mut head: Option<StreamHead> = None;
        let mut gap = false;
        for one in entries {
            let entry = &one.entry;
            let place =
                |finding: Finding| finding.at(one.leaf_index).in_stream(&entry.stream, Some(entry.sequence));
            let next = head.map_or(1, |head| head.sequence.saturating_add(1));
            let first = if one.leaf_index == LeafIndex::new(0) { Hash::ZERO } else { genesis };
            let prev = head.map_or(first, |head| head.leaf_hash);
            if entry.sequence != next {
                if !gap {
                    let detail = Both::new("这个流缺少记录", "entries of this stream are left out");
                    let finding = Finding::new(FindingKind::SequenceGap, detail);
                    self.complete.push(place(finding).differing(&next, &entry.sequence));
                }
                gap = true;
            } else if entry.prev != prev {
                let detail = Both::new(
                    "该记录没有指向流中的前一条记录",
                    "the entry does not name the one before it in its stream",
                );
                let finding = Finding::new(FindingKind::ChainBroken, detail);
                self.intact.push(place(finding).differing(&prev, &entry.prev));
            }
            head = Some(StreamHead::of(entry, one.leaf));
        }
        head
    }

    /// Checks that each party's cycles are here, all of them.
    pub(super) fn check_parties(&mut self, known: &[Known], index: LeafIndex, root: &Hash) {
        let parties = std::mem::take(&mut self.dossier.parties);
        for proven in &parties {
            let mut chain = PartyChain::new();
            for one in known.iter().filter(|one| one.leaf_index < index) {
                if one.entry.parties.contains(&proven.stream) {
                    chain.push(&one.leaf);
                    self.require_stream(&one.entry.stream, &proven.stream);
                }
            }
            let value = (chain.n > 0).then(|| chain.value());
            self.check_proof(proven, &party_name(&proven.stream), value.as_ref(), root);
        }
        self.counts.parties = parties.len() as u64;
        self.dossier.parties = parties;
        self.check_subject();
    }

    /// Checks that a stream that a party joined is among those that are here whole.
    fn require_stream(&mut self, stream: &StreamName, party: &StreamName) {
        if !self.dossier.streams.iter().any(|one| one.stream == *stream) {
            let detail = both!(
                "{party} 参与了这一轮次,而卷宗没有证明它完整",
                "{party} joined this cycle, which is not proven to be here whole"
            );
            self.complete.push(Finding::new(FindingKind::IndexProof, detail).in_stream(stream, None));
        }
    }

    fn check_subject(&mut self) {
        let listed = match self.dossier.subject.kind {
            SubjectKind::Agreement => &self.dossier.streams,
            SubjectKind::Trustee | SubjectKind::School => &self.dossier.parties,
        };
        let subject = self.dossier.subject_stream();
        if !subject.is_ok_and(|subject| listed.iter().any(|one| one.stream == subject)) {
            let id = &self.dossier.subject.id;
            let detail = both!("没有证明 {id} 自身的经过", "the history of {id} itself is not proven");
            self.complete.push(Finding::new(FindingKind::IndexProof, detail));
        }
    }

    fn check_proof(&mut self, proven: &ProvenName, name: &str, value: Option<&[u8; 40]>, root: &Hash) {
        if let Err(error) = proven.proof.verify(root, name, value.map(<[u8; 40]>::as_slice)) {
            let detail = both!("{name} 的索引证明不成立:{error}", "{name}: {error}");
            let finding = Finding::new(FindingKind::IndexProof, detail);
            self.complete.push(finding.in_stream(&proven.stream, None));
        }
    }
}
