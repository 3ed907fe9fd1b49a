//! The sums by which stored rows and freshly folded ones are compared, and going on with them after an interruption.
//!
//! Invariant: what was saved counts only while the projections stand as they stood.
//! Absent: looking for the rows that differ (`projections`).

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use weituo_verifier::Collected;

use super::{Active, Comparison, ROWS};
use crate::follower::{Sum, SumKey};
use crate::verify::resume::{self, PROJECTIONS, Resume, Saver};

/// What a comparison that was interrupted has come to: good only while the projections stand as they stood.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Saved {
    key: SumKey,
    active: BTreeMap<String, Active>,
    /// Sums of the rows of the streams before `after`.
    pub(super) fresh: BTreeMap<String, Sum>,
    after: (String, i64),
    /// Whether every stream is folded.
    folded: bool,
    /// Sums of the stored rows of the projections read so far.
    pub(super) stored: BTreeMap<String, Sum>,
}

impl Comparison<'_> {
    /// Takes over the sums of a comparison that was interrupted, where the projections stand as they stood then; its
    /// key with them.
    pub(super) fn go_on(&mut self, resume: Option<&Resume>) -> Saved {
        let active = self.active.iter().map(|(name, active)| ((*name).to_owned(), *active)).collect();
        let saved = resume.and_then(|resume| resume::get::<Saved>(&mut resume.load(PROJECTIONS)?));
        if let Some(saved) = saved.filter(|saved| saved.active == active) {
            self.key = saved.key;
            return saved;
        }
        let fresh = self.active.keys().map(|name| ((*name).to_owned(), Sum::default())).collect();
        Saved { key: self.key, active, fresh, ..Saved::default() }
    }

    pub(super) async fn fresh_sums(
        &self,
        findings: &mut Collected,
        sums: &Mutex<Saved>,
        saver: &mut Saver<'_>,
        progress: impl Fn(u64),
    ) -> Option<()> {
        let locked = || sums.lock().unwrap_or_else(PoisonError::into_inner);
        let after = match &*locked() {
            Saved { folded: true, .. } => return Some(()),
            unfinished => unfinished.after.clone(),
        };
        let before = findings.collected();
        let behind = |place: &(String, i64), done, findings: &Collected| {
            if findings.collected() == before {
                saver.save(|file| resume::put(file, &Saved { after: place.clone(), ..locked().clone() }));
            }
            progress(done);
        };
        self.fold(after, findings, behind, |_, row| {
            let mut sums = locked();
            if let Some(sum) = sums.fresh.get_mut(row.projection) {
                sum.add(&self.key, &row.key, &row.body);
            }
        })
        .await?;
        locked().folded = true;
        Some(())
    }

    pub(super) async fn stored_sums(
        &self,
        findings: &mut Collected,
        sums: &mut Saved,
        saver: &mut Saver<'_>,
        progress: impl Fn(u64),
    ) -> Option<()> {
        let before = findings.collected();
        let mut done: u64 = sums.stored.values().map(|sum| sum.rows).sum();
        for name in self.active.keys() {
            if sums.stored.contains_key(*name) {
                continue;
            }
            let mut sum = Sum::default();
            self.stored(name, findings, |row| {
                sum.add(&self.key, &row.key, &row.body);
                done += 1;
                if done.is_multiple_of(u64::from(ROWS)) {
                    progress(done);
                }
            })
            .await?;
            sums.stored.insert((*name).to_owned(), sum);
            if findings.collected() == before {
                saver.save(|file| resume::put(file, &*sums));
            }
        }
        Some(())
    }
}
