//! The vocabulary is frozen: bytes, leaf hashes and schemas of every type and version.
//!
//! `WEITUO_WRITE_FIXTURES=1 cargo test -p weituo-events` writes fixtures and schemas that are missing. A fixture that
//! stands is never rewritten.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use weituo_events::{Act, Event, EventType, OLD_VERSIONS, command_schema};
use weituo_proof::{Draft, Entry, Hash, Position, leaf_hash};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn writing() -> bool {
    std::env::var_os("WEITUO_WRITE_FIXTURES").is_some()
}

/// Every type and version with an example payload in which every member stands.
fn examples() -> BTreeMap<(String, u32), Value> {
    let text = fs::read_to_string(folder("tests/examples.json")).unwrap();
    let table: BTreeMap<String, Value> = serde_json::from_str(&text).unwrap();
    table
        .into_iter()
        .map(|(key, payload)| {
            let (name, version) = key.split_once(".v").unwrap();
            ((name.to_owned(), version.parse().unwrap()), payload)
        })
        .collect()
}

/// The entry that stands as the fixture of one type and version.
fn fixture_entry(name: &str, version: u32, payload: &Value) -> String {
    let event_type: EventType = name.parse().unwrap();
    let category = event_type.category().code();
    let draft: Draft = Draft {
        actor: serde_json::from_value(json!({
            "organisation": "bureau-x",
            "person": { "_sd": ["8Fz2nL0mI1vU9sQy3kXW5cR7bT4aPjEoGhDdCfBeAgM"] },
            "role": event_type.recorders()[0].code(),
        }))
        .unwrap(),
        as_found: version == 1,
        command: "0b2ff3c1-8a4e-4c55-9a1d-0242ac120002".parse().unwrap(),
        effective: "2020-06-30".parse().unwrap(),
        ledger: "ledger.example/fixtures".parse().unwrap(),
        parties: vec!["organisation/school-a".parse().unwrap(), "organisation/trustee-b".parse().unwrap()],
        payload: payload.to_string(),
        seen: Some(leaf_hash(b"seen")),
        signature: None,
        stream: format!("{category}/fixture").parse().unwrap(),
        event_type: name.into(),
        version,
    };
    let position = Position {
        prev: leaf_hash(b"prev"),
        recorded_at: "2020-07-02T01:15:09.120Z".parse().unwrap(),
        sequence: 4,
    };
    draft.entry(&position).unwrap()
}

#[test]
fn every_type_and_version_has_an_example_and_no_example_is_unknown() {
    let mut expected: Vec<(String, u32)> =
        EventType::ALL.iter().map(|t| (t.name().to_owned(), t.version())).collect();
    expected.extend(OLD_VERSIONS.iter().map(|(t, version)| (t.name().to_owned(), *version)));
    expected.sort();
    assert_eq!(examples().into_keys().collect::<Vec<_>>(), expected);
}

#[test]
fn every_fixture_keeps_its_bytes_and_its_leaf_hash() {
    let hashes_path = folder("fixtures/leaf-hashes.txt");
    let mut hashes: BTreeMap<String, String> = fs::read_to_string(&hashes_path)
        .unwrap_or_default()
        .lines()
        .map(|line| line.split_once(' ').map(|(name, hash)| (name.to_owned(), hash.to_owned())).unwrap())
        .collect();
    for ((name, version), payload) in examples() {
        let key = format!("{name}.v{version}");
        let path = folder("fixtures").join(format!("{key}.json"));
        let made = fixture_entry(&name, version, &payload);
        if writing() && !path.exists() {
            fs::write(&path, &made).unwrap();
            hashes.insert(key.clone(), leaf_hash(made.as_bytes()).to_string());
        }
        let stands = fs::read_to_string(&path).unwrap_or_else(|_| panic!("{key} has no fixture"));
        assert_eq!(made, stands, "the bytes of {key} changed");
        assert_eq!(
            Some(&leaf_hash(stands.as_bytes()).to_string()),
            hashes.get(&key),
            "the leaf hash of {key}"
        );
    }
    if writing() {
        let lines: Vec<String> = hashes.iter().map(|(name, hash)| format!("{name} {hash}")).collect();
        fs::write(hashes_path, lines.join("\n") + "\n").unwrap();
    }
    assert_eq!(hashes.len(), examples().len(), "a leaf hash without an example");
}

