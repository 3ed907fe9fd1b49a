//! The outside witnesses of a ledger: who is asked, what they cosigned, and waiting for it.
//!
//! What counts as cosigned is what the policy says: a checkpoint with the quorum's cosignatures and at least one. The newest
//! is kept in memory and in a file beside the anchor, a signed note, so that other processes and later runs can give
//! receipts against it. The file is derived: whoever loses it asks again.
//!
//! Invariants: nothing is taken over but a checkpoint signed by the log's key, with cosignatures that hold; the newest
//! cosigned checkpoint only grows in this process. Of two processes that write the file at the same moment one may put
//! an older checkpoint in the place of a newer, until the next round.
//! Absent: the anchor, which never waits for outside witnesses; what the cosigned tree holds (receipts are checked
//! against this process's own tree).
//! Source: design.md "The append path" step 5; C2SP tlog-policy, tlog-witness.

mod ask;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use weituo_proof::note::NoteSignature;
use weituo_proof::policy::PolicyWitness;
use weituo_proof::{Both, Checkpoint, Origin, Policy, SignedNote, VerifierKey, both};

use super::options::Options;
use super::shared::Shared;
use super::types::{Accepted, LedgerError, SignedCheckpoint, SubmitError};
use crate::files::replace_whole;
use ask::Asked;
pub(super) use ask::{finish, remembered, run, until_covered};

/// How often whoever waits looks whether a tree that another process had cosigned has been read.
const LOOK: Duration = Duration::from_millis(50);

/// A checkpoint that the quorum cosigned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cosigned {
    /// Its text has the cosignatures.
    pub(super) checkpoint: Arc<SignedCheckpoint>,
    /// Names of the witnesses, as the policy has them.
    pub(super) names: Vec<String>,
}

/// The witnesses of one ledger.
#[derive(Debug)]
pub(super) struct Witnesses {
    policy: Policy,
    verifiers: Vec<VerifierKey>,
    path: PathBuf,
    /// Those with an address.
    asked: Vec<Asked>,
    /// How long answers wait for the quorum.
    wait: Option<Duration>,
    /// The checkpoint that is being cosigned, with the cosignatures so far.
    gathering: Mutex<Option<(u64, SignedNote)>>,
    newest: watch::Sender<Option<Arc<Cosigned>>>,
    /// Size of the last checkpoint about which everyone was asked who could be.
    settled: watch::Sender<u64>,
    writing: Mutex<()>,
}

impl Witnesses {
    /// Reads the policy of the options, and what was cosigned before; `None` without a policy.
    pub(super) fn open(
        options: &Options,
        path: PathBuf,
        origin: &Origin,
        verifiers: &[VerifierKey],
    ) -> Result<Option<Self>, LedgerError> {
        let Some(file) = &options.policy_file else {
            if options.wait_for_witnesses.is_some() {
                return Err(invalid(Both::new(
                    "等待见证方附署需要列明它们的策略(--policy 文件)",
                    "waiting for witnesses needs a policy that names them (--policy FILE)",
                )));
            }
            return Ok(None);
        };
        let policy = read_policy(file)?;
        let logs = policy.logs();
        let listed = |key: &VerifierKey| logs.iter().any(|log| log.key == *key);
        if !logs.is_empty() && !verifiers.iter().any(listed) {
            let file = file.display();
            let keys: Vec<String> = verifiers.iter().map(ToString::to_string).collect();
            let keys = keys.join(", ");
            return Err(invalid(both!(
                "策略 {file} 列出了台账,而 {origin}({keys})不在其中",
                "the policy {file} lists logs, and {origin} ({keys}) is none of them"
            )));
        }
        let asked = Asked::all(policy.witnesses()).map_err(|source| LedgerError::Policy {
            path: file.display().to_string(),
            source: source.into(),
        })?;
        let can_be_asked = |witness: &PolicyWitness| asked.iter().any(|asked| asked.is(witness));
        if !policy.could_have_quorum(can_be_asked) {
            if options.wait_for_witnesses.is_some() {
                return Err(invalid(Both::new(
                    "策略的法定数无法达到:有地址的见证方太少",
                    "the policy's quorum cannot be had: too few of its witnesses have an address",
                )));
            }
            tracing::warn!(policy = %file.display(), "its quorum cannot be had: too few of its witnesses have an address");
        }
        if options.wait_for_witnesses.is_some() && !policy.asks_for_cosignatures() {
            return Err(invalid(Both::new(
                "等待见证方附署需要法定数不为 `none` 的策略",
                "waiting for witnesses needs a policy whose quorum is not `none`",
            )));
        }
        let witnesses = Self {
            policy,
            verifiers: verifiers.to_vec(),
            path,
            asked,
            wait: options.wait_for_witnesses,
            gathering: Mutex::default(),
            newest: watch::Sender::new(None),
            settled: watch::Sender::new(0),
            writing: Mutex::default(),
        };
        witnesses.reload();
        Ok(Some(witnesses))
    }

    /// Takes over what another process or an earlier run had cosigned.
    pub(super) fn reload(&self) {
        if let Some((cosigned, note)) = self.read_file() {
            for asked in &self.asked {
                asked.has_cosigned(&note, cosigned.checkpoint.size);
            }
            self.offer(cosigned);
        }
    }

    /// Returns the newest cosigned checkpoint that covers a leaf.
    pub(super) fn covering(&self, leaf: u64) -> Option<Arc<Cosigned>> {
        self.newest.borrow().clone().filter(|cosigned| covers(cosigned, leaf))
    }

    /// Returns the newest cosigned checkpoint, a signed note.
    fn kept(&self) -> Option<String> {
        self.newest.borrow().as_ref().map(|cosigned| cosigned.checkpoint.text.clone())
    }

