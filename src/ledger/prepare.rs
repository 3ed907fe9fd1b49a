//! Step 1 of the append protocol: from waiting proposals to one batch, on the committed head or on a batch that is still
//! being committed.
//!
//! Invariants: nothing outside is changed and nothing is signed: a batch that is not committed is simply dropped. A
//! proposal that cannot be recorded is set aside alone.
//! Absent: database, clock, network.
//! Source: design.md "The append path" step 2.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio::sync::oneshot;
use weituo_events::{Event, Refusal};
use weituo_projections::Claims;
use weituo_proof::{Draft, Frontier, LeafIndex, Origin, Position, RecordedAt, StreamHead, leaf_hash};

use super::derived::Derived;
use super::redo;
use super::seal::SealKey;
use super::tree::Node;
use super::types::{Accepted, Place, Proposal, SubmitError};
use crate::store::{Batch, DisclosureRow, EntryRow, Fence, Head};

/// A proposal on its way, with what the submitter's own task could already compute.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) proposal: Proposal,
    pub(super) draft: Draft,
    pub(super) command: [u8; 16],
    /// Digests of the proposal's disclosures.
    pub(super) digests: Vec<String>,
    /// Where it is told its place in a batch, once.
    pub(super) placed: Option<oneshot::Sender<Place>>,
    /// Where it is answered, once.
    pub(super) answer: Option<oneshot::Sender<Result<Accepted, SubmitError>>>,
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
    /// Those not in the batch.
    pub(super) apart: Apart,
    /// Whether it may be committed again from what the anchor keeps of it, without knowing whether it was before: nothing is
    /// erased, no key of the log changes, and only a repeated command can keep the database from taking it in, because all salts
    /// in it are fresh.
    pub(super) redoable: bool,
    /// Heads of the streams that the batch touches.
    heads: HashMap<String, StreamHead>,
    commands: HashSet<[u8; 16]>,
    /// Whether the batch holds a `LogFrozen`, which nothing follows.
    frozen: bool,
    recorded_at: RecordedAt,
}

/// Proposals that came while a batch was prepared and are not in it.
#[derive(Debug, Default)]
pub(super) struct Apart {
    /// Those that cannot be recorded, if this batch is.
    pub(super) aside: Vec<(Pending, Aside)>,
    /// Those whose command id another proposal has too, and those behind a `LogFrozen`: they wait until that one is
    /// settled.
    pub(super) later: Vec<Pending>,
}

/// The ground that a batch is prepared on: the committed state, or the batch that is being committed on it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ground<'a> {
    pub(super) derived: &'a Derived,
    /// The batch that is being committed.
    pub(super) under: Option<&'a Prepared>,
    /// Whether the batch is likely to be lost to another process, so that nothing is to follow from places in it yet.
    pub(super) contended: bool,
}

/// A batch that still takes proposals in.
#[derive(Debug)]
pub(super) struct Open {
    /// The head that it follows; `None` creates the log.
    before: Option<Fence>,
    frontier: Frontier,
    nodes: Vec<Node>,
    heads: HashMap<String, StreamHead>,
    commands: HashSet<[u8; 16]>,
    claims: Option<Claims>,
    frozen: bool,
    rows: Vec<EntryRow>,
    positions: Vec<Position>,
    disclosures: Vec<DisclosureRow>,
    /// Digests of what signed acts seal: their salts are not ours, and may come twice.
    signed_digests: HashSet<String>,
    erase: Vec<String>,
    chosen: Vec<Pending>,
    apart: Apart,
}

impl Ground<'_> {
    /// Returns when the newest entry was recorded; `None` before there is one.
    pub(super) fn last_recorded_at(&self) -> Option<RecordedAt> {
        self.under.map(|under| under.recorded_at).or_else(|| self.derived.last_recorded_at())
    }

    fn head(&self, stream: &str) -> Option<StreamHead> {
        let under = self.under.and_then(|under| under.heads.get(stream));
        under.copied().or_else(|| self.derived.head(stream))
    }

    fn claims(&self) -> &Claims {
        self.under.and_then(|under| under.claims.as_ref()).unwrap_or_else(|| self.derived.claims())
    }

    /// Whether this command, or any, has to wait for the batch that is being committed.
    fn defers(&self, command: &[u8; 16]) -> bool {
        self.under.is_some_and(|under| under.frozen || under.commands.contains(command))
    }
}

