//! The address of a ledger: `sqlite://PATH` or `postgres://…`.
//!
//! Absent: connecting; passwords from files (the driver reads `PGPASSFILE`).
//! Source: README "Five minutes to the first verified answer".

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Where a ledger's database is.
#[derive(Clone, PartialEq, Eq)]
pub enum LedgerUrl {
    /// A file of SQLite.
    Sqlite(PathBuf),
    /// A PostgreSQL connection URL.
    Postgres(String),
}

/// Refusal of an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is no ledger: write sqlite://PATH or postgres://USER@HOST/DATABASE")]
pub struct LedgerUrlError {
    given: String,
}

impl LedgerUrlError {
    /// Returns what was given, without a password.
    pub fn given(&self) -> &str {
        &self.given
    }
}

impl LedgerUrl {
    /// Returns the folder of a SQLite ledger, where its key and anchor lie unless told otherwise.
    pub fn folder(&self) -> Option<&Path> {
        match self {
            Self::Sqlite(path) => Some(match path.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => parent,
                _ => Path::new("."),
            }),
            Self::Postgres(_) => None,
        }
    }
}

impl FromStr for LedgerUrl {
    type Err = LedgerUrlError;

    fn from_str(text: &str) -> Result<Self, LedgerUrlError> {
        let path = text.strip_prefix("sqlite://").filter(|path| !path.is_empty() && !path.contains('\0'));
        match path {
            Some(path) => Ok(Self::Sqlite(PathBuf::from(path))),
            None if text.starts_with("postgres://") || text.starts_with("postgresql://") => {
                Ok(Self::Postgres(text.to_owned()))
            }
            None => Err(LedgerUrlError { given: without_password(text).chars().take(200).collect() }),
        }
    }
}

/// Returns an address without password and parameters; of what is none, only what comes before a sign that one may have.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return match url.split_once([':', '@', '=']) {
            Some((before, _)) => format!("{before}…"),
            None => url.to_owned(),
        };
    };
    let first = |text: &str, ends: &[char]| text.split(ends).next().unwrap_or_default().to_owned();
    let rest = if rest.contains("password=") { first(rest, &['?']) } else { rest.to_owned() };
    let (user, place) = rest.rsplit_once('@').unwrap_or(("", &rest));
    let (user, place) = (first(user, &[':', '/', '?']), first(place, &['?']));
    let at = if user.is_empty() { "" } else { "@" };
    format!("{scheme}://{user}{at}{place}")
}

/// Shows the address without its password.
impl fmt::Display for LedgerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite://{}", path.display()),
            Self::Postgres(url) => f.write_str(&without_password(url)),
        }
    }
}

impl fmt::Debug for LedgerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_its_store_and_folder() {
        let url: LedgerUrl = "sqlite://weituo-data/ledger.db".parse().unwrap();
        assert_eq!(url.folder(), Some(Path::new("weituo-data")));
        assert_eq!(url.to_string(), "sqlite://weituo-data/ledger.db");
        let here: LedgerUrl = "sqlite://ledger.db".parse().unwrap();
        assert_eq!(here.folder(), Some(Path::new(".")));
        assert!("postgres://localhost/weituo".parse::<LedgerUrl>().unwrap().folder().is_none());
    }

    #[test]
    fn a_wrong_address_says_what_would_be_right() {
        for bad in ["", "ledger.db", "sqlite://", "mysql://localhost/x"] {
            let message = bad.parse::<LedgerUrl>().unwrap_err().to_string();
            assert!(message.contains("sqlite://PATH"), "{message}");
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        for (url, expected) in [
            ("postgres://u:secret@h:5/d", "postgres://u@h:5/d"),
            ("postgres://h/d?password=secret", "postgres://h/d"),
            ("postgres://h:5/d?password=se@cret", "postgres://h:5/d"),
            ("postgresql://u:se@cret@h/d", "postgresql://u@h/d"),
            ("postgres://u:se/cret@h/d", "postgres://u@h/d"),
            ("postgres://u:se?cret@h/d?a=b", "postgres://u@h/d"),
        ] {
            assert_eq!(url.parse::<LedgerUrl>().unwrap().to_string(), expected);
        }
        for (text, expected) in [
            ("postgress://u:secret@h/d", "postgress://u@h/d"),
            ("u:secret@h/d", "u…"),
            ("postgres:u:secret@h/d", "postgres…"),
            ("host=h password=secret", "host…"),
            ("ledger.db", "ledger.db"),
        ] {
            assert_eq!(text.parse::<LedgerUrl>().unwrap_err().given(), expected);
        }
    }
}
