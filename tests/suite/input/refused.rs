//! What is refused, each line alone.

use serde_json::{Value, json};

use super::{answers, assert_ended, assert_intact, by_county, ledgers};
use crate::support::shell::{Shell, registration};

/// Lines that are refused, and the code each is refused with.
fn hostile() -> Vec<(&'static str, Vec<u8>)> {
    let good = registration(1, "甲");
    let with = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        good.replace(from, to).into_bytes()
    };
    let named = |name: &str| with("\"甲\"", name);
    let mut nested = "{}".to_owned();
    for _ in 0..9_000 {
        nested = format!(
            r#"{{"corrects":{{"sequence":1}},"replacement":{{"payload":{nested},"type":"RecordCorrected"}}}}"#
        );
    }
    let mut lines = vec![
        ("command-unreadable", b"not json".to_vec()),
        ("command-unreadable", b"{".to_vec()),
        ("command-unreadable", b"null".to_vec()),
        ("command-unreadable", b"\0".to_vec()),
        ("command-unreadable", [good.as_bytes(), b"{}"].concat()),
        ("command-unreadable", with("{", "[")),
        ("command-unreadable", with("{\"actor\"", "\u{feff}{\"actor\"")),
        ("line-not-utf8", good.bytes().map(|byte| if byte > 127 { 0xff } else { byte }).collect()),
        // NUL, raw and escaped; half a surrogate pair.
        ("command-unreadable", named("\"a\0b\"")),
        ("entry-invalid", named("\"a\\u0000b\"")),
        ("command-unreadable", named("\"\\ud83c\"")),
        // Nesting of every kind.
        ("command-unreadable", named(&format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)))),
        ("command-unreadable", named(&"{\"a\":".repeat(100_000))),
        ("payload-unreadable", named("[[\"甲\"]]")),
        (
            "command-unreadable",
            by_county("CorrectRecord", "2023-01-01", &json!({})).replace("{}", &nested).into_bytes(),
        ),
        // One key twice, in the command and in the payload.
        ("command-unreadable", with("\"effective\"", "\"effective\":\"2019-01-01\",\"effective\"")),
        ("payload-unreadable", with("\"name\"", "\"name\":\"乙\",\"name\"")),
        ("command-unreadable", with("\"effective\"", "\"zip\":1,\"effective\"")),
        ("payload-unreadable", with("\"name\"", "\"zip\":1,\"name\"")),
        // A list where an object belongs would lose its names.
        (
            "not-kept-exactly",
            with(
                r#"{"organisation":"bureau-wz","person":"经办人甲","role":"bureau"}"#,
                r#"["bureau-wz","经办人甲","bureau"]"#,
            ),
        ),
        ("entry-invalid", named(&format!("\"{}\"", "长".repeat(30_000)))),
        ("line-too-long", named(&format!("\"{}\"", "长".repeat(700_000)))),
        ("command-unknown", with("RegisterOrganisation", "RegisterPlanet")),
        ("command-unknown", with("RegisterOrganisation", "")),
        // What is quoted back is cut short.
        ("command-unknown", with("RegisterOrganisation", &"X".repeat(100_000))),
        (
            "command-unreadable",
            with("\"effective\"", &format!("\"{}\":1,\"effective\"", "z".repeat(100_000))),
        ),
    ];
    for stream in [
        "organisation/../x",
        "organisation/a/b",
        "organisation/a\\\\b",
        "organisation/..",
        "organisation/",
        "/",
        "../x",
    ] {
        lines.push(("command-unreadable", with("organisation/extra-1", stream)));
    }
    for organisation in ["../bureau-wz", "bureau/wz", ".", "", "bureau-wz\\u0000", "bureau-wz\u{200b}"] {
        lines.push(("command-unreadable", with("\"bureau-wz\"", &format!("\"{organisation}\""))));
    }
    for day in [
        "2019-02-29",
        "2100-02-29",
        "0000-01-01",
        "2020-13-01",
        "2020-04-31",
        "2020-1-1",
        "10000-01-01",
        "+9999-01-01",
        "",
    ] {
        lines.push(("command-unreadable", with("2019-01-02", day)));
    }
    for day in ["9999-12-31", "9999-12", "SY9998"] {
        lines.push(("effective-after-recorded", with("2019-01-02", day)));
    }
    for id in [
        "",
        "1",
        "10000000-0000-4000-8000-00000000000",
        "10000000000040008000000000000001",
        "ABCDEF00-0000-4000-8000-000000000001",
    ] {
        lines.push(("command-unreadable", with("10000000-0000-4000-8000-000000000001", id)));
    }
    // Cut off anywhere but at the end, it is no command.
    let cuts = (1..good.len()).step_by(29);
    lines.extend(cuts.map(|end| {
        let line = good.as_bytes()[..end].to_vec();
        (if std::str::from_utf8(&line).is_ok() { "command-unreadable" } else { "line-not-utf8" }, line)
    }));
    lines
}

