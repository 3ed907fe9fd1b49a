//! Every column of every table edited at random positions: no edit leaves the verdict intact.

use std::time::{Duration, Instant};

use sqlx::{Connection as _, Executor as _, Row as _};
use weituo::store::LedgerUrl;

use super::bench::{Bench, quoted};
use crate::support::ledger::{Kind, Place};

/// A table, its key, and its columns.
type Table = (&'static str, &'static str, &'static [(&'static str, Kinds)]);

/// Tables with their key and their columns, each column with its kind. Of `migration` there is nothing but these two.
const TABLES: [Table; 6] = {
    use Kinds::{Bytes, Flag, Json, Number, Text, Uuid};
    [
        (
            "entry",
            "leaf_index",
            &[
                ("leaf_index", Number),
                ("stream", Text),
                ("sequence", Number),
                ("command", Uuid),
                ("leaf_hash", Bytes),
                ("body", Json),
            ],
        ),
        (
            "head",
            "id",
            &[
                ("id", Number),
                ("origin", Text),
                ("size", Number),
                ("root", Bytes),
                ("seal", Bytes),
                ("recorded_at", Text),
            ],
        ),
        ("disclosure", "digest", &[("digest", Text), ("leaf_index", Number), ("disclosure", Text)]),
        (
            "projection",
            "name, generation",
            &[
                ("name", Text),
                ("generation", Number),
                ("fold_version", Number),
                ("next_leaf", Number),
                ("active", Flag),
            ],
        ),
        (
            "projection_row",
            "projection, generation, key",
            &[("projection", Text), ("generation", Number), ("key", Text), ("body", Json)],
        ),
        ("migration", "version", &[("version", Number), ("checksum", Text)]),
    ]
};

/// Edits of each column on each store: 26 columns.
const EDITS: u32 = 7;
/// No further edit is made after this, once every column was edited.
const ENOUGH: Duration = Duration::from_secs(40);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kinds {
    Number,
    Text,
    Json,
    Bytes,
    Uuid,
    Flag,
}

/// A generator of numbers from a printed seed (`SplitMix64`).
struct Dice(u64);

impl Dice {
    fn new() -> Self {
        let given = std::env::var("WEITUO_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().subsec_nanos();
        Self(given.unwrap_or(u64::from(now)))
    }

    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % sides.max(1) as u64).unwrap()
    }

    /// Returns another value than the one given, both as text.
    fn other(&mut self, kind: Kinds, value: &str) -> String {
        loop {
            let edited = match kind {
                Kinds::Flag => if value.starts_with(['t', '1']) { "0" } else { "1" }.to_owned(),
                Kinds::Number => self.number(value.parse().unwrap()).to_string(),
                Kinds::Text => self.text(value),
                Kinds::Json => self.json(value),
                Kinds::Bytes | Kinds::Uuid => self.hex(value),
            };
            if edited != value {
                return edited;
            }
        }
    }

    fn number(&mut self, number: i64) -> i64 {
        let near = i64::try_from(self.roll(9)).unwrap() - 4;
        [number.saturating_add(near), number ^ (1 << self.roll(40)), 0, i64::MAX, 1][self.roll(5)]
    }

    fn text(&mut self, text: &str) -> String {
        let mut chars: Vec<char> = text.chars().collect();
        if chars.is_empty() {
            return "x".to_owned();
        }
        let at = self.roll(chars.len());
        match self.roll(4) {
            0 if chars.len() > 1 => drop(chars.remove(at)),
            1 => chars.push(' '),
            2 => chars[at] = if chars[at].is_lowercase() { chars[at].to_ascii_uppercase() } else { 'é' },
            _ => chars[at] = if chars[at] == 'x' { 'y' } else { 'x' },
        }
        chars.into_iter().collect()
    }

    /// Edits one letter, or the spelling: the text stays JSON.
    fn json(&mut self, text: &str) -> String {
        let letters = regex_lite::Regex::new("[a-z]+").unwrap();
        let words =
            letters.find_iter(text).filter(|word| !["true", "false", "null"].contains(&word.as_str()));
        let words: Vec<_> = words.filter(|word| !text[..word.start()].ends_with('\\')).collect();
        if words.is_empty() || self.roll(8) == 0 {
            return format!("{text} ");
        }
        let at = words[self.roll(words.len())].start();
        let letter = if text[at..].starts_with('q') { "z" } else { "q" };
        format!("{}{letter}{}", &text[..at], &text[at + 1..])
    }

    fn hex(&mut self, hex: &str) -> String {
        let mut digits = hex.as_bytes().to_vec();
        let at = self.roll(digits.len());
        if digits[at].is_ascii_hexdigit() {
            digits[at] = b"0123456789abcdef"[self.roll(16)];
        }
        String::from_utf8(digits).unwrap()
    }
}

/// Returns a value of a kind as an SQL literal.
fn literal(store: Kind, kind: Kinds, value: &str) -> String {
    match (kind, store) {
        (Kinds::Number, _) | (Kinds::Flag, Kind::Sqlite) => value.to_owned(),
        (Kinds::Flag, Kind::Postgres) => format!("{}::boolean", quoted(value)),
        (Kinds::Text, _) | (Kinds::Json, Kind::Sqlite) => quoted(value),
        (Kinds::Json, Kind::Postgres) => format!("{}::json", quoted(value)),
        (Kinds::Bytes | Kinds::Uuid, Kind::Sqlite) => format!("x{}", quoted(value)),
        (Kinds::Bytes, Kind::Postgres) => format!("decode({}, 'hex')", quoted(value)),
        (Kinds::Uuid, Kind::Postgres) => format!("{}::uuid", quoted(value)),
    }
}

