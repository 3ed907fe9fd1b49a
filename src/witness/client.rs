//! Asking a witness over HTTP: for a cosignature, and for the newest checkpoint that it cosigned.
//!
//! Invariants: a call ends within its time-out, follows no redirection, and reads no more than a limit; nothing that comes
//! back is believed here, because only the caller has the keys.
//! Absent: keys, proofs, repeating a call.
//! Source: C2SP tlog-witness v1.1.0, "HTTP Interface".

use std::time::Duration;

use ureq::http::{Response, header};
use ureq::{Agent, Body};
use weituo_proof::witness::{AddCheckpoint, SIZE_CONTENT_TYPE, origin_hash, parse_size};
use weituo_proof::{Origin, TreeSize};

use crate::address::is_web_address;

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a whole call may take.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// Most bytes of an answer that are read: a note with dozens of signatures.
const MAX_ANSWER_BYTES: u64 = 256 * 1024;
/// Most characters of a refusal that are told.
const MAX_TOLD: usize = 200;

/// What a witness says to a checkpoint. Nothing of it is verified.
#[derive(Debug)]
pub(crate) enum Answer {
    /// 200: signature lines.
    Cosigned(String),
    /// 409: the size that it says it cosigned last.
    Moved(TreeSize),
    /// Anything else.
    Refused {
        /// The status.
        status: u16,
        /// The beginning of the body.
        told: String,
    },
}

/// Why a witness could not be asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// Not an address that can be asked.
    #[error("{url} is not an address of a witness: http://HOST[:PORT][/PATH] or https://…")]
    Url {
        /// The address.
        url: String,
    },
    /// No answer, or not within the time-out.
    #[error("the witness at {url} does not answer")]
    Http {
        /// The address called.
        url: String,
        /// Why not.
        #[source]
        source: Box<ureq::Error>,
    },
}

/// A witness's address.
#[derive(Debug)]
pub(crate) struct Client {
    prefix: String,
    agent: Agent,
}

impl Client {
    /// Returns a client of the witness with this submission prefix, which also serves its checkpoints.
    pub(crate) fn new(url: &str) -> Result<Self, ClientError> {
        if !is_web_address(url) || url.contains(['?', '@']) {
            return Err(ClientError::Url { url: url.to_owned() });
        }
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(CALL_TIMEOUT))
            .build();
        Ok(Self { prefix: url.trim_end_matches('/').to_owned(), agent: config.into() })
    }

    /// Returns the address.
    pub(crate) fn url(&self) -> &str {
        &self.prefix
    }

    /// Asks for a cosignature.
    pub(crate) fn add_checkpoint(&self, request: &AddCheckpoint) -> Result<Answer, ClientError> {
        let url = format!("{}/add-checkpoint", self.prefix);
        let (status, content_type, body) =
            Self::read(&url, || self.agent.post(&url).send(request.to_string()))?;
        Ok(match (status, parse_size(&body)) {
            (200, _) => Answer::Cosigned(body),
            (409, Some(size)) if content_type == SIZE_CONTENT_TYPE => Answer::Moved(size),
            _ => Answer::Refused { status, told: told(&body) },
        })
    }

    /// Returns the newest checkpoint that the witness serves of a log; `None` where it has cosigned none.
    pub(crate) fn newest(&self, origin: &Origin) -> Result<Option<String>, ClientError> {
        let url = format!("{}/{}/checkpoint", self.prefix, origin_hash(origin));
        let (status, _, body) = Self::read(&url, || self.agent.get(&url).call())?;
        match status {
            200 => Ok(Some(body)),
            404 => Ok(None),
            status => {
                let source = Box::new(ureq::Error::StatusCode(status));
                Err(ClientError::Http { url, source })
            }
        }
    }

    /// Returns status, content type and body of an answer.
    fn read(
        url: &str,
        call: impl FnOnce() -> Result<Response<Body>, ureq::Error>,
    ) -> Result<(u16, String, String), ClientError> {
        let read = || {
            let mut response = call()?;
            let content_type = response.headers().get(header::CONTENT_TYPE);
            let content_type =
                content_type.and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
            let body = response.body_mut().with_config().limit(MAX_ANSWER_BYTES).read_to_string()?;
            Ok((response.status().as_u16(), content_type, body))
        };
        read().map_err(|source| ClientError::Http { url: url.to_owned(), source: Box::new(source) })
    }
}

/// Returns the beginning of an answer's text, in one line.
fn told(body: &str) -> String {
    body.chars()
        .take(MAX_TOLD)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect::<String>()
        .trim()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_http_with_a_host() {
        for url in ["http://127.0.0.1:8742", "https://witness.example/w1/", "http://[::1]:80"] {
            assert!(!Client::new(url).unwrap().url().ends_with('/'), "{url}");
        }
        for url in [
            "",
            "ftp://x",
            "http://",
            "http:///x",
            "witness.example",
            "http://u:p@x",
            "http://x?y",
            "http://x#y",
        ] {
            assert!(Client::new(url).is_err(), "{url}");
        }
    }
}
