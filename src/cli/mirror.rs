//! `mirror` and `verify --mirror`: a log as seen from outside.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::Desk;
use super::output::{Failure, document, line};
use super::words::words;
use crate::mirror::{LogSource, MirrorError};
use crate::verify::VerifyOptions;

/// Brings a copy in a folder up to a served log.
pub(super) fn mirror(desk: &Desk<'_>, url: &str, dir: &Path, key: &str) -> Result<u8, Failure> {
    let key = super::verify::key(key)?;
    let bar = desk.voice.progress(0, "progress-mirror");
    let copied = crate::mirror::copy(&LogSource::of(url), dir, &key, |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    let copied = copied.map_err(|error| failure(&error))?;
    let (size, before) = (copied.checkpoint.size, copied.before);
    if desk.voice.json {
        document(&json!({
            "folder": dir, "origin": copied.checkpoint.origin, "size": size, "before": before,
            "root": copied.checkpoint.root, "fetched": copied.fetched,
        }));
    } else {
        let dir = dir.display();
        let shown: [(&str, &dyn ToString); 3] = [("dir", &dir), ("size", &size), ("before", &before)];
        line(words(desk.voice.language, "mirror-done", &shown));
    }
    Ok(0)
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
    key: &str,
) -> Result<u8, Failure> {
    let outside =
        checkpoints.iter().map(|path| super::verify::outside(path)).collect::<Result<Vec<_>, _>>()?;
    let stream =
        stream.map(|text| text.parse().map_err(|error| Failure::from_error("stream", &error))).transpose()?;
    let options = VerifyOptions {
        verifier: Some(super::verify::key(key)?),
        outside,
        stream,
        ..VerifyOptions::default()
    };
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
