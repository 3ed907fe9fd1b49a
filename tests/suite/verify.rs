//! Verification of whole ledgers: a healthy one gives no finding, and each tampering gives the finding that names it.

use hmac::{Hmac, Mac};
use sha2::Sha256;
use weituo::store::{Head, ProjectionChange, ProjectionRow, Store};
use weituo::verify::{OutsideCheckpoint, Report, VerifyOptions, verify};
use weituo_events::{Category, Recorded};
use weituo_projections::{PROJECTIONS, Rulebooks, StreamState, rows as projected};
use weituo_proof::{
    Entry, FindingKind, Hash, LeafIndex, SigningKey, StreamName, VerifierKey, leaf_hash, sha256,
};

use crate::support::ledger::{Kind, Place, on_both_stores, proposal, rows, sealed_proposal};

const A: &str = "agreement/A";
const B: &str = "agreement/B";

/// A finding as a test states it: kind, leaf index, stream, sequence.
type Told<'a> = (FindingKind, Option<u64>, Option<&'a str>, Option<u64>);

/// A ledger at rest: leaf 0 opens it, 1, 3 and 6 are of A, 2, 4 (sealed) and 7 of B, 5 commits the index.
struct Scene {
    place: Place,
    verifier: VerifierKey,
    anchor: String,
    seal_key: Hash,
    early: String,
}

impl Scene {
    async fn new(place: Place) -> Self {
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
        let anchor = ledger.checkpoint().unwrap().text.clone();
        let verifier = ledger.verifier_key().clone();
        ledger.stop().await.unwrap();
        let key: SigningKey =
            std::fs::read_to_string(place.key_file()).unwrap().trim_end().parse().unwrap();
        let seal_key = sha256(&[b"weituo/seal-key/v1\n", key.seed()]);
        let scene = Self { place, verifier, anchor, seal_key, early };
        project(&*scene.place.store().await).await;
        scene
    }

    fn seal(&self, head: &Head) -> [u8; 32] {
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(self.seal_key.as_bytes()).unwrap();
        let Head { origin, size, root, recorded_at, .. } = head;
        mac.update(format!("weituo/seal/v1\n{origin}\n{size}\n{root}\n{recorded_at}\n").as_bytes());
        mac.finalize().into_bytes().into()
    }

