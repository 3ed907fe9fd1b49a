//! Whether a repeated command says the same as the entry that its id already made.
//!
//! Sealing draws fresh salts, so two entries of one command differ in their digests. What is compared is what they
//! disclose; an erased value cannot be compared and counts as equal, because its absence is recorded. What the ledger
//! fills in itself may be absent from the repeated command.

use std::collections::HashMap;

use serde_json::Value;
use weituo_proof::{Disclosure, Draft, Entry};

/// Members that a command may leave out because deciding fills them in.
const FILLED_IN: [&str; 3] = ["digest", "leaf", "term_months"];

/// Returns true when `stored` and `repeated` say the same, sealed values opened by their disclosures.
pub fn same_content(
    stored: &Entry,
    stored_disclosures: &[String],
    repeated: &Draft,
    disclosures: &[String],
) -> bool {
    let header = stored.as_found == repeated.as_found
        && stored.effective == repeated.effective
        && stored.stream == repeated.stream
        && stored.event_type == repeated.event_type
        && stored.actor.organisation == repeated.actor.organisation
        && stored.actor.role == repeated.actor.role
        && stored.actor.key == repeated.actor.key
        && (repeated.seen.is_none() || stored.seen == repeated.seen);
    if !header || stored.actor.person.is_some() != repeated.actor.person.is_some() {
        return false;
    }
    let (known, new) = (by_digest(stored_disclosures), by_digest(disclosures));
    let person = |actor: &weituo_proof::Actor| serde_json::to_value(&actor.person).unwrap_or(Value::Null);
    let payload = |text: &str| serde_json::from_str::<Value>(text).unwrap_or(Value::Null);
    equal(&person(&stored.actor), &known, &person(&repeated.actor), &new)
        && equal(&payload(&stored.payload), &known, &payload(&repeated.payload), &new)
}

fn by_digest(disclosures: &[String]) -> HashMap<String, Disclosure> {
    disclosures
        .iter()
        .filter_map(|text| Disclosure::decode(text).ok())
        .map(|disclosure| (disclosure.digest(), disclosure))
        .collect()
}

fn digest(value: &Value) -> Option<&str> {
    value.as_object().filter(|object| object.len() == 1)?.get("_sd")?.get(0)?.as_str()
}

fn equal(
    a: &Value,
    in_a: &HashMap<String, Disclosure>,
    b: &Value,
    in_b: &HashMap<String, Disclosure>,
) -> bool {
    match (digest(a), digest(b)) {
        (Some(one), Some(other)) => match (in_a.get(one), in_b.get(other)) {
            (Some(one), Some(other)) => one.name() == other.name() && one.value() == other.value(),
            _ => true,
        },
        (None, None) => match (a, b) {
            (Value::Object(x), Value::Object(y)) => {
                let known = x.iter().all(|(key, value)| match y.get(key) {
                    Some(other) => equal(value, in_a, other, in_b),
                    None => FILLED_IN.contains(&key.as_str()),
                });
                known && y.keys().all(|key| x.contains_key(key))
            }
            (Value::Array(x), Value::Array(y)) => {
                x.len() == y.len() && x.iter().zip(y).all(|(one, other)| equal(one, in_a, other, in_b))
            }
            _ => a == b,
        },
        _ => false,
    }
}
