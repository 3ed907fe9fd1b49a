//! Verification of whole ledgers: a healthy one gives no finding, and each tampering gives the finding that names it.

mod beside;
mod facts;
mod scene;
mod signatures;

use weituo::verify::{OutsideCheckpoint, VerifyOptions, verify};
use weituo_proof::{Both, FindingKind, Hash, LeafIndex, SigningKey, StreamName};

use crate::support::ledger::{Kind, Place, on_both_stores, proposal, rows};
use scene::{A, B, Scene, assert_hashes, assert_told};

on_both_stores! {
    async fn a_ledger_is_verified_while_it_records(place: Place) {
        let scene = Scene::new(place).await;
        let ledger = scene.place.open().await;
        let mut head = scene.head_of(A).await;
        let recording = async {
            for number in 0..60 {
                let accepted = ledger.submit(proposal(A, &format!("n-{number}"), head)).await.unwrap();
                head = Some(accepted.head());
            }
        };
        let verifying = async {
            for _ in 0..6 {
                let report = scene.verify().await;
                assert_eq!((report.findings().count(), report.exit_code()), (0, 0), "{:#?}", report.verdicts);
            }
        };
        tokio::join!(recording, verifying);
        ledger.stop().await.unwrap();
    }

    async fn a_healthy_ledger_gives_no_finding(place: Place) {
        let scene = Scene::new(place).await;
        let report = scene.verify().await;
        assert_eq!(report.findings().count(), 0, "{:#?}", report.verdicts);
        assert!(report.verdicts.intact.is_yes() && report.verdicts.complete.is_yes(), "{:#?}", report.verdicts);
        assert!(!report.verdicts.age.is_yes() && !report.age_asked);
        assert_eq!((report.exit_code(), report.notes.len()), (0, 0), "{:?}", report.notes);
        let counts = report.counts;
        assert_eq!((counts.entries, counts.streams, counts.disclosures), (9, 4, 1));
        assert_eq!((counts.index_roots, counts.not_indexed), (2, 1));
        assert!(counts.projection_rows >= 2);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!((&json["intact"]["answer"], &json["counts"]["entries"]), (&"yes".into(), &9.into()));
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
        assert_hashes(&report, &before, &after);
    }

    async fn an_entry_rewritten_with_its_hash_is_told_by_the_entry_after_it(place: Place) {
        let scene = Scene::new(place).await;
        let (before, after) = scene.rewrite(3, "n-3", "n-X", true).await;
        let report = scene.verify().await;
        assert_told(&report, &[(FindingKind::LeafHashDiffers, Some(3), Some(A), Some(2))]);
        assert_hashes(&report, &before, &after);
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
        assert_hashes(&report, &right, &wrong);
    }

    async fn a_deleted_entry_is_named_by_the_entry_after_it(place: Place) {
        let scene = Scene::new(place).await;
        let gone = scene.leaf_hash(3).await;
        scene.tamper("DELETE FROM entry WHERE leaf_index = 3").await;
        let report = scene.verify().await;
        assert_told(&report, &[(FindingKind::LeafMissing, Some(3), Some(A), Some(2))]);
        assert_hashes(&report, &gone, "no row");
        assert!(!report.verdicts.complete.is_yes());
    }

    async fn a_deleted_first_entry_is_named_by_the_first_of_every_stream(place: Place) {
        let scene = Scene::new(place).await;
        let gone = scene.leaf_hash(0).await;
        scene.tamper("DELETE FROM entry WHERE leaf_index = 0").await;
        let report = scene.verify().await;
        assert_told(&report, &[(FindingKind::LeafMissing, Some(0), Some("log/main"), Some(1))]);
        assert_hashes(&report, &gone, "no row");
    }

    async fn a_head_row_that_counts_more_than_any_log_has_is_one_finding(place: Place) {
        let scene = Scene::new(place).await;
        scene.tamper("UPDATE head SET size = 4611686018427387904").await;
        assert_told(&scene.verify().await, &[(FindingKind::SizeDiffers, None, None, None)]);
    }

    async fn a_deleted_last_entry_is_missed_by_the_head(place: Place) {
        let scene = Scene::new(place).await;
        let head = scene.place.store().await.head().await.unwrap().unwrap();
        scene.tamper("DELETE FROM entry WHERE leaf_index = 8").await;
        let report = scene.verify().await;
        assert_told(&report, &[(FindingKind::LeafMissing, Some(8), None, None)]);
        assert_eq!(report.findings().next().unwrap().expected, Some(Both::from(&head.root)));
    }

    async fn a_rollback_of_log_and_head_is_told_by_seal_and_anchor(place: Place) {
        let scene = Scene::new(place).await;
        let mut tree = weituo_proof::Frontier::new();
        for row in rows(&*scene.place.store().await).await.iter().take(8) {
            tree.append(row.leaf_hash);
        }
        let root = scene.blob(tree.root().as_bytes());
        scene
            .tamper(&format!("DELETE FROM entry WHERE leaf_index = 8; UPDATE head SET size = 8, root = {root}"))
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
        assert_eq!(hashes, (Some(Both::from(&named)), Some(Both::from(&Hash::ZERO))));
        assert!(report.findings().any(|f| f.kind == FindingKind::RootDiffers));
    }

    async fn a_wrong_root_in_the_head_row_is_told_by_its_seal(place: Place) {
        let scene = Scene::new(place).await;
        let right = scene.place.store().await.head().await.unwrap().unwrap().root;
        scene.tamper(&format!("UPDATE head SET root = {}", scene.blob(&[7; 32]))).await;
        let report = scene.verify().await;
        assert_told(&report, &[(FindingKind::RootDiffers, None, None, None)]);
        assert_hashes(&report, &right, &Hash([7; 32]));
        let report = scene.verify_with(|options| options.seal = None).await;
        assert_told(&report, &[(FindingKind::RootDiffers, None, None, None)]);
    }

    async fn a_wrong_size_in_the_head_row_is_told_from_missing_entries(place: Place) {
        let scene = Scene::new(place).await;
        for size in [5, 13] {
            scene.tamper(&format!("UPDATE head SET size = {size}")).await;
            let report = scene.verify().await;
            assert_told(&report, &[(FindingKind::SizeDiffers, None, None, None)]);
            assert_hashes(&report, "size 9", &format!("size {size}"));
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
        assert_eq!(report.counts.entries, 9);
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
        // The constraint that let it pass is told too: dropped on PostgreSQL, not satisfied on SQLite.
        let schema = (FindingKind::SchemaDiffers, None, None, None);
        let report = scene.verify().await;
        assert_told(&report, &[schema, (FindingKind::LeafHashDiffers, Some(3), Some(A), Some(2))]);
        assert_eq!(report.findings().nth(1).unwrap().expected, Some(Both::from(&named)));
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
        let command = match scene.place.kind {
            Kind::Sqlite => scene.blob(&[1; 16]),
            Kind::Postgres => "'00000000-0000-4000-8000-0000000000ff'::uuid".to_owned(),
        };
        scene
            .tamper(&format!(
                "INSERT INTO entry (leaf_index, {columns}) SELECT 9, 'agreement/D', 1, {command}, leaf_hash, body \
                 FROM entry WHERE leaf_index = 7"
            ))
            .await;
        let report = scene.verify().await;
        assert!(report.findings().any(|f| f.kind == FindingKind::SizeDiffers && f.leaf_index == Some(LeafIndex::new(9))));
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
