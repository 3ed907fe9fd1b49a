//! Actors' signatures in a log that was written past the decision: each fault is told at its entry.

use std::sync::Arc;

use weituo::ledger::Proposal;
use weituo_events::payload::{SigningKeyEnrolled, SigningKeyRevoked};
use weituo_events::{Command, Event};
use weituo_proof::entry::sign;
use weituo_proof::{FindingKind, StreamHead};

use super::scene::{Scene, Told, assert_told};
use crate::support::ledger::{Place, act, on_both_stores, proposal};
use crate::support::signing::{ORIGIN, enrolment, id_of};

const OF: &str = "organisation/trustee-1";
const ELSEWHERE: &str = "organisation/trustee-2";

fn told(leaf: u64, stream: &str, sequence: u64) -> Told<'_> {
    (FindingKind::ActorSignature, Some(leaf), Some(stream), Some(sequence))
}

/// A proposal of an event, by `trustee-1`.
fn of(stream: &str, event: Event, expected: Option<StreamHead>) -> Proposal {
    let mut proposal = proposal(stream, "n", expected);
    let act = Arc::make_mut(&mut proposal.act);
    act.event = event;
    act.parties.clear();
    proposal
}

/// The same proposal, signed for a ledger.
fn signed_for(mut proposal: Proposal, seed: u8, ledger: &str) -> Proposal {
    let act = Arc::make_mut(&mut proposal.act);
    let mut draft = act.draft(&ledger.parse().unwrap());
    sign(&mut draft, &[seed; 32]);
    act.actor = draft.actor;
    act.signature = draft.signature;
    proposal
}

fn signed(proposal: Proposal, seed: u8) -> Proposal {
    signed_for(proposal, seed, ORIGIN)
}

fn enrolled(of: &str, seed: u8) -> SigningKeyEnrolled {
    let Command { payload, .. } = enrolment(of, seed, (of, "trustee"));
    serde_json::from_str(payload.get()).unwrap()
}

fn enrols(stream: &str, seed: u8, expected: Option<StreamHead>) -> Proposal {
    let organisation = stream.split_once('/').unwrap().1;
    of(stream, Event::SigningKeyEnrolled(enrolled(organisation, seed)), expected)
}

on_both_stores! {
    async fn a_revoked_keys_signature_is_told_at_its_entry(place: Place) {
        let mut scene = Scene::new(place).await;
        scene.record(vec![enrols(OF, 1, None)]).await;
        let revoked = SigningKeyRevoked { key: id_of(1), paper: weituo_events::payload::Paper::default() };
        let revocation = of(OF, Event::SigningKeyRevoked(revoked), scene.head_of(OF).await);
        // 9 enrols, 10 commits the index.
        scene.record(vec![signed(proposal("agreement/S", "n", None), 1), revocation,
            signed(proposal("agreement/T", "n", None), 1)]).await;
        let report = scene.verify().await;
        assert_told(&report, &[told(13, "agreement/T", 1)]);
        assert!(report.findings().next().unwrap().detail.en().contains("revoked"), "{:#?}", report.verdicts);
        assert_eq!(report.counts.signatures, 1);
    }

    async fn a_signature_by_a_key_of_another_organisation_is_told(place: Place) {
        let mut scene = Scene::new(place).await;
        scene.record(vec![enrols(ELSEWHERE, 1, None), signed(proposal("agreement/S", "n", None), 1)]).await;
        assert_told(&scene.verify().await, &[told(10, "agreement/S", 1)]);
    }

    async fn a_signature_carried_from_another_stream_or_ledger_is_told(place: Place) {
        let mut scene = Scene::new(place).await;
        let other_stream = signed(proposal("agreement/S", "n", None), 1);
        let mut carried = other_stream.clone();
        let moved = Arc::make_mut(&mut carried.act);
        moved.stream = "agreement/T".parse().unwrap();
        moved.command = act("agreement/T", "n").command;
        let other_ledger = signed_for(proposal("agreement/U", "n", None), 1, "log.example/other");
        scene.record(vec![enrols(OF, 1, None), other_stream, carried, other_ledger]).await;
        assert_told(&scene.verify().await, &[told(11, "agreement/T", 1), told(12, "agreement/U", 1)]);
    }

    async fn an_entry_rewritten_with_every_hash_still_lacks_its_actors_signature(place: Place) {
        let mut scene = Scene::new(place).await;
        scene.record(vec![enrols(OF, 1, None), signed(proposal("agreement/S", "n", None), 1)]).await;
        scene.rewrite(10, r#""document":"n""#, r#""document":"m""#, true).await;
        let report = scene.verify().await;
        assert!(report.findings().any(|found| found.kind == FindingKind::ActorSignature
            && found.leaf_index.map(weituo_proof::LeafIndex::get) == Some(10)), "{:#?}", report.verdicts);
    }

    async fn an_enrolment_without_possession_is_told_and_its_key_still_counts(place: Place) {
        let mut scene = Scene::new(place).await;
        let mut wrong = enrolled("trustee-1", 1);
        wrong.possession = enrolled("trustee-2", 1).possession;
        let wrong = of(OF, Event::SigningKeyEnrolled(wrong), None);
        scene.record(vec![wrong, signed(proposal("agreement/S", "n", None), 1)]).await;
        assert_told(&scene.verify().await, &[told(9, OF, 1)]);
    }

    async fn an_enrolment_unsigned_though_there_was_a_key_or_signed_from_beside_is_told(place: Place) {
        let mut scene = Scene::new(place).await;
        scene.record(vec![enrols(OF, 1, None), enrols(ELSEWHERE, 2, None)]).await;
        let (own, beside) = (scene.head_of(OF).await, scene.head_of(ELSEWHERE).await);
        // trustee-1 enrols a key of its own unsigned, and signs one for trustee-2.
        scene.record(vec![enrols(OF, 3, own), signed(enrols(ELSEWHERE, 4, beside), 1)]).await;
        assert_told(&scene.verify().await, &[told(12, OF, 2), told(13, ELSEWHERE, 2)]);
    }
}
