//! Asking a time-stamping authority over HTTP.
//!
//! Invariants: a call ends within its time-out, follows no redirection and reads no more than a limit.
//! Absent: what is asked and answered (`message`), repeating a call.
//! Source: RFC 3161 section 3.4.

use std::time::Duration;

use ureq::Agent;

use super::StampError;
use crate::address::is_web_address;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const CALL_TIMEOUT: Duration = Duration::from_secs(20);
/// Most bytes of an answer that are read: a token with a chain of certificates has about ten thousand.
const MAX_ANSWER_BYTES: u64 = 256 * 1024;
/// Most characters of an authority's words that are told.
const MAX_TOLD: usize = 200;

/// Returns what an authority answers to a request. Nothing of it is read.
pub(super) fn ask(url: &str, request: &[u8]) -> Result<Vec<u8>, StampError> {
    if !is_web_address(url) {
        return Err(StampError::Url { url: url.to_owned() });
    }
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_global(Some(CALL_TIMEOUT))
        .build();
    let agent: Agent = config.into();
    let call = || {
        let post = agent.post(url).content_type("application/timestamp-query");
        let mut response = post.header("accept", "application/timestamp-reply").send(request)?;
        let body = response.body_mut().with_config().limit(MAX_ANSWER_BYTES).read_to_vec()?;
        Ok((response.status().as_u16(), body))
    };
    match call() {
        Ok((200, body)) => Ok(body),
        Ok((status, body)) => {
            let told = told(&String::from_utf8_lossy(&body));
            Err(StampError::Status { url: url.to_owned(), status, told })
        }
        Err(source) => Err(StampError::Http { url: url.to_owned(), source: Box::new(source) }),
    }
}

/// Returns the beginning of an authority's words, in one line.
pub(super) fn told(text: &str) -> String {
    let line = text.chars().take(MAX_TOLD).map(|c| if c.is_control() { ' ' } else { c });
    line.collect::<String>().trim().to_owned()
}
