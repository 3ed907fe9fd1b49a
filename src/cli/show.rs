//! `show` and `docket`: states for people.

use chrono::NaiveDate;
use weituo_events::payload::Grade;
use weituo_events::{OrganisationId, Sealed};
use weituo_projections::cycle::Term;
use weituo_projections::view::HistoryView;
use weituo_projections::{CycleView, DocketView, ObligationStatus};
use weituo_proof::Language;

use super::args::Shown;
use super::output::{Failure, Voice, centi, document, line, visible, wan_yuan};
use super::tables::{effective, undisclosed};
use super::words::words;
use super::{Desk, organisation};
use crate::follower::FollowError;
use crate::query::{AsOf, Query, erasures};

fn unreadable(error: &FollowError) -> Failure {
    Failure::from_error("projections", error)
}

/// Shows one state.
pub(super) async fn show(
    desk: &Desk<'_>,
    what: Shown,
    id: &str,
    on: Option<NaiveDate>,
    at: Option<u64>,
) -> Result<u8, Failure> {
    let query = desk.query().await?;
    let day = on.unwrap_or_else(crate::today);
    let as_of = at.map_or(AsOf::Day(day), |size| AsOf::Size(size, day));
    if let Some(asked) = at {
        let size = query.size().await.map_err(|error| unreadable(&error))?;
        if asked > size {
            return Err(Failure::not_found(
                format!("台账只有 {size} 条记录:没有第 {asked} 条时的状态"),
                format!("the log has {size} entries: there is no state as of {asked}"),
            ));
        }
    }
    let missing = || {
        Failure::not_found(
            format!("没有编号为 {id} 的记录;`weituo log` 列出全部记录"),
            format!("there is nothing under {id}; `weituo log` lists every entry"),
        )
    };
    match what {
        Shown::Agreement => {
            let view =
                query.cycle(id, as_of).await.map_err(|error| unreadable(&error))?.ok_or_else(missing)?;
            if desk.voice.json {
                document(&view);
            } else {
                cycle(desk.voice, &query, &view).await?;
            }
        }
        Shown::Organisation => {
            let organisation = query.organisation(id, as_of).await.map_err(|error| unreadable(&error))?;
            let organisation = organisation.ok_or_else(missing)?;
            if desk.voice.json {
                document(&organisation);
            } else {
                organisation::print(desk.voice, &organisation);
            }
        }
        Shown::Trustee | Shown::School => {
            let projection = if what == Shown::Trustee { "trustee" } else { "school" };
            let organisation: OrganisationId =
                id.parse().map_err(|error| Failure::from_error("organisation", &error))?;
            let view = query.history(projection, &organisation, as_of).await.map_err(|e| unreadable(&e))?;
            let registered = query.organisation(id, as_of).await.map_err(|error| unreadable(&error))?;
            if view.cycles.is_empty() && registered.is_none() {
                return Err(missing());
            }
            if desk.voice.json {
                document(&view);
            } else {
                history(desk.voice, &view);
            }
        }
    }
    Ok(0)
}

/// Shows what is due, done, late or overdue.
pub(super) async fn docket(
    desk: &Desk<'_>,
    bureau: Option<&OrganisationId>,
    on: Option<NaiveDate>,
) -> Result<u8, Failure> {
    let query = desk.query().await?;
    if let Some(bureau) = bureau {
        let known = query.organisation(bureau.as_str(), AsOf::Day(crate::today())).await;
        if known.map_err(|error| unreadable(&error))?.is_none() {
            return Err(Failure::not_found(
                format!("没有登记编号为 {bureau} 的机构"),
                format!("no organisation {bureau} is registered"),
            ));
        }
    }
    let view =
        query.docket(bureau, on.unwrap_or_else(crate::today)).await.map_err(|error| unreadable(&error))?;
    if desk.voice.json {
        document(&view);
    } else {
        print_docket(desk.voice, &view, |_| true);
    }
    Ok(0)
}

/// Prints the lines of a docket whose status passes.
pub(super) fn print_docket(voice: Voice, view: &DocketView, passes: impl Fn(ObligationStatus) -> bool) {
    let mut table = voice.table(&[
        "column-bureau",
        "column-agreement",
        "column-duty",
        "column-window",
        "column-done",
        "column-status",
    ]);
    for line in view.lines.iter().filter(|line| passes(line.status)) {
        let due = &line.item.obligation;
        table.add_row([
            due.bureau.to_string(),
            line.item.agreement.clone(),
            due.title.get(voice.language).to_owned(),
            format!("{} … {}", due.due_from, due.due_until),
            due.done.as_ref().map_or_else(String::new, |done| done.effective.to_string()),
            line.label.get(voice.language).to_owned(),
        ]);
    }
    line(table.to_string());
    let counts: Vec<String> = view
        .counts
        .iter()
        .map(|(status, count)| format!("{} {count}", status.label(voice.language)))
        .collect();
    line(format!("{}: {}", view.on, counts.join(" · ")));
}

