//! Registration and keys, on the sample registry.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use weituo_events::{Command, Refusal};
use weituo_projections::StreamState;
use weituo_proof::entry::{key_id, prove_possession, public_key_of_seed};

use crate::agreement::tests::harness::{Ledger, ORIGIN};

#[expect(clippy::needless_pass_by_value, reason = "callers write the payload in place")]
fn command(make: &str, of: &str, by: &str, role: &str, payload: Value) -> Value {
    json!({
        "command": "00000000-0000-4000-8000-0000000000bb",
        "do": make,
        "stream": format!("organisation/{of}"),
        "actor": { "organisation": by, "role": role },
        "effective": "2020-01-10",
        "payload": payload
    })
}

#[track_caller]
fn refused(command: &Value, code: &str) -> Refusal {
    let refusal = Ledger::open().record(&command.to_string()).expect_err("this should be refused");
    assert_eq!(refusal.code, code, "{refusal}");
    refusal
}

fn registered(superior: &str) -> Value {
    json!({"kind": "public_school", "name": "戊校", "superior": superior})
}

#[test]
fn a_bureau_registers_what_stands_below_it() {
    let mut ledger = Ledger::open();
    let below =
        command("RegisterOrganisation", "school-wu", "bureau-county", "bureau", registered("bureau-county"));
    ledger.record(&below.to_string()).unwrap();
    let beside =
        command("RegisterOrganisation", "school-ji", "bureau-county", "bureau", registered("bureau-wz"));
    assert_eq!(ledger.record(&beside.to_string()).unwrap_err().code, "registrar");
}

#[test]
fn a_school_registers_nobody_and_nobody_twice() {
    let school =
        command("RegisterOrganisation", "school-wu", "school-jia", "bureau", registered("bureau-county"));
    refused(&school, "registrar");
    let again =
        command("RegisterOrganisation", "school-jia", "bureau-wz", "bureau", registered("bureau-county"));
    assert!(refused(&again, "registered-before").reason.en.contains("ChangeOrganisation"));
    let stranger =
        command("RegisterOrganisation", "school-wu", "bureau-x", "bureau", registered("bureau-county"));
    refused(&stranger, "registrar");
}

#[test]
fn an_authority_stands_above_and_never_in_a_circle() {
    let unknown = command("RegisterOrganisation", "school-wu", "bureau-wz", "bureau", registered("bureau-x"));
    refused(&unknown, "organisation-unknown");
    let circle =
        command("ChangeOrganisation", "bureau-wz", "bureau-wz", "bureau", json!({"superior": "school-jia"}));
    refused(&circle, "superior-circle");
}

#[test]
fn a_name_given_up_stays_as_a_dated_alias() {
    let mut ledger = Ledger::open();
    let renamed =
        command("ChangeOrganisation", "school-jia", "bureau-county", "bureau", json!({"name": "甲校新名"}));
    let recorded = ledger.record(&renamed.to_string()).unwrap();
    let StreamState::Organisation(school) = &ledger.states[&recorded.act.stream] else {
        panic!("an organisation")
    };
    let names: Vec<_> =
        school.names.iter().map(|dated| (dated.value.as_str(), dated.from.as_str())).collect();
    assert_eq!(names, [("甲校", "2018-09-01"), ("甲校新名", "2020-01-10")]);
}

#[test]
fn a_closed_organisation_becomes_no_party() {
    let mut ledger = Ledger::open();
    let closed = command(
        "CloseOrganisation",
        "school-jia",
        "bureau-county",
        "bureau",
        json!({"merged_into": "school-ding"}),
    );
    ledger.record(&closed.to_string()).unwrap();
    let mut lines = crate::agreement::tests::harness::FULL_CYCLE.lines();
    ledger.record(lines.next().unwrap()).unwrap();
    let refusal = ledger.record(lines.next().unwrap()).unwrap_err();
    assert_eq!(refusal.code, "party-closed");
    assert!(refusal.reason.en.contains("school-ding"));
    let again = command("ChangeOrganisation", "school-jia", "bureau-county", "bureau", json!({"name": "x"}));
    assert_eq!(ledger.record(&again.to_string()).unwrap_err().code, "organisation-closed");
}

#[test]
fn a_key_is_enrolled_under_its_own_id_once_and_revoked_once() {
    let mut ledger = Ledger::open();
    let public_key = public_key_of_seed(&[9; 32]);
    let enrol = |key: String| {
        let payload = json!({
            "key": key,
            "possession": possession("school-jia", &[9; 32]),
            "public_key": STANDARD.encode(public_key)
        });
        command("EnrolSigningKey", "school-jia", "school-jia", "school", payload).to_string()
    };
    let id = key_id(&public_key).to_string();
    let wrong = ledger.record(&enrol("00".repeat(32))).unwrap_err();
    assert_eq!(wrong.code, "key-id");
    assert!(wrong.reason.en.contains(&id));
    ledger.record(&enrol(id.clone())).unwrap();
    assert_eq!(ledger.record(&enrol(id.clone())).unwrap_err().code, "key-enrolled-before");
    let revoke =
        command("RevokeSigningKey", "school-jia", "bureau-county", "bureau", json!({"key": id})).to_string();
    ledger.record(&revoke).unwrap();
    assert_eq!(ledger.record(&revoke).unwrap_err().code, "key-revoked-before");
    let stranger =
        command("RevokeSigningKey", "school-jia", "school-ding", "school", json!({"key": id})).to_string();
    assert_eq!(ledger.record(&stranger).unwrap_err().code, "registrar");
}

