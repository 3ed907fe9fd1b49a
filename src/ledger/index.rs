//! Committing the completeness index: an `IndexCommitted` entry, alone in its batch.
//!
//! Invariants: the entry's leaf index M is the size it states, and its root is over the entries [0, M), all of them
//! committed. A batch of its own keeps the index free of rollback: it only ever holds what is committed.
//! Absent: proofs from the index (weituo-proof), which a reader makes from a replayed map.
//! Source: format.md "Completeness index".

use std::sync::Arc;

use tokio::sync::oneshot;
use weituo_events::payload::IndexCommitted;
use weituo_events::{Act, Event};
use weituo_proof::{Actor, CommandId, Effective, Origin, RecordedAt, StreamName, sha256};

use super::derived::INDEX_STREAM;
use super::prepare::{Open, Pending};
use super::types::{Accepted, LedgerError, Proposal, SubmitError};
use super::writer::{ATTEMPTS, Writer};

impl Writer {
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
                let what = "the index entry was set aside".to_owned();
                return Err(SubmitError::from(LedgerError::Invalid { what }));
            };
            // Dropped where it is to be prepared again: another process has committed, perhaps an index of its own.
            drop(self.commit_alone(prepared).await);
            if let Ok(answer) = answered.try_recv() {
                return answer.map(Some);
            }
        }
        self.unlock().await;
        let what = format!("the index was prepared {ATTEMPTS} times and never committed");
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
        actor: Actor { key: None, organisation: "log".to_owned(), person: None, role: "operator".to_owned() },
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
