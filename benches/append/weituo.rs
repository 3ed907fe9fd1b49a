//! Weituo through its whole command path: `Recorder::record` loads, decides, chains, signs, anchors and gives a receipt.
//!
//! The act is `RecordActivity` by the trustee of a signed agreement. Registering, adopting the rulebook and signing are
//! done before the clock starts. Afterwards the log must hold exactly what was acknowledged, and the last receipt of
//! every client must verify with nothing but the log's key.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use serde_json::json;
use serde_json::value::RawValue;
use weituo::ledger::{Accepted, InitOptions, Ledger, Mode, Options};
use weituo::recorder::{RecordError, Recorder};
use weituo::store::LedgerUrl;
use weituo_events::{Command, CommandActor, OrganisationId, Role};
use weituo_proof::{Effective, Origin, StreamName, VerifierKey};

use crate::event::{self, STREAMS_OF_A_PAIR, school, stream_name, trustee};
use crate::measure::{Attempt, Client, Measured, Outcome, Window, run};
use crate::postgres::{Database, Stored};
use crate::rota::{Place, Rota, Shape};

const RULEBOOK: &str = include_str!("../../rulebooks/wenzhou-entrustment-2018.toml");
const BUREAU: &str = "bureau-wz";
const SIGNED_ON: &str = "2019-06-28";

/// Commands that are given at a time while streams are made ready.
const SET_UP_CLIENTS: usize = 256;

/// Streams made ready to learn how fast commands are recorded.
const FIRST_STREAMS: usize = 20;

/// More streams are made ready than the events expected need, for a rate that grows.
const MARGIN: f64 = 2.0;

/// Where a ledger is, and how it is opened.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    pub(crate) url: LedgerUrl,
    pub(crate) folder: PathBuf,
    pub(crate) mode: Mode,
}

impl Site {
    pub(crate) fn on_postgres(database: &Database<'_>, folder: &Path, mode: Mode) -> Outcome<Self> {
        Ok(Self { url: database.url.parse()?, folder: folder.to_owned(), mode })
    }

    pub(crate) fn on_sqlite(folder: &Path, mode: Mode) -> Outcome<Self> {
        let url = format!("sqlite://{}", folder.join("ledger.db").display()).parse()?;
        Ok(Self { url, folder: folder.to_owned(), mode })
    }

    fn options(&self) -> Options {
        Options {
            mode: self.mode,
            key_file: Some(self.folder.join("ledger.key")),
            anchor_file: Some(self.folder.join("ledger.anchor")),
            ..Options::default()
        }
    }

    /// Opens the ledger.
    pub(crate) async fn open(&self) -> Outcome<Arc<Recorder>> {
        let ledger = Ledger::open(&self.url, self.options()).await?;
        if let Some(reason) = ledger.read_only() {
            return Err(reason.into());
        }
        Ok(Arc::new(Recorder::open(ledger).await?))
    }
}

/// A ledger with streams made ready.
pub(crate) struct Scene {
    pub(crate) site: Site,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) streams: usize,
    /// Entries recorded by commands so far.
    pub(crate) recorded: u64,
    shape: Shape,
}

impl Scene {
    /// Makes a ledger with the bureau and the rulebook.
    pub(crate) async fn new(site: Site, shape: Shape) -> Outcome<Self> {
        let mut init = InitOptions::new(Origin::new("log.example/bench")?);
        init.roots = vec![BUREAU.parse()?];
        init.options = site.options();
        let recorder = Arc::new(Recorder::open(Ledger::init(&site.url, &init).await?).await?);
        let bureau = json!({ "kind": "bureau", "name": "示例市教育局", "region": "330300" });
        let adopted = json!({ "text": RULEBOOK, "version": 1 });
        let rulebook = "rulebook/wenzhou-entrustment-2018".to_owned();
        let mut scene = Self { site, recorder, streams: 0, recorded: 0, shape };
        for command in [
            by_bureau("RegisterOrganisation", format!("organisation/{BUREAU}"), &bureau)?,
            by_bureau("AdoptRulebook", rulebook, &adopted)?,
        ] {
            scene.recorder.record(&command).await.map_err(|error| told(&error))?;
            scene.recorded += 1;
        }
        Ok(scene)
    }

