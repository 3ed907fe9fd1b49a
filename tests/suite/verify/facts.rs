//! What entries say about each other: erasures, signatures, committed indexes, pinned rulebooks.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use weituo::ledger::Proposal;
use weituo_events::Event;
use weituo_events::payload::{
    DisclosureErased, IndexCommitted, Paper, RulebookPin, SchemeIssued, SigningKeyEnrolled,
};
use weituo_proof::entry::{key_id, prove_possession, sign};
use weituo_proof::{FindingKind, Hash, SigningKey, StreamHead};

use super::scene::{B, Scene, assert_told};
use crate::support::ledger::{Place, act, on_both_stores, proposal};

/// Returns a proposal of any event.
fn of(stream: &str, event: Event, expected: Option<StreamHead>) -> Proposal {
    let mut proposal = proposal(stream, "n", expected);
    let act = Arc::make_mut(&mut proposal.act);
    act.event = event;
    act.parties.clear();
    proposal
}

/// Returns a proposal signed with a key.
fn signed(stream: &str, seed: &[u8; 32]) -> Proposal {
    let mut act = act(stream, "n");
    let mut draft = act.draft(&"log.example/test".parse().unwrap());
    sign(&mut draft, seed);
    act.actor = draft.actor;
    act.signature = draft.signature;
    Proposal { act: Arc::new(act), ..proposal(stream, "n", None) }
}

on_both_stores! {
    async fn a_recorded_erasure_explains_a_missing_disclosure(place: Place) {
        let mut scene = Scene::new(place).await;
        let store = scene.place.store().await;
        let disclosure = store.disclosures(4..5).await.unwrap().remove(0);
        let digest = disclosure.digest.clone();
        let event = Event::DisclosureErased(DisclosureErased {
            digest: digest.clone(),
            grounds: "asked for".to_owned(),
            leaf_index: 4,
        });
        let mut erasure = of("log/main", event, scene.head_of("log/main").await);
        erasure.erase = vec![digest.clone()];
        scene.record(vec![erasure]).await;
        let report = scene.verify().await;
        assert_eq!((report.exit_code(), report.counts.erased), (0, 1), "{:#?}", report.verdicts);

        let text = disclosure.disclosure;
        scene.tamper(&format!("INSERT INTO disclosure VALUES ('{digest}', 4, '{text}')")).await;
        assert_told(&scene.verify().await, &[(FindingKind::DisclosureNotErased, Some(4), None, None)]);
    }

    async fn a_signature_counts_from_its_keys_enrolment_on(place: Place) {
        let mut scene = Scene::new(place).await;
        let seed = [3; 32];
        let signing = SigningKey::from_seed("any", seed).unwrap();
        let key: [u8; 32] = signing.verifier().public_key().try_into().unwrap();
        let (ledger, stream) = ("log.example/test".parse().unwrap(), "organisation/trustee-1".parse().unwrap());
        let enrolment = Event::SigningKeyEnrolled(SigningKeyEnrolled {
            key: key_id(&key),
            possession: prove_possession(&ledger, &stream, &seed),
            public_key: STANDARD.encode(key),
        });
        let enrolled = of("organisation/trustee-1", enrolment, None);
        scene.record(vec![signed("agreement/S", &seed), enrolled, signed("agreement/T", &seed)]).await;
        let report = scene.verify().await;
        let early = (FindingKind::ActorSignature, Some(9), Some("agreement/S"), Some(1));
        assert_told(&report, &[early]);
        assert_eq!(report.counts.signatures, 1);
    }

    async fn a_wrong_index_root_spoils_complete_and_not_intact(place: Place) {
        let mut scene = Scene::new(place).await;
        let wrong = Event::IndexCommitted(IndexCommitted { root: Hash::ZERO, size: 9, streams: 4 });
        let head = scene.head_of("log/index").await;
        scene.record(vec![of("log/index", wrong, head)]).await;
        let report = scene.verify().await;
        assert_told(&report, &[(FindingKind::IndexRootDiffers, Some(9), Some("log/index"), Some(3))]);
        assert!(report.verdicts.intact.is_yes());
    }

    async fn a_pin_of_a_rulebook_never_adopted_is_reported_once(place: Place) {
        let mut scene = Scene::new(place).await;
        let scheme = |stream: &str| {
            let rulebook = RulebookPin { digest: Some(Hash::ZERO), id: "none".into(), version: 1 };
            of(stream, Event::SchemeIssued(SchemeIssued { paper: Paper::default(), rulebook }), None)
        };
        scene.record(vec![scheme("agreement/S"), scheme("agreement/T")]).await;
        let report = scene.verify().await;
        assert_told(&report, &[(FindingKind::RulebookDigest, Some(9), Some("agreement/S"), Some(1))]);
    }

    async fn a_wrong_origin_or_time_in_a_rewritten_entry_is_reported_at_the_entry(place: Place) {
        let scene = Scene::new(place).await;
        scene.rewrite(7, r#""ledger":"log.example/test""#, r#""ledger":"log.example/other""#, true).await;
        let report = scene.verify().await;
        assert!(report.findings().any(|f| f.kind == FindingKind::OriginDiffers && f.stream.as_deref() == Some(B)));
    }
}
