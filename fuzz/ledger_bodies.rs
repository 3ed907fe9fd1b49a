//! What the fuzz targets of the ledger assert: command lines, rulebooks, stored rows.
//!
//! As `bodies.rs`, a plain module, so that cargo-fuzz (nightly) and the test `tests/suite/corpus.rs` (stable) run the
//! same code; each function returns whether the input was accepted. How to run them stands in `bodies.rs`.
//! Source: style.md, "cargo fuzz targets for every parser that reads hostile input".
#![allow(dead_code, reason = "each fuzz target uses one of these")]

#[path = "desk.rs"]
mod desk;
#[path = "mem_store.rs"]
mod mem_store;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use chrono::NaiveDate;
use serde_json::Value;
use weituo::follower::{Follower, recorded};
use weituo::store::{DisclosureRow, EntryRow, Head, Scanned};
use weituo::verify::{VerifyOptions, verify};
use weituo_events::payload::RulebookAdopted;
use weituo_events::{Act, Category, Command, Event, Recorded, Refusal, Seal, Sealed};
use weituo_projections::{
    Claims, CycleView, Rulebook, Rulebooks, StreamState, irregularities, obligations, rows,
};
use weituo_proof::{Entry, EntryError, Frontier, Hash, LeafIndex, RecordedAt, StreamName, leaf_hash, sha256};

use desk::{CYCLE, Desk, RULEBOOK, SMALL_RULEBOOK, origin};
use mem_store::{MemStore, Tables, edit, number};

/// Longest key that PostgreSQL's index takes, whatever it holds.
const MAX_KEY_BYTES: usize = 2_600;

/// Days that states are looked at on.
const DAYS: [&str; 4] = ["0001-01-01", "2022-10-01", "2026-11-20", "9999-12-31"];

fn days() -> impl Iterator<Item = NaiveDate> {
    DAYS.iter().map(|day| day.parse().expect("a date"))
}

fn assert_speaks(refusal: &Refusal) {
    for text in [&refusal.reason.zh, &refusal.reason.en] {
        assert!(!text.trim().is_empty(), "{refusal:?}");
    }
}

/// Command lines: what is accepted is kept exactly, and every reader of its entry reads the same.
pub(crate) fn command_line(data: &[u8]) -> bool {
    static DESK: OnceLock<Desk> = OnceLock::new();
    let Ok(line) = std::str::from_utf8(data) else { return false };
    let command = match Command::parse(line) {
        Ok(command) => command,
        Err(refusal) => {
            assert_speaks(&refusal);
            return false;
        }
    };
    assert!(line.trim_start().starts_with('{'), "a command is an object");
    match command.act(None) {
        Ok(act) => assert_kept(&command, &act),
        Err(refusal) => {
            assert_speaks(&refusal);
            return false;
        }
    }
    let desk = DESK.get_or_init(|| Desk::open(RULEBOOK, 20));
    let decided = match desk.decide(&command) {
        Ok(decided) => decided,
        Err(refusal) => {
            assert_speaks(&refusal);
            return false;
        }
    };
    let mut act = decided.act;
    act.event
        .each_sealed(&mut |sealed| assert!(matches!(sealed, Sealed::Shut(_)), "a sealed value is left open"));
    let body = match decided.entry {
        Ok(body) => body,
        Err(EntryError::TooLarge { .. } | EntryError::NotCanonical(_) | EntryError::Rule { .. }) => {
            return false;
        }
        Err(error) => panic!("a decided act makes no entry: {error}"),
    };
    let leaf = desk.rows.len() as u64;
    let sequence = Entry::parse(body.as_bytes()).expect("what was written can be read").sequence;
    let row = EntryRow {
        leaf_index: leaf,
        stream: act.stream.to_string(),
        sequence,
        command: act.command.to_bytes(),
        leaf_hash: leaf_hash(body.as_bytes()),
        body: Arc::from(body.as_str()),
    };
    let read = assert_readers_agree(&row).expect("an entry of ours is understood");
    assert_eq!(*read.act, act);
    let mut state = decided.state;
    let mut rulebooks = desk.rulebooks.clone();
    rulebooks.apply(&read);
    state.apply(&read, &rulebooks);
    let mut claims = desk.claims.clone();
    claims.apply(&act, sequence);
    assert_state(&act.stream, &state, &rulebooks);
    true
}

