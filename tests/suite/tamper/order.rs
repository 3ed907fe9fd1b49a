//! Entries removed, moved, inserted and copied; the head row made to agree.

use weituo_proof::{FindingKind, leaf_hash};

use super::bench::{Bench, Expected, quoted};
use crate::support::ledger::{Place, on_both_stores};

const COLUMNS: &str = "leaf_index, stream, sequence, command, leaf_hash, body";

on_both_stores! {
    async fn the_untouched_copy_is_intact(place: Place) {
        let bench = Bench::new(place).await;
        let report = bench.verify_with(vec![&bench.early]).await;
        assert_eq!((report.exit_code(), report.findings().count()), (0, 0), "{:#?}", report.verdicts);
        assert!(report.notes.is_empty(), "{:?}", report.notes);
        assert!(report.counts.projection_rows > 20 && report.counts.disclosures > 0, "{:?}", report.counts);
        let (code, shown) = bench.shown(&["verify"]).await;
        assert!(code == 0 && shown.contains("✔ intact") && shown.contains("age: not proven"), "{shown}");
    }

    async fn a_deleted_entry_is_named_by_the_one_after_it(place: Place) {
        let bench = Bench::new(place).await;
        let row = bench.of_type("AnnualAssessmentRecorded").await;
        bench.tamper(&format!("DELETE FROM entry WHERE leaf_index = {}", row.leaf_index)).await;
        bench.assert_found(&Expected::at(FindingKind::LeafMissing, &row).differing(row.leaf_hash, "no row")).await;
    }

    async fn the_last_entry_deleted_is_missed_by_the_head_row(place: Place) {
        let bench = Bench::new(place).await;
        let (last, root) = (bench.rows().await.len() as u64 - 1, bench.head().await.root);
        bench.tamper(&format!("DELETE FROM entry WHERE leaf_index = {last}")).await;
        let expected = Expected { leaf: Some(last), ..Expected::new(FindingKind::LeafMissing) };
        let left = bench.root_now().await;
        bench.assert_found(&expected.differing(root, left)).await;
    }

    async fn the_last_entry_deleted_with_the_head_row_to_match_has_no_seal_and_is_behind_the_anchor(place: Place) {
        let bench = Bench::new(place).await;
        let (last, root) = (bench.rows().await.len() as u64 - 1, bench.head().await.root);
        bench.tamper(&format!("DELETE FROM entry WHERE leaf_index = {last}")).await;
        bench.fit_head().await;
        let left = bench.root_now().await;
        bench.assert_found(&Expected::new(FindingKind::SealWrong)).await;
        bench.assert_found(&Expected::new(FindingKind::AnchorDiffers).differing(root, left)).await;
    }

    async fn the_last_entry_and_the_head_row_edited_to_agree_have_no_seal_and_another_root_than_the_anchor(place: Place) {
        let bench = Bench::new(place).await;
        let (row, root) = (bench.rows().await.pop().unwrap(), bench.head().await.root);
        bench.edit(&row, "\"as_found\":false", "\"as_found\":true", true).await;
        bench.fit_head().await;
        bench.assert_found(&Expected::new(FindingKind::SealWrong)).await;
        let now = bench.root_now().await;
        bench.assert_found(&Expected::new(FindingKind::AnchorDiffers).differing(root, now)).await;
    }

    async fn two_swapped_entries_give_another_root_and_break_the_order_of_time(place: Place) {
        let bench = Bench::new(place).await;
        let (rows, root) = (bench.rows().await, bench.head().await.root);
        // Two entries of different streams, far apart: no chain breaks.
        let first = rows.iter().find(|row| row.stream.starts_with("organisation/")).unwrap();
        let second = rows.iter().rfind(|row| row.stream.starts_with("agreement/")).unwrap();
        let (a, b) = (first.leaf_index, second.leaf_index);
        let moved = |from, to| format!("UPDATE entry SET leaf_index = {to} WHERE leaf_index = {from};");
        bench.tamper(&[moved(a, 900_000), moved(b, a), moved(900_000, b)].concat()).await;
        let now = bench.root_now().await;
        bench.assert_found(&Expected::new(FindingKind::RootDiffers).differing(root, now)).await;
        let expected = Expected { leaf: Some(a + 1), ..Expected::new(FindingKind::RecordedAtDecreases) };
        bench.assert_found(&expected).await;
    }

    async fn two_swapped_entries_of_one_stream_are_out_of_sequence(place: Place) {
        let bench = Bench::new(place).await;
        let (one, two) = (bench.at("agreement/WZ-2022-001", 3).await, bench.at("agreement/WZ-2022-001", 4).await);
        let (a, b) = (one.leaf_index, two.leaf_index);
        let moved = |from, to| format!("UPDATE entry SET leaf_index = {to} WHERE leaf_index = {from};");
        bench.tamper(&[moved(a, 900_000), moved(b, a), moved(900_000, b)].concat()).await;
        let expected = Expected { leaf: Some(a), ..Expected::at(FindingKind::SequenceGap, &two) };
        bench.assert_found(&expected).await;
    }

    async fn an_entry_inserted_behind_the_head_row_is_beyond_it(place: Place) {
        let bench = Bench::new(place).await;
        let (size, body, hash) = forged(&bench).await;
        let id = bench.command([0xfe; 16]);
        let values = format!("{size}, 'agreement/forged', 1, {id}, {hash}, {}", quoted(&body));
        bench.tamper(&format!("INSERT INTO entry ({COLUMNS}) VALUES ({values})")).await;
        let expected = Expected { leaf: Some(size), ..Expected::new(FindingKind::SizeDiffers) };
        bench.assert_found(&expected.differing(format!("size {size}"), format!("size {}", size + 1))).await;
    }

    async fn an_entry_inserted_with_the_head_row_to_match_has_no_seal(place: Place) {
        let bench = Bench::new(place).await;
        let (size, body, hash) = forged(&bench).await;
        let id = bench.command([0xfe; 16]);
        let values = format!("{size}, 'agreement/forged', 1, {id}, {hash}, {}", quoted(&body));
        bench.tamper(&format!("INSERT INTO entry ({COLUMNS}) VALUES ({values})")).await;
        bench.fit_head().await;
        bench.assert_found(&Expected::new(FindingKind::SealWrong)).await;
    }

    async fn an_entry_inserted_in_the_middle_gives_another_root_than_the_anchors(place: Place) {
        let bench = Bench::new(place).await;
        let (size, body, hash) = forged(&bench).await;
        let (root, id) = (bench.head().await.root, bench.command([0xfe; 16]));
        let values = format!("40, 'agreement/forged', 1, {id}, {hash}, {}", quoted(&body));
        let shift = format!(
            "UPDATE entry SET leaf_index = leaf_index + 900000 WHERE leaf_index >= 40;
             UPDATE entry SET leaf_index = leaf_index - 899999 WHERE leaf_index >= 900000;
             INSERT INTO entry ({COLUMNS}) VALUES ({values})"
        );
        bench.tamper(&shift).await;
        bench.fit_head().await;
        let was = bench.rows().await.into_iter().take(usize::try_from(size).unwrap());
        let mut tree = weituo_proof::Frontier::new();
        was.for_each(|row| tree.append(row.leaf_hash));
        bench.assert_found(&Expected::new(FindingKind::AnchorDiffers).differing(root, tree.root())).await;
    }

    async fn an_entry_copied_into_another_stream_is_not_what_its_columns_say(place: Place) {
        let bench = Bench::new(place).await;
        let (row, size) = (bench.of_type("AnnualAssessmentRecorded").await, bench.rows().await.len() as u64);
        let id = bench.command([0xfe; 16]);
        bench
            .tamper(&format!(
                "INSERT INTO entry ({COLUMNS}) SELECT {size}, 'agreement/WZ-2021-003', 900, {id}, leaf_hash, body FROM entry
                 WHERE leaf_index = {}",
                row.leaf_index
            ))
            .await;
        bench.fit_head().await;
        let expected = Expected { leaf: Some(size), ..Expected::at(FindingKind::ColumnDiffers, &row) };
        bench.assert_found(&expected.differing(&row.stream, "agreement/WZ-2021-003")).await;
        let expected = Expected { leaf: Some(size), ..Expected::at(FindingKind::ColumnDiffers, &row) };
        let ids = [row.command, [0xfe; 16]].map(uuid::Uuid::from_bytes);
        bench.assert_found(&expected.differing(ids[0], ids[1])).await;
        bench.assert_found(&Expected::new(FindingKind::SealWrong)).await;
    }

    async fn an_entry_renamed_into_another_stream_is_not_the_one_that_was_hashed(place: Place) {
        let bench = Bench::new(place).await;
        let row = bench.of_type("AnnualAssessmentRecorded").await;
        let to = "\"stream\":\"agreement/WZ-2021-003\"";
        let after = bench.edit(&row, &format!("\"stream\":\"{}\"", row.stream), to, false).await;
        bench.assert_found(&Expected::at(FindingKind::LeafHashDiffers, &row).differing(row.leaf_hash, after)).await;
    }

    async fn an_edited_index_root_is_reported_at_the_entry_that_commits_it(place: Place) {
        let bench = Bench::new(place).await;
        let row = bench.at("log/index", 1).await;
        let at = row.body.find("\"root\":\"").unwrap();
        let from = row.body[at..at + 72].to_owned();
        let to = format!("\"root\":\"{}", "0".repeat(64));
        let after = bench.edit(&row, &from, &to, true).await;
        bench.assert_found(&Expected::at(FindingKind::LeafHashDiffers, &row).differing(row.leaf_hash, after)).await;
    }
}

/// Returns the log's size, a well-formed first entry of a stream of its own, and the literal of its leaf hash.
async fn forged(bench: &Bench) -> (u64, String, String) {
    let rows = bench.rows().await;
    let first = rows.iter().find(|row| row.stream.starts_with("agreement/") && row.sequence == 1).unwrap();
    let last = rows.last().unwrap();
    let at = |body: &str| body.find("\"recorded_at\":\"").unwrap();
    let (from, to) = (&first.body[at(&first.body)..][..39], &last.body[at(&last.body)..][..39]);
    let id = uuid::Uuid::from_bytes(first.command).to_string();
    let body = first
        .body
        .replace(&first.stream, "agreement/forged")
        .replace(&id, "fefefefe-fefe-fefe-fefe-fefefefefefe")
        .replace(from, to);
    let hash = bench.blob(leaf_hash(body.as_bytes()).as_bytes());
    (rows.len() as u64, body, hash)
}
