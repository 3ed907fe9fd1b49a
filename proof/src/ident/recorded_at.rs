//! The recording instant: when the log took an entry in.
//!
//! Invariants: UTC, whole milliseconds, years 1 to 9999; the text form is 24 characters and unique.
//! Absent: reading a clock (the append path does it and passes milliseconds).
//! Source: format.md "Entry", member `recorded_at`.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::calendar::{date_from_days, days_from_date, digits, is_date};
use super::{IdentError, TextVisitor};
use crate::both::Both;

pub(super) const RULE: &Both = &Both::new(
    "存证时间为 YYYY-MM-DDTHH:MM:SS.mmmZ,应为 0001 至 9999 年间实有的时间",
    "a recording instant is YYYY-MM-DDTHH:MM:SS.mmmZ, a real one of the years 0001 to 9999",
);
const DAY_MILLIS: i64 = 86_400_000;

/// An instant in UTC, in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Copy, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordedAt(i64);

impl RecordedAt {
    /// Returns the instant read from its 24-character text form.
    ///
    /// # Errors
    ///
    /// `IdentError` for another form, a day that the calendar lacks or a leap second.
    pub fn new(text: impl AsRef<str>) -> Result<Self, IdentError> {
        let text = text.as_ref();
        Self::read(text.as_bytes()).ok_or_else(|| IdentError::new(RULE, text))
    }

    fn read(text: &[u8]) -> Option<Self> {
        let text: &[u8; 24] = text.try_into().ok()?;
        let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'.'), (23, b'Z')];
        if marks.iter().any(|&(at, mark)| text[at] != mark) {
            return None;
        }
        let (month, day) = (digits(&text[5..7])?, digits(&text[8..10])?);
        let year = i32::try_from(digits(&text[0..4])?).ok()?;
        let (hours, minutes) = (digits(&text[11..13])?, digits(&text[14..16])?);
        let (seconds, millis) = (digits(&text[17..19])?, digits(&text[20..23])?);
        if !is_date(year, month, day) || hours > 23 || minutes > 59 || seconds > 59 {
            return None;
        }
        let of_day = i64::from(((hours * 60 + minutes) * 60 + seconds) * 1000 + millis);
        Some(Self(days_from_date(year, month, day) * DAY_MILLIS + of_day))
    }

    /// Returns the instant `millis` milliseconds after the epoch, or `None` outside the years 1 to 9999.
    pub fn from_unix_millis(millis: i64) -> Option<Self> {
        date_from_days(millis.div_euclid(DAY_MILLIS)).map(|_| Self(millis))
    }

    /// Returns the milliseconds since 1970-01-01T00:00:00Z, negative before it.
    pub fn unix_millis(self) -> i64 {
        self.0
    }

    /// Returns the UTC date as (year, month 1 to 12, day 1 to 31).
    ///
    /// # Panics
    ///
    /// Never: every instant of this type lies within the years 1 to 9999.
    pub fn date(self) -> (i32, u32, u32) {
        date_from_days(self.0.div_euclid(DAY_MILLIS)).expect("invariant: within the years 1 to 9999")
    }
}

impl fmt::Display for RecordedAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.date();
        let of_day = self.0.rem_euclid(DAY_MILLIS);
        let (seconds, millis) = (of_day / 1000, of_day % 1000);
        let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}.{millis:03}Z")
    }
}

impl fmt::Debug for RecordedAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl RecordedAt {
    /// Appends the text form to `out`.
    pub(crate) fn write(self, out: &mut String) {
        write!(out, "{self}").expect("invariant: writing to a String cannot fail");
    }
}

impl FromStr for RecordedAt {
    type Err = IdentError;

    fn from_str(text: &str) -> Result<Self, IdentError> {
        Self::new(text)
    }
}

impl Serialize for RecordedAt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RecordedAt {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_string(TextVisitor::new(RULE.en()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_milliseconds_agree() {
        let known = [
            ("1970-01-01T00:00:00.000Z", 0),
            ("2020-07-02T01:15:09.120Z", 1_593_652_509_120),
            ("1969-12-31T23:59:59.999Z", -1),
            ("0001-01-01T00:00:00.000Z", -62_135_596_800_000),
            ("9999-12-31T23:59:59.999Z", 253_402_300_799_999),
        ];
        for (text, millis) in known {
            let instant = RecordedAt::new(text).unwrap();
            assert_eq!(instant.unix_millis(), millis);
            assert_eq!(instant.to_string(), text);
            assert_eq!(RecordedAt::from_unix_millis(millis), Some(instant));
        }
        assert_eq!(RecordedAt::from_unix_millis(253_402_300_800_000), None);
        assert_eq!(RecordedAt::from_unix_millis(i64::MIN), None);
    }

    #[test]
    fn other_spellings_of_an_instant_are_refused() {
        for bad in [
            "2020-07-02T01:15:09Z",
            "2020-07-02T01:15:09.12Z",
            "2020-07-02T01:15:09.120+00:00",
            "2020-07-02t01:15:09.120Z",
            "2020-07-02 01:15:09.120Z",
            "2020-07-02T24:00:00.000Z",
            "2020-07-02T23:59:60.000Z",
            "2021-02-29T00:00:00.000Z",
            "0000-01-01T00:00:00.000Z",
            "-001-01-01T00:00:00.000Z",
        ] {
            assert!(RecordedAt::new(bad).is_err(), "{bad:?}");
        }
    }
}
