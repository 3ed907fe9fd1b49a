//! The anchor as a witness of our own, for the processes of several machines.
//!
//! Compare-and-swap is the witness's own rule: it takes a checkpoint only with a proof from the size it has (409 where that
//! is another), only where it extends what it has (422), and has it on the disk before it answers.
//!
//! Invariants: what the witness serves is believed only with the log's signature; a size without one decides nothing.
//! Absent: the witness's cosignature, which the anchor does not need: whoever can answer in the witness's place could put
//! back the anchor as whoever can write to the file could (docs/trust.md).
//! Source: design.md "The append path" step 4; C2SP tlog-witness v1.1.0.

use std::io::{self, ErrorKind};

use weituo_proof::witness::AddCheckpoint;
use weituo_proof::{Both, Checkpoint, Hash, Origin, SignedNote, TreeSize, VerifierKey, both};

use super::{Advanced, fork, not_of_this_log};
use crate::errors::{Told, in_both};
use crate::ledger::types::{LedgerError, ReadOnly, SignedCheckpoint};
use crate::store::failpoint;
use crate::witness::client::{Answer, Client, ClientError};

/// A witness as the anchor of one log.
#[derive(Debug)]
pub(in crate::ledger) struct RemoteAnchor {
    client: Client,
    origin: Origin,
    verifiers: Vec<VerifierKey>,
}

impl RemoteAnchor {
    pub(super) fn new(url: &str, verifiers: Vec<VerifierKey>) -> Result<Self, LedgerError> {
        let client = Client::new(url).map_err(|error| LedgerError::Invalid { what: in_both(&error) })?;
        let origin = Origin::new(verifiers.first().map_or("", VerifierKey::name));
        let origin = origin.map_err(|error| LedgerError::Invalid { what: in_both(&error) })?;
        Ok(Self { client, origin, verifiers })
    }

    pub(super) fn url(&self) -> &str {
        self.client.url()
    }

    pub(super) fn load(&self) -> Result<Option<SignedCheckpoint>, LedgerError> {
        let served = self.client.newest(&self.origin).map_err(|error| self.unreachable("read", &error))?;
        let Some(text) = served else { return Ok(None) };
        let (checkpoint, _) = Checkpoint::open_by(&text, &self.verifiers).map_err(|error| {
            let what = not_of_this_log(&error);
            LedgerError::ReadOnly(ReadOnly::AnchorDamaged { path: self.url().to_owned(), what })
        })?;
        Ok(Some(SignedCheckpoint { size: checkpoint.size, root: checkpoint.root, text }))
    }

    /// Refuses where the witness would not take this log's checkpoints. One that has another than this answers that it has moved, and
    /// takes nothing.
    pub(super) fn require_place(&self, checkpoint: &SignedCheckpoint) -> Result<(), LedgerError> {
        match self.ask(checkpoint.size, checkpoint, &[])? {
            Answer::Cosigned(_) | Answer::Moved(_) => Ok(()),
            Answer::Refused { status, told } => Err(self.refused(status, &told)),
        }
    }

    pub(super) fn create(&self, checkpoint: &SignedCheckpoint) -> Result<(), LedgerError> {
        match self.ask(TreeSize::new(0), checkpoint, &[])? {
            // Whoever only says so keeps nothing.
            Answer::Cosigned(_) | Answer::Moved(_) => match self.load()? {
                // An interrupted creation is finished by repeating it.
                Some(there) if (there.size, there.root) == (checkpoint.size, checkpoint.root) => Ok(()),
                Some(_) => {
                    let what = Both::new("它已有本台账的检查点", "it has a checkpoint of this log");
                    Err(self.failed(ErrorKind::AlreadyExists, what))
                }
                None => {
                    let what = Both::new(
                        "它说已收下检查点,却没有给出:这个地址上的不是见证服务",
                        "it says that it has taken the checkpoint, and serves none: what answers at this address is no witness",
                    );
                    Err(self.failed(ErrorKind::InvalidData, what))
                }
            },
            Answer::Refused { status, told } => Err(self.refused(status, &told)),
        }
    }

