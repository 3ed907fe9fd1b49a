//! Step 1 of the append protocol: from waiting proposals to one batch on the head that this process knows.
//!
//! Invariants: nothing outside is changed and nothing is signed: a batch that is not committed is simply dropped. A
//! proposal that cannot be recorded is set aside alone.
//! Absent: database, clock, network.
//! Source: format.md "Append protocol" step 1.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio::sync::oneshot;
use weituo_events::Event;
use weituo_projections::Claims;
use weituo_proof::{Draft, Frontier, Origin, Position, RecordedAt, StreamHead, leaf_hash};

use super::derived::Derived;
use super::seal::SealKey;
use super::tree::Node;
use super::types::{Accepted, Proposal, SubmitError};
use crate::store::{Batch, DisclosureRow, EntryRow, Head};

/// A proposal on its way, with what the submitter's own task could already compute.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) proposal: Proposal,
    pub(super) draft: Draft,
    pub(super) command: [u8; 16],
    /// Digests of the proposal's disclosures.
    pub(super) digests: Vec<String>,
    pub(super) answer: oneshot::Sender<Result<Accepted, SubmitError>>,
}

/// Why a proposal is not in the batch.
#[derive(Debug)]
pub(super) enum Aside {
    /// Its command id is in the log, at this leaf index.
    Known(u64),
    /// It cannot be recorded, unless its command id turns out to be in the log.
    Refused(SubmitError),
}

/// A batch that is ready to be committed.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) batch: Arc<Batch>,
    /// The proposals, in the order of the batch's rows.
    pub(super) chosen: Vec<Pending>,
    pub(super) positions: Vec<Position>,
    pub(super) nodes: Vec<Node>,
    pub(super) frontier: Frontier,
    /// The claims with the batch's applied, where it has any.
    pub(super) claims: Option<Claims>,
}

/// What became of the waiting proposals.
#[derive(Debug, Default)]
pub(super) struct Sorted {
    pub(super) prepared: Option<Prepared>,
    pub(super) aside: Vec<(Pending, Aside)>,
    /// Those whose command id another proposal of the batch has too, and those behind a `LogFrozen`: they wait until
    /// that one is settled.
    pub(super) later: Vec<Pending>,
}

/// The ground that a batch is prepared on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ground<'a> {
    pub(super) origin: &'a Origin,
    pub(super) derived: &'a Derived,
    pub(super) frontier: &'a Frontier,
    /// The head that the batch follows; `None` creates the log.
    pub(super) head: Option<&'a Head>,
    pub(super) seal: &'a SealKey,
    pub(super) recorded_at: RecordedAt,
}

struct Builder<'a> {
    ground: Ground<'a>,
    frontier: Frontier,
    nodes: Vec<Node>,
    /// Heads of the streams that the batch has touched.
    heads: HashMap<String, StreamHead>,
    commands: HashSet<[u8; 16]>,
    claims: Option<Claims>,
    /// Whether the batch holds a `LogFrozen`, which nothing follows.
    frozen: bool,
    rows: Vec<EntryRow>,
    positions: Vec<Position>,
    disclosures: Vec<DisclosureRow>,
    erase: Vec<String>,
}

/// Sorts the waiting proposals and prepares a batch of those that can be recorded.
pub(super) fn prepare(ground: Ground<'_>, waiting: Vec<Pending>) -> Sorted {
    let mut builder = Builder {
        ground,
        frontier: ground.frontier.clone(),
        nodes: Vec::new(),
        heads: HashMap::new(),
        commands: HashSet::new(),
        claims: None,
        frozen: false,
        rows: Vec::with_capacity(waiting.len()),
        positions: Vec::with_capacity(waiting.len()),
        disclosures: Vec::new(),
        erase: Vec::new(),
    };
    let (mut sorted, mut chosen) = (Sorted::default(), Vec::with_capacity(waiting.len()));
    for pending in waiting {
        if let Some(leaf_index) = ground.derived.recent(&pending.command) {
            sorted.aside.push((pending, Aside::Known(leaf_index)));
        } else if builder.frozen || builder.commands.contains(&pending.command) {
            sorted.later.push(pending);
        } else {
            match builder.push(&pending) {
                Ok(()) => chosen.push(pending),
                Err(error) => sorted.aside.push((pending, Aside::Refused(error))),
            }
        }
    }
    sorted.prepared = builder.finish(chosen);
    sorted
}

