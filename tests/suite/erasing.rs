//! Erasing: the disclosure is gone from the files, and stays gone through a recovery.

use weituo::ledger::{Backup, Ledger};
use weituo::store::LedgerUrl;

use crate::startup::{copy, roll_back};
use crate::support::ledger::{
    Kind, Place, erasure, on_both_stores, proposal, record, record_in_streams, rows, sealed_proposal,
};

/// Returns whether a text stands in any file of the database, found by its bytes.
fn in_the_files(place: &Place, text: &str) -> bool {
    let LedgerUrl::Sqlite(path) = &place.url else { panic!("a SQLite ledger") };
    ["", "-wal", "-journal"].iter().any(|suffix| {
        let file = format!("{}{suffix}", path.display());
        let bytes = std::fs::read(file).unwrap_or_default();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erased_disclosure_is_in_no_file_of_sqlite() {
    let place = Place::new(Kind::Sqlite).await;
    let ledger = place.init().await;
    let mut texts = Vec::new();
    for number in 0..200 {
        let sealed = sealed_proposal(&format!("agreement/s{number}"), "a name", None);
        texts.push(sealed.disclosures[0].clone());
        let sealed = ledger.submit(sealed).await.unwrap();
        if number % 20 == 7 {
            // Moved into the file now and then, as the WAL is.
            place.tamper("PRAGMA wal_checkpoint").await;
            assert!(in_the_files(&place, &texts[number]));
            let (erasing, _) = erasure(&ledger, &sealed).await;
            ledger.submit(erasing).await.unwrap();
            assert!(!in_the_files(&place, &texts[number]), "while the ledger is open");
        }
    }
    ledger.stop().await.unwrap();
    for (number, text) in texts.iter().enumerate() {
        assert_eq!(in_the_files(&place, text), number % 20 != 7, "{number}");
    }
}

on_both_stores! {
    async fn a_recovery_erases_again_what_the_log_says_was_erased(place: Place) {
        let ledger = place.init().await;
        let sealed = ledger.submit(sealed_proposal("agreement/s", "a name", None)).await.unwrap();
        let kept = ledger.submit(sealed_proposal("agreement/t", "another", None)).await.unwrap();
        let before = copy(&place).await;
        let (erasing, digest) = erasure(&ledger, &sealed).await;
        ledger.submit(erasing).await.unwrap();
        record(&ledger, "agreement/a", 1, None).await;
        ledger.stop().await.unwrap();
        let whole = place.store().await;
        let row = weituo::store::open(&before, place.options().store, false).await.unwrap();
        let row = row.disclosures_by_digest(std::slice::from_ref(&digest)).await.unwrap().remove(0);
        let backup = place.folder.path().join("entries.jsonl");
        let bodies: Vec<String> =
            rows(&*whole).await.iter().map(|row| row.body.to_string()).collect();
        std::fs::write(&backup, bodies.join("\n")).unwrap();
        let backup = Backup::Entries(backup);
        // An older copy of the database: the erasure is not in it yet, the disclosure is.
        roll_back(&place, 3).await;
        let put_back = format!(
            "INSERT INTO disclosure (digest, leaf_index, disclosure) VALUES ('{}', {}, '{}')",
            row.digest, row.leaf_index, row.disclosure
        );
        place.tamper(&put_back).await;
        Ledger::recover(&place.url, &place.options(), &backup).await.unwrap();
        let left = |store: std::sync::Arc<dyn weituo::store::Store>| async move {
            let rows = store.disclosures(0..100).await.unwrap();
            rows.into_iter().map(|row| row.leaf_index).collect::<Vec<_>>()
        };
        assert_eq!(left(place.store().await).await, [kept.receipt.leaf_index.get()]);
        // The same where no entry is missing.
        place.tamper(&put_back).await;
        Ledger::recover(&place.url, &place.options(), &backup).await.unwrap();
        assert_eq!(left(place.store().await).await, [kept.receipt.leaf_index.get()]);
        assert_eq!(place.open().await.read_only(), None);
    }

    async fn a_recovery_puts_back_removed_disclosures_but_none_that_was_erased(place: Place) {
        let ledger = place.init().await;
        let removed = ledger.submit(sealed_proposal("agreement/s", "a name", None)).await.unwrap();
        let erased = ledger.submit(sealed_proposal("agreement/t", "another", None)).await.unwrap();
        let backup = copy(&place).await;
        let (erasing, _) = erasure(&ledger, &erased).await;
        ledger.submit(erasing).await.unwrap();
        // More entries than a step of the recovery: the disclosure is put back in one that is not the last.
        record_in_streams(&ledger, 1_100).await;
        ledger.stop().await.unwrap();
        let whole = place.store().await;
        let (head, right) = (whole.head().await.unwrap(), whole.disclosures(0..2_000).await.unwrap());
        assert_eq!(right.len(), 1);
        let leaf = removed.receipt.leaf_index;
        place.tamper(&format!("DELETE FROM disclosure WHERE leaf_index = {leaf}")).await;
        let entries = rows(&*place.store().await).await;
        let backup = Backup::Ledger(backup);
        let done = Ledger::recover(&place.url, &place.options(), &backup).await.unwrap();
        assert_eq!((done.restored, done.disclosures, done.head), (0, 1, false));
        let store = place.store().await;
        assert_eq!(store.disclosures(0..2_000).await.unwrap(), right);
        assert_eq!(store.head().await.unwrap(), head);
        assert_eq!(rows(&*place.store().await).await, entries);
        let done = Ledger::recover(&place.url, &place.options(), &backup).await.unwrap();
        assert_eq!((done.restored, done.disclosures, done.head), (0, 0, false), "it is there now");
        assert_eq!(place.open().await.read_only(), None);
    }

    async fn a_recovery_replaces_a_disclosure_that_was_altered(place: Place) {
        let ledger = place.init().await;
        ledger.submit(sealed_proposal("agreement/s", "a name", None)).await.unwrap();
        ledger.stop().await.unwrap();
        let right = place.store().await.disclosures(0..100).await.unwrap();
        let backup = Backup::Ledger(copy(&place).await);
        let other = sealed_proposal("agreement/x", "a stranger", None).disclosures.remove(0);
        place.tamper(&format!("UPDATE disclosure SET disclosure = '{other}'")).await;
        let done = Ledger::recover(&place.url, &place.options(), &backup).await.unwrap();
        assert_eq!((done.restored, done.disclosures, done.head), (0, 1, false));
        assert_eq!(place.store().await.disclosures(0..100).await.unwrap(), right);
        assert_eq!(place.open().await.read_only(), None);
    }

    async fn a_recovery_takes_only_disclosures_that_open_what_their_entry_seals(place: Place) {
        let ledger = place.init().await;
        record(&ledger, "agreement/a", 1, None).await;
        let sealed = ledger.submit(sealed_proposal("agreement/s", "a name", None)).await.unwrap();
        let plain = ledger.submit(proposal("agreement/p", "n", None)).await.unwrap();
        ledger.stop().await.unwrap();
        let other = sealed_proposal("agreement/x", "a stranger", None).disclosures.remove(0);
        let digest = weituo_proof::Disclosure::decode(&other).unwrap().digest();
        let altered = "0".repeat(43);
        let (at, beside) = (sealed.receipt.leaf_index, plain.receipt.leaf_index);
        let right = place.store().await.disclosures(0..100).await.unwrap();
        place
            .tamper(&format!(
                "INSERT INTO disclosure (digest, leaf_index, disclosure) VALUES
                 ('{digest}', {beside}, '{other}'), ('{altered}', {at}, '{other}')"
            ))
            .await;
        let backup = copy(&place).await;
        roll_back(&place, 2).await;
        Ledger::recover(&place.url, &place.options(), &Backup::Ledger(backup)).await.unwrap();
        assert_eq!(place.store().await.disclosures(0..100).await.unwrap(), right);
    }
}
