//! What is kept exactly: names with characters that cannot be seen, days at the edges, ids with separators.

use serde_json::{Value, json};

use super::{answers, assert_ended, assert_intact, by_county, ledgers};
use crate::support::shell::{Shell, registration};

const NAMES: [&str; 12] = [
    "甲\u{202e}校\u{202c}",
    "甲\u{200b}校",
    "甲\u{2066}校\u{2069}",
    "\u{feff}甲",
    "甲\u{ad}校",
    "甲\u{34f}\u{180e}校",
    "甲\u{e0041}校",
    "辻\u{e0100}校",
    "甲\t\n\r\u{1b}[31m校",
    "\u{2028}甲\u{2029}",
    "\u{3164}\u{115f}\u{ffa0}",
    "\\\"/\u{7f}\u{85}",
];

/// Every character that no reader would see, of those in the names.
fn is_hidden(c: char) -> bool {
    c.is_control() && c != '\n'
        || "\u{202e}\u{202c}\u{200b}\u{2066}\u{2069}\u{feff}\u{ad}\u{34f}\u{180e}\u{e0041}\u{e0100}\u{2028}\u{2029}\u{3164}\u{115f}\u{ffa0}"
            .contains(c)
}

/// Returns the entry of an accepted line, from its receipt.
fn entry(line: &Value) -> Value {
    let receipt = weituo_proof::Receipt::parse_with_entry(line["ok"]["receipt"].as_str().unwrap()).unwrap();
    serde_json::from_str(&receipt.entry).unwrap()
}

#[tokio::test]
async fn names_with_characters_that_cannot_be_seen_are_kept_byte_for_byte_and_shown_visibly() {
    for mut shell in ledgers().await {
        let lines: Vec<_> = (1..).zip(NAMES).map(|(number, name)| registration(number, name)).collect();
        let ran = shell.record(&lines.join("\n"));
        assert_ended(&ran, 0);
        for (name, line) in NAMES.iter().zip(ran.lines()) {
            assert_eq!(entry(&line)["payload"]["name"].as_str(), Some(*name));
        }
        for (number, name) in (1..).zip(NAMES) {
            let id = format!("extra-{number}");
            let json = shell.run(&["--json", "show", "organisation", &id]);
            assert_ended(&json, 0);
            assert_eq!(json.json()["names"][0]["value"].as_str(), Some(name), "{}", json.out);
            for language in ["zh", "en"] {
                shell.language = language;
                for arguments in [&["show", "organisation", &id][..], &["log", &format!("organisation/{id}")]]
                {
                    let ran = shell.run(arguments);
                    assert_ended(&ran, 0);
                    assert!(!ran.out.contains(is_hidden), "{name:?}: {:?}", ran.out);
                }
                let shown = shell.run(&["show", "organisation", &id]).out;
                let hidden = name.chars().find(|c| is_hidden(*c)).unwrap();
                assert!(shown.contains(&format!("⟨U+{:04X}⟩", u32::from(hidden))), "{name:?}: {shown}");
            }
        }
        assert_intact(&shell);
    }
}

#[tokio::test]
async fn a_refusal_on_the_terminal_shows_what_cannot_be_seen() {
    let shell = Shell::sqlite().filled(0);
    let path = shell.path("odd.toml");
    std::fs::write(&path, "\"\u{202e}txt\u{200b}\" = 1\n").unwrap();
    let ran = shell.run(&["adopt", path.to_str().unwrap(), "--by", "bureau-wz"]);
    assert_ended(&ran, 2);
    assert!(!ran.err.contains(is_hidden) && ran.err.contains("⟨U+202E⟩"), "{:?}", ran.err);
}

