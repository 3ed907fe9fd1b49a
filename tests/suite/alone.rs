//! A process that writes alone has the anchor vouch for a batch while it is being committed: what a crash, a rollback or a
//! newcomer then finds.

use std::time::Duration;

use weituo::ledger::{Accepted, Backup, Ledger, Mode, Options, ReadOnly};
use weituo::store::EntryRow;
use weituo::verify::{VerifyOptions, verify};
use weituo_proof::{Disclosure, Entry, FindingKind};

use crate::append::{assert_no_fork, assert_proves};
use crate::startup::{roll_back, seal_of};
use crate::support::ledger::{
    Place, assert_one_history, erasure, on_both_stores, record, rows, sealed_proposal,
};

/// What a process leaves that ends right after an answer.
struct Left {
    /// The anchor's file as it was then.
    anchor: Vec<u8>,
    /// The last three that were answered, each in a batch of its own.
    accepted: Vec<Accepted>,
    /// The last one's disclosure.
    disclosure: String,
}

/// Records in batches of one until the anchor's file is seen with the intent of the last one, and stops.
async fn answered_and_ended(place: &Place) -> Left {
    let ledger = place.init().await;
    for round in 0..100 {
        let mut accepted = record(&ledger, &format!("agreement/a-{round}"), 2, None).await;
        let sealed = sealed_proposal(&format!("agreement/s-{round}"), "a name that is sealed", None);
        let disclosure = sealed.disclosures[0].clone();
        accepted.push(ledger.submit(sealed).await.unwrap());
        // What a crash leaves from here on, as long as the process has not had the time to settle it.
        let anchor = std::fs::read(place.anchor_file()).unwrap();
        let root = accepted[2].receipt.checkpoint.root;
        if String::from_utf8_lossy(&anchor).contains(&format!("\"root\":\"{root}\"")) {
            assert!(contains(&anchor, &disclosure));
            assert_eq!(place.anchored_notes().len(), 2);
            ledger.stop().await.unwrap();
            return Left { anchor, accepted, disclosure };
        }
    }
    panic!("no batch was intended while it was committed");
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// Returns the tree sizes after each of the last three batches.
fn sizes(left: &Left) -> Vec<u64> {
    left.accepted.iter().map(|accepted| accepted.receipt.checkpoint.size.get()).collect()
}

async fn findings(place: &Place) -> (Vec<FindingKind>, Vec<String>) {
    let (store, options) = (place.store().await, place.options());
    let beside = weituo::ledger::Beside::read(&place.url, &options, &[]).unwrap();
    let seal_of = |head: &weituo::store::Head| beside.seal_of(head);
    let options = VerifyOptions {
        verifiers: beside.verifiers().to_vec(),
        seal: Some(&seal_of),
        anchor: beside.anchor().map(str::to_owned),
        anchor_intended: beside.anchor_intended(),
        anchor_damaged: beside.anchor_damaged().cloned(),
        anchor_broken_in_part: beside.anchor_broken_in_part(),
        ..VerifyOptions::default()
    };
    let report = verify(&*store, &options, |_| ()).await;
    let kinds = report.findings().map(|finding| finding.kind).collect();
    let notes = report.notes.iter().map(|note| note.en().to_owned());
    (kinds, notes.filter(|note| note.contains("anchor")).collect())
}

/// Writes entries into a file, one a line.
fn exported(place: &Place, rows: &[EntryRow]) -> Backup {
    let file = place.folder.path().join("entries.jsonl");
    std::fs::write(&file, rows.iter().map(|row| &*row.body).collect::<Vec<_>>().join("\n")).unwrap();
    Backup::Entries(file)
}

/// Asserts that all up to the last answered batch is there byte for byte, with its disclosure, and the ledger writes.
async fn assert_whole(place: &Place, left: &Left, whole: &[EntryRow]) {
    let [_, before, last] = sizes(left)[..] else { panic!() };
    assert_eq!(rows(&*place.store().await).await[..], whole[..usize::try_from(last).unwrap()]);
    let ledger = place.open().await;
    assert_eq!(ledger.read_only(), None);
    let kept = ledger.store().disclosures(before..last).await.unwrap();
    assert_eq!(kept.iter().map(|row| &row.disclosure).collect::<Vec<_>>(), [&left.disclosure]);
    ledger.stop().await.unwrap();
    assert_one_history(&*place.store().await).await;
}

on_both_stores! {
    async fn an_answered_batch_that_a_crash_or_a_rollback_took_from_the_database_is_put_back_by_the_next_start(place: Place) {
        let left = answered_and_ended(&place).await;
        let [.., before, last] = sizes(&left)[..] else { panic!() };
        let whole = rows(&*place.store().await).await;
        std::fs::write(place.anchor_file(), &left.anchor).unwrap();
        roll_back(&place, before).await;
        let (kinds, notes) = findings(&place).await;
        assert!(kinds.is_empty(), "{kinds:?}");
        assert!(notes.iter().any(|note| note.starts_with("entries kept by the anchor, which were being committed when their process ended: 1;")), "{notes:?}");
        let read = Ledger::open(&place.url, Options { read_only: true, ..place.options() }).await.unwrap();
        assert_eq!(read.checkpoint().unwrap().size.get(), before, "a reader puts nothing back");

        let ledger = place.open().await;
        assert_eq!(ledger.read_only(), None);
        assert_eq!(ledger.checkpoint().unwrap().size.get(), last);
        for accepted in &left.accepted {
            assert_proves(&ledger, accepted);
        }
        let again = rows(&*place.store().await).await;
        assert_eq!(again[..], whole[..usize::try_from(last).unwrap()], "byte for byte");
        let kept = ledger.store().disclosures(before..last).await.unwrap();
        assert_eq!(kept.iter().map(|row| &row.disclosure).collect::<Vec<_>>(), [&left.disclosure]);
        assert!(!contains(&std::fs::read(place.anchor_file()).unwrap(), &left.disclosure), "settled, it is not kept");
        record(&ledger, "agreement/after", 2, None).await;
        ledger.stop().await.unwrap();
        assert_one_history(&*place.store().await).await;
        assert_eq!(findings(&place).await, (vec![], vec![]));
    }

    async fn a_crash_between_commit_and_settling_leaves_nothing_to_put_back(place: Place) {
        let left = answered_and_ended(&place).await;
        std::fs::write(place.anchor_file(), &left.anchor).unwrap();
        roll_back(&place, sizes(&left)[2]).await;
        assert_eq!(findings(&place).await, (vec![], vec![]));
        let ledger = place.open().await;
        assert_eq!((ledger.read_only(), ledger.checkpoint().unwrap().size.get()), (None, sizes(&left)[2]));
        assert_proves(&ledger, &left.accepted[2]);
        ledger.stop().await.unwrap();
        assert_one_history(&*place.store().await).await;
    }

    async fn a_rollback_behind_an_intent_only_reads_and_recovers_with_what_the_anchor_kept(place: Place) {
        let left = answered_and_ended(&place).await;
        let [earlier, before, last] = sizes(&left)[..] else { panic!() };
        let whole = rows(&*place.store().await).await;
        let backup = exported(&place, &whole[..usize::try_from(before).unwrap()]);
        std::fs::write(place.anchor_file(), &left.anchor).unwrap();
        roll_back(&place, earlier).await;
        assert!(findings(&place).await.0.contains(&FindingKind::AnchorDiffers));
        let ledger = place.open().await;
        let reason = Some(ReadOnly::Behind { database_size: earlier, anchor_size: last });
        assert_eq!(ledger.read_only(), reason);
        ledger.stop().await.unwrap();
        let done = Ledger::recover(&place.url, &place.options(), &backup).await.unwrap();
        assert_eq!((done.restored, done.size), (2, last));
        assert_whole(&place, &left, &whole).await;
    }

    async fn entries_cut_out_behind_an_intents_base_are_recovered_with_what_the_anchor_kept(place: Place) {
        let left = answered_and_ended(&place).await;
        let [earlier, before, last] = sizes(&left)[..] else { panic!() };
        let whole = rows(&*place.store().await).await;
        let backup = exported(&place, &whole[..usize::try_from(before).unwrap()]);
        std::fs::write(place.anchor_file(), &left.anchor).unwrap();
        roll_back(&place, last).await;
        place.tamper(&format!("DELETE FROM entry WHERE leaf_index >= {earlier}; DELETE FROM disclosure WHERE leaf_index >= {earlier}")).await;
        let done = Ledger::recover(&place.url, &place.options(), &backup).await.unwrap();
        assert_eq!((done.restored, done.size), (2, last));
        assert_whole(&place, &left, &whole).await;
    }

    async fn a_disclosure_left_where_an_intents_entry_was_cut_out_does_not_keep_it_from_being_recovered(place: Place) {
        let left = answered_and_ended(&place).await;
        let [_, before, last] = sizes(&left)[..] else { panic!() };
        let whole = rows(&*place.store().await).await;
        let backup = exported(&place, &whole[..usize::try_from(before).unwrap()]);
        std::fs::write(place.anchor_file(), &left.anchor).unwrap();
        roll_back(&place, before).await;
        let digest = Disclosure::decode(&left.disclosure).unwrap().digest();
        let values = format!("'{digest}', {before}, '{}'", left.disclosure);
        place.tamper(&format!("INSERT INTO disclosure (digest, leaf_index, disclosure) VALUES ({values})")).await;
        let ledger = place.open().await;
        assert!(matches!(ledger.read_only(), Some(ReadOnly::Corrupt { .. })), "{:?}", ledger.read_only());
        ledger.stop().await.unwrap();
        let done = Ledger::recover(&place.url, &place.options(), &backup).await.unwrap();
        assert_eq!((done.restored, done.head, done.size), (1, true, last));
        assert_whole(&place, &left, &whole).await;
    }

    async fn another_history_behind_an_intents_base_is_told_even_where_the_key_sealed_it(place: Place) {
        let left = answered_and_ended(&place).await;
        roll_back(&place, sizes(&left)[1]).await;
        // Whoever has key and database writes another entry in its place, with an anchor of his own.
        let own = place.folder.path().join("own.anchor");
        let options = Options { anchor_file: Some(own), accept_lost_anchor: true, ..place.options() };
        let forger = Ledger::open(&place.url, options).await.unwrap();
        record(&forger, "agreement/forged", 3, None).await;
        forger.stop().await.unwrap();
        std::fs::write(place.anchor_file(), &left.anchor).unwrap();
        assert!(findings(&place).await.0.contains(&FindingKind::AnchorDiffers));
        let ledger = place.open().await;
        assert!(matches!(ledger.read_only(), Some(ReadOnly::RootDiffers { .. })), "{:?}", ledger.read_only());
    }

    async fn an_intent_that_no_key_of_the_log_sealed_is_a_damaged_anchor(place: Place) {
        let left = answered_and_ended(&place).await;
        roll_back(&place, sizes(&left)[1]).await;
        std::fs::write(place.anchor_file(), resealed(left.anchor)).unwrap();
        assert!(findings(&place).await.0.contains(&FindingKind::AnchorDamaged));
        let before = rows(&*place.store().await).await;
        let ledger = place.open().await;
        assert!(matches!(ledger.read_only(), Some(ReadOnly::AnchorDamaged { .. })), "{:?}", ledger.read_only());
        ledger.stop().await.unwrap();
        assert_eq!(rows(&*place.store().await).await, before, "nothing of it is taken in");
    }

    async fn an_intent_whose_command_had_been_recorded_before_is_taken_back_and_not_put_in(place: Place) {
        let left = answered_and_ended(&place).await;
        let [earlier, before, _] = sizes(&left)[..] else { panic!() };
        roll_back(&place, before).await;
        // As a process leaves it that ends between the database's refusal and taking its intent back.
        let ids = [&left.accepted[2], &left.accepted[0]].map(|it| Entry::parse(it.receipt.entry.as_bytes()).unwrap());
        let body = left.accepted[2].receipt.entry.replace(ids[0].command.as_str(), ids[1].command.as_str());
        std::fs::write(place.anchor_file(), intending(&place, &left, &body).await).unwrap();
        let kept = rows(&*place.store().await).await;
        // Also where the database was set back behind the intent's base, and has to be recovered first.
        let backup = exported(&place, &kept);
        roll_back(&place, earlier).await;
        let done = Ledger::recover(&place.url, &place.options(), &backup).await.unwrap();
        assert_eq!((done.restored, done.size), (1, before));
        let ledger = place.open().await;
        assert_eq!(ledger.read_only(), None);
        assert_eq!(rows(&*place.store().await).await, kept);
        assert!(!contains(&std::fs::read(place.anchor_file()).unwrap(), &left.disclosure));
        record(&ledger, "agreement/after", 2, None).await;
        ledger.stop().await.unwrap();
        assert_one_history(&*place.store().await).await;
        assert_eq!(findings(&place).await, (vec![], vec![]));
    }

    async fn an_intent_is_taken_back_where_somebody_without_this_anchor_was_faster(place: Place) {
        let one = place.init().await;
        let mut all = record(&one, "agreement/a", 3, None).await;
        let copy = place.folder.path().join("copy.anchor");
        std::fs::write(&copy, std::fs::read(place.anchor_file()).unwrap()).unwrap();
        let options = Options { anchor_file: Some(copy), mode: Mode::Guard, ..place.options() };
        let two = Ledger::open(&place.url, options).await.unwrap();
        for round in 0..10 {
            all.extend(record(&two, &format!("agreement/two-{round}"), 1, None).await);
            all.extend(record(&one, &format!("agreement/one-{round}"), 2, None).await);
        }
        assert_no_fork(&all);
        two.stop().await.unwrap();
        one.stop().await.unwrap();
        assert_one_history(&*place.store().await).await;
        assert_eq!(place.open().await.read_only(), None);
        assert_eq!(findings(&place).await, (vec![], vec![]));
    }

    async fn a_newcomer_is_let_in_by_whoever_is_busy_alone_and_both_go_on(place: Place) {
        let one = place.init().await;
        let busy: Vec<_> = (0..8).map(|client| {
            let ledger = one.clone();
            tokio::spawn(async move { record(&ledger, &format!("agreement/one-{client}"), 150, None).await })
        }).collect();
        while one.checkpoint().unwrap().size.get() < 100 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let two = place.open().await;
        assert_eq!(two.read_only(), None);
        assert!(busy.iter().any(|task| !task.is_finished()), "it was let in by a busy process");
        let mut all = record(&two, "agreement/two", 20, None).await;
        two.stop().await.unwrap();
        for task in busy {
            all.extend(task.await.unwrap());
        }
        // Alone again, it writes intents again.
        let intends = |anchor: &[u8]| contains(anchor, "\"redo_hash\"");
        let mut seen = false;
        for round in 0..100 {
            all.extend(record(&one, &format!("agreement/then-{round}"), 2, None).await);
            seen = seen || intends(&std::fs::read(place.anchor_file()).unwrap());
        }
        assert!(seen);
        assert_no_fork(&all);
        one.stop().await.unwrap();
        assert_one_history(&*place.store().await).await;
        assert_eq!(findings(&place).await, (vec![], vec![]));
    }

    async fn nothing_that_was_erased_is_left_in_the_anchor_once_that_is_answered(place: Place) {
        let ledger = place.init().await;
        let mut kept = false;
        for round in 0..20 {
            let sealed = sealed_proposal(&format!("agreement/s-{round}"), "a name to forget", None);
            let disclosure = sealed.disclosures[0].clone();
            let sealed = ledger.submit(sealed).await.unwrap();
            kept = kept || contains(&std::fs::read(place.anchor_file()).unwrap(), &disclosure);
            let (erasing, _) = erasure(&ledger, &sealed).await;
            ledger.submit(erasing).await.unwrap();
            assert!(!contains(&std::fs::read(place.anchor_file()).unwrap(), &disclosure));
        }
        assert!(kept, "it was there before");
        ledger.stop().await.unwrap();
    }

    async fn whoever_has_nothing_to_do_leaves_a_signed_checkpoint_and_lets_others_in(place: Place) {
        let ledger = place.init().await;
        let newest = record(&ledger, "agreement/a", 3, None).await.pop().unwrap().receipt.checkpoint;
        let started = std::time::Instant::now();
        while !place.anchored_notes().contains(&newest.text) {
            assert!(started.elapsed() < Duration::from_secs(10), "it is never settled");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let other = place.open().await;
        record(&other, "agreement/b", 3, None).await;
        record(&ledger, "agreement/c", 3, None).await;
        other.stop().await.unwrap();
        ledger.stop().await.unwrap();
        assert_one_history(&*place.store().await).await;
    }

    async fn in_guard_mode_nothing_is_intended(place: Place) {
        place.init().await.stop().await.unwrap();
        let options = Options { mode: Mode::Guard, ..place.options() };
        let ledger = Ledger::open(&place.url, options).await.unwrap();
        for round in 0..20 {
            record(&ledger, &format!("agreement/a-{round}"), 2, None).await;
            assert_eq!(std::fs::metadata(place.anchor_file()).unwrap().len(), 8192);
        }
        ledger.stop().await.unwrap();
    }
}

/// Returns the left anchor's bytes with another entry intended in place of the one answered.
async fn intending(place: &Place, left: &Left, body: &str) -> Vec<u8> {
    let store = place.store().await;
    let mut frontier = weituo_proof::Frontier::new();
    rows(&*store).await.iter().for_each(|row| frontier.append(row.leaf_hash));
    frontier.append(weituo_proof::leaf_hash(body.as_bytes()));
    let (size, root) = (frontier.size().get(), frontier.root());
    let key: weituo_proof::SigningKey =
        std::fs::read_to_string(place.key_file()).unwrap().trim().parse().unwrap();
    let recorded_at = Entry::parse(body.as_bytes()).unwrap().recorded_at.to_string();
    let seal = seal_of(key.seed(), "log.example/test", size, &root.to_string(), &recorded_at);
    let redo = format!("{body}\n{} {}\n", size - 1, left.disclosure);
    let intent = format!(
        "{{\"origin\":\"log.example/test\",\"recorded_at\":\"{recorded_at}\",\"redo_bytes\":{},\"redo_hash\":\"{}\",\
         \"root\":\"{root}\",\"seal\":\"{seal}\",\"size\":{size}}}",
        redo.len(),
        weituo_proof::sha256(&[redo.as_bytes()])
    );
    let (mut bytes, at, intent_at, end) = newest_slot(left.anchor.clone());
    assert_eq!(
        bytes[at + intent_at..at + end].len(),
        4 + intent.len(),
        "of one length, so it takes its place"
    );
    bytes[at + intent_at + 4..at + end].copy_from_slice(intent.as_bytes());
    let checksum = weituo_proof::sha256(&[&bytes[at..at + end]]);
    bytes[at + end..at + end + 32].copy_from_slice(checksum.as_bytes());
    let part = 8192 + if at == 0 { 0 } else { 1 << 20 };
    bytes[part..part + redo.len()].copy_from_slice(redo.as_bytes());
    bytes
}

/// Returns an anchor's bytes, where its newest slot is in them, and where in that its intent begins and ends.
fn newest_slot(bytes: Vec<u8>) -> (Vec<u8>, usize, usize, usize) {
    let counter = |at: usize| u64::from_be_bytes(bytes[at + 16..at + 24].try_into().unwrap());
    let at = if counter(0) > counter(4096) { 0 } else { 4096 };
    let length = |from: usize| {
        let length = u32::from_be_bytes(bytes[at + from..at + from + 4].try_into().unwrap());
        usize::try_from(length).unwrap()
    };
    let intent = 28 + length(24);
    let end = intent + 4 + length(intent);
    (bytes, at, intent, end)
}

/// Returns an anchor's bytes with another seal in its newest intent, and its checksum to match.
fn resealed(bytes: Vec<u8>) -> Vec<u8> {
    let (mut bytes, at, _, end) = newest_slot(bytes);
    let slot = &mut bytes[at..at + 4096];
    let seal = slot.windows(8).position(|window| window == b"\"seal\":\"").unwrap() + 8;
    slot[seal] = if slot[seal] == b'0' { b'1' } else { b'0' };
    let checksum = weituo_proof::sha256(&[&slot[..end]]);
    slot[end..end + 32].copy_from_slice(checksum.as_bytes());
    bytes
}
