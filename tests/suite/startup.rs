//! The start-up table of format.md, acted out on both stores, and recovery.

use std::time::Duration;

use weituo::ledger::{Backup, InitOptions, Ledger, LedgerError, Options, ReadOnly, Recovered, SubmitError};
use weituo::store::{LedgerUrl, StoreError};
use weituo_events::payload::Predecessor;
use weituo_events::{Act, Event};
use weituo_proof::{Checkpoint, Entry, LeafIndex, Origin, TreeSize};

use crate::support::ledger::{
    Kind, Place, assert_one_history, on_both_stores, proposal, record, record_in_streams, rows,
    sealed_proposal,
};

/// Opens the ledger and returns why it only reads.
async fn reason(place: &Place) -> ReadOnly {
    let ledger = place.open().await;
    let reason = ledger.read_only().expect("the ledger only reads");
    assert!(matches!(ledger.submit(proposal("agreement/x", "n", None)).await, Err(SubmitError::ReadOnly(_))));
    ledger.stop().await.unwrap();
    reason
}

/// Returns what lets no entry in from a leaf index on, and what lets them in again.
fn stopped_at(kind: Kind, leaf_index: u64) -> (String, &'static str) {
    match kind {
        Kind::Sqlite => (
            format!(
                "CREATE TRIGGER stop BEFORE INSERT ON entry WHEN NEW.leaf_index >= {leaf_index}
                 BEGIN SELECT RAISE(ABORT, 'stopped'); END"
            ),
            "DROP TRIGGER stop",
        ),
        Kind::Postgres => (
            format!("ALTER TABLE entry ADD CONSTRAINT stop CHECK (leaf_index < {leaf_index}) NOT VALID"),
            "ALTER TABLE entry DROP CONSTRAINT stop",
        ),
    }
}