fn grade(language: Language, grade: Option<Grade>) -> String {
    grade.map_or_else(String::new, |grade| grade.label(language))
}

fn score(score_centi: Option<i64>) -> String {
    score_centi.map_or_else(String::new, centi)
}

/// Prints one cycle: its heading, goals, years, money, docket, irregularities and course.
async fn cycle(voice: Voice, query: &Query, view: &CycleView) -> Result<(), Failure> {
    heading(voice, view);
    goals(voice, query, view).await?;
    years(voice, view);
    money(voice, view);
    duties(voice, view);
    irregularities(voice, view);
    course(voice, view);
    Ok(())
}

fn party(id: Option<&OrganisationId>) -> String {
    id.map_or_else(|| "–".to_owned(), ToString::to_string)
}

/// Returns the first and the last day of a term.
fn days(term: Option<Term>) -> String {
    term.map_or_else(
        || "–".to_owned(),
        |term| format!("{} … {}", term.start, term.end.map_or_else(String::new, |end| end.to_string())),
    )
}

/// Prints the line that names a cycle, its parties, term and state.
pub(super) fn heading(voice: Voice, view: &CycleView) {
    let facts = &view.facts;
    let mut table = voice.table(&[
        "column-agreement",
        "column-school",
        "column-trustee",
        "column-round",
        "column-term",
        "column-state",
        "column-score",
        "column-grade",
    ]);
    table.add_row([
        view.agreement.clone(),
        facts.name.as_ref().map_or_else(|| party(facts.school.as_ref()), ToString::to_string),
        party(facts.trustee.as_ref().or(facts.lead.as_ref())),
        view.round.to_string(),
        days(facts.term),
        view.state.label.get(voice.language).to_owned(),
        score(facts.evaluation.as_ref().map(|evaluation| evaluation.score_centi)),
        grade(voice.language, facts.evaluation.as_ref().map(|evaluation| evaluation.grade)),
    ]);
    line(table.to_string());
}

fn section(voice: Voice, key: &str) {
    line(format!("\n{}", voice.word(key)));
}

async fn goals(voice: Voice, query: &Query, view: &CycleView) -> Result<(), Failure> {
    if view.goals.is_empty() {
        return Ok(());
    }
    let sealed = view.goals.iter().filter_map(|goal| match &goal.goal.text {
        Some(Sealed::Shut(sealed)) => Some(sealed.digest()),
        _ => None,
    });
    let digests: Vec<String> = sealed.collect();
    let failed = |error| Failure::from_error("store-read", &error);
    let opened = query.opened(&digests).await.map_err(failed)?;
    let mut erased = Vec::new();
    if opened.len() < digests.len() {
        erased = erasures(query.store()).await.map_err(failed)?;
    }
    section(voice, "section-goals");
    let mut table =
        voice.table(&["column-year", "column-goal", "column-target", "column-result", "column-met"]);
    for goal in &view.goals {
        let text = match &goal.goal.text {
            Some(Sealed::Shut(sealed)) => {
                let text = opened.get(&sealed.digest()).cloned();
                visible(&text.unwrap_or_else(|| undisclosed(voice, &erased, &sealed.digest())))
            }
            Some(Sealed::Open(text)) => visible(text),
            None => String::new(),
        };
        let met = |reached| voice.word(if reached { "word-yes" } else { "word-no" });
        table.add_row([
            goal.year.to_string(),
            format!("{} {text}", visible(&goal.goal.id)),
            format!("{} {}", centi(goal.goal.target_centi), unit(voice, &goal.goal.unit)),
            score(goal.value_centi),
            goal.reached.map_or_else(String::new, met),
        ]);
    }
    line(table.to_string());
    Ok(())
}

/// Returns a unit in words; one that has none as it was recorded.
fn unit(voice: Voice, unit: &str) -> String {
    let key = match unit {
        "percent" => "unit-percent",
        "persons" => "unit-persons",
        "cases" => "unit-cases",
        "times" => "unit-times",
        "points" => "unit-points",
        "set" => "unit-set",
        "volume" => "unit-volume",
        _ => return visible(unit),
    };
    voice.word(key)
}

