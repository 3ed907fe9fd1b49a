//! Warnings that the server sends while a call runs.
//!
//! A commit whose wait for a synchronous standby was cancelled is answered with success and a warning. The driver hands
//! warnings to nobody but `tracing`, so a call is run with a subscriber of its own, which notes them and passes
//! everything on to the one that was there before.
//! Invariants: told by level, never by words, which the server translates; other tasks' warnings are not heard; what is
//! logged during a call is logged as without it.
//! Absent: what a warning means (`append`, `barrier`).
//! Source: PostgreSQL manual, "Synchronous Replication" and `pg_cancel_backend`; `sqlx-postgres` 0.8, connection stream.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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
    heard: Arc<AtomicBool>,
    listening: Dispatch,
}

impl Warnings {
    pub(super) fn new() -> Self {
        let heard = Arc::new(AtomicBool::new(false));
        let outer = tracing::dispatcher::get_default(Clone::clone);
        let listening = Dispatch::new(Listener { heard: Arc::clone(&heard), outer });
        Self { heard, listening }
    }

    /// Runs a call, and returns its answer and whether the server warned. One call at a time, as on a connection.
    pub(super) async fn during<T>(&self, call: impl Future<Output = T>) -> (T, bool) {
        self.heard.store(false, Ordering::SeqCst);
        let answer = call.with_subscriber(self.listening.clone()).await;
        (answer, self.heard.load(Ordering::SeqCst))
    }
}

struct Listener {
    heard: Arc<AtomicBool>,
    outer: Dispatch,
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
            self.heard.store(true, Ordering::SeqCst);
        }
        if self.outer.enabled(event.metadata()) {
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
