//! The effective date: when an act took place, as exactly as its paper knows.
//!
//! Invariants: a real date, month or school year within the years 1 to 9999; one spelling each.
//! Absent: a zone (effective dates are compared in the ledger's zone) and a time of day.
//! Source: format.md "Entry", member `effective`.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::calendar::{days_in_month, digits, is_date};
use super::{IdentError, TextVisitor};
use crate::both::Both;

pub(super) const RULE: &Both = &Both::new(
    "发生日期为 YYYY-MM-DD、YYYY-MM 或 SYyyyy,应为 0001 至 9999 年间实有的日期",
    "an effective date is YYYY-MM-DD, YYYY-MM or SYyyyy, a real one of the years 0001 to 9999",
);

/// Length of the longest form, `2020-06-30`.
const DAY_LENGTH: usize = 10;

/// How much of the date is known.
#[derive(Debug, Copy, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Precision {
    /// A date, `2020-06-30`.
    Day,
    /// A month, `2020-09`.
    Month,
    /// A school year, `SY2020`: 1 September 2020 to 31 August 2021.
    SchoolYear,
}

/// When an act took place: a date, a month or a school year. Ordered by earliest day, then by latest.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Effective {
    /// The text, and zeros after a shorter one.
    text: [u8; DAY_LENGTH],
    precision: Precision,
    earliest: (i32, u32, u32),
    latest: (i32, u32, u32),
}

impl Effective {
    /// Returns the checked value of `2020-06-30`, `2020-09` or `SY2020`.
    ///
    /// # Errors
    ///
    /// `IdentError` for another form or a day that the calendar lacks.
    pub fn new(text: impl AsRef<str>) -> Result<Self, IdentError> {
        let given = text.as_ref();
        let Some((precision, earliest, latest)) = Self::range(given.as_bytes()) else {
            return Err(IdentError::new(RULE, given));
        };
        let mut text = [0; DAY_LENGTH];
        text[..given.len()].copy_from_slice(given.as_bytes());
        Ok(Self { text, precision, earliest, latest })
    }

    #[expect(clippy::type_complexity, reason = "used once; naming the pair of days would hide it")]
    fn range(text: &[u8]) -> Option<(Precision, (i32, u32, u32), (i32, u32, u32))> {
        let number = |range: std::ops::Range<usize>| digits(text.get(range)?);
        let year = |range| number(range).and_then(|year| i32::try_from(year).ok());
        match text {
            [b'S', b'Y', _, _, _, _] => {
                // SY9999 would end in the year 10000.
                let year = year(2..6).filter(|year| (1..=9998).contains(year))?;
                Some((Precision::SchoolYear, (year, 9, 1), (year + 1, 8, 31)))
            }
            [_, _, _, _, b'-', _, _] => {
                let (year, month) = (year(0..4)?, number(5..7)?);
                is_date(year, month, 1)
                    .then(|| (Precision::Month, (year, month, 1), (year, month, days_in_month(year, month))))
            }
            [_, _, _, _, b'-', _, _, b'-', _, _] => {
                let date = (year(0..4)?, number(5..7)?, number(8..10)?);
                is_date(date.0, date.1, date.2).then_some((Precision::Day, date, date))
            }
            _ => None,
        }
    }

    /// Returns the text form.
    pub fn as_str(&self) -> &str {
        let length = match self.precision {
            Precision::Day => DAY_LENGTH,
            Precision::Month => "2020-09".len(),
            Precision::SchoolYear => "SY2020".len(),
        };
        std::str::from_utf8(&self.text[..length]).expect("invariant: digits and marks are ASCII")
    }

    /// Returns how much of the date is known.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Returns the first day it can mean, as (year, month 1 to 12, day 1 to 31).
    pub fn earliest(&self) -> (i32, u32, u32) {
        self.earliest
    }

    /// Returns the last day it can mean, as (year, month 1 to 12, day 1 to 31).
    pub fn latest(&self) -> (i32, u32, u32) {
        self.latest
    }
}

impl Ord for Effective {
    fn cmp(&self, other: &Self) -> Ordering {
        // The two days determine the text, so this agrees with equality.
        (self.earliest, self.latest).cmp(&(other.earliest, other.latest))
    }
}

impl PartialOrd for Effective {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl FromStr for Effective {
    type Err = IdentError;

    fn from_str(text: &str) -> Result<Self, IdentError> {
        Self::new(text)
    }
}

impl fmt::Display for Effective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Effective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl AsRef<str> for Effective {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl Serialize for Effective {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Effective {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_string(TextVisitor::new(RULE.en()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_school_year_runs_from_september_to_august() {
        let year = Effective::new("SY2020").unwrap();
        assert_eq!(year.precision(), Precision::SchoolYear);
        assert_eq!((year.earliest(), year.latest()), ((2020, 9, 1), (2021, 8, 31)));
    }

    #[test]
    fn a_month_ends_on_its_last_day() {
        assert_eq!(Effective::new("2020-02").unwrap().latest(), (2020, 2, 29));
        assert_eq!(Effective::new("2021-02").unwrap().latest(), (2021, 2, 28));
    }

    #[test]
    fn only_real_days_in_one_spelling_are_accepted() {
        assert!(Effective::new("2020-02-29").is_ok() && Effective::new("9999-12-31").is_ok());
        for bad in [
            "",
            "2020",
            "2021-02-29",
            "2020-13",
            "2020-00",
            "0000-01-01",
            "SY0000",
            "SY9999",
            "sy2020",
            "SY20200",
            "2020-6-30",
            "2020-06-30T00:00",
            "20-06-2020",
            "+020-06-30",
            "2020/06/30",
            "２020-06",
        ] {
            assert!(Effective::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn order_is_by_day_not_by_text() {
        let mut dates = ["SY2020", "2020-09", "2020-09-01", "2020-08-31"].map(|d| Effective::new(d).unwrap());
        dates.sort();
        assert_eq!(dates.map(|d| d.to_string()), ["2020-08-31", "2020-09-01", "2020-09", "SY2020"]);
    }
}
