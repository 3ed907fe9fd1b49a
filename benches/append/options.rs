//! The bench's command line.

use std::path::PathBuf;

use clap::Parser;

use crate::plan::{Kind, Peer, Store};

/// Measures the append path against its peers, with durable commits on the same 600-byte event.
#[derive(Debug, Clone, Parser)]
#[command(name = "cargo bench --bench append --", disable_version_flag = true)]
pub(crate) struct Options {
    /// Databases (both unless given)
    #[arg(long, value_enum, value_delimiter = ',')]
    store: Vec<Store>,
    /// Cases (all unless given; with slower flushes: clients)
    #[arg(long, value_enum, value_delimiter = ',')]
    cases: Vec<Kind>,
    /// Numbers of clients for the case `clients` (1,8,64,256,1024 unless given; with slower flushes: 1,8,64)
    #[arg(long, value_delimiter = ',')]
    clients: Vec<usize>,
    /// Only peers whose name starts with one of these: stock, textbook, raw, guard, strict
    #[arg(long, value_delimiter = ',')]
    peers: Vec<String>,
    /// Length of a measurement; a fifth of it goes before as a warm-up
    #[arg(long, default_value_t = 1.2)]
    pub(crate) seconds: f64,
    /// Rounds, of which the median is told; every second one goes through the peers backwards
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: usize,
    /// Milliseconds added to every flush, one run for each
    #[arg(long, value_delimiter = ',', default_values_t = [0.0, 1.0])]
    pub(crate) fsync_millis: Vec<f64>,
    /// Where the numbers are written (target/bench/append.json unless given)
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
    /// Opens the ledger anew before it is measured, so that no stream is at hand
    #[arg(long)]
    pub(crate) cold: bool,
    /// Folder for the databases (the system's for temporary files unless given); it should be on a disk
    #[arg(long)]
    pub(crate) folder: Option<PathBuf>,
    /// One run, its numbers written here: how the bench starts itself
    #[arg(long, hide = true)]
    pub(crate) part: Option<PathBuf>,
    /// One process of several on one ledger: how the bench starts itself
    #[arg(long, hide = true)]
    pub(crate) worker: bool,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

fn or<T: Clone>(given: &[T], otherwise: &[T]) -> Vec<T> {
    if given.is_empty() { otherwise.to_vec() } else { given.to_vec() }
}

impl Options {
    pub(crate) fn stores(&self) -> Vec<Store> {
        or(&self.store, &[Store::Postgres, Store::Sqlite])
    }

    pub(crate) fn kinds(&self, slow: bool) -> Vec<Kind> {
        let all = [Kind::Clients, Kind::Streams, Kind::OneStream, Kind::Processes];
        or(&self.cases, if slow { &all[..1] } else { &all })
    }

    pub(crate) fn clients(&self, slow: bool) -> Vec<usize> {
        let all = [1, 8, 64, 256, 1_024];
        or(&self.clients, if slow { &all[..3] } else { &all })
            .into_iter()
            .filter(|clients| *clients > 0)
            .collect()
    }

    pub(crate) fn wants(&self, peer: Peer) -> bool {
        self.peers.is_empty() || self.peers.iter().any(|wanted| peer.name().starts_with(wanted.as_str()))
    }
}
