//! Warnings that the server sends while a call runs.
//!
//! A commit whose wait for a synchronous standby was cancelled is answered with success and a warning. The driver hands
//! warnings to nobody but `tracing`, so a call is run with a subscriber of its own, which keeps them and passes everything
//! else on to the one that was there before.
//! Invariants: told by level, never by words, which the server translates; other tasks' warnings are not heard; whatever
//! else is logged during a call is logged as without it.
//! Absent: what a warning means (`append`, `barrier`).
//! Source: PostgreSQL manual, "Synchronous Replication" and `pg_cancel_backend`; `sqlx-postgres` 0.8, connection stream.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::instrument::WithSubscriber as _;
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Dispatch, Event, Level, Metadata, Subscriber};

/// The target under which the driver logs what the server says beside its answers.
const NOTICE: &str = "sqlx::postgres::notice";

/// Hears the warnings of one connection; made once, because every new subscriber makes `tracing` ask all callsites again.
#[derive(Debug)]
pub(super) struct Warnings {
    heard: Heard,
    listening: Dispatch,
}

/// The last warning.
type Heard = Arc<Mutex<Option<String>>>;

impl Warnings {
    pub(super) fn new() -> Self {
        let heard = Heard::default();
        let outer = tracing::dispatcher::get_default(Clone::clone);
        let listening = Dispatch::new(Listener { heard: Arc::clone(&heard), outer });
        Self { heard, listening }
    }

    /// Runs a call, and returns its answer and what the server warned of. One call at a time, as on a connection.
    pub(super) async fn during<T>(&self, call: impl Future<Output = T>) -> (T, Option<String>) {
        drop(self.take());
        let answer = call.with_subscriber(self.listening.clone()).await;
        (answer, self.take())
    }

    fn take(&self) -> Option<String> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

struct Listener {
    heard: Heard,
    outer: Dispatch,
}

/// The words of a warning.
struct Words(String);

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.0 = format!("the server warned: {value:?}");
        }
    }
}

/// Returns whether this is a warning of the server, or worse.
fn is_warning(metadata: &Metadata<'_>) -> bool {
    metadata.target() == NOTICE && *metadata.level() <= Level::WARN
}

impl Subscriber for Listener {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if is_warning(metadata) { Interest::always() } else { self.outer.register_callsite(metadata) }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        is_warning(metadata) || self.outer.enabled(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        // The outer subscriber gives its own hint; the more verbose of the two counts.
        Some(LevelFilter::WARN)
    }

    fn event(&self, event: &Event<'_>) {
        if is_warning(event.metadata()) {
            let mut words = Words(String::new());
            event.record(&mut words);
            *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Some(words.0);
        } else if self.outer.enabled(event.metadata()) {
            self.outer.event(event);
        }
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.outer.new_span(span)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        self.outer.record(span, values);
    }

    fn record_follows_from(&self, span: &Id, follows: &Id) {
        self.outer.record_follows_from(span, follows);
    }

    fn enter(&self, span: &Id) {
        self.outer.enter(span);
    }

    fn exit(&self, span: &Id) {
        self.outer.exit(span);
    }

    fn clone_span(&self, id: &Id) -> Id {
        self.outer.clone_span(id)
    }

    fn try_close(&self, id: Id) -> bool {
        self.outer.try_close(id)
    }
}
