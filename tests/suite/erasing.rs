//! Erasing: the disclosure is gone from the files.

use weituo::store::LedgerUrl;

use crate::support::ledger::{Kind, Place, erasure, sealed_proposal};

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
