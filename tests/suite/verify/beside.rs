//! What stands beside the log: projections and disclosures.

use weituo_proof::{Both, FindingKind, LeafIndex, sha256};

use super::scene::{A, B, Scene, assert_hashes, assert_told};
use crate::support::ledger::{Place, on_both_stores};

on_both_stores! {
    async fn an_edited_projection_row_is_named_by_stream_and_both_hashes(place: Place) {
        let scene = Scene::new(place).await;
        scene.tamper("UPDATE projection_row SET body = '{}' WHERE projection = 'cycle' AND key = 'A'").await;
        let report = scene.verify().await;
        assert_told(&report, &[(FindingKind::ProjectionDiffers, Some(6), Some(A), Some(3))]);
        assert_eq!(report.findings().next().unwrap().found, Some(Both::from(&sha256(&[b"{}"]))));
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
        scene.tamper("UPDATE projection SET next_leaf = 10 WHERE name = 'docket'").await;
        assert_told(&scene.verify().await, &[(FindingKind::CursorWrong, None, None, None)]);
        // The last entry commits the index, of which no projection has a row.
        scene.tamper("UPDATE projection SET next_leaf = 8").await;
        let report = scene.verify().await;
        let behind = report.notes.iter().filter(|note| note.en().contains("behind")).count();
        assert_eq!((report.exit_code(), behind), (0, report.notes.len()), "{:#?}", report.verdicts);
        assert!(behind > 1, "{:?}", report.notes);
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
        assert_hashes(&report, &4, &3);
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
}
