//! One entry edited, in each of its members.

use weituo_proof::FindingKind;

use super::bench::{Bench, Expected};
use crate::support::ledger::{Place, on_both_stores};

/// Edits a member of an annual assessment, and asserts the finding that names the entry and both hashes.
async fn edited(place: Place, edit: impl Fn(&str) -> (String, String)) {
    let bench = Bench::new(place).await;
    let row = bench.of_type("AnnualAssessmentRecorded").await;
    let (from, to) = edit(&row.body);
    let after = bench.edit(&row, &from, &to, false).await;
    let expected = Expected::at(FindingKind::LeafHashDiffers, &row).differing(row.leaf_hash, after);
    let report = bench.assert_found(&expected).await;
    assert_eq!(report.findings().count(), 1, "{:#?}", report.verdicts);
}

/// Returns a member's text and the text with another value.
fn member(body: &str, name: &str, value: &str) -> (String, String) {
    let pattern = format!(r#""{name}":("[^"]*"|[0-9]+|true|false)"#);
    let found = regex_lite::Regex::new(&pattern).unwrap().find(body).unwrap().as_str().to_owned();
    let edited = format!(r#""{name}":{value}"#);
    assert_ne!(found, edited);
    (found, edited)
}

on_both_stores! {
    async fn an_edited_payload_is_reported_at_its_entry(place: Place) {
        edited(place, |body| member(body, "score_centi", "9999")).await;
    }

    async fn an_edited_event_type_is_reported_at_its_entry(place: Place) {
        edited(place, |body| member(body, "type", "\"AnnualSupervisionRecorded\"")).await;
    }

    async fn an_edited_event_version_is_reported_at_its_entry(place: Place) {
        edited(place, |body| {
            let (from, to) = member(body, "type", "\"x\"");
            let from = from + ",\"version\":1}";
            assert!(body.contains(&from), "{body}");
            (from.clone(), if to.is_empty() { to } else { from.replace(":1}", ":2}") })
        })
        .await;
    }

    async fn an_edited_instant_of_recording_is_reported_at_its_entry(place: Place) {
        edited(place, |body| member(body, "recorded_at", "\"2020-01-01T00:00:00.000Z\"")).await;
    }

    async fn an_edited_effective_date_is_reported_at_its_entry(place: Place) {
        edited(place, |body| member(body, "effective", "\"2001-02-03\"")).await;
    }

    async fn an_edited_actor_is_reported_at_its_entry(place: Place) {
        edited(place, |body| member(body, "organisation", "\"somebody-else\"")).await;
    }

    async fn an_edited_command_id_is_reported_at_its_entry(place: Place) {
        edited(place, |body| member(body, "command", "\"00000000-0000-4000-8000-00000000beef\"")).await;
    }

    async fn an_edited_sequence_is_reported_at_its_entry(place: Place) {
        edited(place, |body| member(body, "sequence", "900")).await;
    }

    async fn a_mark_as_found_taken_back_is_reported_at_its_entry(place: Place) {
        edited(place, |body| member(body, "as_found", if body.contains("\"as_found\":true") { "false" } else { "true" }))
            .await;
    }

    async fn an_entry_edited_with_its_leaf_hash_is_told_by_the_entry_after_it(place: Place) {
        let bench = Bench::new(place).await;
        let row = bench.of_type("AnnualAssessmentRecorded").await;
        let (from, to) = member(&row.body, "score_centi", "9999");
        let after = bench.edit(&row, &from, &to, true).await;
        bench.assert_found(&Expected::at(FindingKind::LeafHashDiffers, &row).differing(row.leaf_hash, after)).await;
    }

    async fn a_leaf_hash_edited_alone_is_reported_with_both_hashes(place: Place) {
        let bench = Bench::new(place).await;
        let row = bench.of_type("AnnualAssessmentRecorded").await;
        let wrong = weituo_proof::Hash([7; 32]);
        let sql = format!("UPDATE entry SET leaf_hash = {} WHERE leaf_index = {}", bench.blob(&wrong.0), row.leaf_index);
        bench.tamper(&sql).await;
        bench.assert_found(&Expected::at(FindingKind::LeafHashDiffers, &row).differing(row.leaf_hash, wrong)).await;
    }

    async fn an_edited_column_that_repeats_the_entry_is_reported(place: Place) {
        let bench = Bench::new(place).await;
        let row = bench.of_type("AnnualAssessmentRecorded").await;
        let other = [0xbe; 16];
        let sql = format!("UPDATE entry SET command = {} WHERE leaf_index = {}", bench.command(other), row.leaf_index);
        bench.tamper(&sql).await;
        let ids = [row.command, other].map(uuid::Uuid::from_bytes);
        bench.assert_found(&Expected::at(FindingKind::ColumnDiffers, &row).differing(ids[0], ids[1])).await;
        let sql = format!("UPDATE entry SET stream = 'agreement/other' WHERE leaf_index = {}", row.leaf_index);
        bench.tamper(&sql).await;
        let expected = Expected::at(FindingKind::ColumnDiffers, &row).differing(&row.stream, "agreement/other");
        bench.assert_found(&expected).await;
    }

    async fn a_rulebook_edited_in_the_log_is_reported_at_its_entry(place: Place) {
        let bench = Bench::new(place).await;
        let row = bench.at("rulebook/wenzhou-entrustment-2018", 1).await;
        let after = bench.edit(&row, "version = 1", "version = 7", false).await;
        bench.assert_found(&Expected::at(FindingKind::LeafHashDiffers, &row).differing(row.leaf_hash, after)).await;
    }

    async fn a_rulebook_edited_in_the_log_with_its_leaf_hash_is_not_the_one_that_agreements_pin(place: Place) {
        let bench = Bench::new(place).await;
        let row = bench.at("rulebook/wenzhou-entrustment-2018", 1).await;
        let root = bench.head().await.root;
        bench.edit(&row, "version = 1", "version = 7", true).await;
        bench.assert_found(&Expected::new(FindingKind::RulebookDigest)).await;
        let now = bench.root_now().await;
        bench.assert_found(&Expected::new(FindingKind::RootDiffers).differing(root, now)).await;
    }

    async fn a_rulebook_edited_on_disk_is_refused_and_what_is_adopted_stays(place: Place) {
        let bench = Bench::new(place).await;
        let file = bench.place.folder.path().join("rulebook.toml");
        std::fs::write(&file, format!("{}# edited", crate::support::commands::RULEBOOK)).unwrap();
        let adopt = ["adopt", file.to_str().unwrap(), "--by", "bureau-wz", "--effective", "2018-12-20"];
        let (code, shown) = bench.shown(&adopt).await;
        assert_eq!(code, 3, "{shown}");
        assert_eq!(bench.verify().await.exit_code(), 0);
    }
}
