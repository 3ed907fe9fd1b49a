//! The log, served: C2SP tlog-tiles under `/log/`.
//!
//! Invariants: what a tile's path names never changes, so it may be kept for ever; the checkpoint is asked for each time.
//! Absent: authentication (the log is public), proofs (clients compute them from tiles).
//! Source: C2SP tlog-tiles, "APIs".

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tower_http::compression::CompressionLayer;
use weituo_proof::sha256;
use weituo_proof::tile::TilePath;
use weituo_verifier::chain;

use super::problem::Problem;
use crate::ledger::Ledger;

const TEXT: &str = "text/plain; charset=utf-8";
const BINARY: &str = "application/octet-stream";

/// What a path names for good.
const FOR_EVER: &str = "public, max-age=31536000, immutable";
/// What changes with every entry: caches may spare the server a burst of readers.
const BRIEFLY: &str = "public, max-age=1, must-revalidate";
/// The log's key, which changes by rotation.
const AN_HOUR: &str = "public, max-age=3600";

/// Returns the routes below `/log/`.
pub fn router(ledger: Ledger) -> Router {
    Router::new()
        .route("/log/checkpoint", get(checkpoint))
        .route("/log/key", get(key))
        .route("/log/tile/{*path}", get(tile))
        .fallback(nothing_here)
        .method_not_allowed_fallback(only_read)
        .layer(CompressionLayer::new().gzip(true))
        .with_state(ledger)
}

async fn nothing_here() -> Problem {
    let detail = "the log is at /log/checkpoint, /log/key and /log/tile/ (C2SP tlog-tiles): `weituo mirror` and `weituo watch` read it";
    Problem::new(StatusCode::NOT_FOUND, detail)
}

async fn only_read() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "the log is only read here, by GET: `weituo record` adds to it",
    )
}

async fn checkpoint(State(ledger): State<Ledger>, headers: HeaderMap) -> Response {
    match ledger.served_checkpoint() {
        Some(checkpoint) => content(&headers, TEXT, BRIEFLY, Bytes::from(checkpoint.text.clone())),
        None => Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "no checkpoint may be given: the log's anchor does not vouch for it",
        )
        .into_response(),
    }
}

async fn key(State(ledger): State<Ledger>, headers: HeaderMap) -> Response {
    content(&headers, TEXT, AN_HOUR, Bytes::from(format!("{}\n", ledger.verifier_key())))
}

async fn tile(State(ledger): State<Ledger>, Path(path): Path<String>, headers: HeaderMap) -> Response {
    let Ok(path) = format!("tile/{path}").parse::<TilePath>() else {
        return Problem::new(StatusCode::NOT_FOUND, "this is not the path of a tile or an entry bundle")
            .into_response();
    };
    match ledger.tile(&path).await {
        Ok(Some(bytes)) => content(&headers, BINARY, FOR_EVER, Bytes::from(bytes)),
        Ok(None) => {
            let what = format!("{path} is not part of the log of the checkpoint that is served");
            Problem::new(StatusCode::NOT_FOUND, what).into_response()
        }
        Err(error) => {
            // What is missing stands in the causes: rows gone from under a running server, as well as a lost connection.
            let why = chain(&error);
            tracing::warn!(error = %why, %path, "a tile could not be served; if that goes on, run `weituo verify`");
            let status = if error.is_retryable() {
                StatusCode::SERVICE_UNAVAILABLE
            } else {
                StatusCode::INTERNAL_SERVER_ERROR
            };
            Problem::new(status, format!("{path} cannot be read now: {error}")).into_response()
        }
    }
}

/// Returns content, or "not modified" for who has it already. The tag is weak: it is the same for every encoding.
fn content(request: &HeaderMap, media_type: &'static str, caching: &'static str, body: Bytes) -> Response {
    let digest = URL_SAFE_NO_PAD.encode(&sha256(&[&body]).as_bytes()[..16]);
    let tag = format!("W/\"{digest}\"");
    let known = request.get(header::IF_NONE_MATCH).and_then(|tags| tags.to_str().ok());
    let unchanged = known.is_some_and(|tags| {
        tags.split(',').any(|known| {
            known.trim().trim_start_matches("W/").trim_matches('"') == digest || known.trim() == "*"
        })
    });
    let tag = HeaderValue::from_str(&tag).expect("invariant: base64url is a header's text");
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(media_type)),
        (header::CACHE_CONTROL, HeaderValue::from_static(caching)),
        (header::ETAG, tag),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    if unchanged {
        (StatusCode::NOT_MODIFIED, headers).into_response()
    } else {
        (headers, body).into_response()
    }
}
