//! The log's signing key in its file.
//!
//! Invariants: a new key file is readable by its owner only, never overwrites another, and is on the disk before the
//! log exists.
//! Absent: hardware keys, rotation (`LogKeyAdded`, `LogKeyRevoked` are acts like others).
//! Source: C2SP signed-note, "Signing keys"; format.md "Keys of the log".

use std::path::Path;

use weituo_proof::{Origin, SigningKey};

use super::types::LedgerError;
use crate::files::create_whole;

/// Makes a key from the system's randomness and writes its file, mode 0600.
pub(super) fn create(path: &Path, origin: &Origin) -> Result<SigningKey, LedgerError> {
    let key = SigningKey::from_seed(origin.as_str(), random()?).map_err(|error| key_error(path, &error))?;
    create_whole(path, format!("{key}\n").as_bytes(), 0o600).map_err(|error| key_error(path, &error))?;
    Ok(key)
}

/// Reads the key.
pub(super) fn read(path: &Path) -> Result<SigningKey, LedgerError> {
    let text = std::fs::read_to_string(path).map_err(|error| key_error(path, &error))?;
    text.trim_end().parse().map_err(|error| key_error(path, &error))
}

/// Returns 32 random bytes.
pub(super) fn random() -> Result<[u8; 32], LedgerError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| LedgerError::Invalid { what: format!("the system has no randomness: {error}") })?;
    Ok(bytes)
}

fn key_error(path: &Path, error: &dyn std::fmt::Display) -> LedgerError {
    LedgerError::Key { path: path.display().to_string(), what: error.to_string() }
}