on_both_stores! {
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

    async fn a_long_recovery_goes_on_where_it_was_interrupted(place: Place) {
        let ledger = place.init().await;
        record_in_streams(&ledger, 2_500).await;
        ledger.stop().await.unwrap();
        let whole = rows(&*place.store().await).await;
        let backup = copy(&place).await;
        roll_back(&place, 100).await;
        let (stop, go_on) = stopped_at(place.kind, 2_200);
        place.tamper(&stop).await;
        let backup = Backup::Ledger(backup);
        let stopped = Ledger::recover(&place.url, &place.options(), &backup).await;
        assert!(matches!(stopped, Err(LedgerError::Store(_))), "{stopped:?}");
        let size = assert_one_history(&*place.store().await).await;
        assert!((101..2_200).contains(&size), "{size}");
        let behind = ReadOnly::Behind { database_size: size, anchor_size: whole.len() as u64 };
        assert_eq!(reason(&place).await, behind);
        place.tamper(go_on).await;
        let done = Ledger::recover(&place.url, &place.options(), &backup).await.unwrap();
        assert_eq!(done.restored, whole.len() as u64 - size);
        assert_eq!(rows(&*place.store().await).await, whole);
        assert_eq!(place.open().await.read_only(), None);
    }

    async fn a_backup_that_answers_otherwise_the_second_time_is_sealed_by_no_recovery(place: Place) {
        let ledger = place.init().await;
        record_in_streams(&ledger, 1_300).await;
        ledger.stop().await.unwrap();
        let whole = rows(&*place.store().await).await;
        roll_back(&place, 100).await;
        let bodies: Vec<&str> = whole.iter().map(|row| &*row.body).collect();
        let text = |altered: &str| bodies.join("\n").replace("/n150", altered) + "\n";
        let answers: [String; 2] = [text("/n150"), text("/x150")];
        let pipe = place.folder.path().join("entries.jsonl");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let served = pipe.clone();
        std::thread::spawn(move || {
            for answer in answers {
                // The first reader is gone when the second answer is written.
                let _ = std::fs::write(&served, answer);
                std::thread::sleep(Duration::from_millis(500));
            }
        });
        let (options, backup) = (place.options(), Backup::Entries(pipe));
        let recovering = Ledger::recover(&place.url, &options, &backup);
        let refused = tokio::time::timeout(Duration::from_mins(1), recovering).await.unwrap().unwrap_err();
        assert!(matches!(refused, LedgerError::Recover { .. }), "{refused:?}");
        let left = rows(&*place.store().await).await;
        assert_eq!(left, whole[..left.len()], "nothing but what was there before is there");
    }

    async fn a_recovery_to_what_was_never_anchored_goes_on_where_it_was_interrupted(place: Place) {
        place.init().await.stop().await.unwrap();
        let anchor = std::fs::read(place.anchor_file()).unwrap();
        let ledger = place.open().await;
        record_in_streams(&ledger, 1_300).await;
        ledger.stop().await.unwrap();
        std::fs::write(place.anchor_file(), anchor).unwrap();
        let store = place.store().await;
        let (whole, head) = (rows(&*store).await, store.head().await.unwrap());
        let backup = Backup::Ledger(copy(&place).await);
        place.tamper("DELETE FROM entry WHERE leaf_index IN (100, 1200)").await;
        let (stop, go_on) = stopped_at(place.kind, 1_200);
        place.tamper(&stop).await;
        let stopped = Ledger::recover(&place.url, &place.options(), &backup).await;
        assert!(matches!(stopped, Err(LedgerError::Store(_))), "{stopped:?}");
        assert_eq!(store.head().await.unwrap(), head, "nothing else says what was committed");
        place.tamper(go_on).await;
        let done = Ledger::recover(&place.url, &place.options(), &backup).await.unwrap();
        assert_eq!((done.restored, done.size), (1, whole.len() as u64));
        assert_eq!(rows(&*place.store().await).await, whole);
        assert_eq!(place.open().await.read_only(), None);
    }

    async fn a_backup_swapped_after_it_was_verified_is_sealed_by_no_restore(place: Place) {
        let ledger = place.init().await;
        record(&ledger, "agreement/a", 5, None).await;
        ledger.stop().await.unwrap();
        let file = place.folder.path().join("backup.db");
        Ledger::backup(&place.url, &place.options(), &file).await.unwrap();
        let forge = |sql: &str| rusqlite::Connection::open(&file).unwrap().execute_batch(sql).unwrap();
        let (to, from) = (place.sibling_url().await, LedgerUrl::Sqlite(file.clone()));
        // One forged entry behind the others, and a head row that asks for more than there are.
        forge(
            "INSERT INTO entry SELECT leaf_index + 1000, stream, sequence + 1000, randomblob(16), leaf_hash, body FROM entry \
             WHERE leaf_index = 5;
             UPDATE entry SET leaf_index = (SELECT count(*) - 1 FROM entry) WHERE leaf_index > 1000;
             UPDATE head SET size = 5000",
        );
        let refused = Ledger::restore(&to, &place.options(), &from, true).await.unwrap_err();
        assert!(matches!(refused, LedgerError::Store(StoreError::Corrupt { .. })), "{refused:?}");
        // One that ends where it says, under no seal of the log's key.
        forge("UPDATE head SET size = (SELECT count(*) FROM entry)");
        let refused = Ledger::restore(&to, &place.options(), &from, true).await.unwrap_err();
        assert!(matches!(refused, LedgerError::Copy { .. }), "{refused:?}");
        let target = weituo::store::open(&to, place.options().store, false).await.unwrap();
        assert_eq!(target.head().await.unwrap(), None);
        assert!(rows(&*target).await.is_empty(), "nothing was written");
    }

    async fn an_entry_missing_below_what_was_committed_and_never_anchored_is_recovered(place: Place) {
        let ledger = place.init().await;
        record(&ledger, "agreement/a", 3, None).await;
        ledger.stop().await.unwrap();
        let anchor = std::fs::read(place.anchor_file()).unwrap();
        let ledger = place.open().await;
        record(&ledger, "agreement/b", 2, None).await;
        ledger.stop().await.unwrap();
        std::fs::write(place.anchor_file(), anchor).unwrap();
        let whole = rows(&*place.store().await).await;
        let backup = copy(&place).await;
        place.tamper("DELETE FROM entry WHERE leaf_index = 2").await;
        let done = Ledger::recover(&place.url, &place.options(), &Backup::Ledger(backup)).await.unwrap();
        assert_eq!((done.restored, done.size), (1, whole.len() as u64));
        assert_eq!(rows(&*place.store().await).await, whole);
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

    async fn start_with_a_key_that_sealed_the_head_and_is_not_in_the_log_only_reads(place: Place) {
        let ledger = place.init().await;
        record(&ledger, "agreement/a", 2, None).await;
        ledger.stop().await.unwrap();
        // Whoever has the database and the files puts a key of his own everywhere: but not into the entries.
        let other = weituo_proof::SigningKey::from_seed("log.example/test", [9; 32]).unwrap();
        std::fs::write(place.key_file(), other.to_string()).unwrap();
        let head = place.store().await.head().await.unwrap().unwrap();
        let root = head.root.to_string();
        let seal = seal_of(other.seed(), "log.example/test", head.size, &root, &head.recorded_at);
        let seal = match place.kind {
            Kind::Sqlite => format!("x'{seal}'"),
            Kind::Postgres => format!("'\\x{seal}'"),
        };
        place.tamper(&format!("UPDATE head SET seal = {seal}")).await;
        std::fs::remove_file(place.anchor_file()).unwrap();
        let (origin, size) = (ledger.origin().clone(), TreeSize::new(head.size));
        let signed = Checkpoint { origin, size, root: head.root }.sign(&other).unwrap();
        let options = Options { witnessed: vec![signed.to_string()], ..place.options() };
        let ledger = Ledger::open(&place.url, options).await.unwrap();
        let key = other.verifier().to_string();
        assert_eq!(ledger.read_only(), Some(ReadOnly::KeyNotInLog { key }));
        let refused = ledger.submit(proposal("agreement/x", "n", None)).await;
        assert!(matches!(refused, Err(SubmitError::ReadOnly(_))), "{refused:?}");
        ledger.stop().await.unwrap();
    }

    async fn start_without_reaching_the_anchor_refuses_and_is_tried_again(place: Place) {
        let ledger = place.init().await;
        record(&ledger, "agreement/a", 2, None).await;
        ledger.stop().await.unwrap();
        let away = place.folder.path().join("away");
        std::fs::rename(place.anchor_file(), &away).unwrap();
        // Something is there that cannot be read: this is not the same as a lost anchor.
        std::fs::create_dir(place.anchor_file()).unwrap();
        let refused = Ledger::open(&place.url, place.options()).await.unwrap_err();
        assert!(matches!(refused, LedgerError::Anchor { .. }) && refused.is_retryable(), "{refused:?}");
        assert!(refused.to_string().contains("ledger.anchor"), "{refused}");
        std::fs::remove_dir(place.anchor_file()).unwrap();
        std::fs::rename(&away, place.anchor_file()).unwrap();
        let reopened = place.open().await;
        assert_eq!(reopened.checkpoint(), ledger.checkpoint());
        record(&reopened, "agreement/b", 1, None).await;
        reopened.stop().await.unwrap();
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

    async fn a_lost_anchor_is_settled_by_a_kept_checkpoint_or_a_recorded_word(place: Place) {
        let ledger = place.init().await;
        let early = ledger.checkpoint().unwrap().text.clone();
        record(&ledger, "agreement/a", 2, None).await;
        ledger.stop().await.unwrap();
        let found = ledger.checkpoint().unwrap();
        let accept = async |kept: Option<&String>| {
            Ledger::accept_anchor(&place.url, &place.options(), kept.cloned()).await
        };
        assert!(matches!(accept(None).await, Err(LedgerError::Recover { .. })), "the anchor is there");
        std::fs::remove_file(place.anchor_file()).unwrap();
        let stranger = early.replace("log.example", "other.example");
        assert!(matches!(accept(Some(&stranger)).await, Err(LedgerError::Invalid { .. })));
        assert!(matches!(reason(&place).await, ReadOnly::AnchorLost { .. }));
        let size = found.size.get();
        let done = Recovered { restored: 0, disclosures: 0, head: false, size };
        assert_eq!(accept(Some(&found.text)).await.unwrap(), done);
        assert_eq!(rows(&*place.store().await).await.len() as u64, size, "nothing follows what was kept");
        // What follows an earlier one, and what nobody kept anything of, stands on somebody's word.
        for (kept, size) in [(Some(&early), size), (None, size + 2)] {
            std::fs::remove_file(place.anchor_file()).unwrap();
            assert_eq!(accept(kept).await.unwrap().size, size + 2, "its entry, and the index's");
            let entry = place.store().await.entry(size).await.unwrap().unwrap();
            let entry = Entry::parse(entry.body.as_bytes()).unwrap();
            let Event::AnchorAccepted(accepted) = Act::from_entry(&entry).unwrap().event else { panic!() };
            assert_eq!((entry.stream.as_str(), accepted.size), ("log/main", size));
        }
        let ledger = place.open().await;
        assert_eq!(ledger.read_only(), None);
        record(&ledger, "agreement/b", 1, None).await;
        ledger.stop().await.unwrap();
        assert_one_history(&*place.store().await).await;
    }

    async fn a_lost_anchor_whose_place_cannot_be_written_is_accepted_with_no_entry(place: Place) {
        let ledger = place.init().await;
        record(&ledger, "agreement/a", 2, None).await;
        ledger.stop().await.unwrap();
        let before = rows(&*place.store().await).await;
        // A path with a slip in it: the anchor itself is where it was.
        let mistyped = place.folder.path().join("anchros/ledger.anchor");
        let options = Options { anchor_file: Some(mistyped), ..place.options() };
        let lost = Ledger::open(&place.url, options.clone()).await.unwrap().read_only().unwrap().to_string();
        assert!(lost.contains("See first that this is its path"), "{lost}");
        let refused = Ledger::accept_anchor(&place.url, &options, None).await.unwrap_err();
        assert!(matches!(refused, LedgerError::Anchor { .. }), "{refused:?}");
        assert_eq!(rows(&*place.store().await).await, before);
        assert_eq!(place.open().await.read_only(), None);
    }

    async fn a_key_file_that_is_not_the_newest_replaces_no_anchor(place: Place) {
        let ledger = place.init().await;
        let (early, old) = (ledger.checkpoint().unwrap().text.clone(), ledger.verifier_key().to_string());
        ledger.stop().await.unwrap();
        let kept = Ledger::rotate_key(&place.url, &place.options()).await.unwrap().kept;
        Ledger::revoke_key(&place.url, &place.options(), &old).await.unwrap();
        let anchor = std::fs::read(place.anchor_file()).unwrap();
        let options = Options { key_file: Some(kept), ..place.options() };
        let refused = Ledger::accept_anchor(&place.url, &options, Some(early)).await.unwrap_err();
        assert!(matches!(refused, LedgerError::ReadOnly(_)), "{refused:?}");
        assert_eq!(std::fs::read(place.anchor_file()).unwrap(), anchor);
        assert_eq!(place.open().await.read_only(), None);
    }

    async fn a_database_behind_the_kept_checkpoint_of_a_lost_anchor_only_reads(place: Place) {
        let ledger = place.init().await;
        record(&ledger, "agreement/a", 2, None).await;
        ledger.stop().await.unwrap();
        let kept = ledger.checkpoint().unwrap();
        roll_back(&place, 2).await;
        std::fs::remove_file(place.anchor_file()).unwrap();
        let refused = Ledger::accept_anchor(&place.url, &place.options(), Some(kept.text.clone())).await;
        let behind = ReadOnly::Behind { database_size: 2, anchor_size: kept.size.get() };
        assert!(matches!(refused, Err(LedgerError::ReadOnly(found)) if found == behind));
        assert_eq!(reason(&place).await, behind);
    }

    async fn the_published_checkpoint_never_goes_back_after_a_failed_anchoring(place: Place) {
        place.init().await.stop().await.unwrap();
        let options = Options { follow_every: Duration::from_hours(1), ..place.options() };
        let ledger = Ledger::open(&place.url, options.clone()).await.unwrap();
        let other = Ledger::open(&place.url, options).await.unwrap();
        record(&ledger, "agreement/a", 1, None).await;
        let aside = place.folder.path().join("aside");
        std::fs::rename(place.anchor_file(), &aside).unwrap();
        let unanchored = ledger.submit(proposal("agreement/b", "n", None)).await;
        assert!(matches!(unanchored, Err(SubmitError::Unavailable(_))), "{unanchored:?}");
        std::fs::rename(&aside, place.anchor_file()).unwrap();
        record(&other, "agreement/c", 1, None).await;
        ledger.follow().await.unwrap();
        let newest = ledger.checkpoint().unwrap();
        assert_eq!(newest, other.checkpoint().unwrap());
        let refused = ledger.submit(proposal("agreement/c", "n", None)).await;
        assert!(matches!(refused, Err(SubmitError::Conflict { .. })), "{refused:?}");
        assert_eq!(ledger.checkpoint().unwrap(), newest);
        ledger.stop().await.unwrap();
        other.stop().await.unwrap();
    }

    async fn where_nothing_can_be_recovered_a_new_ledger_names_the_old_one(place: Place) {
        let ledger = place.init().await;
        record(&ledger, "agreement/a", 3, None).await;
        ledger.stop().await.unwrap();
        let old = ledger.checkpoint().unwrap();
        roll_back(&place, 2).await;
        assert!(matches!(reason(&place).await, ReadOnly::Behind { database_size: 2, .. }));
        let predecessor = Predecessor {
            checkpoint: old.text.clone(),
            lost_from: Some(2),
            lost_to: Some(old.size.get()),
            origin: ledger.origin().to_string(),
        };
        let (url, folder) = (place.sibling_url().await, tempfile::tempdir().unwrap());
        let next = Place { kind: place.kind, folder, url, clock: std::sync::Arc::default() };
        let init = InitOptions { options: next.options(), ..InitOptions::new(Origin::new("log.example/next").unwrap()) };
        let init = InitOptions { predecessor: Some(predecessor.clone()), ..init };
        Ledger::init(&next.url, &init).await.unwrap().stop().await.unwrap();
        let ledger = next.open().await;
        record(&ledger, "agreement/a", 1, None).await;
        ledger.stop().await.unwrap();
        let first = next.store().await.entry(0).await.unwrap().unwrap();
        let first = Entry::parse(first.body.as_bytes()).unwrap();
        let Event::LogOpened(opened) = Act::from_entry(&first).unwrap().event else { panic!() };
        assert_eq!((first.ledger.as_str(), opened.predecessor), ("log.example/next", Some(predecessor)));
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

    async fn an_interrupted_init_is_finished_by_repeating_it(place: Place) {
        drop(place.init().await);
        std::fs::remove_file(place.anchor_file()).unwrap();
        let ledger = place.init().await;
        assert_eq!((ledger.read_only(), ledger.checkpoint().unwrap().size.get()), (None, 1));
        ledger.stop().await.unwrap();
        std::fs::remove_file(place.anchor_file()).unwrap();
        let refused = Ledger::init(&place.url, &place.init_options()).await;
        assert!(matches!(refused, Err(LedgerError::Exists { .. })), "a used ledger is not made anew");
    }

    async fn without_a_ledger_the_message_says_what_to_run(place: Place) {
        let error = Ledger::open(&place.url, place.options()).await.unwrap_err();
        let LedgerError::Store(StoreError::Schema { what }) = error else { panic!("{error:?}") };
        assert!(what.en().contains("weituo init"), "{what:?}");
    }
}

/// Sets the database back to its first `size` entries, as an older copy of it would be: with the seal of that time.
pub(crate) async fn roll_back(place: &Place, size: u64) -> u64 {
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
pub(crate) fn seal_of(seed: &[u8; 32], origin: &str, size: u64, root: &str, recorded_at: &str) -> String {
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
pub(crate) async fn copy(place: &Place) -> LedgerUrl {
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