impl Builder<'_> {
    fn push(&mut self, pending: &Pending) -> Result<(), SubmitError> {
        let proposal = &pending.proposal;
        let current = self.head(pending.draft.stream.as_str());
        if current != proposal.expected {
            return Err(SubmitError::Conflict { current });
        }
        let concerned = Claims::concerns(&pending.draft.event_type);
        if concerned {
            self.claims().check(&proposal.act).map_err(SubmitError::Claim)?;
        }
        let position = Position {
            prev: current.map_or(self.ground.derived.genesis(), |head| head.leaf_hash),
            recorded_at: self.ground.recorded_at,
            sequence: current.map_or(1, |head| head.sequence + 1),
        };
        let body = pending.draft.entry(&position)?;
        let leaf_hash = leaf_hash(body.as_bytes());
        // From here the proposal is in the batch: every part of the batch takes it over.
        if concerned {
            let mut claims = self.claims.take().unwrap_or_else(|| self.ground.derived.claims().clone());
            claims.apply(&proposal.act, position.sequence);
            self.claims = Some(claims);
        }
        let leaf_index = self.frontier.size().get();
        let nodes = &mut self.nodes;
        self.frontier.append_with(leaf_hash, |level, index, hash| nodes.push((level, index, hash)));
        self.commands.insert(pending.command);
        let stream = pending.draft.stream.as_str().to_owned();
        self.heads.insert(stream.clone(), StreamHead { sequence: position.sequence, leaf_hash });
        let digests = pending.digests.iter().zip(&proposal.disclosures);
        self.disclosures.extend(digests.map(|(digest, disclosure)| DisclosureRow {
            digest: digest.clone(),
            leaf_index,
            disclosure: disclosure.clone(),
        }));
        self.frozen |= matches!(proposal.act.event, Event::LogFrozen(_));
        self.erase.extend(proposal.erase.iter().cloned());
        self.positions.push(position);
        self.rows.push(EntryRow {
            leaf_index,
            stream,
            sequence: position.sequence,
            command: pending.command,
            leaf_hash,
            body: Arc::from(body),
        });
        Ok(())
    }

    fn head(&self, stream: &str) -> Option<StreamHead> {
        self.heads.get(stream).copied().or_else(|| self.ground.derived.head(stream))
    }

    fn claims(&self) -> &Claims {
        self.claims.as_ref().unwrap_or_else(|| self.ground.derived.claims())
    }

    fn finish(self, chosen: Vec<Pending>) -> Option<Prepared> {
        if chosen.is_empty() {
            return None;
        }
        let Ground { origin, head, seal, recorded_at, .. } = self.ground;
        let (size, root) = (self.frontier.size().get(), self.frontier.root());
        let recorded_at = recorded_at.to_string();
        let after = Head {
            origin: origin.to_string(),
            size,
            root,
            seal: seal.seal(origin.as_str(), size, &root, &recorded_at),
            recorded_at,
        };
        let batch = Batch {
            before: head.map(Head::fence),
            after,
            rows: self.rows,
            disclosures: self.disclosures,
            erase: self.erase,
        };
        Some(Prepared {
            batch: Arc::new(batch),
            chosen,
            positions: self.positions,
            nodes: self.nodes,
            frontier: self.frontier,
            claims: self.claims,
        })
    }
}

impl Pending {
    /// Computes what does not depend on the head, in the submitter's own task.
    ///
    /// # Errors
    ///
    /// `Disclosure` where a disclosure opens nothing of the act.
    pub(super) fn new(
        proposal: Proposal,
        origin: &Origin,
        answer: oneshot::Sender<Result<Accepted, SubmitError>>,
    ) -> Result<Self, SubmitError> {
        let draft = proposal.act.draft(origin);
        let mut digests = Vec::with_capacity(proposal.disclosures.len());
        for text in &proposal.disclosures {
            let digest = weituo_proof::Disclosure::decode(text)
                .map_err(|_| SubmitError::Disclosure { digest: "?".to_owned() })?
                .digest();
            let of_person = draft.actor.person.as_ref().is_some_and(|person| person.digest() == digest);
            if !of_person && !draft.payload.contains(&digest) {
                return Err(SubmitError::Disclosure { digest });
            }
            digests.push(digest);
        }
        let command = draft.command.to_bytes();
        Ok(Self { proposal, draft, command, digests, answer })
    }

    /// Answers the submitter, who may no longer be listening.
    pub(super) fn answer(self, answer: Result<Accepted, SubmitError>) {
        let _ = self.answer.send(answer);
    }
}
