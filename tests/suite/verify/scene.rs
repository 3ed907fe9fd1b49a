//! A ledger to tamper with, and how its report is asserted.

use std::fmt::Write as _;

use hmac::{Hmac, Mac};
use sha2::Sha256;
use weituo::ledger::{Accepted, Ledger, Proposal};
use weituo::store::{Head, ProjectionChange, ProjectionRow, Store};
use weituo::verify::{Report, VerifyOptions, verify};
use weituo_events::{Category, Recorded};
use weituo_projections::{PROJECTIONS, Rulebooks, StreamState, rows as projected};
use weituo_proof::{Both, Entry, FindingKind, Hash, LeafIndex, SigningKey, VerifierKey, leaf_hash, sha256};

use crate::support::ledger::{Place, proposal, rows, sealed_proposal};
use crate::support::verdict::in_both_languages;

pub const A: &str = "agreement/A";
pub const B: &str = "agreement/B";

/// A finding as a test states it: kind, leaf index, stream, sequence.
pub type Told<'a> = (FindingKind, Option<u64>, Option<&'a str>, Option<u64>);

/// A ledger at rest: leaf 0 opens it, 1, 3 and 6 are of A, 2, 4 (sealed) and 7 of B, 5 and 8 commit the index.
pub struct Scene {
    pub place: Place,
    pub verifier: VerifierKey,
    pub anchor: String,
    seal_key: Hash,
    /// The checkpoint of size 4.
    pub early: String,
}

impl Scene {
    pub async fn new(place: Place) -> Self {
        let ledger = place.init().await;
        let mut heads = [None; 2];
        let mut early = String::new();
        for (number, at) in [(1, 0), (2, 1), (3, 0), (4, 1), (6, 0), (7, 1)] {
            let stream = [A, B][at];
            let document = format!("n-{number}");
            let next = match number {
                4 => sealed_proposal(stream, "sealed note", heads[at]),
                _ => proposal(stream, &document, heads[at]),
            };
            let accepted = ledger.submit(next).await.unwrap();
            assert_eq!(accepted.receipt.leaf_index, LeafIndex::new(number));
            heads[at] = Some(accepted.head());
            if number == 3 {
                early.clone_from(&ledger.checkpoint().unwrap().text);
            }
            if number == 4 {
                ledger.commit_index().await.unwrap();
            }
        }
        let verifier = ledger.verifier_key().clone();
        ledger.stop().await.unwrap();
        let anchor = ledger.checkpoint().unwrap().text.clone();
        let key: SigningKey = std::fs::read_to_string(place.key_file()).unwrap().trim_end().parse().unwrap();
        let seal_key = sha256(&[b"weituo/seal-key/v1\n", key.seed()]);
        let scene = Self { place, verifier, anchor, seal_key, early };
        project(&*scene.place.store().await).await;
        scene
    }

    pub fn seal(&self, head: &Head) -> [u8; 32] {
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(self.seal_key.as_bytes()).unwrap();
        let Head { origin, size, root, recorded_at, .. } = head;
        mac.update(format!("weituo/seal/v1\n{origin}\n{size}\n{root}\n{recorded_at}\n").as_bytes());
        mac.finalize().into_bytes().into()
    }

