//! `watch`: a monitor of a served log, and an auditor that cosigns what it has replayed.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::Desk;
use super::output::{Failure, Voice, line, visible};
use super::values::{interval, web_address};
use super::words::words;
use crate::mirror::LogSource;
use crate::watch::{Auditor, Look, Metrics, Monitor};

/// How long a webhook may take.
const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(20);

/// What is watched, and who is told.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Watching {
    /// Address of a served log, or a copy's folder
    #[arg(id = "watched", value_name = "URL")]
    pub(crate) log: String,
    /// The log's verifier key, obtained elsewhere (`name+hash+key`, or a file that holds it)
    #[arg(long, value_name = "KEY", required = true)]
    pub(crate) key: Vec<String>,
    /// How often to look: 30s, 5m, 2h
    #[arg(long, value_name = "TIME", value_parser = interval, default_value = "5m")]
    pub(crate) every: Duration,
    /// Looks once
    #[arg(long)]
    pub(crate) once: bool,
    /// The monitor's memory, a folder
    #[arg(id = "memory", long = "state", value_name = "DIR", default_value = "weituo-watch")]
    pub(crate) state: PathBuf,
    /// A log that shows nothing for longer is a finding
    #[arg(long, value_name = "TIME", value_parser = interval, default_value = "1h")]
    pub(crate) silence: Duration,
    /// Run at every look that finds something, by `sh`; the look is on its standard input, JSON
    #[arg(id = "run", long = "exec", value_name = "COMMAND")]
    pub(crate) exec: Option<String>,
    /// Sent every look that finds something, JSON
    #[arg(long, value_name = "URL", value_parser = web_address)]
    pub(crate) webhook: Option<String>,
    /// An auditor's key file (`weituo key new`): cosigns what was replayed and right, into `DIR/cosigned/`
    #[arg(long, value_name = "KEYFILE")]
    pub(crate) cosign: Option<PathBuf>,
    /// Where to serve metrics (Prometheus)
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) metrics: Option<SocketAddr>,
}

/// Watches a log until the process is asked to stop, or looks once.
pub(super) async fn watch(desk: &Desk<'_>, asked: &Watching) -> Result<u8, Failure> {
    let keys = super::verify::keys(&asked.key)?;
    let auditor = asked.cosign.as_deref().map(|file| auditor(desk.voice, file, &asked.state)).transpose()?;
    let monitor = Monitor::new(LogSource::of(&asked.log), keys, &asked.state, asked.silence);
    let monitor = Arc::new((monitor, auditor));
    let metrics = Arc::new(Mutex::new(Metrics::default()));
    if let Some(address) = asked.metrics {
        serve_metrics(desk.voice, address, Arc::clone(&metrics)).await?;
    }
    let unusable = |error: std::io::Error| Failure::from_error("signals", &error);
    let mut interrupt = signal(SignalKind::interrupt()).map_err(unusable)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(unusable)?;
    loop {
        let looking = Arc::clone(&monitor);
        let looked = tokio::task::spawn_blocking(move || {
            let (monitor, auditor) = &*looking;
            let look = monitor.look(crate::now())?;
            if let Some(auditor) = auditor {
                auditor.cosign(&look, crate::since_epoch().as_secs())?;
            }
            Ok(look)
        });
        let looked = looked.await.map_err(|error| Failure::from_error("watch", &error))?;
        let look =
            looked.map_err(|error: crate::mirror::MirrorError| Failure::from_error("watch", &error))?;
        metrics.lock().unwrap_or_else(PoisonError::into_inner).take(&look);
        tell(desk.voice, &look, asked).await;
        if asked.once {
            return Ok(look.exit_code());
        }
        tokio::select! {
            () = tokio::time::sleep(asked.every) => {}
            _ = interrupt.recv() => return Ok(0),
            _ = terminate.recv() => return Ok(0),
        }
    }
}

