//! Kept exactly or refused: what a command says against what was read of it.
//!
//! A parser forgives: it takes an array for an object, `2020-9-1` for 2020-09-01, capital hex digits for small ones.
//! An entry that then says it otherwise than the command did is a surprise in an audit, so such a command is refused.
//! Invariant: absent, null and empty say the same, and nothing else does.
//! Source: regions.md, Acts (a record says what its recorder said).

use serde_json::Value;

/// A place where reading would alter what was said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Altered {
    /// The member, such as `payload.term_start`.
    pub(crate) place: String,
    /// What was said, as JSON, at most 80 characters.
    pub(crate) said: String,
    /// What it was read as, as JSON, at most 80 characters.
    pub(crate) read: String,
}

/// Returns the first place under `place` where `read` is not what was `said`.
pub(crate) fn altered(place: &str, said: &Value, read: &Value) -> Option<Altered> {
    match (said, read) {
        (Value::Object(said), Value::Object(read)) => {
            // A replacement is lifted to the newest version of its type, and may then say the same otherwise.
            if said.contains_key("payload")
                && said.get("version").is_some_and(|one| read.get("version") != Some(one))
            {
                return None;
            }
            said.iter().find_map(|(key, said)| {
                let place = if place.is_empty() { key.clone() } else { format!("{place}.{key}") };
                match read.get(key) {
                    Some(read) => altered(&place, said, read),
                    None => (!says_nothing(said)).then(|| difference(&place, said, &Value::Null)),
                }
            })
        }
        (Value::Array(all_said), Value::Array(all_read)) if all_said.len() == all_read.len() => {
            let mut pairs = all_said.iter().zip(all_read).enumerate();
            pairs.find_map(|(at, (said, read))| altered(&format!("{place}.{at}"), said, read))
        }
        _ => (said != read).then(|| difference(place, said, read)),
    }
}

fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(elements) => elements.is_empty(),
        Value::Object(members) => members.values().all(says_nothing),
        _ => false,
    }
}

fn difference(place: &str, said: &Value, read: &Value) -> Altered {
    let short = |value: &Value| value.to_string().chars().take(80).collect();
    Altered { place: place.to_owned(), said: short(said), read: short(read) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn absent_null_and_empty_say_the_same_and_nothing_else_does() {
        let read = json!({ "day": "2020-09-01" });
        for said in [
            json!({ "day": "2020-09-01", "note": null }),
            json!({ "day": "2020-09-01", "paper": { "evidence": [], "by": null } }),
        ] {
            assert_eq!(altered("", &said, &read), None, "{said}");
        }
        for (said, place) in [
            (json!({ "day": "2020-9-1" }), "day"),
            (json!({ "day": "2020-09-01", "note": "" }), "note"),
            (json!({ "day": "2020-09-01", "list": [false] }), "list"),
            (json!(["2020-09-01"]), ""),
        ] {
            assert_eq!(altered("", &said, &read).map(|found| found.place).as_deref(), Some(place), "{said}");
        }
    }
}
