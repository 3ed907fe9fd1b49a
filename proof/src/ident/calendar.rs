//! Proleptic Gregorian calendar arithmetic on years 1 to 9999.
//!
//! Absent: clocks, zones, leap seconds (UTC as POSIX counts it).
//! Source: ISO 8601-1 section 4.2.1; format.md "Entry" for the forms.

/// Days from 0001-01-01 to 1970-01-01.
const EPOCH_DAYS: i64 = 719_162;

/// Returns whether `year` has a 29 February.
fn is_leap(year: i32) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// Returns the number of days in a month, 28 to 31; `month` is 1 to 12.
pub(super) fn days_in_month(year: i32, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u32::from(is_leap(year)),
        _ => 31,
    }
}

/// Returns whether the three numbers are a date of the years 1 to 9999.
pub(super) fn is_date(year: i32, month: u32, day: u32) -> bool {
    (1..=9999).contains(&year) && (1..=12).contains(&month) && (1..=days_in_month(year, month)).contains(&day)
}

/// Returns the days from 0001-01-01 to 1 January of `year`.
fn days_before_year(year: i32) -> i64 {
    let past = i64::from(year) - 1;
    past * 365 + past / 4 - past / 100 + past / 400
}

/// Returns the days from 1970-01-01 to a valid date, negative before it.
pub(super) fn days_from_date(year: i32, month: u32, day: u32) -> i64 {
    let before_month: u32 = (1..month).map(|m| days_in_month(year, m)).sum();
    days_before_year(year) + i64::from(before_month + day) - 1 - EPOCH_DAYS
}

/// Returns the date (year, month, day) that lies `days` after 1970-01-01, or `None` outside the years 1 to 9999.
pub(super) fn date_from_days(days: i64) -> Option<(i32, u32, u32)> {
    let since_year_1 = days.checked_add(EPOCH_DAYS)?;
    if !(0..days_before_year(10_000)).contains(&since_year_1) {
        return None;
    }
    // 146,097 days in 400 years: the estimate is at most one year off, in either direction.
    let mut year = i32::try_from(since_year_1 * 400 / 146_097 + 1).ok()?;
    if days_before_year(year) > since_year_1 {
        year -= 1;
    } else if days_before_year(year + 1) <= since_year_1 {
        year += 1;
    }
    let mut rest = u32::try_from(since_year_1 - days_before_year(year)).ok()?;
    let mut month = 1;
    while rest >= days_in_month(year, month) {
        rest -= days_in_month(year, month);
        month += 1;
    }
    Some((year, month, rest + 1))
}

/// Returns the value of a run of ASCII digits, or `None` when another character occurs.
pub(super) fn digits(text: &[u8]) -> Option<u32> {
    text.iter()
        .try_fold(0_u32, |value, byte| byte.is_ascii_digit().then(|| value * 10 + u32::from(byte - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_ten_thousand_years_converts_both_ways() {
        let mut day = days_from_date(1, 1, 1);
        assert_eq!(day, -EPOCH_DAYS);
        for year in 1..=9999 {
            for month in 1..=12 {
                for d in 1..=days_in_month(year, month) {
                    assert_eq!(days_from_date(year, month, d), day);
                    assert_eq!(date_from_days(day), Some((year, month, d)));
                    day += 1;
                }
            }
        }
        assert_eq!(date_from_days(day), None);
        assert_eq!(date_from_days(-EPOCH_DAYS - 1), None);
        assert_eq!(date_from_days(i64::MAX), None);
        assert_eq!(date_from_days(0), Some((1970, 1, 1)));
    }

    #[test]
    fn leap_days_are_real_every_four_years_but_not_in_1900() {
        assert!(is_date(2020, 2, 29) && is_date(2000, 2, 29));
        assert!(!is_date(2021, 2, 29) && !is_date(1900, 2, 29));
        assert!(!is_date(0, 1, 1) && !is_date(2020, 13, 1) && !is_date(2020, 4, 31) && !is_date(2020, 1, 0));
    }
}
