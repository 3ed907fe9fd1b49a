//! `stamp`, and what other subcommands do with time-stamps: an outside authority's word of when a checkpoint was there.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::Desk;
use super::output::{Failure, document, line};
use super::words::words;
use crate::ledger::{Ledger, LedgerError};
use crate::stamp::{Stamp, StampError, Stamps};

/// Returns a checkpoint's stamp, from the authority where none is kept.
pub(super) async fn of(stamps: &Stamps, note: &str, tsa: &str) -> Result<Stamp, Failure> {
    let (stamps, note, tsa) = (stamps.clone(), note.to_owned(), tsa.to_owned());
    let stamped = tokio::task::spawn_blocking(move || stamps.stamp(&note, &tsa)).await;
    match stamped {
        Ok(stamped) => stamped.map_err(|error| failed(&error)),
        Err(error) => Err(Failure::from_error("stamp", &error)),
    }
}

fn failed(error: &StampError) -> Failure {
    Failure::from_error("stamp", error)
}

/// Stamps the newest checkpoint.
pub(super) async fn stamp(desk: &Desk<'_>, tsa: &str) -> Result<u8, Failure> {
    let stamps = desk.stamps()?;
    let ledger = desk.reader().await?;
    let checkpoint = ledger.checkpoint().ok_or_else(super::inspect::no_checkpoint)?;
    let stamp = of(&stamps, &checkpoint.text, tsa).await?;
    let (token, note) = stamps.files(stamp.size);
    if desk.voice.json {
        document(&json!({ "size": stamp.size, "time": stamp.time, "token": token, "checkpoint": note }));
    } else {
        told(desk, &stamp, &token, &note);
    }
    Ok(0)
}

/// Says what was stamped, and by which command anyone verifies it.
pub(super) fn told(desk: &Desk<'_>, stamp: &Stamp, token: &Path, note: &Path) {
    let (token, note) = (token.display(), note.display());
    let shown: [(&str, &dyn ToString); 4] =
        [("size", &stamp.size), ("time", &stamp.time), ("token", &token), ("checkpoint", &note)];
    line(words(desk.voice.language, "stamp-done", &shown));
    line(words(desk.voice.language, "stamp-verify", &shown));
}

/// Stamps the checkpoint that is served, now and at every interval, where it has grown. A failure is told, and the next
/// interval tries again.
pub(super) async fn at_intervals(ledger: Ledger, stamps: Stamps, tsa: String, every: Duration) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(served) = ledger.served_checkpoint() else { continue };
        let kept = stamps.sizes().ok().and_then(|sizes| sizes.last().copied());
        if kept.is_some_and(|kept| kept >= served.size.get()) {
            continue;
        }
        if let Err(failure) = of(&stamps, &served.text, &tsa).await {
            tracing::warn!(size = %served.size, reason = %failure.text.en, "the checkpoint is not stamped");
        }
    }
}

/// Returns since when and until when an entry is proven to have been absent and present, by the kept stamps:
/// `{"absent_at":…,"present_at":…}`, each `null` or `{"size":n,"time":"…"}`. A stamp that cannot be used is told and left out.
pub(super) async fn proven(desk: &Desk<'_>, leaf_index: u64) -> Result<Value, Failure> {
    let nothing = json!({ "absent_at": null, "present_at": null });
    // On PostgreSQL the folder is known only where the log's files are named.
    let Ok(stamps) = desk.stamps() else { return Ok(nothing) };
    let sizes = stamps.sizes().map_err(|error| failed(&error))?;
    if sizes.is_empty() {
        return Ok(nothing);
    }
    let ledger = desk.reader().await?;
    let (before, after) = sizes.split_at(sizes.partition_point(|size| *size <= leaf_index));
    let absent = first_of(desk, &ledger, &stamps, before.iter().rev()).await?;
    let present = first_of(desk, &ledger, &stamps, after.iter()).await?;
    Ok(json!({ "absent_at": absent, "present_at": present }))
}

/// Returns the first of these stamps that is over a checkpoint of this log.
async fn first_of(
    desk: &Desk<'_>,
    ledger: &Ledger,
    stamps: &Stamps,
    sizes: impl Iterator<Item = &u64>,
) -> Result<Option<Value>, Failure> {
    for size in sizes {
        let stamp = match stamps.at(*size) {
            Ok(Some(stamp)) => stamp,
            Ok(None) => continue,
            Err(error) => {
                eprintln!("weituo: {}", failed(&error).text.get(desk.voice.language));
                continue;
            }
        };
        let own: Result<bool, LedgerError> = ledger.vouches_for(&stamp.note).await;
        if own.map_err(|error| Failure::from_error("stamp", &error))? {
            return Ok(Some(json!({ "size": stamp.size, "time": stamp.time })));
        }
        let file = stamps.files(*size).1.display().to_string();
        eprintln!("{}", words(desk.voice.language, "stamp-not-ours", &[("file", &file)]));
    }
    Ok(None)
}

/// Returns the lines that say what is proven of an entry's time.
pub(super) fn proven_lines(desk: &Desk<'_>, proven: &Value) -> Vec<String> {
    let one = |key: &str, word: &'static str, none: &'static str| {
        let Some(time) = proven[key]["time"].as_str() else { return desk.voice.word(none) };
        let shown: [(&str, &dyn ToString); 2] = [("size", &proven[key]["size"]), ("time", &time)];
        words(desk.voice.language, word, &shown)
    };
    vec![
        one("absent_at", "proven-absent", "proven-absent-none"),
        one("present_at", "proven-present", "proven-present-none"),
        desk.voice.word("proven-own-word"),
    ]
}