    /// Makes enough streams ready for so many clients and so long a window, at the rate that the same number of clients
    /// reaches while the first of them are made.
    pub(crate) async fn make_ready(&mut self, clients: usize, window: Window) -> Outcome<()> {
        let started = Instant::now();
        let before = self.recorded;
        let first = if clients > FIRST_STREAMS { clients } else { FIRST_STREAMS };
        self.add_streams(first, clients).await?;
        let rate = crate::measure::as_f64(self.recorded - before) / started.elapsed().as_secs_f64();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "fewer than a million events"
        )]
        let events = (rate * window.seconds() * MARGIN) as usize;
        let needed = self.shape.streams(events, clients);
        self.add_streams(needed.saturating_sub(self.streams), SET_UP_CLIENTS).await
    }

    /// Makes more streams ready, by so many tasks: two organisations for ten streams, the four acts up to the
    /// signing of each agreement, and the activities that it holds before the measurement.
    pub(crate) async fn add_streams(&mut self, more: usize, tasks: usize) -> Outcome<()> {
        let (from, to) = (self.streams, (self.streams + more).next_multiple_of(STREAMS_OF_A_PAIR));
        let pairs: Vec<usize> = (from..to).step_by(STREAMS_OF_A_PAIR).collect();
        self.each(pairs, tasks, |stream| async move {
            Ok(vec![registration(&trustee(stream)?)?, registration(&school(stream)?)?])
        })
        .await?;
        let existing = self.shape.existing();
        self.each((from..to).collect(), tasks, move |stream| async move {
            let mut commands = opening(stream)?;
            for number in commands.len()..existing {
                commands.push(activity(stream, u32::try_from(number)?)?);
            }
            Ok(commands)
        })
        .await?;
        self.streams = to;
        Ok(())
    }

    /// Records the commands of each stream in order, many streams at a time.
    async fn each<F>(
        &mut self,
        streams: Vec<usize>,
        tasks: usize,
        commands: impl Fn(usize) -> F + Clone + Send + Sync + 'static,
    ) -> Outcome<()>
    where
        F: Future<Output = Outcome<Vec<Command>>> + Send,
    {
        let (streams, next) = (Arc::new(streams), Arc::new(std::sync::atomic::AtomicUsize::new(0)));
        let running: Vec<_> = (0..tasks.min(streams.len()))
            .map(|_| {
                let (streams, next, commands) = (Arc::clone(&streams), Arc::clone(&next), commands.clone());
                let recorder = Arc::clone(&self.recorder);
                tokio::spawn(async move {
                    let mut count = 0;
                    while let Some(stream) =
                        streams.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
                    {
                        for command in commands(*stream).await? {
                            recorder.record(&command).await.map_err(|error| told(&error))?;
                            count += 1;
                        }
                    }
                    Ok::<u64, Box<dyn std::error::Error + Send + Sync>>(count)
                })
            })
            .collect();
        for task in running {
            self.recorded += task.await??;
        }
        Ok(())
    }

    /// Opens the ledger anew, so that no stream is at hand.
    pub(crate) async fn reopen(&mut self) -> Outcome<()> {
        self.recorder.ledger().stop().await?;
        self.recorder = self.site.open().await?;
        Ok(())
    }

    /// Lets clients record activities, and verifies their receipts.
    pub(crate) async fn run(
        &mut self,
        clients: usize,
        window: Window,
        server: Option<u32>,
    ) -> Outcome<(Measured, usize)> {
        let rota = Rota::new(self.shape, 0, self.streams);
        let clients = (0..clients).map(|_| ActivityClient::new(&self.recorder, Place::new(&rota))).collect();
        let (measured, clients) = run(clients, window, server).await?;
        for client in &clients {
            client.verify(self.recorder.ledger().verifier_key())?;
        }
        self.recorded += measured.acknowledged;
        Ok((measured, rota.taken_again()))
    }

    /// Stops the ledger, cleanly.
    pub(crate) async fn stop(&self) -> Outcome<()> {
        Ok(self.recorder.ledger().stop().await?)
    }

    /// Compares what is stored with what was acknowledged.
    pub(crate) fn check(&self, stored: &Stored) -> Outcome<()> {
        if stored.entries == self.recorded {
            return Ok(());
        }
        Err(format!("Weituo: {} entries are stored, {} were acknowledged", stored.entries, self.recorded)
            .into())
    }
}

/// Returns what the table of entries on SQLite holds.
pub(crate) fn stored_on_sqlite(folder: &Path) -> Outcome<Stored> {
    let file = folder.join("ledger.db");
    let connection = rusqlite::Connection::open(&file)?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    let sql = "SELECT sum(stream NOT LIKE 'log/%'), sum(octet_length(body)) FROM entry";
    let (entries, body_bytes): (i64, i64) =
        connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(Stored {
        entries: u64::try_from(entries)?,
        body_bytes: u64::try_from(body_bytes)?,
        total_bytes: std::fs::metadata(&file)?.len(),
    })
}