/// Nothing that a command says is lost or altered in its event.
fn assert_kept(command: &Command, act: &Act) {
    let given: Value = serde_json::from_str(command.payload.get()).expect("an accepted payload is JSON");
    let kept = act.event.payload_json();
    let value: Value = serde_json::from_str(&kept).expect("a payload is JSON");
    assert!(keeps(&given, &value), "given {given}, kept {value}");
    let event_type = act.event.event_type();
    let again =
        Event::parse(event_type.name(), event_type.version(), &kept).expect("a written payload is read");
    assert_eq!(again, act.event);
    assert_eq!(again.payload_json(), kept);
}

/// Absent, null and empty say the same; a replacement may be lifted to its type's newest version.
fn keeps(given: &Value, kept: &Value) -> bool {
    let empty = |value: &Value| match value {
        Value::Null => true,
        Value::Array(elements) => elements.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    };
    match (given, kept) {
        (Value::Object(given), Value::Object(kept)) => {
            let lifted = given.contains_key("payload") && given.get("version") != kept.get("version");
            lifted
                || given.iter().all(|(key, value)| match kept.get(key) {
                    Some(kept) => keeps(value, kept),
                    None => empty(value) || value.as_object().is_some_and(|paper| paper.values().all(empty)),
                })
        }
        (Value::Array(given), Value::Array(kept)) => {
            given.len() == kept.len() && given.iter().zip(kept).all(|(given, kept)| keeps(given, kept))
        }
        (given, kept) => given == kept,
    }
}

/// The three readers of an entry: the strict one, cqrs-es's and the writer's header.
fn assert_readers_agree(row: &EntryRow) -> Option<Recorded> {
    let header = weituo::ledger::header(&row.body);
    let read = recorded(row).ok();
    let Ok(entry) = Entry::parse(row.body.as_bytes()) else {
        assert!(read.is_none(), "what is no entry is followed");
        return None;
    };
    let header = header.expect("the writer reads every entry");
    assert_eq!(header.command, entry.command);
    assert_eq!(header.parties, entry.parties);
    assert_eq!(header.recorded_at, entry.recorded_at);
    assert_eq!((header.sequence, &*header.stream), (entry.sequence, entry.stream.as_str()));
    assert_eq!(header.event_type.as_ref(), entry.event_type);
    let value: Value = serde_json::from_str(&row.body).expect("an entry is JSON");
    let by_value =
        Entry::parse(value.to_string().as_bytes()).expect("cqrs-es's payload, written, is the entry");
    assert_eq!(by_value.draft(), entry.draft());
    let read = read?;
    assert_eq!(Act::from_entry(&by_value).ok().as_ref(), Some(&*read.act));
    Some(read)
}

/// A state gives rows with keys of their own that every store takes, and reads back from its row.
fn assert_state(stream: &StreamName, state: &StreamState, rulebooks: &Rulebooks) {
    let mut keys = BTreeSet::new();
    for row in rows(stream, state, rulebooks) {
        assert!(row.key.len() <= MAX_KEY_BYTES, "{} {} has {} bytes", row.projection, row.key, row.key.len());
        assert!(!row.key.contains('\0') && !row.body.contains('\0'), "a row holds NUL");
        if let Some(again) = StreamState::from_row(row.projection, &row.body) {
            assert_eq!(&again, state, "a state read back is another");
        } else {
            assert!(!["cycle", "organisation", "rulebook"].contains(&row.projection), "{}", row.body);
        }
        assert!(keys.insert((row.projection, row.key)), "two rows have one key");
    }
    if let StreamState::Agreement(cycle) = state {
        let rulebook = cycle.rulebook(rulebooks);
        let calendar = rulebook.map(Rulebook::working_calendar).unwrap_or_default();
        for day in days() {
            let view = CycleView::of(cycle, rulebook, &calendar, rulebooks.zone_minutes(), day);
            serde_json::to_string(&view).expect("a view is JSON");
        }
    }
}

