// The state as stated: the JSON that the dossier carries in `state.value`, shown and not judged.
//
// Invariant: it is hostile input: a member that is missing or of another type is left out, never an error.
// Absent: any computation from the entries.
const stating = (() => {
  "use strict";

  const { element, table, terms } = dom;
  const { say } = words;

  const list = (value) => (Array.isArray(value) ? value : []);
  const object = (value) => (value !== null && typeof value === "object" ? value : {});
  const label = (text) => (words.language === "zh" ? object(text).zh : object(text).en) ?? "";
  const span = (term) => (object(term).start ? `${words.date(term.start)} – ${term.end ? words.date(term.end) : ""}` : "");
  const judged = (score, grade) => [words.centi(score), words.grade(grade)].filter(Boolean).join(" · ");

  /** Returns the elements that show the stated state. */
  function show(report, names) {
    let value;
    try {
      value = object(JSON.parse(report.dossier.state.value));
    } catch {
      return [element("p", {}, say("stateUnreadable"))];
    }
    const { kind } = report.dossier.subject;
    const parts = kind === "agreement" ? cycle(value, report, names) : organisation(value, kind, names);
    return [element("h2", {}, say("state")), element("p.note", {}, say("stateNote")), parts];
  }

  function cycle(view, report, names) {
    const facts = object(view.facts);
    const evaluation = object(facts.evaluation);
    const apart = [["gain", evaluation.school_gain_centi], ["effort", evaluation.trustee_effort_centi], ["satisfaction", evaluation.satisfaction_centi]]
      .filter(([, score]) => typeof score === "number").map(([key, score]) => `${say(key)} ${words.centi(score)}`);
    const money = object(facts.money);
    const sums = [["budgeted", money.budgeted_fen], ["paid", money.paid_fen], ["settled", money.settled_fen], ["recovered", money.recovered_fen || null]]
      .filter(([, sum]) => typeof sum === "number").map(([key, sum]) => `${say(key)} ${words.fen(sum)}`);
    const score = judged(evaluation.score_centi, evaluation.grade);
    const pin = object(facts.rulebook);
    return [
      terms([
        [say("status"), element("span.big", {}, label(object(view.state).label))],
        [say("school"), names(facts.school)],
        [say("trustee"), names(facts.trustee)],
        [say("lead"), names(facts.lead)],
        [say("members"), list(facts.members).map(names).join(say("joiner"))],
        [say("bureau"), names(facts.bureau)],
        [say("round"), say("roundN", view.round)],
        [say("term"), span(facts.term)],
        [say("evaluation"), score && [element("strong", {}, score), apart.length > 0 ? ` (${apart.join(say("joiner"))})` : ""]],
        [say("fee"), words.fen(facts.fee_fen)],
        [say("money"), sums.join(say("joiner"))],
        [say("rulebook"), pin.id && `${label(view.rulebook_title)} (${pin.id}, v${pin.version})`],
      ]),
      years(facts), goals(view, report), duties(view, names), irregularities(view),
    ];
  }

  function years(facts) {
    const [assessments, supervisions] = [object(facts.assessments), object(facts.supervisions)];
    const numbers = [...new Set([...Object.keys(assessments), ...Object.keys(supervisions)])].sort((a, b) => a - b);
    if (numbers.length === 0) return null;
    const cell = (judgement) => judged(object(judgement).score_centi, object(judgement).grade);
    const rows = numbers.map((year) => [say("yearN", year), cell(assessments[year]), cell(supervisions[year])]);
    return table([[say("year")], [say("assessment")], [say("supervision")]], rows, say("years"));
  }

  function goals(view, report) {
    if (list(view.goals).length === 0) return null;
    const opened = new Map(report.entries.flatMap((entry) => [...entry.opened]));
    const told = (text) => {
      if (typeof text === "string") return text;
      const disclosed = opened.get(list(object(text)._sd)[0]);
      return typeof disclosed?.[2] === "string" ? disclosed[2] : "";
    };
    const rows = view.goals.map((one) => {
      const goal = object(one.goal);
      const met = typeof one.reached === "boolean" ? say(one.reached ? "yes" : "no") : "";
      const unit = words.code(goal.unit ?? "");
      return [say("yearN", one.year), told(goal.text) || String(goal.id ?? ""), `${words.centi(goal.target_centi)} ${unit}`, words.centi(one.value_centi), met];
    });
    const columns = [[say("year")], [say("goal")], [say("target"), "number"], [say("result"), "number"], [say("met")]];
    return table(columns, rows, say("goals"));
  }

  function duties(view, names) {
    const all = list(view.obligations).map(object);
    const open = all.filter((one) => !["done", "void"].includes(one.status));
    const done = all.filter((one) => one.status === "done").length;
    const heading = element("h3", {}, say("duties"));
    if (open.length === 0) return all.length > 0 ? [heading, element("p", {}, say("dutiesNone", done))] : null;
    const rows = open.map((one) => {
      const duty = object(one.obligation);
      return [label(duty.title), `${words.date(duty.due_from)} – ${words.date(duty.due_until)}`, names(duty.bureau), label(one.label)];
    });
    return table([[say("duty")], [say("window")], [say("bureau")], [say("standing")]], rows, say("duties"), "table.stack");
  }

  function irregularities(view) {
    const all = list(view.irregularities).map(object);
    const heading = element("h3", {}, say("irregularities"));
    if (all.length === 0) return [heading, element("p", {}, say("none"))];
    const line = (one) => {
      const at = one.sequence ? ` (${say("number")} ${one.sequence})` : "";
      return element("li", {}, label(one.text), at, one.effective ? element("span.soft", {}, ` ${words.date(one.effective)}`) : null);
    };
    return [heading, element("ul.lines", {}, all.map(line))];
  }

  function organisation(view, kind, names) {
    const rows = list(view.cycles).map((item) => {
      const summary = object(object(item).summary);
      const state = label(object(object(item).state).label);
      const score = judged(summary.evaluation_score_centi, summary.evaluation_grade);
      const term = span(object(summary.milestones).term);
      // The other party: the one asked for is the same in every row.
      const other = kind === "trustee" ? names(summary.school) || String(summary.name ?? "") : names(summary.trustee ?? summary.lead);
      const yearly = Object.entries(object(summary.years)).map(([year, one]) => {
        const both = [words.centi(object(one).assessment_score_centi), words.centi(object(one).supervision_score_centi)];
        return element("div", {}, `${say("yearN", year)} ${both.map((text) => text || "–").join(" / ")}`);
      });
      return [String(summary.agreement ?? ""), other, String(summary.round ?? ""), term, state, yearly, score];
    });
    const columns = [
      [say("cycle"), "date"], [say(kind === "trustee" ? "school" : "trustee")], [say("round"), "date"], [say("term")], [say("status")],
      [`${say("assessment")} / ${say("supervision")}`], [say("evaluation")],
    ];
    const grades = Object.entries(object(view.grades)).map(([grade, count]) => `${words.grade(grade)} ${count}`);
    const sum = say("cyclesSum", rows.length, view.terminated ?? 0, grades.join(say("joiner")) || say("none"));
    return [element("p", {}, sum), table(columns, rows, say("cycles"), "table.stack")];
  }

  return { show };
})();
