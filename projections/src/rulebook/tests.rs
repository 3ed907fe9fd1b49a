use super::*;

const WENZHOU: &str = include_str!("../../../rulebooks/wenzhou-entrustment-2018.toml");

/// The smallest rulebook: a register of activities, without term or parties.
const SMALLEST: &str = r#"
id = "register"
version = 1
source_kind = "case_report"
title = { zh = "登记", en = "Register" }
document = { title = "A report" }

[[act]]
act = "SchemeIssued"
by = ["bureau"]
opens = true
local = true

[[act]]
act = "ActivityRecorded"
by = ["lead"]
source = "the report"
"#;

fn reason(text: &str) -> String {
    Rulebook::parse(text).unwrap_err().to_string()
}

#[test]
fn the_rulebook_of_arrangement_1_is_sound_and_fits_one_entry() {
    let rulebook = Rulebook::parse(WENZHOU).unwrap();
    assert_eq!((rulebook.id.as_str(), rulebook.version), ("wenzhou-entrustment-2018", 1));
    assert_eq!(rulebook.term.as_ref().unwrap().months, Some(36));
    assert_eq!(rulebook.capacity().map(|(limit, principle, _)| (limit, principle)), Some((1, true)));
    // A line break or a quotation mark takes one byte more inside JSON.
    let escapes = WENZHOU.bytes().filter(|byte| matches!(byte, b'\n' | b'"' | b'\\')).count();
    assert!(WENZHOU.len() + escapes < 63_000, "{} bytes with {escapes} escapes", WENZHOU.len());
}

#[test]
fn the_two_yearly_duties_are_two_duties() {
    let rulebook = Rulebook::parse(WENZHOU).unwrap();
    let yearly: Vec<_> = rulebook.duties.iter().filter(|d| d.each == Each::Year).map(|d| d.act).collect();
    assert!(yearly.contains(&EventType::AnnualAssessmentRecorded));
    assert!(yearly.contains(&EventType::AnnualSupervisionRecorded));
}

#[test]
fn nothing_local_refuses_and_everything_has_a_basis() {
    let rulebook = Rulebook::parse(WENZHOU).unwrap();
    assert!(rulebook.rules.iter().all(|rule| !rule.local || rule.severity == Severity::Flag));
    assert!(rulebook.bases().iter().all(|(_, source, local)| source.is_some() != *local));
}

#[test]
fn a_register_without_term_or_parties_is_a_rulebook() {
    let rulebook = Rulebook::parse(SMALLEST).unwrap();
    assert_eq!(rulebook.openings(), [EventType::SchemeIssued]);
    assert!(rulebook.term.is_none());
}

#[test]
fn an_unknown_field_is_refused_by_name() {
    assert!(reason(&format!("{SMALLEST}colour = \"red\"\n")).contains("colour"));
}

#[test]
fn what_has_no_source_and_is_not_local_is_refused() {
    assert!(reason(&SMALLEST.replace("source = \"the report\"", "")).contains("local = true"));
}

#[test]
fn a_case_report_cannot_refuse() {
    let rule = r#"
[[rule]]
code = "one"
severity = "refuse"
title = { zh = "一", en = "one" }
check = { document_number = { acts = ["SchemeIssued"] } }
source = "the report"
"#;
    assert!(reason(&format!("{SMALLEST}{rule}")).contains("only a passage of a policy text may refuse"));
    let flagged = rule.replace("\"refuse\"", "\"flag\"");
    assert!(Rulebook::parse(&format!("{SMALLEST}{flagged}")).is_ok());
    let unused = flagged.replace("SchemeIssued", "CycleClosed");
    assert!(reason(&format!("{SMALLEST}{unused}")).contains("CycleClosed is not among the acts in use"));
    assert!(reason(&format!("{SMALLEST}{flagged}{flagged}")).contains("stands once"));
}

#[test]
fn a_role_that_never_records_an_act_cannot_be_given_it() {
    assert!(reason(&SMALLEST.replace("\"lead\"", "\"expert\"")).contains("by must be some of"));
}

#[test]
fn adopted_versions_keep_their_first_text_and_their_digest() {
    let mut rulebooks = Rulebooks::default();
    let mut stream = RulebookStream { id: "register".to_owned(), ..RulebookStream::default() };
    let state = |text: &str| VersionState {
        adopted: 1,
        digest: weituo_proof::sha256(&[text.as_bytes()]),
        repealed: None,
        text: text.to_owned(),
        title: None,
    };
    stream.versions.insert(1, state(SMALLEST));
    rulebooks.include(&stream);
    let digest = rulebooks.get("register", 1).unwrap().digest;
    stream
        .versions
        .insert(1, VersionState { repealed: Some(2), ..state(&SMALLEST.replace("lead", "school")) });
    rulebooks.include(&stream);
    let adopted = rulebooks.get("register", 1).unwrap();
    assert_eq!((adopted.digest, adopted.repealed), (digest, true));
}
