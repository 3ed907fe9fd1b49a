//! The append path's promises, on both stores.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use weituo::ledger::{Accepted, ClockError, Ledger, LedgerError, Mode, Options, SubmitError};
use weituo_events::payload::DisclosureErased;
use weituo_events::{Act, Event};
use weituo_proof::map::{Map, PartyChain, party_name, stream_value};
use weituo_proof::tree::verify_consistency;
use weituo_proof::{Entry, LeafIndex, StreamHead, TreeSize};

use crate::startup::roll_back;
use crate::support::ledger::{
    Place, assert_one_history, on_both_stores, proposal, record, rows, sealed_proposal,
};

/// Verifies a receipt with nothing but the log's key.
pub(crate) fn assert_proves(ledger: &Ledger, accepted: &Accepted) {
    assert_eq!(accepted.receipt.leaf_hash, weituo_proof::leaf_hash(accepted.receipt.entry.as_bytes()));
    accepted.receipt.to_proof().verify(ledger.verifier_key()).unwrap();
}

/// Asserts that no tree size was signed with two roots.
pub(crate) fn assert_no_fork(all: &[Accepted]) {
    let mut roots = HashMap::new();
    for accepted in all {
        let checkpoint = &accepted.receipt.checkpoint;
        let known = roots.entry(checkpoint.size).or_insert(checkpoint.root);
        assert_eq!(*known, checkpoint.root, "two signed roots at size {}", checkpoint.size);
    }
}

