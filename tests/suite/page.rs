//! The dossier's page in a browser, the verifier in Python and the one in Rust: each agrees with the table of cases, and
//! so with the others.
//!
//! One browser verifies all cases with the page's own script; a few real pages are opened besides.

mod base;
pub(crate) mod browser;
mod cases;
pub(crate) mod forge;

use serde_json::{Value, json};
use weituo_proof::dossier::SubjectKind;
use weituo_proof::note::CosigningKey;
use weituo_proof::{SignedNote, Verdict};
use weituo_verifier::{Given, Kept, verify};

use base::{AGREEMENT, Base, CYCLE, base};
use browser::{document_of, encoded, result_in, run_python, verified_by_python, verified_by_script};
use cases::{Case, Expected, cases};

/// Makes native Ed25519 unavailable, as in a browser that has none.
const WITHOUT_ED25519: &str =
    "SubtleCrypto.prototype.importKey = () => Promise.reject(new Error('no Ed25519'));";

/// Returns what a verifier answered, its findings each once.
fn answered(verdict: &Value) -> (String, Vec<String>) {
    let mut findings: Vec<String> = serde_json::from_value(verdict["findings"].clone()).unwrap();
    findings.sort();
    findings.dedup();
    (verdict["answer"].as_str().unwrap().to_owned(), findings)
}

fn expected(verdict: &Expected) -> (String, Vec<String>) {
    (verdict.answer.to_owned(), verdict.findings.iter().map(|code| (*code).to_owned()).collect())
}

