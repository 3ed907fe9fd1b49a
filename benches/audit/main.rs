//! `cargo bench --bench audit`: verification against a bare scan of the same table, and the rebuild of all projections
//! against stock `QueryReplay`, as entries per second each, in turns; medians over the rounds.
//!
//! The projections do not exist while the log is verified, so that they are apart; they are built afterwards.
//! Source: docs/performance.md.

#[path = "../append/event.rs"]
mod event;
#[path = "../append/measure.rs"]
#[expect(dead_code, reason = "the bench of the append path uses the rest")]
mod measure;
#[path = "../append/postgres.rs"]
#[expect(dead_code, reason = "the bench of the append path uses the rest")]
mod postgres;
#[path = "../append/process.rs"]
mod process;
mod replay;
#[path = "../append/rota.rs"]
mod rota;
mod scan;
#[path = "../append/stock.rs"]
#[expect(dead_code, reason = "the bench of the append path uses the rest")]
mod stock;
#[path = "../append/weituo.rs"]
#[expect(dead_code, reason = "the bench of the append path uses the rest")]
mod weituo;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use ::weituo::follower::Follower;
use ::weituo::ledger::Mode;
use ::weituo::store::{self, Store};
use ::weituo::verify::{VerifyOptions, store_options, verify};
use clap::Parser;
use comfy_table::{Table, presets};
use serde::Serialize;
use weituo_proof::VerifierKey;

use crate::measure::{Outcome, as_f64};
use crate::postgres::Server;
use crate::rota::Shape;
use crate::weituo::{Scene, Site};

/// Streams hold 15 events: four up to the signing, then activities.
const SHAPE: Shape = Shape::Long(20);

/// Measures verification and rebuilding.
#[derive(Debug, Parser)]
#[command(name = "cargo bench --bench audit --", disable_version_flag = true)]
struct Options {
    /// Entries verified and folded
    #[arg(long, default_value_t = 200_000)]
    entries: usize,
    /// Events that stock replays
    #[arg(long, default_value_t = 20_000)]
    stock_events: usize,
    /// Databases
    #[arg(long, value_delimiter = ',', default_values_t = ["sqlite".to_owned(), "postgres".to_owned()])]
    store: Vec<String>,
    /// Rounds, of which the median is told
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Where the numbers are written (target/bench/audit.json unless given)
    #[arg(long)]
    json: Option<PathBuf>,
    /// Folder for the databases (the system's for temporary files unless given)
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

/// Two rates compared.
#[derive(Debug, Serialize)]
struct Comparison {
    what: String,
    per_second: Vec<f64>,
    against: String,
    against_per_second: Vec<f64>,
    ratio: f64,
    goal: f64,
}

impl Comparison {
    fn new(what: String, per_second: Vec<f64>, against: &str, other: Vec<f64>, goal: f64) -> Self {
        let ratio = median(&per_second) / median(&other);
        Self { what, per_second, against: against.to_owned(), against_per_second: other, ratio, goal }
    }
}

fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

fn main() -> Outcome<()> {
    let options = Options::parse();
    tokio::runtime::Runtime::new()?.block_on(run(&options))
}

async fn run(options: &Options) -> Outcome<()> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("weituo-audit-").permissions(std::fs::Permissions::from_mode(0o755));
    let folder = match &options.folder {
        Some(folder) => builder.tempdir_in(folder)?,
        None => builder.tempdir()?,
    };
    println!("{}", process::machine());
    let mut rows = Vec::new();
    if options.store.iter().any(|store| store == "sqlite") {
        on_sqlite(options, folder.path(), &mut rows).await?;
    }
    if options.store.iter().any(|store| store == "postgres") {
        let server = Server::start(folder.path()).await?;
        println!("PostgreSQL: {}", server.described().await?);
        on_postgres(options, folder.path(), &server, &mut rows).await?;
    }
    print(&rows);
    let file = match &options.json {
        Some(file) => file.clone(),
        None => {
            std::env::current_exe()?.ancestors().nth(3).ok_or("no target folder")?.join("bench/audit.json")
        }
    };
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let written =
        serde_json::json!({ "machine": process::machine(), "entries": options.entries, "rows": rows });
    std::fs::write(&file, serde_json::to_string_pretty(&written)?)?;
    println!("written: {}", file.display());
    Ok(())
}