impl Prepared {
    /// Returns every proposal, for another batch.
    pub(super) fn into_pending(self) -> impl Iterator<Item = Pending> {
        self.chosen.into_iter().chain(self.apart.into_pending())
    }
}

impl Apart {
    /// Returns every proposal, for another batch.
    pub(super) fn into_pending(self) -> impl Iterator<Item = Pending> {
        self.aside.into_iter().map(|(pending, _)| pending).chain(self.later)
    }
}

impl Open {
    /// Begins a batch on the log's head; `None` creates the log.
    pub(super) fn on_head(head: Option<&Head>, frontier: &Frontier) -> Self {
        Self::new(head.map(Head::fence), frontier.clone())
    }

    /// Begins a batch on one that is being committed.
    pub(super) fn on_batch(under: &Prepared) -> Self {
        Self::new(Some(under.batch.after.fence()), under.frontier.clone())
    }

    fn new(before: Option<Fence>, frontier: Frontier) -> Self {
        Self {
            before,
            frontier,
            nodes: Vec::new(),
            heads: HashMap::new(),
            commands: HashSet::new(),
            claims: None,
            frozen: false,
            rows: Vec::new(),
            positions: Vec::new(),
            disclosures: Vec::new(),
            signed_digests: HashSet::new(),
            erase: Vec::new(),
            chosen: Vec::new(),
            apart: Apart::default(),
        }
    }

    /// Returns the number of entries so far.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Takes a proposal into the batch, or sets it apart.
    pub(super) fn push(&mut self, ground: Ground<'_>, mut pending: Pending, recorded_at: RecordedAt) {
        if let Some(leaf_index) = ground.derived.recent(&pending.command) {
            self.apart.aside.push((pending, Aside::Known(leaf_index)));
        } else if self.frozen || self.commands.contains(&pending.command) || ground.defers(&pending.command) {
            self.apart.later.push(pending);
        } else {
            match self.append(ground, &pending, recorded_at) {
                Ok(place) => {
                    if !ground.contended {
                        pending.tell(place);
                    }
                    self.chosen.push(pending);
                }
                Err(error) => self.apart.aside.push((pending, Aside::Refused(error))),
            }
        }
    }

    fn append(
        &mut self,
        ground: Ground<'_>,
        pending: &Pending,
        recorded_at: RecordedAt,
    ) -> Result<Place, SubmitError> {
        let proposal = &pending.proposal;
        let stream = pending.draft.stream.as_str();
        let current = self.heads.get(stream).copied().or_else(|| ground.head(stream));
        if current != proposal.expected {
            return Err(SubmitError::Conflict { current });
        }
        // An organisation may have changed since, or its key have been revoked, or what was read of it not be in the log: then
        // the act is decided again.
        let now = |stream: &str| self.heads.get(stream).copied().or_else(|| ground.head(stream));
        if proposal.rests_on.iter().any(|other| now(other.stream.as_str()) != other.head) {
            return Err(SubmitError::Conflict { current });
        }
        if proposal.act.signature.is_some() {
            self.check_digests(ground, &pending.digests)?;
        }
        let concerned = Claims::concerns(&pending.draft.event_type);
        if concerned {
            let claims = self.claims.as_ref().unwrap_or_else(|| ground.claims());
            claims.check(&proposal.act).map_err(SubmitError::Claim)?;
        }
        let position = Position {
            prev: current.map_or(ground.derived.genesis(), |head| head.leaf_hash),
            recorded_at,
            sequence: current.map_or(1, |head| head.sequence + 1),
        };
        let body = pending.draft.entry(&position)?;
        let leaf_hash = leaf_hash(body.as_bytes());
        // From here the proposal is in the batch: every part of the batch takes it over.
        if concerned {
            let claims = self.claims.get_or_insert_with(|| ground.claims().clone());
            claims.apply(&proposal.act, position.sequence);
        }
        let leaf_index = self.frontier.size().get();
        let nodes = &mut self.nodes;
        self.frontier.append_with(leaf_hash, |level, index, hash| nodes.push((level, index, hash)));
        if proposal.act.signature.is_some() {
            self.signed_digests.extend(pending.digests.iter().cloned());
        }
        self.commands.insert(pending.command);
        self.heads.insert(stream.to_owned(), StreamHead { sequence: position.sequence, leaf_hash });
        let digests = pending.digests.iter().zip(&proposal.disclosures);
        self.disclosures.extend(digests.map(|(digest, disclosure)| DisclosureRow {
            digest: digest.clone(),
            leaf_index,
            disclosure: disclosure.clone(),
        }));
        self.frozen |= matches!(proposal.act.event, Event::LogFrozen(_));
        self.erase.extend(proposal.erase.iter().cloned());
        self.rows.push(EntryRow {
            leaf_index,
            stream: stream.to_owned(),
            sequence: position.sequence,
            command: pending.command,
            leaf_hash,
            body: Arc::from(body),
        });
        self.positions.push(position);
        Ok(Place { leaf_index: LeafIndex::new(leaf_index), leaf_hash, position })
    }

