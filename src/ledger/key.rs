//! Signing keys in their files: the log's, and those of actors, which have the same form.
//!
//! Invariants: a new key file is readable by its owner only, never overwrites another, and is on the disk before the
//! log exists.
//! Absent: hardware keys, rotation (`LogKeyAdded`, `LogKeyRevoked` are acts like others).
//! Source: C2SP signed-note, "Signing keys"; format.md "Keys of the log".

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use weituo_proof::SigningKey;

use super::types::LedgerError;

/// Makes a key of this name from the system's randomness and writes its file, mode 0600.
pub(crate) fn create(path: &Path, name: &str) -> Result<SigningKey, LedgerError> {
    let key = SigningKey::from_seed(name, random()?).map_err(|error| key_error(path, &error))?;
    create_whole(path, format!("{key}\n").as_bytes(), 0o600).map_err(|error| key_error(path, &error))?;
    Ok(key)
}

/// Creates a file whole and durable or not at all: a full disk or a crash leaves nothing under its name.
/// Refuses to replace another.
pub(super) fn create_whole(path: &Path, bytes: &[u8], mode: u32) -> std::io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let new = path.with_file_name(name);
    let written = || -> std::io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        // Unlike renaming, this fails where there is a file of that name.
        std::fs::hard_link(&new, path)
    };
    let outcome = written();
    if new.exists()
        && let Err(error) = std::fs::remove_file(&new)
    {
        tracing::warn!(file = %new.display(), %error, "cannot be removed");
    }
    outcome?;
    sync_folder(path)
}

/// Reads the key.
pub(crate) fn read(path: &Path) -> Result<SigningKey, LedgerError> {
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

/// Makes a new name in a folder durable.
pub(super) fn sync_folder(path: &Path) -> std::io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

fn key_error(path: &Path, error: &dyn std::fmt::Display) -> LedgerError {
    LedgerError::Key { path: path.display().to_string(), what: error.to_string() }
}
