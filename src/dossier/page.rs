//! The page: a dossier that opens from disk in a browser and verifies itself there.
//!
//! Invariants: one file that reaches no network, which its content security policy enforces: only the one script and the
//! one style whose hashes it names are run; the dossier stands in it base64, so that no text of it is ever markup.
//! Absent: verification in Rust (crate `weituo-verifier`), with which the page's script shares words but no code.
//! Source: format.md section 10, its last paragraph; W3C Content Security Policy Level 3.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use weituo_events::payload::Grade;
use weituo_events::{EventType, Role};
use weituo_proof::{FindingKind, Language, sha256};

const PAGE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/style.css");

/// The script's parts, in the order in which they are run. All are one module, so each sees those ahead of it.
const SCRIPT: &[&str] = &[
    include_str!("page/vendor/noble-ed25519.js"),
    include_str!("page/read.js"),
    include_str!("page/verify.js"),
];

/// The parts that only show.
const SHOWING: &[&str] = &[
    include_str!("page/words.js"),
    include_str!("page/dom.js"),
    include_str!("page/state.js"),
    include_str!("page/history.js"),
    include_str!("page/show.js"),
];

/// Returns the page that holds a dossier, given as its exact text.
pub fn page(dossier: &str) -> String {
    let script = script();
    let policy = format!(
        "default-src 'none'; script-src '{}'; style-src '{}'; base-uri 'none'; form-action 'none'",
        source_hash(&script),
        source_hash(STYLE)
    );
    // Nothing that is filled in holds a place of the template: what follows a place is never searched again.
    let places = [
        ("{{policy}}", policy.as_str()),
        ("{{style}}", STYLE),
        ("{{dossier}}", &STANDARD.encode(dossier)),
        ("{{script}}", &script),
    ];
    let mut page = String::with_capacity(PAGE.len() + STYLE.len() + script.len() + 2 * dossier.len());
    let mut rest = PAGE;
    for (place, filling) in places {
        let (ahead, behind) =
            rest.split_once(place).expect("invariant: the template has every place, in order");
        page.push_str(ahead);
        page.push_str(filling);
        rest = behind;
    }
    page.push_str(rest);
    page
}

/// Returns the part of the script that verifies, as a module without the display.
pub fn verifying_script() -> String {
    SCRIPT.concat()
}

fn script() -> String {
    // `<` could close the element or open a comment in it; in JSON it has another spelling.
    let words = words().to_string().replace('<', "\\u003c");
    format!("{}const given = {words};\n{}", SCRIPT.concat(), SHOWING.concat())
}

/// Returns a source expression of the policy: the hash of an element's whole text.
fn source_hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(sha256(&[text.as_bytes()]).0))
}

/// Returns the names that pages and command line share, each in Chinese and English.
fn words() -> Value {
    let both = |zh: String, en: String| json!([zh, en]);
    let acts: Map<String, Value> = EventType::ALL
        .iter()
        .map(|act| (act.name().to_owned(), json!([act.label(Language::Zh), act.label(Language::En)])))
        .collect();
    let roles: Map<String, Value> = Role::ALL
        .iter()
        .map(|role| (role.code().to_owned(), json!([role.label(Language::Zh), role.label(Language::En)])))
        .collect();
    let grades: Map<String, Value> = [Grade::Excellent, Grade::Good, Grade::Pass, Grade::Fail]
        .iter()
        .map(|grade| (code(grade), both(grade.label(Language::Zh), grade.label(Language::En))))
        .collect();
    let findings: Map<String, Value> = FindingKind::ALL
        .iter()
        .map(|kind| (kind.to_string(), json!([kind.meaning(Language::Zh), kind.meaning(Language::En)])))
        .collect();
    json!({ "acts": acts, "findings": findings, "grades": grades, "roles": roles })
}

/// Returns how a code stands in an entry.
fn code(value: &impl serde::Serialize) -> String {
    let value = serde_json::to_value(value).expect("invariant: a code is a string");
    value.as_str().expect("invariant: a code is a string").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_names_the_hashes_of_the_one_script_and_the_one_style() {
        let page = page("{}");
        let inside = |opens: &str, closes: &str| {
            let (_, rest) = page.split_once(opens).unwrap();
            rest.split_once(closes).unwrap().0.to_owned()
        };
        assert!(page.contains(&source_hash(&inside("<script type=\"module\">", "</script>"))));
        assert!(page.contains(&source_hash(&inside("<style>", "</style>"))));
        assert_eq!(page.matches("<script").count(), 2, "the dossier and the program");
    }

    #[test]
    fn no_text_of_a_part_closes_its_element() {
        let script = script();
        assert!(!script.contains("</script") && !script.contains("<!--"));
        assert!(!STYLE.contains("</style"));
    }

    #[test]
    fn parts_of_ours_have_at_most_400_lines_and_say_what_they_are() {
        for part in SCRIPT[1..].iter().chain(SHOWING) {
            assert!(
                part.starts_with("// ") && part.lines().count() <= 400,
                "{}",
                part.lines().next().unwrap()
            );
        }
    }

    #[test]
    fn no_dossier_becomes_markup() {
        let hostile = "</script><script>alert(1)</script>{{script}}";
        let page = page(hostile);
        assert!(!page.contains("alert(1)") && page.contains(&STANDARD.encode(hostile)));
    }

    #[test]
    fn nothing_in_the_page_asks_the_network_or_makes_markup_of_text() {
        let ours: String = SCRIPT[1..].iter().chain(SHOWING).copied().collect();
        for word in
            ["fetch(", "XMLHttpRequest", "import(", "innerHTML", "outerHTML", "insertAdjacentHTML", "eval("]
        {
            assert!(!ours.contains(word), "{word}");
        }
    }
}
