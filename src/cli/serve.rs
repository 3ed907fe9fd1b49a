//! `serve`: the log for everyone, over HTTP.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;
use tokio::net::TcpListener;
use weituo_proof::Language;

use super::Desk;
use super::output::{Failure, document, line};
use super::words::words;
use crate::errors::chain_zh;
use crate::ledger::{Ledger, ReadOnly};

/// Serves the log until the process is asked to stop.
pub(super) async fn serve(
    desk: &Desk<'_>,
    listen: SocketAddr,
    tsa: Option<&str>,
    tsa_every: Duration,
) -> Result<u8, Failure> {
    let recorder = desk.recorder().await?;
    let ledger = recorder.ledger().clone();
    let unusable = |error: &std::io::Error| {
        Failure::could_not_run(
            "listen",
            format!("无法在 {listen} 提供服务:{error}"),
            format!("cannot serve on {listen}: {error}"),
        )
    };
    let listener = TcpListener::bind(listen).await.map_err(|error| unusable(&error))?;
    let address = listener.local_addr().map_err(|error| unusable(&error))?;
    let (origin, key) = (ledger.origin().to_string(), ledger.verifier_key().to_string());
    if desk.voice.json {
        document(&json!({ "url": format!("http://{address}/log/"), "origin": origin, "key": key }));
    } else {
        let shown: [(&str, &dyn ToString); 3] = [("address", &address), ("origin", &origin), ("key", &key)];
        line(words(desk.voice.language, "serve-started", &shown));
        if let Some(reason) = ledger.read_only() {
            let reason = match desk.voice.language {
                Language::Zh => chain_zh(&reason),
                Language::En => reason.to_string(),
            };
            line(words(desk.voice.language, "serve-read-only", &[("reason", &reason)]));
        }
    }
    let stamping = match tsa {
        Some(tsa) => {
            let stamping =
                super::stamp::at_intervals(ledger.clone(), desk.stamps()?, tsa.to_owned(), tsa_every);
            Some(tokio::spawn(stamping))
        }
        None => None,
    };
    let serving = crate::http::serve(listener, crate::http::log::router(ledger.clone()));
    let (served, outdated) = tokio::select! {
        served = serving => (served, None),
        reason = outdated(&ledger) => (Ok(()), Some(reason)),
    };
    if let Some(stamping) = stamping {
        stamping.abort();
    }
    let stopped = ledger.stop().await;
    served.map_err(|error| unusable(&error))?;
    if let Some(reason) = outdated {
        return Err(Failure::from_error("serve-outdated", &reason));
    }
    stopped.map_err(|error| Failure::from_error("ledger-stop", &error))?;
    Ok(0)
}

/// Waits until this process, which could follow the log, meets a head under a seal that it cannot check: as a rule the log's key was
/// rotated. It would show everybody the log as it was then, for ever; the one that is started in its place has the new key,
/// or says that it only reads.
async fn outdated(ledger: &Ledger) -> ReadOnly {
    let could_follow = ledger.read_only().is_none();
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        match ledger.read_only() {
            Some(reason @ ReadOnly::SealWrong { .. }) if could_follow => return reason,
            _ => {}
        }
    }
}
