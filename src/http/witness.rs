//! The witness's edge: `POST /add-checkpoint` and `GET /ORIGIN-HASH/checkpoint`.
//!
//! Invariants: each refusal has the status that tlog-witness gives it; a body is read within a limit of bytes and time.
//! Absent: deciding what is cosigned (`witness`); TLS and limits of connections, which a proxy in front sets.
//! Source: C2SP tlog-witness v1.1.0, "HTTP Interface".

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest as _, Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use weituo_proof::witness::SIZE_CONTENT_TYPE;
use weituo_verifier::chain;

use crate::witness::{Refusal, Witness};

/// Largest request, in bytes: a proof of 63 lines and a note with dozens of signatures, large ones among them.
const MAX_BODY_BYTES: usize = 256 * 1024;
/// How long a request's body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Returns the routes of a witness.
pub fn router(witness: Arc<Witness>) -> Router {
    Router::new()
        .route("/add-checkpoint", post(add_checkpoint))
        .route("/{origin_hash}/checkpoint", get(newest))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(witness)
}

async fn add_checkpoint(State(witness): State<Arc<Witness>>, request: Request) -> Response {
    let body = match tokio::time::timeout(BODY_TIMEOUT, Bytes::from_request(request, &())).await {
        Ok(Ok(body)) => body,
        Ok(Err(rejection)) => return rejection.into_response(),
        Err(error) => return told(StatusCode::REQUEST_TIMEOUT, &error),
    };
    let answered = blocking(move || witness.add_checkpoint(&body, crate::since_epoch().as_secs())).await;
    match answered {
        Some(Ok(lines)) => lines.into_response(),
        Some(Err(refusal)) => refused(&refusal),
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn newest(State(witness): State<Arc<Witness>>, Path(origin_hash): Path<String>) -> Response {
    let Ok(origin_hash) = origin_hash.parse() else { return StatusCode::NOT_FOUND.into_response() };
    match blocking(move || witness.newest(&origin_hash)).await {
        Some(Ok(Some(note))) => note.into_response(),
        Some(Ok(None)) => (StatusCode::NOT_FOUND, "no checkpoint of this log was cosigned\n").into_response(),
        Some(Err(error)) => told(StatusCode::INTERNAL_SERVER_ERROR, &error),
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Runs a call that waits for the disk; `None` where it panicked.
async fn blocking<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(call).await.ok()
}

fn refused(refusal: &Refusal) -> Response {
    let status = match refusal {
        Refusal::Request(_) | Refusal::Encoding | Refusal::Checkpoint(_) | Refusal::OldLarger { .. } => {
            StatusCode::BAD_REQUEST
        }
        Refusal::UnknownOrigin => StatusCode::NOT_FOUND,
        Refusal::Signature(_) => StatusCode::FORBIDDEN,
        Refusal::Moved { newest } => {
            let content_type = [(header::CONTENT_TYPE, SIZE_CONTENT_TYPE)];
            return (StatusCode::CONFLICT, content_type, format!("{newest}\n")).into_response();
        }
        Refusal::Inconsistent(_) => StatusCode::UNPROCESSABLE_ENTITY,
        Refusal::Clock { .. } => StatusCode::SERVICE_UNAVAILABLE,
        Refusal::State(error) => {
            // Paths of this machine are nothing to the one who asks.
            tracing::error!(error = %chain(error), "a checkpoint could not be kept");
            return (StatusCode::INTERNAL_SERVER_ERROR, format!("{refusal}\n")).into_response();
        }
    };
    told(status, refusal)
}

fn told(status: StatusCode, error: &dyn std::error::Error) -> Response {
    (status, format!("{}\n", chain(error))).into_response()
}
