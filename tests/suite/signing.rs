//! Who says it: signed commands, the keys they are signed with, and what is refused.

mod shell;

use serde_json::json;
use weituo::recorder::{RecordError, Recorder};
use weituo_events::Command;
use weituo_proof::Entry;
use weituo_proof::entry::{public_key_of_seed, verify_actor_signature};

use crate::support::commands::{
    RULEBOOK, by_bureau, new_ledger, new_recorder, parse, record_lines, refusal_code, told,
};
use crate::support::ledger::{Place, new_id, on_both_stores};
use crate::support::signing::{enrolment, id_of, revocation, signed};

const ROOT: (&str, &str) = ("bureau-wz", "bureau");
const SCHOOL: (&str, &str) = ("school-jia", "school");
/// Seeds of keys: the root bureau's, the school's, a stranger's.
const BUREAUS: u8 = 1;
const SCHOOLS: u8 = 2;
const STRANGERS: u8 = 3;

async fn accepted(recorder: &Recorder, command: &Command) -> Entry {
    let recording = recorder.record(command).await.unwrap_or_else(|error| panic!("{}", told(&error)));
    Entry::parse(recording.accepted.receipt.entry.as_bytes()).unwrap()
}

async fn refused(recorder: &Recorder, command: &Command) -> String {
    match recorder.record(command).await {
        Ok(_) => panic!("this should be refused"),
        Err(error) => refusal_code(&error),
    }
}

/// A ledger with the registry, in which the root bureau and `school-jia` have a key each.
async fn with_keys(place: &Place) -> Recorder {
    let recorder = new_recorder(place).await;
    accepted(&recorder, &enrolment("bureau-wz", BUREAUS, ROOT)).await;
    accepted(&recorder, &signed(enrolment("school-jia", SCHOOLS, ROOT), BUREAUS)).await;
    recorder
}

/// A registration by the root bureau, with a person and a sealed name in it.
fn registration(id: &str) -> Command {
    parse(&json!({
        "command": new_id(),
        "do": "RegisterOrganisation",
        "stream": format!("organisation/{id}"),
        "actor": { "organisation": "bureau-wz", "person": "经办人甲", "role": "bureau" },
        "effective": "2019-02-01",
        "payload": { "kind": "public_school", "legal_representative": "法人乙", "name": "新校", "superior": "bureau-wz" }
    }))
}

/// The same command, signed with the salts of every other one signed so.
fn signed_alike(mut command: Command) -> Command {
    let ledger = crate::support::signing::ORIGIN.parse().unwrap();
    command.sign(&ledger, &[BUREAUS; 32], || [7; 16]).unwrap();
    command
}

fn pin() -> serde_json::Value {
    let digest = weituo_proof::sha256(&[RULEBOOK.as_bytes()]);
    json!({ "digest": digest, "id": "wenzhou-entrustment-2018", "version": 1 })
}

fn designation(stream: &str) -> Command {
    let payload = json!({ "rulebook": pin(), "school": "school-jia", "trustee": "trustee-a" });
    by_bureau("DesignateParties", stream, "2019-05-06", payload)
}

