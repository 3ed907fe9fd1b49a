//! The command line as its users meet it: real processes, exit codes, words in both languages.

mod checked;

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::commands::{CYCLES, REGISTRY};
use crate::support::shell::{Shell, refused_codes, registration};

/// Compares what a user reads with the snapshot, hashes, keys and times apart.
macro_rules! assert_words {
    ($text:expr) => {
        insta::with_settings!({ filters => vec![
            (r"[0-9a-f]{64}", "<hash>"),
            (r"\b[0-9a-f]{12}\b", "<short>     "),
            (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", "<recorded at>           "),
            (r"\+[0-9a-f]{8}\+[A-Za-z0-9+/=]{44,}", "+<key>"),
            (r"(?m)^[A-Za-z0-9+/]{43}=$", "<root>"),
            (r"[A-Za-z0-9+/]{80,}=*", "<base64>"),
            (r"[A-Za-z0-9_-]{43}", "<digest>"),
            (r"/tmp/[^ ]*/", "<folder>/"),
            (r"after \d+", "after <days>"),
            (r"隔 \d+ 个工作日", "隔 <天数> 个工作日"),
        ] }, { insta::assert_snapshot!($text) });
    };
}

#[test]
fn every_refused_line_is_answered_in_its_place_and_loses_no_other() {
    let shell = Shell::sqlite().filled(0);
    let lines = [
        registration(1, "一"),
        "not json".to_owned(),
        registration(2, "二").replace("\"name\"", "\"nickname\""),
        registration(3, "三").replace("RegisterOrganisation", "RegisterPlanet"),
        registration(4, "四").replace("organisation/extra-4", "organisation/../x"),
        registration(5, "五").replace("2019-01-02", "2019-02-29"),
        registration(6, "六").replace("2019-01-02", "9999-12-31"),
        registration(7, "七").replace("\"bureau-wz\"", "\"bureau-nowhere\""),
        registration(8, &"长".repeat(30_000)),
        registration(9, "\u{0}"),
        registration(10, "十"),
    ];
    let ran = shell.record(&(lines.join("\n") + "\n")).expect_code(3);
    let kinds: Vec<bool> = ran.lines().iter().map(|line| line.get("ok").is_some()).collect();
    assert_eq!(kinds, [true, false, false, false, false, false, false, false, false, false, true]);
    assert_words!(refused_codes(&ran).join("\n"));
    shell.run(&["verify"]).expect_code(0);
}

#[test]
fn a_line_that_is_too_long_or_not_utf8_is_refused_alone() {
    let shell = Shell::sqlite().filled(0);
    let path = shell.path("lines.jsonl");
    let mut bytes = registration(1, "一").into_bytes();
    bytes.push(b'\n');
    bytes.extend(b"\xff\xfe\n");
    bytes.extend(std::iter::repeat_n(b'x', 3 << 20));
    bytes.push(b'\n');
    bytes.extend(registration(2, "二").into_bytes());
    std::fs::write(&path, bytes).unwrap();
    let ran = shell.run(&["record", path.to_str().unwrap()]).expect_code(3);
    assert_eq!(refused_codes(&ran), ["line-not-utf8", "line-too-long"]);
    assert_eq!(ran.lines().iter().filter(|line| line.get("ok").is_some()).count(), 2);
}

#[test]
fn recording_without_a_ledger_says_what_to_do_and_exits_2() {
    let shell = Shell::sqlite();
    let ran = shell.record(&registration(1, "一")).expect_code(2);
    assert!(ran.err.contains("weituo init"), "{}", ran.err);
    assert!(!shell.path("ledger.db").exists(), "nothing half-made is left");
}

#[test]
fn a_ledger_is_never_made_over_another() {
    let shell = Shell::sqlite().filled(0);
    let before = shell.run(&["checkpoint"]).expect_code(0).out;
    shell.run(&["init", "--origin", "ledger.example/cli"]).expect_code(2);
    assert_eq!(shell.run(&["checkpoint"]).expect_code(0).out, before);
}

#[test]
fn the_receipt_of_every_recorded_line_verifies_under_the_logs_key() {
    let shell = Shell::sqlite();
    let made = shell.run(&["--json", "init", "--origin", "ledger.example/cli", "--bureau", "bureau-wz"]);
    let key: weituo_proof::VerifierKey = made.json()["verifier_key"].as_str().unwrap().parse().unwrap();
    for line in shell.record(REGISTRY).expect_code(0).lines() {
        let text = line["ok"]["receipt"].as_str().unwrap();
        let receipt = weituo_proof::Receipt::parse_with_entry(text).unwrap();
        assert!(receipt.verify(&key).unwrap().size.get() > receipt.leaf_index.get());
        assert_eq!(line["ok"]["leaf_hash"], receipt.leaf_hash().to_string());
    }
}

#[test]
fn the_words_of_each_subcommand_are_reviewed() {
    let shell = Shell::sqlite().filled(4);
    let agreement = "agreement/WZ-2021-003";
    for (name, arguments) in [
        ("show-agreement", &["show", "agreement", "WZ-2021-003", "--on", "2026-11-01"][..]),
        ("show-trustee", &["show", "trustee", "trustee-a", "--on", "2026-11-01"]),
        ("show-school", &["show", "school", "school-jia", "--on", "2026-11-01"]),
        ("show-organisation", &["show", "organisation", "school-jia"]),
        ("docket", &["docket", "--bureau", "bureau-county", "--on", "2026-11-01"]),
        ("log-stream", &["log", agreement]),
        ("schema", &["schema"]),
        ("schema-of-one", &["schema", "RecordAnnualAssessment"]),
        ("verify", &["verify"]),
        ("unknown-agreement", &["show", "agreement", "NO-SUCH"]),
        ("unknown-leaf", &["entry", "99999"]),
        ("unknown-projection", &["rebuild", "nothing"]),
        ("help", &["--help"]),
    ] {
        for language in ["zh", "en"] {
            let shell =
                Shell { language, folder: tempfile::tempdir().unwrap(), ledger: shell.ledger.clone() };
            std::fs::copy(shell_key(&shell.ledger), shell.path("ledger.key")).unwrap();
            std::fs::copy(
                shell_key(&shell.ledger).with_file_name("ledger.anchor"),
                shell.path("ledger.anchor"),
            )
            .unwrap();
            let ran = shell.run(arguments);
            insta::with_settings!({ snapshot_suffix => format!("{name}-{language}") }, {
                assert_words!(format!("exit {}\n{}{}", ran.code, ran.out, ran.err));
            });
        }
    }
}

/// Returns the key file beside a SQLite ledger.
fn shell_key(ledger: &str) -> PathBuf {
    Path::new(ledger.strip_prefix("sqlite://").unwrap()).with_file_name("ledger.key")
}

fn erasing_a_name_leaves_everything_verifiable(shell: &Shell) {
    shell.record(&registration(1, "一")).expect_code(0);
    let entry = shell.run(&["--json", "log", "organisation/extra-1"]).expect_code(0).lines().remove(0);
    let leaf = entry["leaf_index"].to_string();
    let digest = entry["entry"]["payload"]["legal_representative"]["_sd"][0].as_str().unwrap().to_owned();
    assert!(shell.run(&["entry", &leaf]).expect_code(0).out.contains("法人乙"));
    let wrong = "A".repeat(43);
    shell.run(&["erase", &leaf, &wrong, "--grounds", "request"]).expect_code(3);
    shell.run(&["erase", &leaf, &digest, "--grounds", "request of the person"]).expect_code(0);
    let shown = shell.run(&["entry", &leaf]).expect_code(0).out;
    assert!(!shown.contains("法人乙") && shown.contains("经办人甲"), "{shown}");
    assert!(shown.contains("(erased, leaf ") && shown.contains(": request of the person)"), "{shown}");
    let erased = shell.run(&["--json", "entry", &leaf]).expect_code(0).json()["erased"][&digest].clone();
    assert_eq!(erased["grounds"], "request of the person");
    shell.run(&["erase", &leaf, &digest, "--grounds", "again"]).expect_code(3);
    shell.run(&["verify"]).expect_code(0);
}

#[test]
fn an_erased_name_is_gone_and_the_ledger_still_verifies_on_sqlite() {
    let shell = Shell::sqlite().filled(0);
    erasing_a_name_leaves_everything_verifiable(&shell);
    let bytes = std::fs::read(shell.path("ledger.db")).unwrap();
    let (wal, name) = (std::fs::read(shell.path("ledger.db-wal")).unwrap_or_default(), "法人乙".as_bytes());
    assert!(![bytes, wal].iter().any(|bytes| bytes.windows(name.len()).any(|part| part == name)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_name_is_gone_and_the_ledger_still_verifies_on_postgres() {
    let shell = Shell::postgres().await.filled(0);
    tokio::task::spawn_blocking(move || erasing_a_name_leaves_everything_verifiable(&shell)).await.unwrap();
}

/// Two processes, 32 signings each, one trustee.
fn two_processes_race_for_one_trustee(shell: &Shell) {
    let pin = json!({ "id": "wenzhou-entrustment-2018", "version": 1 });
    let line = |id: usize, act: &str, stream: String, role: &str, effective: &str, payload: Value| {
        let command = json!({
            "command": format!("20000000-0000-4000-8000-{id:012}"), "do": act, "stream": stream,
            "actor": { "organisation": "bureau-wz", "role": role }, "effective": effective, "payload": payload,
        });
        format!("{command}\n")
    };
    let organisation = |name: &str| json!({ "name": name, "kind": "public_school", "superior": "bureau-wz" });
    let mut before = line(
        0,
        "RegisterOrganisation",
        "organisation/trustee-z".to_owned(),
        "bureau",
        "2018-12-21",
        organisation("受托"),
    );
    let mut racing = [String::new(), String::new()];
    for number in 1..=64 {
        let (school, agreement) = (format!("school-z{number}"), format!("agreement/Z-{number}"));
        let parties = json!({ "rulebook": pin, "school": school, "trustee": "trustee-z" });
        let signing = json!({
            "countersigned": [{ "organisation": school }, { "organisation": "trustee-z" }], "form": "team",
            "rulebook": pin, "school": school, "term_start": "2019-09-01", "trustee": "trustee-z",
        });
        let stream = format!("organisation/{school}");
        before += &line(
            1000 + number,
            "RegisterOrganisation",
            stream,
            "bureau",
            "2018-12-21",
            organisation(&school),
        );
        before +=
            &line(2000 + number, "DesignateParties", agreement.clone(), "bureau", "2019-05-06", parties);
        before +=
            &line(3000 + number, "GrantConsent", agreement.clone(), "superior", "2019-05-20", json!({}));
        racing[number % 2] +=
            &line(4000 + number, "SignAgreement", agreement, "bureau", "2019-06-28", signing);
    }
    shell.record(&before).expect_code(0);
    let [first, second] = &racing;
    let (first, second) = std::thread::scope(|scope| {
        let other = scope.spawn(|| shell.record(second));
        (shell.record(first), other.join().unwrap())
    });
    let accepted =
        [&first, &second].iter().flat_map(|ran| ran.lines()).filter(|line| line.get("ok").is_some()).count();
    assert_eq!(accepted, 1, "{}\n{}", first.out, second.out);
    let refused: Vec<String> = [&first, &second].iter().flat_map(|ran| refused_codes(ran)).collect();
    assert_eq!(refused, vec!["one-school-per-trustee"; 63]);
    shell.run(&["verify"]).expect_code(0);
}

#[test]
fn of_64_signings_from_two_processes_one_is_accepted_on_sqlite() {
    two_processes_race_for_one_trustee(&Shell::sqlite().filled(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_64_signings_from_two_processes_one_is_accepted_on_postgres() {
    let shell = Shell::postgres().await.filled(0);
    tokio::task::spawn_blocking(move || two_processes_race_for_one_trustee(&shell)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_samples_give_the_same_states_on_both_stores() {
    let (lite, post) = (Shell::sqlite().filled(4), Shell::postgres().await.filled(4));
    tokio::task::spawn_blocking(move || {
        for id in ["WZ-2018-004", "WZ-2021-003", "WZ-2022-001", "WZ-2022-002", "WZ-2026-001"] {
            let shown = |shell: &Shell| {
                let mut view = shell.run(&["--json", "show", "agreement", id]).expect_code(0).json();
                // What differs between two ledgers: hashes, times, salts.
                view["timeline"].as_array_mut().unwrap().iter_mut().for_each(|one| {
                    one["leaf_hash"] = Value::Null;
                    one["recorded_at"] = Value::Null;
                });
                let mut text = view.to_string();
                for pattern in
                    [r#""recorded_at":"[^"]*""#, r#""_sd":\["[^"]*"\]"#, r#""(leaf|digest)":"[0-9a-f]{64}""#]
                {
                    text = regex_lite::Regex::new(pattern).unwrap().replace_all(&text, "-").into_owned();
                }
                text
            };
            assert_eq!(shown(&lite), shown(&post), "{id}");
        }
        lite.run(&["verify"]).expect_code(0);
        post.run(&["verify"]).expect_code(0);
    })
    .await
    .unwrap();
}

#[test]
fn a_document_is_found_by_its_file_or_its_hash() {
    let shell = Shell::sqlite().filled(0);
    let file = shell.path("document.pdf");
    std::fs::write(&file, b"a signed agreement").unwrap();
    let hash = weituo_proof::sha256(&[b"a signed agreement"]).to_string();
    let evidence = json!([{ "media_type": "application/pdf", "sha256": hash, "size_bytes": 18 }]);
    let mut command: Value = serde_json::from_str(&registration(1, "一")).unwrap();
    command["payload"]["paper"] = json!({ "evidence": evidence });
    shell.record(&command.to_string()).expect_code(0);
    for asked in [file.to_str().unwrap(), &hash] {
        let found = shell.run(&["--json", "find", asked]).expect_code(0).json();
        assert_eq!(found["entries"][0]["entry"]["stream"], "organisation/extra-1");
    }
    shell.run(&["find", &"0".repeat(64)]).expect_code(1);
    shell.run(&["find", "no-such-file"]).expect_code(2);
}

#[test]
fn the_demo_records_verifies_and_names_the_altered_value_in_both_languages() {
    for (language, intact) in [("en", "✔ intact"), ("zh", "核验通过:未改动")] {
        let shell = Shell { language, ..Shell::sqlite() };
        let ran = shell.run(&["demo", "--dir", "demo"]).expect_code(0);
        for expected in [intact, "intact", "complete", "leaf-hash-differs"] {
            assert!(ran.out.contains(expected), "{expected}: {}", ran.out);
        }
        shell.run(&["demo", "--dir", "demo"]).expect_code(2);
    }
}

#[test]
fn a_failure_that_cannot_be_told_still_exits_with_its_code() {
    let shell = Shell::sqlite().filled(0);
    let unknown = "0".repeat(64);
    for (arguments, code) in
        [(&["find", &unknown][..], 1), (&["find", "no-such-file"], 2), (&["frobnicate"], 2)]
    {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let status = shell.command(arguments).stderr(full).status().unwrap();
        assert_eq!(status.code(), Some(code), "{arguments:?}");
    }
}

#[test]
fn a_reader_that_goes_away_loses_no_recorded_line_and_stops_the_recording_cleanly() {
    let shell = Shell::sqlite().filled(0);
    let path = shell.path("lines.jsonl");
    let lines: Vec<String> = (1..40).map(|number| registration(number, "一")).collect();
    std::fs::write(&path, lines.join("\n")).unwrap();
    let mut child = shell
        .command(&["record", path.to_str().unwrap()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
    shell.run(&["verify"]).expect_code(0);
    let ran = shell.run(&["record", path.to_str().unwrap()]).expect_code(0);
    assert_eq!(ran.lines().len(), 39);
}

#[test]
fn a_document_in_a_confidential_payload_is_found() {
    let shell = Shell::sqlite().filled(1);
    let hash = "ab".repeat(32);
    let command = json!({
        "command": "40000000-0000-4000-8000-000000000001", "do": "AttachEvidence",
        "stream": "agreement/WZ-2026-001", "confidential": true, "effective": "2026-11-01",
        "actor": { "organisation": "bureau-county", "role": "bureau" },
        "payload": { "paper": { "evidence": [
            { "media_type": "application/pdf", "sha256": hash, "size_bytes": 18 }
        ] } },
    });
    let recorded = shell.record(&command.to_string()).expect_code(0).lines().remove(0);
    let found = shell.run(&["--json", "find", &hash]).expect_code(0).json();
    assert_eq!(found["entries"][0]["leaf_index"], recorded["ok"]["leaf_index"]);
    assert!(!found["entries"][0]["entry"]["payload"].to_string().contains(&hash));
}

#[test]
fn an_organisation_is_shown_as_of_a_day_and_an_unknown_bureau_is_told() {
    let shell = Shell::sqlite().filled(0);
    shell.run(&["show", "organisation", "school-jia"]).expect_code(0);
    shell.run(&["show", "organisation", "school-jia", "--on", "1990-01-01"]).expect_code(1);
    shell.run(&["docket", "--bureau", "bureau-typo"]).expect_code(1);
    shell.run(&["docket", "--bureau", "bureau-county"]).expect_code(0);
}

#[test]
fn a_command_repeated_tells_the_same_irregularities_again() {
    let shell = Shell::sqlite().filled(3);
    let again = shell.record(CYCLES[2].1).expect_code(0).lines();
    assert!(again.iter().all(|line| line["ok"]["repeated"] == true));
    let told = again
        .iter()
        .filter(|line| line["ok"]["irregularities"].as_array().is_some_and(|all| !all.is_empty()));
    assert!(told.count() >= 3);
}

#[test]
fn readers_that_come_first_together_are_all_answered() {
    let shell = Shell::sqlite().filled(2);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..4).map(|_| scope.spawn(|| shell.run(&["docket"]))).collect();
        for reader in readers {
            reader.join().unwrap().expect_code(0);
        }
    });
    shell.run(&["verify"]).expect_code(0);
}

#[test]
fn a_command_line_that_cannot_be_read_is_refused_in_the_language_asked_for_and_as_json() {
    let mut shell = Shell::sqlite();
    for (language, args, zh, en) in [
        ("en", &["shwo"][..], "没有命令 shwo;相近的有 show", "unrecognized subcommand 'shwo'"),
        ("zh", &["show", "agreement"], "缺少 <ID>", "required arguments were not provided"),
        ("en", &["verify", "--frob"], "不认识的参数 --frob", "unexpected argument '--frob'"),
        ("en", &["entry", "x"], "<LEAF_INDEX> 的值不能是 x:应为可用范围内的整数", "invalid value 'x'"),
        (
            "zh",
            &["docket", "--on", "2023-02-29"],
            "--on <DATE> 的值不能是 2023-02-29:应为实有的日期",
            "invalid value",
        ),
        ("zh", &["show", "planet", "x"], "<WHAT> 的值不能是 planet;可以是", "invalid value 'planet'"),
        ("fr", &["log"], "--lang <LANG> 的值不能是 fr;可以是 zh、en", "invalid value 'fr'"),
        (
            "zh",
            &["record", "--wait-for-witnesses=0"],
            "--wait-for-witnesses[=<SECONDS>] 的值不能是 0:应在 1 至 3600 之间",
            "0 is not in 1..=3600",
        ),
    ] {
        shell.language = language;
        let ran = shell.run(&[&["--json"][..], args].concat()).expect_code(2);
        let answer: Value = serde_json::from_str(&ran.err).unwrap();
        let (code, reason) = (&answer["error"]["code"], &answer["error"]["reason"]);
        assert_eq!(code, "usage", "{args:?}");
        assert!(reason["zh"].as_str().unwrap().starts_with(zh), "{reason}");
        assert!(reason["en"].as_str().unwrap().contains(en), "{reason}");
        assert_eq!(ran.out, "", "{args:?}");
    }
    shell.language = "zh";
    let told = shell.run(&["show", "agreement"]).expect_code(2).err;
    assert!(told.contains("缺少 <ID>") && told.contains("用法:weituo") && !told.contains("error"), "{told}");
    assert!(shell.run(&["verify", "--help"]).expect_code(0).out.contains("用法"));
}