fn years(voice: Voice, view: &CycleView) {
    let facts = &view.facts;
    if facts.assessments.is_empty() && facts.supervisions.is_empty() {
        return;
    }
    section(voice, "section-years");
    let mut table =
        voice.table(&["column-year", "column-type", "column-score", "column-grade", "column-effective"]);
    let kinds = [
        (&facts.assessments, weituo_events::EventType::AnnualAssessmentRecorded),
        (&facts.supervisions, weituo_events::EventType::AnnualSupervisionRecorded),
    ];
    for (judgements, kind) in kinds {
        for (year, judgement) in judgements {
            table.add_row([
                year.to_string(),
                kind.label(voice.language).to_owned(),
                score(judgement.score_centi),
                grade(voice.language, judgement.grade),
                judgement.at.effective.to_string(),
            ]);
        }
    }
    line(table.to_string());
}

fn money(voice: Voice, view: &CycleView) {
    let money = &view.facts.money;
    let amounts = [
        ("money-budgeted", Some(money.budgeted_fen)),
        ("money-accepted", Some(money.accepted_fen)),
        ("money-paid", Some(money.paid_fen)),
        ("money-settled", money.settled_fen),
        ("money-recovered", Some(money.recovered_fen)),
    ];
    if amounts.iter().all(|(_, fen)| fen.unwrap_or(0) == 0) {
        return;
    }
    section(voice, "section-money");
    let shown: Vec<String> = amounts
        .iter()
        .filter_map(|(key, fen)| Some(format!("{} {}", voice.word(key), wan_yuan((*fen)?))))
        .collect();
    line(format!("  {}", shown.join(" · ")));
}

fn duties(voice: Voice, view: &CycleView) {
    if view.obligations.is_empty() {
        return;
    }
    section(voice, "section-docket");
    let mut table = voice.table(&["column-duty", "column-window", "column-done", "column-status"]);
    for duty in &view.obligations {
        table.add_row([
            duty.obligation.title.get(voice.language).to_owned(),
            format!("{} … {}", duty.obligation.due_from, duty.obligation.due_until),
            duty.obligation.done.as_ref().map_or_else(String::new, |done| done.effective.to_string()),
            duty.label.get(voice.language).to_owned(),
        ]);
    }
    line(table.to_string());
}

/// Prints what is irregular in a cycle.
pub(super) fn irregularities(voice: Voice, view: &CycleView) {
    if view.irregularities.is_empty() {
        return;
    }
    let title = view.rulebook_title.as_ref().map_or("–", |title| title.get(voice.language));
    line(format!("\n{}", words(voice.language, "section-irregularities", &[("rulebook", &title)])));
    let mut table = voice.table(&["column-where", "column-effective", "column-rule", "column-irregularity"]);
    for one in &view.irregularities {
        let place =
            one.sequence.map_or_else(String::new, |sequence| format!("{}#{sequence}", view.agreement));
        table.add_row([
            place,
            effective(voice, one.effective.as_str(), one.as_found),
            one.rule.clone(),
            format!("{}{}", visible(one.text.get(voice.language)), remedied(voice, one.remedied_by)),
        ]);
    }
    line(table.to_string());
}

/// Returns the words that say what set an irregularity right.
fn remedied(voice: Voice, by: Option<u64>) -> String {
    by.map_or_else(String::new, |by| words(voice.language, "word-remedied", &[("sequence", &by)]))
}

fn course(voice: Voice, view: &CycleView) {
    section(voice, "section-timeline");
    let mut table =
        voice.table(&["column-leaf", "column-effective", "column-recorded", "column-type", "column-actor"]);
    for one in &view.timeline {
        let corrections: Vec<String> = one.corrected_by.iter().map(|by| format!(" ← #{by}")).collect();
        table.add_row([
            one.leaf_index.to_string(),
            effective(voice, one.effective.as_str(), one.as_found),
            one.recorded_at.to_string(),
            format!("#{} {}{}", one.sequence, one.label.get(voice.language), corrections.concat()),
            visible(&one.by),
        ]);
    }
    line(table.to_string());
}

/// Prints the history of a trustee or a school.
fn history(voice: Voice, view: &HistoryView) {
    line(format!("{} · {} · {}", visible(&view.organisation), voice.word("section-cycles"), view.on));
    let mut table = voice.table(&[
        "column-agreement",
        "column-school",
        "column-trustee",
        "column-round",
        "column-term",
        "column-state",
        "column-score",
        "column-grade",
        "column-money",
        "column-breaches",
    ]);
    for item in &view.cycles {
        let one = &item.summary;
        table.add_row([
            one.agreement.clone(),
            one.name.as_ref().map_or_else(|| party(one.school.as_ref()), ToString::to_string),
            party(one.trustee.as_ref().or(one.lead.as_ref())),
            one.round.to_string(),
            days(one.milestones.term),
            item.state.label.get(voice.language).to_owned(),
            score(one.evaluation_score_centi),
            grade(voice.language, one.evaluation_grade),
            wan_yuan(one.money.paid_fen),
            one.irregularities.values().sum::<u32>().to_string(),
        ]);
    }
    line(table.to_string());
    line(voice.word("history-hint"));
}
