//! The append path's promises, on both stores.

use std::sync::atomic::Ordering;
use std::time::Duration;

use weituo::ledger::{Backup, ClockError, Ledger, LedgerError, Mode, Options, ReadOnly, SubmitError};
use weituo::store::{LedgerUrl, StoreError};
use weituo_events::payload::DisclosureErased;
use weituo_events::{Act, Event};
use weituo_proof::map::{Map, PartyChain, party_name, stream_value};
use weituo_proof::tree::{verify_consistency, verify_inclusion};
use weituo_proof::{Checkpoint, Entry, LeafIndex, StreamHead, TreeSize};

use crate::support::ledger::{
    Kind, Place, act, assert_one_history, new_id, on_both_stores, proposal, record, rows, sealed_proposal,
};

/// Verifies a receipt with nothing but the log's key.
fn assert_proves(ledger: &Ledger, accepted: &weituo::ledger::Accepted) {
    let receipt = &accepted.receipt;
    let (checkpoint, _) = Checkpoint::open(&receipt.checkpoint.text, ledger.verifier_key()).unwrap();
    assert_eq!(receipt.leaf_hash, weituo_proof::leaf_hash(receipt.entry.as_bytes()));
    verify_inclusion(
        &receipt.leaf_hash,
        receipt.leaf_index,
        checkpoint.size,
        &receipt.inclusion,
        &checkpoint.root,
    )
    .unwrap();
    receipt.to_proof().verify(ledger.verifier_key()).unwrap();
}