    pub async fn verify_with(&self, change: impl FnOnce(&mut VerifyOptions<'_>)) -> Report {
        let seal = |head: &Head| self.seal(head);
        let mut options = VerifyOptions {
            verifiers: vec![self.verifier.clone()],
            seal: Some(&seal),
            anchor: Some(self.anchor.clone()),
            ..VerifyOptions::default()
        };
        change(&mut options);
        in_both_languages(verify(&*self.place.store().await, &options, |_| ()).await)
    }

    /// Records further entries, as a running ledger does, and takes the anchor along.
    pub async fn record(&mut self, proposals: Vec<Proposal>) -> Vec<Accepted> {
        let ledger = self.place.open().await;
        let mut accepted = Vec::new();
        for proposal in proposals {
            accepted.push(ledger.submit(proposal).await.unwrap());
        }
        self.close(ledger).await;
        accepted
    }

    async fn close(&mut self, ledger: Ledger) {
        ledger.stop().await.unwrap();
        self.anchor.clone_from(&ledger.checkpoint().unwrap().text);
        project(&*self.place.store().await).await;
    }

    /// Returns the head of a stream.
    pub async fn head_of(&self, stream: &str) -> Option<weituo_proof::StreamHead> {
        let rows = self.place.store().await.stream_rows(stream, 1, 1_000).await.unwrap();
        let last = rows.last()?;
        Some(weituo_proof::StreamHead { sequence: last.sequence, leaf_hash: last.leaf_hash })
    }

    pub async fn verify(&self) -> Report {
        self.verify_with(|_| ()).await
    }

    pub async fn tamper(&self, sql: &str) {
        self.place.tamper(sql).await;
    }

    pub fn blob(&self, bytes: &[u8]) -> String {
        self.place.blob(bytes)
    }

    /// Rewrites an entry, with its leaf hash where `consistent`; returns the leaf hashes before and after.
    pub async fn rewrite(&self, leaf: u64, from: &str, to: &str, consistent: bool) -> (Hash, Hash) {
        let row = self.place.store().await.entry(leaf).await.unwrap().unwrap();
        let body = row.body.replace(from, to);
        assert_ne!(*body, *row.body);
        let after = leaf_hash(body.as_bytes());
        let mut sql = format!("UPDATE entry SET body = '{body}' WHERE leaf_index = {leaf};");
        if consistent {
            let hash = self.blob(after.as_bytes());
            write!(sql, "UPDATE entry SET leaf_hash = {hash} WHERE leaf_index = {leaf};").unwrap();
        }
        self.tamper(&sql).await;
        (row.leaf_hash, after)
    }

    pub async fn leaf_hash(&self, leaf: u64) -> Hash {
        self.place.store().await.entry(leaf).await.unwrap().unwrap().leaf_hash
    }
}

/// Writes every projection as a fold from scratch gives it.
pub async fn project(store: &dyn Store) {
    let (mut rulebooks, mut states) = (Rulebooks::default(), std::collections::BTreeMap::new());
    let log = rows(store).await;
    for row in &log {
        let entry = Entry::parse(row.body.as_bytes()).unwrap();
        let recorded = Recorded::from_entry(&entry, LeafIndex::new(row.leaf_index), row.leaf_hash).unwrap();
        rulebooks.apply(&recorded);
        let category = Category::of(&entry.stream).unwrap();
        let state: &mut StreamState =
            states.entry(entry.stream).or_insert_with(|| StreamState::new(category));
        state.apply(&recorded, &rulebooks);
    }
    let all: Vec<_> =
        states.iter().flat_map(|(stream, state)| projected(stream, state, &rulebooks)).collect();
    for (name, version) in PROJECTIONS {
        let generation = store.start_generation(name, i64::from(*version)).await.unwrap();
        store.activate_generations(&[((*name).to_owned(), generation)]).await.unwrap();
        let rows = all.iter().filter(|row| row.projection == *name);
        let change = ProjectionChange {
            name: (*name).to_owned(),
            generation,
            expected_next_leaf: 0,
            next_leaf: log.len() as u64,
            puts: rows.map(|row| ProjectionRow { key: row.key.clone(), body: row.body.clone() }).collect(),
            deletes: Vec::new(),
            likely_new: false,
        };
        store.apply_projections(&[change]).await.unwrap();
    }
}

#[track_caller]
pub fn assert_told(report: &Report, expected: &[Told<'_>]) {
    let told: Vec<Told<'_>> = report
        .findings()
        .map(|f| (f.kind, f.leaf_index.map(LeafIndex::get), f.stream.as_deref(), f.sequence))
        .collect();
    assert_eq!(told, expected, "{:#?}", report.verdicts);
    assert!(report.findings().all(|f| f.expected.is_some() && f.found.is_some()), "{:#?}", report.verdicts);
    assert_eq!(report.exit_code(), 1);
}

#[track_caller]
pub fn assert_hashes(report: &Report, expected: &(impl ToString + ?Sized), found: &(impl ToString + ?Sized)) {
    let finding = report.findings().next().unwrap();
    let shown = |text: &Option<Both>| text.as_ref().map(|text| text.en().to_owned());
    assert_eq!(
        (shown(&finding.expected), shown(&finding.found)),
        (Some(expected.to_string()), Some(found.to_string()))
    );
}
