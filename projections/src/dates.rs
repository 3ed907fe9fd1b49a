//! Dates: effective dates as ranges of days, months added, school years, working days, the ledger's zone.
//!
//! Invariant: no function panics on any date that an entry can hold.
//! Absent: a clock.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use chrono::{Datelike, Days, Months, NaiveDate, Weekday};
use serde::{Deserialize, Serialize};
use weituo_proof::{Effective, RecordedAt};

/// Returns the first day that an effective date can mean.
pub fn earliest(effective: &Effective) -> NaiveDate {
    day(effective.earliest())
}

/// Returns the last day that an effective date can mean.
pub fn latest(effective: &Effective) -> NaiveDate {
    day(effective.latest())
}

/// Returns the effective date that means exactly this day.
pub fn on_day(date: NaiveDate) -> Effective {
    Effective::new(date.format("%Y-%m-%d").to_string()).unwrap_or_else(|_| {
        Effective::new("9999-12-31").expect("invariant: 9999-12-31 is a date of the years 1 to 9999")
    })
}

fn day((year, month, day): (i32, u32, u32)) -> NaiveDate {
    NaiveDate::from_ymd_opt(year, month, day).unwrap_or(NaiveDate::MAX)
}

/// Returns the day on which an entry was recorded, in a zone that is `zone_minutes` ahead of UTC.
pub fn recorded_on(recorded_at: RecordedAt, zone_minutes: i32) -> NaiveDate {
    let millis = recorded_at.unix_millis().saturating_add(i64::from(zone_minutes) * 60_000);
    RecordedAt::from_unix_millis(millis)
        .map_or_else(|| day(recorded_at.date()), |shifted| day(shifted.date()))
}

/// Returns the minutes that a zone such as `+08:00` is ahead of UTC; a zone has this one spelling.
pub fn zone_minutes(zone: &str) -> Option<i32> {
    let (&sign, [h1, h2, b':', m1, m2]) = zone.as_bytes().split_first()? else { return None };
    let digit = |byte: &u8| byte.is_ascii_digit().then(|| i32::from(*byte - b'0'));
    let (hours, minutes) = (digit(h1)? * 10 + digit(h2)?, digit(m1)? * 10 + digit(m2)?);
    let ahead = (hours <= 14 && minutes < 60).then_some(hours * 60 + minutes)?;
    match sign {
        b'+' => Some(ahead),
        b'-' => Some(-ahead),
        _ => None,
    }
}

/// Returns `date` moved by whole months, clamped to the month's last day.
pub fn add_months(date: NaiveDate, months: i32) -> NaiveDate {
    let moved = if months < 0 {
        date.checked_sub_months(Months::new(months.unsigned_abs()))
    } else {
        date.checked_add_months(Months::new(months.unsigned_abs()))
    };
    moved.unwrap_or(date)
}

/// Returns `date` moved by days.
pub fn add_days(date: NaiveDate, days: i32) -> NaiveDate {
    let distance = Days::new(u64::from(days.unsigned_abs()));
    let moved = if days < 0 { date.checked_sub_days(distance) } else { date.checked_add_days(distance) };
    moved.unwrap_or(date)
}

/// Returns the last day of a term of `months` months that begins on `start`.
pub fn term_end(start: NaiveDate, months: u32) -> NaiveDate {
    add_days(add_months(start, i32::try_from(months).unwrap_or(i32::MAX)), -1)
}

/// A day of the year, `MM-DD`, that every year has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MonthDay {
    month: u32,
    day: u32,
}

impl MonthDay {
    /// Returns the first such day on or after `date`.
    pub fn on_or_after(self, date: NaiveDate) -> NaiveDate {
        let in_year = |year| NaiveDate::from_ymd_opt(year, self.month, self.day).unwrap_or(date);
        let this_year = in_year(date.year());
        if this_year < date { in_year(date.year().saturating_add(1)) } else { this_year }
    }
}

impl FromStr for MonthDay {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // 2001 is no leap year, so 02-29 is refused.
        let date = NaiveDate::parse_from_str(&format!("2001-{text}"), "%Y-%m-%d");
        match date {
            Ok(date) if text.len() == 5 => Ok(Self { month: date.month(), day: date.day() }),
            _ => Err(format!("{text:?} is not a day that every year has, MM-DD such as 09-01")),
        }
    }
}

impl TryFrom<String> for MonthDay {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<MonthDay> for String {
    fn from(day: MonthDay) -> Self {
        day.to_string()
    }
}

impl fmt::Display for MonthDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}-{:02}", self.month, self.day)
    }
}

/// Which days are worked: Monday to Friday, unless a list says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calendar {
    /// Days off besides the weekends.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub holidays: BTreeSet<NaiveDate>,
    /// Days at weekends that are worked (调休).
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub workdays: BTreeSet<NaiveDate>,
}