    pub(super) fn advance(
        &self,
        known: (u64, Hash),
        next: &SignedCheckpoint,
        proof: &[Hash],
    ) -> Result<Advanced, LedgerError> {
        failpoint::hit("anchor.before_write");
        let (status, told) = match self.ask(TreeSize::new(known.0), next, proof)? {
            Answer::Cosigned(_) => {
                failpoint::hit("anchor.after_write");
                return Ok(Advanced::Durable);
            }
            Answer::Moved(_) => (409, String::new()),
            Answer::Refused { status, told } => (status, told),
        };
        if !matches!(status, 409 | 422) {
            return Err(self.refused(status, &told));
        }
        // Only what the log's key signed counts.
        let gone = || {
            let what = Both::new("它丢失了本台账的检查点", "it has lost its checkpoint of this log");
            self.failed(ErrorKind::NotFound, what)
        };
        let current = self.load()?.ok_or_else(gone)?;
        let (size, root) = current.tree_head();
        if status == 422 || (current.size == next.size && root != next.root) {
            return Err(fork((size, root), next));
        }
        if current.size >= next.size {
            return Ok(Advanced::Ahead((size, root)));
        }
        if (size, root) == known {
            let what = Both::new(
                "它所说的检查点与它所给出的不同",
                "it says that its checkpoint is another than it serves",
            );
            return Err(self.failed(ErrorKind::InvalidData, what));
        }
        Ok(Advanced::Moved((size, root)))
    }

    fn ask(
        &self,
        old_size: TreeSize,
        next: &SignedCheckpoint,
        proof: &[Hash],
    ) -> Result<Answer, LedgerError> {
        let note = SignedNote::parse(&next.text);
        let note = note.map_err(|error| self.failed(ErrorKind::InvalidInput, in_both(&error)))?;
        let (unsigned, text) = (note.without_signatures().to_string(), note.text().to_owned());
        let request = AddCheckpoint { old_size, proof: proof.to_vec(), note };
        let answer =
            self.client.add_checkpoint(&request).map_err(|error| self.unreachable("written", &error))?;
        // Whatever stands before a witness may answer 200 as well.
        let is_signature = |lines: &str| {
            SignedNote::parse(&format!("{unsigned}{lines}")).is_ok_and(|note| note.text() == text)
        };
        if let Answer::Cosigned(lines) = &answer
            && !is_signature(lines)
        {
            let what = Both::new(
                "它答以 200,却没有附署:这个地址上的不是见证服务",
                "it answers 200 without a cosignature: what answers at this address is no witness",
            );
            return Err(self.failed(ErrorKind::InvalidData, what));
        }
        Ok(answer)
    }

    fn refused(&self, status: u16, told: &str) -> LedgerError {
        if matches!(status, 403 | 404) {
            let keys: Vec<String> = self.verifiers.iter().map(|key| format!("--log '{key}'")).collect();
            let keys = keys.join(" ");
            let what = both!(
                "它不认识本台账,或不认识签名的密钥:若地址无误,请以 `{keys}` 重新启动它,然后重试",
                "it does not know this log, or not the key that signed: if this is its address, restart it with `{keys}`, then repeat this"
            );
            return self.failed(ErrorKind::NotFound, what);
        }
        self.failed(ErrorKind::Other, both!("它答以 {status}:{told}", "it answers {status}: {told}"))
    }

    fn failed(&self, kind: ErrorKind, what: Both) -> LedgerError {
        let source = io::Error::new(kind, Told(what));
        LedgerError::Anchor { path: self.url().to_owned(), doing: "written", source }
    }

    fn unreachable(&self, doing: &'static str, error: &ClientError) -> LedgerError {
        let source = io::Error::other(Told(in_both(error)));
        LedgerError::Anchor { path: self.url().to_owned(), doing, source }
    }
}
