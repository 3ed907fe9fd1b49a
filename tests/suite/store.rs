//! The store's seam: what both databases promise alike.

use std::sync::Arc;

use cqrs_es::Aggregate;
use cqrs_es::persist::SerializedEvent;
use sqlx::Executor as _;
use weituo::store::{
    self, ApplyOutcome, Batch, CommitOutcome, EntryRow, Head, KeyRange, LedgerUrl, PostgresStore,
    ProjectionChange, ProjectionRow, Scanned, Store, StoreOptions, Which,
};
use weituo_proof::Hash;

use crate::support::ledger::{Kind, Place, on_both_stores, record};
use crate::support::postgres::connect;

/// An empty store with its tables.
async fn migrated(place: &Place) -> Arc<dyn Store> {
    let store = store::open(&place.url, StoreOptions::default(), true).await.unwrap();
    store.migrate().await.unwrap();
    store.migrate().await.unwrap();
    store.require_current().await.unwrap();
    store
}

fn head(size: u64) -> Head {
    let byte = u8::try_from(size).unwrap();
    Head {
        origin: "log.example".to_owned(),
        size,
        root: Hash([byte; 32]),
        seal: [byte; 32],
        recorded_at: "2026-01-01T00:00:00.000Z".to_owned(),
    }
}

fn row(leaf_index: u64, stream: &str, sequence: u64) -> EntryRow {
    let command = u128::from(leaf_index) + 1;
    let body = Arc::from(format!("{{\"leaf\": {leaf_index}}}"));
    let leaf_hash = Hash([u8::try_from(leaf_index % 256).unwrap(); 32]);
    EntryRow {
        leaf_index,
        stream: stream.to_owned(),
        sequence,
        command: command.to_be_bytes(),
        leaf_hash,
        body,
    }
}

fn batch(before: Option<u64>, rows: Vec<EntryRow>) -> Arc<Batch> {
    let after = head(before.unwrap_or(0) + rows.len() as u64);
    let before = before.map(|size| head(size).fence());
    Arc::new(Batch { before, after, rows, disclosures: Vec::new(), erase: Vec::new() })
}

fn put(key: &str, body: &str) -> ProjectionRow {
    ProjectionRow { key: key.to_owned(), body: body.to_owned() }
}

fn change(
    generation: i64,
    from: u64,
    to: u64,
    puts: Vec<ProjectionRow>,
    deletes: &[&str],
) -> ProjectionChange {
    ProjectionChange {
        name: "cycle".to_owned(),
        generation,
        expected_next_leaf: from,
        next_leaf: to,
        puts,
        deletes: deletes.iter().map(|key| (*key).to_owned()).collect(),
        likely_new: false,
    }
}

async fn keys(store: &dyn Store, which: Which, prefix: &str, after: &str, limit: u32) -> Vec<String> {
    let range = KeyRange { prefix, after, limit };
    let rows = store.projection_rows("cycle", which, range).await.unwrap();
    rows.into_iter().map(|row| row.key).collect()
}

/// The aggregate as which cqrs-es reads the test streams.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
struct Agreement;

#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
struct AnyEvent(serde_json::Value);

impl cqrs_es::DomainEvent for AnyEvent {
    fn event_type(&self) -> String {
        "Entry".to_owned()
    }

    fn event_version(&self) -> String {
        "1".to_owned()
    }
}

impl Aggregate for Agreement {
    const TYPE: &'static str = "agreement";
    type Command = ();
    type Event = AnyEvent;
    type Error = std::fmt::Error;
    type Services = ();

    async fn handle(
        &mut self,
        _command: (),
        _services: &(),
        _sink: &cqrs_es::event_sink::EventSink<Self>,
    ) -> Result<(), std::fmt::Error> {
        Ok(())
    }

    fn apply(&mut self, _event: AnyEvent) {}
}

