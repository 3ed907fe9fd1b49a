//! The same through the real binary: keys, enrolments, signing without a ledger, recording.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use crate::support::shell::{Ran, Shell, fed, refused_codes, registration};

const ORIGIN: &str = "ledger.example/cli";

fn sign(shell: &Shell, key: &str, lines: &str) -> Ran {
    // No ledger is there: signing needs none.
    let mut apart = shell.command(&["sign", "--key", key, "--ledger-origin", ORIGIN]);
    apart
        .env("WEITUO_LEDGER", "sqlite:///nowhere/ledger.db")
        .env("WEITUO_SIGNING_KEY", "/nowhere/ledger.key");
    fed(apart, lines.as_bytes())
}

fn enrolment(shell: &Shell, key: &str, more: &[&str]) -> String {
    let mut arguments = vec!["key", "enrol", key, "--ledger-origin", ORIGIN, "--effective", "2019-01-10"];
    arguments.extend(more);
    shell.run(&arguments).expect_code(0).out
}

/// A ledger in which the root bureau has the key `bureau.key`.
fn with_key() -> Shell {
    let shell = Shell::sqlite().filled(0);
    shell.run(&["key", "new", "bureau.key"]).expect_code(0);
    let command = enrolment(&shell, "bureau.key", &["--organisation", "bureau-wz"]);
    shell.record(&command).expect_code(0);
    shell
}

#[test]
fn a_key_file_is_for_its_owner_only_is_never_written_over_and_shows_what_may_be_known() {
    let shell = Shell::sqlite();
    let made =
        shell.run(&["--json", "key", "new", "school.key", "--name", "school-jia"]).expect_code(0).json();
    let permissions = std::fs::metadata(shell.path("school.key")).unwrap().permissions().mode();
    assert_eq!(permissions & 0o777, 0o600);
    let text = std::fs::read_to_string(shell.path("school.key")).unwrap();
    let again = shell.run(&["key", "new", "school.key"]).expect_code(2);
    assert!(again.err.contains("school.key is there already"), "{}", again.err);
    assert_eq!(std::fs::read_to_string(shell.path("school.key")).unwrap(), text);
    assert_eq!(shell.run(&["--json", "key", "show", "school.key"]).expect_code(0).json(), made);
    assert_eq!((made["name"].as_str(), made["key"].as_str().unwrap().len()), (Some("school-jia"), 64));
    let seed = text.trim().splitn(5, '+').nth(4).unwrap();
    assert!(!shell.run(&["key", "show", "school.key"]).expect_code(0).out.contains(seed));
    shell.run(&["key", "show", "no.key"]).expect_code(2);
}

#[test]
fn a_command_signed_without_a_ledger_is_recorded_as_it_is_and_verifies() {
    let shell = with_key();
    shell.run(&["key", "new", "school.key"]).expect_code(0);
    let enrol = enrolment(&shell, "school.key", &["--organisation", "school-jia", "--by", "bureau-wz"]);
    assert_eq!(refused_codes(&shell.record(&enrol).expect_code(3)), ["enrolment-unsigned"]);
    let signed = sign(&shell, "bureau.key", &enrol).expect_code(0);
    shell.record(&signed.out).expect_code(0);

    let lines = format!("{}\n\n{}\n", registration(1, "一"), registration(2, "二"));
    let signed = sign(&shell, "bureau.key", &lines).expect_code(0).out;
    assert_eq!(signed.lines().count(), 2);
    let first = shell.record(&signed).expect_code(0).lines();
    let again = shell.record(&signed).expect_code(0).lines();
    for (first, again) in first.iter().zip(&again) {
        assert_eq!(again["ok"]["repeated"], true);
        assert_eq!(again["ok"]["leaf_index"], first["ok"]["leaf_index"]);
    }
    // Signed anew, with other salts, the same id still says the same.
    let anew = sign(&shell, "bureau.key", &lines).expect_code(0).out;
    assert_ne!(anew, signed);
    assert!(shell.record(&anew).expect_code(0).lines().iter().all(|line| line["ok"]["repeated"] == true));
    // Unsigned it is another command.
    assert_eq!(refused_codes(&shell.record(&lines).expect_code(3)), ["command-reused", "command-reused"]);

    let report = shell.run(&["--json", "verify"]).expect_code(0).json();
    assert_eq!(report["counts"]["signatures"], 3);
}

