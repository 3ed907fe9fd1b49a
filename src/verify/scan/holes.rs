//! Places of the log without a readable entry: a row that is gone, or one that is no entry.
//!
//! Invariants: every such place is counted in, so that what follows it keeps its leaf index.
//! Absent: explaining them by what other entries name (`chain`).

use weituo_proof::{Both, Finding, FindingKind, Hash, LeafIndex, both};
use weituo_verifier::Collected;

use super::{Examined, Scan};
use crate::store::{GarbledRow, Store};
use crate::verify::chain::{Hole, KEPT_DOUBTS, NO_ROW};

impl Scan {
    /// Reports a row with a column that no writer stored, and counts it in by its leaf hash where that can be read.
    pub(super) async fn garbled(
        &mut self,
        store: &dyn Store,
        garbled: &GarbledRow,
        findings: &mut Collected,
    ) {
        let GarbledRow { leaf_index, column, found } = garbled;
        let kind = match *column {
            "body" => FindingKind::BadEntry,
            "leaf_hash" => FindingKind::LeafHashDiffers,
            _ => FindingKind::ColumnDiffers,
        };
        let detail =
            both!("{column} 列不可能是台账所存的", "column {column} cannot be what the ledger stored");
        let finding = Finding::new(kind, detail);
        let Some(at) = leaf_index.and_then(|at| u64::try_from(at).ok()).filter(|at| *at >= self.next) else {
            let at = leaf_index.map_or("?".to_owned(), |at| at.to_string());
            let found = both!("{found},序号 {at}", "{found}, at leaf index {at}");
            findings.push(finding.differing(Both::new("台账的一行", "a row of the log"), found));
            return;
        };
        self.holes_to(at, findings);
        self.next = at + 1;
        self.counts.entries += 1;
        let stored = store.leaf_hashes(at..at + 1).await.ok().and_then(|hashes| hashes.first().copied());
        let none = Both::new("该类型的值", "a value of its type");
        let expected = stored.map_or(none, |hash| both!("记录 {hash}", "entry {hash}"));
        self.hole(at, finding.at(LeafIndex::new(at)).differing(expected, found), stored, findings);
    }

    /// Judges bytes that stand for themselves. Those that are no entry leave a hole, whose leaf hash is known.
    pub(in crate::verify) fn bytes(&mut self, examined: Examined, findings: &mut Collected) {
        let Err(error) = &examined.read else {
            self.row(examined, findings);
            return;
        };
        let (at, finding) = (examined.row.leaf_index, examined.row.unreadable(error));
        self.holes_to(at, findings);
        self.next = at + 1;
        self.counts.entries += 1;
        self.hole(at, finding.at(LeafIndex::new(at)), Some(examined.row.leaf_hash), findings);
    }

    /// Reports the leaf indexes without a row before `end`.
    pub(in crate::verify) fn holes_to(&mut self, end: u64, findings: &mut Collected) {
        while self.next < end {
            self.missing += 1;
            if self.chains.holes.len() >= KEPT_DOUBTS {
                let (last, missing) = (end - 1, end - self.next);
                let detail = both!(
                    "从这个序号到 {last} 都没有行",
                    "there is no row from this leaf index up to {last}"
                );
                let finding = Finding::new(FindingKind::LeafMissing, detail)
                    .at(LeafIndex::new(self.next))
                    .differing(both!("{missing} 条记录", "{missing} entries"), NO_ROW);
                self.hole(self.next, finding, None, findings);
                self.missing += end - self.next - 1;
                self.replay.skip(end - self.next - 1);
                self.next = end;
                return;
            }
            let detail = Both::new("没有这个序号的行", "there is no row with this leaf index");
            let finding = Finding::new(FindingKind::LeafMissing, detail)
                .at(LeafIndex::new(self.next))
                .differing(Both::new("一条记录", "an entry"), NO_ROW);
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
}
