//! Files that are there whole or not at all.
//!
//! Invariants: what these functions wrote is on the disk when they return; a crash or a full disk leaves the old file or
//! none, never a part of the new one.
//! Absent: what is in the files.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Creates a file whole and durable or not at all: a full disk or a crash leaves nothing under its name.
/// Refuses to replace another.
pub(crate) fn create_whole(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let new = beside(path);
    let written = || -> io::Result<()> {
        write_synced(&new, mode, |file| file.write_all(bytes))?;
        // Unlike renaming, this fails where there is a file of that name.
        std::fs::hard_link(&new, path)
    };
    let outcome = written();
    remove_leftover(&new);
    outcome?;
    sync_folder(path)
}

/// Puts a file whole and durable in the place of another, or leaves that as it is. One caller at a time.
pub(crate) fn replace_whole(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    replace_with(path, mode, |file| file.write_all(bytes))
}

/// The same of a file that is written bit by bit.
pub(crate) fn replace_with(
    path: &Path,
    mode: u32,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    let new = beside(path);
    let outcome = write_synced(&new, mode, write).and_then(|()| std::fs::rename(&new, path));
    if outcome.is_err() {
        remove_leftover(&new);
    }
    outcome?;
    sync_folder(path)
}

/// Creates a file to write and read in the folder of another, which is gone once it is closed.
pub(crate) fn unnamed_beside(path: &Path) -> io::Result<File> {
    let new = beside(path);
    let file = fresh(&new, 0o600)?;
    std::fs::remove_file(&new)?;
    Ok(file)
}

/// Creates a file under a name of this process's own. What a killed one left there may be linked under another name by now, so it
/// is removed and never written to.
fn fresh(new: &Path, mode: u32) -> io::Result<File> {
    if new.symlink_metadata().is_ok() {
        std::fs::remove_file(new)?;
    }
    OpenOptions::new().read(true).write(true).create_new(true).mode(mode).open(new)
}

/// Removes what processes that were killed left of this file. Only where nobody else writes it meanwhile.
pub(crate) fn remove_unfinished(path: &Path) -> io::Result<()> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
    let begins = format!("{}.", name.to_string_lossy());
    for entry in std::fs::read_dir(if folder.as_os_str().is_empty() { Path::new(".") } else { folder })? {
        let entry = entry?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(&begins)?.strip_suffix(".new"));
        if number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit())) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Makes a new name in a folder durable.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

/// Returns the name under which this process writes a file before it gets its own.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    path.with_file_name(name)
}

fn write_synced(
    path: &Path,
    mode: u32,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    let mut file = BufWriter::new(fresh(path, mode)?);
    write(&mut file)?;
    file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}

fn remove_leftover(path: &Path) {
    if path.exists()
        && let Err(error) = std::fs::remove_file(path)
    {
        tracing::warn!(file = %path.display(), %error, "cannot be removed");
    }
}