#[tokio::test]
async fn hostile_lines_are_refused_in_their_place_and_every_line_between_them_is_recorded() {
    for shell in ledgers().await {
        let (mut input, mut expected) = (Vec::new(), Vec::new());
        for (number, (code, line)) in (100..).zip(hostile()) {
            input.extend([line.as_slice(), b"\n", registration(number, "乙").as_bytes(), b"\n"].concat());
            expected.extend([code, "ok"]);
        }
        let ran = shell.record_bytes(&input);
        assert_ended(&ran, 3);
        let answers = answers(&ran);
        assert_eq!(answers.len(), expected.len());
        for (at, ((code, line), answer)) in hostile().iter().zip(answers.iter().step_by(2)).enumerate() {
            let shown = String::from_utf8_lossy(&line[..line.len().min(300)]);
            assert_eq!(code, answer, "line {at}: {shown}");
        }
        assert_eq!(answers, expected);
        assert_intact(&shell);
    }
}

#[tokio::test]
async fn numbers_at_every_boundary_are_refused_or_kept_as_they_are() {
    let budget = |amount: &str| {
        by_county(
            "BudgetFunds",
            "2023-01-05",
            &json!({ "amount_fen": 77, "fiscal_year": 2023, "purpose": "service" }),
        )
        .replace("77", amount)
    };
    let cases = [
        ("1", "ok"),
        ("9007199254740991", "ok"),
        ("0", "amount"),
        ("-1", "amount"),
        ("9007199254740992", "amount"),
        ("9223372036854775807", "amount"),
        ("-9223372036854775808", "amount"),
        ("9223372036854775808", "payload-unreadable"),
        ("18446744073709551615", "payload-unreadable"),
        ("18446744073709551616", "payload-unreadable"),
        ("1e3", "payload-unreadable"),
        ("1.0", "payload-unreadable"),
        ("-0", "payload-unreadable"),
        ("1e400", "command-unreadable"),
        ("01", "command-unreadable"),
        ("NaN", "command-unreadable"),
        ("\"1\"", "payload-unreadable"),
        ("null", "payload-unreadable"),
    ];
    let years = [
        ("2023", "1949", "ok"),
        ("2023", "2199", "ok"),
        ("2023", "1948", "fiscal-year"),
        ("2023", "-9223372036854775808", "fiscal-year"),
    ];
    for shell in ledgers().await {
        let of_amounts = cases.iter().map(|(amount, answer)| (budget(amount), *answer));
        let of_years = years.iter().map(|(from, to, answer)| {
            let line =
                budget("1").replace(&format!("\"fiscal_year\":{from}"), &format!("\"fiscal_year\":{to}"));
            (line, *answer)
        });
        let all: Vec<_> = of_amounts.chain(of_years).collect();
        let lines: Vec<_> = all.iter().map(|(line, _)| line.as_str()).collect();
        let ran = shell.record(&lines.join("\n"));
        assert_ended(&ran, 3);
        let expected: Vec<_> = all.iter().map(|(_, answer)| *answer).collect();
        assert_eq!(answers(&ran), expected, "{}", ran.out);
        let kept = shell.run(&["--json", "log", "agreement/WZ-2022-001"]).out;
        assert!(kept.contains(r#""amount_fen":9007199254740991"#), "the largest amount is kept as it is");
        assert_intact(&shell);
    }
}

/// Everything in a name's place on the command line that is no name.
#[test]
fn a_path_in_the_place_of_an_id_is_answered_and_opens_nothing() {
    let shell = Shell::sqlite().filled(1);
    for id in ["../../etc/passwd", "a/b", "..", "/", "", "a\u{202e}b", "x\ny"] {
        for arguments in [
            &["show", "organisation", id][..],
            &["show", "agreement", id],
            &["show", "trustee", id],
            &["docket", "--bureau", id],
            &["log", id],
            &["schema", id],
            &["receipt", id],
            &["entry", id],
            &["find", id],
            &["rebuild", id],
        ] {
            let ran = shell.run(arguments);
            let listing = arguments[0] == "log" && id.is_empty();
            assert!(
                ran.code == 1 || ran.code == 2 || listing,
                "{arguments:?}: {}\n{}{}",
                ran.code,
                ran.out,
                ran.err
            );
            assert!(!ran.err.contains("panicked"), "{arguments:?}: {}", ran.err);
            assert!(
                !ran.err.contains('\u{202e}') && !ran.out.contains("root:"),
                "{arguments:?}: {}{}",
                ran.out,
                ran.err
            );
        }
    }
    assert_intact(&shell);
}

#[tokio::test]
async fn rulebooks_that_cannot_be_used_are_refused_and_nothing_of_them_is_recorded() {
    let small = include_str!("../../../fuzz/corpus/rulebook/valid_small");
    let with = |from: &str, to: &str| {
        assert!(small.contains(from), "{from}");
        small.replace(from, to).into_bytes()
    };
    let texts: Vec<(&str, Vec<u8>)> = vec![
        ("empty", Vec::new()),
        ("not TOML", b"{\"id\":1}".to_vec()),
        ("truncated", small.as_bytes()[..small.len() / 2].to_vec()),
        (
            "not UTF-8",
            with("小", "\u{7f}").iter().map(|&byte| if byte == 0x7f { 0xff } else { byte }).collect(),
        ),
        ("NUL", with("小", "\0")),
        ("one key twice", with("version = 1", "version = 1\nversion = 1")),
        ("nested", with("title = \"小\"", &format!("title = {}{}", "[".repeat(9_000), "]".repeat(9_000)))),
        ("oversized", [small.as_bytes(), "# 长".repeat(12_000).as_bytes()].concat()),
        ("id with a path", with("id = \"wenzhou", "id = \"../wenzhou")),
        ("29 February of every year", with("\"09-30\"", "\"02-29\"")),
        ("endless years", with("open_years = 5", "open_years = 4294967295")),
        ("no month", with("months = 36", "months = 0")),
        ("beyond 64 bits", with("months = 36", "months = 18446744073709551616")),
        ("endless working days", with("working_days = 3 }", "working_days = 4294967295 }")),
        ("a window 178 million years away", with("months = -1 }", "months = -2147483648 }")),
        ("a code that no key holds", with("\"each-month\"", &format!("\"{}\"", "x".repeat(3_000)))),
    ];
    for mut shell in ledgers().await {
        let before = shell.run(&["checkpoint"]).out;
        let path = shell.path("bad.toml");
        for (what, text) in &texts {
            std::fs::write(&path, text).unwrap();
            for language in ["zh", "en"] {
                shell.language = language;
                let ran = shell.run(&[
                    "adopt",
                    path.to_str().unwrap(),
                    "--by",
                    "bureau-wz",
                    "--effective",
                    "2019-01-02",
                ]);
                assert_ended(&ran, 2);
                assert!(ran.err.starts_with("weituo: ") && ran.err.len() < 40_000, "{what}: {}", ran.err);
                assert!(
                    language == "en" || ran.err.contains("不可用") || ran.err.contains("无法读取"),
                    "{what}: {}",
                    ran.err
                );
            }
            // As a line it is refused too, and a good line after it is not.
            let Ok(text) = std::str::from_utf8(text) else { continue };
            let line = by_county("AdoptRulebook", "2019-01-02", &json!({ "text": text, "version": 2 }))
                .replace("agreement/WZ-2022-001", "rulebook/wenzhou-entrustment-2018")
                .replace("bureau-county", "bureau-wz");
            let ran = shell.record(&line);
            assert_ended(&ran, 3);
            assert_eq!(answers(&ran), ["rulebook-unreadable"], "{what}");
        }
        assert_eq!(shell.run(&["checkpoint"]).out, before, "nothing was recorded");
        assert_intact(&shell);
    }
}

#[test]
fn a_rulebook_file_without_end_is_not_read_to_its_end() {
    let shell = Shell::sqlite().filled(0);
    let ran = shell.run(&["adopt", "/dev/zero", "--by", "bureau-wz"]);
    assert_ended(&ran, 2);
    assert!(ran.err.contains("56000") && ran.err.len() < 1_000, "{}", ran.err);
    let value: Value = {
        let ran = shell.run(&["--json", "adopt", "/dev/zero", "--by", "bureau-wz"]);
        serde_json::from_str(ran.err.trim()).unwrap()
    };
    assert_eq!(value["error"]["code"], "rulebook");
}