    /// Returns where the newest cosigned checkpoint is kept.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Begins to gather cosignatures of a checkpoint, or goes on; `None` where a larger one is gathered for already.
    fn begin(&self, target: &SignedCheckpoint) -> Option<SignedNote> {
        let note = SignedNote::parse(&target.text).ok()?;
        let mut gathering = lock(&self.gathering);
        let size = target.size.get();
        if gathering.as_ref().is_some_and(|(gathered, _)| *gathered > size) {
            return None;
        }
        if gathering.as_ref().is_none_or(|(gathered, _)| *gathered != size) {
            let newest = self.newest.borrow().clone().filter(|newest| newest.checkpoint.size == target.size);
            let begun = newest.and_then(|newest| SignedNote::parse(&newest.checkpoint.text).ok());
            *gathering = Some((
                size,
                begun.filter(|begun| begun.text() == note.text()).unwrap_or_else(|| note.clone()),
            ));
        }
        Some(note)
    }

    /// Adds a cosignature that was verified over the target's text.
    fn add(&self, target: &SignedCheckpoint, line: NoteSignature) {
        let note = {
            let mut gathering = lock(&self.gathering);
            let current = gathering.as_mut().filter(|(size, _)| *size == target.size.get());
            // A late one, of a checkpoint that is no longer gathered for.
            let Some((_, note)) = current else { return };
            if !note
                .signatures()
                .iter()
                .any(|known| known.name() == line.name() && known.key_id() == line.key_id())
            {
                note.push(line);
            }
            note.clone()
        };
        if let Some(cosigned) = self.cosigned(target, &note)
            && self.offer(cosigned)
        {
            self.write_file();
        }
    }

    /// Returns a checkpoint as cosigned, where the policy says so.
    fn cosigned(&self, checkpoint: &SignedCheckpoint, note: &SignedNote) -> Option<Cosigned> {
        let names: Vec<String> =
            self.policy.cosigners(note).into_iter().map(|cosigner| cosigner.name).collect();
        if names.is_empty() || !self.policy.has_quorum(note) {
            return None;
        }
        let checkpoint = Arc::new(SignedCheckpoint { text: note.to_string(), ..checkpoint.clone() });
        Some(Cosigned { checkpoint, names })
    }

    /// Takes a cosigned checkpoint over, if it is newer or has more names than the one known.
    fn offer(&self, cosigned: Cosigned) -> bool {
        self.newest.send_if_modified(|newest| {
            let rank = |one: &Cosigned| (one.checkpoint.size, one.names.len());
            let better = newest.as_deref().is_none_or(|newest| rank(newest) < rank(&cosigned));
            if better {
                *newest = Some(Arc::new(cosigned));
            }
            better
        })
    }

    fn read_file(&self) -> Option<(Cosigned, SignedNote)> {
        let text = std::fs::read_to_string(&self.path).ok()?;
        let opened = Checkpoint::open_by(&text, &self.verifiers);
        let Ok((Checkpoint { size, root, .. }, note)) = opened else {
            tracing::warn!(file = %self.path.display(), "is no checkpoint of this log: it is passed over");
            return None;
        };
        Some((self.cosigned(&SignedCheckpoint { size, root, text }, &note)?, note))
    }

    fn write_file(&self) {
        let _one_at_a_time = lock(&self.writing);
        let Some(newest) = self.newest.borrow().clone() else { return };
        let newer = self.read_file().is_some_and(|(there, _)| there.checkpoint.size > newest.checkpoint.size);
        if !newer && let Err(error) = replace_whole(&self.path, newest.checkpoint.text.as_bytes(), 0o644) {
            tracing::warn!(file = %self.path.display(), %error, "the cosigned checkpoint cannot be kept; other processes do not see it");
        }
    }
}

/// Where answers wait for witnesses, waits until the quorum has cosigned a checkpoint that covers the entry, and returns
/// the receipt against that.
pub(super) async fn witnessed(shared: &Shared, mut accepted: Accepted) -> Result<Accepted, SubmitError> {
    let waiting = shared.witnesses.as_ref().and_then(|witnesses| Some((witnesses, witnesses.wait?)));
    let Some((witnesses, limit)) = waiting else { return Ok(accepted) };
    let leaf_index = accepted.receipt.leaf_index;
    let mut newest = witnesses.newest.subscribe();
    // Another process may have had a tree cosigned that this one has not read yet: it follows in a moment.
    let covered = |newest: &Option<Arc<Cosigned>>| {
        newest
            .as_ref()
            .is_some_and(|cosigned| covers(cosigned, leaf_index.get()) && shared.has_read(cosigned))
    };
    let start = Instant::now();
    while start.elapsed() < limit {
        let look = LOOK.min(limit.saturating_sub(start.elapsed()));
        let cosigned = match tokio::time::timeout(look, newest.wait_for(covered)).await {
            Ok(Ok(cosigned)) => cosigned.clone(),
            _ => None,
        };
        if let Some(cosigned) = cosigned {
            accepted.receipt = shared.receipt_under(accepted.receipt, &cosigned).await?;
            return Ok(accepted);
        }
    }
    Err(SubmitError::NotCosigned { leaf_index, seconds: limit.as_secs() })
}

fn covers(cosigned: &Cosigned, leaf: u64) -> bool {
    leaf < cosigned.checkpoint.size.get()
}

fn read_policy(file: &Path) -> Result<Policy, LedgerError> {
    let failed = |source| LedgerError::Policy { path: file.display().to_string(), source };
    let octets = std::fs::read(file).map_err(|error| failed(error.into()))?;
    Policy::parse(&octets).map_err(|error| failed(error.into()))
}

fn invalid(what: Both) -> LedgerError {
    LedgerError::Invalid { what }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
