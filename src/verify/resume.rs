//! What a verification has established, kept in a folder so that one that was interrupted goes on from there.
//!
//! Invariants: only what was right is kept: from the first finding or doubt on nothing is saved, so whatever reads on
//! finds it again; a file is replaced whole or not at all. The folder is trusted as the verifier's own memory is: it
//! belongs with whoever verifies, never with the ledger.
//! Absent: what is kept (the parts' own types).
//! Source: design.md "Scale" (audit over 10^8 entries is resumable).

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::files::{remove_unfinished, replace_with};

/// Names the form of the files; another form is started over.
const MAGIC: &[u8] = b"weituo verify state 4\n";

/// Longest text in a state, in bytes: no part of an entry is longer. The room is used again for each text that is read.
const LONGEST_TEXT: usize = 1 << 16;

/// Saving may take this part of the time, at most.
const SHARE: u32 = 20;

/// A folder that holds the state of one verification.
#[derive(Debug, Clone)]
pub struct Resume {
    folder: PathBuf,
    every: Duration,
}

impl Resume {
    /// Returns the state in a folder, made if it is not there, saved at most once in `every`.
    ///
    /// # Errors
    ///
    /// From the file system.
    pub fn new(folder: &Path, every: Duration) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        Ok(Self { folder: folder.to_owned(), every })
    }

    /// Returns what was saved of a part, to be read; `None` where nothing was, or nothing in this program's form.
    pub(super) fn load(&self, part: &str) -> Option<Saved> {
        open(&self.folder.join(part), MAGIC)
    }

    /// Removes what was saved: the verification has come to its end.
    pub(super) fn clear(&self) {
        for part in [LOG, PROJECTIONS] {
            match std::fs::remove_file(self.folder.join(part)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(%error, folder = %self.folder.display(), "the state cannot be removed");
                }
                _ => {}
            }
        }
    }
}

/// What was saved, from behind the name of its form on.
pub(super) type Saved = BufReader<File>;

/// Opens a state that begins with its form's name; `None` where there is none of this form.
pub(super) fn open(path: &Path, form: &[u8]) -> Option<Saved> {
    let mut file = BufReader::new(File::open(path).ok()?);
    let mut begins = vec![0; form.len()];
    file.read_exact(&mut begins).ok().filter(|()| begins == form)?;
    Some(file)
}

/// Reads the next value, bit by bit; `None` where there is another.
pub(super) fn get<T: DeserializeOwned>(saved: &mut Saved) -> Option<T> {
    match postcard::from_io((saved, &mut vec![0; LONGEST_TEXT])) {
        Ok((value, _)) => Some(value),
        Err(error) => {
            tracing::warn!(%error, "the state saved cannot be read: starting over");
            None
        }
    }
}

/// Writes a value, bit by bit.
pub(super) fn put(file: &mut impl io::Write, value: &impl Serialize) -> io::Result<()> {
    let mut file = Noting { inner: file, refused: None };
    postcard::to_io(value, &mut file)
        .map(drop)
        .map_err(|error| file.refused.take().unwrap_or_else(|| io::Error::other(error)))
}

/// Writes a state into a file: it is there whole, or what was there before is.
pub(super) fn write(
    path: &Path,
    form: &[u8],
    values: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    remove_unfinished(path)?;
    replace_with(path, 0o644, |file| file.write_all(form).and_then(|()| values(file)))
}

/// A writer that keeps why it failed, which postcard does not tell.
struct Noting<W> {
    inner: W,
    refused: Option<io::Error>,
}

impl<W: io::Write> io::Write for Noting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.inner.write(bytes).map_err(|error| {
            let kind = error.kind();
            self.refused = Some(error);
            kind.into()
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// The part that the reading of the log saves.
pub(super) const LOG: &str = "log";
/// The part that the comparison of the projections saves.
pub(super) const PROJECTIONS: &str = "projections";

/// Saves one part from time to time.
#[derive(Debug)]
pub(super) struct Saver<'a> {
    resume: Option<&'a Resume>,
    part: &'static str,
    saved: Instant,
    pause: Duration,
}

impl<'a> Saver<'a> {
    pub(super) fn new(resume: Option<&'a Resume>, part: &'static str) -> Self {
        let pause = resume.map_or(Duration::MAX, |resume| resume.every);
        Self { resume, part, saved: Instant::now(), pause }
    }

    /// Saves where it is time to. A state that cannot be saved is told, and the verification goes on.
    pub(super) fn save(&mut self, values: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) {
        let Some(resume) = self.resume.filter(|_| self.saved.elapsed() >= self.pause) else { return };
        let start = Instant::now();
        if let Err(error) = write(&resume.folder.join(self.part), MAGIC, values) {
            tracing::warn!(%error, folder = %resume.folder.display(), "the state of the verification cannot be saved");
        }
        self.pause = resume.every.max(start.elapsed() * SHARE);
        self.saved = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loaded<T: DeserializeOwned>(resume: &Resume) -> Option<T> {
        get(&mut resume.load(LOG)?)
    }

    #[test]
    fn a_state_of_many_hashes_and_names_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let resume = Resume::new(folder.path(), Duration::ZERO).unwrap();
        let hash = |number: u32| weituo_proof::sha256(&[&number.to_be_bytes()]);
        let stream =
            |number: u32| weituo_proof::StreamName::of("organisation", &format!("o-{number}")).unwrap();
        let many: Vec<_> = (0..5_000).map(|number| (hash(number), stream(number))).collect();
        Saver::new(Some(&resume), LOG).save(|file| put(file, &many));
        assert_eq!(loaded(&resume), Some(many));
    }

    #[test]
    fn why_a_state_could_not_be_written_is_told_and_what_a_killed_one_left_is_removed() {
        let mut noting = Noting {
            inner: std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap(),
            refused: None,
        };
        assert!(postcard::to_io(&[1_u8; 32], &mut noting).is_err());
        assert_eq!(noting.refused.unwrap().kind(), io::ErrorKind::StorageFull);
        let folder = tempfile::tempdir().unwrap();
        let resume = Resume::new(folder.path(), Duration::ZERO).unwrap();
        std::fs::write(folder.path().join("log.4711.new"), b"half of").unwrap();
        Saver::new(Some(&resume), LOG).save(|file| put(file, &1));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_was_saved_is_read_back_and_garbage_starts_over() {
        let folder = tempfile::tempdir().unwrap();
        let resume = Resume::new(folder.path(), Duration::ZERO).unwrap();
        assert_eq!(loaded::<Vec<String>>(&resume), None);
        Saver::new(Some(&resume), LOG).save(|file| put(file, &vec!["甲"]));
        assert_eq!(loaded(&resume), Some(vec!["甲".to_owned()]));
        let mut bytes = std::fs::read(folder.path().join(LOG)).unwrap();
        bytes.truncate(bytes.len() - 1);
        std::fs::write(folder.path().join(LOG), &bytes).unwrap();
        assert_eq!(loaded::<Vec<String>>(&resume), None);
        std::fs::write(folder.path().join(LOG), b"of another program, and longer than it").unwrap();
        assert_eq!(loaded::<Vec<String>>(&resume), None);
        resume.clear();
        assert!(!folder.path().join(LOG).exists());
    }
}