#[test]
fn every_fixture_is_canonical_and_reads_back_as_its_type() {
    for ((name, version), _) in examples() {
        let bytes = fs::read(folder("fixtures").join(format!("{name}.v{version}.json"))).unwrap();
        let entry = Entry::parse(&bytes).unwrap_or_else(|error| panic!("{name}.v{version}: {error}"));
        let value: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(serde_json_canonicalizer::to_vec(&value).unwrap(), bytes, "{name}.v{version}");
        let act = Act::from_entry(&entry).unwrap_or_else(|error| panic!("{name}.v{version}: {error}"));
        assert_eq!(act.event.event_type().name(), name);
        if version == act.event.event_type().version() {
            let position =
                Position { prev: entry.prev, recorded_at: entry.recorded_at, sequence: entry.sequence };
            assert_eq!(act.draft(&entry.ledger).entry(&position).unwrap().as_bytes(), bytes);
        }
    }
}

#[test]
fn an_older_version_reads_as_the_newest_event() {
    for (event_type, version) in OLD_VERSIONS {
        let bytes = fs::read(folder("fixtures").join(format!("{event_type}.v{version}.json"))).unwrap();
        let act = Act::from_entry(&Entry::parse(&bytes).unwrap()).unwrap();
        let lifted = act.event.payload_json();
        assert_eq!(Event::parse(event_type.name(), event_type.version(), &lifted).unwrap(), act.event);
    }
}

#[test]
fn every_command_has_the_schema_that_stands_in_the_folder() {
    let mut expected = Vec::new();
    for event_type in EventType::ALL {
        expected.push((event_type.name(), event_type.version(), event_type.schema()));
    }
    expected.push(("FundsBudgeted", 1, schemars::schema_for!(weituo_events::payload::FundsBudgetedV1)));
    for (name, version, schema) in &expected {
        let path = folder("schema").join(format!("{name}.v{version}.json"));
        let made = serde_json::to_string_pretty(schema).unwrap() + "\n";
        if writing() {
            fs::write(&path, &made).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap_or_default(), made, "{}", path.display());
    }
    assert_eq!(fs::read_dir(folder("schema")).unwrap().count(), expected.len());
    for event_type in EventType::ALL {
        let schema = command_schema(*event_type);
        assert_eq!(schema.get("title"), Some(&json!(event_type.command())));
    }
}

#[test]
fn a_payload_with_an_unknown_member_is_refused_for_every_type() {
    for ((name, version), mut payload) in examples() {
        payload["zzz_unknown"] = json!(1);
        assert!(Event::parse(&name, version, &payload.to_string()).is_err(), "{name}.v{version}");
    }
}

#[test]
fn command_names_and_event_names_are_unique() {
    for (i, one) in EventType::ALL.iter().enumerate() {
        for other in &EventType::ALL[i + 1..] {
            assert_ne!(one.name(), other.name());
            assert_ne!(one.command(), other.command());
        }
        assert_eq!(EventType::from_command(one.command()).unwrap(), *one);
        assert_eq!(one.name().parse::<EventType>().unwrap(), *one);
    }
}

#[test]
fn the_hash_of_a_fixture_is_the_rfc_6962_leaf_hash() {
    let bytes = fs::read(folder("fixtures/CycleClosed.v1.json")).unwrap();
    let mut prefixed = vec![0_u8];
    prefixed.extend(&bytes);
    let by_hand: Hash = weituo_proof::sha256(&[&prefixed]);
    assert_eq!(leaf_hash(&bytes), by_hand);
}
