//! The command line: maps arguments to the application and prints what comes back. It decides nothing.
//!
//! Exit codes: 0 done; 1 findings (`verify`) or no such thing (whatever is asked for by a name or number); 2 could not
//! run or could not check; 3 at least one command was refused (`record`, `adopt`, `erase`, `sign`).

mod args;
mod backup;
mod demo;
mod dossier;
mod inspect;
mod keys;
mod lines;
mod log_key;
mod mirror;
mod organisation;
mod output;
mod record;
mod serve;
mod setup;
mod show;
mod sign;
mod stamp;
mod tables;
mod usage;
mod values;
mod verify;
mod watch;
mod witness;
mod words;

use std::io::IsTerminal as _;
use std::num::NonZero;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
use clap::{Arg, ArgAction, CommandFactory, FromArgMatches};
use weituo_proof::Language;

use crate::follower::Follower;
use crate::ledger::{Ledger, Mode, Options};
use crate::query::Query;
use crate::recorder::Recorder;
use crate::stamp::Stamps;
use crate::store::{LedgerUrl, NO_LEDGER_HERE, Store, StoreError};
use args::{Action, Cli, Shared};
use output::{Failure, Voice};

/// Threads that read databases and files and examine pages: at least two, so that one reads while another works, and at most
/// these.
const MOST_BLOCKING_THREADS: usize = 8;

/// Runs the command line on the process's arguments.
pub fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let asked = arguments.iter().skip_while(|arg| *arg != "--lang").nth(1).cloned();
    let inline = arguments.iter().find_map(|arg| arg.strip_prefix("--lang=").map(str::to_owned));
    let language = words::language(asked.or(inline).as_deref());
    let cli = match localised(language).try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches))
    {
        Ok(cli) => cli,
        // Help and the version are asked for; help is also what a command without its own command gives.
        Err(error) if !error.use_stderr() || error.kind() == DisplayHelpOnMissingArgumentOrSubcommand => {
            error.exit()
        }
        Err(error) => {
            let json = arguments.iter().any(|arg| arg == "--json");
            return ExitCode::from(Voice { language, json }.fail(&usage::refusal(&error)));
        }
    };
    let runs_on = matches!(cli.action, Action::Serve { .. } | Action::Watch(_) | Action::Witness { .. });
    // With `--json` whoever reads standard error expects one object; what it says holds the log's lines too.
    let usual = if cli.shared.json && !runs_on { "off" } else { "warn" };
    let filter = tracing_subscriber::EnvFilter::try_from_env("WEITUO_LOG").unwrap_or_else(|_| usual.into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    let voice = Voice { language, json: cli.shared.json };
    // A command reads few things at a time; on a busy machine tokio would start ever more threads, each with its own memory.
    let threads = available_parallelism().map_or(2, NonZero::get).clamp(2, MOST_BLOCKING_THREADS);
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = match runtime.enable_all().max_blocking_threads(threads).build() {
        Ok(runtime) => runtime,
        Err(error) => return ExitCode::from(voice.fail(&Failure::from_error("runtime", &error))),
    };
    match runtime.block_on(run(voice, &cli)) {
        Ok(_) if output::output_failed() => ExitCode::from(voice.fail(&Failure::could_not_run(
            "output",
            "标准输出无法写入(磁盘已满?):上面的结果不完整",
            "standard output cannot be written (is the disk full?): what was printed is not complete",
        ))),
        Ok(code) => ExitCode::from(code),
        Err(failure) => ExitCode::from(voice.fail(&failure)),
    }
}

/// Returns the parser with its subcommands described in one language.
fn localised(language: Language) -> clap::Command {
    let template =
        format!("{{about}}\n\n{}: {{usage}}\n\n{{all-args}}", words::word(language, "heading-usage"));
    let about = |name: &str| words::word(language, &format!("help-{name}"));
    let help = Arg::new("help").short('h').long("help").action(ArgAction::Help).global(true);
    let version = Arg::new("version").short('V').long("version").action(ArgAction::Version);
    let mut command =
        Cli::command().disable_help_flag(true).disable_version_flag(true).arg(help).arg(version);
    command = described(command, language)
        .about(about("weituo"))
        .subcommand_help_heading(words::word(language, "heading-commands"))
        .disable_help_subcommand(true)
        .help_template(template.clone());
    with_subcommands(command, language, "help", &template)
}

