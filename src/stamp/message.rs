//! What is asked of a time-stamping authority, and what it answers.
//!
//! Invariants: a token is over a SHA-256 that can be read out of it; an answer counts only with the digest and the nonce that
//! were asked about.
//! Absent: the authority's signature and certificates, which `openssl ts -verify` checks with a certificate that its reader
//! trusts; nothing here says that a token is genuine.
//! Source: RFC 3161 section 2.4; RFC 5652 sections 3 and 5.

use super::der::{
    BOOLEAN, CONTEXT_0, GENERALIZED_TIME, INTEGER, NULL, OBJECT_IDENTIFIER, OCTET_STRING, Reader, SEQUENCE,
    SET, UTF8_STRING, element,
};

/// 2.16.840.1.101.3.4.2.1
const SHA_256: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];
/// 1.2.840.113549.1.7.2
const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
/// 1.2.840.113549.1.9.16.1.4
const TST_INFO: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x01, 0x04];

/// A number that only the answer to this request repeats, 8 bytes.
pub(super) type Nonce = [u8; 8];

/// A time-stamp token, as far as it can be read without trusting anyone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    /// DER of the `TimeStampToken`.
    pub(super) bytes: Vec<u8>,
    /// The SHA-256 that it is over, 32 bytes.
    pub(super) digest: Vec<u8>,
    /// When the authority says that it was made: `YYYY-MM-DDTHH:MM:SS[.f…]Z`.
    pub(super) time: String,
    nonce: Option<Vec<u8>>,
}

/// Why an answer is not the one asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// No `TimeStampResp`, or none that this program can read.
    #[error("it is not a time-stamp response (RFC 3161): {what}")]
    NotAResponse {
        /// The part that is missing or otherwise.
        what: &'static str,
    },
    /// The authority stamps nothing.
    #[error("the authority refuses, status {status}: {told}")]
    Rejected {
        /// `PKIStatus`.
        status: u8,
        /// Its words.
        told: String,
    },
    /// The token is over something else.
    #[error("the token is over another digest than the checkpoint's: it proves nothing about it")]
    OtherDigest,
    /// The token answers another request.
    #[error("the token repeats another nonce: it may be an old one, played back")]
    OtherNonce,
}

/// Returns a nonce of random bytes, as an integer that DER spells with all of them.
pub(super) fn nonce(mut random: Nonce) -> Nonce {
    random[0] = random[0] & 0x7f | 0x40;
    random
}

/// Returns the `TimeStampReq` for a SHA-256, which asks for the authority's certificate too.
pub(super) fn request(digest: &[u8; 32], nonce: Nonce) -> Vec<u8> {
    let algorithm = [element(OBJECT_IDENTIFIER, SHA_256), element(NULL, &[])].concat();
    let imprint = [element(SEQUENCE, &algorithm), element(OCTET_STRING, digest)].concat();
    let members = [
        element(INTEGER, &[1]),
        element(SEQUENCE, &imprint),
        element(INTEGER, &nonce),
        element(BOOLEAN, &[0xff]),
    ];
    element(SEQUENCE, &members.concat())
}

/// Returns the token of a `TimeStampResp` to our request.
pub(super) fn answered(response: &[u8], digest: &[u8; 32], nonce: Nonce) -> Result<Token, Unusable> {
    let not = |what| Unusable::NotAResponse { what };
    let mut outer = Reader(response);
    let mut members =
        outer.within(SEQUENCE).filter(|_| outer.0.is_empty()).ok_or(not("no single sequence"))?;
    let mut status_info = members.within(SEQUENCE).ok_or(not("no status"))?;
    let &[status] = status_info.take(INTEGER).ok_or(not("no status"))?.content else {
        return Err(not("a status beyond its numbers"));
    };
    // 0 granted, 1 granted with modifications.
    if status > 1 {
        return Err(Unusable::Rejected { status, told: words(status_info) });
    }
    let token = members.take(SEQUENCE).ok_or(not("granted, but without a token"))?;
    let token = token_of(token.whole).map_err(not)?;
    if token.digest != digest {
        return Err(Unusable::OtherDigest);
    }
    if token.nonce.as_deref() != Some(&nonce) {
        return Err(Unusable::OtherNonce);
    }
    Ok(token)
}

/// Returns what an authority says of its status, in one line.
fn words(mut status_info: Reader<'_>) -> String {
    let mut texts = status_info.within(SEQUENCE).unwrap_or(Reader(&[]));
    let mut told = Vec::new();
    while let Some(text) = texts.take(UTF8_STRING) {
        told.push(String::from_utf8_lossy(text.content).into_owned());
    }
    let told = told.join("; ");
    if told.is_empty() { "it does not say why".to_owned() } else { super::client::told(&told) }
}

