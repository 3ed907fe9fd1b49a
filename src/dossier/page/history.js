// The course: what the verified entries say, stream by stream, with their disclosures and the documents they name.
//
// Invariant: built from entries that passed, and from disclosures whose digests they hold; nothing else of the file.
// Absent: the state (state.js), which is only stated.
const course = (() => {
  "use strict";

  const { element, table } = dom;
  const { say } = words;

  /** Returns a function that names an organisation, as the verified entries of its stream last do. */
  function namesOf(report) {
    const names = new Map();
    for (const { stream, payload } of report.entries) {
      if (stream.startsWith("organisation/") && typeof payload.name === "string") names.set(stream.slice(13), payload.name);
    }
    return (id) => (typeof id === "string" ? names.get(id) ?? id : "");
  }

  /** Returns the zone that the log's first entry gives. */
  const zoneOf = (report) => (typeof report.entries[0]?.payload.zone === "string" ? report.entries[0].payload.zone : "+00:00");

  /** Returns each digest of a value with the name of the member that it seals. */
  function sealedIn(value, name = "", found = []) {
    if (value === null || typeof value !== "object") return found;
    for (const [key, inner] of Object.entries(value)) {
      if (key === "_sd" && Array.isArray(inner)) inner.forEach((digest) => found.push([digest, name]));
      else sealedIn(inner, Array.isArray(value) ? name : key, found);
    }
    return found;
  }

  const isText = (value) => typeof value === "string" && value !== "";

  /** Returns the lines that say what an entry says. */
  function content(entry, report, names) {
    const { payload } = entry;
    const paper = payload.paper ?? {};
    const pairs = [];
    const add = (key, value) => (value === "" || value === undefined ? undefined : pairs.push(`${say(key)} ${value}`));
    if (Number.isSafeInteger(payload.year)) pairs.push(say("yearN", payload.year));
    if (isText(payload.kind)) add(entry.type === "ActivityRecorded" ? "activity" : "type", words.code(payload.kind));
    add("score", words.centi(payload.score_centi));
    add("grade", isText(payload.grade) ? words.grade(payload.grade) : "");
    add("amount", words.fen(payload.amount_fen ?? payload.fee_fen));
    add("response", isText(payload.response) ? words.code(payload.response) : "");
    add("outcome", isText(payload.outcome) ? words.code(payload.outcome) : "");
    if (isText(payload.grounds) && entry.type !== "DisclosureErased") pairs.push(`${words.field("grounds")} ${words.code(payload.grounds)}`);
    if (entry.stream.startsWith("organisation/")) add("name", isText(payload.name) ? payload.name : "");
    add("school", isText(payload.school) ? names(payload.school) : "");
    add("trustee", isText(payload.trustee) ? names(payload.trustee) : "");
    add("document", isText(paper.document) ? paper.document : "");
    add("by", isText(paper.by) ? paper.by : "");
    const reference = payload.entry ?? payload.objection;
    if (Number.isSafeInteger(reference?.sequence)) pairs.push(say("refers", reference.sequence));
    return [
      entry.as_found ? element("div", {}, element("span.tag", {}, say("asFound"))) : null,
      pairs.length > 0 ? element("div", {}, pairs.join(say("joiner"))) : null,
      corrections(entry, report),
      sealed(entry, report),
      entry.signature === undefined ? null : element("div.soft", {}, say("signedBy", `${entry.actor.key.slice(0, 16)}…`)),
      element("details", {},
        element("summary", {}, say("raw")),
        element("pre.mono", {}, entry.text),
        element("div.mono", {}, `${say("leafHash")} ${reading.hex(entry.leafHash)}`)),
    ];
  }

  function corrections(entry, report) {
    const own = entry.payload.corrects?.sequence;
    const corrects = Number.isSafeInteger(own) ? element("div", {}, say("corrects", own)) : null;
    const by = report.entries.filter(({ stream, payload }) => stream === entry.stream && payload.corrects?.sequence === entry.sequence);
    return [corrects, by.map(({ sequence }) => element("div", {}, element("span.tag", {}, say("correctedBy", sequence))))];
  }

  function sealed(entry, report) {
    return sealedIn(entry.members).map(([digest, name]) => {
      const field = words.field(name);
      if (entry.opened.has(digest)) {
        const value = entry.opened.get(digest)?.[2];
        return element("div", {}, `${field}${say("colon")}${typeof value === "string" ? value : JSON.stringify(value ?? null)}`);
      }
      const erasure = verification.erasureOf(report, entry.leafIndex, digest);
      if (erasure === undefined) return element("div.no", {}, say("sealedMissing", field));
      const { effective, payload } = erasure;
      return element("div", {}, element("span.tag", {}, say("erased", field, words.date(effective), String(payload.grounds ?? ""))));
    });
  }

  /** Returns the table of some entries; where they are of several streams, each names its own. */
  function entriesTable(entries, report, names, caption = null) {
    const zone = zoneOf(report);
    const first = caption === null ? [say("stream")] : [say("number"), "number"];
    const columns = [first, [say("effective"), "date"], [say("act")], [say("who")], [say("what")], [say("recorded")]];
    const rows = entries.map((entry) => [
      caption === null ? [titleOf(entry.stream, names), element("div.soft", {}, `${say("number")} ${entry.sequence}`)] : String(entry.sequence),
      words.date(entry.effective),
      element("strong", {}, words.act(entry.type)),
      [names(entry.actor.organisation), element("div.soft", {}, words.role(entry.actor.role))],
      content(entry, report, names),
      words.instant(entry.recorded_at, zone),
    ]);
    return table(columns, rows, caption, "table.stack.course");
  }

  /** Returns the elements that show the course. */
  function show(report, names) {
    const streams = [...new Set(report.entries.map(({ stream }) => stream))];
    const isCycle = (stream) => stream.startsWith("agreement/");
    const cycles = streams.filter(isCycle).map((stream) => {
      const own = report.entries.filter((entry) => entry.stream === stream);
      return entriesTable(own, report, names, stream.slice("agreement/".length));
    });
    const others = report.entries.filter(({ stream }) => !isCycle(stream));
    return [
      element("h2", {}, say("history")),
      element("p.note", {}, say("historyNote", report.entries.length), ` (${zoneOf(report)})`),
      report.trusted ? null : element("p.could-not-check", {}, say("historyNoKey")),
      cycles,
      element("h2", {}, say("registry")),
      entriesTable(others, report, names),
    ];
  }

  const titleOf = (stream, names) => (stream.startsWith("organisation/") ? names(stream.slice(13)) : stream);

  /** Returns the elements that list the documents. */
  function evidence(report) {
    if (report.dossier.evidence.length === 0) return [];
    const rows = report.dossier.evidence.map((item) => {
      const entry = report.entries.find(({ leafIndex }) => leafIndex === item.leaf_index);
      const where = entry === undefined ? String(item.leaf_index) : `${words.act(entry.type)}, ${say("number")} ${entry.sequence}`;
      return [titleFor(item, entry), where, item.media_type, String(item.size_bytes), element("span.mono", {}, item.sha256)];
    });
    const columns = [[say("title")], [say("entryOf")], [say("type")], [say("size"), "number"], ["SHA-256"]];
    return [element("h2", {}, say("evidence")), element("p.note", {}, say("evidenceNote")), table(columns, rows, null, "table.stack")];
  }

  /** Returns the disclosed title of a document. */
  function titleFor(item, entry) {
    const find = (value) => {
      if (value === null || typeof value !== "object") return null;
      if (value.sha256 === item.sha256 && value.title?._sd) return entry.opened.get(value.title._sd[0])?.[2] ?? null;
      return Object.values(value).reduce((found, inner) => found ?? find(inner), null);
    };
    const title = entry === undefined ? null : find(entry.payload);
    return typeof title === "string" ? title : "–";
  }

  return { namesOf, zoneOf, show, evidence };
})();
