//! The operator's desk: a ledger that the real code recorded, everything that belongs to it, and those who look at it
//! from outside with the public tools.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use weituo::mirror::LogSource;
use weituo::watch::{Look, Monitor};
use weituo_events::Recorded;
use weituo_projections::stated;
use weituo_proof::dossier::{Dossier, StatedState, SubjectKind};
use weituo_proof::{Entry, FindingKind, RecordedAt, SigningKey, VerifierKey, leaf_hash};

use crate::dossier::verifier;
use crate::page::forge::{Log, Written};
use crate::support::ledger::Place;
use crate::support::server::Server;
use crate::support::shell::{Ran, Shell};
use crate::tamper::bench::Bench;

pub(super) const CYCLE: &str = "agreement/WZ-2022-001";
pub(super) const AGREEMENT: &str = "WZ-2022-001";
pub(super) const TRUSTEE: &str = "trustee-a";
/// The day as of which dossiers state the state.
const AS_OF: &str = "2026-11-24";

/// Who owns everything.
pub(super) struct Operator {
    pub(super) bench: Bench,
    /// The ledger's log, to be forged and signed with its key.
    pub(super) log: Log,
}

impl Operator {
    /// Returns the operator of a ledger with the sample cycles, recorded by the real code in the place's database.
    pub(super) async fn new(place: Place) -> Self {
        let bench = Bench::new(place).await;
        let rows = bench.rows().await;
        let disclosures =
            bench.place.store().await.disclosures(0..rows.len() as u64).await.unwrap().into_iter();
        let disclosures: BTreeSet<_> = disclosures.map(|row| (row.leaf_index, row.disclosure)).collect();
        let log = Log::taken_over(bench.signing_key(), rows.iter().map(|row| &row.body), disclosures);
        let bodies: Vec<&str> = rows.iter().map(|row| &*row.body).collect();
        assert_eq!(log.write().texts, bodies, "without a lie the forge writes what the ledger recorded");
        Self { bench, log }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.bench.place.folder.path().join(name)
    }

    pub(super) fn signing_key(&self) -> SigningKey {
        self.bench.signing_key()
    }

    pub(super) fn key(&self) -> VerifierKey {
        self.signing_key().verifier().clone()
    }

    /// Writes a file in the operator's folder; returns its path as text.
    pub(super) fn file(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// Publishes a log that he wrote.
    pub(super) fn publish(&self, name: &str, written: &Written) -> Published {
        let folder = self.path(name);
        drop(std::fs::remove_dir_all(&folder));
        written.publish(&folder);
        Published { server: Server::of_files(&folder), key: self.key(), folder }
    }

    /// Runs his own binary on his own database.
    pub(super) async fn run(&self, arguments: &[&str]) -> (i32, String) {
        self.bench.shown(arguments).await
    }

    /// Serves his database as it now is by the real server.
    pub(super) fn serve(self) -> (Shell, Server) {
        let place = self.bench.place;
        let shell = Shell { ledger: place.address(), folder: place.folder, language: "en" };
        let server = shell.serve();
        (shell, server)
    }

    /// Returns the leaf indexes of a stream's entries, in their order.
    pub(super) fn leaves_of(&self, stream: &str) -> Vec<u64> {
        let entries = (0..).zip(&self.log.entries);
        entries.filter(|(_, entry)| entry["stream"] == stream).map(|(at, _)| at).collect()
    }

    /// Has somebody verify a dossier who has the log's key and what else is given.
    pub(super) fn verify_dossier(&self, file: &str, further: &[&str]) -> Ran {
        verifier(&[&[file, "--key", &self.key().to_string()], further].concat())
    }
}

/// Returns a log's dossier, with the state that its own entries give.
pub(super) fn dossier(log: &Log, kind: SubjectKind, id: &str) -> Dossier {
    let unstated = StatedState {
        as_of: AS_OF.to_owned(),
        fold_version: stated::fold_version(kind).into(),
        projection: kind.projection().to_owned(),
        value: String::new(),
    };
    let mut dossier = log.write().dossier(kind, id, &unstated);
    let recorded = dossier.entries.iter().map(|proven| {
        let text = proven.entry.as_bytes();
        Recorded::from_entry(&Entry::parse(text).unwrap(), proven.leaf_index, leaf_hash(text)).unwrap()
    });
    let recorded: Vec<Recorded> = recorded.collect();
    let state = stated::state(&dossier.subject, &recorded, AS_OF.parse().unwrap());
    dossier.state.value = state.unwrap().to_string();
    dossier
}

/// A log that somebody is shown.
pub(super) struct Published {
    pub(super) server: Server,
    pub(super) folder: PathBuf,
    key: VerifierKey,
}

impl Published {
    /// Has somebody verify it who kept these checkpoints; returns the exit code and what was found.
    pub(super) fn verified(&self, kept: &[&str]) -> (i32, Vec<String>) {
        verified(&self.server.url, &self.key, kept)
    }