on_both_stores! {
    async fn a_signed_command_is_recorded_as_it_was_signed_and_repeated_gives_the_first_receipt(place: Place) {
        let recorder = with_keys(&place).await;
        for command in [signed(registration("school-x"), BUREAUS), signed(designation("agreement/S"), BUREAUS)] {
            let entry = accepted(&recorder, &command).await;
            assert_eq!(entry.actor.key, Some(id_of(BUREAUS)));
            verify_actor_signature(&entry, &public_key_of_seed(&[BUREAUS; 32])).unwrap();
            // Written and read, as it goes from one machine to another.
            let again = parse(&serde_json::to_value(&command).unwrap());
            let again = recorder.record(&again).await.unwrap();
            assert!(again.accepted.repeated);
            assert_eq!(again.accepted.receipt.entry.as_bytes(), recorder.ledger()
                .receipt(again.accepted.receipt.leaf_index).await.unwrap().entry.as_bytes());
        }
        // The same id unsigned, or signed by another, is another command.
        let mut unsigned = designation("agreement/S");
        unsigned.command = new_id();
        let first = signed(unsigned.clone(), BUREAUS);
        unsigned.stream = "agreement/T".parse().unwrap();
        let first = Command { stream: unsigned.stream.clone(), ..first };
        assert_eq!(refused(&recorder, &first).await, "signature-wrong");
        recorder.ledger().stop().await.unwrap();
    }

    async fn a_key_speaks_from_its_enrolment_on_and_not_before(place: Place) {
        let recorder = with_keys(&place).await;
        let early = signed(registration("school-x"), STRANGERS);
        assert_eq!(refused(&recorder, &early).await, "key-not-enrolled");
        accepted(&recorder, &signed(enrolment("bureau-wz", STRANGERS, ROOT), BUREAUS)).await;
        accepted(&recorder, &early).await;
        recorder.ledger().stop().await.unwrap();
    }

    async fn a_revoked_key_speaks_no_more_but_what_it_said_is_still_answered(place: Place) {
        let recorder = with_keys(&place).await;
        let before = signed(registration("school-x"), BUREAUS);
        accepted(&recorder, &before).await;
        accepted(&recorder, &revocation("bureau-wz", BUREAUS)).await;
        assert_eq!(refused(&recorder, &signed(registration("school-y"), BUREAUS)).await, "key-revoked");
        assert!(recorder.record(&before).await.unwrap().accepted.repeated);
        recorder.ledger().stop().await.unwrap();
    }

    async fn a_key_revoked_by_another_process_says_nothing_more_in_this_one(place: Place) {
        let first = with_keys(&place).await;
        accepted(&first, &signed(registration("school-x"), BUREAUS)).await;
        let second = Recorder::open(place.open().await).await.unwrap();
        accepted(&second, &revocation("bureau-wz", BUREAUS)).await;
        // The first process has not looked since: its commit finds the stream of the key moved.
        assert_eq!(refused(&first, &signed(registration("school-y"), BUREAUS)).await, "key-revoked");
        first.ledger().stop().await.unwrap();
        second.ledger().stop().await.unwrap();
    }

    async fn salts_that_were_used_before_are_refused_and_hold_nobody_up(place: Place) {
        let recorder = std::sync::Arc::new(with_keys(&place).await);
        // One after another, side by side, and within one command: the same value under the same salt.
        accepted(&recorder, &signed_alike(registration("school-x"))).await;
        assert_eq!(refused(&recorder, &signed_alike(registration("school-y"))).await, "signed-salts-used");
        let again: Vec<_> = (0..8).map(|number| {
            let recorder = std::sync::Arc::clone(&recorder);
            let mut command = registration(&format!("school-s{number}"));
            command.actor.person = Some("经办人丙".to_owned());
            tokio::spawn(async move { recorder.record(&signed_alike(command)).await.is_ok() })
        }).collect();
        let mut taken_in = 0;
        for one in again {
            taken_in += usize::from(one.await.unwrap());
        }
        assert_eq!(taken_in, 0, "法人乙 was sealed with that salt before");
        let mut twice = registration("school-z");
        twice.actor.person = Some("同一文字".to_owned());
        twice.payload = serde_json::value::to_raw_value(
            &json!({ "kind": "other", "legal_representative": "同一文字", "name": "z" })).unwrap();
        assert_eq!(refused(&recorder, &signed_alike(twice)).await, "signed-salts-used");
        accepted(&recorder, &signed(registration("school-y"), BUREAUS)).await;
        recorder.ledger().stop().await.unwrap();
    }

    async fn of_acts_racing_with_the_revocation_of_their_key_none_is_recorded_behind_it(place: Place) {
        let recorder = std::sync::Arc::new(with_keys(&place).await);
        let racing: Vec<_> = (0..48)
            .map(|number| {
                let recorder = std::sync::Arc::clone(&recorder);
                let command = match number {
                    24 => revocation("bureau-wz", BUREAUS),
                    _ => signed(registration(&format!("school-r{number}")), BUREAUS),
                };
                tokio::spawn(async move { recorder.record(&command).await })
            })
            .collect();
        let (mut revoked_at, mut leaves) = (None, Vec::new());
        for (number, outcome) in racing.into_iter().enumerate() {
            match outcome.await.unwrap() {
                Ok(recording) if number == 24 => revoked_at = Some(recording.accepted.receipt.leaf_index),
                Ok(recording) => leaves.push(recording.accepted.receipt.leaf_index),
                Err(error) => assert_eq!(refusal_code(&error), "key-revoked"),
            }
        }
        assert!(leaves.iter().all(|leaf_index| *leaf_index < revoked_at.unwrap()), "{revoked_at:?} {leaves:?}");
        recorder.ledger().stop().await.unwrap();
    }

    async fn of_unsigned_first_keys_racing_with_a_root_bureaus_none_is_recorded_behind_it(place: Place) {
        let recorder = std::sync::Arc::new(new_recorder(&place).await);
        for number in 0..24 {
            accepted(&recorder, &registration(&format!("school-q{number}"))).await;
        }
        let racing: Vec<_> = (0..24_u8)
            .map(|number| {
                let recorder = std::sync::Arc::clone(&recorder);
                let school = format!("school-q{number}");
                let command = match number {
                    12 => enrolment("bureau-wz", BUREAUS, ROOT),
                    _ => enrolment(&school, 100 + number, (&school, "school")),
                };
                tokio::spawn(async move { recorder.record(&command).await.map(drop) })
            })
            .collect();
        for (number, outcome) in racing.into_iter().enumerate() {
            match outcome.await.unwrap() {
                Ok(()) => {}
                Err(error) if number != 12 => assert_eq!(refusal_code(&error), "enrolment-unsigned"),
                Err(error) => panic!("{}", told(&error)),
            }
        }
        recorder.ledger().stop().await.unwrap();
        // A verification finds no enrolment that a key could have signed and did not.
        let report = weituo::verify::verify(&*place.store().await, &weituo::verify::VerifyOptions::default(), |_| ()).await;
        assert_eq!(report.findings().count(), 0, "{:#?}", report.verdicts);
    }

    async fn another_organisations_key_does_not_speak_for_the_actor(place: Place) {
        let recorder = with_keys(&place).await;
        assert_eq!(refused(&recorder, &signed(registration("school-x"), SCHOOLS)).await, "key-not-enrolled");
        recorder.ledger().stop().await.unwrap();
    }

    async fn a_signature_holds_for_its_stream_its_ledger_and_its_words_alone(place: Place) {
        let recorder = with_keys(&place).await;
        let good = signed(designation("agreement/S"), BUREAUS);
        let text = serde_json::to_string(&good).unwrap();
        for (from, to, code) in [
            ("agreement/S", "agreement/T", "signature-wrong"),
            ("2019-05-06", "2019-05-07", "signature-wrong"),
            ("trustee-a", "trustee-b", "signature-wrong"),
            ("\"as_found\":false", "\"as_found\":true", "signature-wrong"),
            ("log.example/test", "log.example/other", "signed-other-ledger"),
        ] {
            let altered = text.replace(from, to);
            assert_ne!(altered, text);
            assert_eq!(refused(&recorder, &Command::parse(&altered).unwrap()).await, code, "{to}");
        }
        let mut elsewhere = good.clone();
        let ledger = "log.example/other".parse().unwrap();
        elsewhere.sign(&ledger, &[BUREAUS; 32], || [0; 16]).unwrap();
        assert_eq!(refused(&recorder, &elsewhere).await, "signed-other-ledger");
        // Addressed anew, the signature is still another ledger's.
        elsewhere.signed.as_mut().unwrap().ledger = "log.example/test".parse().unwrap();
        assert_eq!(refused(&recorder, &elsewhere).await, "signature-wrong");
        accepted(&recorder, &good).await;
        recorder.ledger().stop().await.unwrap();
    }

    async fn what_the_ledger_would_fill_in_has_to_be_signed(place: Place) {
        let recorder = with_keys(&place).await;
        accepted(&recorder, &signed(designation("agreement/S"), BUREAUS)).await;
        let consent = crate::support::commands::by("bureau-wz", "superior", "GrantConsent", "agreement/S", "2019-05-20", json!({}));
        accepted(&recorder, &signed(consent, BUREAUS)).await;
        let agreement = |more: serde_json::Value| {
            let mut payload = json!({
                "countersigned": [{ "organisation": "school-jia" }, { "organisation": "trustee-a" }],
                "fee_fen": 1, "form": "team", "rulebook": pin(), "school": "school-jia",
                "term_start": "2019-09-01", "trustee": "trustee-a"
            });
            payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            by_bureau("SignAgreement", "agreement/S", "2019-06-28", payload)
        };
        let error = recorder.record(&signed(agreement(json!({})), BUREAUS)).await.unwrap_err();
        let RecordError::Refused(refusal) = &error else { panic!("{}", told(&error)) };
        assert_eq!(refusal.code, "signed-incomplete");
        assert!(refusal.reason.en.contains("payload.term_months as 36"), "{refusal}");
        // Both were designated before, so nobody becomes a party now.
        let mut wrong = agreement(json!({ "term_months": 36 }));
        wrong.parties = vec!["organisation/school-jia".parse().unwrap()];
        assert_eq!(refused(&recorder, &signed(wrong.clone(), BUREAUS)).await, "parties");
        assert_eq!(refused(&recorder, &wrong).await, "parties");
        accepted(&recorder, &signed(agreement(json!({ "term_months": 36 })), BUREAUS)).await;
        recorder.ledger().stop().await.unwrap();
    }

    async fn a_rulebook_can_require_signatures_for_named_acts(place: Place) {
        let recorder = Recorder::open(new_ledger(&place).await).await.unwrap();
        record_lines(&recorder, crate::support::commands::REGISTRY).await;
        let text = RULEBOOK.replace("signatures_required = []", "signatures_required = [\"PartiesDesignated\"]");
        let digest = weituo_proof::sha256(&[text.as_bytes()]);
        let adoption = json!({ "text": text, "version": 1 });
        accepted(&recorder, &by_bureau("AdoptRulebook", "rulebook/wenzhou-entrustment-2018", "2018-12-20", adoption)).await;
        accepted(&recorder, &enrolment("bureau-wz", BUREAUS, ROOT)).await;
        let designation = |stream: &str| {
            let pin = json!({ "digest": digest, "id": "wenzhou-entrustment-2018", "version": 1 });
            let payload = json!({ "rulebook": pin, "school": "school-jia", "trustee": "trustee-a" });
            by_bureau("DesignateParties", stream, "2019-05-06", payload)
        };
        assert_eq!(refused(&recorder, &designation("agreement/S")).await, "signature-missing");
        let from_paper = Command { as_found: true, ..designation("agreement/S") };
        assert_eq!(refused(&recorder, &from_paper).await, "signature-missing");
        accepted(&recorder, &signed(designation("agreement/S"), BUREAUS)).await;
        let correction = json!({ "corrects": { "sequence": 1 }, "effective": "2019-05-05" });
        let correction = by_bureau("CorrectRecord", "agreement/S", "2019-05-07", correction);
        assert_eq!(refused(&recorder, &correction).await, "signature-missing");
        recorder.ledger().stop().await.unwrap();
    }

    async fn an_enrolment_is_signed_by_its_organisation_or_an_authority_above_it(place: Place) {
        let recorder = with_keys(&place).await;
        assert_eq!(refused(&recorder, &enrolment("school-jia", STRANGERS, SCHOOL)).await, "enrolment-unsigned");
        let itself = signed(enrolment("school-jia", STRANGERS, SCHOOL), STRANGERS);
        assert_eq!(refused(&recorder, &itself).await, "key-not-enrolled");
        accepted(&recorder, &signed(enrolment("school-jia", STRANGERS, SCHOOL), SCHOOLS)).await;
        let beside = signed(enrolment("trustee-a", 9, SCHOOL), SCHOOLS);
        assert_eq!(refused(&recorder, &beside).await, "registrar");
        recorder.ledger().stop().await.unwrap();
    }
}
