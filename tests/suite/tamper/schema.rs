//! The schema dropped or bent, so that queries miss rows or later edits pass: every object is compared.

use weituo_proof::FindingKind;

use super::bench::{Bench, Expected};
use crate::support::ledger::{Kind, Place, on_both_stores};

/// Lets statements edit the schema itself; SQLite reads what was edited when it is opened again.
const BEND: &str = "PRAGMA writable_schema = ON;";

/// Bends the schema, and asserts that `weituo verify` names the object and how it stands.
async fn bent(place: Place, object: &str, (sqlite, postgres): (&str, &str)) {
    let bench = Bench::new(place).await;
    bench.tamper(if bench.place.kind == Kind::Sqlite { sqlite } else { postgres }).await;
    let report = bench.assert_found(&Expected::new(FindingKind::SchemaDiffers)).await;
    let named = report
        .findings()
        .any(|finding| finding.kind == FindingKind::SchemaDiffers && finding.detail.en().contains(object));
    assert!(named, "{object} is not named: {:#?}", report.verdicts);
}

on_both_stores! {
    async fn a_dropped_index_is_named(place: Place) {
        bent(place, "entry_command", ("DROP INDEX entry_command", "DROP INDEX entry_command")).await;
    }

    async fn an_index_made_partial_is_named(place: Place) {
        let make = "DROP INDEX entry_stream_sequence;
                    CREATE UNIQUE INDEX entry_stream_sequence ON entry (stream, sequence) WHERE leaf_index <> 30";
        bent(place, "entry_stream_sequence", (make, make)).await;
    }

    async fn an_index_without_some_rows_is_named_though_its_definition_is_right(place: Place) {
        let bend = format!(
            "DROP INDEX entry_command; CREATE UNIQUE INDEX entry_command ON entry (command) WHERE leaf_index <> 30; {BEND}
             UPDATE sqlite_schema SET sql = 'CREATE UNIQUE INDEX entry_command ON entry (command)' WHERE name = 'entry_command'"
        );
        let postgres = "SET allow_system_table_mods = on; DROP INDEX entry_command;
                        CREATE UNIQUE INDEX entry_command ON entry (command) WHERE leaf_index <> 30;
                        UPDATE pg_index SET indpred = NULL WHERE indexrelid = 'entry_command'::regclass";
        let object = if place.kind == Kind::Sqlite { "contents" } else { "entry_command" };
        bent(place, object, (&bend, postgres)).await;
    }

    async fn a_head_under_another_name_is_told_once_and_not_as_missing_besides(place: Place) {
        let bench = Bench::new(place).await;
        bench.tamper("ALTER TABLE head RENAME TO h").await;
        let report = bench.assert_found(&Expected::new(FindingKind::SchemaDiffers)).await;
        assert!(
            report.findings().all(|finding| finding.kind == FindingKind::SchemaDiffers),
            "{:#?}",
            report.verdicts
        );
    }

    async fn a_dropped_constraint_is_named(place: Place) {
        let bend = format!(
            "{BEND} UPDATE sqlite_schema SET sql = replace(sql, ' CHECK (leaf_index >= 0)', '') WHERE name = 'entry'"
        );
        bent(place, "entry", (&bend, "ALTER TABLE entry DROP CONSTRAINT entry_leaf_index_check")).await;
    }

    async fn a_column_that_takes_nulls_is_named(place: Place) {
        let bend = format!(
            "{BEND} UPDATE sqlite_schema SET sql = replace(sql, 'TEXT NOT NULL', 'TEXT') WHERE name = 'disclosure'"
        );
        bent(place, "disclosure", (&bend, "ALTER TABLE disclosure ALTER COLUMN disclosure DROP NOT NULL")).await;
    }

    async fn a_trigger_under_a_name_of_the_databases_own_is_named(place: Place) {
        let bend = format!(
            "{BEND} INSERT INTO sqlite_schema VALUES ('trigger', 'sqlite_stat_audit', 'entry', 0,
             'CREATE TRIGGER sqlite_stat_audit BEFORE INSERT ON entry BEGIN SELECT RAISE(IGNORE); END')"
        );
        let trigger = "CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
                       CREATE TRIGGER \"RI_ConstraintTrigger_c_audit\" BEFORE INSERT ON entry FOR EACH ROW EXECUTE FUNCTION swallow();
                       UPDATE pg_trigger SET tgisinternal = true WHERE tgname LIKE 'RI%'";
        bent(place, "audit", (&bend, trigger)).await;
    }

    async fn an_extra_trigger_is_named(place: Place) {
        bent(
            place,
            "swallow",
            (
                "CREATE TRIGGER swallow BEFORE INSERT ON entry BEGIN SELECT RAISE(IGNORE); END",
                "CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
                 CREATE TRIGGER swallow BEFORE INSERT ON entry FOR EACH ROW EXECUTE FUNCTION swallow()",
            ),
        )
        .await;
    }

    async fn a_replaced_view_is_named(place: Place) {
        bent(
            place,
            "events",
            (
                "CREATE TABLE kept AS SELECT * FROM events WHERE sequence < 3; DROP VIEW events;
                 CREATE VIEW events AS SELECT * FROM kept",
                "CREATE TABLE kept AS SELECT * FROM events; CREATE OR REPLACE VIEW events AS SELECT left(stream,
                 strpos(stream, '/') - 1) AS aggregate_type, stream AS aggregate_id, sequence, 'Entry'::text AS event_type,
                 '1'::text AS event_version, body AS payload, NULL::json AS metadata FROM entry WHERE sequence < 3",
            ),
        )
        .await;
    }

    async fn a_view_in_the_place_of_a_table_is_named(place: Place) {
        let put = "ALTER TABLE disclosure RENAME TO hidden; CREATE VIEW disclosure AS SELECT * FROM hidden";
        bent(place, "disclosure", (put, put)).await;
    }

    async fn an_edited_migration_is_named(place: Place) {
        let edit = "UPDATE migration SET checksum = 'another'";
        bent(place, "migrations", (edit, edit)).await;
    }
}