/// Describes the subcommands of a command, and theirs, in one language; `path` is the key of its own description.
fn with_subcommands(
    mut command: clap::Command,
    language: Language,
    path: &str,
    template: &str,
) -> clap::Command {
    let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    for name in names {
        let key = format!("{path}-{name}");
        let described = |sub| {
            let sub = described(sub, language)
                .about(words::word(language, &key))
                .help_template(template.to_owned());
            let sub = sub.subcommand_help_heading(words::word(language, "heading-commands"));
            with_subcommands(sub.disable_help_subcommand(true), language, &key, template)
        };
        command = command.mut_subcommand(name, described);
    }
    command
}

/// Describes a command's own arguments in one language.
fn described(command: clap::Command, language: Language) -> clap::Command {
    command.mut_args(|arg| {
        let (key, heading) =
            (format!("arg-{}", arg.get_id()), if arg.is_positional() { "arguments" } else { "options" });
        let heading = words::word(language, &format!("heading-{heading}"));
        arg.help(words::word(language, &key)).help_heading(heading)
    })
}

async fn run(voice: Voice, cli: &Cli) -> Result<u8, Failure> {
    let desk = Desk { voice, shared: &cli.shared };
    match &cli.action {
        Action::Init { origin, bureaus, after } => setup::init(&desk, origin, bureaus, after).await,
        Action::Adopt { file, by, effective, command } => {
            record::adopt(&desk, file, by, effective.as_deref(), command.as_deref()).await
        }
        Action::Record { file, max_line } => record::record(&desk, file, *max_line).await,
        Action::Sign { file, key_file, ledger_origin, max_line } => {
            sign::sign(&desk, file, key_file, ledger_origin, *max_line)
        }
        Action::Key { action } => keys::run(voice, action),
        Action::Show { what, id, on, at } => show::show(&desk, *what, id, *on, *at).await,
        Action::Docket { bureau, on } => show::docket(&desk, bureau.as_ref(), *on).await,
        Action::Log { stream } => inspect::log(&desk, stream.as_deref()).await,
        Action::Entry { leaf_index } => inspect::entry(&desk, *leaf_index).await,
        Action::Find { hash_or_file } => inspect::find(&desk, hash_or_file).await,
        Action::Checkpoint => inspect::checkpoint(&desk).await,
        Action::Stamp { tsa } => stamp::stamp(&desk, tsa).await,
        Action::Receipt { leaf_index } => inspect::receipt(&desk, *leaf_index).await,
        Action::Dossier { of, id, out, on, tsa } => {
            dossier::dossier(&desk, *of, id, out, *on, tsa.as_deref()).await
        }
        Action::Serve { listen, tsa, tsa_every } => {
            serve::serve(&desk, *listen, tsa.as_deref(), *tsa_every).await
        }
        Action::Erase { leaf_index, digest, grounds, by } => {
            record::erase(&desk, *leaf_index, digest, grounds, by.as_ref()).await
        }
        Action::Recover { from: Some(from), .. } => setup::recover(&desk, from).await,
        Action::Recover { kept, .. } => setup::accept_anchor(&desk, kept.as_deref()).await,
        Action::LogKey { action } => log_key::run(&desk, action).await,
        Action::Freeze { successor } => log_key::freeze(&desk, successor.as_deref()).await,
        Action::Backup { to } => backup::backup(&desk, to).await,
        Action::Restore { backup, behind_anchor } => backup::restore(&desk, backup, *behind_anchor).await,
        Action::Mirror { url, dir, key } => mirror::mirror(&desk, url, dir, key),
        Action::Verify { checkpoints, stream, key, mirror: Some(log), .. } => {
            mirror::verify(&desk, log, checkpoints, stream.as_deref(), key)
        }
        Action::Verify { checkpoints, stream, key, resume, .. } => {
            verify::verify(&desk, checkpoints, stream.as_deref(), key, resume.as_deref()).await
        }
        Action::Watch(asked) => watch::watch(&desk, asked).await,
        Action::Rebuild { projection } => setup::rebuild(&desk, projection.as_deref()).await,
        Action::Witness { state, logs, listen, name } => {
            witness::witness(&desk, state, logs, *listen, name.as_deref()).await
        }
        Action::Schema { command } => inspect::schema(&desk, command.as_deref()),
        Action::Demo { dir } => demo::demo(&desk, dir.as_deref()).await,
    }
}

