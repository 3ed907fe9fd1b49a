//! What the command line accepts.

mod keys;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use chrono::NaiveDate;
use clap::builder::{PathBufValueParser, TypedValueParser as _};
use clap::{Args, Parser, Subcommand, ValueEnum};
use weituo_events::OrganisationId;

use super::lines::MAX_LINE_BYTES;
use super::values::{backup_file, interval, web_address};

pub(crate) use keys::{After, KeyAction, LogKeyAction};

/// Limits of a line that can be asked for: a small command fits, and memory holds it several times over.
const MAX_LINES_BYTES: std::ops::RangeInclusive<u64> = 1_024..=64 << 20;

/// The audit ledger for entrustment contracts (委托办学).
#[derive(Debug, Parser)]
#[command(name = "weituo", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) shared: Shared,
    #[command(subcommand)]
    pub(crate) action: Action,
}

/// Options of every subcommand.
#[derive(Debug, Clone, Args)]
pub(crate) struct Shared {
    /// `sqlite://PATH` or `postgres://…`
    #[arg(
        long,
        global = true,
        env = "WEITUO_LEDGER",
        default_value = "sqlite://weituo-data/ledger.db",
        value_name = "URL"
    )]
    pub(crate) ledger: String,
    /// Prints JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// `zh` or `en`; else by LANG
    #[arg(long, global = true, value_name = "LANG", value_parser = ["zh", "en"], hide_possible_values = true)]
    pub(crate) lang: Option<String>,
    /// The log's signing key; beside the database by default
    #[arg(long, global = true, env = "WEITUO_SIGNING_KEY", value_name = "FILE")]
    pub(crate) signing_key: Option<PathBuf>,
    /// The anchor file, or the address of a witness of our own; a file beside the key by default
    #[arg(long, global = true, env = "WEITUO_ANCHOR", value_name = "FILE")]
    pub(crate) anchor: Option<PathBuf>,
    /// Answers before the anchor is durable (at most 50 ms behind)
    #[arg(long, global = true)]
    pub(crate) guard: bool,
    /// The trust policy that names the outside witnesses; nobody is asked by default
    #[arg(long, global = true, env = "WEITUO_POLICY", value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    /// Answers wait so many seconds for the policy's quorum (30 where no number is given)
    #[arg(
        long,
        global = true,
        env = "WEITUO_WAIT_FOR_WITNESSES",
        value_name = "SECONDS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "30",
        value_parser = clap::value_parser!(u64).range(1..=3_600)
    )]
    pub(crate) wait_for_witnesses: Option<u64>,
}

/// What a state is shown of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shown {
    Agreement,
    Trustee,
    School,
    Organisation,
}

