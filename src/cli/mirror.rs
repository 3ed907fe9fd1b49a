//! `mirror` and `verify --mirror`: a log as seen from outside.

use std::path::{Path, PathBuf};

use serde_json::json;
use weituo_proof::VerifierKey;

use super::Desk;
use super::output::{Failure, document, line};
use super::words::words;
use crate::mirror::{LogSource, MirrorError, SourceError};
use crate::verify::VerifyOptions;

/// Brings a copy in a folder up to a served log.
pub(super) fn mirror(desk: &Desk<'_>, url: &str, dir: &Path, keys: &[String]) -> Result<u8, Failure> {
    let log = LogSource::of(url);
    let (keys, stated) = trusted(&log, dir, keys)?;
    let bar = desk.voice.progress(0, "progress-mirror");
    let copied = crate::mirror::copy(&log, dir, &keys, |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    let copied = copied.map_err(|error| failure(&error))?;
    let (size, before) = (copied.checkpoint.size, copied.before);
    if desk.voice.json {
        document(&json!({
            "folder": dir, "origin": copied.checkpoint.origin, "size": size, "before": before,
            "root": copied.checkpoint.root, "fetched": copied.fetched, "key_only_stated": stated,
        }));
    } else {
        let dir = dir.display();
        let shown: [(&str, &dyn ToString); 3] = [("dir", &dir), ("size", &size), ("before", &before)];
        line(words(desk.voice.language, "mirror-done", &shown));
        if stated {
            let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
            line(words(desk.voice.language, "mirror-stated", &[("key", &keys.join(", "))]));
        }
    }
    Ok(0)
}

/// Returns the keys to verify by, and whether nothing vouches for them but the server: those given, else those that the copy
/// was made by, else what the server states.
fn trusted(log: &LogSource, dir: &Path, given: &[String]) -> Result<(Vec<VerifierKey>, bool), Failure> {
    if !given.is_empty() {
        return Ok((super::verify::keys(given)?, false));
    }
    let kept = LogSource::Folder(dir.to_owned()).stated_keys();
    let (text, stated) = match kept {
        Ok(text) => (text, false),
        Err(SourceError::NotFound { .. }) => {
            (log.stated_keys().map_err(|error| Failure::from_error("mirror", &error))?, true)
        }
        Err(error) => return Err(Failure::from_error("mirror", &error)),
    };
    Ok((super::verify::keys(&[text])?, stated))
}

/// Evidence against the log is a finding, with exit code 1; a failure to read or write is none.
fn failure(error: &MirrorError) -> Failure {
    let mut failure = Failure::from_error("mirror", error);
    if error.is_finding() {
        failure.exit = 1;
    }
    failure
}

/// Verifies a served log or a copy of one.
pub(super) fn verify(
    desk: &Desk<'_>,
    log: &str,
    checkpoints: &[PathBuf],
    stream: Option<&str>,
    keys: &[String],
) -> Result<u8, Failure> {
    let outside =
        checkpoints.iter().map(|path| super::verify::outside(path)).collect::<Result<Vec<_>, _>>()?;
    let stream =
        stream.map(|text| text.parse().map_err(|error| Failure::from_error("stream", &error))).transpose()?;
    let options =
        VerifyOptions { verifiers: super::verify::keys(keys)?, outside, stream, ..VerifyOptions::default() };
    let bar = desk.voice.progress(0, "progress-verify");
    let report = crate::verify::verify_log(&LogSource::of(log), &options, |progress| {
        bar.set_length(progress.total);
        bar.set_position(progress.done);
    });
    bar.finish_and_clear();
    if desk.voice.json {
        document(&report);
    } else {
        super::verify::print(desk.voice, &report);
    }
    Ok(report.exit_code())
}
