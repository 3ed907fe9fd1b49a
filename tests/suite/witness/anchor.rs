//! A witness of our own as the anchor that several machines share.

use std::path::Path;
use std::time::{Duration, Instant};

use weituo::ledger::{InitOptions, Ledger, LedgerError, Options, ReadOnly, SubmitError};
use weituo_proof::VerifierKey;

use crate::append::assert_no_fork;
use crate::support::commands::told;
use crate::support::ledger::{Kind, Place, assert_one_history, on_both_stores, proposal, record, rows};
use crate::support::witness::{Liar, Log, Witness, command_at};

/// A ledger whose anchor is a witness.
struct Scene {
    place: Place,
    key: VerifierKey,
    witness: Witness,
}

impl Scene {
    /// Makes the ledger as an operator would: the first `init` says which key the witness has to know.
    async fn new(place: Place) -> Self {
        let state = place.folder.path().join("witness");
        let other = Log::new("log.example/other");
        let mut witness = Witness::start(&state, &[other.key.verifier()]);
        let refused = Ledger::init(&place.url, &init_options(&place, &witness.url)).await.unwrap_err();
        let key = std::fs::read_to_string(place.key_file()).unwrap();
        let key = key.trim().parse::<weituo_proof::SigningKey>().unwrap().verifier().clone();
        assert!(told(&refused).contains(&format!("--log '{key}'")), "{}", told(&refused));
        witness.kill();
        let witness = Witness::start(&state, &[&key]);
        let ledger = Ledger::init(&place.url, &init_options(&place, &witness.url)).await.unwrap();
        assert_eq!(ledger.read_only(), None);
        ledger.stop().await.unwrap();
        assert!(!place.anchor_file().exists());
        Self { place, key, witness }
    }

    fn options(&self) -> Options {
        options(&self.place, &self.witness.url)
    }

    async fn open(&self) -> Ledger {
        Ledger::open(&self.place.url, self.options()).await.unwrap()
    }

    /// Returns the size that the witness keeps.
    fn anchored(&self) -> u64 {
        self.witness.newest(self.key.name()).body.lines().nth(1).unwrap().parse().unwrap()
    }

    /// Starts the witness again where it was.
    fn restart(&mut self) {
        self.witness.kill();
        let address = self.witness.url.strip_prefix("http://").unwrap();
        let again = command_at(address, &self.place.folder.path().join("witness"), &[&self.key]);
        self.witness = Witness::of(again);
    }
}

fn options(place: &Place, url: &str) -> Options {
    Options { anchor_file: Some(Path::new(url).to_owned()), ..place.options() }
}

fn init_options(place: &Place, url: &str) -> InitOptions {
    InitOptions { options: options(place, url), ..place.init_options() }
}

