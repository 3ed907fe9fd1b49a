//! The sums by which stored rows and freshly folded ones are compared, and going on with them after an interruption.
//!
//! Invariants: a sum is keyed, so whoever writes rows cannot make other rows with the same one; what was saved counts only
//! while the projections stand as they stood.
//! Absent: looking for the rows that differ (`projections`).

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use weituo_proof::{Hash, sha256};
use weituo_verifier::Collected;

use super::{Active, Comparison, ROWS};
use crate::verify::resume::{self, PROJECTIONS, Resume, Saver};

/// Number and keyed sum of rows: equal for equal sets of rows, in whatever order they come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sum {
    pub(super) rows: u64,
    sum: u128,
}

/// What a comparison that was interrupted has come to: good only while the projections stand as they stood.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Saved {
    nonce: [u8; 32],
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
    fn add(&self, sum: &mut Sum, key: &str, body: &str) {
        let length = (key.len() as u64).to_be_bytes();
        let Hash(hash) = sha256(&[&self.nonce, &length, key.as_bytes(), body.as_bytes()]);
        let half = hash.iter().take(16).fold(0, |half, byte| half << 8 | u128::from(*byte));
        *sum = Sum { rows: sum.rows + 1, sum: sum.sum.wrapping_add(half) };
    }

    /// Takes over the sums of a comparison that was interrupted, where the projections stand as they stood then; its
    /// nonce with them.
    pub(super) fn go_on(&mut self, resume: Option<&Resume>) -> Saved {
        let active = self.active.iter().map(|(name, active)| ((*name).to_owned(), *active)).collect();
        let saved = resume.and_then(|resume| resume::get::<Saved>(&mut resume.load(PROJECTIONS)?));
        if let Some(saved) = saved.filter(|saved| saved.active == active) {
            self.nonce = saved.nonce;
            return saved;
        }
        let fresh = self.active.keys().map(|name| ((*name).to_owned(), Sum::default())).collect();
        Saved { nonce: self.nonce, active, fresh, ..Saved::default() }
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
                self.add(sum, &row.key, &row.body);
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
                self.add(&mut sum, &row.key, &row.body);
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
