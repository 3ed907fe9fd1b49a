//! Dossiers as they are made and checked by the real binaries: whole, offline, and never of a damaged ledger.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use weituo::ledger::{Ledger, LedgerError, Names};
use weituo_proof::StreamName;
use weituo_proof::map::{party_name, stream_value};
use weituo_proof::{Entry, LeafIndex, StreamHead};

use crate::support::ledger::{Place, on_both_stores, proposal, record};
use crate::support::shell::{Ran, Shell, registration};

/// Runs the verifier's own binary, which `cargo test --workspace` builds for its own tests.
pub(crate) fn verifier(arguments: &[&str]) -> Ran {
    let binary = Path::new(env!("CARGO_BIN_EXE_weituo")).with_file_name("weituo-verify");
    assert!(binary.exists(), "build it first: cargo build --release -p weituo-verifier");
    // Neither the ledger's environment nor its folder: nothing but the file and the key.
    Ran::of(
        &Command::new(binary)
            .env_clear()
            .current_dir("/")
            .args(["--lang", "en"])
            .args(arguments)
            .output()
            .unwrap(),
    )
}

impl Shell {
    /// Writes a dossier and verifies it; returns the verifier's report.
    fn dossier(&self, of: &str, id: &str, further: &[&str]) -> Value {
        let file = self.path("dossier.json").display().to_string();
        self.run(&[&["dossier", of, id, "--out", &file], further].concat()).expect_code(0);
        verifier(&[&file, "--key", &self.verifier_key(), "--json"]).expect_code(0).json()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dossier_verifies_offline_and_states_what_show_shows() {
    for shell in [Shell::sqlite(), Shell::postgres().await] {
        let shell = shell.filled(4);
        for (of, id, day) in [
            ("agreement", "WZ-2022-001", "2026-11-24"),
            ("agreement", "WZ-2022-001", "2023-09-30"),
            ("trustee", "trustee-a", "2026-11-24"),
            ("school", "school-jia", "2024-01-01"),
        ] {
            let report = shell.dossier(of, id, &["--on", day]);
            assert_eq!(
                (&report["intact"]["answer"], &report["complete"]["answer"]),
                (&"yes".into(), &"yes".into())
            );
            let shown = shell.run(&["show", of, id, "--on", day, "--json"]).expect_code(0).json();
            assert_eq!(report["state"], shown, "{of} {id} {day}");
            assert_eq!(report["audited_by"], Value::Array(vec![]), "nobody replayed the index");
        }
    }
}

#[test]
fn an_organisation_without_cycles_is_proven_to_have_none() {
    let shell = Shell::sqlite().filled(1);
    shell.record(&registration(1, "新校")).expect_code(0);
    let report = shell.dossier("trustee", "extra-1", &[]);
    assert_eq!(report["counts"]["parties"], 1);
    assert_eq!(report["state"]["cycles"], Value::Array(vec![]));
    let nobody = shell.run(&["dossier", "trustee", "nobody", "--out", "x.json"]).expect_code(1);
    assert!(nobody.err.contains("nobody") && !shell.path("x.json").exists(), "{}", nobody.err);
    shell.run(&["dossier", "agreement", "../x", "--out", "x.json"]).expect_code(2);
    shell.run(&["dossier", "agreement", "WZ-2022-001", "--out", "x.docx"]).expect_code(2);
}

#[test]
fn an_erased_value_is_shown_as_erased_and_everything_still_verifies() {
    let shell = Shell::sqlite().filled(1);
    let before = shell.dossier("agreement", "WZ-2022-001", &[]);
    let file = std::fs::read_to_string(shell.path("dossier.json")).unwrap();
    let file: Value = serde_json::from_str(&file).unwrap();
    let disclosed = &file["disclosures"][3];
    let leaf_index = disclosed["leaf_index"].to_string();
    let text = disclosed["disclosure"].as_str().unwrap();
    let digest = weituo_proof::Disclosure::decode(text).unwrap().digest();
    shell.run(&["erase", &leaf_index, &digest, "--grounds", "本人申请删除"]).expect_code(0);
    let after = shell.dossier("agreement", "WZ-2022-001", &[]);
    let count = |report: &Value| report["counts"]["disclosures"].as_u64().unwrap();
    assert_eq!(count(&after), count(&before) - 1);
    assert_eq!(after["erased"][0]["digest"], digest.as_str());
    assert_eq!(after["erased"][0]["grounds"], "本人申请删除");
    let file = shell.path("dossier.json").display().to_string();
    let shown = verifier(&[&file, "--key", &shell.verifier_key()]).expect_code(0).out;
    assert!(shown.contains("erased, on the grounds of: 本人申请删除"), "{shown}");
}

#[test]
fn a_damaged_ledger_gives_no_dossier() {
    let score = "UPDATE entry SET body = replace(body, '\"score_centi\":8250', '\"score_centi\":9900')";
    let forged = "UPDATE disclosure SET disclosure = disclosure || 'AAAA'";
    for (damage, told) in [
        (score, "read-only"),
        ("DELETE FROM disclosure", "disclosure-missing"),
        (forged, "disclosure-unmatched"),
    ] {
        let shell = Shell::sqlite().filled(1);
        let database = rusqlite::Connection::open(shell.path("ledger.db")).unwrap();
        assert!(database.execute(damage, ()).unwrap() > 0);
        drop(database);
        let ran = shell.run(&["dossier", "agreement", "WZ-2022-001", "--out", "d.json"]).expect_code(2);
        assert!(ran.err.contains(told) && ran.err.contains("weituo verify"), "{}", ran.err);
        assert!(!shell.path("d.json").exists());
    }
}

#[test]
fn a_receipt_that_somebody_kept_is_met_by_an_honest_dossier() {
    let shell = Shell::sqlite().filled(1);
    let receipt = shell.run(&["receipt", "20"]).expect_code(0).out;
    std::fs::write(shell.path("receipt"), receipt).unwrap();
    shell.record(&registration(1, "新校")).expect_code(0);
    shell.dossier("agreement", "WZ-2022-001", &[]);
    let (file, kept) = (shell.path("dossier.json"), shell.path("receipt"));
    let (file, kept) = (file.to_str().unwrap(), kept.to_str().unwrap());
    verifier(&[file, "--key", &shell.verifier_key(), "--receipt", kept]).expect_code(0);
    let other = Shell::sqlite().filled(0);
    verifier(&[file, "--key", &other.verifier_key(), "--receipt", kept]).expect_code(2);
    verifier(&[file]).expect_code(2);
    verifier(&[file, "--key", "not a key"]).expect_code(2);
    verifier(&["/nowhere.json", "--key", &shell.verifier_key()]).expect_code(2);
}

/// Returns what a ledger is asked about.
fn names(streams: &[&str], parties: &[&str]) -> Names {
    let set = |names: &[&str]| names.iter().map(|name| StreamName::new(*name).unwrap()).collect();
    Names { streams: set(streams), parties: set(parties) }
}

on_both_stores! {
    async fn the_index_is_committed_on_request_and_its_checkpoint_leaves_no_gap(place: Place) {
        let ledger = place.init().await;
        let other = Ledger::open(&place.url, place.options()).await.unwrap();
        record(&ledger, "agreement/a", 3, None).await;
        let mut joining = proposal("agreement/b", "joins", None);
        std::sync::Arc::make_mut(&mut joining.act).parties = vec![StreamName::new("organisation/o").unwrap()];
        // By another process, which this one has not followed yet.
        let joined = other.submit(joining).await.unwrap();
        let asked = names(&["agreement/a", "agreement/none"], &["organisation/none", "organisation/o"]);
        let proven = ledger.prove(&asked).await.unwrap();
        assert_eq!(proven.checkpoint.size, proven.index.size_through());
        let index = ledger.store().entry(proven.index.get()).await.unwrap().unwrap();
        let index = Entry::parse(index.body.as_bytes()).unwrap();
        assert_eq!(index.event_type, "IndexCommitted");
        let payload: Value = serde_json::from_str(&index.payload).unwrap();
        assert_eq!(payload["size"], proven.index.get());
        let root = payload["root"].as_str().unwrap().parse().unwrap();
        let head = ledger.store().stream_rows("agreement/a", 3, 1).await.unwrap().remove(0);
        let head = stream_value(&StreamHead { sequence: 3, leaf_hash: head.leaf_hash });
        proven.streams[0].verify(&root, "agreement/a", Some(&head)).unwrap();
        proven.streams[1].verify(&root, "agreement/none", None).unwrap();
        let party = |name: &str| party_name(&StreamName::new(name).unwrap());
        proven.parties[0].proof.verify(&root, &party("organisation/none"), None).unwrap();
        proven.parties[1].proof.verify(&root, &party("organisation/o"), None).unwrap_err();
        assert_eq!(proven.parties[1].joined, [joined.receipt.leaf_index]);
        let again = ledger.prove(&asked).await.unwrap();
        assert_eq!(again.index, proven.index, "nothing new, so nothing is committed anew");
        assert_eq!(again.streams, proven.streams);
        other.stop().await.unwrap();
        ledger.stop().await.unwrap();
    }

    async fn for_proofs_the_index_is_committed_only_so_often(place: Place) {
        let mut options = place.options();
        options.index_apart = Duration::from_millis(600);
        place.init().await.stop().await.unwrap();
        let ledger = Ledger::open(&place.url, options).await.unwrap();
        let asked = names(&["agreement/a"], &[]);
        record(&ledger, "agreement/a", 1, None).await;
        let first = ledger.prove(&asked).await.unwrap();
        let since = Instant::now();
        record(&ledger, "agreement/b", 1, None).await;
        let second = ledger.prove(&asked).await.unwrap();
        assert!(since.elapsed() >= Duration::from_millis(500), "{:?}", since.elapsed());
        assert!(second.index > first.index);
        ledger.stop().await.unwrap();
    }

    async fn a_ledger_that_only_reads_proves_nothing_and_says_so(place: Place) {
        place.init().await.stop().await.unwrap();
        let mut options = place.options();
        options.read_only = true;
        let ledger = Ledger::open(&place.url, options).await.unwrap();
        let error = ledger.prove(&names(&["agreement/a"], &[])).await.unwrap_err();
        assert!(matches!(error, weituo::ledger::SubmitError::ReadOnly(_)), "{error:?}");
        let beyond = ledger.inclusion(LeafIndex::new(999), weituo_proof::TreeSize::new(1_000)).await;
        assert!(matches!(beyond, Err(LedgerError::NotFound { .. })));
    }
}
