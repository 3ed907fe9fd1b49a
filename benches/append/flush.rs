//! What a flush costs: measured, and made dearer by a small preload library.

use std::io::{Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::measure::Outcome;

const SOURCE: &str = include_str!("slow_fsync.c");

/// Flushes timed.
const FLUSHES: usize = 51;

/// Compiles the library that adds so many milliseconds to every fsync and fdatasync.
pub(crate) fn slow_library(folder: &Path, millis: f64) -> Outcome<PathBuf> {
    let (source, library) = (folder.join("slow_fsync.c"), folder.join("slow_fsync.so"));
    std::fs::write(&source, SOURCE)?;
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-O2", "-Wall", "-Werror"])
        .arg(format!("-DDELAY_MICROS={:.0}L", millis * 1_000.0))
        .arg("-o")
        .args([&library, &source])
        .arg("-ldl")
        .output()
        .map_err(|error| format!("cc, which slower flushes need, cannot be run: {error}"))?;
    if !compiled.status.success() {
        return Err(format!("cc: {}", String::from_utf8_lossy(&compiled.stderr)).into());
    }
    Ok(library)
}

/// Returns the median time of an fdatasync of 4 KiB in a folder, in microseconds.
pub(crate) fn measured_micros(folder: &Path) -> Outcome<f64> {
    let path = folder.join("flushed");
    let mut file = std::fs::File::create(&path)?;
    let mut micros = Vec::with_capacity(FLUSHES);
    for _ in 0..FLUSHES {
        file.rewind()?;
        file.write_all(&[1; 4_096])?;
        let started = Instant::now();
        file.sync_data()?;
        micros.push(started.elapsed().as_secs_f64() * 1e6);
    }
    std::fs::remove_file(&path)?;
    micros.sort_unstable_by(f64::total_cmp);
    Ok(micros[FLUSHES / 2])
}
