//! Reading older versions: each upcaster turns one version's payload into the next one's, without loss.
//!
//! Entries are never rewritten: the stored bytes keep their version, and only what is read is lifted.

use serde_json::Value;

use crate::payload::{FundsBudgeted, FundsBudgetedV1};
use crate::{Event, EventError, EventType};

/// Every older version that can still be read.
pub const OLD_VERSIONS: &[(EventType, u32)] = &[(EventType::FundsBudgeted, 1)];

impl Event {
    /// Returns the event that an entry's type, version and payload say, lifted to the newest version.
    ///
    /// # Errors
    /// When type or version is unknown, or the payload does not have its shape.
    pub fn parse(event_type: &str, version: u32, payload: &str) -> Result<Self, EventError> {
        let unknown = || EventError::Unknown { event_type: event_type.to_owned(), version };
        let known: EventType = event_type.parse().map_err(|_| unknown())?;
        let parsed = if version == known.version() {
            Self::parse_newest(known, payload)
        } else {
            match (known, version) {
                (EventType::FundsBudgeted, 1) => {
                    serde_json::from_str(payload).and_then(funds_budgeted_from_v1)
                }
                _ => return Err(unknown()),
            }
        };
        parsed.map_err(|error| EventError::Payload { event_type: known, version, reason: error.to_string() })
    }

    /// The same for a payload that is already a JSON value.
    ///
    /// # Errors
    /// As [`Event::parse`].
    pub fn parse_value(event_type: &str, version: u32, payload: &Value) -> Result<Self, EventError> {
        Self::parse(event_type, version, &payload.to_string())
    }
}

/// Version 1 counted whole yuan and named no purpose; 1 yuan is 100 fen.
fn funds_budgeted_from_v1(old: FundsBudgetedV1) -> Result<Event, serde_json::Error> {
    let amount_fen = old
        .amount_yuan
        .checked_mul(100)
        .ok_or_else(|| serde::de::Error::custom("amount_yuan is too large to be counted in fen"))?;
    Ok(Event::FundsBudgeted(FundsBudgeted {
        amount_fen,
        fiscal_year: old.fiscal_year,
        paper: old.paper,
        purpose: None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_of_version_1_is_read_in_fen() {
        let event =
            Event::parse("FundsBudgeted", 1, r#"{"amount_yuan":1500000,"fiscal_year":2019}"#).unwrap();
        let Event::FundsBudgeted(budget) = event else { panic!("wrong type") };
        assert_eq!(budget.amount_fen, 150_000_000);
        assert_eq!(budget.fiscal_year, 2019);
    }

    #[test]
    fn a_version_that_never_was_is_refused() {
        let payload = r#"{"amount_yuan":1,"fiscal_year":2019}"#;
        assert!(matches!(
            Event::parse("FundsBudgeted", 3, payload),
            Err(EventError::Unknown { version: 3, .. })
        ));
        assert!(matches!(Event::parse("NoSuchThing", 1, payload), Err(EventError::Unknown { .. })));
        assert!(matches!(Event::parse("FundsBudgeted", 2, payload), Err(EventError::Payload { .. })));
    }

    #[test]
    fn an_amount_of_version_1_that_overflows_is_refused() {
        let payload = format!(r#"{{"amount_yuan":{},"fiscal_year":2019}}"#, i64::MAX);
        assert!(matches!(Event::parse("FundsBudgeted", 1, &payload), Err(EventError::Payload { .. })));
    }
}