on_both_stores! {
    async fn the_events_view_is_read_by_postgres_es_and_sqlite_es(place: Place) {
        let ledger = place.init().await;
        let accepted = record(&ledger, "agreement/a", 3, None).await;
        record(&ledger, "agreement/b", 2, None).await;
        let events = ledger.store().events().get_events::<Agreement>("agreement/a").await.unwrap();
        assert_eq!(events.len(), 3);
        for (at, (event, accepted)) in events.iter().zip(&accepted).enumerate() {
            let SerializedEvent { aggregate_id, sequence, aggregate_type, payload, metadata, .. } = event;
            assert_eq!((aggregate_type.as_str(), aggregate_id.as_str()), ("agreement", "agreement/a"));
            assert_eq!(*sequence, at + 1);
            assert_eq!(payload["sequence"], at + 1);
            assert_eq!(payload["type"], "PlanSubmitted");
            assert_eq!(metadata["leaf_index"], accepted.receipt.leaf_index.to_string());
            assert_eq!(metadata["leaf_hash"], accepted.receipt.leaf_hash.to_string());
        }
        ledger.stop().await.unwrap();
    }

    async fn a_batch_is_written_whole_and_only_on_its_own_head(place: Place) {
        let store = migrated(&place).await;
        assert_eq!(store.head().await.unwrap(), None);
        let first = batch(None, vec![row(0, "log/main", 1)]);
        assert_eq!(store.commit(&first).await.unwrap(), CommitOutcome::Committed);
        assert_eq!(store.commit(&first).await.unwrap(), CommitOutcome::FenceLost);
        let next = batch(Some(1), vec![row(1, "a/1", 1), row(2, "a/1", 2)]);
        assert_eq!(store.commit(&next).await.unwrap(), CommitOutcome::Committed);
        assert_eq!(store.commit(&next).await.unwrap(), CommitOutcome::FenceLost);
        assert_eq!(store.head().await.unwrap(), Some(head(3)));
        let mut again = row(3, "a/2", 1);
        again.command = row(1, "", 0).command;
        let repeated = batch(Some(3), vec![row(4, "a/3", 1), again]);
        assert_eq!(store.commit(&repeated).await.unwrap(), CommitOutcome::Duplicate);
        let same_place = batch(Some(3), vec![row(3, "a/1", 2)]);
        assert_eq!(store.commit(&same_place).await.unwrap(), CommitOutcome::Duplicate);
        assert_eq!(store.head().await.unwrap(), Some(head(3)), "nothing of them was written");
        assert_eq!(store.scan(0, 100).await.unwrap().len(), 3);
    }

    async fn a_held_head_is_given_back_by_the_commit_or_without_it(place: Place) {
        let (one, two) = (migrated(&place).await, migrated(&place).await);
        one.commit(&batch(None, vec![row(0, "log/main", 1)])).await.unwrap();
        assert_eq!(one.lock_head().await.unwrap(), Some(head(1)));
        let waiting = {
            let two = Arc::clone(&two);
            tokio::spawn(async move { two.commit(&batch(Some(1), vec![row(1, "a/2", 1)])).await.unwrap() })
        };
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        assert!(!waiting.is_finished(), "the lock is held");
        let held = one.commit(&batch(Some(1), vec![row(1, "a/1", 1)])).await.unwrap();
        assert_eq!(held, CommitOutcome::Committed);
        assert_eq!(waiting.await.unwrap(), CommitOutcome::FenceLost);
        assert_eq!(two.lock_head().await.unwrap(), Some(head(2)));
        two.unlock_head().await;
        let free = one.commit(&batch(Some(2), vec![row(2, "a/1", 2)])).await.unwrap();
        assert_eq!(free, CommitOutcome::Committed);
    }

    async fn reads_find_rows_by_place_stream_and_command(place: Place) {
        let store = migrated(&place).await;
        store.commit(&batch(None, vec![row(0, "log/main", 1)])).await.unwrap();
        // Bytewise order: upper case before lower case, '-' before digits.
        let streams = ["b/x", "a/B", "a/b", "a/-", "a/1"];
        let rows: Vec<EntryRow> = (1_u64..).zip(streams).map(|(at, stream)| row(at, stream, 1)).collect();
        store.commit(&batch(Some(1), rows.clone())).await.unwrap();
        assert_eq!(store.entry(2).await.unwrap(), Some(rows[1].clone()));
        assert_eq!(store.entry(99).await.unwrap(), None);
        assert_eq!(store.stream_rows("a/b", 1, 10).await.unwrap(), [rows[2].clone()]);
        assert!(store.stream_rows("a/b", 2, 10).await.unwrap().is_empty());
        assert!(store.stream_rows("a/'; DROP TABLE entry; --", 1, 10).await.unwrap().is_empty());
        assert_eq!(store.by_command(&[rows[4].command, [9; 16]]).await.unwrap(), [rows[4].clone()]);
        assert!(store.by_command(&[]).await.unwrap().is_empty());
        assert_eq!(store.leaf_hashes(1..3).await.unwrap(), [rows[0].leaf_hash, rows[1].leaf_hash]);
        assert!(store.leaf_hashes(4..9).await.is_err(), "some are missing");
        let (mut after, mut order) = ((String::new(), 0), Vec::new());
        loop {
            let page = store.scan_by_stream((&after.0, after.1), 2).await.unwrap();
            let last = page.len() < 2;
            for scanned in page {
                let Scanned::Row(row) = scanned else { panic!("{scanned:?}") };
                after = (row.stream.clone(), i64::try_from(row.sequence).unwrap());
                order.push(row.stream);
            }
            if last {
                break;
            }
        }
        assert_eq!(order, ["a/-", "a/1", "a/B", "a/b", "b/x", "log/main"]);
        assert_eq!(store.scan(2, 2).await.unwrap(), [2, 3].map(|at| Scanned::Row(rows[at - 1].clone())));
    }

    async fn projection_rows_and_cursor_are_written_together(place: Place) {
        let store = migrated(&place).await;
        let first = store.start_generation("cycle", 1).await.unwrap();
        store.activate_generations(&[("cycle".to_owned(), first)]).await.unwrap();
        let puts = vec![put("a/1", "{}"), put("a/2", "{}"), put("a/甲", "{}"), put("b/1", "{}")];
        let applied = store.apply_projections(&[change(first, 0, 5, puts, &[])]).await.unwrap();
        assert_eq!(applied, ApplyOutcome::Applied);
        let stale = change(first, 0, 6, vec![put("c/1", "{}")], &["a/1"]);
        assert_eq!(store.apply_projections(&[stale]).await.unwrap(), ApplyOutcome::CursorMoved);
        let next = change(first, 5, 7, vec![put("a/2", "{\"n\":2}")], &["a/1"]);
        assert_eq!(store.apply_projections(&[next]).await.unwrap(), ApplyOutcome::Applied);
        assert_eq!(keys(&*store, Which::Active, "a/", "", 10).await, ["a/2", "a/甲"]);
        assert_eq!(keys(&*store, Which::Active, "", "a/2", 1).await, ["a/甲"]);
        let wanted = ["a/2".to_owned(), "none".to_owned()];
        let found = store.projection_get("cycle", Which::Active, &wanted).await.unwrap();
        assert_eq!(found, [put("a/2", "{\"n\":2}")]);
        let generations = store.generations("cycle").await.unwrap();
        assert_eq!((generations[0].next_leaf, generations[0].fold_version, generations[0].active), (7, 1, true));
    }

    async fn rows_thought_new_replace_those_that_are_there_and_are_read_back_as_written(place: Place) {
        let store = migrated(&place).await;
        let generation = store.start_generation("cycle", 1).await.unwrap();
        let new = |from, puts| ProjectionChange { likely_new: true, ..change(generation, from, 5, puts, &[]) };
        let odd = "{\"名称\":\"a\\\\b\\tc \\u0001\",\"n\":1}";
        let first = new(0, vec![put("a/1", odd), put("委/\t\\", "[]")]);
        assert_eq!(store.apply_projections(&[first]).await.unwrap(), ApplyOutcome::Applied);
        let again = new(5, vec![put("a/1", "{\"n\":2}"), put("a/2", odd)]);
        assert_eq!(store.apply_projections(&[again]).await.unwrap(), ApplyOutcome::Applied);
        let which = Which::Generation(generation);
        let range = KeyRange { prefix: "", after: "", limit: 10 };
        let rows = store.projection_rows("cycle", which, range).await.unwrap();
        assert_eq!(rows, [put("a/1", "{\"n\":2}"), put("a/2", odd), put("委/\t\\", "[]")]);
        let stale = new(0, vec![put("a/3", "{}")]);
        assert_eq!(store.apply_projections(&[stale]).await.unwrap(), ApplyOutcome::CursorMoved);
        assert_eq!(keys(&*store, which, "a/3", "", 10).await, [""; 0]);
    }

    async fn a_projection_is_rebuilt_while_it_serves(place: Place) {
        let store = migrated(&place).await;
        let old = store.start_generation("cycle", 1).await.unwrap();
        assert!(!store.generations("cycle").await.unwrap()[0].active, "nobody sees what is not built yet");
        store.activate_generations(&[("cycle".to_owned(), old)]).await.unwrap();
        store.apply_projections(&[change(old, 0, 5, vec![put("k", "1")], &[])]).await.unwrap();
        let abandoned = store.start_generation("cycle", 2).await.unwrap();
        let new = store.start_generation("cycle", 2).await.unwrap();
        assert!(new > abandoned);
        store.apply_projections(&[change(new, 0, 5, vec![put("k", "2"), put("l", "2")], &[])]).await.unwrap();
        assert_eq!(keys(&*store, Which::Active, "", "", 10).await, ["k"]);
        assert_eq!(keys(&*store, Which::Generation(new), "", "", 10).await, ["k", "l"]);
        assert_eq!(store.projection_last_key("cycle", new).await.unwrap().as_deref(), Some("l"));
        assert_eq!(store.projection_last_key("cycle", 99).await.unwrap(), None);
        store.activate_generations(&[("cycle".to_owned(), new)]).await.unwrap();
        assert_eq!(keys(&*store, Which::Active, "", "", 10).await, ["k", "l"]);
        assert!(keys(&*store, Which::Generation(old), "", "", 10).await.is_empty());
        assert_eq!(store.generations("cycle").await.unwrap().len(), 1);
        let gone = store.activate_generations(&[("cycle".to_owned(), 99)]).await.unwrap();
        assert_eq!(gone, ApplyOutcome::CursorMoved);
        assert_eq!(store.generations("cycle").await.unwrap().len(), 1);
    }

    async fn a_garbled_row_is_told_and_not_the_end_of_the_scan(place: Place) {
        let store = migrated(&place).await;
        store.commit(&batch(None, (0..3).map(|at| row(at, "log/main", at + 1)).collect())).await.unwrap();
        match place.kind {
            Kind::Sqlite => {
                place
                    .tamper("PRAGMA ignore_check_constraints = 1;
                             UPDATE entry SET leaf_hash = x'00' WHERE leaf_index = 1;
                             UPDATE entry SET body = CAST(x'ff' AS TEXT) WHERE leaf_index = 2;
                             INSERT INTO entry VALUES (-5, 's', 1, zeroblob(16), zeroblob(32), '{}');")
                    .await;
            }
            Kind::Postgres => {
                place
                    .tamper("ALTER TABLE entry DROP CONSTRAINT entry_leaf_hash_check,
                                 DROP CONSTRAINT entry_leaf_index_check;
                             UPDATE entry SET leaf_hash = '\\x00' WHERE leaf_index = 1;
                             UPDATE entry SET body = to_json(repeat('x', 2000000)) WHERE leaf_index = 2;
                             INSERT INTO entry VALUES
                                 (-5, 's', 1, gen_random_uuid(), decode(repeat('00', 32), 'hex'), '{}');")
                    .await;
            }
        }
        let scanned = store.scan(i64::MIN, 10).await.unwrap();
        let columns: Vec<_> = scanned
            .iter()
            .map(|scanned| match scanned {
                Scanned::Row(row) => (i64::try_from(row.leaf_index).ok(), "whole"),
                Scanned::Garbled(row) => (row.leaf_index, row.column),
            })
            .collect();
        let expected = [(-5, "leaf_index"), (0, "whole"), (1, "leaf_hash"), (2, "body")];
        assert_eq!(columns, expected.map(|(at, column)| (Some(at), column)));
    }

    async fn an_unknown_or_edited_schema_is_refused(place: Place) {
        let store = migrated(&place).await;
        place.tamper("UPDATE migration SET checksum = 'x'").await;
        assert!(store.require_current().await.is_err());
        assert!(store.migrate().await.is_err());
        place.tamper("DELETE FROM migration").await;
        assert!(store.require_current().await.unwrap_err().to_string().contains("weituo init"));
    }
}

#[tokio::test]
async fn the_service_role_appends_and_cannot_change_an_entry() {
    let place = Place::new(Kind::Postgres).await;
    let ledger = place.init().await;
    record(&ledger, "agreement/a", 1, None).await;
    ledger.stop().await.unwrap();
    let LedgerUrl::Postgres(url) = &place.url else { panic!("PostgreSQL") };
    let role = format!("service_{}", std::process::id());
    place.tamper(&format!("CREATE ROLE {role} LOGIN")).await;
    let owner = PostgresStore::open(url, StoreOptions::default()).unwrap();
    owner.grant_service(&role).await.unwrap();
    let service_url = url.replace("postgres://postgres@", &format!("postgres://{role}@"));
    let service: LedgerUrl = service_url.parse().unwrap();
    let ledger = weituo::ledger::Ledger::open(&service, place.options()).await.unwrap();
    assert_eq!(ledger.read_only(), None);
    record(&ledger, "agreement/b", 2, None).await;
    ledger.stop().await.unwrap();
    let mut connection = connect(&service_url).await;
    for forbidden in [
        "UPDATE entry SET sequence = 9",
        "DELETE FROM entry",
        "TRUNCATE entry",
        "DELETE FROM head",
        "UPDATE disclosure SET disclosure = ''",
        "DROP VIEW events",
        "UPDATE migration SET checksum = ''",
    ] {
        let error = connection.execute(forbidden).await.unwrap_err();
        assert_eq!(error.as_database_error().unwrap().code().unwrap(), "42501", "{forbidden}");
    }
}

#[tokio::test]
async fn stream_reads_use_the_unique_index() {
    let place = Place::new(Kind::Sqlite).await;
    place.init().await.stop().await.unwrap();
    let LedgerUrl::Sqlite(path) = &place.url else { panic!("SQLite") };
    let connection = rusqlite::Connection::open(path).unwrap();
    let sql = "EXPLAIN QUERY PLAN SELECT aggregate_type, aggregate_id, sequence, event_type, event_version, payload,
               metadata FROM events WHERE aggregate_type = ? AND aggregate_id = ? ORDER BY sequence";
    let mut statement = connection.prepare(sql).unwrap();
    let plan: Vec<String> =
        statement.query_map(["a", "a/b"], |row| row.get(3)).unwrap().map(Result::unwrap).collect();
    assert_eq!(plan.len(), 1, "no sort: {plan:?}");
    assert!(plan[0].contains("entry_stream_sequence"), "{plan:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_has_closed_a_sqlite_ledger_finds_it_in_one_file() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..100 {
        let file = folder.path().join(format!("{round}.db"));
        let url = LedgerUrl::Sqlite(file.clone());
        let store = store::open(&url, StoreOptions::default(), true).await.unwrap();
        store.migrate().await.unwrap();
        store.require_current().await.unwrap();
        store.close().await;
        for ending in ["-wal", "-shm"] {
            assert!(!folder.path().join(format!("{round}.db{ending}")).exists(), "round {round}: {ending}");
        }
    }
}
