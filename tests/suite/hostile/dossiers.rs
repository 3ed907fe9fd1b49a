//! What is left out of a dossier by an index that lies, and pages that say yes whatever they hold.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use weituo_proof::FindingKind;
use weituo_proof::dossier::SubjectKind;
use weituo_proof::note::CosigningKey;

use super::desk::{AGREEMENT, CYCLE, Operator, TRUSTEE, Watcher, caught, dossier, kinds, text};
use crate::page::browser::document_of;
use crate::page::forge::Log;
use crate::support::ledger::{Place, on_both_stores};

/// Shows a dossier that an index without some entries makes look whole: who is fooled, and who catches it.
/// Of the receipts of entries that are left out, `refuting` refutes it.
fn assert_left_out(operator: &Operator, hidden: &BTreeSet<u64>, refuting: u64) -> String {
    let mut log = operator.log.clone();
    log.commit_index();
    let honest = log.write();
    let shown = operator.publish("log", &honest);
    let watcher = Watcher::new(operator.key());
    watcher.sees_nothing(&shown.server.url);
    let receipt = operator.file("receipt", &honest.receipt(refuting));
    let old = operator.file("old.json", &dossier(&log, SubjectKind::Trustee, TRUSTEE).text());
    operator.verify_dossier(&old, &["--receipt", &receipt]).expect_code(0);
    let kept = operator.file("kept", &honest.checkpoint());

    let mut lying = log;
    lying.commit_index_without(hidden.clone());
    let forged = dossier(&lying, SubjectKind::Trustee, TRUSTEE);
    assert!(forged.entries.iter().all(|entry| !hidden.contains(&entry.leaf_index.get())));
    let file = operator.file("forged.json", &forged.text());
    // Fooled: whoever has nothing but the key. He is told what the yes rests on.
    let ran = operator.verify_dossier(&file, &[]).expect_code(0);
    assert!(ran.out.contains("by the operator's index, replayed by nobody you named"), "{}", ran.out);
    // Whoever names an auditor is not: that one has cosigned nothing of it.
    let auditor = CosigningKey::from_seed("auditor.example", [5; 32]).unwrap();
    let ran = operator.verify_dossier(&file, &["--auditor", &auditor.verifier().to_string()]).expect_code(2);
    assert!(ran.out.contains("no auditor named has cosigned"), "{}", ran.out);
    // Whoever kept a receipt or a dossier with what is left out.
    for kept in [&receipt, &old] {
        let ran = operator.verify_dossier(&file, &["--receipt", kept, "--json"]).expect_code(1);
        assert_eq!(kinds(&ran.json()), ["receipt-unmet"]);
    }
    // Whoever replays the log that the dossier is of. It does extend what was seen before: a checkpoint tells nothing.
    let shown = operator.publish("lying", &lying.write());
    assert_eq!(text(shown.checkpoint()), forged.checkpoint);
    caught(shown.verified(&[]), "index-root-differs");
    assert_eq!(shown.verified(&[&kept]).1, ["index-root-differs"]);
    let look = watcher.tells(&shown.server.url, FindingKind::IndexRootDiffers);
    assert!(look.indexed.is_empty(), "an auditor cosigns none of it: {look:#?}");
    file
}