/// Returns the token of these bytes, or what is missing.
pub(super) fn token_of(bytes: &[u8]) -> Result<Token, &'static str> {
    let mut outer = Reader(bytes);
    let mut content_info = outer.within(SEQUENCE).filter(|_| outer.0.is_empty()).ok_or("no token")?;
    let is = |reader: &mut Reader<'_>, oid: &[u8]| {
        reader.take(OBJECT_IDENTIFIER).is_some_and(|found| found.content == oid)
    };
    if !is(&mut content_info, SIGNED_DATA) {
        return Err("the token is no signed data");
    }
    let signed = content_info.within(CONTEXT_0).and_then(|mut explicit| explicit.within(SEQUENCE));
    let mut signed = signed.ok_or("the token is no signed data")?;
    signed.take(INTEGER).and_then(|_| signed.take(SET)).ok_or("the signed data has no digest algorithms")?;
    let mut content = signed.within(SEQUENCE).ok_or("the signed data has no content")?;
    if !is(&mut content, TST_INFO) {
        return Err("what is signed is no time-stamp");
    }
    let info = content.within(CONTEXT_0).and_then(|mut explicit| explicit.within(OCTET_STRING));
    let info = info.and_then(|mut octets| octets.within(SEQUENCE)).ok_or("the time-stamp has no content")?;
    let (digest, time, nonce) = tst_info(info).ok_or("the time-stamp lacks a SHA-256 or a time")?;
    Ok(Token { bytes: bytes.to_vec(), digest, time, nonce })
}

/// Returns digest, time and nonce of a `TSTInfo`.
fn tst_info(mut info: Reader<'_>) -> Option<(Vec<u8>, String, Option<Vec<u8>>)> {
    info.take(INTEGER)?;
    info.take(OBJECT_IDENTIFIER)?;
    let mut imprint = info.within(SEQUENCE)?;
    let mut algorithm = imprint.within(SEQUENCE)?;
    algorithm.take(OBJECT_IDENTIFIER).filter(|oid| oid.content == SHA_256)?;
    let digest = imprint.take(OCTET_STRING).filter(|digest| digest.content.len() == 32)?.content.to_vec();
    info.take(INTEGER)?;
    let time = instant(info.take(GENERALIZED_TIME)?.content)?;
    // Accuracy and ordering may stand before the nonce.
    info.take(SEQUENCE);
    info.take(BOOLEAN);
    Some((digest, time, info.take(INTEGER).map(|nonce| nonce.content.to_vec())))
}

/// Returns a `GeneralizedTime` of the form that RFC 3161 allows, `YYYYMMDDhhmmss[.f…]Z`, as RFC 3339 writes it.
fn instant(time: &[u8]) -> Option<String> {
    let time = std::str::from_utf8(time).ok()?.strip_suffix('Z')?;
    let (whole, fraction) = time.split_once('.').map_or((time, None), |(whole, rest)| (whole, Some(rest)));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() != 14 || !digits(whole) || fraction.is_some_and(|text| !digits(text) || text.len() > 9) {
        return None;
    }
    let at = chrono::NaiveDateTime::parse_from_str(whole, "%Y%m%d%H%M%S").ok()?;
    let fraction = fraction.map_or_else(String::new, |text| format!(".{text}"));
    Some(format!("{}{fraction}Z", at.format("%Y-%m-%dT%H:%M:%S")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_the_bytes_that_rfc_3161_asks_for() {
        let bytes = request(&[0xaa; 32], nonce([0xff; 8]));
        let start = [0x30, 0x43, 2, 1, 1, 0x30, 0x31, 0x30, 0x0d, 6, 9];
        assert_eq!(bytes[..11], start);
        assert_eq!(bytes[bytes.len() - 13..], [2, 8, 0x7f, 255, 255, 255, 255, 255, 255, 255, 1, 1, 0xff]);
    }

    #[test]
    fn a_time_is_told_as_rfc_3339_writes_it() {
        assert_eq!(instant(b"20261124165800Z").as_deref(), Some("2026-11-24T16:58:00Z"));
        assert_eq!(instant(b"20261124165800.25Z").as_deref(), Some("2026-11-24T16:58:00.25Z"));
        for bad in
            ["20261124165800", "2026112416580Z", "20261324165800Z", "20261124165800.Z", "2026-11-24T16Z"]
        {
            assert_eq!(instant(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn a_rejection_is_told_with_its_words() {
        let text = element(SEQUENCE, &element(UTF8_STRING, "closed\ntoday".as_bytes()));
        let status = element(SEQUENCE, &[element(INTEGER, &[2]), text].concat());
        let told = answered(&element(SEQUENCE, &status), &[0; 32], [0; 8]);
        assert_eq!(told, Err(Unusable::Rejected { status: 2, told: "closed today".to_owned() }));
    }
}
