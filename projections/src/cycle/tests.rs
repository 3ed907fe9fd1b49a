use weituo_events::Act;

use super::*;
use crate::testing::{act, record, rulebooks, sample_acts};

fn folded(acts: impl IntoIterator<Item = Act>) -> Cycle {
    let rulebooks = rulebooks();
    let mut cycle = Cycle::default();
    for recorded in record(acts) {
        cycle.apply(&recorded, &rulebooks);
    }
    cycle
}

fn of(id: &str) -> Vec<Act> {
    sample_acts().into_iter().filter(|act| act.stream.id() == id).collect()
}

fn rules(cycle: &Cycle) -> Vec<&str> {
    cycle.irregularity_counts().into_keys().collect()
}

#[test]
fn a_forged_second_signing_changes_nothing_and_is_shown() {
    let mut acts = of("WZ-2022-001");
    let mut forged =
        acts.iter().find(|act| act.event.event_type().name() == "AgreementSigned").unwrap().clone();
    if let Event::AgreementSigned(signing) = &mut forged.event {
        signing.trustee = weituo_events::OrganisationId::new("trustee-z").unwrap();
    }
    acts.push(forged);
    let cycle = folded(acts);
    assert_eq!(cycle.facts.trustee.as_ref().unwrap().as_str(), "trustee-a");
    let codes = rules(&cycle);
    assert!(codes.contains(&"said-already") && codes.contains(&"cycle-closed"), "{codes:?}");
}

#[test]
fn a_cycle_whose_rulebook_was_never_adopted_says_so_with_every_entry() {
    let acts = of("WZ-2022-002");
    let count = acts.len();
    let mut cycle = Cycle::default();
    for recorded in record(acts) {
        cycle.apply(&recorded, &Rulebooks::default());
    }
    assert_eq!(cycle.irregularity_counts()["rulebook-missing"] as usize, count);
}

#[test]
fn a_correction_of_the_date_moves_the_fact_and_keeps_the_first_date() {
    let mut acts = of("WZ-2021-003");
    acts.push(act(
        r#"{"command":"00000000-0000-4000-8000-000000000002","do":"CorrectRecord","stream":"agreement/WZ-2021-003",
        "actor":{"organisation":"bureau-county","role":"bureau"},"effective":"2025-02-01",
        "payload":{"corrects":{"sequence":14},"effective":"2022-08-29"}}"#,
    ));
    let cycle = folded(acts);
    let record = cycle.record(14).unwrap();
    assert_eq!(record.effective.as_str(), "2022-08-29");
    // The content was corrected first, the date later: both corrections stay.
    assert_eq!(record.corrections.len(), 2);
    assert_eq!(record.corrections[1].effective_before.as_ref().unwrap().as_str(), "2022-10-11");
    assert_eq!(cycle.facts.assessments[&1].at.effective.as_str(), "2022-08-29");
}

#[test]
fn a_correction_of_another_type_or_of_nothing_is_left_out() {
    let mut acts = of("WZ-2021-003");
    for sequence in [14, 999] {
        acts.push(act(&format!(
            r#"{{"command":"00000000-0000-4000-8000-00000000000{}","do":"CorrectRecord","stream":"agreement/WZ-2021-003",
            "actor":{{"organisation":"bureau-county","role":"bureau"}},"effective":"2025-02-01",
            "payload":{{"corrects":{{"sequence":{sequence}}},"replacement":{{"type":"CycleClosed","payload":{{}}}}}}}}"#,
            sequence % 10
        )));
    }
    let cycle = folded(acts);
    assert_eq!(cycle.record(14).unwrap().corrections.len(), 1);
}

#[test]
fn facts_taken_one_by_one_equal_facts_of_all_records() {
    for id in ["WZ-2022-001", "WZ-2022-002", "WZ-2021-003", "WZ-2018-004"] {
        let cycle = folded(of(id));
        assert_eq!(cycle.facts, Facts::of(&cycle.records), "{id}");
    }
}

#[test]
fn a_record_keeps_neither_evidence_nor_notes() {
    let cycle = folded(of("WZ-2022-001"));
    let json = serde_json::to_string(&cycle).unwrap();
    assert!(json.len() < 60_000, "{} bytes", json.len());
    assert!(cycle.records.iter().all(|record| {
        paper(&record.event).is_none_or(|paper| paper.evidence.is_empty() && paper.note.is_none())
    }));
}

#[test]
fn an_earlier_day_knows_only_the_delays_of_what_had_happened_by_then() {
    let cycle = folded(of("WZ-2022-001"));
    let all = cycle.recording_delay();
    let early = cycle.as_of("2022-06-10".parse().unwrap());
    let delay = early.recording_delay();
    assert_eq!((delay.count as usize, all.count as usize), (early.records.len(), cycle.records.len()));
    assert!(early.records.len() < cycle.records.len());
    let worst = cycle.as_of("2022-04-01".parse().unwrap()).recording_delay();
    assert_eq!((worst.count, worst.worst_sequence), (0, 0));
}