fn auditor(voice: Voice, file: &Path, state: &Path) -> Result<Auditor, Failure> {
    let key = crate::ledger::read_key(file).map_err(|error| Failure::from_error("auditor-key", &error))?;
    let auditor = Auditor::new(&key, state).map_err(|error| Failure::from_error("auditor-key", &error))?;
    if !voice.json {
        line(words(voice.language, "watch-auditor", &[("key", auditor.verifier_key())]));
    }
    Ok(auditor)
}

async fn serve_metrics(
    voice: Voice,
    address: SocketAddr,
    metrics: Arc<Mutex<Metrics>>,
) -> Result<(), Failure> {
    let unusable = |error: &std::io::Error| {
        Failure::could_not_run(
            "listen",
            format!("无法在 {address} 监听:{error};请换一个地址"),
            format!("cannot listen on {address}: {error}; choose another address"),
        )
    };
    let listener = tokio::net::TcpListener::bind(address).await.map_err(|error| unusable(&error))?;
    let address = listener.local_addr().map_err(|error| unusable(&error))?;
    if voice.json {
        line(serde_json::json!({ "metrics": format!("http://{address}/metrics") }).to_string());
    } else {
        line(words(voice.language, "watch-metrics", &[("address", &address)]));
    }
    tokio::spawn(async move { axum::serve(listener, crate::http::metrics::router(metrics)).await });
    Ok(())
}

/// Prints a look, and tells whoever is to be told where it found something.
async fn tell(voice: Voice, look: &Look, asked: &Watching) {
    let report = serde_json::to_string(look).expect("invariant: a look has no fallible member");
    if voice.json {
        line(&report);
    } else {
        print(voice, look);
    }
    if look.findings.is_empty() {
        return;
    }
    let (exec, webhook) = (asked.exec.clone(), asked.webhook.clone());
    let told = tokio::task::spawn_blocking(move || {
        if let Some(command) = exec
            && let Err(error) = run(&command, &report)
        {
            tracing::warn!(%error, %command, "the command could not be run");
        }
        if let Some(url) = webhook
            && let Err(error) = post(&url, &report)
        {
            tracing::warn!(%error, %url, "the webhook was not told");
        }
    });
    if let Err(error) = told.await {
        tracing::warn!(%error, "nobody could be told");
    }
}

fn print(voice: Voice, look: &Look) {
    let shown: [(&str, &dyn ToString); 4] =
        [("at", &look.at), ("origin", &look.origin), ("before", &look.before), ("size", &look.size)];
    let key = match look.exit_code() {
        0 => "watch-right",
        1 => "watch-findings",
        _ => "watch-unchecked",
    };
    line(words(voice.language, key, &shown));
    for finding in &look.findings {
        for shown in super::verify::finding_lines(voice, finding) {
            line(visible(&shown));
        }
    }
    for reason in &look.reasons {
        line(format!("  {}", visible(reason.get(voice.language))));
    }
    if let Some(evidence) = &look.evidence {
        line(words(voice.language, "watch-evidence", &[("folder", &evidence.display())]));
    }
}

fn run(command: &str, report: &str) -> std::io::Result<()> {
    // What it says is not a part of what is looked at, which is on standard output.
    let mut shell = Command::new("sh");
    let mut child = shell.args(["-c", command]).stdin(Stdio::piped()).stdout(std::io::stderr()).spawn()?;
    if let Some(mut input) = child.stdin.take() {
        // A command that does not read what it is told is none the worse for it.
        let _ = input.write_all(report.as_bytes());
    }
    let status = child.wait()?;
    if status.success() { Ok(()) } else { Err(std::io::Error::other(status.to_string())) }
}

fn post(url: &str, report: &str) -> Result<(), ureq::Error> {
    let config = ureq::Agent::config_builder().timeout_global(Some(WEBHOOK_TIMEOUT)).build();
    let agent: ureq::Agent = config.into();
    agent.post(url).header("content-type", "application/json").send(report).map(drop)
}
