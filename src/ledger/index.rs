//! Committing the completeness index, an `IndexCommitted` entry alone in its batch, and proving by it.
//!
//! Invariants: the entry's leaf index M is the size it states, and its root is over the entries [0, M), all of them
//! committed. A batch of its own keeps the index free of rollback: it only ever holds what is committed.
//! Proofs are given right after it, when its own entry is the newest: the checkpoint of size M + 1 leaves no gap. In a frozen log
//! the end alone follows it, and that checkpoint is signed once more.
//! Absent: what a proof proves (weituo-proof).
//! Source: format.md "Completeness index".

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use weituo_events::payload::IndexCommitted;
use weituo_events::{Act, Event};
use weituo_proof::map::MapProof;
use weituo_proof::{
    Actor, Both, CommandId, Effective, LeafIndex, Origin, RecordedAt, StreamName, both, sha256,
};

use super::commit::sign;
use super::derived::INDEX_STREAM;
use super::prepare::{Open, Pending};
use super::types::{Accepted, LedgerError, Proposal, ReadOnly, SignedCheckpoint, SubmitError};
use super::writer::{ATTEMPTS, Writer};
use crate::store::Head;

/// What is asked of the completeness index.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// Streams: their last entries.
    pub streams: BTreeSet<StreamName>,
    /// Organisation streams: the entries by which they became parties.
    pub parties: BTreeSet<StreamName>,
}

/// What the index says of a party.
#[derive(Debug, Clone)]
pub struct PartyProof {
    /// The path of its name.
    pub proof: MapProof,
    /// The entries by which it became a party, in their order.
    pub joined: Vec<LeafIndex>,
}

/// What the index says, proven by a signed checkpoint.
#[derive(Debug, Clone)]
pub struct Proven {
    /// Leaf index M of the `IndexCommitted` entry, which covers the entries [0, M).
    pub index: LeafIndex,
    /// The signed checkpoint of size M + 1.
    pub checkpoint: Arc<SignedCheckpoint>,
    /// A proof for each stream asked about, in their order.
    pub streams: Vec<MapProof>,
    /// A proof for each party asked about, in their order.
    pub parties: Vec<PartyProof>,
}

/// Answer to who asks for proofs.
#[derive(Debug)]
pub(super) enum Asked {
    Proven(Proven),
    /// The index was committed just now, and entries have come since: ask again after this time.
    TooSoon(Duration),
}

impl Writer {
    /// Proves what the index says of names, committing it before where it does not cover every entry.
    pub(super) async fn prove(&mut self, names: &Names) -> Result<Asked, SubmitError> {
        self.look().await?;
        // In a frozen log the last index stands right before the end, which it does not cover.
        let behind_index = if let Some(end) = self.derived.frozen() {
            end
        } else {
            if let Some(wait) = self.too_soon()? {
                return Ok(Asked::TooSoon(wait));
            }
            self.commit_index().await?;
            self.head.size
        };
        let proofs = self.derived.prove(names);
        let newest = self.shared.checkpoint().filter(|newest| newest.size.get() == self.head.size);
        let (Some((streams, parties)), Some(newest)) = (proofs, newest) else {
            if let Some(leaf_index) = self.derived.frozen() {
                return Err(SubmitError::ReadOnly(ReadOnly::Frozen { leaf_index }));
            }
            // The index was committed and its checkpoint may not leave yet, because the anchor does not answer.
            let size = self.head.size;
            let what = both!("大小 {size} 的检查点还不能公布", "no checkpoint of size {size} may leave yet");
            return Err(SubmitError::from(LedgerError::NotFound { what }));
        };
        let checkpoint =
            if behind_index == self.head.size { newest } else { self.sign_earlier(behind_index).await? };
        let index = LeafIndex::new(behind_index - 1);
        Ok(Asked::Proven(Proven { index, checkpoint, streams, parties }))
    }

    /// Signs a checkpoint once more that the log has outgrown: one below what is anchored.
    async fn sign_earlier(&self, size: u64) -> Result<Arc<SignedCheckpoint>, SubmitError> {
        let root = self.shared.root_at(size).await?;
        let earlier = Head { size, root, ..self.head.clone() };
        Ok(sign(&self.derived.signers(&self.keys, &self.head), &self.shared.origin, &earlier))
    }

    /// Returns how long to wait before the index may be committed for proofs again.
    fn too_soon(&self) -> Result<Option<Duration>, SubmitError> {
        let (uncovered, _) = self.derived.uncovered();
        let Some(committed) = self.derived.index_committed_at().filter(|_| uncovered > 0) else {
            return Ok(None);
        };
        let now = self.recorded_at(self.derived.last_recorded_at())?;
        let since = u64::try_from(now.unix_millis() - committed.unix_millis()).unwrap_or(0);
        let wait = self.limits.index_apart.saturating_sub(Duration::from_millis(since));
        Ok((!wait.is_zero()).then_some(wait))
    }

