//! The network's edge: what is served over HTTP, and how a server starts and stops.
//!
//! Absent: deciding anything (the application's rooms do); TLS, which a proxy in front ends.

pub mod log;
pub mod metrics;
mod problem;
pub mod witness;

use std::io;

use axum::Router;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

pub use problem::Problem;

/// Serves until the process is asked to stop (SIGINT or SIGTERM), and ends once the requests under way are answered.
///
/// # Errors
/// When the signals cannot be received or the listener fails.
pub async fn serve(listener: TcpListener, router: Router) -> io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let asked_to_stop = async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    axum::serve(listener, router).with_graceful_shutdown(asked_to_stop).await
}