#[test]
fn what_was_altered_or_signed_by_a_key_that_may_not_speak_is_refused_in_its_place() {
    let shell = with_key();
    shell.run(&["key", "new", "stranger.key"]).expect_code(0);
    let good = sign(&shell, "bureau.key", &(registration(1, "一") + "\n")).expect_code(0).out;
    let stranger = sign(&shell, "stranger.key", &(registration(2, "二") + "\n")).expect_code(0).out;
    let signing = shell.command(&["sign", "--key", "bureau.key", "--ledger-origin", "ledger.example/other"]);
    let elsewhere = fed(signing, registration(3, "三").as_bytes());
    let salts = good.replace("\"salts\":[\"", "\"salts\":[\"AAAAAAAAAAAAAAAAAAAAAA\",\"");
    let lines = [
        good.replace("\"一\"", "\"壹\""),
        good.replace("organisation/extra-1", "organisation/extra-9"),
        stranger,
        elsewhere.expect_code(0).out,
        salts,
        good,
    ];
    let ran = shell.record(&lines.concat()).expect_code(3);
    assert_eq!(
        refused_codes(&ran),
        ["signature-wrong", "signature-wrong", "key-not-enrolled", "signed-other-ledger", "signed-salts"]
    );
    assert!(ran.lines().last().unwrap().get("ok").is_some());
    let id = shell.run(&["--json", "key", "show", "bureau.key"]).expect_code(0).json()["key"].clone();
    let revoke = json!({
        "command": "20000000-0000-4000-8000-000000000001", "do": "RevokeSigningKey",
        "stream": "organisation/bureau-wz", "actor": { "organisation": "bureau-wz", "role": "bureau" },
        "effective": "2019-02-02", "payload": { "key": id }
    });
    let shown = || shell.run(&["show", "organisation", "bureau-wz"]).expect_code(0).out;
    assert!(shown().contains(id.as_str().unwrap()) && !shown().contains("revoked"), "{}", shown());
    shell.record(&revoke.to_string()).expect_code(0);
    assert!(shown().contains("(revoked at leaf "), "{}", shown());
    let late = sign(&shell, "bureau.key", &registration(4, "四")).expect_code(0).out;
    assert_eq!(refused_codes(&shell.record(&late).expect_code(3)), ["key-revoked"]);
    shell.run(&["verify"]).expect_code(0);
}

#[test]
fn what_cannot_be_signed_is_told_on_standard_error_and_the_rest_is_signed() {
    let shell = Shell::sqlite();
    shell.run(&["key", "new", "bureau.key"]).expect_code(0);
    let open = json!({
        "command": "20000000-0000-4000-8000-000000000002", "do": "DesignateParties", "stream": "agreement/S",
        "actor": { "organisation": "bureau-wz", "role": "bureau" }, "effective": "2019-05-06",
        "payload": { "rulebook": { "id": "r", "version": 1 }, "school": "a", "trustee": "b" }
    });
    let newest = registration(2, "二").replace("\"effective\"", "\"seen\":\"newest\",\"effective\"");
    let lines = [registration(1, "一"), open.to_string(), newest, "not json".to_owned()].join("\n");
    let signing = shell.command(&["--json", "sign", "--key", "bureau.key", "--ledger-origin", ORIGIN]);
    let ran = fed(signing, lines.as_bytes()).expect_code(3);
    assert_eq!(ran.lines().len(), 1);
    let told: Vec<Value> = ran.err.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let codes: Vec<_> = told.iter().map(|one| one["refused"]["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["signed-incomplete", "signed-newest", "command-unreadable"]);
    assert!(told[0]["refused"]["reason"]["en"].as_str().unwrap().contains("payload.rulebook.digest"));
}

#[test]
fn the_logs_own_key_signs_for_no_actor() {
    let shell = Shell::sqlite().filled(0);
    let signing = shell.command(&["sign", "--key", "ledger.key", "--ledger-origin", ORIGIN]);
    let ran = fed(signing, registration(1, "一").as_bytes()).expect_code(2);
    assert!(ran.out.is_empty() && ran.err.contains("weituo key new"), "{}", ran.err);
}
