//! Metrics for Prometheus.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::watch::Metrics;

/// Returns the route `/metrics`.
pub fn router(metrics: Arc<Mutex<Metrics>>) -> Router {
    Router::new().route("/metrics", get(text)).with_state(metrics)
}

async fn text(State(metrics): State<Arc<Mutex<Metrics>>>) -> Response {
    let text = metrics.lock().unwrap_or_else(PoisonError::into_inner).text();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}
