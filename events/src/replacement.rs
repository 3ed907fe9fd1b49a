//! What a corrected record should have said: a whole event inside a correction's payload.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use weituo_proof::canonical::MAX_DEPTH;

use crate::{Event, Seal, Sealed};

/// A whole event inside a payload: `{"payload":{…},"type":"…","version":1}`, of the newest version when written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replacement(pub Box<Event>);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    payload: Box<serde_json::value::RawValue>,
    r#type: String,
    version: Option<u32>,
}

impl Serialize for Replacement {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let event_type = self.0.event_type();
        let payload = serde_json::value::RawValue::from_string(self.0.payload_json())
            .map_err(serde::ser::Error::custom)?;
        Wire { payload, r#type: event_type.name().to_owned(), version: Some(event_type.version()) }
            .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Replacement {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wire = Wire::deserialize(deserializer)?;
        // A payload can hold another replacement, and each is read anew: unbounded, that ends at the stack's end.
        if depth(wire.payload.get()) > MAX_DEPTH {
            return Err(serde::de::Error::custom(format!("nested deeper than {MAX_DEPTH}")));
        }
        let newest = wire.r#type.parse::<crate::EventType>().map_err(serde::de::Error::custom)?.version();
        Event::parse(&wire.r#type, wire.version.unwrap_or(newest), wire.payload.get())
            .map(|event| Self(Box::new(event)))
            .map_err(serde::de::Error::custom)
    }
}

/// Returns how many objects and arrays of a JSON text are open at once at most.
fn depth(json: &str) -> usize {
    let (mut open, mut deepest) = (0_usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                open += 1;
                deepest = deepest.max(open);
            }
            b'}' | b']' if !in_string => open = open.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

impl JsonSchema for Replacement {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Replacement".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "What the record should have said, whole: the payload of the record's own type.",
            "type": "object",
            "properties": {
                "payload": { "type": "object" },
                "type": { "type": "string" },
                "version": { "type": "integer", "minimum": 1 }
            },
            "required": ["payload", "type"],
            "additionalProperties": false
        })
    }
}

impl Seal for Replacement {
    fn each_sealed(&mut self, visit: &mut dyn FnMut(&mut Sealed)) {
        self.0.each_sealed(visit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_counts_what_is_open_at_once_and_nothing_in_strings() {
        for (json, expected) in
            [("1", 0), ("{}", 1), (r#"{"a":[{}],"b":[]}"#, 3), (r#"["[[\"[[",[]]"#, 2), (r#"["\\",[[]]]"#, 3)]
        {
            assert_eq!(depth(json), expected, "{json}");
        }
    }

    #[test]
    fn replacements_within_replacements_are_refused_before_the_stack_ends() {
        let mut payload = r#"{"corrects":{"sequence":1}}"#.to_owned();
        for _ in 0..5_000 {
            payload = format!(
                r#"{{"corrects":{{"sequence":1}},"replacement":{{"payload":{payload},"type":"RecordCorrected"}}}}"#
            );
        }
        let refused = Event::parse("RecordCorrected", 1, &payload).unwrap_err();
        assert!(refused.to_string().contains("nested deeper than 16"), "{refused}");
    }
}
