//! How a ledger is made and opened.
//!
//! Absent: reading the environment and the command line (the edges).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use weituo_events::OrganisationId;
use weituo_events::payload::Predecessor;
use weituo_proof::{Both, Origin};

use super::anchor::address;
use super::clock::{Clock, SystemClock};
use super::types::{LedgerError, Mode};
use crate::store::{LedgerUrl, StoreOptions};

/// How a ledger is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// When receipts may leave.
    pub mode: Mode,
    /// Never write, whatever the state.
    pub read_only: bool,
    /// The signing key's file; for SQLite `ledger.key` beside the database unless given.
    pub key_file: Option<PathBuf>,
    /// The anchor's file; for SQLite `ledger.anchor` beside the database unless given. Or the address of a witness of our
    /// own, `http://HOST:PORT`, as the anchor of several machines.
    pub anchor_file: Option<PathBuf>,
    /// The trust policy that names the outside witnesses (C2SP tlog-policy); nobody is asked without one.
    pub policy_file: Option<PathBuf>,
    /// Answers wait so long for the policy's quorum, and say so where it has not cosigned; at once unless given.
    pub wait_for_witnesses: Option<Duration>,
    /// Signed checkpoints that witnesses kept: the highest replaces a lost anchor.
    pub witnessed: Vec<String>,
    /// Accepts the database as it is where the anchor is lost and no witness kept a checkpoint.
    pub accept_lost_anchor: bool,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// Limits of the database connections.
    pub store: StoreOptions,
    /// Most entries in a batch, up to 4,096.
    pub batch: usize,
    /// The completeness index is committed at the latest every so many entries, itself included.
    pub index_every: u64,
    /// … and so long after the first entry that it does not cover.
    pub index_after: Duration,
    /// So long after it, it is committed again for those who ask for proofs, at the earliest.
    pub index_apart: Duration,
    /// How often the database is looked at for entries of other processes.
    pub follow_every: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            mode: Mode::Strict,
            read_only: false,
            key_file: None,
            anchor_file: None,
            policy_file: None,
            wait_for_witnesses: None,
            witnessed: Vec::new(),
            accept_lost_anchor: false,
            clock: Arc::new(SystemClock::default()),
            store: StoreOptions::default(),
            batch: 1_000,
            index_every: 4_096,
            index_after: Duration::from_mins(1),
            index_apart: Duration::from_secs(10),
            follow_every: Duration::from_millis(500),
        }
    }
}

impl Options {
    /// Returns the folder of the log's time-stamps: `ledger.stamps` beside `ledger.anchor`, or beside the key where the anchor is
    /// no file.
    ///
    /// # Errors
    ///
    /// `Invalid` where neither file of a ledger on PostgreSQL is named.
    pub fn stamps_folder(&self, url: &LedgerUrl) -> Result<PathBuf, LedgerError> {
        Files::of(url, self).map(|files| files.outside().with_extension("stamps"))
    }
}

/// What a new ledger starts with.
#[derive(Debug, Clone)]
pub struct InitOptions {
    /// The log's name.
    pub origin: Origin,
    /// Who may register other organisations from the start.
    pub roots: Vec<OrganisationId>,
    /// Offset of the ledger's zone from UTC, such as `+08:00`.
    pub zone: String,
    /// The ledger that this one follows.
    pub predecessor: Option<Predecessor>,
    /// How it is opened afterwards.
    pub options: Options,
}

impl InitOptions {
    /// Returns what a ledger in China starts with.
    pub fn new(origin: Origin) -> Self {
        Self {
            origin,
            roots: Vec::new(),
            zone: "+08:00".to_owned(),
            predecessor: None,
            options: Options::default(),
        }
    }
}

/// Files of a ledger outside its database.
#[derive(Debug, Clone)]
pub(super) struct Files {
    pub(super) key: PathBuf,
    pub(super) anchor: PathBuf,
}

impl Files {
    /// Returns where the newest cosigned checkpoint is kept: `ledger.cosigned` beside `ledger.anchor`, or beside the key where
    /// the anchor is no file.
    pub(super) fn cosigned(&self) -> PathBuf {
        self.outside().with_extension("cosigned")
    }

    /// Returns the file beside which stands what others said of the log.
    fn outside(&self) -> &Path {
        if address(&self.anchor).is_some() { &self.key } else { &self.anchor }
    }

    /// Returns where key and anchor are, as far as it is known: beside a SQLite ledger unless they are named.
    pub(super) fn known(url: &LedgerUrl, options: &Options) -> (Option<PathBuf>, Option<PathBuf>) {
        let default = |name: &str| url.folder().map(|folder| folder.join(name));
        let (key, anchor) = (options.key_file.clone(), options.anchor_file.clone());
        (key.or_else(|| default("ledger.key")), anchor.or_else(|| default("ledger.anchor")))
    }

    pub(super) fn of(url: &LedgerUrl, options: &Options) -> Result<Self, LedgerError> {
        match Self::known(url, options) {
            (Some(key), Some(anchor)) => Ok(Self { key, anchor }),
            _ => Err(LedgerError::Invalid {
                what: Both::new(
                    "PostgreSQL 上的台账需要 WEITUO_SIGNING_KEY 与 WEITUO_ANCHOR:数据库之外的文件",
                    "a ledger on PostgreSQL needs WEITUO_SIGNING_KEY and WEITUO_ANCHOR: files outside the database",
                ),
            }),
        }
    }
}