async fn on_sqlite(options: &Options, folder: &Path, rows: &mut Vec<Comparison>) -> Outcome<()> {
    let folder = folder.join("sqlite");
    std::fs::create_dir_all(&folder)?;
    let (store, key, entries) = filled(Site::on_sqlite(&folder, Mode::Guard)?, options.entries).await?;
    let file = folder.join("ledger.db");
    let (mut verified, mut scanned) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds.max(1) {
        verified.push(verification(&*store, &key, entries).await?);
        scanned.push(tokio::task::block_in_place(|| scan::sqlite(&file, entries))?);
    }
    let what = format!("SQLite: verification of {entries} entries");
    rows.push(Comparison::new(what, verified, "a bare ordered scan", scanned, 0.4));
    store.close().await;
    Ok(())
}

async fn on_postgres(
    options: &Options,
    folder: &Path,
    server: &Server,
    rows: &mut Vec<Comparison>,
) -> Outcome<()> {
    let folder = folder.join("keys");
    std::fs::create_dir_all(&folder)?;
    let database = server.fresh_database().await?;
    let site = Site::on_postgres(&database, &folder, Mode::Guard)?;
    let (store, key, entries) = filled(site, options.entries).await?;
    // As autovacuum would have done by the time of an audit.
    database.execute("VACUUM ANALYZE entry").await?;
    database.settle().await?;
    let (mut verified, mut scanned, mut rebuilt, mut replayed) = (vec![], vec![], vec![], vec![]);
    for _ in 0..options.rounds.max(1) {
        verified.push(verification(&*store, &key, entries).await?);
        scanned.push(scan::postgres(&database.url, entries).await?);
    }
    let what = format!("PostgreSQL: verification of {entries} entries");
    rows.push(Comparison::new(what, verified, "COPY BINARY, ordered", scanned, 0.4));
    for _ in 0..options.rounds.max(1) {
        let started = Instant::now();
        let end = Follower::new(Arc::clone(&store)).rebuild(None, |_| {}).await?;
        if end != entries {
            return Err(format!("{end} of {entries} entries were folded").into());
        }
        rebuilt.push(rate(entries, started));
        replayed.push(replay::measure(server, options.stock_events).await?);
    }
    let what = format!("PostgreSQL: rebuild of all projections over {entries} entries");
    rows.push(Comparison::new(what, rebuilt, "stock QueryReplay of one view", replayed, 50.0));
    store.close().await;
    database.remove().await
}

/// Makes a ledger of about so many entries and returns its store, its key and how many entries there are.
async fn filled(site: Site, entries: usize) -> Outcome<(Arc<dyn Store>, VerifierKey, u64)> {
    let started = Instant::now();
    let url = site.url.clone();
    let mut scene = Scene::new(site, SHAPE).await?;
    // Two organisations join for ten streams.
    scene.add_streams(entries * 10 / (SHAPE.existing() * 10 + 2), 256).await?;
    scene.stop().await?;
    let key = scene.recorder.ledger().verifier_key().clone();
    let store = store::open(&url, store_options(), false).await?;
    let head = store.head().await?.ok_or("the ledger has no head")?;
    println!("{url}: {} entries recorded in {:.1} s", head.size, started.elapsed().as_secs_f64());
    Ok((store, key, head.size))
}

/// Verifies the ledger once; returns entries a second.
async fn verification(store: &dyn Store, key: &VerifierKey, entries: u64) -> Outcome<f64> {
    let options = VerifyOptions { verifiers: vec![key.clone()], ..VerifyOptions::default() };
    let started = Instant::now();
    let report = verify(store, &options, |_| {}).await;
    let rate = rate(entries, started);
    if let Some(finding) = report.findings().next() {
        return Err(format!("the ledger is not intact: {finding:?}").into());
    }
    if report.counts.entries != entries || report.counts.projection_rows != 0 {
        return Err(format!("verified {:?} instead of {entries} entries alone", report.counts).into());
    }
    Ok(rate)
}

/// Returns entries a second.
fn rate(entries: u64, started: Instant) -> f64 {
    as_f64(entries) / started.elapsed().as_secs_f64()
}

fn print(rows: &[Comparison]) {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["case", "entries/s", "against", "entries/s", "ratio", "goal", ""]);
    for row in rows {
        table.add_row([
            row.what.clone(),
            format!("{:.0}", median(&row.per_second)),
            row.against.clone(),
            format!("{:.0}", median(&row.against_per_second)),
            format!("{:.2}", row.ratio),
            format!("≥ {}", row.goal),
            if row.ratio >= row.goal { "met" } else { "short" }.to_owned(),
        ]);
    }
    println!("{table}");
}
