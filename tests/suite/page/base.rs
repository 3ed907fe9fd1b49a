//! The log that every case starts from: two cycles as the sample records them, signed acts, and an erasure.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use weituo::follower::Follower;
use weituo::query::{AsOf, Query};
use weituo_events::OrganisationId;
use weituo_projections::stated::fold_version;
use weituo_proof::dossier::{StatedState, SubjectKind};
use weituo_proof::entry::{key_id, prove_possession, public_key_of_seed};
use weituo_proof::{Origin, SigningKey, StreamName};

use super::forge::{Log, digest_of};
use crate::support::commands::{CYCLES, new_recorder, record_lines};
use crate::support::ledger::{Kind, Place, rows};

pub(super) const AGREEMENT: &str = "WZ-2022-001";
pub(super) const CYCLE: &str = "agreement/WZ-2022-001";
pub(super) const OTHER_CYCLE: &str = "agreement/WZ-2021-003";
pub(super) const TRUSTEE: &str = "trustee-a";
pub(super) const ORIGIN: &str = "log.example/test";
pub(super) const BUREAU: &str = "organisation/bureau-wz";
pub(super) const BUREAU_SEED: [u8; 32] = [42; 32];
const AS_OF: &str = "2026-11-24";

/// The log and what it folds to.
pub(super) struct Base {
    pub(super) log: Log,
    pub(super) cycle: StatedState,
    pub(super) trustee: StatedState,
    /// Leaf index and text of the disclosure that was erased.
    pub(super) erased: (u64, String),
}

/// Records the samples in a ledger and takes its entries over into a log that a test can write anew.
pub(super) async fn base() -> Base {
    let place = Place::new(Kind::Sqlite).await;
    let recorder = new_recorder(&place).await;
    for cycle in [0, 2] {
        record_lines(&recorder, CYCLES[cycle].1).await;
    }
    let store = place.store().await;
    Follower::new(Arc::clone(&store)).catch_up(|_| ()).await.unwrap();
    let query = Query::open(Arc::clone(&store)).await.unwrap();
    let day = AsOf::Day(AS_OF.parse().unwrap());
    let cycle = query.cycle(AGREEMENT, day).await.unwrap().unwrap();
    let trustee: OrganisationId = TRUSTEE.parse().unwrap();
    let trustee = query.history("trustee", &trustee, day).await.unwrap();
    let rows = rows(&*store).await;
    let disclosures = store.disclosures(0..rows.len() as u64).await.unwrap();
    let mut log = Log::taken_over(
        SigningKey::from_seed(ORIGIN, [1; 32]).unwrap(),
        rows.iter().map(|row| &row.body),
        disclosures.into_iter().map(|row| (row.leaf_index, row.disclosure)).collect(),
    );
    let erased = add_signed_acts_and_an_erasure(&mut log);
    Base {
        log,
        cycle: stated(SubjectKind::Agreement, &serde_json::to_string(&cycle).unwrap()),
        trustee: stated(SubjectKind::Trustee, &serde_json::to_string(&trustee).unwrap()),
        erased,
    }
}

fn stated(kind: SubjectKind, value: &str) -> StatedState {
    let (as_of, projection, value) = (AS_OF.to_owned(), kind.projection().to_owned(), value.to_owned());
    StatedState { as_of, fold_version: fold_version(kind).into(), projection, value }
}

fn add_signed_acts_and_an_erasure(log: &mut Log) -> (u64, String) {
    log.add(BUREAU, "bureau-wz", "bureau", "SigningKeyEnrolled", enrolment(BUREAU, &BUREAU_SEED));
    let signed = log.add(
        "organisation/trustee-a",
        "bureau-wz",
        "bureau",
        "SigningKeyEnrolled",
        enrolment("organisation/trustee-a", &[43; 32]),
    );
    log.signing.insert(signed, BUREAU_SEED);
    let sealed =
        log.disclosures.iter().rfind(|(at, _)| log.entries[usize::try_from(*at).unwrap()]["stream"] == CYCLE);
    let erased = sealed.unwrap().clone();
    log.disclosures.remove(&erased);
    let payload = json!({
        "digest": digest_of(&erased.1),
        "grounds": "个人信息保护法第四十七条",
        "leaf_index": erased.0,
    });
    log.add("log/main", "bureau-wz", "operator", "DisclosureErased", payload);
    log.commit_index();
    erased
}

/// Returns the public key of a seed, as an actor's entry carries it.
/// Returns the payload that enrols a seed's key in an organisation's stream, possession proven.
pub(super) fn enrolment(stream: &str, seed: &[u8; 32]) -> Value {
    let (origin, stream) = (Origin::new(ORIGIN).unwrap(), StreamName::new(stream).unwrap());
    enrolment_of(&public_key_of_seed(seed), &prove_possession(&origin, &stream, seed))
}

/// Returns the payload of an enrolment.
pub(super) fn enrolment_of(public_key: &[u8; 32], possession: &str) -> Value {
    json!({
        "key": key_id(public_key),
        "possession": possession,
        "public_key": STANDARD.encode(public_key),
    })
}