/// What only PostgreSQL has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_security_rules_and_tables_elsewhere_are_named() {
    for (object, sql) in [
        ("relation entry", "ALTER TABLE entry ENABLE ROW LEVEL SECURITY"),
        ("policy entry.partly", "CREATE POLICY partly ON entry USING (leaf_index < 30)"),
        ("rule disclosure.swallow", "CREATE RULE swallow AS ON DELETE TO disclosure DO INSTEAD NOTHING"),
        ("relation head", "ALTER TABLE head SET UNLOGGED"),
        ("relation entry", "CREATE TABLE more () INHERITS (entry)"),
        (
            "trigger entry.swallow",
            "CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
             CREATE TRIGGER swallow BEFORE INSERT ON entry FOR EACH ROW EXECUTE FUNCTION swallow();
             UPDATE pg_trigger SET tgisinternal = true WHERE tgname = 'swallow'",
        ),
        ("function told", "CREATE FUNCTION told(text, name) RETURNS text LANGUAGE sql AS $$ SELECT 'x' $$"),
        (
            "cast json as text",
            "CREATE FUNCTION told(json) RETURNS text LANGUAGE sql AS $$ SELECT 'x' $$;
             CREATE CAST (json AS text) WITH FUNCTION told(json)",
        ),
    ] {
        let bench = Bench::new(Place::new(Kind::Postgres).await).await;
        bench.tamper(sql).await;
        let report = bench.verify().await;
        let named = report.findings().any(|finding| finding.detail.en().starts_with(object));
        assert!(named && !report.verdicts.intact.is_yes(), "{object}: {:#?}", report.verdicts);
    }
}

/// Verification reads what everything else reads, whatever a role or a database says that names mean.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_path_shows_nobody_other_rows_than_are_stored() {
    let bench = Bench::new(Place::new(Kind::Postgres).await).await;
    let stored = bench.head().await;
    bench
        .tamper(
            "CREATE SCHEMA nearer;
             CREATE VIEW nearer.head AS SELECT id, origin, size - 1 AS size, root, seal, recorded_at FROM public.head;
             CREATE VIEW nearer.projection_row AS SELECT projection, generation, key, '{}'::json AS body FROM public.projection_row;
             CREATE FUNCTION nearer.to_regclass(text) RETURNS regclass LANGUAGE sql
                 AS $$ SELECT pg_catalog.to_regclass('public.' || $1) $$;
             DO $$ BEGIN
                 EXECUTE format('ALTER DATABASE %I SET search_path = nearer, pg_catalog, public', current_database());
             END $$",
        )
        .await;
    assert_eq!(bench.head().await, stored);
    let report = bench.verify().await;
    assert_eq!(report.exit_code(), 0, "{:#?}", report.verdicts);
}

/// A role that may only read gets the answer without amcheck, and is told so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_without_amcheck_is_told_that_indexes_were_not_compared() {
    let bench = Bench::new(Place::new(Kind::Postgres).await).await;
    let weituo::store::LedgerUrl::Postgres(url) = bench.place.url.clone() else { unreachable!() };
    let role = url.rsplit_once('/').unwrap().1.to_owned();
    bench
        .tamper(&format!("CREATE ROLE {role} LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"))
        .await;
    let mut reader = bench;
    let owner = reader.place.url.clone();
    reader.place.url = url.replace("postgres@", &format!("{role}@")).parse().unwrap();
    let report = reader.verify().await;
    reader.place.url = owner;
    reader.tamper(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
    assert_eq!(report.exit_code(), 0, "{:#?}", report.verdicts);
    assert!(report.notes.iter().any(|note| note.en().contains("amcheck")), "{:?}", report.notes);
}