impl Calendar {
    /// Returns true when `date` is worked.
    pub fn is_working_day(&self, date: NaiveDate) -> bool {
        let weekend = matches!(date.weekday(), Weekday::Sat | Weekday::Sun);
        self.workdays.contains(&date) || (!weekend && !self.holidays.contains(&date))
    }

    /// Returns how many working days lie after `from` up to and with `to`; 0 when `to` is not later.
    ///
    /// Whole weeks are counted by arithmetic, so that a span of centuries costs no more than one of days.
    pub fn working_days_between(&self, from: NaiveDate, to: NaiveDate) -> u32 {
        if to <= from {
            return 0;
        }
        let days = (to - from).num_days();
        let rest = i32::try_from(days % 7).unwrap_or(0);
        let first_of_rest = add_days(to, -rest);
        let weekend = |date: &NaiveDate| matches!(date.weekday(), Weekday::Sat | Weekday::Sun);
        let rest_worked = (1..=rest).filter(|&ahead| !weekend(&add_days(first_of_rest, ahead))).count();
        let inside = |date: &&NaiveDate| **date > from && **date <= to;
        let added = self.workdays.iter().filter(inside).filter(|date| weekend(date)).count();
        let off = self.holidays.iter().filter(inside);
        let taken = off.filter(|date| !weekend(date) && !self.workdays.contains(date)).count();
        let worked = days / 7 * 5
            + [rest_worked, added].iter().map(|&n| i64::try_from(n).unwrap_or(0)).sum::<i64>()
            - i64::try_from(taken).unwrap_or(0);
        u32::try_from(worked).unwrap_or(0)
    }

    /// Returns the day that lies `count` working days after `from`.
    pub fn add_working_days(&self, from: NaiveDate, count: u32) -> NaiveDate {
        let mut date = from;
        for _ in 0..count {
            loop {
                let Some(next) = date.succ_opt() else { return date };
                date = next;
                if self.is_working_day(date) {
                    break;
                }
            }
        }
        date
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn working_days_skip_weekends_and_follow_the_local_lists() {
        let plain = Calendar::default();
        // 2026-11-20 is a Friday.
        assert_eq!(plain.working_days_between(date("2026-11-20"), date("2026-11-23")), 1);
        assert_eq!(plain.add_working_days(date("2026-11-20"), 1), date("2026-11-23"));
        let local = Calendar { holidays: [date("2026-11-23")].into(), workdays: [date("2026-11-21")].into() };
        assert_eq!(local.working_days_between(date("2026-11-20"), date("2026-11-23")), 1);
        assert_eq!(local.add_working_days(date("2026-11-20"), 2), date("2026-11-24"));
    }

    #[test]
    fn counting_by_weeks_agrees_with_counting_day_by_day() {
        let calendar = Calendar {
            holidays: [date("2026-10-01"), date("2026-10-02"), date("2026-10-03")].into(),
            workdays: [date("2026-10-10"), date("2026-10-12")].into(),
        };
        let from = date("2026-09-15");
        for days in 0..60 {
            let to = add_days(from, days);
            let one_by_one =
                (1..=days).filter(|&ahead| calendar.is_working_day(add_days(from, ahead))).count();
            assert_eq!(calendar.working_days_between(from, to) as usize, one_by_one, "{to}");
        }
    }

    #[test]
    fn a_term_of_36_months_ends_the_day_before_the_third_anniversary() {
        assert_eq!(term_end(date("2022-09-01"), 36), date("2025-08-31"));
        assert_eq!(term_end(date("2024-02-29"), 12), date("2025-02-27"));
        assert_eq!(term_end(NaiveDate::MAX, u32::MAX), NaiveDate::MAX.pred_opt().unwrap());
    }

    #[test]
    fn an_evening_in_utc_is_the_next_day_in_the_ledgers_zone() {
        let at = RecordedAt::new("2020-07-02T16:00:00.000Z").unwrap();
        assert_eq!(recorded_on(at, zone_minutes("+08:00").unwrap()), date("2020-07-03"));
        assert_eq!(recorded_on(at, zone_minutes("-00:30").unwrap()), date("2020-07-02"));
    }

    #[test]
    fn a_zone_is_an_offset_from_utc_in_one_spelling() {
        assert_eq!(zone_minutes("+08:00"), Some(480));
        assert_eq!(zone_minutes("-03:30"), Some(-210));
        for bad in [
            "", "Z", "Asia", "08:00", "+8:00", "+08:60", "+15:00", "+0800", "é8:00", "++8:+0", "+-1:00",
            "+08:00 ",
        ] {
            assert_eq!(zone_minutes(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_day_of_the_year_is_found_from_any_date() {
        let day: MonthDay = "09-30".parse().unwrap();
        assert_eq!(day.on_or_after(date("2022-09-01")), date("2022-09-30"));
        assert_eq!(day.on_or_after(date("2022-10-01")), date("2023-09-30"));
        assert!("02-29".parse::<MonthDay>().is_err() && "9-1".parse::<MonthDay>().is_err());
    }
}
