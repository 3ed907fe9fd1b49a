//! What the users of stock cqrs-es write: a small aggregate, one command, one event, no queries, no metadata.

use std::convert::Infallible;
use std::sync::Arc;

use cqrs_es::event_sink::EventSink;
use cqrs_es::{Aggregate, AggregateError, CqrsFramework, DomainEvent, EventStore};
use serde::{Deserialize, Serialize};
use weituo_events::payload::ActivityRecorded;

use crate::event::{json, payload, school, stream_name};
use crate::measure::{Attempt, Client};
use crate::rota::Place;

/// Streams filled before a measurement hold room for so many events a second: more than stock reaches on them.
pub(crate) const EXPECTED_PER_SECOND: f64 = 3_000.0;

/// A stream's state: what a decision might look at.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Activities {
    count: u64,
    participants: u64,
}

/// The event, as an enum of its kinds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum StockEvent {
    ActivityRecorded(ActivityRecorded),
}

impl DomainEvent for StockEvent {
    fn event_type(&self) -> String {
        "ActivityRecorded".to_owned()
    }

    fn event_version(&self) -> String {
        "1.0".to_owned()
    }
}

impl Aggregate for Activities {
    const TYPE: &'static str = "agreement";
    type Command = ActivityRecorded;
    type Event = StockEvent;
    type Error = Infallible;
    type Services = ();

    async fn handle(
        &mut self,
        command: Self::Command,
        (): &Self::Services,
        sink: &EventSink<Self>,
    ) -> Result<(), Self::Error> {
        sink.write(StockEvent::ActivityRecorded(command), self).await;
        Ok(())
    }

    fn apply(&mut self, StockEvent::ActivityRecorded(event): Self::Event) {
        self.count += 1;
        self.participants += u64::from(event.participants.unwrap_or(0));
    }
}

/// Returns an event as it stands in the table.
pub(crate) fn stored_event() -> String {
    format!(r#"{{"ActivityRecorded":{}}}"#, json(&payload(&school(0).expect("a school's id"), 0)))
}

/// One client of a framework that all share.
pub(crate) struct StockClient<ES: EventStore<Activities>> {
    framework: Arc<CqrsFramework<Activities, ES>>,
    place: Place,
    number: u32,
    pending: Option<(String, ActivityRecorded)>,
}

impl<ES: EventStore<Activities>> StockClient<ES> {
    pub(crate) fn new(framework: &Arc<CqrsFramework<Activities, ES>>, place: Place) -> Self {
        Self { framework: Arc::clone(framework), place, number: 0, pending: None }
    }

    fn next(&mut self) -> (String, ActivityRecorded) {
        let stream = self.place.next();
        self.number += 1;
        let school = school(stream).expect("invariant: digits make an id");
        (stream_name(stream), payload(&school, self.number))
    }
}

impl<ES: EventStore<Activities> + 'static> Client for StockClient<ES>
where
    ES::AC: Send,
{
    async fn append(&mut self) -> Attempt {
        let (stream, command) = self.pending.take().unwrap_or_else(|| self.next());
        match self.framework.execute(&stream, command.clone()).await {
            Ok(()) => Attempt::Recorded(1),
            Err(error) => {
                self.pending = Some((stream, command));
                match error {
                    AggregateError::AggregateConflict => Attempt::Conflict,
                    error => Attempt::Failed(error.to_string()),
                }
            }
        }
    }
}
