//! What every report of a verification must hold, whatever it is about.

use weituo::verify::Report;
use weituo_proof::{Finding, Language, Verdict};

fn is_chinese(text: &str) -> bool {
    text.chars().any(|letter| ('\u{4e00}'..='\u{9fff}').contains(&letter))
}

/// Requires that whatever the report says is said in Chinese and in English.
pub(crate) fn in_both_languages(report: Report) -> Report {
    let details = report.findings().map(|Finding { detail, .. }| detail);
    let verdicts = [&report.verdicts.intact, &report.verdicts.complete, &report.verdicts.age];
    let reasons = verdicts.into_iter().flat_map(Verdict::reasons);
    for said in details.chain(reasons).chain(&report.notes) {
        assert!(is_chinese(said.get(Language::Zh)) && !said.en().is_empty(), "not in both: {said:?}");
    }
    report
}