/// Rulebooks: what is accepted reads back, and every fold and rule of it ends.
pub(crate) fn rulebook(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let rulebook = match Rulebook::parse(text) {
        Ok(rulebook) => rulebook,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return false;
        }
    };
    let value = serde_json::to_value(&rulebook).expect("a rulebook has only string keys");
    assert_eq!(serde_json::from_value::<Rulebook>(value).ok().as_ref(), Some(&rulebook));
    let mut rulebooks = Rulebooks::default();
    let mut claims = Claims::default();
    let mut states = BTreeMap::new();
    for (leaf, act) in [adoption(text)].iter().chain(cycle()).enumerate() {
        let one = Recorded {
            leaf_hash: leaf_hash(&[u8::try_from(leaf).expect("few acts")]),
            leaf_index: LeafIndex::new(leaf as u64),
            recorded_at: RecordedAt::new("2026-11-20T01:00:00.000Z").expect("an instant"),
            sequence: leaf as u64 + 1,
            act: Arc::new(act.clone()),
        };
        let category = Category::of(&act.stream).expect("a stream of ours");
        let state = states.entry(act.stream.clone()).or_insert_with(|| StreamState::new(category));
        rulebooks.apply(&one);
        if let Err(refusal) = claims.check(act) {
            assert_speaks(&refusal);
        }
        claims.apply(act, one.sequence);
        state.apply(&one, &rulebooks);
    }
    for (stream, state) in &states {
        assert_state(stream, state, &rulebooks);
        if let StreamState::Agreement(cycle) = state {
            for spell in obligations::over_time(cycle, &rulebook, &rulebook.working_calendar()) {
                let _ = days().map(|day| spell.obligation.status(day)).max();
            }
            irregularities::lasting(cycle, Some(&rulebook));
        }
    }
    true
}

fn adoption(text: &str) -> Act {
    let mut act = cycle()[0].clone();
    act.stream = "rulebook/wenzhou-entrustment-2018".parse().expect("a stream");
    act.event = Event::RulebookAdopted(RulebookAdopted {
        digest: None,
        paper: weituo_events::payload::Paper::default(),
        text: text.to_owned(),
        version: 1,
    });
    act
}

/// The sample cycle, as any rulebook may have to judge it.
fn cycle() -> &'static [Act] {
    static ACTS: OnceLock<Vec<Act>> = OnceLock::new();
    ACTS.get_or_init(|| {
        let act = |line| {
            let command = Command::parse(line).expect("a sample is a command");
            let mut act = command.act(Some(Hash::ZERO)).expect("a sample is an act");
            command.seal(&mut act, || [7; 16]).expect("a sample can be sealed");
            act
        };
        CYCLE.lines().map(act).collect()
    })
}

/// Stored rows: the first byte names a column, the second a row, the rest is what stands there. An edit is noticed.
pub(crate) fn stored_row(data: &[u8]) -> bool {
    static TABLES: OnceLock<Tables> = OnceLock::new();
    let tables = TABLES.get_or_init(tables);
    let [column, place, value @ ..] = data else { return false };
    let mut edited = tables.clone();
    if !put(&mut edited, *column, usize::from(*place), value) {
        return false;
    }
    for scanned in &edited.entries {
        if let Scanned::Row(row) = scanned
            && !tables.entries.contains(scanned)
        {
            assert_readers_agree(row);
        }
    }
    let same = edited == *tables;
    let store = MemStore::new(edited);
    let runtime = runtime();
    let report = runtime.block_on(verify(&store, &options(), |_| ()));
    assert_eq!(report.exit_code() == 0, same, "{report:?}");
    // Folding goes on from whatever stands in the rows, and from nothing.
    if column.is_ascii_uppercase() || b"bsqchilkr".contains(column) {
        follow(&runtime, store);
    }
    same
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime")
}

fn follow(runtime: &tokio::runtime::Runtime, store: MemStore) {
    let mut empty = store.tables().clone();
    (empty.generations, empty.rows) = (BTreeMap::new(), BTreeMap::new());
    for store in [store, MemStore::new(empty)] {
        // Either answer will do: what cannot be read is an error, never a panic.
        let _ = runtime.block_on(Follower::new(Arc::new(store)).catch_up(|_| ()));
    }
}

/// Gives a column another value; returns false where there is no such column or row.
fn put(tables: &mut Tables, column: u8, place: usize, value: &[u8]) -> bool {
    let text = || String::from_utf8(value.to_vec()).ok();
    let entry_column = match column {
        b'b' | b'B' => "body",
        b's' => "stream",
        b'q' => "sequence",
        b'c' => "command",
        b'h' => "leaf_hash",
        b'i' => "leaf_index",
        _ => return put_beside(tables, column, place, value, text()).is_some(),
    };
    let count = tables.entries.len();
    let Some(Scanned::Row(row)) = tables.entries.get(place % count) else { return false };
    let mut edited = edit(row, entry_column, value);
    if let (b'B', Scanned::Row(row)) = (column, &mut edited) {
        row.leaf_hash = leaf_hash(row.body.as_bytes());
    }
    tables.entries[place % count] = edited;
    true
}