    /// Commits the index over all entries; `None` where it covers them already.
    pub(super) async fn commit_index(&mut self) -> Result<Option<Accepted>, SubmitError> {
        for _ in 0..ATTEMPTS {
            self.ready().await?;
            if self.derived.uncovered().0 == 0 {
                self.unlock().await;
                return Ok(None);
            }
            let recorded_at = self.recorded_at(self.derived.last_recorded_at())?;
            let (answer, mut answered) = oneshot::channel();
            let proposal = self.index_proposal(recorded_at);
            let pending = Pending::new(proposal, &self.shared.origin, answer)?;
            let mut open = self.shared.with_tree(|tree| Open::on_head(Some(&self.head), tree.frontier()));
            self.take_in(&mut open, None, pending);
            let Ok(prepared) = self.close(open) else {
                let what = Both::new("索引记录被搁置", "the index entry was set aside");
                return Err(SubmitError::from(LedgerError::Invalid { what }));
            };
            // Dropped where it is to be prepared again: another process has committed, perhaps an index of its own.
            drop(self.commit_alone(prepared).await);
            if let Ok(answer) = answered.try_recv() {
                return answer.map(Some);
            }
        }
        self.unlock().await;
        let what = both!(
            "索引准备了 {ATTEMPTS} 次而未能提交",
            "the index was prepared {ATTEMPTS} times and never committed"
        );
        Err(SubmitError::from(LedgerError::Invalid { what }))
    }

    fn index_proposal(&mut self, recorded_at: RecordedAt) -> Proposal {
        let (root, streams) = self.derived.index_root();
        let size = self.head.size;
        let act = log_act(
            INDEX_STREAM,
            Event::IndexCommitted(IndexCommitted { root, size, streams }),
            command_id(&self.shared.origin, size),
            effective(recorded_at, self.derived.zone_minutes()),
        );
        Proposal {
            act,
            disclosures: Vec::new(),
            expected: self.derived.head(INDEX_STREAM),
            erase: Vec::new(),
            rests_on: Vec::new(),
        }
    }
}

/// Returns an act of the log itself.
pub(super) fn log_act(stream: &str, event: Event, command: CommandId, effective: Effective) -> Arc<Act> {
    Arc::new(Act {
        actor: Actor { key: None, organisation: "log".into(), person: None, role: "operator".into() },
        as_found: false,
        command,
        effective,
        parties: Vec::new(),
        seen: None,
        signature: None,
        stream: StreamName::new(stream).expect("invariant: log/main and log/index are stream names"),
        event,
    })
}

/// Returns the command id of the log's own entry at leaf index `size`: a UUID (version 8) from SHA-256 over origin and
/// size, so that two processes that commit the index at once use the same.
pub(super) fn command_id(origin: &Origin, size: u64) -> CommandId {
    let hash = sha256(&[b"weituo/log-command/v1\n", origin.as_str().as_bytes(), b"\n", &size.to_be_bytes()]);
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.as_bytes()[..16]);
    let id = uuid::Builder::from_custom_bytes(bytes).into_uuid().hyphenated().to_string();
    CommandId::new(id).expect("invariant: a hyphenated UUID is a command id")
}

/// Returns the date of an instant in the ledger's zone.
pub(super) fn effective(recorded_at: RecordedAt, zone_minutes: i32) -> Effective {
    let local = recorded_at.unix_millis() + i64::from(zone_minutes) * 60_000;
    let (year, month, day) = RecordedAt::from_unix_millis(local).unwrap_or(recorded_at).date();
    Effective::new(format!("{year:04}-{month:02}-{day:02}")).expect("invariant: a date is an effective date")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_is_that_of_the_ledgers_zone() {
        let late = RecordedAt::new("2026-06-30T16:00:00.000Z").unwrap();
        assert_eq!(effective(late, 480).as_str(), "2026-07-01");
        assert_eq!(effective(late, 0).as_str(), "2026-06-30");
    }

    #[test]
    fn the_index_command_id_depends_on_origin_and_size_alone() {
        let (a, b) = (Origin::new("a.example").unwrap(), Origin::new("b.example").unwrap());
        assert_eq!(command_id(&a, 7), command_id(&a, 7));
        assert_ne!(command_id(&a, 7), command_id(&a, 8));
        assert_ne!(command_id(&a, 7), command_id(&b, 7));
    }
}
