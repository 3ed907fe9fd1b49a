//! The one event that every peer records: an activity whose payload is 600 bytes of JSON.
//!
//! Invariant: every payload has the same length, so that no peer writes less than another: every member that differs is
//! written with the same number of characters.

use weituo_events::payload::{ActivityKind, ActivityRecorded, Evidence, Paper};
use weituo_events::{IdentifierError, OrganisationId};
use weituo_proof::Hash;

/// Bytes of a payload's JSON.
pub(crate) const PAYLOAD_BYTES: usize = 600;

/// Streams that one school and its trustee have together, one after another.
pub(crate) const STREAMS_OF_A_PAIR: usize = 10;

/// Returns the school of a stream.
pub(crate) fn school(stream: usize) -> Result<OrganisationId, IdentifierError> {
    OrganisationId::new(format!("school-{:07}", stream / STREAMS_OF_A_PAIR))
}

/// Returns the trustee of a stream.
pub(crate) fn trustee(stream: usize) -> Result<OrganisationId, IdentifierError> {
    OrganisationId::new(format!("trustee-{:07}", stream / STREAMS_OF_A_PAIR))
}

/// Returns the name of a stream.
pub(crate) fn stream_name(stream: usize) -> String {
    format!("agreement/B-{stream:07}")
}

/// Returns the payload of the `number`-th event of a client.
pub(crate) fn payload(school: &OrganisationId, number: u32) -> ActivityRecorded {
    let evidence = (0..3).map(|document| Evidence {
        media_type: "application/pdf".into(),
        sha256: Some(digest(number, document)),
        sha256_sealed: None,
        size_bytes: 48_211,
        title: None,
    });
    ActivityRecorded {
        ends_on: chrono::NaiveDate::from_ymd_opt(2020, 3, 13),
        kind: ActivityKind::JointResearch,
        organisations: vec![school.clone()],
        paper: Paper {
            by: Some("Office of Studies".into()),
            document: Some("示县教研〔2020〕17号".into()),
            evidence: evidence.collect(),
            note: None,
        },
        participants: Some(1_000 + number % 9_000),
        subject: Some("mathematics".into()),
    }
}

/// Returns a payload as JSON.
pub(crate) fn json(payload: &ActivityRecorded) -> String {
    let mut json = Vec::with_capacity(PAYLOAD_BYTES);
    serde_json::to_writer(&mut json, payload).expect("a payload has only string keys");
    String::from_utf8(json).expect("JSON is UTF-8")
}

/// Bytes that look like a digest's, and cost a client nothing to make.
fn digest(number: u32, document: u8) -> Hash {
    let mut state = u64::from(number) << 8 | u64::from(document);
    let mut bytes = [0; 32];
    for eight in bytes.chunks_mut(8) {
        // SplitMix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        eight.copy_from_slice(&(mixed ^ (mixed >> 31)).to_le_bytes());
    }
    Hash(bytes)
}