/// The same for what stands beside the log: disclosures, projections, the head row.
fn put_beside(
    tables: &mut Tables,
    column: u8,
    place: usize,
    value: &[u8],
    text: Option<String>,
) -> Option<()> {
    let place_in = |count: usize| (count > 0).then(|| place % count);
    match column {
        b'd' | b't' | b'l' => {
            let at = place_in(tables.disclosures.len())?;
            let row = &mut tables.disclosures[at];
            match column {
                b'd' => row.digest = text?,
                b't' => row.disclosure = text?,
                _ => row.leaf_index = u64::try_from(number(value)).ok()?,
            }
        }
        b'k' | b'r' => {
            let all = place_in(tables.rows.values().map(BTreeMap::len).sum())?;
            let rows = tables.rows.values_mut();
            let mut seen = 0;
            for rows in rows {
                if all < seen + rows.len() {
                    let (key, body) = rows.iter().nth(all - seen).map(|(k, b)| (k.clone(), b.clone()))?;
                    let text = text?;
                    rows.remove(&key);
                    rows.insert(
                        if column == b'k' { text.clone() } else { key },
                        if column == b'k' { body } else { text },
                    );
                    break;
                }
                seen += rows.len();
            }
        }
        // All cursors together: verification waits a while for one that stands apart.
        b'g' => {
            let next_leaf = u64::try_from(number(value)).ok()?;
            tables.generations.values_mut().flatten().for_each(|one| one.next_leaf = next_leaf);
        }
        b'f' => {
            let at = place_in(tables.generations.len())?;
            tables.generations.values_mut().nth(at)?.first_mut()?.fold_version = number(value);
        }
        b'o' => tables.head.origin = text?,
        b'a' => tables.head.recorded_at = text?,
        b'z' => tables.head.size = u64::try_from(number(value)).ok()?,
        b'R' => tables.head.root = Hash(value.try_into().ok()?),
        b'S' => tables.head.seal = value.try_into().ok()?,
        _ => return None,
    }
    Some(())
}

fn options() -> VerifyOptions<'static> {
    VerifyOptions { seal: Some(&seal), ..VerifyOptions::default() }
}

/// Stands for the seal of the log's key.
fn seal(head: &Head) -> [u8; 32] {
    let Head { origin, size, root, recorded_at, .. } = head;
    sha256(&[format!("{origin}\n{size}\n{root}\n{recorded_at}").as_bytes()]).0
}

/// The tables of a small ledger, projections and all, which verify without a finding.
pub(crate) fn tables() -> Tables {
    let desk = Desk::open(SMALL_RULEBOOK, 6);
    let mut tree = Frontier::new();
    desk.rows.iter().for_each(|row| tree.append(row.leaf_hash));
    let last =
        desk.rows.last().and_then(|row| Entry::parse(row.body.as_bytes()).ok()).expect("there are entries");
    let mut head = Head {
        origin: origin().to_string(),
        size: desk.rows.len() as u64,
        root: tree.root(),
        seal: [0; 32],
        recorded_at: last.recorded_at.to_string(),
    };
    head.seal = seal(&head);
    let disclosure = |(leaf_index, disclosure): &(u64, String)| DisclosureRow {
        digest: weituo_proof::Disclosure::decode(disclosure).expect("a disclosure of ours").digest(),
        leaf_index: *leaf_index,
        disclosure: disclosure.clone(),
    };
    let store = Arc::new(MemStore::new(Tables {
        head,
        entries: desk.rows.iter().cloned().map(Scanned::Row).collect(),
        disclosures: desk.disclosures.iter().map(disclosure).collect(),
        generations: BTreeMap::new(),
        rows: BTreeMap::new(),
    }));
    let runtime = runtime();
    let follower = Follower::new(Arc::<MemStore>::clone(&store));
    runtime.block_on(follower.catch_up(|_| ())).expect("the log folds");
    let report = runtime.block_on(verify(&*store, &options(), |_| ()));
    assert_eq!(report.exit_code(), 0, "{report:?}");
    store.tables().clone()
}
