//! Places at which the fault matrix stops, delays or kills a process. Compiled to nothing without the cargo feature
//! `failpoints`.
//!
//! With the feature, the environment variable `WEITUO_FAILPOINTS` holds `name=action` pairs separated by commas, read
//! at every hit of a point: `kill` ends the process as SIGKILL would (no destructor runs), `kill:N` at the N-th hit, `sleep:MS` blocks the
//! thread, `touch-wait:PATH` creates PATH and blocks until it is removed, so that a test can pause exactly here.
//! Absent: anything a released binary could be made to do.
//! Source: design.md "The append path".

/// Passes a failpoint.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub(crate) fn hit(_name: &str) {}

/// Passes a failpoint, doing what `WEITUO_FAILPOINTS` says of it.
#[cfg(feature = "failpoints")]
pub(crate) fn hit(name: &str) {
    let Ok(points) = std::env::var("WEITUO_FAILPOINTS") else { return };
    let action = points.split(',').find_map(|point| point.strip_prefix(name)?.strip_prefix('='));
    match action.map(|action| action.split_once(':').unwrap_or((action, ""))) {
        None => {}
        Some(("kill", nth)) if times_hit(name) < nth.parse().unwrap_or(1) => {}
        Some(("kill", _)) => std::process::abort(),
        Some(("sleep", millis)) => {
            std::thread::sleep(std::time::Duration::from_millis(millis.parse().unwrap_or(0)));
        }
        Some(("touch-wait", path)) => {
            let _ = std::fs::write(path, name);
            while std::path::Path::new(path).exists() {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        }
        Some((other, _)) => tracing::warn!(point = name, action = other, "unknown failpoint action"),
    }
}

/// Returns how often a point was hit that kills.
#[cfg(feature = "failpoints")]
fn times_hit(name: &str) -> u32 {
    use std::collections::BTreeMap;
    use std::sync::{Mutex, PoisonError};

    static HITS: Mutex<BTreeMap<String, u32>> = Mutex::new(BTreeMap::new());
    let mut hits = HITS.lock().unwrap_or_else(PoisonError::into_inner);
    let times = hits.entry(name.to_owned()).or_default();
    *times += 1;
    *times
}