/// What a dossier can be of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Subjects {
    Agreement,
    Trustee,
    School,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// help-init
    Init {
        /// Name of the log: ASCII, such as `ledger.example.cn/wenzhou`
        #[arg(long)]
        origin: String,
        /// Id of a root bureau, which may register organisations from the start
        #[arg(long = "bureau", value_name = "ID", default_value = "bureau")]
        bureaus: Vec<OrganisationId>,
        #[command(flatten)]
        after: After,
    },
    /// help-adopt
    Adopt {
        /// The rulebook, TOML
        file: PathBuf,
        /// The bureau that adopts it
        #[arg(long, value_name = "ORGANISATION")]
        by: OrganisationId,
        /// The day it takes effect; today by default
        #[arg(long, value_name = "DATE")]
        effective: Option<String>,
        /// Id of the command, a UUID; repeating it is safe
        #[arg(long, value_name = "UUID")]
        command: Option<String>,
    },
    /// help-record
    Record {
        /// JSON Lines; standard input by default
        #[arg(default_value = "-")]
        file: String,
        /// Longest line, in bytes: a longer one is refused
        #[arg(
            long,
            env = "WEITUO_MAX_LINE",
            value_name = "BYTES",
            default_value_t = MAX_LINE_BYTES,
            value_parser = clap::value_parser!(u64).range(MAX_LINES_BYTES)
        )]
        max_line: u64,
    },
    /// help-sign
    Sign {
        /// JSON Lines; standard input by default
        #[arg(default_value = "-")]
        file: String,
        /// The actor's key file
        #[arg(id = "actor_key", long = "key", value_name = "KEYFILE")]
        key_file: PathBuf,
        /// Origin of the ledger that the commands are for
        #[arg(long, env = "WEITUO_ORIGIN", value_name = "ORIGIN")]
        ledger_origin: String,
        /// Longest line, in bytes: a longer one is refused
        #[arg(
            long,
            env = "WEITUO_MAX_LINE",
            value_name = "BYTES",
            default_value_t = MAX_LINE_BYTES,
            value_parser = clap::value_parser!(u64).range(MAX_LINES_BYTES)
        )]
        max_line: u64,
    },
    /// help-key
    Key {
        #[command(subcommand)]
        action: KeyAction,
    },
    /// help-show
    Show {
        #[arg(hide_possible_values = true)]
        what: Shown,
        id: String,
        /// As of this date: only acts that took place by then
        #[arg(long, value_name = "DATE", conflicts_with = "at")]
        on: Option<NaiveDate>,
        /// As of this log size: only what was recorded by then
        #[arg(long, value_name = "SIZE")]
        at: Option<u64>,
    },
    /// help-docket
    Docket {
        /// Only this bureau's
        #[arg(long, value_name = "ID")]
        bureau: Option<OrganisationId>,
        /// As of this date; today by default
        #[arg(long, value_name = "DATE")]
        on: Option<NaiveDate>,
    },
    /// help-log
    Log {
        /// Only this stream's entries, such as `agreement/WZ-2019-001`
        stream: Option<String>,
    },
    /// help-entry
    Entry { leaf_index: u64 },
    /// help-find
    Find {
        /// 64 hex digits, or a file whose hash is looked for
        hash_or_file: String,
    },
    /// help-checkpoint
    Checkpoint,
    /// help-stamp
    Stamp {
        /// Address of the RFC 3161 authority
        #[arg(long, env = "WEITUO_TSA", value_name = "URL", value_parser = web_address)]
        tsa: String,
    },
    /// help-receipt
    Receipt { leaf_index: u64 },
    /// help-dossier
    Dossier {
        /// Whose history
        #[arg(id = "of", value_name = "KIND", hide_possible_values = true)]
        of: Subjects,
        id: String,
        /// `.json`, or `.html` for a page that verifies itself
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// The day that its state is of; today by default
        #[arg(long, value_name = "DATE")]
        on: Option<NaiveDate>,
        /// Address of an RFC 3161 authority that stamps its checkpoint
        #[arg(long, env = "WEITUO_TSA", value_name = "URL", value_parser = web_address)]
        tsa: Option<String>,
    },
    /// help-serve
    Serve {
        /// Where to listen
        #[arg(long, env = "WEITUO_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:8740")]
        listen: SocketAddr,
        /// Address of an RFC 3161 authority that stamps the checkpoint served
        #[arg(long, env = "WEITUO_TSA", value_name = "URL", value_parser = web_address)]
        tsa: Option<String>,
        /// How often, such as `30m`
        #[arg(long, value_name = "INTERVAL", default_value = "1h", value_parser = interval)]
        tsa_every: Duration,
    },
    /// help-erase
    Erase {
        leaf_index: u64,
        /// Digest of the disclosure, 43 characters
        #[arg(allow_hyphen_values = true)]
        digest: String,
        /// Legal or other grounds, shown wherever the value stood
        #[arg(long)]
        grounds: String,
        /// The bureau that erases; the ledger's operator by default
        #[arg(long, value_name = "ORGANISATION")]
        by: Option<OrganisationId>,
    },
    /// help-recover
    Recover {
        /// A backup: another ledger's URL, or a file of entries, one a line
        #[arg(long, value_name = "BACKUP", required_unless_present_any = ["kept", "accept_lost_anchor"])]
        from: Option<String>,
        /// The anchor is lost, and this checkpoint of the log was kept by somebody
        #[arg(id = "kept", long = "checkpoint", value_name = "FILE", conflicts_with_all = ["from", "accept_lost_anchor"])]
        kept: Option<PathBuf>,
        /// The anchor is lost and nobody kept a checkpoint: the database is accepted as it is, which the log records
        #[arg(long, conflicts_with = "from")]
        accept_lost_anchor: bool,
    },
    /// help-log-key
    LogKey {
        #[command(subcommand)]
        action: LogKeyAction,
    },
    /// help-freeze
    Freeze {
        /// Origin of the ledger that follows
        #[arg(long, value_name = "ORIGIN")]
        successor: Option<String>,
    },
    /// help-backup
    Backup {
        /// A new file
        #[arg(id = "to", value_name = "FILE", value_parser = PathBufValueParser::new().try_map(backup_file))]
        to: PathBuf,
    },
    /// help-restore
    Restore {
        /// A file that `backup` wrote
        #[arg(id = "backup", value_name = "FILE", value_parser = PathBufValueParser::new().try_map(backup_file))]
        backup: PathBuf,
        /// Although the anchor vouches for more entries
        #[arg(long)]
        behind_anchor: bool,
    },
    /// help-verify
    Verify {
        /// A checkpoint that somebody else kept
        #[arg(long = "checkpoint", value_name = "FILE")]
        checkpoints: Vec<PathBuf>,
        /// Only this stream's entries
        #[arg(long)]
        stream: Option<String>,
        /// The log's verifier key, obtained elsewhere (`name+hash+key`, or a file that holds it)
        #[arg(long, visible_alias = "verifier-key", value_name = "KEY")]
        key: Vec<String>,
        /// Keep the state here, and go on from it after an interruption; a folder of yours, not of the ledger
        #[arg(long, value_name = "FOLDER")]
        resume: Option<PathBuf>,
        /// A served log's address or a copy's folder, instead of a database; needs the key
        #[arg(long, value_name = "PLACE", requires = "key", conflicts_with = "resume")]
        mirror: Option<String>,
    },
    /// help-mirror
    Mirror {
        /// Address of a served log, such as `https://ledger.example.cn/log/`
        url: String,
        /// A folder, made if it is not there
        #[arg(id = "folder", value_name = "DIR")]
        dir: PathBuf,
        /// The log's verifier key, obtained elsewhere; by default the copy's, or at first the one that the server states
        #[arg(long, value_name = "KEY")]
        key: Vec<String>,
    },
    /// help-watch
    Watch(super::watch::Watching),
    /// help-rebuild
    Rebuild {
        /// One projection; all by default
        projection: Option<String>,
    },
    /// help-witness
    Witness {
        /// The witness's directory; it gets a key of its own on first use
        #[arg(long, value_name = "DIR")]
        state: PathBuf,
        /// Verifier key of a log that is witnessed, or a file that holds it
        #[arg(long = "log", value_name = "KEY", required = true)]
        logs: Vec<String>,
        /// Where it listens
        #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8742")]
        listen: SocketAddr,
        /// The witness's name, for good; one made from its key by default
        #[arg(id = "witness_name", long = "name")]
        name: Option<String>,
    },
    /// help-schema
    Schema {
        /// Such as `SignAgreement`; lists all by default
        #[arg(id = "schema_of", value_name = "COMMAND")]
        command: Option<String>,
    },
    /// help-demo
    Demo {
        /// An empty or new folder; a temporary one by default
        #[arg(long)]
        dir: Option<PathBuf>,
    },
}
