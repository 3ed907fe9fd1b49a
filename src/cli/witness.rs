//! `witness`: cosigns the checkpoints of logs, until it is stopped.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use serde_json::json;
use tokio::net::TcpListener;

use super::Desk;
use super::output::{Failure, line};
use super::words::words;
use crate::http;
use crate::witness::Witness;

/// Runs a witness over a state directory.
pub(super) async fn witness(
    desk: &Desk<'_>,
    state: &Path,
    logs: &[String],
    listen: SocketAddr,
    name: Option<&str>,
) -> Result<u8, Failure> {
    let keys = super::verify::keys(logs)?;
    let cannot_listen = |error: std::io::Error| {
        Failure::could_not_run(
            "listen",
            format!("无法在 {listen} 监听:{error};请用 --listen 指定另一地址"),
            format!("cannot listen on {listen}: {error}; choose another address by --listen"),
        )
    };
    let listener = TcpListener::bind(listen).await.map_err(cannot_listen)?;
    let address = listener.local_addr().map_err(cannot_listen)?;
    // A witness that cannot be reached makes no key, whose name would be its own for good.
    let witness = Witness::open(state, name, keys);
    let witness = Arc::new(witness.map_err(|error| Failure::from_error("witness-state", &error))?);
    let (key, origins) = (witness.verifier_key(), witness.origins().map(ToString::to_string));
    let origins: Vec<String> = origins.collect();
    if desk.voice.json {
        // One line, so that whoever started it can read on while it runs.
        let started = json!({ "listen": address, "logs": origins, "name": key.name(), "verifier_key": key.to_string() });
        line(started.to_string());
    } else {
        let logs = origins.join(", ");
        let said: [(&str, &dyn ToString); 3] =
            [("name", &key.name()), ("address", &address), ("logs", &logs)];
        line(words(desk.voice.language, "witness-listens", &said));
        line(words(desk.voice.language, "witness-key", &[("key", key)]));
    }
    let served = http::serve(listener, http::witness::router(witness)).await;
    served.map_err(|error| Failure::from_error("serve", &error))?;
    Ok(0)
}
