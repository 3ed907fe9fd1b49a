//! Our log and the witnesses that it asks: ours, dead ones, slow ones and liars.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use weituo::ledger::{Ledger, LedgerError, Options, ReadOnly, Receipt, SubmitError};
use weituo_proof::note::CosigningKey;
use weituo_proof::{LeafIndex, Policy, VerifierKey};

use crate::support::ledger::{Kind, Place, on_both_stores, proposal, record};
use crate::support::witness::{Liar, Witness, files, write_policy};

/// A ledger, and a witness that knows it.
struct Scene {
    place: Place,
    key: VerifierKey,
    witness: Witness,
}

impl Scene {
    async fn new(place: Place) -> Self {
        let ledger = place.init().await;
        let key = ledger.verifier_key().clone();
        ledger.stop().await.unwrap();
        let witness = Witness::start(&place.folder.path().join("witness"), &[&key]);
        let scene = Self { place, key, witness };
        scene.policy(&[("own", &scene.witness.key, &scene.witness.url)], "quorum own");
        scene
    }

    async fn sqlite() -> Self {
        Self::new(Place::new(Kind::Sqlite).await).await
    }

    fn policy_file(&self) -> PathBuf {
        self.place.folder.path().join("policy")
    }

    fn policy(&self, witnesses: &[(&str, &VerifierKey, &str)], rest: &str) {
        write_policy(&self.policy_file(), witnesses, rest);
    }

    fn options(&self) -> Options {
        Options { policy_file: Some(self.policy_file()), ..self.place.options() }
    }

    async fn open(&self) -> Ledger {
        Ledger::open(&self.place.url, self.options()).await.unwrap()
    }

    fn evidence(&self) -> usize {
        files(&self.place.folder.path().join("witness/evidence")).len()
    }

    /// Returns the size that the witness serves of the log, 0 for none.
    fn served(&self) -> u64 {
        let served = self.witness.newest(self.key.name());
        if served.status == 404 { 0 } else { served.body.lines().nth(1).unwrap().parse().unwrap() }
    }

    /// Asserts that a receipt is against a checkpoint that the policy, with this log in it, is content with.
    fn assert_cosigned(&self, receipt: &Receipt, names: &[&str]) {
        assert_eq!(receipt.cosigned, names);
        let policy = std::fs::read_to_string(self.policy_file()).unwrap();
        let policy = Policy::parse(format!("log {}\n{policy}", self.key).as_bytes()).unwrap();
        let proof = receipt.to_proof();
        let (checkpoint, cosigners) = policy.open(&proof.checkpoint).unwrap();
        assert_eq!(cosigners.len(), names.len());
        assert_eq!(proof.verify(&self.key).unwrap(), checkpoint);
    }
}

/// Records one entry and returns its receipt, and how long it took.
async fn one(ledger: &Ledger, stream: &str) -> (Receipt, Duration) {
    let start = Instant::now();
    let accepted = ledger.submit(proposal(stream, "n", None)).await.unwrap();
    (accepted.receipt, start.elapsed())
}

fn stranger() -> CosigningKey {
    CosigningKey::from_seed("witness.example/stranger", [9; 32]).unwrap()
}

