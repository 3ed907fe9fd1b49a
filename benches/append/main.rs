//! `cargo bench --bench append`: the append path measured against its peers, on one machine, with durable commits.
//!
//! One run for each speed of flushes: the bench starts itself again, with a preload library where flushes are to be
//! slower, and a PostgreSQL of its own in a throw-away folder. In a run the peers of a case take turns, forwards and
//! backwards, each on an empty database; medians over the rounds are printed and written as JSON.
//!
//! Absent: goals of verification and rebuilding.
//! Source: docs/performance.md.

mod event;
mod flush;
mod goals;
mod measure;
mod options;
mod plan;
mod postgres;
mod process;
mod raw;
mod report;
mod rota;
mod sample;
mod stock;
mod stock_postgres;
mod stock_sqlite;
mod textbook;
mod weituo;
mod worker;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser as _;

use crate::measure::{Outcome, Window};
use crate::options::Options;
use crate::plan::{Bench, Group, Store};
use crate::postgres::Server;
use crate::report::{Part, Record};
use crate::sample::Sample;

fn main() -> Outcome<()> {
    let options = Options::parse();
    if let Some(part) = &options.part {
        let runtime = tokio::runtime::Runtime::new()?;
        return runtime.block_on(run_part(&options, part));
    }
    if options.worker {
        return tokio::runtime::Runtime::new()?.block_on(worker::work());
    }
    run_all(&options)
}

/// Runs one part for each speed of flushes, then compares everything with the goals.
fn run_all(options: &Options) -> Outcome<()> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("weituo-bench-").permissions(std::fs::Permissions::from_mode(0o755));
    let folder = match &options.folder {
        Some(folder) => builder.tempdir_in(folder)?,
        None => builder.tempdir()?,
    };
    let mut parts = Vec::new();
    for millis in &options.fsync_millis {
        parts.push(start_part(*millis, folder.path())?);
    }
    let records: Vec<Record> = parts.iter().flat_map(|part| part.records.iter().cloned()).collect();
    let goals = goals::goals(&records);
    goals::print(&goals);
    let file = options.json.clone().map_or_else(default_json, Ok)?;
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(
        &file,
        serde_json::to_string_pretty(&serde_json::json!({ "runs": parts, "goals": goals }))?,
    )?;
    println!("written: {}", file.display());
    Ok(())
}

/// Starts this program again, with slower flushes where wanted, and returns what it measured.
fn start_part(millis: f64, folder: &Path) -> Outcome<Part> {
    let file = folder.join("part.json");
    let mut command = std::process::Command::new(std::env::current_exe()?);
    command.args(std::env::args_os().skip(1)).arg("--part").arg(&file);
    command.arg(format!("--fsync-millis={millis}"));
    if millis > 0.0 {
        command.env("LD_PRELOAD", flush::slow_library(folder, millis)?);
    }
    let status = command.status()?;
    if !status.success() {
        return Err(format!("the run with {millis} ms added to a flush failed: {status}").into());
    }
    Ok(serde_json::from_str(&std::fs::read_to_string(&file)?)?)
}

/// `bench/append.json` beside the folder of the profile that this program was built in.
fn default_json() -> Outcome<PathBuf> {
    let program = std::env::current_exe()?;
    let target = program.ancestors().nth(3).ok_or("this program lies in no target folder")?;
    Ok(target.join("bench/append.json"))
}

/// Measures everything with flushes of one speed.
async fn run_part(options: &Options, file: &Path) -> Outcome<()> {
    let folder = file.parent().ok_or("a part is written into a folder")?;
    let millis = options.fsync_millis.last().copied().unwrap_or(0.0);
    let groups = plan::groups(options, millis > 0.0);
    let with_postgres = groups.iter().any(|group| group.store == Store::Postgres);
    let server = if with_postgres { Some(Server::start(folder).await?) } else { None };
    let postgres = match &server {
        Some(server) => Some(server.described().await?),
        None => None,
    };
    let entry = weituo::entry(&folder.join("entry")).await?;
    std::fs::remove_dir_all(folder.join("entry"))?;
    let flush = flush::timed(folder)?;
    flush::check(flush, millis, server.as_ref().map(Server::postmaster))?;
    let window = Window {
        warm_up: Duration::from_secs_f64(options.seconds / 5.0),
        measured: Duration::from_secs_f64(options.seconds),
    };
    let mut part = Part {
        machine: process::machine(),
        postgres,
        fsync_millis: millis,
        flush,
        payload_bytes: event::json(&event::payload(&event::school(0)?, 0)).len(),
        entry_bytes: entry.len(),
        seconds: options.seconds,
        warm_up_seconds: window.warm_up.as_secs_f64(),
        cold: options.cold,
        records: Vec::new(),
    };
    println!("{}", part.heading());
    let bench = Bench { server: server.as_ref(), folder, window, entry, cold: options.cold };
    for group in &groups {
        let records = in_turns(&bench, group, options.rounds.max(1), millis).await?;
        report::print_group(group, &records);
        part.records.extend(records);
    }
    std::fs::write(file, serde_json::to_string(&part)?)?;
    Ok(())
}

/// Measures the peers of a group in turns: first to last, last to first, and so on.
async fn in_turns(
    bench: &Bench<'_>,
    group: &Group,
    rounds: usize,
    fsync_millis: f64,
) -> Outcome<Vec<Record>> {
    let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); group.peers.len()];
    for round in 0..rounds {
        let mut order: Vec<usize> = (0..group.peers.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for at in order {
            let measured = bench.measure(group, group.peers[at]).await;
            let named = |error| format!("{}, {}: {error}", group.title(), group.peers[at].name());
            samples[at].push(measured.map_err(named)?);
        }
    }
    let records = group.peers.iter().zip(samples).map(|(peer, rounds)| Record {
        fsync_millis,
        store: group.store,
        case: group.kind,
        clients: group.clients,
        stream_length: group.stream_length(),
        peer: peer.name(),
        median: Sample::median(&rounds),
        rounds,
    });
    Ok(records.collect())
}
