//! `demo`: the main job on real input, then one value altered and named.

use std::io::BufReader;
use std::path::{Path, PathBuf};

use weituo_events::OrganisationId;
use weituo_projections::ObligationStatus;

use super::lines::{Lines, MAX_LINE_BYTES};
use super::output::{Failure, Voice, line};
use super::record::{adoption, record_lines, stop};
use super::words::words;
use super::{Desk, Shared, show, verify};
use crate::ledger::{Beside, InitOptions, Ledger};
use crate::query::{AsOf, Query};
use crate::recorder::Recorder;
use crate::store::LedgerUrl;

const BUREAU: &str = "bureau-wz";
const ORIGIN: &str = "demo.weituo.example/wenzhou";
const RULEBOOK: &str = include_str!("../../rulebooks/wenzhou-entrustment-2018.toml");
const REGISTRY: (&str, &str) = ("samples/00-registry.jsonl", include_str!("../../samples/00-registry.jsonl"));
const CYCLES: [(&str, &str); 4] = [
    ("samples/01-full-cycle.jsonl", include_str!("../../samples/01-full-cycle.jsonl")),
    ("samples/02-goes-wrong.jsonl", include_str!("../../samples/02-goes-wrong.jsonl")),
    ("samples/03-irregular.jsonl", include_str!("../../samples/03-irregular.jsonl")),
    ("samples/04-as-found.jsonl", include_str!("../../samples/04-as-found.jsonl")),
];

/// Records the samples in a fresh folder, shows and verifies them, alters a copy and verifies that.
pub(super) async fn demo(desk: &Desk<'_>, folder: Option<&Path>) -> Result<u8, Failure> {
    let folder = fresh_folder(folder)?;
    let database = folder.join("ledger.db");
    let shared = Shared {
        ledger: format!("sqlite://{}", database.display()),
        json: false,
        signing_key: None,
        anchor: None,
        ..desk.shared.clone()
    };
    let desk = Desk { voice: Voice { json: false, ..desk.voice }, shared: &shared };
    title(desk.voice, "demo-title");
    record_samples(&desk).await?;
    show_states(&desk).await?;
    title(desk.voice, "demo-verify");
    let url = desk.url()?;
    let beside =
        Beside::read(&url, &desk.options(true), &[]).map_err(|error| Failure::from_error("key", &error))?;
    let asked = || verify::Asked { verifiers: beside.verifiers().to_vec(), ..verify::Asked::default() };
    let healthy = verify::run(&desk, &url, &beside, asked()).await?;
    verify::print(desk.voice, &healthy);
    if healthy.exit_code() != 0 {
        return Ok(healthy.exit_code());
    }
    title(desk.voice, "demo-tamper");
    let copy = folder.join("tampered.db");
    let altered = alter_copy(&database, &copy)?;
    let what: [(&str, &dyn ToString); 3] =
        [("leaf", &altered.leaf_index), ("from", &altered.from), ("to", &altered.to)];
    line(words(desk.voice.language, "demo-tamper-what", &what));
    let report = verify::run(&desk, &LedgerUrl::Sqlite(copy), &beside, asked()).await?;
    line("");
    verify::print(desk.voice, &report);
    let named = report
        .findings()
        .any(|finding| finding.leaf_index.is_some_and(|leaf| leaf.get() == altered.leaf_index));
    title(desk.voice, if named { "demo-caught" } else { "demo-missed" });
    next_steps(&desk, &folder);
    Ok(if named { 0 } else { 2 })
}

fn title(voice: Voice, key: &str) {
    line(format!("\n━━ {} ━━", voice.word(key)));
}

/// Returns an empty folder: the one asked for, or a new one for temporary files.
fn fresh_folder(asked: Option<&Path>) -> Result<PathBuf, Failure> {
    let unusable = |path: &Path, error: &std::io::Error| {
        let path = path.display();
        Failure::could_not_run(
            "folder",
            format!("无法使用 {path}:{error}"),
            format!("cannot use {path}: {error}"),
        )
    };
    let folder = match asked {
        Some(folder) => folder.to_owned(),
        None => std::env::temp_dir().join(format!("weituo-demo-{}", crate::fresh_command_id())),
    };
    std::fs::create_dir_all(&folder).map_err(|error| unusable(&folder, &error))?;
    let mut inside = std::fs::read_dir(&folder).map_err(|error| unusable(&folder, &error))?;
    if inside.next().is_some() {
        let folder = folder.display();
        return Err(Failure::could_not_run(
            "folder-not-empty",
            format!("{folder} 不是空文件夹;请另选一个"),
            format!("{folder} is not empty; choose another folder"),
        ));
    }
    Ok(folder)
}

async fn record_samples(desk: &Desk<'_>) -> Result<(), Failure> {
    let bureau = OrganisationId::new(BUREAU).map_err(|error| Failure::from_error("demo", &error))?;
    let origin = ORIGIN.parse().map_err(|error| Failure::from_error("demo", &error))?;
    let options =
        InitOptions { roots: vec![bureau.clone()], options: desk.options(false), ..InitOptions::new(origin) };
    let ledger =
        Ledger::init(&desk.url()?, &options).await.map_err(|error| Failure::from_error("init", &error))?;
    let recorder = Recorder::open(ledger).await.map_err(|error| Failure::from_error("rulebooks", &error))?;
    let outcome = record_all(desk, &recorder, &bureau).await;
    stop(&recorder).await?;
    outcome
}