    /// Returns the file of the checkpoint that it shows.
    pub(super) fn checkpoint(&self) -> String {
        self.folder.join("checkpoint").display().to_string()
    }
}

/// Verifies a served log by `weituo verify --mirror`.
pub(super) fn verified(url: &str, key: &VerifierKey, kept: &[&str]) -> (i32, Vec<String>) {
    let key = key.to_string();
    let mut arguments = vec!["verify", "--mirror", url, "--key", &key, "--json"];
    arguments.extend(kept.iter().flat_map(|kept| ["--checkpoint", kept]));
    let ran = Shell::sqlite().run(&arguments);
    (ran.code, kinds(&ran.json()))
}

/// Returns the kinds of all that a report finds, each once.
pub(super) fn kinds(report: &Value) -> Vec<String> {
    let found = ["intact", "complete", "age"]
        .iter()
        .flat_map(|verdict| report[verdict]["findings"].as_array().cloned().unwrap_or_default().into_iter());
    let found: BTreeSet<String> = found.map(|finding| finding["kind"].as_str().unwrap().to_owned()).collect();
    found.into_iter().collect()
}

/// Somebody who looks at the log again and again.
pub(super) struct Watcher {
    key: VerifierKey,
    memory: tempfile::TempDir,
}

impl Watcher {
    pub(super) fn new(key: VerifierKey) -> Self {
        Self { key, memory: tempfile::tempdir().unwrap() }
    }

    /// Looks at a log by an address, so long after now.
    pub(super) fn look_after(&self, url: &str, later: Duration) -> Look {
        let now = std::time::SystemTime::now() + later;
        let millis = now.duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
        let now = RecordedAt::from_unix_millis(i64::try_from(millis).unwrap()).unwrap();
        let (log, keys) = (LogSource::of(url), vec![self.key.clone()]);
        Monitor::new(log, keys, self.memory.path(), Duration::from_hours(1)).look(now).unwrap()
    }

    /// Looks and finds nothing wrong.
    #[track_caller]
    pub(super) fn sees_nothing(&self, url: &str) {
        let look = self.look_after(url, Duration::ZERO);
        assert_eq!(look.exit_code(), 0, "{look:#?}");
    }

    /// Looks, twice, and finds the same both times, remembering what it remembered before.
    #[track_caller]
    pub(super) fn tells(&self, url: &str, kind: FindingKind) -> Look {
        let first = self.look_after(url, Duration::from_mins(1));
        assert!(first.findings.iter().any(|finding| finding.kind == kind), "{first:#?}");
        let again = self.look_after(url, Duration::from_mins(2));
        assert_eq!((again.findings.len(), again.size), (first.findings.len(), first.before), "{again:#?}");
        first
    }
}

/// Asserts that somebody is fooled: nothing was found.
#[track_caller]
pub(super) fn fooled((code, found): (i32, Vec<String>)) {
    assert_eq!((code, found), (0, vec![]));
}

/// Asserts that somebody tells what is wrong.
#[track_caller]
pub(super) fn caught((code, found): (i32, Vec<String>), kind: &str) {
    assert_eq!(code, 1, "{found:?}");
    assert!(found.iter().any(|found| found == kind), "{kind} is not in {found:?}");
}

/// Returns a file's text.
pub(super) fn text(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path).unwrap()
}
