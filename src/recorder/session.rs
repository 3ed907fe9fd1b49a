//! One session a command: the event store that cqrs-es sees, whose commit hands back the receipt.
//!
//! Invariant: a session submits at most one event, on the head that the decision was made on. Its commit returns once the
//! event has a place in a batch, so that the next command of its stream can be decided while this one is committed.
//! Source: design.md, The append path (`execute` cannot return the receipt, so the session keeps it).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use cqrs_es::{AggregateContext, AggregateError, CqrsFramework, EventEnvelope, EventStore};
use weituo_events::{Act, Refusal};
use weituo_proof::StreamName;

use super::Recording;
use super::aggregate::{DecidedAct, Kind, StreamAggregate};
use super::streams::Loaded;
use crate::deciding::Context;
use crate::ledger::{Ledger, Place, Proposal, RestsOn, SubmitError, Submitted};

/// What became of one attempt.
pub(super) enum Answer {
    /// Recorded.
    Accepted(Box<Recording>),
    /// Refused.
    Refused(Refusal),
    /// The stream moved in between.
    Moved,
}

/// Why a session recorded nothing.
pub(super) enum NotRecorded {
    /// The decision refused it.
    Refused(Refusal),
    /// The ledger did not take it.
    Submit(SubmitError),
}

/// The event store of one command.
pub(super) struct Session {
    inner: Arc<Inner>,
}

struct Inner {
    ledger: Ledger,
    loaded: Loaded,
    disclosures: Vec<String>,
    erase: Vec<String>,
    rests_on: Vec<RestsOn>,
    outcome: Mutex<Option<Result<Proposed, SubmitError>>>,
}

/// A decided act on its way into the log.
pub(super) struct Proposed {
    pub(super) act: Arc<Act>,
    /// Its place in a batch; `None` where it is answered without one.
    pub(super) place: Option<Place>,
    pub(super) submitted: Submitted,
}

/// What cqrs-es carries from loading to committing.
pub(super) struct SessionContext<K: Kind>(StreamAggregate<K>);

impl<K: Kind> AggregateContext<StreamAggregate<K>> for SessionContext<K> {
    fn aggregate(&mut self) -> &mut StreamAggregate<K> {
        &mut self.0
    }
}

impl Session {
    pub(super) fn new(
        ledger: &Ledger,
        loaded: Loaded,
        disclosures: Vec<String>,
        erase: Vec<String>,
        rests_on: Vec<RestsOn>,
    ) -> Self {
        let (ledger, outcome) = (ledger.clone(), Mutex::new(None));
        Self { inner: Arc::new(Inner { ledger, loaded, disclosures, erase, rests_on, outcome }) }
    }

    /// Decides and submits, and returns the act as it is being recorded.
    pub(super) async fn run<K: Kind>(
        self,
        stream: &StreamName,
        act: Act,
        context: Context,
    ) -> Result<Proposed, NotRecorded> {
        let store = SessionStore(Arc::clone(&self.inner));
        let framework = CqrsFramework::<StreamAggregate<K>, _>::new(store, Vec::new(), ());
        let done = framework.execute(stream.as_str(), (act, context)).await;
        if let Err(AggregateError::UserError(refusal)) = done {
            return Err(NotRecorded::Refused(refusal));
        }
        let outcome = self.inner.outcome.lock().unwrap_or_else(PoisonError::into_inner).take();
        outcome.unwrap_or(Err(SubmitError::Stopped)).map_err(NotRecorded::Submit)
    }
}

struct SessionStore(Arc<Inner>);

impl<K: Kind> EventStore<StreamAggregate<K>> for SessionStore {
    type AC = SessionContext<K>;

    /// The state was loaded before the decision; nobody asks a session for events.
    async fn load_events(
        &self,
        _: &str,
    ) -> Result<Vec<EventEnvelope<StreamAggregate<K>>>, AggregateError<Refusal>> {
        Ok(Vec::new())
    }

    async fn load_aggregate(&self, _: &str) -> Result<Self::AC, AggregateError<Refusal>> {
        Ok(SessionContext(StreamAggregate::new(Arc::clone(&self.0.loaded.state))))
    }

    async fn commit(
        &self,
        events: Vec<DecidedAct>,
        _: Self::AC,
        _: HashMap<String, String>,
    ) -> Result<Vec<EventEnvelope<StreamAggregate<K>>>, AggregateError<Refusal>> {
        let Some(DecidedAct(act)) = events.into_iter().next() else { return Ok(Vec::new()) };
        let proposal = Proposal {
            act: Arc::clone(&act),
            disclosures: self.0.disclosures.clone(),
            expected: self.0.loaded.head,
            erase: self.0.erase.clone(),
            rests_on: self.0.rests_on.clone(),
        };
        let outcome = match self.0.ledger.propose(proposal).await {
            Ok(mut submitted) => {
                let place = submitted.place().await;
                Ok(Proposed { act, place, submitted })
            }
            Err(error) => Err(error),
        };
        let failed = outcome.is_err();
        *self.0.outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
        if failed { Err(AggregateError::AggregateConflict) } else { Ok(Vec::new()) }
    }
}