/// One run's voice, its options, and the ledger that they name.
pub(crate) struct Desk<'a> {
    pub(crate) voice: Voice,
    pub(crate) shared: &'a Shared,
}

impl Desk<'_> {
    /// Returns the ledger's address.
    pub(crate) fn url(&self) -> Result<LedgerUrl, Failure> {
        self.shared.ledger.parse().map_err(|error| Failure::from_error("ledger-url", &error))
    }

    fn options(&self, read_only: bool) -> Options {
        Options {
            mode: if self.shared.guard { Mode::Guard } else { Mode::Strict },
            read_only,
            key_file: self.shared.signing_key.clone(),
            anchor_file: self.shared.anchor.clone(),
            policy_file: self.shared.policy.clone(),
            wait_for_witnesses: self.shared.wait_for_witnesses.map(Duration::from_secs),
            ..Options::default()
        }
    }

    /// Returns the log's kept time-stamps.
    pub(crate) fn stamps(&self) -> Result<Stamps, Failure> {
        let folder = self.options(true).stamps_folder(&self.url()?);
        folder.map(Stamps::new).map_err(|error| Failure::from_error("stamp", &error))
    }

    /// Opens the ledger for recording.
    pub(crate) async fn recorder(&self) -> Result<Recorder, Failure> {
        let ledger = Ledger::open(&self.url()?, self.options(false))
            .await
            .map_err(|error| Failure::from_error("ledger-open", &error))?;
        Recorder::open(ledger).await.map_err(|error| Failure::from_error("rulebooks", &error))
    }

    /// Opens the ledger for reading.
    pub(crate) async fn reader(&self) -> Result<Ledger, Failure> {
        Ledger::open(&self.url()?, self.options(true))
            .await
            .map_err(|error| Failure::from_error("ledger-open", &error))
    }

    /// Opens the ledger's store to fold its log, which writes projections: into a database of this program's schema only.
    pub(crate) async fn store_to_fold(&self) -> Result<Arc<dyn Store>, Failure> {
        let store = crate::store::open(&self.url()?, crate::store::StoreOptions::default(), false)
            .await
            .map_err(|error| Failure::from_error("store-open", &error))?;
        let unusable = |error: StoreError| Failure::from_error("store-read", &error);
        store.require_current().await.map_err(unusable)?;
        if store.head().await.map_err(unusable)?.is_none()
            && store.scan(0, 1).await.map_err(unusable)?.is_empty()
        {
            return Err(unusable(StoreError::Schema { what: NO_LEDGER_HERE }));
        }
        Ok(store)
    }

    /// Opens the store and brings the projections up to the log.
    pub(crate) async fn query(&self) -> Result<Query, Failure> {
        let store = self.store_to_fold().await?;
        let follower = Follower::new(Arc::clone(&store));
        let head = store.head().await.map_err(|error| Failure::from_error("store-read", &error))?;
        let total = head.map_or(0, |head| head.size);
        let bar = self.voice.progress(total, "progress-projections");
        let caught_up = follower.catch_up(|done| bar.set_position(done)).await;
        bar.finish_and_clear();
        caught_up.map_err(|error| Failure::from_error("projections", &error))?;
        Query::open(store).await.map_err(|error| Failure::from_error("rulebooks", &error))
    }
}

/// Returns the path of a file that stands beside the SQLite database.
pub(crate) fn beside(url: &LedgerUrl, name: &str) -> Option<PathBuf> {
    match url {
        LedgerUrl::Sqlite(path) => Some(path.with_file_name(name)),
        LedgerUrl::Postgres(_) => None,
    }
}
