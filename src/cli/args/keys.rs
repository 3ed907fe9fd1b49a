//! What the command line accepts about keys: actors', the log's own, and those of the ledger before.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use weituo_events::{OrganisationId, Role};

/// The ledger that a new one follows.
#[derive(Debug, Args)]
pub(crate) struct After {
    /// The last checkpoint of the ledger that this one follows
    #[arg(long, value_name = "FILE")]
    pub(crate) predecessor: Option<PathBuf>,
    /// That ledger's verifier key, which the checkpoint is verified with
    #[arg(long, value_name = "KEY", requires = "predecessor")]
    pub(crate) predecessor_key: Option<String>,
    /// First leaf index of that ledger that is lost
    #[arg(long, value_name = "LEAF", requires = "predecessor")]
    pub(crate) lost_from: Option<u64>,
    /// First leaf index after what is lost
    #[arg(long, value_name = "LEAF", requires = "lost_from")]
    pub(crate) lost_to: Option<u64>,
}

/// What is done with the log's own keys.
#[derive(Debug, Subcommand)]
pub(crate) enum LogKeyAction {
    /// help-log-key-show
    Show,
    /// help-log-key-rotate
    Rotate,
    /// help-log-key-revoke
    Revoke {
        /// Its verifier key, or the 8 hex digits of its id
        #[arg(value_name = "KEY")]
        log_key: String,
    },
}

/// What is done with an actor's key.
#[derive(Debug, Subcommand)]
pub(crate) enum KeyAction {
    /// help-key-new
    New {
        /// A new file
        #[arg(value_name = "FILE")]
        key_file: PathBuf,
        /// What to call the key; the file's name by default
        #[arg(long)]
        name: Option<String>,
    },
    /// help-key-show
    Show {
        /// The key file
        #[arg(value_name = "FILE")]
        key_file: PathBuf,
    },
    /// help-key-enrol
    Enrol {
        /// The key file
        #[arg(value_name = "FILE")]
        key_file: PathBuf,
        /// The organisation that the key is to sign for
        #[arg(long, value_name = "ID")]
        organisation: OrganisationId,
        /// Origin of the ledger
        #[arg(long, env = "WEITUO_ORIGIN", value_name = "ORIGIN")]
        ledger_origin: String,
        /// Who enrols it; the organisation itself by default
        #[arg(id = "by_whom", long = "by", value_name = "ID")]
        by_whom: Option<OrganisationId>,
        /// In what role
        #[arg(long, value_parser = role, default_value = "bureau")]
        role: Role,
        /// When; today by default
        #[arg(long, value_name = "DATE")]
        effective: Option<String>,
    },
}

fn role(text: &str) -> Result<Role, String> {
    text.parse().map_err(|_| {
        let codes: Vec<&str> = Role::ALL.iter().map(|role| role.code()).collect();
        codes.join(", ")
    })
}
