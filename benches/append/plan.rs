//! Which peers are measured in which cases, and how one of them is measured.

use std::path::Path;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use weituo::ledger::Mode;

use crate::measure::{Outcome, Window, as_f64};
use crate::options::Options;
use crate::postgres::Server;
use crate::rota::Shape;
use crate::sample::Sample;
use crate::weituo::{Scene, Site, stored_on_sqlite};
use crate::{raw, stock_postgres, stock_sqlite, textbook, worker};

/// A database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Store {
    Sqlite,
    Postgres,
}

/// What a group of measurements varies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// The number of clients, each on streams of ten events of its own.
    Clients,
    /// The length of the streams, with 8 clients.
    Streams,
    /// 8 clients on one stream.
    OneStream,
    /// One process or two, with 64 clients altogether.
    Processes,
}

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// Stock cqrs-es, over a pool of so many connections.
    Stock(u32),
    Textbook,
    /// The database alone, so many rows a batch.
    Raw(usize),
    Weituo(Mode),
    /// Weituo in guard mode, in so many processes.
    Processes(usize),
}

impl Peer {
    pub(crate) fn name(self) -> String {
        match self {
            Self::Stock(pool) => format!("stock-{pool}"),
            Self::Textbook => "textbook".to_owned(),
            Self::Raw(rows) => format!("raw-{rows}"),
            Self::Weituo(Mode::Guard) => "guard".to_owned(),
            Self::Weituo(Mode::Strict) => "strict".to_owned(),
            Self::Processes(count) => format!("guard-{count}-processes"),
        }
    }
}

/// Peers that are compared with one another, in turns.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub(crate) store: Store,
    pub(crate) kind: Kind,
    pub(crate) clients: usize,
    pub(crate) shape: Shape,
    pub(crate) peers: Vec<Peer>,
}

impl Group {
    pub(crate) fn title(&self) -> String {
        let clients =
            if self.clients == 1 { "1 client".to_owned() } else { format!("{} clients", self.clients) };
        let store = match self.store {
            Store::Sqlite => "SQLite",
            Store::Postgres => "PostgreSQL",
        };
        match (self.kind, self.shape) {
            (Kind::Streams, Shape::Long(length)) => format!("{store}, {clients}, streams of {length} events"),
            (Kind::OneStream, _) => format!("{store}, {clients} on one stream"),
            (Kind::Processes, _) => format!("{store}, {clients} in one process and in two"),
            _ => format!("{store}, {clients}, streams of 10 events"),
        }
    }

    /// Returns how long the streams are.
    pub(crate) fn stream_length(&self) -> usize {
        match self.shape {
            Shape::Short => 10,
            Shape::Long(length) => length,
            Shape::Shared => 100,
        }
    }
}

const GUARD: Peer = Peer::Weituo(Mode::Guard);
const STRICT: Peer = Peer::Weituo(Mode::Strict);

/// Returns the groups that the options ask for.
pub(crate) fn groups(options: &Options, slow: bool) -> Vec<Group> {
    let mut groups = Vec::new();
    for store in options.stores() {
        for kind in options.kinds(slow) {
            groups.extend(match kind {
                Kind::Clients => options
                    .clients(slow)
                    .into_iter()
                    .map(|clients| by_clients(store, clients, slow))
                    .collect(),
                Kind::Streams => by_length(store),
                Kind::OneStream => vec![one_stream(store)],
                Kind::Processes => processes(store).into_iter().collect(),
            });
        }
    }
    for group in &mut groups {
        group.peers.retain(|peer| options.wants(*peer));
    }
    groups.retain(|group| !group.peers.is_empty());
    groups
}

fn by_clients(store: Store, clients: usize, slow: bool) -> Group {
    let mut peers = vec![Peer::Stock(10)];
    if store == Store::Postgres {
        if clients > 10 {
            peers.push(Peer::Stock(64));
        }
        if !slow {
            peers.push(Peer::Textbook);
        }
    }
    peers.extend([GUARD, STRICT]);
    // One connection a client; on SQLite there is one writer.
    if !slow && (clients == 1 || store == Store::Postgres && clients <= 64) {
        peers.push(Peer::Raw(1));
    }
    if !slow && clients == 256 {
        peers.push(Peer::Raw(1_000));
    }
    Group { store, kind: Kind::Clients, clients, shape: Shape::Short, peers }
}

fn by_length(store: Store) -> Vec<Group> {
    let shapes = [Shape::Short, Shape::Long(100), Shape::Long(1_000)];
    let group =
        |shape| Group { store, kind: Kind::Streams, clients: 8, shape, peers: vec![Peer::Stock(10), GUARD] };
    shapes.into_iter().map(group).collect()
}

