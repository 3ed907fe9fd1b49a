//! `serde_json_canonicalizer` 0.4: what it writes of values in the subset is what `canonical::check` accepts.

use proptest::prelude::*;
use serde_json::{Map, Value};
use weituo_proof::canonical::{MAX_DEPTH, MAX_INTEGER, check, write_value};

fn integer() -> impl Strategy<Value = i64> {
    let largest = i64::try_from(MAX_INTEGER).unwrap();
    prop_oneof![-largest..=largest, -3..=3_i64, Just(largest), Just(-largest)]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        ".{0,12}",
        prop::collection::vec(prop::char::range('\u{1}', '\u{2fff}'), 0..12).prop_map(String::from_iter),
        "[\u{1}-\u{1f}\"\\\\/\u{7f}]{0,8}",
    ]
    .prop_map(|text| text.replace('\0', ""))
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        integer().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 6, |inner| {
        let key = prop_oneof!["[a-z][a-z0-9_]{0,5}", Just("_sd".to_owned())];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((key, inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn canonicalised(value: &Value) -> String {
    serde_json_canonicalizer::to_string(value).unwrap()
}

/// Whether a value that a general parser read keeps to the subset, by walking it.
fn in_subset(value: &Value, depth: usize) -> bool {
    match value {
        Value::Null | Value::Bool(_) => true,
        Value::Number(number) => number.as_i64().is_some_and(|n| n.unsigned_abs() <= MAX_INTEGER),
        Value::String(text) => !text.contains('\0'),
        Value::Array(elements) => depth < MAX_DEPTH && elements.iter().all(|v| in_subset(v, depth + 1)),
        Value::Object(members) => {
            let key = |key: &str| {
                let mut bytes = key.bytes();
                key == "_sd"
                    || (bytes.next().is_some_and(|b| b.is_ascii_lowercase())
                        && bytes.all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_')))
            };
            depth < MAX_DEPTH && members.iter().all(|(k, v)| key(k) && in_subset(v, depth + 1))
        }
    }
}

/// The definition: bytes are canonical when the canonicaliser gives them back and the value keeps to the subset.
fn canonical_by_definition(bytes: &[u8]) -> bool {
    serde_json::from_slice::<Value>(bytes)
        .is_ok_and(|value| in_subset(&value, 0) && canonicalised(&value).as_bytes() == bytes)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn canonical_values_are_accepted_and_written_alike(value in value()) {
        let text = canonicalised(&value);
        prop_assert_eq!(check(text.as_bytes()), Ok(text.as_str()));
        let mut written = String::new();
        write_value(&mut written, &value).unwrap();
        prop_assert_eq!(&written, &text);
        prop_assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }

    #[test]
    fn altered_texts_are_accepted_exactly_when_still_canonical(
        value in value(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..4, any::<prop::sample::Index>()), 1..4),
    ) {
        const TEMPTING: &[u8] = b" \n\t\"\\/{}[],:.eE+-0123456789abtfnru_sdAZ\x00\x1f\x7f\xc3\xa9\xed";
        let mut bytes = canonicalised(&value).into_bytes();
        for (at, how, which) in changes {
            let byte = TEMPTING[which.index(TEMPTING.len())];
            let at = at.index(bytes.len() + 1);
            match how {
                0 => bytes.insert(at, byte),
                1 if at < bytes.len() => bytes[at] = byte,
                2 if at < bytes.len() => drop(bytes.remove(at)),
                _ if at + 1 < bytes.len() => bytes.swap(at, at + 1),
                _ => {}
            }
        }
        prop_assert_eq!(check(&bytes).is_ok(), canonical_by_definition(&bytes), "{}", String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn pretty_printed_values_are_refused_unless_they_are_canonical(value in value()) {
        let pretty = serde_json::to_string_pretty(&value).unwrap();
        prop_assert_eq!(check(pretty.as_bytes()).is_ok(), pretty == canonicalised(&value));
    }
}