on_both_stores! {
    async fn every_accepted_command_gets_a_receipt_that_proves_it(place: Place) {
        let ledger = place.init().await;
        let mut tasks = Vec::new();
        for stream in 0..40 {
            let ledger = ledger.clone();
            tasks.push(tokio::spawn(async move {
                record(&ledger, &format!("agreement/a-{stream}"), 5, None).await
            }));
        }
        for task in tasks {
            assert_proves(&ledger, task.await.unwrap().last().unwrap());
        }
        let old = ledger.receipt(LeafIndex::new(3)).await.unwrap();
        old.to_proof().verify(ledger.verifier_key()).unwrap();
        ledger.stop().await.unwrap();
        let size = assert_one_history(&*place.store().await).await;
        assert_eq!(size, 1 + 200 + 1, "entry 0, the entries, one index at the stop");
    }

    async fn a_ledger_opens_again_where_it_stopped(place: Place) {
        let ledger = place.init().await;
        let last = record(&ledger, "agreement/a", 3, None).await.pop().unwrap();
        ledger.stop().await.unwrap();
        let stopped = ledger.checkpoint().unwrap();
        assert!(matches!(ledger.submit(proposal("agreement/b", "n", None)).await, Err(SubmitError::Stopped)));
        let ledger = place.open().await;
        assert_eq!(ledger.read_only(), None);
        assert_eq!(ledger.checkpoint().unwrap(), stopped);
        let next = ledger.submit(proposal("agreement/a", "n-4", Some(last.head()))).await.unwrap();
        let newest = ledger.checkpoint().unwrap();
        let proof = ledger.consistency(stopped.size, newest.size).await.unwrap();
        verify_consistency(stopped.size, newest.size, &proof, &stopped.root, &newest.root).unwrap();
        assert_eq!(next.position.sequence, 4);
        assert!(matches!(
            Ledger::init(&place.url, &place.init_options()).await,
            Err(LedgerError::Exists { .. })
        ));
        ledger.stop().await.unwrap();
    }

    async fn a_decision_on_an_old_head_is_a_conflict_that_names_the_new_one(place: Place) {
        let ledger = place.init().await;
        let first = record(&ledger, "agreement/a", 1, None).await.pop().unwrap();
        let refused = ledger.submit(proposal("agreement/a", "n", None)).await;
        assert!(matches!(refused, Err(SubmitError::Conflict { current }) if current == Some(first.head())));
        let ahead = StreamHead { sequence: 9, leaf_hash: first.head().leaf_hash };
        let refused = ledger.submit(proposal("agreement/b", "n", Some(ahead))).await;
        assert!(matches!(refused, Err(SubmitError::Conflict { current: None })));
        ledger.stop().await.unwrap();
    }

    async fn of_64_decisions_on_one_head_one_is_recorded(place: Place) {
        let ledger = place.init().await;
        let tasks: Vec<_> = (0..64)
            .map(|_| {
                let ledger = ledger.clone();
                tokio::spawn(async move { ledger.submit(proposal("agreement/a", "n", None)).await })
            })
            .collect();
        let mut accepted = 0;
        for task in tasks {
            match task.await.unwrap() {
                Ok(_) => accepted += 1,
                Err(SubmitError::Conflict { current: Some(_) }) => {}
                Err(other) => panic!("{other:?}"),
            }
        }
        assert_eq!(accepted, 1);
        ledger.stop().await.unwrap();
    }

    async fn a_repeated_command_id_returns_the_first_leaf_index(place: Place) {
        let ledger = place.init().await;
        let command = proposal("agreement/a", "n", None);
        let first = ledger.submit(command.clone()).await.unwrap();
        record(&ledger, "agreement/b", 3, None).await;
        for reopened in [false, true] {
            let again = ledger_again(&place, &ledger, reopened).await;
            let repeated = again.submit(command.clone()).await.unwrap();
            assert!(repeated.repeated);
            assert_eq!(repeated.receipt.leaf_index, first.receipt.leaf_index);
            assert_eq!(repeated.position, first.position);
            assert_eq!(&repeated.receipt.checkpoint, again.checkpoint().as_ref().unwrap());
            assert_proves(&again, &repeated);
            let mut other = command.clone();
            Arc::make_mut(&mut other.act).effective = weituo_proof::Effective::new("2020-01-01").unwrap();
            let refused = again.submit(other).await;
            assert!(
                matches!(refused, Err(SubmitError::Reused { leaf_index }) if leaf_index == first.receipt.leaf_index)
            );
            again.stop().await.unwrap();
        }
    }

    async fn one_id_submitted_64_times_at_once_is_recorded_once(place: Place) {
        let ledger = place.init().await;
        let command = proposal("agreement/a", "n", None);
        let tasks: Vec<_> = (0..64)
            .map(|_| {
                let (ledger, command) = (ledger.clone(), command.clone());
                tokio::spawn(async move { ledger.submit(command).await.unwrap() })
            })
            .collect();
        let mut first = 0;
        for task in tasks {
            let accepted = task.await.unwrap();
            assert_eq!(accepted.receipt.leaf_index, LeafIndex::new(1));
            first += usize::from(!accepted.repeated);
        }
        assert_eq!(first, 1);
        ledger.stop().await.unwrap();
    }

    async fn two_processes_write_one_history(place: Place) {
        let one = place.init().await;
        let two = place.open().await;
        let mut tasks = Vec::new();
        for client in 0..8 {
            let ledger = if client % 2 == 0 { one.clone() } else { two.clone() };
            tasks.push(tokio::spawn(async move {
                record(&ledger, &format!("agreement/c-{client}"), 12, None).await
            }));
        }
        let mut all = Vec::new();
        for task in tasks {
            all.extend(task.await.unwrap());
            assert_proves(&one, all.last().unwrap());
        }
        assert_no_fork(&all);
        // What one has recorded, the other knows: a stream is continued from the other side.
        let last = record(&one, "agreement/shared", 1, None).await.pop().unwrap();
        let next = two.submit(proposal("agreement/shared", "n", Some(last.head()))).await.unwrap();
        assert_eq!(next.position.sequence, 2);
        one.follow().await.unwrap();
        assert_eq!(one.checkpoint().unwrap().root, two.checkpoint().unwrap().root);
        two.stop().await.unwrap();
        one.stop().await.unwrap();
        assert_one_history(&*place.store().await).await;
        assert_eq!(place.open().await.read_only(), None);
    }

    async fn a_lost_fence_is_caught_up_and_the_batch_is_prepared_again(place: Place) {
        let one = place.init().await;
        // This one never looks at the database by itself, so its head is old whenever the other has recorded.
        let options = Options { follow_every: Duration::from_hours(1), ..place.options() };
        let two = Ledger::open(&place.url, options).await.unwrap();
        let (mut all, mut head) = (Vec::new(), None);
        for round in 0..6 {
            let ledger = if round % 2 == 0 { &one } else { &two };
            let accepted = ledger.submit(proposal("agreement/a", "n", head)).await.unwrap();
            head = Some(accepted.head());
            let stream = format!("agreement/b-{round}");
            all.push(accepted);
            all.push(ledger.submit(proposal(&stream, "n", None)).await.unwrap());
        }
        let sizes: Vec<u64> = all.iter().map(|accepted| accepted.receipt.checkpoint.size.get()).collect();
        assert_eq!(sizes, (2..14).collect::<Vec<u64>>(), "each batch follows the one before, whoever wrote it");
        for accepted in &all {
            assert_proves(&two, accepted);
        }
        one.stop().await.unwrap();
        two.stop().await.unwrap();
        assert_one_history(&*place.store().await).await;
    }

    async fn one_id_submitted_to_two_processes_is_recorded_once(place: Place) {
        let (one, two) = (place.init().await, place.open().await);
        for round in 0..10 {
            let command = proposal(&format!("agreement/r-{round}"), "n", None);
            let (a, b) = tokio::join!(one.submit(command.clone()), two.submit(command));
            let (a, b) = (a.unwrap(), b.unwrap());
            assert_eq!(a.receipt.leaf_index, b.receipt.leaf_index);
            assert!(a.repeated != b.repeated);
        }
        one.stop().await.unwrap();
        two.stop().await.unwrap();
        assert_one_history(&*place.store().await).await;
    }

    async fn the_index_root_is_the_map_over_all_entries_before_it(place: Place) {
        let mut options = place.init_options();
        options.options.index_every = 8;
        let ledger = Ledger::init(&place.url, &options).await.unwrap();
        record(&ledger, "agreement/a", 20, None).await;
        let asked = ledger.commit_index().await.unwrap().unwrap();
        assert!(ledger.commit_index().await.unwrap().is_none(), "nothing new to cover");
        ledger.stop().await.unwrap();
        let (mut map, mut parties, mut uncovered, mut committed) = (Map::new(), PartyChain::new(), 0, 0);
        for row in rows(&*place.store().await).await {
            let entry = Entry::parse(row.body.as_bytes()).unwrap();
            if let Event::IndexCommitted(index) = Act::from_entry(&entry).unwrap().event {
                assert_eq!((index.size, index.root), (row.leaf_index, map.root()));
                (uncovered, committed) = (0, committed + 1);
            } else {
                uncovered += 1;
                assert!(uncovered < 8, "at the latest every 8th entry is an index");
            }
            let head = StreamHead { sequence: row.sequence, leaf_hash: row.leaf_hash };
            map.insert(&row.stream, &stream_value(&head));
            for party in &entry.parties {
                parties.push(&row.leaf_hash);
                map.insert(&party_name(party), &parties.value());
            }
        }
        assert_eq!(committed, 3);
        assert_eq!(asked.position.sequence, 3);
    }

    async fn an_old_first_uncovered_entry_brings_the_index(place: Place) {
        let mut options = place.init_options();
        options.options.index_after = Duration::from_millis(50);
        options.options.follow_every = Duration::from_millis(10);
        let ledger = Ledger::init(&place.url, &options).await.unwrap();
        let mut watch = ledger.watch();
        while watch.borrow_and_update().as_ref().unwrap().size < TreeSize::new(2) {
            tokio::time::timeout(Duration::from_secs(10), watch.changed()).await.unwrap().unwrap();
        }
        let row = ledger.store().entry(1).await.unwrap().unwrap();
        assert_eq!(row.stream, "log/index");
        ledger.stop().await.unwrap();
    }

    async fn a_disclosure_is_stored_with_its_entry_and_erased_with_its_erasure(place: Place) {
        let ledger = place.init().await;
        let told = ledger.submit(sealed_proposal("agreement/a", "a name", None)).await.unwrap();
        let leaf = told.receipt.leaf_index.get();
        let stored = ledger.store().disclosures(leaf..leaf + 1).await.unwrap();
        assert_eq!(stored.len(), 1);
        let mut erasing = proposal("agreement/a", "n", Some(told.head()));
        Arc::make_mut(&mut erasing.act).event = Event::DisclosureErased(DisclosureErased {
            digest: stored[0].digest.clone(),
            grounds: "asked for".to_owned(),
            leaf_index: leaf,
        });
        erasing.erase = vec![stored[0].digest.clone()];
        ledger.submit(erasing).await.unwrap();
        assert!(ledger.store().disclosures(leaf..leaf + 1).await.unwrap().is_empty());
        let mut stranger = proposal("agreement/b", "n", None);
        stranger.disclosures = vec![stored[0].disclosure.clone()];
        assert!(matches!(ledger.submit(stranger).await, Err(SubmitError::Disclosure { .. })));
        ledger.stop().await.unwrap();
        assert_one_history(&*place.store().await).await;
    }

    async fn an_entry_too_large_is_refused_alone(place: Place) {
        let ledger = place.init().await;
        let large = "x".repeat(70_000);
        let (refused, accepted) = tokio::join!(
            ledger.submit(proposal("agreement/a", &large, None)),
            ledger.submit(proposal("agreement/b", "n", None)),
        );
        assert!(matches!(refused, Err(SubmitError::Invalid(_))));
        accepted.unwrap();
        ledger.stop().await.unwrap();
    }

    async fn recorded_at_never_decreases_and_a_clock_far_behind_stops_the_writing(place: Place) {
        let ledger = place.init().await;
        let first = record(&ledger, "agreement/a", 1, None).await.pop().unwrap();
        place.clock.pass(-50_000);
        let second = ledger.submit(proposal("agreement/a", "n", Some(first.head()))).await.unwrap();
        assert_eq!(second.position.recorded_at, first.position.recorded_at);
        place.clock.pass(-3_600_000);
        let refused = ledger.submit(proposal("agreement/b", "n", None)).await;
        assert!(matches!(refused, Err(SubmitError::Clock(ClockError::Behind { .. }))));
        place.clock.pass(3_700_000);
        ledger.submit(proposal("agreement/b", "n", None)).await.unwrap();
        place.clock.shift_millis.fetch_add(400_000, Ordering::SeqCst);
        let refused = ledger.submit(proposal("agreement/c", "n", None)).await;
        assert!(matches!(refused, Err(SubmitError::Clock(ClockError::Apart { .. }))));
        place.clock.shift_millis.fetch_sub(400_000, Ordering::SeqCst);
        ledger.submit(proposal("agreement/c", "n", None)).await.unwrap();
        ledger.stop().await.unwrap();
    }

    async fn in_guard_mode_the_anchor_follows_within_50_ms_and_is_exact_after_a_stop(place: Place) {
        place.init().await.stop().await.unwrap();
        let options = Options { mode: Mode::Guard, ..place.options() };
        let ledger = Ledger::open(&place.url, options).await.unwrap();
        let accepted = record(&ledger, "agreement/a", 5, None).await;
        let anchored = std::fs::read(place.anchor_file()).unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        let followed = std::fs::read(place.anchor_file()).unwrap();
        assert_ne!(anchored, followed);
        let newest = &accepted.last().unwrap().receipt.checkpoint.text;
        assert!(String::from_utf8_lossy(&followed).contains(newest.as_str()));
        record(&ledger, "agreement/b", 1, None).await;
        ledger.stop().await.unwrap();
        let stopped = String::from_utf8_lossy(&std::fs::read(place.anchor_file()).unwrap()).into_owned();
        assert!(stopped.contains(ledger.checkpoint().unwrap().text.as_str()));
    }

    async fn an_anchor_that_cannot_be_written_leaves_at_most_one_batch_unanchored(place: Place) {
        let ledger = place.init().await;
        record(&ledger, "agreement/a", 1, None).await;
        let before = ledger.checkpoint().unwrap();
        let away = place.folder.path().join("away");
        std::fs::rename(place.anchor_file(), &away).unwrap();
        let unanswered = proposal("agreement/b", "n", None);
        let refused = ledger.submit(unanswered.clone()).await;
        assert!(matches!(refused, Err(SubmitError::Unavailable(_))));
        assert_eq!(ledger.checkpoint().unwrap(), before, "nothing signed leaves");
        for _ in 0..3 {
            let refused = ledger.submit(proposal("agreement/c", "n", None)).await;
            assert!(matches!(refused, Err(SubmitError::Unavailable(_))));
        }
        assert_eq!(ledger.store().head().await.unwrap().unwrap().size, 3, "one batch and no more");
        std::fs::rename(&away, place.anchor_file()).unwrap();
        let repeated = ledger.submit(unanswered).await.unwrap();
        assert!(repeated.repeated);
        assert_proves(&ledger, &repeated);
        ledger.stop().await.unwrap();
    }

    async fn many_submitters_lose_nothing_while_the_anchor_cannot_be_written(place: Place) {
        const SUBMITTERS: u64 = 96;
        let ledger = place.init().await;
        let submitters: Vec<_> = (0..SUBMITTERS).map(|at| tokio::spawn(persist(ledger.clone(), at))).collect();
        while ledger.checkpoint().unwrap().size.get() < 10 * SUBMITTERS {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let away = place.folder.path().join("away");
        std::fs::rename(place.anchor_file(), &away).unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
        let left = ledger.checkpoint().unwrap();
        let anchored = String::from_utf8_lossy(&std::fs::read(&away).unwrap()).into_owned();
        let intended = format!("\"root\":\"{}\"", left.root);
        assert!(anchored.contains(&left.text) || anchored.contains(&intended), "nothing signed leaves");
        let committed = ledger.store().head().await.unwrap().unwrap().size;
        assert!(committed - left.size.get() <= SUBMITTERS, "two batches and no more: {committed}, {left:?}");
        std::fs::rename(&away, place.anchor_file()).unwrap();
        let (mut all, mut refused) = (Vec::new(), 0);
        for submitter in submitters {
            let (accepted, times) = submitter.await.unwrap();
            assert_proves(&ledger, accepted.last().unwrap());
            all.extend(accepted);
            refused += times;
        }
        assert!(refused >= SUBMITTERS, "everybody is refused while the anchor is away: {refused}");
        assert_no_fork(&all);
        ledger.stop().await.unwrap();
        let size = assert_one_history(&*place.store().await).await;
        assert_eq!(size, 1 + all.len() as u64 + 1, "entry 0, each command once, one index at the stop");
    }

    async fn a_database_set_back_while_running_stops_the_writing(place: Place) {
        let ledger = place.init().await;
        record(&ledger, "agreement/a", 4, None).await;
        roll_back(&place, 3).await;
        let refused = ledger.submit(proposal("agreement/b", "n", None)).await;
        assert!(matches!(refused, Err(SubmitError::ReadOnly(_))), "{refused:?}");
        ledger.stop().await.unwrap();
    }
}

/// Records thirty entries in a stream of its own, each repeated until it is accepted; returns them, and how often it was refused.
async fn persist(ledger: Ledger, stream: u64) -> (Vec<Accepted>, u64) {
    let (mut all, mut refused) = (Vec::<Accepted>::new(), 0);
    while all.len() < 30 {
        let next = proposal(&format!("agreement/a-{stream}"), "n", all.last().map(Accepted::head));
        let accepted = loop {
            match ledger.submit(next.clone()).await {
                Ok(accepted) => break accepted,
                Err(SubmitError::Unavailable(_)) => refused += 1,
                Err(other) => panic!("{other:?}"),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        all.push(accepted);
    }
    (all, refused)
}

/// Returns the ledger itself, or stopped and opened again.
async fn ledger_again(place: &Place, ledger: &Ledger, reopened: bool) -> Ledger {
    if reopened { place.open().await } else { ledger.clone() }
}