fn one_stream(store: Store) -> Group {
    Group {
        store,
        kind: Kind::OneStream,
        clients: 8,
        shape: Shape::Shared,
        peers: vec![Peer::Stock(10), GUARD],
    }
}

/// SQLite is for one process; two on one file work, and are not a case to be fast in.
fn processes(store: Store) -> Option<Group> {
    let peers = vec![Peer::Processes(1), Peer::Processes(2)];
    let group = Group { store, kind: Kind::Processes, clients: 64, shape: Shape::Short, peers };
    (store == Store::Postgres).then_some(group)
}

/// What every measurement of a run shares.
#[derive(Debug)]
pub(crate) struct Bench<'a> {
    pub(crate) server: Option<&'a Server>,
    pub(crate) folder: &'a Path,
    pub(crate) window: Window,
    /// An entry of the ledger, as the raw peers write it.
    pub(crate) entry: String,
    /// Opens the ledger anew before it is measured.
    pub(crate) cold: bool,
}

impl Bench<'_> {
    /// Measures one peer once.
    pub(crate) async fn measure(&self, group: &Group, peer: Peer) -> Outcome<Sample> {
        let folder = self.folder.join("one");
        std::fs::create_dir_all(&folder)?;
        let sample = match group.store {
            Store::Sqlite => self.on_sqlite(&folder, group, peer).await,
            Store::Postgres => self.on_postgres(&folder, group, peer).await,
        };
        std::fs::remove_dir_all(&folder)?;
        sample
    }

    async fn on_sqlite(&self, folder: &Path, group: &Group, peer: Peer) -> Outcome<Sample> {
        let Group { clients, shape, .. } = *group;
        match peer {
            Peer::Stock(_) => stock_sqlite::measure(folder, clients, shape, self.window).await,
            Peer::Raw(rows) => raw::measure_sqlite(folder, &self.entry, rows, self.window).await,
            Peer::Weituo(mode) => {
                let mut scene = Scene::new(Site::on_sqlite(folder, mode)?, shape).await?;
                self.prepare(&mut scene, clients).await?;
                let (measured, taken_again) = scene.run(clients, self.window, None).await?;
                scene.stop().await?;
                let stored = stored_on_sqlite(folder)?;
                scene.check(&stored)?;
                Ok(Sample { streams_taken_again: taken_again, ..Sample::of(&measured).stored(&stored) })
            }
            Peer::Textbook | Peer::Processes(_) => Err("measured on PostgreSQL only".into()),
        }
    }

    async fn on_postgres(&self, folder: &Path, group: &Group, peer: Peer) -> Outcome<Sample> {
        let server = self.server.ok_or("there is no server")?;
        let Group { clients, shape, .. } = *group;
        match peer {
            Peer::Stock(pool) => stock_postgres::measure(server, pool, clients, shape, self.window).await,
            Peer::Textbook => textbook::measure(server, clients, self.window).await,
            Peer::Raw(rows) => {
                // The batches of many rows are a stream of their own: one connection.
                let clients = if rows == 1 { clients } else { 1 };
                raw::measure_postgres(server, &self.entry, rows, clients, self.window).await
            }
            Peer::Weituo(mode) => {
                let database = server.fresh_database().await?;
                let mut scene = Scene::new(Site::on_postgres(&database, folder, mode)?, shape).await?;
                self.prepare(&mut scene, clients).await?;
                database.settle().await?;
                let wal_before = database.wal_bytes().await?;
                let (measured, taken_again) =
                    scene.run(clients, self.window, Some(database.postmaster())).await?;
                let wal = database.wal_bytes().await? - wal_before;
                scene.stop().await?;
                let stored = database.stored("entry", "body", "stream NOT LIKE 'log/%'").await?;
                scene.check(&stored)?;
                database.remove().await?;
                let mut sample = Sample::of(&measured).stored(&stored);
                sample.streams_taken_again = taken_again;
                sample.wal_bytes = Some(as_f64(wal) / as_f64(measured.acknowledged.max(1)));
                Ok(sample)
            }
            Peer::Processes(count) => worker::measure(server, folder, clients, count, self.window).await,
        }
    }

    async fn prepare(&self, scene: &mut Scene, clients: usize) -> Outcome<()> {
        scene.make_ready(clients, self.window).await?;
        if self.cold { scene.reopen().await } else { Ok(()) }
    }
}