    /// Refuses salts that were used before for the same value: a disclosure is stored once, under its digest.
    fn check_digests(&self, ground: Ground<'_>, digests: &[String]) -> Result<(), SubmitError> {
        let used = |digest: &String| self.signed_digests.contains(digest) || ground.derived.is_stored(digest);
        let twice = digests.iter().enumerate().any(|(at, digest)| digests[..at].contains(digest));
        if !twice && !digests.iter().any(used) {
            return Ok(());
        }
        Err(SubmitError::Claim(Refusal::invalid(
            "signed-salts-used",
            "签名命令的盐已被用过:每次签名都须用新的盐,请用 `weituo sign` 重新签名",
            "the command was signed with salts that were used before: each signing takes fresh ones, sign again with `weituo sign`",
        )))
    }

    /// Ends the batch and seals the head that it leaves; those set apart where it holds no entry.
    pub(super) fn close(self, origin: &Origin, seal: &SealKey) -> Result<Prepared, Apart> {
        let Some(last) = self.positions.last() else { return Err(self.apart) };
        let (size, root, recorded_at) = (self.frontier.size().get(), self.frontier.root(), last.recorded_at);
        let spelled = recorded_at.to_string();
        let after = Head {
            origin: origin.to_string(),
            size,
            root,
            seal: seal.seal(origin.as_str(), size, &root, &spelled),
            recorded_at: spelled,
        };
        let own = |row: &EntryRow| row.stream.starts_with("log/");
        let redoable = self.erase.is_empty() && self.signed_digests.is_empty() && !self.rows.iter().any(own);
        let batch = Batch {
            before: self.before,
            after,
            rows: self.rows,
            disclosures: self.disclosures,
            erase: self.erase,
        };
        Ok(Prepared {
            chosen: self.chosen,
            positions: self.positions,
            nodes: self.nodes,
            frontier: self.frontier,
            claims: self.claims,
            apart: self.apart,
            redoable: redoable && redo::length(&batch) <= redo::ROOM,
            heads: self.heads,
            commands: self.commands,
            frozen: self.frozen,
            recorded_at,
            batch: Arc::new(batch),
        })
    }

    /// Drops what was prepared: every proposal is to be prepared again.
    pub(super) fn give_up(mut self) -> Apart {
        self.apart.later.splice(..0, self.chosen).for_each(drop);
        self.apart
    }

    /// Returns when the newest entry so far was recorded; `None` without one.
    pub(super) fn last_recorded_at(&self) -> Option<RecordedAt> {
        self.positions.last().map(|position| position.recorded_at)
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
        Ok(Self { proposal, draft, command, digests, placed: None, answer: Some(answer) })
    }

    /// Tells the submitter the proposal's place, unless he was told one before.
    pub(super) fn tell(&mut self, place: Place) {
        if let Some(placed) = self.placed.take() {
            let _ = placed.send(place);
        }
    }

    /// Answers the submitter, who may no longer be listening.
    pub(super) fn answer(&mut self, answer: Result<Accepted, SubmitError>) {
        // Whoever waits for a place waits no longer.
        self.placed = None;
        if let Some(submitter) = self.answer.take() {
            let _ = submitter.send(answer);
        }
    }
}