on_both_stores! {
    async fn a_shared_anchor_follows_every_batch_and_a_clean_stop(place: Place) {
        let scene = Scene::new(place).await;
        let ledger = scene.open().await;
        for number in 0..5 {
            let accepted = record(&ledger, &format!("agreement/a{number}"), 2, None).await.pop().unwrap();
            assert!(scene.anchored() >= accepted.receipt.checkpoint.size.get());
        }
        ledger.stop().await.unwrap();
        assert_eq!(scene.anchored(), ledger.checkpoint().unwrap().size.get());
        let ledger = scene.open().await;
        assert_eq!(ledger.read_only(), None);
        ledger.stop().await.unwrap();
    }

    async fn machines_that_share_an_anchor_write_one_history(place: Place) {
        let scene = Scene::new(place).await;
        let (one, two) = (scene.open().await, scene.open().await);
        let record = |ledger: Ledger, name: &'static str| async move {
            let mut accepted = Vec::new();
            for number in 0..15 {
                let proposal = proposal(&format!("agreement/{name}{number}"), "n", None);
                accepted.push(loop {
                    match ledger.submit(proposal.clone()).await {
                        Ok(accepted) => break accepted,
                        Err(SubmitError::Unavailable(_)) => tokio::time::sleep(Duration::from_millis(20)).await,
                        Err(error) => panic!("{}", told(&error)),
                    }
                });
            }
            accepted
        };
        let (first, second) = tokio::join!(
            tokio::spawn(record(one.clone(), "one")),
            tokio::spawn(record(two.clone(), "two"))
        );
        assert_no_fork(&[first.unwrap(), second.unwrap()].concat());
        assert_eq!((one.read_only(), two.read_only()), (None, None));
        one.stop().await.unwrap();
        two.stop().await.unwrap();
        let size = assert_one_history(&*scene.place.store().await).await;
        assert_eq!(scene.anchored(), size);
    }

    async fn a_database_rolled_back_is_behind_the_shared_anchor(place: Place) {
        let scene = Scene::new(place).await;
        let ledger = scene.open().await;
        record(&ledger, "agreement/a", 4, None).await;
        ledger.stop().await.unwrap();
        let anchor_size = scene.anchored();
        crate::startup::roll_back(&scene.place, 3).await;
        let ledger = scene.open().await;
        assert_eq!(ledger.read_only(), Some(ReadOnly::Behind { database_size: 3, anchor_size }));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_shared_anchor_is_away_one_batch_is_unanchored_and_recording_resumes_with_it() {
    let mut scene = Scene::new(Place::new(Kind::Sqlite).await).await;
    let ledger = scene.open().await;
    record(&ledger, "agreement/a", 2, None).await;
    let before = scene.anchored();
    scene.witness.kill();
    for number in 0..3 {
        let start = Instant::now();
        let answer = ledger.submit(proposal(&format!("agreement/b{number}"), "n", None)).await;
        assert!(matches!(answer, Err(SubmitError::Unavailable(_))), "{answer:?}");
        assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
    }
    // One was committed before it was known that it cannot be anchored; nothing of it was signed for anybody.
    let size = scene.place.store().await.head().await.unwrap().unwrap().size;
    assert_eq!((size, ledger.checkpoint().unwrap().size.get()), (before + 1, before));
    assert!(Ledger::open(&scene.place.url, scene.options()).await.is_err());
    scene.restart();
    record(&ledger, "agreement/c", 2, None).await;
    ledger.stop().await.unwrap();
    assert_eq!(scene.anchored(), assert_one_history(&*scene.place.store().await).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_history_is_stopped_by_the_shared_anchor() {
    let scene = Scene::new(Place::new(Kind::Sqlite).await).await;
    let other = tempfile::tempdir().unwrap();
    for file in crate::support::witness::files(scene.place.folder.path()).iter().filter(|file| file.is_file())
    {
        std::fs::copy(file, other.path().join(file.file_name().unwrap())).unwrap();
    }
    let ledger = scene.open().await;
    let forked = Ledger::open(
        &format!("sqlite://{}", other.path().join("ledger.db").display()).parse().unwrap(),
        scene.options(),
    )
    .await
    .unwrap();
    record(&ledger, "agreement/a", 2, None).await;
    let mut refused = Vec::new();
    for number in 0..4 {
        refused.push(forked.submit(proposal(&format!("agreement/b{number}"), "n", None)).await);
    }
    assert!(refused.last().unwrap().is_err(), "{refused:?}");
    assert!(forked.read_only().is_some(), "{refused:?}");
    record(&ledger, "agreement/c", 2, None).await;
    assert_eq!(ledger.read_only(), None);
    ledger.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_no_cosignature_anchors_nothing() {
    let scene = Scene::new(Place::new(Kind::Sqlite).await).await;
    // It serves what the witness does, and answers the same to everything else.
    let served = scene.witness.newest(scene.key.name()).body;
    let liar = Liar::saying(Some(Liar::response("200 OK", "text/plain", &served)));
    let refused = Ledger::open(&scene.place.url, options(&scene.place, &liar.url)).await.unwrap_err();
    assert!(told(&refused).contains("is no witness"), "{}", told(&refused));
    // With the witness itself what was committed is anchored, and recording goes on.
    let ledger = scene.open().await;
    assert_eq!(ledger.read_only(), None);
    record(&ledger, "agreement/b", 1, None).await;
    ledger.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_after_which_the_shared_anchor_would_take_nothing_is_refused() {
    let mut scene = Scene::new(Place::new(Kind::Sqlite).await).await;
    let rotated = Ledger::rotate_key(&scene.place.url, &scene.options()).await.unwrap();
    let before = rows(&*scene.place.store().await).await.len();
    let old = scene.key.to_string();
    let refused = Ledger::revoke_key(&scene.place.url, &scene.options(), &old).await.unwrap_err();
    assert!(told(&refused).contains(&format!("--log '{}'", rotated.verifier)), "{}", told(&refused));
    assert_eq!(rows(&*scene.place.store().await).await.len(), before, "nothing is recorded");
    scene.witness.kill();
    let state = scene.place.folder.path().join("witness");
    scene.witness = Witness::start(&state, &[&scene.key, &rotated.verifier]);
    Ledger::revoke_key(&scene.place.url, &scene.options(), &old).await.unwrap();
    let ledger = scene.open().await;
    assert_eq!(ledger.read_only(), None);
    record(&ledger, "agreement/a", 1, None).await;
    ledger.stop().await.unwrap();
    assert_eq!(scene.anchored(), ledger.checkpoint().unwrap().size.get());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_init_over_a_lost_database_begins_no_other_history_under_the_shared_anchor() {
    let scene = Scene::new(Place::new(Kind::Sqlite).await).await;
    let elsewhere = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", elsewhere.path().join("ledger.db").display()).parse().unwrap();
    let init = init_options(&scene.place, &scene.witness.url);
    let options = Options { key_file: Some(scene.place.key_file()), ..init.options.clone() };
    let refused = Ledger::init(&url, &InitOptions { options, ..init }).await.unwrap_err();
    assert!(matches!(refused, LedgerError::Exists { .. }), "{refused:?}");
    assert!(!elsewhere.path().join("ledger.db").exists(), "nothing is made");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_witness_that_does_not_know_the_log_is_not_accepted_as_its_lost_anchor() {
    let mut scene = Scene::new(Place::new(Kind::Sqlite).await).await;
    scene.witness.kill();
    let other = Log::new("log.example/other");
    let state = scene.place.folder.path().join("another-witness");
    scene.witness = Witness::start(&state, &[other.key.verifier()]);
    let ledger = scene.open().await;
    let lost = ledger.read_only().unwrap();
    assert!(matches!(lost, ReadOnly::AnchorLost { .. }));
    assert!(lost.to_string().contains("See first that this is its address"), "{lost}");
    ledger.stop().await.unwrap();
    let before = rows(&*scene.place.store().await).await;
    let refused = Ledger::accept_anchor(&scene.place.url, &scene.options(), None).await.unwrap_err();
    assert!(matches!(refused, LedgerError::Anchor { .. }), "{refused:?}");
    assert_eq!(rows(&*scene.place.store().await).await, before, "nothing is recorded");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_anchor_that_lost_its_memory_is_a_lost_anchor() {
    let mut scene = Scene::new(Place::new(Kind::Sqlite).await).await;
    scene.witness.kill();
    scene.witness = Witness::start(&scene.place.folder.path().join("new-witness"), &[&scene.key]);
    let ledger = scene.open().await;
    assert!(matches!(ledger.read_only(), Some(ReadOnly::AnchorLost { .. })));
    ledger.stop().await.unwrap();
    let options = scene.options();
    Ledger::accept_anchor(&scene.place.url, &options, None).await.unwrap();
    let again = Ledger::accept_anchor(&scene.place.url, &options, None).await.unwrap_err();
    assert!(matches!(again, LedgerError::Recover { .. }), "{again:?}");
    let ledger = scene.open().await;
    assert_eq!(ledger.read_only(), None);
    record(&ledger, "agreement/a", 1, None).await;
    ledger.stop().await.unwrap();
}