#[tokio::test]
async fn days_at_the_edges_are_refused_or_kept_as_they_are_written() {
    let sign = |start: &str, months: u32| {
        let payload = json!({
            "rulebook": { "id": "wenzhou-entrustment-2018", "version": 1 }, "school": "school-jia",
            "trustee": "trustee-a", "form": "team", "term_start": start, "term_months": months,
            "exception": { "grounds": "年限试验" },
        });
        payload
    };
    let cases = [
        ("2024-02-29", 12, "ok"),
        ("9999-12-31", 1_200, "ok"),
        ("0001-01-01", 1_200, "ok"),
        ("2023-02-29", 12, "payload-unreadable"),
        ("2022-9-1", 12, "not-kept-exactly"),
        (" 2022-09-01", 12, "not-kept-exactly"),
        ("+12022-09-01", 12, "day"),
        ("-0001-09-01", 12, "day"),
        ("0000-01-01", 12, "day"),
        ("999999-01-01", 12, "payload-unreadable"),
        ("2022-09-01", 0, "term-months"),
        ("2022-09-01", 1_201, "term-months"),
        ("2022-09-01", u32::MAX, "term-months"),
    ];
    for shell in ledgers().await {
        let lines: Vec<_> = (0..)
            .zip(&cases)
            .map(|(number, (start, months, _))| {
                by_county("SignAgreement", "2022-06-28", &sign(start, *months))
                    .replace("agreement/WZ-2022-001", &format!("agreement/EDGE-{number}"))
            })
            .collect();
        let ran = shell.record(&lines.join("\n"));
        assert_ended(&ran, 3);
        let expected: Vec<_> = cases.iter().map(|(_, _, answer)| *answer).collect();
        assert_eq!(answers(&ran), expected, "{}", ran.out);
        for (line, (start, ..)) in ran.lines().iter().zip(&cases).filter(|(line, _)| line.get("ok").is_some())
        {
            assert_eq!(entry(line)["payload"]["term_start"].as_str(), Some(*start));
        }
        for day in ["0001-01-01", "2024-02-29", "9999-12-31"] {
            for number in 0..3 {
                assert_ended(&shell.run(&["show", "agreement", &format!("EDGE-{number}"), "--on", day]), 0);
            }
            assert_ended(&shell.run(&["docket", "--on", day]), 0);
        }
        assert_ended(&shell.run(&["show", "trustee", "trustee-a", "--on", "9999-12-31"]), 0);
        assert_ended(&shell.run(&["show", "agreement", "EDGE-0", "--on", "2023-02-29"]), 2);
        let leap = registration(1, "闰日").replace("2019-01-02", "2020-02-29");
        let first = registration(2, "元年").replace("2019-01-02", "0001-01-01");
        let ran = shell.record(&format!("{leap}\n{first}"));
        assert_ended(&ran, 0);
        let days: Vec<_> = ran.lines().iter().map(|line| entry(line)["effective"].clone()).collect();
        assert_eq!(days, ["2020-02-29", "0001-01-01"]);
        assert_ended(&shell.run(&["rebuild"]), 0);
        assert_intact(&shell);
    }
}

#[tokio::test]
async fn an_id_within_a_cycle_may_hold_separators_and_is_no_longer_than_a_key_can_be() {
    // Of no pattern, so that no index makes it short.
    let long: String =
        (0..3_000_u32).map(|at| char::from(b'a' + u8::try_from(at * at * 7919 % 26).unwrap())).collect();
    let wide = "九".repeat(64);
    let cases = [
        ("../r/1", "ok"),
        ("r\u{202e}1", "ok"),
        (wide.as_str(), "ok"),
        (long.as_str(), "id"),
        (" ", "id"),
        ("", "id"),
    ];
    for shell in ledgers().await {
        let lines: Vec<_> = cases
            .iter()
            .map(|(matter, _)| {
                by_county("OrderRectification", "2023-01-05", &json!({ "matter": matter, "of": "trustee-a" }))
            })
            .collect();
        let ran = shell.record(&lines.join("\n"));
        assert_ended(&ran, 3);
        let expected: Vec<_> = cases.iter().map(|(_, answer)| *answer).collect();
        assert_eq!(answers(&ran), expected, "{}", ran.out);
        let docket = shell.run(&["docket", "--bureau", "bureau-county", "--on", "2023-02-01"]);
        assert_ended(&docket, 0);
        assert!(!docket.out.contains('\u{202e}'), "{}", docket.out);
        assert_intact(&shell);
    }
}