fn possession(organisation: &str, seed: &[u8; 32]) -> String {
    let stream = format!("organisation/{organisation}").parse().unwrap();
    prove_possession(&ORIGIN.parse().unwrap(), &stream, seed)
}

/// An enrolment of a seed's key for an organisation, by somebody, signed with another seed where one is given.
fn enrolment(of: &str, seed: u8, by: (&str, &str), signer: Option<u8>) -> String {
    let public_key = public_key_of_seed(&[seed; 32]);
    let payload = json!({
        "key": key_id(&public_key),
        "possession": possession(of, &[seed; 32]),
        "public_key": STANDARD.encode(public_key)
    });
    let line = command("EnrolSigningKey", of, by.0, by.1, payload).to_string();
    let Some(signer) = signer else { return line };
    let mut command = Command::parse(&line).unwrap();
    command.sign(&ORIGIN.parse().unwrap(), &[signer; 32], || [0; 16]).unwrap();
    serde_json::to_string(&command).unwrap()
}

const ROOT: (&str, &str) = ("bureau-wz", "bureau");
const COUNTY: (&str, &str) = ("bureau-county", "bureau");
const SCHOOL: (&str, &str) = ("school-jia", "school");

#[test]
fn a_root_bureaus_first_key_is_enrolled_unsigned_and_its_next_is_not() {
    let mut ledger = Ledger::open();
    ledger.record(&enrolment("bureau-wz", 1, ROOT, None)).unwrap();
    let refusal = ledger.record(&enrolment("bureau-wz", 2, ROOT, None)).unwrap_err();
    assert_eq!(refusal.code, "enrolment-unsigned");
    assert!(refusal.reason.en.contains("bureau-wz"), "{refusal}");
    ledger.record(&enrolment("bureau-wz", 2, ROOT, Some(1))).unwrap();
}

#[test]
fn a_first_key_needs_an_authoritys_signature_as_soon_as_one_above_has_a_key() {
    let mut ledger = Ledger::open();
    // Nobody above has a key yet: the school's own word is all there is.
    ledger.record(&enrolment("school-ding", 3, ("school-ding", "school"), None)).unwrap();
    ledger.record(&enrolment("bureau-wz", 1, ROOT, None)).unwrap();
    for by in [COUNTY, ROOT, SCHOOL] {
        assert_eq!(
            ledger.record(&enrolment("school-jia", 4, by, None)).unwrap_err().code,
            "enrolment-unsigned"
        );
    }
    ledger.record(&enrolment("bureau-county", 2, ROOT, Some(1))).unwrap();
    ledger.record(&enrolment("school-jia", 4, COUNTY, Some(2))).unwrap();
    ledger.record(&enrolment("school-jia", 5, SCHOOL, Some(4))).unwrap();
}

#[test]
fn a_key_does_not_vouch_for_itself_nor_for_an_organisation_beside_it() {
    let mut ledger = Ledger::open();
    ledger.record(&enrolment("bureau-wz", 1, ROOT, None)).unwrap();
    let itself = ledger.record(&enrolment("school-jia", 4, SCHOOL, Some(4))).unwrap_err();
    assert_eq!(itself.code, "key-not-enrolled");
    ledger.record(&enrolment("school-ding", 3, ROOT, Some(1))).unwrap();
    let beside = ledger.record(&enrolment("school-jia", 4, ("school-ding", "school"), Some(3))).unwrap_err();
    assert_eq!(beside.code, "registrar");
}

#[test]
fn revoking_every_key_does_not_open_the_unsigned_way_again() {
    let mut ledger = Ledger::open();
    ledger.record(&enrolment("bureau-wz", 1, ROOT, None)).unwrap();
    let key = key_id(&public_key_of_seed(&[1; 32]));
    let revoke = command("RevokeSigningKey", "bureau-wz", "bureau-wz", "bureau", json!({ "key": key }));
    ledger.record(&revoke.to_string()).unwrap();
    assert_eq!(ledger.record(&enrolment("bureau-wz", 2, ROOT, None)).unwrap_err().code, "enrolment-unsigned");
    assert_eq!(ledger.record(&enrolment("bureau-wz", 2, ROOT, Some(1))).unwrap_err().code, "key-revoked");
}

#[test]
fn possession_of_another_key_organisation_or_ledger_and_a_key_of_small_order_are_refused() {
    let mut ledger = Ledger::open();
    let code = |ledger: &mut Ledger, line: String| ledger.record(&line).unwrap_err().code.into_owned();
    let good = possession("school-jia", &[4; 32]);
    let elsewhere = prove_possession(
        &"ledger.example/other".parse().unwrap(),
        &"organisation/school-jia".parse().unwrap(),
        &[4; 32],
    );
    for other in [
        possession("school-jia", &[5; 32]),
        possession("school-ding", &[4; 32]),
        elsewhere,
        "AAAA".to_owned(),
    ] {
        let line = enrolment("school-jia", 4, SCHOOL, None).replace(&good, &other);
        assert_eq!(code(&mut ledger, line), "key-possession");
    }
    let mut small = [0; 32];
    small[0] = 1;
    let payload = json!({
        "key": key_id(&small), "possession": good, "public_key": STANDARD.encode(small)
    });
    let line = command("EnrolSigningKey", "school-jia", "school-jia", "school", payload).to_string();
    assert_eq!(code(&mut ledger, line), "key-weak");
}
