//! Signing keys in their files: the log's, and those of actors, which have the same form.
//!
//! Invariants: a new key file is readable by its owner only, never overwrites another, and is on the disk before the
//! log exists.
//! Absent: hardware keys; when a key is replaced (`rotate`).
//! Source: C2SP signed-note, "Signing keys"; format.md "Log".

use std::io::ErrorKind;
use std::path::Path;

use weituo_proof::note::KeyError;
use weituo_proof::{Both, SigningKey, VerifierKey, both};

use super::types::LedgerError;
use crate::errors::texts;
use crate::files::create_whole;

/// Makes a key of this name from the system's randomness and writes its file, mode 0600.
pub(crate) fn create(path: &Path, name: &str) -> Result<SigningKey, LedgerError> {
    let key = SigningKey::from_seed(name, random()?).map_err(|error| key_error(path, Both::plain(error)))?;
    create_whole(path, format!("{key}\n").as_bytes(), 0o600)
        .map_err(|error| key_error(path, Both::plain(error)))?;
    Ok(key)
}

/// The keys of a log that are at hand: the first signs and seals; older ones sign along for a while after a rotation, and
/// heads that they sealed are still known.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    first: SigningKey,
    older: Vec<SigningKey>,
}

impl Keys {
    /// Returns the keys with a new first one.
    pub(super) fn behind(&self, first: SigningKey) -> Self {
        Self { first, older: self.all().cloned().collect() }
    }

    /// Returns the key that signs and seals.
    pub(crate) fn first(&self) -> &SigningKey {
        &self.first
    }

    /// Returns every key, the first one first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &SigningKey> {
        std::iter::once(&self.first).chain(&self.older)
    }

    /// Returns the keys that verify what these sign.
    pub(crate) fn verifiers(&self) -> Vec<VerifierKey> {
        self.all().map(|key| key.verifier().clone()).collect()
    }

    /// Drops older keys, such as those that the log has revoked.
    pub(super) fn retain_older(&mut self, keep: impl Fn(&VerifierKey) -> bool) {
        self.older.retain(|key| keep(key.verifier()));
    }

    /// Returns the text of the file that holds them: one key a line.
    pub(super) fn text(&self) -> String {
        self.all().fold(String::new(), |text, key| text + &key.to_string() + "\n")
    }
}

impl From<SigningKey> for Keys {
    fn from(first: SigningKey) -> Self {
        Self { first, older: Vec::new() }
    }
}

/// Reads a file of one key.
pub(crate) fn read(path: &Path) -> Result<SigningKey, LedgerError> {
    let keys = read_all(path)?;
    if keys.older.is_empty() {
        Ok(keys.first)
    } else {
        Err(key_error(path, Both::new("其中有一个台账的几把密钥", "it holds several keys of a log")))
    }
}

/// Reads a log's key file: the key in use and, after a rotation, older ones, one a line.
pub(crate) fn read_all(path: &Path) -> Result<Keys, LedgerError> {
    let unreadable = |error: std::io::Error| {
        let (zh, en) = if error.kind() == ErrorKind::PermissionDenied {
            ("以其所有者的身份运行", "run as its owner")
        } else {
            ("放回原文件", "put the right file back")
        };
        key_error(
            path,
            both!(
                "无法读取({error}):请{zh},或指明另一文件",
                "it cannot be read ({error}): {en}, or name another"
            ),
        )
    };
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    let mut keys = text.trim_end().lines().map(|line| line.trim_end().parse::<SigningKey>());
    let first = keys.next().ok_or_else(|| {
        key_error(path, Both::new("是空的:请放回原文件", "it is empty: put the right file back"))
    })?;
    let unusable = |error: KeyError| {
        let (zh, en) = texts(&error);
        key_error(path, both!("有一行不是可用的签名密钥({zh}):请放回原文件", "{en}: put the right file back"))
    };
    let first = first.map_err(unusable)?;
    let older = keys.collect::<Result<Vec<_>, _>>().map_err(unusable)?;
    match older.iter().find(|key| key.name() != first.name()) {
        Some(other) => {
            let (one, other) = (first.name(), other.name());
            let what = both!(
                "其中有两个台账的密钥:{one} 与 {other}",
                "it holds keys of two logs, {one} and {other}"
            );
            Err(key_error(path, what))
        }
        None => Ok(Keys { first, older }),
    }
}

/// Returns 32 random bytes.
pub(super) fn random() -> Result<[u8; 32], LedgerError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| LedgerError::Invalid {
        what: both!("系统不给出随机数:{error}", "the system has no randomness: {error}"),
    })?;
    Ok(bytes)
}

fn key_error(path: &Path, what: Both) -> LedgerError {
    LedgerError::Key { path: path.display().to_string(), what }
}