on_both_stores! {
    async fn a_trustees_last_year_withheld_under_a_false_index_is_told_by_replay_and_by_a_receipt(place: Place) {
        let operator = Operator::new(place).await;
        let leaves = operator.leaves_of(CYCLE);
        let last_year = leaves.into_iter().filter(|leaf| {
            let effective = operator.log.entries[usize::try_from(*leaf).unwrap()]["effective"].to_string();
            effective.trim_matches('"') >= "2024-09"
        });
        let last_year: BTreeSet<u64> = last_year.collect();
        assert!(last_year.len() > 5);
        assert_left_out(&operator, &last_year, *last_year.last().unwrap());
    }

    async fn a_cycle_left_out_under_a_false_index_is_told_by_replay_and_by_a_receipt(place: Place) {
        let operator = Operator::new(place).await;
        let cycle: BTreeSet<u64> = operator.leaves_of(CYCLE).into_iter().collect();
        let home = format!("organisation/{TRUSTEE}");
        let joins = |leaf: &u64| {
            let entry = &operator.log.entries[usize::try_from(*leaf).unwrap()];
            entry["parties"].as_array().is_some_and(|parties| parties.iter().any(|party| *party == home))
        };
        let joining = cycle.iter().copied().find(joins).unwrap();
        let file = assert_left_out(&operator, &cycle, joining);
        // A receipt of another entry of the cycle does not name the trustee: it refutes the cycle's own dossier, not this one.
        let last = *cycle.last().unwrap();
        assert!(!joins(&last));
        let receipt = operator.file("later", &operator.log.write().receipt(last));
        operator.verify_dossier(&file, &["--receipt", &receipt]).expect_code(0);
    }

    async fn a_false_index_root_in_the_live_log_stays_told_though_the_next_one_is_right(place: Place) {
        let operator = Operator::new(place).await;
        let mut log = operator.log.clone();
        log.commit_index();
        let watcher = Watcher::new(operator.key());
        let shown = operator.publish("log", &log.write());
        let look = watcher.look_after(&shown.server.url, std::time::Duration::ZERO);
        assert_eq!(look.indexed.last().unwrap().size.get(), log.entries.len() as u64);
        drop(shown);
        log.commit_index_without(operator.leaves_of(CYCLE).into_iter().collect());
        log.commit_index();
        let shown = operator.publish("log", &log.write());
        caught(shown.verified(&[]), "index-root-differs");
        let told = watcher.tells(&shown.server.url, FindingKind::IndexRootDiffers);
        assert!(told.indexed.is_empty() && told.size == look.size, "{told:#?}");
        // Fooled, and told so: whoever has a dossier of the right index that came after, in which nothing is left out.
        let file = operator.file("d.json", &dossier(&log, SubjectKind::Trustee, TRUSTEE).text());
        operator.verify_dossier(&file, &[]).expect_code(0);
    }
}

/// Returns the page with another script, which its policy allows and which says yes of whatever stands in it.
fn doctored(page: &str, dossier: &str) -> String {
    let script = "document.body.innerHTML = '<h1>核验通过:未改动</h1><p>99.00</p>'; \
                  document.documentElement.dataset.verified = 'done';";
    let digest = STANDARD.encode(weituo_proof::sha256(&[script.as_bytes()]).0);
    let policy = page.split("script-src '").nth(1).unwrap().split('\'').next().unwrap();
    let (head, _) = page.split_once("<script type=\"application/octet-stream\"").unwrap();
    let head = head.replace(policy, &format!("sha256-{digest}"));
    let encoded = STANDARD.encode(dossier);
    format!(
        "{head}<script type=\"application/octet-stream\" id=\"dossier\">{encoded}</script>\
         <script type=\"module\">{script}</script></body></html>"
    )
}

fn agreement(log: &Log) -> String {
    let mut log = log.clone();
    log.commit_index();
    dossier(&log, SubjectKind::Agreement, AGREEMENT).text()
}

on_both_stores! {
    async fn a_page_that_always_says_yes_fools_its_reader_and_not_the_verifier_on_the_same_file(place: Place) {
        let operator = Operator::new(place).await;
        let genuine = agreement(&operator.log);
        let page = weituo::dossier::page(&genuine);
        // The genuine page says itself that a page proves nothing against whoever sent it.
        assert!(
            page.contains("whoever sends a page controls its script, so trust a verifier you obtained elsewhere")
        );
        assert!(page.contains("发送网页的人也控制着网页里的程序"));
        let file = operator.file("genuine.html", &page);
        operator.verify_dossier(&file, &[]).expect_code(0);
        let score = |score: &str| format!("\\\"score_centi\\\":{score}");
        let altered = genuine.replacen(&score("9240"), &score("9900"), 1);
        assert_ne!(altered, genuine);
        let file = operator.file("doctored.html", &doctored(&page, &altered));
        // Fooled: whoever opens the page.
        assert!(document_of(file.as_ref(), "").contains("核验通过:未改动"));
        let found = kinds(&operator.verify_dossier(&file, &["--json"]).expect_code(1).json());
        assert_eq!(found, ["entry-not-included"]);
    }

    async fn a_page_that_shows_something_else_than_the_dossier_in_it_is_told_only_by_the_state_that_the_verifier_prints(
        place: Place
    ) {
        let operator = Operator::new(place).await;
        let genuine = agreement(&operator.log);
        let page = doctored(&weituo::dossier::page(&genuine), &genuine);
        let file = operator.file("doctored.html", &page);
        // Fooled: whoever takes the verifier's yes for a yes to what the page shows. It is one to what it prints.
        assert!(document_of(file.as_ref(), "").contains("99.00"));
        let said = operator.verify_dossier(&file, &[]).expect_code(0).out;
        assert!(!said.contains("99.00") && !said.contains("score_centi 9900"), "{said}");
        assert!(said.contains("score_centi 9240"), "{said}");
    }
}
