//! What stands outside the database: the head's seal, the anchor, checkpoints that others kept; and rollbacks.

use weituo_proof::{FindingKind, Hash, SigningKey};

use super::bench::{Bench, Expected};
use super::forge::{rewrite_everything, seal, sign, write_anchor};
use crate::support::ledger::{Place, on_both_stores};

/// The edit after which everything is recomputed.
const EDIT: (&str, &str) = ("\"as_found\":false", "\"as_found\":true");

on_both_stores! {
    async fn an_edited_seal_is_not_that_of_the_logs_key(place: Place) {
        let bench = Bench::new(place).await;
        let right = Hash(bench.head().await.seal);
        bench.tamper(&format!("UPDATE head SET seal = {}", bench.blob(&[7; 32]))).await;
        bench.assert_found(&Expected::new(FindingKind::SealWrong).differing(right, Hash([7; 32]))).await;
    }

    async fn a_whole_log_rewritten_without_the_key_has_no_seal_and_contradicts_anchor_and_outside_checkpoint(place: Place) {
        let bench = Bench::new(place).await;
        let root = bench.head().await.root;
        let now = rewrite_everything(&bench, 20, EDIT.0, EDIT.1).await;
        bench.assert_found(&Expected::new(FindingKind::SealWrong)).await;
        bench.assert_found(&Expected::new(FindingKind::AnchorDiffers).differing(root, now)).await;
        let outside = [bench.early.as_str()];
        bench.assert_found(&Expected { outside: &outside, ..Expected::new(FindingKind::CheckpointNotExtended) }).await;
    }

    async fn a_whole_log_rewritten_and_sealed_contradicts_the_anchor(place: Place) {
        let bench = Bench::new(place).await;
        let root = bench.head().await.root;
        let now = rewrite_everything(&bench, 20, EDIT.0, EDIT.1).await;
        seal(&bench).await;
        bench.assert_found(&Expected::new(FindingKind::AnchorDiffers).differing(root, now)).await;
    }

    async fn a_whole_log_rewritten_by_its_operator_is_caught_by_any_outside_checkpoint(place: Place) {
        let bench = Bench::new(place).await;
        rewrite_everything(&bench, 20, EDIT.0, EDIT.1).await;
        seal(&bench).await;
        write_anchor(&bench, &sign(&bench, &bench.signing_key()).await);
        // Alone, the operator's own key vouches for it: nobody inside can tell, and age is not proven.
        let report = bench.verify().await;
        assert_eq!((report.exit_code(), report.findings().count()), (0, 0), "{:#?}", report.verdicts);
        assert!(!report.verdicts.age.is_yes());
        let (_, shown) = bench.shown(&["verify"]).await;
        assert!(shown.contains("age: not proven"), "{shown}");
        let outside = [bench.early.as_str()];
        bench.assert_found(&Expected { outside: &outside, ..Expected::new(FindingKind::CheckpointNotExtended) }).await;
    }

    async fn a_checkpoint_signed_again_with_another_key_is_not_the_logs(place: Place) {
        let bench = Bench::new(place).await;
        let stranger = SigningKey::from_seed(bench.signing_key().verifier().name(), [9; 32]).unwrap();
        let forged = sign(&bench, &stranger).await;
        let outside = [forged.as_str()];
        let expected = Expected { outside: &outside, ..Expected::new(FindingKind::CheckpointSignature) };
        bench.assert_found(&expected).await;
        write_anchor(&bench, &forged);
        bench.assert_found(&Expected::new(FindingKind::AnchorDamaged)).await;
    }

    async fn a_changed_origin_is_not_the_one_that_entries_name(place: Place) {
        let bench = Bench::new(place).await;
        let origin = bench.head().await.origin;
        bench.tamper("UPDATE head SET origin = 'log.example/other'").await;
        let expected = Expected { leaf: Some(0), stream: Some("log/main"), ..Expected::new(FindingKind::OriginDiffers) };
        bench.assert_found(&expected.differing("log.example/other", origin)).await;
        bench.assert_found(&Expected::new(FindingKind::SealWrong)).await;
    }

    async fn an_edited_size_root_or_time_of_the_head_row_is_told_by_the_seal(place: Place) {
        let bench = Bench::new(place).await;
        let head = bench.head().await;
        bench.tamper("UPDATE head SET size = size - 3").await;
        let sizes = (format!("size {}", head.size), format!("size {}", head.size - 3));
        bench.assert_found(&Expected::new(FindingKind::SizeDiffers).differing(sizes.0, sizes.1)).await;
        let root = bench.blob(&[7; 32]);
        bench.tamper(&format!("UPDATE head SET size = size + 3, root = {root}")).await;
        bench.assert_found(&Expected::new(FindingKind::RootDiffers).differing(head.root, Hash([7; 32]))).await;
        let right = bench.blob(&head.root.0);
        bench.tamper(&format!("UPDATE head SET root = {right}, recorded_at = '2020-01-01T00:00:00.000Z'")).await;
        let expected = Expected::new(FindingKind::ColumnDiffers);
        bench.assert_found(&expected.differing(head.recorded_at, "2020-01-01T00:00:00.000Z")).await;
    }

    async fn an_older_copy_restored_is_behind_the_anchor(place: Place) {
        let mut bench = Bench::new(place).await;
        let newest = bench.head().await;
        bench.restore_older().await;
        let older = bench.head().await;
        assert!(older.size < newest.size);
        let expected = Expected { leaf: Some(older.size), ..Expected::new(FindingKind::AnchorDiffers) };
        bench.assert_found(&expected.differing(newest.root, older.root)).await;
    }

    async fn an_older_copy_without_anchor_and_outside_checkpoint_is_never_called_current(place: Place) {
        let mut bench = Bench::new(place).await;
        let whole = sign(&bench, &bench.signing_key()).await;
        bench.restore_older().await;
        for with_older_anchor in [false, true] {
            // With the anchor of its own day it looks the same: whoever restores both is told by others only.
            drop(std::fs::remove_file(bench.place.anchor_file()));
            if with_older_anchor {
                bench.restore_older_anchor().await;
            }
            let report = bench.verify().await;
            assert!(!report.verdicts.age.is_yes() && report.findings().count() == 0, "{:#?}", report.verdicts);
            assert_eq!(report.notes.iter().any(|note| note.en().contains("no anchor was compared")), !with_older_anchor);
            let (_, shown) = bench.shown(&["verify"]).await;
            assert!(shown.contains("age: not proven") && !shown.contains("current"), "{shown}");
            let outside = [whole.as_str()];
            let expected = Expected { outside: &outside, ..Expected::new(FindingKind::CheckpointNotExtended) };
            bench.assert_found(&expected).await;
        }
    }

    async fn an_edited_anchor_file_is_a_finding_and_the_rest_is_verified(place: Place) {
        let bench = Bench::new(place).await;
        let mut bytes = std::fs::read(bench.place.anchor_file()).unwrap();
        for byte in &mut bytes {
            *byte ^= 1;
        }
        std::fs::write(bench.place.anchor_file(), bytes).unwrap();
        let report = bench.assert_found(&Expected::new(FindingKind::AnchorDamaged)).await;
        assert!(report.counts.entries > 100 && report.findings().count() == 1, "{:#?}", report.verdicts);
        std::fs::write(bench.place.anchor_file(), b"").unwrap();
        bench.assert_found(&Expected::new(FindingKind::AnchorDamaged)).await;
    }

    async fn one_byte_of_the_anchor_is_enough_that_nobody_calls_the_log_intact(place: Place) {
        let bench = Bench::new(place).await;
        let whole = std::fs::read(bench.place.anchor_file()).unwrap();
        // The counter and the text of either slot.
        for at in [23, 40, 4_096 + 23, 4_096 + 40] {
            assert_ne!(whole[at], 0, "both slots are in use");
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            std::fs::write(bench.place.anchor_file(), bytes).unwrap();
            let report = bench.verify().await;
            assert_eq!(report.exit_code(), 2, "byte {at}: {:#?}", report.verdicts);
            let reasons = report.verdicts.intact.reasons();
            assert!(reasons.iter().any(|reason| reason.en().contains("half of the anchor")), "{reasons:?}");
        }
    }

    async fn an_anchor_of_another_log_is_a_finding(place: Place) {
        let bench = Bench::new(place).await;
        let other = SigningKey::from_seed("log.example/other", [9; 32]).unwrap();
        let head = bench.head().await;
        let (origin, size) = ("log.example/other".parse().unwrap(), weituo_proof::TreeSize::new(head.size));
        let note = weituo_proof::Checkpoint { origin, size, root: head.root }.sign(&other).unwrap();
        write_anchor(&bench, &note.to_string());
        bench.assert_found(&Expected::new(FindingKind::AnchorDamaged)).await;
    }

    async fn an_anchor_of_another_history_is_a_finding(place: Place) {
        let bench = Bench::new(place).await;
        let head = bench.head().await;
        let (origin, size) = (head.origin.parse().unwrap(), weituo_proof::TreeSize::new(head.size));
        let forked = weituo_proof::Checkpoint { origin, size, root: Hash([7; 32]) };
        write_anchor(&bench, &forked.sign(&bench.signing_key()).unwrap().to_string());
        bench.assert_found(&Expected::new(FindingKind::AnchorDiffers).differing(Hash([7; 32]), head.root)).await;
    }

    async fn a_removed_anchor_is_told_and_stops_the_writer(place: Place) {
        let bench = Bench::new(place).await;
        std::fs::remove_file(bench.place.anchor_file()).unwrap();
        let report = bench.verify().await;
        assert!(report.notes.iter().any(|note| note.en().contains("no anchor was compared")), "{:?}", report.notes);
        let (_, shown) = bench.shown(&["verify"]).await;
        assert!(shown.contains("extends the anchor: there is none at"), "{shown}");
        assert!(bench.place.open().await.read_only().is_some());
    }
}
