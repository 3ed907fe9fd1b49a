//! The page and the outside verifier.

mod base;
mod cases;
mod forge;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dump() {
    let base = base::base().await;
    let cases = cases::cases(&base);
    std::fs::create_dir_all("/tmp/pg").unwrap();
    let mut all = Vec::new();
    for case in &cases {
        all.push(serde_json::json!({"name": case.name, "dossier": case.dossier, "keys": case.keys, "receipts": case.receipts,
          "intact": [case.intact.answer, case.intact.findings], "complete": [case.complete.answer, case.complete.findings]}));
    }
    std::fs::write("/tmp/pg/cases.json", serde_json::to_string(&all).unwrap()).unwrap();
}
