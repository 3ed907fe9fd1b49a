//! What a corrected record should have said: a whole event inside a correction's payload.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

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
        let newest = wire.r#type.parse::<crate::EventType>().map_err(serde::de::Error::custom)?.version();
        Event::parse(&wire.r#type, wire.version.unwrap_or(newest), wire.payload.get())
            .map(|event| Self(Box::new(event)))
            .map_err(serde::de::Error::custom)
    }
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