/// Opens the ledger and returns why it only reads.
async fn reason(place: &Place) -> ReadOnly {
    let ledger = place.open().await;
    let reason = ledger.read_only().expect("the ledger only reads");
    assert!(matches!(ledger.submit(proposal("agreement/x", "n", None)).await, Err(SubmitError::ReadOnly(_))));
    ledger.stop().await.unwrap();
    reason
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
            for accepted in task.await.unwrap() {
                assert_proves(&ledger, &accepted);
            }
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
            other.act.effective = weituo_proof::Effective::new("2020-01-01").unwrap();
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
        for task in tasks {
            for accepted in task.await.unwrap() {
                assert_proves(&one, &accepted);
            }
        }
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
        erasing.act.event = Event::DisclosureErased(DisclosureErased {
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

    async fn start_database_ahead_of_its_anchor_advances_it(place: Place) {
        let ledger = place.init().await;
        let before = std::fs::read(place.anchor_file()).unwrap();
        record(&ledger, "agreement/a", 3, None).await;
        ledger.stop().await.unwrap();
        let newest = ledger.checkpoint().unwrap();
        std::fs::write(place.anchor_file(), before).unwrap();
        let ledger = place.open().await;
        assert_eq!(ledger.read_only(), None);
        assert_eq!(ledger.checkpoint().unwrap(), newest);
        let anchor = std::fs::read(place.anchor_file()).unwrap();
        assert!(String::from_utf8_lossy(&anchor).contains(newest.text.as_str()));
        ledger.stop().await.unwrap();
    }

    async fn start_database_behind_its_anchor_only_reads_and_recovers_byte_for_byte(place: Place) {
        let ledger = place.init().await;
        record(&ledger, "agreement/a", 4, None).await;
        let sealed = ledger.submit(sealed_proposal("agreement/s", "a name", None)).await.unwrap();
        ledger.stop().await.unwrap();
        let whole = rows(&*place.store().await).await;
        let backup = place.folder.path().join("entries.jsonl");
        let lines: Vec<&str> = whole.iter().map(|row| &*row.body).collect();
        std::fs::write(&backup, lines.join("\n")).unwrap();
        // An older copy: the head as it was after three entries.
        let old = roll_back(&place, 3).await;
        assert_eq!(reason(&place).await, ReadOnly::Behind { database_size: old, anchor_size: 7 });
        let anchor = std::fs::read(place.anchor_file()).unwrap();
        let altered = place.folder.path().join("altered.jsonl");
        std::fs::write(&altered, lines.join("\n").replace("n-3", "n-9")).unwrap();
        let options = place.options();
        let refused = Ledger::recover(&place.url, &options, &Backup::Entries(altered)).await;
        assert!(matches!(refused, Err(LedgerError::Recover { .. })), "{refused:?}");
        assert_eq!(rows(&*place.store().await).await.len(), 3);
        let done = Ledger::recover(&place.url, &options, &Backup::Entries(backup)).await.unwrap();
        assert_eq!((done.restored, done.size), (4, 7));
        assert_eq!(rows(&*place.store().await).await, whole);
        assert_eq!(std::fs::read(place.anchor_file()).unwrap(), anchor);
        let ledger = place.open().await;
        assert_eq!(ledger.read_only(), None);
        let next = ledger.submit(proposal("agreement/s", "n", Some(sealed.head()))).await.unwrap();
        assert_eq!(next.position.sequence, 2);
        ledger.stop().await.unwrap();
        assert_one_history(&*place.store().await).await;
    }

    async fn a_deleted_middle_entry_is_recovered_from_a_ledger(place: Place) {
        let ledger = place.init().await;
        record(&ledger, "agreement/a", 2, None).await;
        let sealed = ledger.submit(sealed_proposal("agreement/s", "a name", None)).await.unwrap();
        record(&ledger, "agreement/b", 2, None).await;
        ledger.stop().await.unwrap();
        let whole = rows(&*place.store().await).await;
        let backup = copy(&place).await;
        let leaf = sealed.receipt.leaf_index;
        place.tamper(&format!("DELETE FROM disclosure WHERE leaf_index = {leaf}")).await;
        place.tamper(&format!("DELETE FROM entry WHERE leaf_index = {leaf}")).await;
        assert!(matches!(reason(&place).await, ReadOnly::Corrupt { .. }));
        let done = Ledger::recover(&place.url, &place.options(), &Backup::Ledger(backup)).await.unwrap();
        assert_eq!(done.restored, 1);
        let store = place.store().await;
        assert_eq!(rows(&*store).await, whole);
        assert_eq!(store.disclosures(0..100).await.unwrap().len(), 1);
        assert_eq!(place.open().await.read_only(), None);
    }

    async fn start_with_an_altered_entry_only_reads(place: Place) {
        let ledger = place.init().await;
        record(&ledger, "agreement/a", 3, None).await;
        ledger.stop().await.unwrap();
        let (edit, text) = match place.kind {
            Kind::Sqlite => ("replace(body, 'n-1', 'n-7')", "body"),
            Kind::Postgres => ("replace(body::text, 'n-1', 'n-7')::json", "body::text"),
        };
        place.tamper(&format!("UPDATE entry SET body = {edit} WHERE {text} LIKE '%n-1%'")).await;
        assert!(matches!(reason(&place).await, ReadOnly::RootDiffers { size: 5, .. }));
    }

    async fn start_with_an_edited_seal_or_head_only_reads(place: Place) {
        let ledger = place.init().await;
        record(&ledger, "agreement/a", 3, None).await;
        ledger.stop().await.unwrap();
        let zeros = match place.kind {
            Kind::Sqlite => "zeroblob(32)",
            Kind::Postgres => "decode(repeat('00', 32), 'hex')",
        };
        place.tamper("UPDATE head SET recorded_at = '2020-01-01T00:00:00.000Z'").await;
        assert_eq!(reason(&place).await, ReadOnly::SealWrong { size: 5 });
        place.tamper(&format!("UPDATE head SET seal = {zeros}")).await;
        assert_eq!(reason(&place).await, ReadOnly::SealWrong { size: 5 });
        place.tamper("UPDATE head SET size = 4").await;
        assert!(matches!(reason(&place).await, ReadOnly::Behind { .. }));
    }

    async fn a_seal_edited_while_running_stops_the_writing(place: Place) {
        let ledger = place.init().await;
        record(&ledger, "agreement/a", 1, None).await;
        place.tamper("UPDATE head SET recorded_at = '2020-01-01T00:00:00.000Z', size = size + 1").await;
        let refused = ledger.submit(proposal("agreement/b", "n", None)).await;
        assert!(matches!(refused, Err(SubmitError::ReadOnly(ReadOnly::SealWrong { .. }))), "{refused:?}");
        assert!(ledger.read_only().is_some());
        assert!(ledger.receipt(LeafIndex::new(1)).await.is_ok(), "reading goes on");
        ledger.stop().await.unwrap();
        assert_eq!(rows(&*place.store().await).await.len(), 2);
    }

    async fn start_with_a_key_that_the_log_does_not_name_only_reads(place: Place) {
        place.init().await.stop().await.unwrap();
        let other = weituo_proof::SigningKey::from_seed("log.example/test", [9; 32]).unwrap();
        std::fs::write(place.key_file(), other.to_string()).unwrap();
        let found = reason(&place).await;
        assert!(matches!(found, ReadOnly::AnchorDamaged { .. }), "{found:?}");
    }

    async fn start_with_a_lost_anchor_needs_a_witness_or_an_explicit_word(place: Place) {
        let ledger = place.init().await;
        record(&ledger, "agreement/a", 2, None).await;
        let witnessed = ledger.checkpoint().unwrap();
        record(&ledger, "agreement/b", 2, None).await;
        ledger.stop().await.unwrap();
        std::fs::remove_file(place.anchor_file()).unwrap();
        assert!(matches!(reason(&place).await, ReadOnly::AnchorLost { .. }));
        let options = Options { witnessed: vec![witnessed.text.clone()], ..place.options() };
        let ledger = Ledger::open(&place.url, options).await.unwrap();
        assert_eq!(ledger.read_only(), None);
        ledger.stop().await.unwrap();
        std::fs::write(place.anchor_file(), "damaged").unwrap();
        assert!(matches!(reason(&place).await, ReadOnly::AnchorDamaged { .. }));
        let options = Options { accept_lost_anchor: true, ..place.options() };
        let ledger = Ledger::open(&place.url, options).await.unwrap();
        assert_eq!(ledger.read_only(), None);
        ledger.stop().await.unwrap();
        assert_eq!(place.open().await.read_only(), None);
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

    async fn a_database_set_back_while_running_stops_the_writing(place: Place) {
        let ledger = place.init().await;
        record(&ledger, "agreement/a", 4, None).await;
        roll_back(&place, 3).await;
        let refused = ledger.submit(proposal("agreement/b", "n", None)).await;
        assert!(matches!(refused, Err(SubmitError::ReadOnly(_))), "{refused:?}");
        ledger.stop().await.unwrap();
    }

    async fn a_ledger_opened_for_reading_serves_what_is_anchored(place: Place) {
        let ledger = place.init().await;
        record(&ledger, "agreement/a", 2, None).await;
        ledger.stop().await.unwrap();
        std::fs::remove_file(place.key_file()).unwrap();
        let options = Options { read_only: true, ..place.options() };
        let reader = Ledger::open(&place.url, options).await.unwrap();
        assert_eq!(reader.read_only(), Some(ReadOnly::Requested));
        assert_eq!(reader.checkpoint().unwrap(), ledger.checkpoint().unwrap());
        reader.receipt(LeafIndex::new(1)).await.unwrap().to_proof().verify(reader.verifier_key()).unwrap();
        reader.stop().await.unwrap();
        assert!(matches!(
            Ledger::open(&place.url, place.options()).await,
            Err(LedgerError::Key { .. })
        ));
    }

    async fn without_a_ledger_the_message_says_what_to_run(place: Place) {
        let error = Ledger::open(&place.url, place.options()).await.unwrap_err();
        let LedgerError::Store(StoreError::Schema { what }) = error else { panic!("{error:?}") };
        assert!(what.contains("weituo init"), "{what}");
    }
}

/// Returns the ledger itself, or stopped and opened again.
async fn ledger_again(place: &Place, ledger: &Ledger, reopened: bool) -> Ledger {
    if reopened { place.open().await } else { ledger.clone() }
}

/// Sets the database back to its first `size` entries, as an older copy of it would be: with the seal of that time.
async fn roll_back(place: &Place, size: u64) -> u64 {
    let key: weituo_proof::SigningKey =
        std::fs::read_to_string(place.key_file()).unwrap().trim().parse().unwrap();
    let store = place.store().await;
    let mut frontier = weituo_proof::Frontier::new();
    let mut recorded_at = String::new();
    for row in rows(&*store).await.iter().take(usize::try_from(size).unwrap()) {
        frontier.append(row.leaf_hash);
        recorded_at = Entry::parse(row.body.as_bytes()).unwrap().recorded_at.to_string();
    }
    let root = frontier.root();
    let seal = seal_of(key.seed(), "log.example/test", size, &root.to_string(), &recorded_at);
    let (from, to) = match place.kind {
        Kind::Sqlite => ("x'", "'"),
        Kind::Postgres => ("'\\x", "'"),
    };
    place
        .tamper(&format!(
            "DELETE FROM entry WHERE leaf_index >= {size}; DELETE FROM disclosure WHERE leaf_index >= {size};
             UPDATE head SET size = {size}, root = {from}{root}{to}, seal = {from}{seal}{to},
             recorded_at = '{recorded_at}'"
        ))
        .await;
    size
}

/// The seal as format.md describes it, computed by other means than the ledger's.
fn seal_of(seed: &[u8; 32], origin: &str, size: u64, root: &str, recorded_at: &str) -> String {
    let key = weituo_proof::sha256(&[b"weituo/seal-key/v1\n", seed]);
    let text = format!("weituo/seal/v1\n{origin}\n{size}\n{root}\n{recorded_at}\n");
    let pad = |byte: u8| {
        let mut block = [byte; 64];
        for (place, key) in block.iter_mut().zip(key.as_bytes()) {
            *place ^= key;
        }
        block
    };
    let inner = weituo_proof::sha256(&[&pad(0x36), text.as_bytes()]);
    weituo_proof::sha256(&[&pad(0x5c), inner.as_bytes()]).to_string()
}

/// Copies the ledger's database.
async fn copy(place: &Place) -> LedgerUrl {
    let to = place.sibling_url().await;
    match (&place.url, &to) {
        (LedgerUrl::Sqlite(_), LedgerUrl::Sqlite(path)) => {
            place.tamper(&format!("VACUUM INTO '{}'", path.display())).await;
        }
        (LedgerUrl::Postgres(from), LedgerUrl::Postgres(to)) => {
            let dump = std::process::Command::new("sh")
                .args(["-c", "pg_dump --no-owner \"$0\" | psql -q -v ON_ERROR_STOP=1 \"$1\"", from, to])
                .stdout(std::process::Stdio::null())
                .status()
                .unwrap();
            assert!(dump.success());
        }
        _ => unreachable!("both are of one kind"),
    }
    to
}

#[test]
fn ids_in_tests_differ() {
    assert_ne!(new_id(), act("agreement/a", "n").command);
}
