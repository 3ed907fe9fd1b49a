//! Registration and keys, on the sample registry.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use weituo_events::Refusal;
use weituo_projections::StreamState;
use weituo_proof::entry::key_id;

use crate::agreement::tests::harness::Ledger;

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
    let public_key = [9; 32];
    let enrol = |key: String| {
        let payload = json!({
            "key": key,
            "possession": STANDARD.encode([1; 64]),
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
