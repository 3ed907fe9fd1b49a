//! What a flush costs: measured, and made dearer by a small preload library.

use std::io::{Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::measure::Outcome;

const SOURCE: &str = include_str!("slow_fsync.c");
const LIBRARY: &str = "slow_fsync.so";

/// Flushes timed.
const FLUSHES: usize = 51;

/// Compiles the library that adds so many milliseconds to every fsync and fdatasync.
pub(crate) fn slow_library(folder: &Path, millis: f64) -> Outcome<PathBuf> {
    let (source, library) = (folder.join("slow_fsync.c"), folder.join(LIBRARY));
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

/// What an fdatasync of 4 KiB takes, in microseconds.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Flush {
    pub(crate) fastest_micros: f64,
    pub(crate) median_micros: f64,
}

/// Times flushes in a folder. The median is much above the fastest where others use the processors too.
pub(crate) fn timed(folder: &Path) -> Outcome<Flush> {
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
    Ok(Flush { fastest_micros: micros[0], median_micros: micros[FLUSHES / 2] })
}

/// Makes sure that flushes are as slow as the run says, here and in the server.
pub(crate) fn check(flush: Flush, millis: f64, server: Option<u32>) -> Outcome<()> {
    if flush.fastest_micros < millis * 1_000.0 {
        return Err(
            format!("{millis} ms are to be added to a flush, one took {} µs", flush.fastest_micros).into()
        );
    }
    let Some(pid) = server.filter(|_| millis > 0.0) else { return Ok(()) };
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"))?;
    if maps.contains(LIBRARY) { Ok(()) } else { Err(format!("PostgreSQL did not preload {LIBRARY}").into()) }
}
