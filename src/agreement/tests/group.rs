//! Another arrangement as data only: a group with lead and members, without a term, on a text that may only flag.

use serde_json::{Value, json};
use weituo_projections::{CycleState, StreamState, project::rows};
use weituo_proof::StreamName;

use super::harness::*;

const GROUPS: &str = r#"
id = "groups"
version = 1
source_kind = "news"
title = { zh = "教育集团", en = "Education groups" }
document = { title = "A report about groups" }
calendar = { semesters = ["09-01", "02-01"], local = true }
term = { open_years = 2, local = true }

[[act]]
act = "GroupApproved"
by = ["bureau"]
opens = true
source = "groups are approved"

[[act]]
act = "PartyAdmitted"
by = ["bureau"]
source = "entry on need"

[[act]]
act = "PartyExited"
by = ["bureau"]
source = "exit on grounds"

[[act]]
act = "ActivityRecorded"
by = ["lead", "member"]
source = "meetings every month"

[[rule]]
code = "one-approval"
severity = "flag"
title = { zh = "一个文号", en = "An approval has a number" }
check = { document_number = { acts = ["GroupApproved"] } }
local = true

[[duty]]
code = "meeting"
title = { zh = "例会", en = "Meeting" }
act = "ActivityRecorded"
activity = "meeting"
by = ["lead"]
each = "month"
from = { anchor = "period_start" }
until = { anchor = "period_end" }
source = "a meeting every month"
"#;

fn command(make: &str, by: (&str, &str), effective: &str, payload: &Value) -> String {
    json!({
        "command": "00000000-0000-4000-8000-0000000000ee",
        "do": make,
        "stream": "agreement/G1",
        "actor": { "organisation": by.0, "role": by.1 },
        "effective": effective,
        "payload": payload
    })
    .to_string()
}

fn approved() -> Ledger {
    let mut ledger = Ledger::open();
    let adopt = json!({
        "command": "00000000-0000-4000-8000-0000000000ef",
        "do": "AdoptRulebook",
        "stream": "rulebook/groups",
        "actor": { "organisation": "bureau-wz", "role": "bureau" },
        "effective": "2021-01-14",
        "payload": { "text": GROUPS, "version": 1 }
    });
    ledger.record(&adopt.to_string()).unwrap();
    let group = json!({
        "rulebook": { "id": "groups", "version": 1 },
        "name": "示例教育集团",
        "lead": "school-jia",
        "members": ["school-bing"]
    });
    let recorded =
        ledger.record(&command("ApproveGroup", ("bureau-county", "bureau"), "2021-02-01", &group)).unwrap();
    let parties: Vec<_> = recorded.act.parties.iter().map(StreamName::id).collect();
    assert_eq!(parties, ["school-bing", "school-jia"]);
    ledger
}

#[test]
fn a_group_without_end_runs_admits_and_releases() {
    let mut ledger = approved();
    let bureau = ("bureau-county", "bureau");
    let admitted = command("AdmitParty", bureau, "2021-03-01", &json!({"organisation": "school-ding"}));
    let recorded = ledger.record(&admitted).unwrap();
    assert_eq!(recorded.act.parties[0].id(), "school-ding");
    assert_eq!(ledger.record(&admitted).unwrap_err().code, "said-already");
    // A founding member was made one by the approval.
    let founding = command("AdmitParty", bureau, "2021-03-02", &json!({"organisation": "school-bing"}));
    let refusal = ledger.record(&founding).unwrap_err();
    assert_eq!(refusal.code, "said-already");
    assert!(refusal.reason.en.contains("entry 1 "), "{refusal}");
    let meeting = json!({"kind": "meeting"});
    ledger.record(&command("RecordActivity", ("school-jia", "lead"), "2021-02-10", &meeting)).unwrap();
    ledger.record(&command("RecordActivity", ("school-ding", "member"), "2021-03-10", &meeting)).unwrap();
    ledger
        .record(&command("ReleaseParty", bureau, "2021-06-01", &json!({"organisation": "school-ding"})))
        .unwrap();
    let again = command("RecordActivity", ("school-ding", "member"), "2021-07-01", &meeting);
    assert_eq!(ledger.record(&again).unwrap_err().code, "role-not-held");
    assert_eq!(ledger.cycle("G1").state(today()), CycleState::Running);
    let state: &StreamState = &ledger.states[&StreamName::new("agreement/G1").unwrap()];
    let rows = rows(&StreamName::new("agreement/G1").unwrap(), state, &ledger.rulebooks);
    let docket = rows.iter().find(|row| row.projection == "docket").unwrap();
    let docket: weituo_projections::DocketCycle = serde_json::from_str(&docket.body).unwrap();
    let [duty] = docket.duties.as_slice() else { panic!("{docket:?}") };
    assert_eq!(duty.times.len(), 24, "the terms of a duty are there once");
    assert!(rows.iter().any(|row| row.key == "school-jia/G1" && row.projection == "trustee"));
}

#[test]
fn a_report_refuses_nothing_of_its_own() {
    let mut ledger = approved();
    let unused = command(
        "CirculatePraise",
        ("bureau-county", "bureau"),
        "2021-12-20",
        &json!({"recipient": "school-jia"}),
    );
    ledger.record(&unused).expect("an act that the report does not mention is recorded and flagged");
    let found = ledger.cycle("G1").irregularity_counts();
    assert_eq!(found.into_iter().collect::<Vec<_>>(), [("act-not-in-use", 1), ("one-approval", 1)]);
}