    async fn verify_with(&self, change: impl FnOnce(&mut VerifyOptions<'_>)) -> Report {
        let seal = |head: &Head| self.seal(head);
        let mut options = VerifyOptions {
            verifier: Some(self.verifier.clone()),
            seal: Some(&seal),
            anchor: Some(self.anchor.clone()),
            ..VerifyOptions::default()
        };
        change(&mut options);
        verify(&*self.place.store().await, &options, |_| ()).await
    }

    async fn verify(&self) -> Report {
        self.verify_with(|_| ()).await
    }

    async fn tamper(&self, sql: &str) {
        self.place.tamper(sql).await;
    }

    fn blob(&self, bytes: &[u8]) -> String {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        match self.place.kind {
            Kind::Sqlite => format!("x'{hex}'"),
            Kind::Postgres => format!("'\\x{hex}'::bytea"),
        }
    }

    /// Rewrites an entry, with its leaf hash where `consistent`; returns the leaf hashes before and after.
    async fn rewrite(&self, leaf: u64, from: &str, to: &str, consistent: bool) -> (Hash, Hash) {
        let row = self.place.store().await.entry(leaf).await.unwrap().unwrap();
        let body = row.body.replace(from, to);
        assert_ne!(*body, *row.body);
        let after = leaf_hash(body.as_bytes());
        let mut sql = format!("UPDATE entry SET body = '{body}' WHERE leaf_index = {leaf};");
        if consistent {
            let hash = self.blob(after.as_bytes());
            sql += &format!("UPDATE entry SET leaf_hash = {hash} WHERE leaf_index = {leaf};");
        }
        self.tamper(&sql).await;
        (row.leaf_hash, after)
    }

    async fn leaf_hash(&self, leaf: u64) -> Hash {
        self.place.store().await.entry(leaf).await.unwrap().unwrap().leaf_hash
    }
}

/// Writes every projection as a fold from scratch gives it.
async fn project(store: &dyn Store) {
    let (mut rulebooks, mut states) = (Rulebooks::default(), std::collections::BTreeMap::new());
    let log = rows(store).await;
    for row in &log {
        let entry = Entry::parse(row.body.as_bytes()).unwrap();
        let recorded = Recorded::from_entry(&entry, LeafIndex::new(row.leaf_index), row.leaf_hash).unwrap();
        rulebooks.apply(&recorded);
        let category = Category::of(&entry.stream).unwrap();
        let state: &mut StreamState = states.entry(entry.stream).or_insert_with(|| StreamState::new(category));
        state.apply(&recorded, &rulebooks);
    }
    let all: Vec<_> = states.iter().flat_map(|(stream, state)| projected(stream, state, &rulebooks)).collect();
    for (name, version) in PROJECTIONS {
        let generation = store.start_generation(name, i64::from(*version)).await.unwrap();
        let rows = all.iter().filter(|row| row.projection == *name);
        let change = ProjectionChange {
            name: (*name).to_owned(),
            generation,
            expected_next_leaf: 0,
            next_leaf: log.len() as u64,
            puts: rows.map(|row| ProjectionRow { key: row.key.clone(), body: row.body.clone() }).collect(),
            deletes: Vec::new(),
        };
        store.apply_projections(&[change]).await.unwrap();
    }
}

#[track_caller]
fn assert_told(report: &Report, expected: &[Told<'_>]) {
    let told: Vec<Told<'_>> = report
        .findings()
        .map(|f| (f.kind, f.leaf_index.map(LeafIndex::get), f.stream.as_deref(), f.sequence))
        .collect();
    assert_eq!(told, expected, "{:#?}", report.verdicts);
    assert!(report.findings().all(|f| f.expected.is_some() && f.found.is_some()), "{:#?}", report.verdicts);
    assert_eq!(report.exit_code(), 1);
}

#[track_caller]
fn assert_hashes(report: &Report, expected: impl ToString, found: impl ToString) {
    let finding = report.findings().next().unwrap();
    assert_eq!(
        (finding.expected.clone(), finding.found.clone()),
        (Some(expected.to_string()), Some(found.to_string()))
    );
}

on_both_stores! {
    async fn a_healthy_ledger_gives_no_finding(place: Place) {
        let scene = Scene::new(place).await;
        let report = scene.verify().await;
        assert_eq!(report.findings().count(), 0, "{:#?}", report.verdicts);
        assert!(report.verdicts.intact.is_yes() && report.verdicts.complete.is_yes(), "{:#?}", report.verdicts);
        assert!(!report.verdicts.age.is_yes() && !report.age_asked);
        assert_eq!((report.exit_code(), report.notes.len()), (0, 0), "{:?}", report.notes);
        let counts = report.counts;
        assert_eq!((counts.entries, counts.streams, counts.disclosures), (8, 4, 1));
        assert_eq!((counts.index_roots, counts.not_indexed), (1, 3));
        assert!(counts.projection_rows >= 2);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!((&json["intact"]["answer"], &json["counts"]["entries"]), (&"yes".into(), &8.into()));
    }

    async fn age_is_proven_by_a_checkpoint_that_the_log_extends(place: Place) {
        let scene = Scene::new(place).await;
        let kept = |text: &str| vec![OutsideCheckpoint { label: "kept.txt".into(), text: text.to_owned() }];
        let report = scene.verify_with(|options| options.outside = kept(&scene.early)).await;
        assert!(report.verdicts.age.is_yes(), "{:?}", report.verdicts.age);
        assert_eq!(report.exit_code(), 0);

        let other = SigningKey::from_seed(scene.verifier.name(), [9; 32]).unwrap();
        let forged = weituo_proof::Checkpoint::open(&scene.early, &scene.verifier).unwrap().0;
        let unsigned = forged.sign(&other).unwrap().to_string();
        let report = scene.verify_with(|options| options.outside = kept(&unsigned)).await;
        assert_told(&report, &[(FindingKind::CheckpointSignature, None, None, None)]);

        let report = scene.verify_with(|options| options.outside = kept("no note")).await;
        assert_eq!((report.findings().count(), report.exit_code()), (0, 2));
    }

    async fn without_any_key_the_answer_is_could_not_check(place: Place) {
        let scene = Scene::new(place).await;
        let report = scene.verify_with(|options| *options = VerifyOptions::default()).await;
        assert_eq!((report.findings().count(), report.exit_code()), (0, 2), "{:#?}", report.verdicts);
        // The verifier key and the anchor do without the signing key, and say what was not looked at.
        let report = scene.verify_with(|options| options.seal = None).await;
        assert_eq!((report.exit_code(), report.notes.len()), (0, 1), "{:#?}", report.verdicts);
    }

    async fn an_altered_payload_is_reported_at_its_leaf_index(place: Place) {
        let scene = Scene::new(place).await;
        let (before, after) = scene.rewrite(3, "n-3", "n-X", false).await;
        let report = scene.verify().await;
        assert_told(&report, &[(FindingKind::LeafHashDiffers, Some(3), Some(A), Some(2))]);
        assert_hashes(&report, before, after);
    }

    async fn an_entry_rewritten_with_its_hash_is_told_by_the_entry_after_it(place: Place) {
        let scene = Scene::new(place).await;
        let (before, after) = scene.rewrite(3, "n-3", "n-X", true).await;
        let report = scene.verify().await;
        assert_told(&report, &[(FindingKind::LeafHashDiffers, Some(3), Some(A), Some(2))]);
        assert_hashes(&report, before, after);
    }

    async fn a_last_entry_rewritten_with_its_hash_shows_in_the_root_and_the_projection(place: Place) {
        let scene = Scene::new(place).await;
        scene.rewrite(6, "n-6", "n-X", true).await;
        let report = scene.verify().await;
        let told: Vec<_> = report.findings().map(|finding| finding.kind).collect();
        assert!(told.contains(&FindingKind::RootDiffers), "{told:?}");
        assert!(told.contains(&FindingKind::ProjectionDiffers), "{told:?}");
    }

    async fn an_edited_leaf_hash_is_told_from_an_edited_entry(place: Place) {
        let scene = Scene::new(place).await;
        let (right, wrong) = (scene.leaf_hash(6).await, Hash([7; 32]));
        scene.tamper(&format!("UPDATE entry SET leaf_hash = {} WHERE leaf_index = 6", scene.blob(&wrong.0))).await;
        let report = scene.verify().await;
        assert_told(&report, &[(FindingKind::LeafHashDiffers, Some(6), Some(A), Some(3))]);
        assert_hashes(&report, right, wrong);
    }

    async fn a_deleted_entry_is_named_by_the_entry_after_it(place: Place) {
        let scene = Scene::new(place).await;
        let gone = scene.leaf_hash(3).await;
        scene.tamper("DELETE FROM entry WHERE leaf_index = 3").await;
        let report = scene.verify().await;
        assert_told(&report, &[(FindingKind::LeafMissing, Some(3), Some(A), Some(2))]);
        assert_hashes(&report, gone, "no row");
        assert!(!report.verdicts.complete.is_yes());
    }

    async fn a_deleted_last_entry_is_missed_by_the_head(place: Place) {
        let scene = Scene::new(place).await;
        let head = scene.place.store().await.head().await.unwrap().unwrap();
        scene.tamper("DELETE FROM entry WHERE leaf_index = 7").await;
        let report = scene.verify().await;
        let missing = report.findings().next().unwrap();
        assert_eq!((missing.kind, missing.leaf_index), (FindingKind::LeafMissing, Some(LeafIndex::new(7))));
        assert_eq!(missing.expected, Some(head.root.to_string()));
        // The stream whose display still counts it is named besides.
        assert!(report.findings().skip(1).all(|f| f.stream.as_deref() == Some(B)), "{:#?}", report.verdicts);
    }

    async fn a_rollback_of_log_and_head_is_told_by_seal_and_anchor(place: Place) {
        let scene = Scene::new(place).await;
        let mut tree = weituo_proof::Frontier::new();
        for row in rows(&*scene.place.store().await).await.iter().take(7) {
            tree.append(row.leaf_hash);
        }
        let root = scene.blob(tree.root().as_bytes());
        scene
            .tamper(&format!("DELETE FROM entry WHERE leaf_index = 7; UPDATE head SET size = 7, root = {root}"))
            .await;
        let report = scene.verify().await;
        let told: Vec<_> = report.findings().map(|finding| finding.kind).collect();
        for kind in [FindingKind::SealWrong, FindingKind::AnchorDiffers] {
            assert!(told.contains(&kind), "{told:?}");
        }
    }

    async fn a_broken_chain_is_reported_where_it_breaks(place: Place) {
        let scene = Scene::new(place).await;
        let named = scene.leaf_hash(3).await;
        scene.rewrite(6, &named.to_string(), &"0".repeat(64), true).await;
        let report = scene.verify().await;
        let broken = report.findings().find(|f| f.kind == FindingKind::ChainBroken).unwrap();
        assert_eq!(
            (broken.leaf_index, broken.stream.as_deref(), broken.sequence),
            (Some(LeafIndex::new(6)), Some(A), Some(3))
        );
        let hashes = (broken.expected.clone(), broken.found.clone());
        assert_eq!(hashes, (Some(named.to_string()), Some("0".repeat(64))));
        assert!(report.findings().any(|f| f.kind == FindingKind::RootDiffers));
    }

    async fn a_wrong_root_in_the_head_row_is_told_by_its_seal(place: Place) {
        let scene = Scene::new(place).await;
        let right = scene.place.store().await.head().await.unwrap().unwrap().root;
        scene.tamper(&format!("UPDATE head SET root = {}", scene.blob(&[7; 32]))).await;
        let report = scene.verify().await;
        assert_told(&report, &[(FindingKind::RootDiffers, None, None, None)]);
        assert_hashes(&report, right, Hash([7; 32]));
        let report = scene.verify_with(|options| options.seal = None).await;
        assert_told(&report, &[(FindingKind::RootDiffers, None, None, None)]);
    }

    async fn a_wrong_size_in_the_head_row_is_told_from_missing_entries(place: Place) {
        let scene = Scene::new(place).await;
        for size in [5, 12] {
            scene.tamper(&format!("UPDATE head SET size = {size}")).await;
            let report = scene.verify().await;
            assert_told(&report, &[(FindingKind::SizeDiffers, None, None, None)]);
            assert_hashes(&report, "size 8", format!("size {size}"));
        }
    }

    async fn a_wrong_seal_is_reported_with_both_seals(place: Place) {
        let scene = Scene::new(place).await;
        scene.tamper(&format!("UPDATE head SET seal = {}", scene.blob(&[7; 32]))).await;
        assert_told(&scene.verify().await, &[(FindingKind::SealWrong, None, None, None)]);
    }

    async fn a_lost_head_row_is_a_finding_and_the_entries_are_read_all_the_same(place: Place) {
        let scene = Scene::new(place).await;
        scene.tamper("DELETE FROM head").await;
        let report = scene.verify().await;
        assert_told(&report, &[(FindingKind::SizeDiffers, None, None, None)]);
        assert_eq!(report.counts.entries, 8);
    }

    async fn an_edited_column_is_told_from_an_edited_entry(place: Place) {
        let scene = Scene::new(place).await;
        scene.tamper("UPDATE entry SET stream = 'agreement/C', sequence = 9 WHERE leaf_index = 7").await;
        let told = (FindingKind::ColumnDiffers, Some(7), Some(B), Some(3));
        let report = scene.verify().await;
        assert_told(&report, &[told, told]);
        assert_hashes(&report, B, "agreement/C");
    }

    async fn a_column_that_no_writer_stored_is_a_finding_and_not_a_fault(place: Place) {
        let scene = Scene::new(place).await;
        let named = scene.leaf_hash(3).await;
        let drop_check = match scene.place.kind {
            Kind::Sqlite => "PRAGMA ignore_check_constraints = ON",
            Kind::Postgres => "ALTER TABLE entry DROP CONSTRAINT entry_leaf_hash_check",
        };
        scene.tamper(&format!("{drop_check}; UPDATE entry SET leaf_hash = {} WHERE leaf_index = 3", scene.blob(b"x"))).await;
        let report = scene.verify().await;
        assert_told(&report, &[(FindingKind::LeafHashDiffers, Some(3), Some(A), Some(2))]);
        assert_eq!(report.findings().next().unwrap().expected, Some(named.to_string()));
    }

    async fn an_edited_projection_row_is_named_by_stream_and_both_hashes(place: Place) {
        let scene = Scene::new(place).await;
        scene.tamper("UPDATE projection_row SET body = '{}' WHERE projection = 'cycle' AND key = 'A'").await;
        let report = scene.verify().await;
        assert_told(&report, &[(FindingKind::ProjectionDiffers, Some(6), Some(A), Some(3))]);
        assert_eq!(report.findings().next().unwrap().found, Some(sha256(&[b"{}"]).to_string()));
        assert!(report.verdicts.complete.is_yes());
    }

    async fn a_deleted_projection_row_is_missing_and_an_added_one_is_extra(place: Place) {
        let scene = Scene::new(place).await;
        scene.tamper("DELETE FROM projection_row WHERE projection = 'cycle' AND key = 'A'").await;
        assert_told(&scene.verify().await, &[(FindingKind::ProjectionMissing, Some(6), Some(A), Some(3))]);
        scene
            .tamper(
                "UPDATE projection_row SET key = 'Z' WHERE projection = 'cycle' AND key = 'B'",
            )
            .await;
        let report = scene.verify().await;
        let mut told: Vec<_> = report.findings().map(|f| (f.kind, f.stream.as_deref())).collect();
        told.sort();
        assert_eq!(
            told,
            [
                (FindingKind::ProjectionMissing, Some(A)),
                (FindingKind::ProjectionMissing, Some(B)),
                (FindingKind::ProjectionExtra, None),
            ]
        );
    }

    async fn a_lagging_projection_is_a_note_and_one_beyond_the_log_a_finding(place: Place) {
        let scene = Scene::new(place).await;
        scene.tamper("UPDATE projection SET next_leaf = 9 WHERE name = 'docket'").await;
        assert_told(&scene.verify().await, &[(FindingKind::CursorWrong, None, None, None)]);
        scene.tamper("UPDATE projection SET next_leaf = 0 WHERE name = 'docket'").await;
        let report = scene.verify().await;
        assert_eq!((report.exit_code(), report.notes.len()), (0, 1), "{:#?}", report.verdicts);
    }

    async fn an_edited_disclosure_does_not_open_the_sealed_value(place: Place) {
        let scene = Scene::new(place).await;
        scene.tamper("UPDATE disclosure SET disclosure = 'WyJ4Il0'").await;
        let report = scene.verify().await;
        assert_told(&report, &[(FindingKind::DisclosureUnmatched, Some(4), Some(B), Some(2))]);
    }

    async fn a_disclosure_moved_removed_or_added_is_reported(place: Place) {
        let scene = Scene::new(place).await;
        scene.tamper("UPDATE disclosure SET leaf_index = 3").await;
        let report = scene.verify().await;
        assert_told(&report, &[(FindingKind::ColumnDiffers, Some(4), Some(B), Some(2))]);
        assert_hashes(&report, 4, 3);
        scene.tamper("DELETE FROM disclosure").await;
        let report = scene.verify().await;
        assert_told(&report, &[(FindingKind::DisclosureMissing, Some(4), Some(B), Some(2))]);
        let digest = "A".repeat(43);
        scene.tamper(&format!("INSERT INTO disclosure VALUES ('{digest}', 700, 'WyJ4Il0')")).await;
        let report = scene.verify().await;
        let told: Vec<_> = report.findings().map(|f| (f.kind, f.leaf_index.map(LeafIndex::get))).collect();
        assert_eq!(
            told,
            [(FindingKind::DisclosureMissing, Some(4)), (FindingKind::DisclosureUnmatched, Some(700))]
        );
    }

    async fn two_independent_tamperings_give_two_findings(place: Place) {
        let scene = Scene::new(place).await;
        scene.rewrite(1, "n-1", "n-X", false).await;
        scene.rewrite(2, "n-2", "n-Y", true).await;
        let report = scene.verify().await;
        assert_told(
            &report,
            &[
                (FindingKind::LeafHashDiffers, Some(1), Some(A), Some(1)),
                (FindingKind::LeafHashDiffers, Some(2), Some(B), Some(1)),
            ],
        );
    }

    async fn an_entry_added_behind_the_head_is_reported(place: Place) {
        let scene = Scene::new(place).await;
        let columns = "stream, sequence, command, leaf_hash, body";
        let command = scene.blob(&[1; 16]);
        scene
            .tamper(&format!(
                "INSERT INTO entry (leaf_index, {columns}) SELECT 8, 'agreement/D', 1, {command}, leaf_hash, body \
                 FROM entry WHERE leaf_index = 7"
            ))
            .await;
        let report = scene.verify().await;
        assert!(report.findings().any(|f| f.kind == FindingKind::SizeDiffers && f.leaf_index == Some(LeafIndex::new(8))));
    }

    async fn findings_about_other_streams_are_left_out_when_one_is_asked_about(place: Place) {
        let scene = Scene::new(place).await;
        scene.rewrite(3, "n-3", "n-X", false).await;
        let asked = |stream: &str| Some(StreamName::new(stream).unwrap());
        let report = scene.verify_with(|options| options.stream = asked(B)).await;
        assert_eq!((report.findings().count(), report.counts.entries_asked), (0, 3), "{:#?}", report.verdicts);
        assert_eq!(report.notes.len(), 1);
        let report = scene.verify_with(|options| options.stream = asked(A)).await;
        assert_told(&report, &[(FindingKind::LeafHashDiffers, Some(3), Some(A), Some(2))]);
        let report = scene.verify_with(|options| options.stream = asked("agreement/none")).await;
        assert_eq!(report.exit_code(), 2);
    }
}

#[tokio::test]
async fn a_database_without_a_log_could_not_be_checked() {
    let place = Place::new(Kind::Sqlite).await;
    let store = weituo::store::open(&place.url, weituo::store::StoreOptions::default(), true).await.unwrap();
    store.migrate().await.unwrap();
    let report = verify(&*store, &VerifyOptions::default(), |_| ()).await;
    assert_eq!((report.findings().count(), report.exit_code()), (0, 2), "{report:#?}");
}
