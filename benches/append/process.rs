//! CPU time of processes, and the machine, as Linux tells them in /proc.

use std::process::Command;
use std::sync::OnceLock;

use crate::measure::{Outcome, as_f64};

/// One process's numbers from /proc/PID/stat, in seconds.
struct Times {
    parent: u32,
    own: f64,
    ended_children: f64,
}

/// Returns the CPU time of this process.
pub(crate) fn own_cpu() -> Outcome<f64> {
    Ok(times("self")?.own)
}

/// Returns the CPU time of a process and its children, those that have ended too; each has a single thread.
pub(crate) fn tree_cpu(root: u32) -> Outcome<f64> {
    let mut sum = thread_cpu(&root.to_string())? + times(&root.to_string())?.ended_children;
    for item in std::fs::read_dir("/proc")?.flatten() {
        let name = item.file_name();
        let Some(pid) = name.to_str().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit())) else {
            continue;
        };
        // A process may end between the listing and the reading; then it is among the ended children.
        if let (Ok(times), Ok(cpu)) = (times(pid), thread_cpu(pid))
            && times.parent == root
        {
            sum += cpu;
        }
    }
    Ok(sum)
}

/// Returns the CPU time of a process's first thread, to the nanosecond: of 64 servers, each may have used less than one
/// of the ticks that /proc/PID/stat counts in.
fn thread_cpu(pid: &str) -> Outcome<f64> {
    let schedstat = std::fs::read_to_string(format!("/proc/{pid}/schedstat"))?;
    let nanos = schedstat.split_ascii_whitespace().next().ok_or("an empty /proc/PID/schedstat")?;
    Ok(as_f64(nanos.parse::<u64>()?) / 1e9)
}

fn times(pid: &str) -> Outcome<Times> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in brackets may hold spaces and brackets; the fields after it do not.
    let fields: Vec<&str> =
        stat.rsplit_once(')').ok_or("no process name")?.1.split_ascii_whitespace().collect();
    let ticks = |at: usize| -> Outcome<f64> {
        Ok(as_f64(fields.get(at).ok_or("a short /proc/PID/stat")?.parse::<u64>()?) / ticks_per_second())
    };
    Ok(Times {
        parent: fields.get(1).ok_or("a short /proc/PID/stat")?.parse()?,
        own: ticks(11)? + ticks(12)?,
        ended_children: ticks(13)? + ticks(14)?,
    })
}

fn ticks_per_second() -> f64 {
    static TICKS: OnceLock<f64> = OnceLock::new();
    *TICKS.get_or_init(|| said("getconf", &["CLK_TCK"]).parse().unwrap_or(100.0))
}

/// Returns what a program prints, trimmed; nothing where it fails.
pub(crate) fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}

/// Returns the machine in a few words.
pub(crate) fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown processor", |(_, model)| model);
    format!("{cores} cores of {model}, {}", said("uname", &["-sr"]))
}
