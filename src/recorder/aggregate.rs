//! The thin cqrs-es aggregates: they hold a stream's folded state and hand every command to its deciding module.
//!
//! Invariants: `handle` yields exactly one event or a refusal and changes no state; a state changes only by folding what
//! the log has recorded (`streams`), because a decided act has no place in the log yet.
//! Absent: rules and folds (weituo-projections), storage, caching.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use cqrs_es::event_sink::EventSink;
use cqrs_es::{Aggregate, DomainEvent};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use weituo_events::{Act, Category, Refusal};
use weituo_projections::StreamState;

use crate::deciding::Context;

/// The kind of stream an aggregate stands for.
pub(crate) trait Kind: Send + Sync + 'static {
    /// Part of the stream's name before `/`.
    const TYPE: &'static str;
    /// The same as a category.
    const CATEGORY: Category;
}

macro_rules! kinds {
    ($($name:ident $text:literal),* $(,)?) => {
        $(
            /// One kind of stream.
            #[derive(Debug)]
            pub(crate) struct $name;

            impl Kind for $name {
                const TYPE: &'static str = $text;
                const CATEGORY: Category = Category::$name;
            }
        )*
    };
}

kinds!(Agreement "agreement", Organisation "organisation", Rulebook "rulebook", Log "log");

/// One act, as cqrs-es passes it from deciding to committing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct DecidedAct(pub(crate) Arc<Act>);

impl DomainEvent for DecidedAct {
    fn event_type(&self) -> String {
        self.0.event.event_type().name().to_owned()
    }

    fn event_version(&self) -> String {
        self.0.event.event_type().version().to_string()
    }
}

/// A stream's state, shared with the cache: a command that is refused costs no copy.
pub(crate) struct StreamAggregate<K: Kind> {
    pub(crate) state: Arc<StreamState>,
    kind: PhantomData<K>,
}

impl<K: Kind> StreamAggregate<K> {
    /// Returns the aggregate over a state that is already folded.
    pub(crate) fn new(state: Arc<StreamState>) -> Self {
        Self { state, kind: PhantomData }
    }
}

impl<K: Kind> Default for StreamAggregate<K> {
    fn default() -> Self {
        Self::new(Arc::new(StreamState::new(K::CATEGORY)))
    }
}

impl<K: Kind> fmt::Debug for StreamAggregate<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple(K::TYPE).field(&self.state).finish()
    }
}

/// cqrs-es asks for it for the sake of snapshots, which apply events twice and are never used here.
const NO_SNAPSHOTS: &str = "aggregates are not stored: fold the stream";

impl<K: Kind> Serialize for StreamAggregate<K> {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom(NO_SNAPSHOTS))
    }
}

impl<'de, K: Kind> Deserialize<'de> for StreamAggregate<K> {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(serde::de::Error::custom(NO_SNAPSHOTS))
    }
}

impl<K: Kind> Aggregate for StreamAggregate<K> {
    const TYPE: &'static str = K::TYPE;
    type Command = (Act, Context);
    type Event = DecidedAct;
    type Error = Refusal;
    type Services = ();

    async fn handle(
        &mut self,
        (act, context): Self::Command,
        (): &Self::Services,
        sink: &EventSink<Self>,
    ) -> Result<(), Refusal> {
        let decided = crate::deciding::decide(&self.state, act, &context)?;
        sink.write(DecidedAct(Arc::new(decided)), self).await;
        Ok(())
    }

    /// A decided act has no leaf index, time or sequence yet, and this copy of the state is dropped after deciding.
    fn apply(&mut self, _: Self::Event) {}
}
