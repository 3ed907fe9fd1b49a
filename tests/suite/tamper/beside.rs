//! What stands beside the log: projections, their cursors and generations, disclosures.

use weituo_proof::{Both, FindingKind, sha256};

use super::bench::{Bench, Expected};
use super::forge::rebuild;
use crate::support::ledger::{Place, on_both_stores};

const ROW: &str = "projection = 'cycle' AND key = 'WZ-2022-001'";
const STREAM: &str = "agreement/WZ-2022-001";

fn of_cycle(kind: FindingKind) -> Expected<'static> {
    Expected { stream: Some(STREAM), ..Expected::new(kind) }
}

/// Returns the SHA-256 of the row's body.
async fn body_hash(bench: &Bench) -> String {
    let store = bench.place.store().await;
    let keys = ["WZ-2022-001".to_owned()];
    let row = store.projection_get("cycle", weituo::store::Which::Active, &keys).await.unwrap().remove(0);
    store.close().await;
    sha256(&[row.body.as_bytes()]).to_string()
}

on_both_stores! {
    async fn an_edited_projection_row_is_not_what_a_fresh_fold_gives(place: Place) {
        let bench = Bench::new(place).await;
        let right = body_hash(&bench).await;
        bench.tamper(&format!("UPDATE projection_row SET body = '{{}}' WHERE {ROW}")).await;
        let expected = of_cycle(FindingKind::ProjectionDiffers).differing(right, sha256(&[b"{}"]));
        bench.assert_found(&expected).await;
    }

    async fn a_deleted_projection_row_is_missing(place: Place) {
        let bench = Bench::new(place).await;
        let right = body_hash(&bench).await;
        bench.tamper(&format!("DELETE FROM projection_row WHERE {ROW}")).await;
        bench.assert_found(&of_cycle(FindingKind::ProjectionMissing).differing(right, "no row")).await;
        rebuild(&bench).await;
        assert_eq!(bench.verify().await.exit_code(), 0);
    }

    async fn an_added_projection_row_has_no_entry_behind_it(place: Place) {
        let bench = Bench::new(place).await;
        bench
            .tamper(&format!(
                "INSERT INTO projection_row (projection, generation, key, body)
                 SELECT projection, generation, 'WZ-2099-001', '{{}}' FROM projection_row WHERE {ROW}"
            ))
            .await;
        let expected = Expected::new(FindingKind::ProjectionExtra).differing("no row", sha256(&[b"{}"]));
        bench.assert_found(&expected).await;
    }

    async fn a_row_with_an_empty_key_is_told_though_it_stands_alone(place: Place) {
        let bench = Bench::new(place).await;
        bench.tamper("UPDATE projection_row SET key = '' WHERE projection = 'rulebook'").await;
        let report = bench.verify().await;
        let kinds: Vec<FindingKind> = report.findings().map(|finding| finding.kind).collect();
        assert_eq!(kinds, [FindingKind::ProjectionExtra, FindingKind::ProjectionMissing]);
    }

    async fn a_projection_row_of_no_generation_is_reported(place: Place) {
        let bench = Bench::new(place).await;
        bench
            .tamper("INSERT INTO projection_row (projection, generation, key, body) VALUES ('cycle', 77, 'a', '{}')")
            .await;
        bench.assert_found(&Expected::new(FindingKind::ProjectionExtra).differing("no rows", 1)).await;
    }

    async fn a_cursor_moved_alone_stands_apart_from_the_others(place: Place) {
        let bench = Bench::new(place).await;
        let size = bench.head().await.size;
        // One step back: no row of this projection differs, and it is told all the same.
        bench.tamper("UPDATE projection SET next_leaf = next_leaf - 1 WHERE name = 'docket'").await;
        bench.assert_found(&Expected::new(FindingKind::CursorWrong).differing(size, size - 1)).await;
        bench.tamper("UPDATE projection SET next_leaf = next_leaf + 1000 WHERE name = 'docket'").await;
        let expected = Expected::new(FindingKind::CursorWrong).differing(format!("{size} or less"), size + 999);
        bench.assert_found(&expected).await;
    }

    async fn all_cursors_moved_back_show_rows_that_their_entries_do_not_give(place: Place) {
        let bench = Bench::new(place).await;
        bench.tamper("UPDATE projection SET next_leaf = 60").await;
        bench.assert_found(&Expected::new(FindingKind::ProjectionExtra)).await;
    }

    async fn a_projection_hidden_from_its_readers_is_told(place: Place) {
        let bench = Bench::new(place).await;
        let hidden = if bench.place.kind == crate::support::ledger::Kind::Sqlite { "0" } else { "false" };
        bench.tamper(&format!("UPDATE projection SET active = {hidden} WHERE name = 'cycle'")).await;
        let report = bench.verify().await;
        assert_eq!((report.exit_code(), report.verdicts.intact.is_yes()), (2, false), "{:#?}", report.verdicts);
        bench.tamper("UPDATE projection SET name = 'another' WHERE name = 'cycle'").await;
        bench.assert_found(&Expected::new(FindingKind::CursorWrong).differing("a projection of this program", "another")).await;
    }

    async fn an_edited_disclosure_does_not_have_the_sealed_digest(place: Place) {
        let bench = Bench::new(place).await;
        let row = bench.place.store().await.scan_disclosures("", 1).await.unwrap().remove(0);
        bench.tamper(&format!("UPDATE disclosure SET disclosure = 'WyJ4Il0' WHERE digest = '{}'", row.digest)).await;
        let expected = Expected { leaf: Some(row.leaf_index), ..Expected::new(FindingKind::DisclosureUnmatched) };
        let report = bench.assert_found(&expected).await;
        assert_eq!(report.findings().next().unwrap().expected.as_ref(), Some(&Both::from(&row.digest)));
    }

    async fn a_disclosure_removed_without_record_is_missing(place: Place) {
        let bench = Bench::new(place).await;
        let row = bench.place.store().await.scan_disclosures("", 1).await.unwrap().remove(0);
        bench.tamper(&format!("DELETE FROM disclosure WHERE digest = '{}'", row.digest)).await;
        let expected = Expected { leaf: Some(row.leaf_index), ..Expected::new(FindingKind::DisclosureMissing) };
        bench.assert_found(&expected.differing(row.digest, "no disclosure")).await;
    }
}
