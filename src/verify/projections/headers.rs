//! The projections' generations and cursors, all as of one moment.
//!
//! Invariants: a generation, cursor or row that no follower left behind is a finding.
//! Absent: the rows of a generation (`projections`), those of a rebuild under way.
//! Source: design.md "The append path", step 5.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use weituo_projections::PROJECTIONS;
use weituo_proof::{Both, Finding, FindingKind, both};
use weituo_verifier::Collected;

use crate::store::Generation;
use crate::verify::source::{CURSORS, read};

use super::{Comparison, LOOKS};

/// How long a rebuild gets to put the next generation in place.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

impl Comparison<'_> {
    /// Returns the generations that readers see, which of them stand apart (they are moved together, so one that stands
    /// apart was moved alone), and the projections of which there are others that readers do not see yet.
    pub(super) async fn headers(
        &self,
        size: u64,
        findings: &mut Collected,
    ) -> Option<(BTreeMap<String, Generation>, HashSet<String>, HashSet<String>)> {
        let mut looked = 0;
        let all = loop {
            let all = read(&CURSORS, findings, || self.store.all_generations()).await?;
            let mut cursors = all.iter().filter(|(_, one)| one.active).map(|(_, one)| one.next_leaf);
            let first = cursors.next();
            looked += 1;
            // A rebuild puts its generations in place one after another.
            if looked == LOOKS || cursors.all(|next_leaf| Some(next_leaf) == first) {
                break all;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        };
        for (name, generation) in &all {
            if !PROJECTIONS.iter().any(|(known, _)| known == name) {
                let generation = generation.generation;
                let detail = both!(
                    "第 {generation} 代属于并不存在的投影 {name:?}",
                    "generation {generation} is of a projection {name:?} that there is not"
                );
                let finding = Finding::new(FindingKind::CursorWrong, detail);
                let expected = Both::new("本程序的投影", "a projection of this program");
                findings.push(finding.differing(expected, name));
            }
        }
        for (name, generation, rows) in
            read(&Both::new("投影", "the projections"), findings, || self.store.stray_rows()).await?
        {
            let detail = both!(
                "投影 {name:?} 有 {rows} 行属于并不存在的第 {generation} 代",
                "{rows} rows of projection {name:?} belong to generation {generation}, which there is not"
            );
            let expected = Both::new("没有行", "no rows");
            findings.push(Finding::new(FindingKind::ProjectionExtra, detail).differing(expected, &rows));
        }
        let unseen = all.iter().filter(|(_, one)| !one.active).map(|(name, _)| name.clone()).collect();
        let active: BTreeMap<_, _> = all.into_iter().filter(|(_, one)| one.active).collect();
        let mut votes: BTreeMap<u64, usize> = BTreeMap::new();
        for one in active.values() {
            *votes.entry(one.next_leaf).or_default() += 1;
        }
        let most =
            votes.iter().max_by_key(|(next_leaf, count)| (**count, **next_leaf)).map_or(0, |(most, _)| *most);
        // One beyond the log is a finding of its own.
        let moved = |one: &Generation| one.next_leaf != most && one.next_leaf <= size.max(most);
        let mut apart = HashSet::new();
        for (name, one) in active.iter().filter(|(_, one)| moved(one)) {
            let detail = both!(
                "投影 {name} 的进度与其他投影不同",
                "the cursor of projection {name} stands apart from those of the others"
            );
            findings.push(Finding::new(FindingKind::CursorWrong, detail).differing(&most, &one.next_leaf));
            apart.insert(name.clone());
        }
        Some((active, apart, unseen))
    }
}