#[track_caller]
fn assert_as_expected(by: &str, cases: &[Case], results: &[Value]) {
    assert_eq!(cases.len(), results.len());
    let mut wrong = Vec::new();
    for (case, result) in cases.iter().zip(results) {
        let wanted = [expected(&case.intact), expected(&case.complete)];
        let found = [answered(&result["intact"]), answered(&result["complete"])];
        if wanted != found {
            wrong.push(format!("{}: wanted {wanted:?}, found {found:?}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{by}:\n{}", wrong.join("\n"));
}

/// Writes the page of a dossier and returns the document that it becomes under a key.
fn opened(dossier: &str, fragment: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("dossier.html");
    std::fs::write(&page, weituo::dossier::page(dossier)).unwrap();
    document_of(&page, fragment)
}

fn agreement(base: &Base) -> String {
    base.log.write().dossier(SubjectKind::Agreement, AGREEMENT, &base.cycle).text()
}

fn key(base: &Base) -> String {
    base.log.key.verifier().to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rust_python_and_the_pages_script_find_of_every_tampering_what_the_format_says() {
    let cases = cases(&base().await);
    let by_python = verified_by_python(&cases);
    assert_as_expected("Python", &cases, &by_python);
    let by_script = verified_by_script(&cases, "");
    assert_as_expected("the page's script", &cases, &by_script);
    assert_eq!(by_python, by_script, "to the number of findings and the reasons");
    let by_rust: Vec<Value> = cases.iter().map(verified_by_rust).collect();
    let judging_folds: Vec<Case> = cases.iter().cloned().map(Case::with_folds).collect();
    assert_as_expected("Rust", &judging_folds, &by_rust);
    let without = verified_by_script(&cases, WITHOUT_ED25519);
    assert_as_expected("the page's script with the bundled Ed25519", &cases, &without);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_intact_page_says_so_of_itself_and_shows_what_was_erased_and_why() {
    let base = base().await;
    let document = opened(&agreement(&base), &format!("key={}", encoded(&key(&base))));
    let result = result_in(&document);
    assert_eq!((&result["intact"]["answer"], &result["complete"]["answer"]), (&json!("yes"), &json!("yes")));
    for shown in [
        "核验通过:未改动",
        "核验通过:无遗漏",
        "本页能发现数据被改动",
        "已于 2026年11月20日 删除,依据:个人信息保护法第四十七条",
        "已办结",
        "受托学校 A",
    ] {
        assert!(document.contains(shown), "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_without_a_key_could_not_check_and_trusts_none_that_it_carries() {
    let base = base().await;
    let document = opened(&agreement(&base), "lang=en");
    let result = result_in(&document);
    let unchecked = json!({ "answer": "could-not-check", "findings": [], "reasons": ["no-key"] });
    assert_eq!(result, json!({ "complete": unchecked, "intact": unchecked }));
    assert!(
        document.contains("Could not check") && document.contains("trust a verifier you obtained elsewhere")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fingerprint_from_elsewhere_picks_the_key_that_has_it() {
    let base = base().await;
    let mut log = base.log.clone();
    log.entries[0]["payload"]["key"] = json!(key(&base));
    let dossier = log.write().dossier(SubjectKind::Agreement, AGREEMENT, &base.cycle).text();
    let fingerprint = weituo_proof::sha256(&[key(&base).as_bytes()]).to_string();
    let result = result_in(&opened(&dossier, &format!("key={fingerprint}")));
    assert_eq!(result["intact"]["answer"], "yes");
    let other = format!("key={}", "0".repeat(64));
    assert_eq!(
        result_in(&opened(&dossier, &other))["intact"]["reasons"],
        json!(["key-unreadable", "no-key"])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_entry_becomes_markup_and_an_altered_page_says_where() {
    let base = base().await;
    let mut log = base.log.clone();
    let at = log.find(CYCLE, "CycleClosed");
    let hostile =
        "<img src=x onerror=\"document.title='owned'\"></script><script>document.title='owned'</script>";
    log.entries[usize::try_from(at).unwrap()]["payload"]["paper"] =
        json!({ "by": hostile, "document": hostile });
    let dossier = log.write().dossier(SubjectKind::Agreement, AGREEMENT, &base.cycle).text();
    let altered = dossier.replacen("\\\"score_centi\\\":9240", "\\\"score_centi\\\":9940", 1);
    assert_ne!(dossier, altered);
    let document = opened(&altered, &format!("key={}&lang=en", encoded(&key(&base))));
    assert_eq!(result_in(&document)["intact"]["findings"], json!(["entry-not-included"]));
    assert!(document.contains("&lt;img src=x") && !document.contains("<img"));
    assert!(!document.contains("<title>owned"));
    let place = format!("entry at leaf index {}", log.find(CYCLE, "EndOfTermEvaluationRecorded"));
    assert!(document.contains(&place), "{place}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_reads_either_form_and_exits_by_its_answer() {
    let base = base().await;
    let (dossier, key) = (agreement(&base), key(&base));
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let page = file("dossier.html", &weituo::dossier::page(&dossier));
    let data = file("dossier.json", &dossier);
    let receipt = file("kept.tlog-proof", &base.log.write().receipt(20));
    let receipt = receipt.to_str().unwrap();
    assert_eq!(run_python(&page, &["--key", &key, "--receipt", receipt]).0, Some(0));
    assert_eq!(run_python(&data, &["--key", &key]), run_python(&page, &["--key", &key]));
    assert_eq!(run_python(&data, &[]).0, Some(2));
    let altered = file("altered.json", &dossier.replacen("9240", "9940", 1));
    assert_eq!(run_python(&altered, &["--key", &key]).0, Some(1));
    // What cannot be read is no finding.
    let other = file("other.html", "<!doctype html><p>no dossier");
    for (file, options) in
        [(&data, &["--key", "x"][..]), (&other, &[]), (&folder.path().join("nowhere"), &[])]
    {
        assert_eq!(run_python(file, options), (Some(2), Value::Null));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_for_cosigning_in_the_logs_name_does_not_speak_as_the_log() {
    let base = base().await;
    let cosigner = CosigningKey::from_seed(base.log.key.verifier().name(), [5; 32]).unwrap();
    let mut dossier = base.log.write().dossier(SubjectKind::Agreement, AGREEMENT, &base.cycle);
    let note = SignedNote::parse(&dossier.checkpoint).unwrap();
    dossier.checkpoint += &cosigner.cosign(&note, 1_800_000_000).to_string();
    dossier.checkpoint.push('\n');
    let keys = vec![cosigner.verifier().clone()];
    let report = verify(&dossier.text(), &Given { keys, ..Given::default() });
    assert_eq!(report.exit_code(), 2, "{report:#?}");
}

/// Has the Rust verifier verify a case; returns its answers in the form that the others print.
fn verified_by_rust(case: &Case) -> Value {
    let receipts = case.receipts.iter().map(|text| Kept { label: "kept".to_owned(), text: text.clone() });
    let given = Given {
        keys: case.keys.iter().map(|key| key.parse().unwrap()).collect(),
        receipts: receipts.collect(),
        ..Given::default()
    };
    let report = verify(&case.dossier, &given);
    let verdict = |verdict: &Verdict| {
        let (answer, findings) = match verdict {
            Verdict::Yes => ("yes", &[][..]),
            Verdict::No { findings, .. } => ("no", &findings[..]),
            Verdict::CouldNotCheck { .. } => ("could-not-check", &[][..]),
        };
        let findings: Vec<String> = findings.iter().map(|one| one.kind.to_string()).collect();
        json!({ "answer": answer, "findings": findings })
    };
    json!({ "intact": verdict(&report.verdicts.intact), "complete": verdict(&report.verdicts.complete) })
}
