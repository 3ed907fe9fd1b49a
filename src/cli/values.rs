//! Values of options that clap has no type for, and why one is none, in both languages.

use std::path::PathBuf;
use std::time::Duration;

use weituo_proof::{Both, Language, both};

use crate::address::is_web_address;
use crate::store::LedgerUrl;

/// Longest interval that can be asked for, in seconds: 366 days.
const LONGEST: u64 = 366 * 86_400;

/// Why a text is no value of its option.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.get(Language::En))]
pub(super) struct NoValue(pub(super) Both);

/// Returns the interval of a text such as `90s`, `30m`, `1h` or `1d`.
pub(super) fn interval(text: &str) -> Result<Duration, NoValue> {
    let wrong = || {
        NoValue(Both::new(
            "应为 1s 至 366d 的时长:一个数加 s、m、h 或 d,如 1h",
            "an interval is a number and s, m, h or d, from 1s to 366d, such as 1h",
        ))
    };
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let total = number.checked_mul(seconds).filter(|total| (1..=LONGEST).contains(total));
    total.map(Duration::from_secs).ok_or_else(wrong)
}

/// Returns the address of a service that is asked over HTTP.
pub(super) fn web_address(text: &str) -> Result<String, NoValue> {
    if is_web_address(text) {
        return Ok(text.to_owned());
    }
    Err(NoValue(both!(
        "{text:?} 不是地址:应为 http://主机[:端口][/路径] 或 https://…",
        "{text:?} is no address: write http://HOST[:PORT][/PATH] or https://…"
    )))
}

/// Returns the path of a backup, which is a ledger on SQLite: given as a path, or as its address.
pub(super) fn backup_file(given: PathBuf) -> Result<PathBuf, NoValue> {
    match given.to_str().filter(|text| text.contains("://")).map(str::parse) {
        None => Ok(given),
        Some(Ok(LedgerUrl::Sqlite(path))) => Ok(path),
        Some(_) => Err(NoValue(Both::new("备份是一个文件:请写其路径", "a backup is a file: write its path"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_a_number_and_a_unit() {
        assert_eq!(interval("1h").unwrap(), Duration::from_hours(1));
        assert_eq!(interval("90s").unwrap(), Duration::from_secs(90));
        let bad = [
            "",
            "1",
            "h",
            "0s",
            "-1h",
            "1.5h",
            "5 m",
            "400d",
            "1时",
            "18446744073709551615d",
            "99999999999999999999s",
        ];
        for bad in bad {
            assert!(interval(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_backup_is_named_by_its_path_or_its_address() {
        for named in ["b/ledger.db", "sqlite://b/ledger.db"] {
            assert_eq!(backup_file(named.into()).unwrap(), PathBuf::from("b/ledger.db"));
        }
        assert!(backup_file("postgres://h/d".into()).is_err());
    }

    #[test]
    fn an_address_without_scheme_or_host_is_refused() {
        for good in ["https://h:8/x", "HTTP://h"] {
            assert_eq!(web_address(good).unwrap(), good);
        }
        for bad in ["foo", "http://", "ftp://h", "https:///x", "http://主机"] {
            assert!(web_address(bad).is_err(), "{bad}");
        }
    }
}