async fn record_all(desk: &Desk<'_>, recorder: &Recorder, bureau: &OrganisationId) -> Result<(), Failure> {
    record_file(desk, recorder, REGISTRY).await?;
    let adoption = adoption(RULEBOOK, bureau, Some("2018-12-20"), None)?;
    let line = serde_json::to_string(&adoption).map_err(|error| Failure::from_error("demo", &error))?;
    record_file(desk, recorder, ("rulebooks/wenzhou-entrustment-2018.toml", &line)).await?;
    for file in CYCLES {
        record_file(desk, recorder, file).await?;
    }
    Ok(())
}

async fn record_file(
    desk: &Desk<'_>,
    recorder: &Recorder,
    (name, lines): (&str, &str),
) -> Result<(), Failure> {
    let mut refusals = Vec::new();
    let mut keep_refusal = |result: serde_json::Value| {
        if result.get("refused").is_some() {
            refusals.push(result);
        }
        Ok(())
    };
    let mut input = BufReader::new(lines.as_bytes());
    let counts =
        record_lines(desk, recorder, Lines::new(&mut input, MAX_LINE_BYTES), &mut keep_refusal).await?;
    let language = desk.voice.language;
    line(format!(
        "{}: {}",
        words(language, "demo-recording", &[("file", &name)]),
        words(language, "demo-counts", &[("accepted", &counts.accepted)]),
    ));
    match refusals.first() {
        None => Ok(()),
        Some(refusal) => Err(Failure::could_not_run(
            "demo",
            format!("{name} 中有命令被拒绝:{refusal}"),
            format!("a command of {name} was refused: {refusal}"),
        )),
    }
}

async fn show_states(desk: &Desk<'_>) -> Result<(), Failure> {
    let failed = |error: crate::follower::FollowError| Failure::from_error("projections", &error);
    let query: Query = desk.query().await?;
    let today = AsOf::Day(crate::today());
    title(desk.voice, "demo-states");
    for id in query.agreements().await.map_err(failed)? {
        if let Some(view) = query.cycle(&id, today).await.map_err(failed)? {
            show::heading(desk.voice, &view);
            show::irregularities(desk.voice, &view);
            line("");
        }
    }
    title(desk.voice, "section-docket");
    let docket = query.docket(None, crate::today()).await.map_err(failed)?;
    show::print_docket(desk.voice, &docket, |status| {
        !matches!(status, ObligationStatus::Done | ObligationStatus::Upcoming)
    });
    query.store().close().await;
    Ok(())
}

/// What was altered in the copy.
struct Altered {
    leaf_index: u64,
    from: String,
    to: String,
}

/// Copies the database and alters one assessment's score in the copy, past the ledger, as somebody with the file could.
fn alter_copy(database: &Path, copy: &Path) -> Result<Altered, Failure> {
    const MEMBER: &str = "\"score_centi\":";
    let alter = || -> rusqlite::Result<Option<Altered>> {
        rusqlite::Connection::open(database)?.execute("VACUUM INTO ?1", [copy.display().to_string()])?;
        let connection = rusqlite::Connection::open(copy)?;
        let (leaf_index, body): (i64, String) = connection.query_row(
            "SELECT leaf_index, body FROM entry WHERE body LIKE '%\"type\":\"AnnualAssessmentRecorded\"%' \
             ORDER BY leaf_index LIMIT 1",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        let Some((before, after)) = body.split_once(MEMBER) else { return Ok(None) };
        let digits = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
        let (score, rest) = after.split_at(digits);
        let raised = "9900";
        connection.execute(
            "UPDATE entry SET body = ?1 WHERE leaf_index = ?2",
            (format!("{before}{MEMBER}{raised}{rest}"), leaf_index),
        )?;
        Ok(Some(Altered {
            leaf_index: u64::try_from(leaf_index).unwrap_or_default(),
            from: format!("{MEMBER}{score}"),
            to: format!("{MEMBER}{raised}"),
        }))
    };
    alter().map_err(|error| Failure::from_error("demo", &error))?.ok_or_else(|| {
        Failure::could_not_run(
            "demo",
            "样例中没有可改的分数",
            "the samples hold no score that could be altered",
        )
    })
}

fn next_steps(desk: &Desk<'_>, folder: &Path) {
    let voice = desk.voice;
    let ledger = &desk.shared.ledger;
    line(words(voice.language, "demo-kept", &[("dir", &folder.display())]));
    line(format!("\n{}:", voice.word("demo-next")));
    line(format!("  export WEITUO_LEDGER={ledger}"));
    for command in [
        "weituo show agreement WZ-2022-001",
        "weituo show trustee trustee-a",
        "weituo docket --on 2023-05-31",
        "weituo log agreement/WZ-2022-001",
        "weituo receipt 20",
        "weituo checkpoint > kept-elsewhere.txt && weituo verify --checkpoint kept-elsewhere.txt",
        "weituo schema RecordAnnualAssessment",
    ] {
        line(format!("  {command}"));
    }
}