/// Records one activity in a ledger of its own and returns its entry, the row of the raw peers.
pub(crate) async fn entry(folder: &Path) -> Outcome<String> {
    std::fs::create_dir_all(folder)?;
    let mut scene = Scene::new(Site::on_sqlite(folder, Mode::Strict)?, Shape::Short).await?;
    scene.add_streams(1, 1).await?;
    let recording = scene.recorder.record(&activity(0, 1)?).await.map_err(|error| told(&error))?;
    scene.stop().await?;
    Ok(recording.accepted.receipt.entry.to_string())
}

/// One client, which keeps its command until it is recorded.
pub(crate) struct ActivityClient {
    recorder: Arc<Recorder>,
    place: Place,
    number: u32,
    pending: Option<Command>,
    last: Option<Accepted>,
}

impl ActivityClient {
    pub(crate) fn new(recorder: &Arc<Recorder>, place: Place) -> Self {
        Self { recorder: Arc::clone(recorder), place, number: 0, pending: None, last: None }
    }

    /// Verifies the last receipt.
    pub(crate) fn verify(&self, key: &VerifierKey) -> Outcome<()> {
        if let Some(accepted) = &self.last {
            accepted.receipt.to_proof().verify(key)?;
        }
        Ok(())
    }
}

impl Client for ActivityClient {
    async fn append(&mut self) -> Attempt {
        let command = self.pending.take().map_or_else(
            || {
                self.number += 1;
                activity(self.place.next(), self.number)
            },
            Ok,
        );
        let command = match command {
            Ok(command) => command,
            Err(error) => return Attempt::Failed(error.to_string()),
        };
        match self.recorder.record(&command).await {
            Ok(recording) => {
                self.last = Some(recording.accepted);
                Attempt::Recorded(1)
            }
            Err(error) => {
                self.pending = Some(command);
                match error {
                    RecordError::Conflict { .. } => Attempt::Conflict,
                    error => Attempt::Failed(told(&error)),
                }
            }
        }
    }
}

fn activity(stream: usize, number: u32) -> Outcome<Command> {
    let payload = event::payload(&school(stream)?, number);
    command(
        "RecordActivity",
        stream_name(stream),
        trustee(stream)?,
        Role::Trustee,
        "2020-03-12",
        event::json(&payload),
    )
}

/// The acts that open an agreement, up to its signing.
fn opening(stream: usize) -> Outcome<Vec<Command>> {
    let (school, trustee) = (school(stream)?, trustee(stream)?);
    let rulebook = json!({ "id": "wenzhou-entrustment-2018", "version": 1 });
    let scheme = json!({ "rulebook": rulebook, "paper": { "document": "示县教〔2019〕18号" } });
    let designation = json!({ "rulebook": rulebook, "school": school, "trustee": trustee });
    let consent = json!({ "paper": { "document": "示市教〔2019〕41号" } }).to_string();
    let signing = json!({
        "rulebook": rulebook,
        "school": school,
        "trustee": trustee,
        "form": "team",
        "fields": ["management", "staff", "teaching"],
        "fee_fen": 240_000_000,
        "term_start": "2019-09-01",
        "countersigned": [
            { "organisation": school, "signed_on": SIGNED_ON },
            { "organisation": trustee, "signed_on": SIGNED_ON },
        ],
    });
    let name = || stream_name(stream);
    Ok(vec![
        by_bureau("IssueScheme", name(), &scheme)?,
        by_bureau("DesignateParties", name(), &designation)?,
        command("GrantConsent", name(), BUREAU.parse()?, Role::Superior, SIGNED_ON, consent)?,
        by_bureau("SignAgreement", name(), &signing)?,
    ])
}

fn registration(organisation: &OrganisationId) -> Outcome<Command> {
    let payload = json!({ "kind": "public_school", "name": organisation, "superior": BUREAU });
    by_bureau("RegisterOrganisation", organisation.stream().to_string(), &payload)
}

fn by_bureau(act: &str, stream: String, payload: &serde_json::Value) -> Outcome<Command> {
    command(act, stream, BUREAU.parse()?, Role::Bureau, SIGNED_ON, payload.to_string())
}

fn command(
    act: &str,
    stream: String,
    organisation: OrganisationId,
    role: Role,
    effective: &str,
    payload: String,
) -> Outcome<Command> {
    Ok(Command {
        actor: CommandActor { organisation, person: None, role },
        as_found: false,
        command: weituo::fresh_command_id(),
        confidential: false,
        r#do: act.to_owned(),
        effective: Effective::new(effective)?,
        parties: Vec::new(),
        payload: RawValue::from_string(payload)?,
        seen: None,
        signed: None,
        stream: StreamName::new(stream)?,
    })
}

/// Returns an error with its sources.
fn told(error: &dyn std::error::Error) -> String {
    let source = error.source().map_or_else(String::new, |source| format!(": {}", told(source)));
    format!("{error}{source}")
}