/// Edits every column some times with `edit`, which verifies and undoes; returns how many edits were made.
macro_rules! every_column {
    ($dice:ident, |$table:ident, $key:ident, $column:ident, $kind:ident| $edit:expr) => {{
        let (mut made, started) = (0_u32, Instant::now());
        println!("WEITUO_TEST_SEED={}", $dice.0);
        for round in 0..EDITS {
            for ($table, $key, columns) in TABLES {
                for ($column, $kind) in columns.iter().copied() {
                    if round == 0 || started.elapsed() < ENOUGH {
                        made += u32::from($edit);
                    }
                }
            }
        }
        println!("{made} edits in {:?}", started.elapsed());
        assert!(made >= 25, "only {made} edits were made");
    }};
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_edit_of_any_column_leaves_the_verdict_intact_on_sqlite() {
    let mut bench = Bench::new(Place::new(Kind::Sqlite).await).await;
    let mut dice = Dice::new();
    every_column!(dice, |table, key, column, kind| {
        let edited = edit_sqlite(&bench, &mut dice, (table, key, column, kind));
        if let Some(edit) = &edited {
            let report = bench.verify().await;
            assert!(!report.verdicts.intact.is_yes(), "{edit} leaves the verdict intact: {report:#?}");
        }
        bench.restore().await;
        edited.is_some()
    });
}

/// Makes one edit, and returns it; `None` where no value tried was taken.
fn edit_sqlite(
    bench: &Bench,
    dice: &mut Dice,
    (table, key, column, kind): (&str, &str, &str, Kinds),
) -> Option<String> {
    let path = bench.place.folder.path().join("ledger.db");
    let connection = rusqlite::Connection::open(path).unwrap();
    connection.execute_batch("PRAGMA ignore_check_constraints = ON").unwrap();
    let count: usize =
        connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap();
    let read = if matches!(kind, Kinds::Bytes | Kinds::Uuid) {
        format!("lower(hex({column}))")
    } else {
        format!("CAST({column} AS TEXT)")
    };
    for _ in 0..20 {
        let at = dice.roll(count);
        let keys =
            key.split(", ").map(|key| format!("quote({key})")).collect::<Vec<_>>().join(" || ', ' || ");
        let sql = format!("SELECT {keys}, {read} FROM {table} ORDER BY {key} LIMIT 1 OFFSET {at}");
        let (place, value): (String, String) =
            connection.query_row(&sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        let edited = literal(Kind::Sqlite, kind, &dice.other(kind, &value));
        let sql = format!("UPDATE {table} SET {column} = {edited} WHERE ({key}) = ({place})");
        if connection.execute(&sql, []).is_ok_and(|rows| rows == 1) {
            return Some(sql);
        }
    }
    None
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_edit_of_any_column_leaves_the_verdict_intact_on_postgres() {
    let bench = Bench::new(Place::new(Kind::Postgres).await).await;
    let LedgerUrl::Postgres(url) = &bench.place.url else { unreachable!("a PostgreSQL bench") };
    let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
    let mut dice = Dice::new();
    every_column!(dice, |table, _key, column, kind| {
        let mut edited = None;
        for _ in 0..20 {
            edited = edit_postgres(&mut connection, &mut dice, (table, column, kind)).await;
            if edited.is_some() {
                break;
            }
        }
        if let Some((edit, undo)) = &edited {
            let report = bench.verify().await;
            assert!(!report.verdicts.intact.is_yes(), "{edit} leaves the verdict intact: {report:#?}");
            connection.execute(undo.as_str()).await.unwrap();
        }
        // The head row's id can be no other while its constraint stands; a dropped one is told by the schema.
        edited.is_some()
    });
    assert_eq!(bench.verify().await.exit_code(), 0, "every edit was undone");
}

/// Makes one edit, and returns it with what undoes it; `None` where the database refused.
async fn edit_postgres(
    connection: &mut sqlx::PgConnection,
    dice: &mut Dice,
    (table, column, kind): (&str, &str, Kinds),
) -> Option<(String, String)> {
    let count: i64 = sqlx::query_scalar(&format!("SELECT count(*) FROM {table}"))
        .fetch_one(&mut *connection)
        .await
        .unwrap();
    let at = dice.roll(usize::try_from(count).unwrap());
    let read =
        if kind == Kinds::Bytes { format!("encode({column}, 'hex')") } else { format!("{column}::text") };
    let sql = format!("SELECT ctid::text, {read} FROM {table} ORDER BY ctid LIMIT 1 OFFSET {at}");
    let row = connection.fetch_one(sql.as_str()).await.unwrap();
    let (place, value): (String, String) = (row.get(0), row.get(1));
    let edited = literal(Kind::Postgres, kind, &dice.other(kind, &value));
    let sql = format!("UPDATE {table} SET {column} = {edited} WHERE ctid = '{place}' RETURNING ctid::text");
    let moved: String = connection.fetch_one(sql.as_str()).await.ok()?.get(0);
    let undo = format!(
        "UPDATE {table} SET {column} = {} WHERE ctid = '{moved}'",
        literal(Kind::Postgres, kind, &value)
    );
    Some((sql, undo))
}