on_both_stores! {
    async fn receipts_come_at_once_and_are_upgraded_as_the_log_grows(place: Place) {
        let scene = Scene::new(place).await;
        let ledger = scene.open().await;
        let (first, _) = one(&ledger, "agreement/a").await;
        assert_eq!(first.cosigned, Vec::<String>::new());
        scene.assert_cosigned(&ledger.cosigned_receipt(first.leaf_index).await.unwrap(), &["own"]);
        for number in 0..5 {
            record(&ledger, &format!("agreement/b{number}"), 20, None).await;
        }
        ledger.stop().await.unwrap();
        // The stop gave the witness time for the last checkpoint.
        assert_eq!(scene.served(), ledger.checkpoint().unwrap().size.get());
        // Another process, which only reads, finds what was cosigned beside the anchor.
        let reader = Ledger::open(&scene.place.url, Options { read_only: true, ..scene.options() }).await.unwrap();
        let upgraded = reader.cosigned_receipt(first.leaf_index).await.unwrap();
        scene.assert_cosigned(&upgraded, &["own"]);
        assert_eq!(upgraded.checkpoint.size, ledger.checkpoint().unwrap().size);
        assert_eq!(scene.evidence(), 0);
    }

    async fn a_lost_anchor_is_replaced_by_what_the_witness_remembers(place: Place) {
        let scene = Scene::new(place).await;
        let ledger = scene.open().await;
        record(&ledger, "agreement/a", 3, None).await;
        ledger.stop().await.unwrap();
        let size = ledger.checkpoint().unwrap().size.get();
        std::fs::remove_file(scene.place.anchor_file()).unwrap();
        let ledger = scene.open().await;
        assert_eq!(ledger.read_only(), None);
        one(&ledger, "agreement/b").await;
        ledger.stop().await.unwrap();
        assert!(ledger.checkpoint().unwrap().size.get() > size);
        // A damaged one as well; and without a witness that answers it stays lost.
        std::fs::write(scene.place.anchor_file(), "damaged").unwrap();
        let ledger = scene.open().await;
        assert_eq!(ledger.read_only(), None);
        ledger.stop().await.unwrap();
        std::fs::remove_file(scene.place.anchor_file()).unwrap();
        std::fs::remove_file(scene.place.anchor_file().with_extension("cosigned")).unwrap();
        scene.policy(&[("own", &scene.witness.key, "http://127.0.0.1:9")], "quorum own");
        let ledger = scene.open().await;
        assert!(matches!(ledger.read_only(), Some(ReadOnly::AnchorLost { .. })));
    }

    async fn processes_that_wait_for_one_witness_are_all_answered_with_cosigned_receipts(place: Place) {
        let scene = Scene::new(place).await;
        let waiting = || Options { wait_for_witnesses: Some(Duration::from_secs(30)), ..scene.options() };
        let mut ledgers = Vec::new();
        for _ in 0..3 {
            ledgers.push(Ledger::open(&scene.place.url, waiting()).await.unwrap());
        }
        let record = |ledger: Ledger, name: usize| async move {
            let mut receipts = Vec::new();
            for number in 0..6 {
                let proposal = proposal(&format!("agreement/p{name}-{number}"), "n", None);
                receipts.push(ledger.submit(proposal).await.unwrap().receipt);
            }
            receipts
        };
        let all = ledgers.iter().enumerate().map(|(name, ledger)| tokio::spawn(record(ledger.clone(), name)));
        for receipts in futures_util::future::join_all(all).await {
            receipts.unwrap().iter().for_each(|receipt| scene.assert_cosigned(receipt, &["own"]));
        }
        for ledger in ledgers {
            ledger.stop().await.unwrap();
        }
        assert_eq!(scene.evidence(), 0);
    }

    async fn a_database_rolled_back_with_its_anchor_gone_is_behind_the_witness(place: Place) {
        let scene = Scene::new(place).await;
        let ledger = scene.open().await;
        one(&ledger, "agreement/a").await;
        ledger.stop().await.unwrap();
        let before = ledger.checkpoint().unwrap().size.get();
        let ledger = scene.open().await;
        record(&ledger, "agreement/b", 3, None).await;
        ledger.stop().await.unwrap();
        let newest = ledger.checkpoint().unwrap().size.get();
        crate::startup::roll_back(&scene.place, before).await;
        std::fs::remove_file(scene.place.anchor_file()).unwrap();
        let ledger = scene.open().await;
        let behind = ReadOnly::Behind { database_size: before, anchor_size: newest };
        assert_eq!(ledger.read_only(), Some(behind));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_knows_an_older_size_goes_on_from_the_one_that_the_witness_names() {
    let scene = Scene::sqlite().await;
    let ledger = scene.open().await;
    one(&ledger, "agreement/a").await;
    ledger.stop().await.unwrap();
    // What was cosigned is forgotten on this side.
    std::fs::remove_file(scene.place.anchor_file().with_extension("cosigned")).unwrap();
    let ledger = scene.open().await;
    let (receipt, _) = one(&ledger, "agreement/b").await;
    scene.assert_cosigned(&ledger.cosigned_receipt(receipt.leaf_index).await.unwrap(), &["own"]);
    ledger.stop().await.unwrap();
    assert_eq!(scene.evidence(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_databases_under_one_key_are_told_apart_by_the_witness() {
    let scene = Scene::sqlite().await;
    let ledger = scene.open().await;
    one(&ledger, "agreement/a").await;
    ledger.stop().await.unwrap();
    let other = tempfile::tempdir().unwrap();
    // With what SQLite keeps beside the database.
    for file in files(scene.place.folder.path()).iter().filter(|file| file.is_file()) {
        std::fs::copy(file, other.path().join(file.file_name().unwrap())).unwrap();
    }
    let ledger = scene.open().await;
    record(&ledger, "agreement/b", 2, None).await;
    ledger.stop().await.unwrap();
    let cosigned = scene.served();
    let options = Options {
        key_file: Some(other.path().join("ledger.key")),
        anchor_file: Some(other.path().join("ledger.anchor")),
        ..scene.options()
    };
    let url = format!("sqlite://{}", other.path().join("ledger.db").display()).parse().unwrap();
    let forked = Ledger::open(&url, options).await.unwrap();
    record(&forked, "agreement/c", 6, None).await;
    // While it was smaller than what the witness has, it was only told so; then it is asked again, after a moment.
    let start = Instant::now();
    while scene.evidence() == 0 {
        assert!(start.elapsed() < Duration::from_secs(30), "no evidence of a fork");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let receipt = forked.cosigned_receipt(LeafIndex::new(cosigned)).await.unwrap();
    assert!(receipt.cosigned.is_empty());
    forked.stop().await.unwrap();
    assert_eq!(scene.served(), cosigned);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_slow_or_lying_witness_holds_up_no_answer_and_is_not_believed() {
    let scene = Scene::sqlite().await;
    let stranger = stranger();
    let size = |body: &str| Some(Liar::response("409 Conflict", "text/x.tlog.size", body));
    let other_note = crate::support::witness::Log::new(scene.key.name()).note(5);
    let by_stranger = format!("{}\n", stranger.cosign(&other_note, 1));
    let liars: Vec<Liar> = [
        None,
        size("18446744073709551615\n"),
        size("1\n"),
        size("0\n"),
        size("many\n"),
        Some(Liar::response("200 OK", "text/plain", "garbage")),
        Some(Liar::response("200 OK", "text/plain", &by_stranger)),
        Some(Liar::response("200 OK", "text/plain", &"x".repeat(1_000_000))),
        Some(Liar::response("500 Internal Server Error", "text/plain", "\u{1b}[31mno")),
        Some("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n".to_owned()),
        Some("garbage".to_owned()),
        Some(String::new()),
    ]
    .into_iter()
    .map(Liar::saying)
    .collect();
    let keys: Vec<CosigningKey> = (0..=liars.len())
        .map(|at| CosigningKey::from_seed(format!("l{at}"), [u8::try_from(at + 20).unwrap(); 32]).unwrap())
        .collect();
    let names: Vec<String> = (0..=liars.len()).map(|at| format!("liar{at}")).collect();
    let dead = "http://127.0.0.1:9";
    let urls = liars.iter().map(|liar| liar.url.as_str()).chain([dead]);
    let mut witnesses: Vec<(&str, &VerifierKey, &str)> = names
        .iter()
        .zip(&keys)
        .zip(urls)
        .map(|((name, key), url)| (name.as_str(), key.verifier(), url))
        .collect();
    witnesses.push(("own", &scene.witness.key, &scene.witness.url));
    scene.policy(&witnesses, "quorum own");
    let ledger = scene.open().await;
    let mut last = None;
    for number in 0..20 {
        let (receipt, took) = one(&ledger, &format!("agreement/n{number}")).await;
        assert!(took < Duration::from_secs(2), "{took:?}");
        last = Some(receipt.leaf_index);
    }
    scene.assert_cosigned(&ledger.cosigned_receipt(last.unwrap()).await.unwrap(), &["own"]);
    let start = Instant::now();
    ledger.stop().await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    // One further request follows a size that the log has, none one that it has not.
    let asked = liars[1].asked.lock().unwrap().clone();
    assert!(!asked.is_empty() && asked.iter().all(|request| request.contains("old 0\n")), "{asked:?}");
    let asked = liars[2].asked.lock().unwrap().clone();
    assert!(asked[0].contains("old 0\n") && asked[1].contains("old 1\n"), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_witness_that_knows_no_such_log_does_not_cosign() {
    let scene = Scene::sqlite().await;
    let state = tempfile::tempdir().unwrap();
    let other = crate::support::witness::Log::new("log.example/other");
    let witness = Witness::start(state.path(), &[other.key.verifier()]);
    scene.policy(&[("other", &witness.key, &witness.url)], "quorum other");
    let ledger = scene.open().await;
    let (receipt, _) = one(&ledger, "agreement/a").await;
    assert!(ledger.cosigned_receipt(receipt.leaf_index).await.unwrap().cosigned.is_empty());
    ledger.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quorum_of_two_needs_both_about_one_tree() {
    let scene = Scene::sqlite().await;
    let second_state = tempfile::tempdir().unwrap();
    let mut second = Witness::start(second_state.path(), &[&scene.key]);
    let (url, key) = (second.url.clone(), second.key.clone());
    let own = ("own", &scene.witness.key, scene.witness.url.as_str());
    scene.policy(&[own, ("second", &key, &url)], "group both all own second\nquorum both");
    let ledger = scene.open().await;
    let (receipt, _) = one(&ledger, "agreement/a").await;
    scene.assert_cosigned(&ledger.cosigned_receipt(receipt.leaf_index).await.unwrap(), &["own", "second"]);
    second.kill();
    let (receipt, _) = one(&ledger, "agreement/b").await;
    assert!(ledger.cosigned_receipt(receipt.leaf_index).await.unwrap().cosigned.is_empty());
    ledger.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_answers_wait_a_receipt_is_cosigned_or_the_entry_is_said_to_be_recorded_only() {
    let mut scene = Scene::sqlite().await;
    let waiting =
        |seconds| Options { wait_for_witnesses: Some(Duration::from_secs(seconds)), ..scene.options() };
    let (long, short) = (waiting(30), waiting(1));
    let ledger = Ledger::open(&scene.place.url, long).await.unwrap();
    for number in 0..5 {
        let (receipt, _) = one(&ledger, &format!("agreement/w{number}")).await;
        scene.assert_cosigned(&receipt, &["own"]);
    }
    ledger.stop().await.unwrap();
    scene.witness.kill();
    let ledger = Ledger::open(&scene.place.url, short).await.unwrap();
    let proposal = proposal("agreement/late", "n", None);
    let refused = ledger.submit(proposal.clone()).await;
    let Err(SubmitError::NotCosigned { leaf_index, seconds: 1 }) = refused else { panic!("{refused:?}") };
    assert!(ledger.receipt(leaf_index).await.unwrap().cosigned.is_empty());
    ledger.stop().await.unwrap();
    scene.witness = Witness::start(&scene.place.folder.path().join("witness"), &[&scene.key]);
    scene.policy(&[("own", &scene.witness.key, &scene.witness.url)], "quorum own");
    let ledger = scene.open().await;
    let repeated = ledger.submit(proposal).await.unwrap();
    assert!(repeated.repeated && repeated.receipt.leaf_index == leaf_index);
    scene.assert_cosigned(&ledger.cosigned_receipt(leaf_index).await.unwrap(), &["own"]);
    ledger.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_that_cannot_be_used_is_told_at_the_opening() {
    let scene = Scene::sqlite().await;
    let refused = |options: Options| async { Ledger::open(&scene.place.url, options).await.unwrap_err() };
    let own = [("own", &scene.witness.key, scene.witness.url.as_str())];
    scene.policy(&own, "quorum nobody");
    assert!(matches!(refused(scene.options()).await, LedgerError::Policy { .. }));
    std::fs::remove_file(scene.policy_file()).unwrap();
    assert!(matches!(refused(scene.options()).await, LedgerError::Policy { .. }));
    scene.policy(&[("own", &scene.witness.key, "witness.example")], "quorum own");
    assert!(matches!(refused(scene.options()).await, LedgerError::Policy { .. }));
    let stranger = weituo_proof::SigningKey::from_seed("log.example/other", [1; 32]).unwrap();
    scene.policy(&own, &format!("log {}\nquorum own", stranger.verifier()));
    assert!(matches!(refused(scene.options()).await, LedgerError::Invalid { .. }));
    let waiting = || Options { wait_for_witnesses: Some(Duration::from_secs(1)), ..scene.options() };
    scene.policy(&own, "quorum none");
    assert!(matches!(refused(waiting()).await, LedgerError::Invalid { .. }));
    scene.policy(&[("own", &scene.witness.key, "")], "quorum own");
    assert!(matches!(refused(waiting()).await, LedgerError::Invalid { .. }));
    let without = Options { policy_file: None, ..waiting() };
    assert!(matches!(refused(without).await, LedgerError::Invalid { .. }));
    scene.policy(&own, &format!("log {}\nquorum own", scene.key));
    scene.open().await.stop().await.unwrap();
}
