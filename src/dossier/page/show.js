// The page itself: reads the dossier that it holds and the key that its reader gives, verifies, and shows.
//
// Invariants: no verdict but from verify.js; before a key is given both answers are "could not check" or findings; the
// key comes from the reader (the box, or `#key=` in the address), never from the file, where it is only looked up by a
// fingerprint that the reader gives.
// Absent: the network.
{
  "use strict";

  const { element, fill, table, terms, save } = dom;
  const { say } = words;

  const source = () => document.getElementById("dossier").textContent.trim();

  /** The bytes of the dossier; none where the page holds no base64. */
  const bytes = reading.fromBase64(source()) ?? new Uint8Array();

  /** What the reader has given. */
  const trust = { keys: "", receipts: [] };

  let report = null;

  /** Takes over what the address says: `#key=…&receipt=…&lang=…`, each percent-encoded. */
  function readAddress() {
    const parts = location.hash.slice(1).split("&").map((part) => part.split(/=(.*)/s));
    const given = (name) => parts.filter(([key]) => key === name).map(([, value = ""]) => {
      try {
        return decodeURIComponent(value);
      } catch {
        return "";
      }
    });
    trust.keys = given("key").join("\n");
    trust.receipts = given("receipt");
    words.language = given("lang")[0] ?? words.language;
  }

  function writeAddress() {
    const parts = [];
    if (trust.keys !== "") parts.push(`key=${encodeURIComponent(trust.keys)}`);
    trust.receipts.forEach((receipt) => parts.push(`receipt=${encodeURIComponent(receipt)}`));
    if (words.language === "en") parts.push("lang=en");
    try {
      history.replaceState(null, "", `#${parts.join("&")}`);
    } catch {
      // The address only saves typing it again.
    }
  }

  /** Returns the keys that the log states of itself, each with its fingerprint: to be compared, not trusted. */
  async function statedKeys() {
    const keys = [];
    for (const { stream, type, payload } of report.entries) {
      const states = stream === "log/main" && ["LogOpened", "LogKeyAdded"].includes(type);
      if (!states || typeof payload.key !== "string") continue;
      keys.push({ key: payload.key, fingerprint: reading.hex(await reading.sha256(reading.utf8(payload.key))) });
    }
    return keys;
  }

  /** Returns the keys given; a fingerprint stands for the key in the dossier that has it. */
  async function givenKeys() {
    const lines = trust.keys.split("\n").map((line) => line.trim()).filter((line) => line !== "");
    const bare = (line) => line.toLowerCase().replace(/[\s:]/g, "");
    if (!lines.some((line) => reading.HEX.test(bare(line)))) return lines;
    report = await verification.examine(bytes, [], []);
    const stated = await statedKeys();
    return lines.map((line) => stated.find(({ fingerprint }) => fingerprint === bare(line))?.key ?? line);
  }

  async function verify() {
    delete document.body.dataset.verified;
    if (globalThis.crypto?.subtle === undefined) {
      publish({ answer: "could-not-check", findings: [], reasons: ["no-webcrypto"] });
      fill("verdicts", element("p.could-not-check", {}, words.pick(words.REASONS["no-webcrypto"])));
      return;
    }
    fill("verdicts", element("p", {}, say("checking")));
    report = await verification.examine(bytes, await givenKeys(), trust.receipts);
    await render();
    const { intact, complete } = verification.verdicts(report);
    publish(intact, complete);
  }

  /** Leaves the result where a program finds it. */
  function publish(intact, complete = intact) {
    document.getElementById("result").textContent = JSON.stringify({ intact, complete });
    document.body.dataset.verified = "done";
  }

  async function render() {
    document.documentElement.lang = words.language === "zh" ? "zh-CN" : "en";
    const { dossier } = report;
    const names = course.namesOf(report);
    renderHead(dossier, names);
    renderVerdicts();
    renderFindings();
    renderTrust();
    fill("caution", say("caution"));
    fill("foot", say("foot"));
    const parts = ["state", "history", "evidence", "checkpoint"];
    if (dossier === null || report.point === null) {
      parts.forEach((part) => fill(part));
    } else {
      fill("state", stating.show(report, names));
      fill("history", course.show(report, names));
      fill("evidence", course.evidence(report));
      await renderCheckpoint();
    }
    renderChecks();
    renderOpen();
  }

  function renderHead(dossier, names) {
    const other = words.language === "zh" ? "en" : "zh-CN";
    const switched = () => {
      words.language = words.language === "zh" ? "en" : "zh";
      keepTyped();
      writeAddress();
      render();
    };
    const saved = () => save(`${(dossier?.subject.id ?? "dossier").replace(/[^\w.-]/g, "_")}.json`, bytes, "application/json");
    fill("tools",
      element("button", { type: "button", lang: other, click: switched }, say("switch")),
      element("button", { type: "button", click: saved }, say("saveJson")),
      element("button", { type: "button", click: () => window.print() }, say("print")));
    if (dossier === null) {
      fill("kind", say("kind"));
      fill("title", say("unknownSubject"));
      fill("made");
      return;
    }
    const { kind, id } = dossier.subject;
    fill("kind", `${say("kind")} · ${say(kind)}`);
    fill("title", kind === "agreement" ? id : names(id));
    const zone = course.zoneOf(report);
    fill("made", kind === "agreement" ? "" : `${id} · `, say("made", words.instant(dossier.made_at, zone), words.date(dossier.state.as_of)));
    document.title = `${id} · ${say("kind")}`;
  }

  function renderVerdicts() {
    const card = (name) => {
      const { answer, findings } = report.verdict(name);
      const reasons = report.reasons.filter(({ verdict }) => verdict === name);
      const why = answer === "no" ? say("no-why", findings.length)
        : answer === "yes" ? say(`${name}-yes-why`) : [...new Set(reasons.map(told))].join(words.language === "zh" ? "" : " ");
      return element(`div.verdict.${answer}`, {},
        element("h2", {}, say(name)),
        element("p.answer", {}, say(`${name}-${answer}`)),
        element("p.why", {}, why));
    };
    fill("verdicts", card("intact"), card("complete"));
  }

  const told = ({ code, organisation = "" }) => words.put(words.known(words.REASONS, code), [organisation]);

  function renderFindings() {
    if (report.findings.length === 0) {
      fill("findings");
      return;
    }
    const one = ({ code, leafIndex, stream, sequence, expected, found }) => element("div.finding", {},
      element("p", {}, element("strong", {}, words.meaning(code).replace(/^核验异常:/, "")), " ", element("span.mono.soft", {}, code)),
      element("p", {}, [leafIndex === undefined ? null : say("where", leafIndex), stream, sequence === undefined ? null : `${say("number")} ${sequence}`].filter(Boolean).join(" · ")),
      expected === undefined ? null : element("p.mono", {}, `${say("expected")} ${expected}`),
      found === undefined ? null : element("p.mono", {}, `${say("found")} ${found}`));
    fill("findings", element("h2", {}, say("findings")), element("p.note", {}, say("findingsNote")), report.findings.map(one));
  }

  /** Keeps what is typed when the form is drawn anew. */
  function keepTyped() {
    trust.keys = document.getElementById("key")?.value.trim() ?? trust.keys;
    const pasted = document.getElementById("receipt")?.value ?? "";
    if (pasted.trim() !== "") trust.receipts = [...trust.receipts.filter((one) => one !== pasted), pasted.endsWith("\n") ? pasted : `${pasted}\n`];
  }

  function renderTrust() {
    const key = element("textarea", { id: "key", rows: 2, spellcheck: "false", autocomplete: "off", "aria-describedby": "key-note" });
    key.value = trust.keys;
    const files = element("input", { type: "file", multiple: true, id: "receipt-files" });
    files.addEventListener("change", async () => {
      keepTyped();
      trust.receipts.push(...(await Promise.all([...files.files].map((file) => file.text()))));
      again();
    });
    fill("trust",
      element("label", { for: "key" }, say("keyLabel")),
      element("p.note", { id: "key-note" }, say("keyNote")),
      key,
      element("details", {},
        element("summary", {}, `${say("receiptLabel")}${trust.receipts.length > 0 ? ` · ${trust.receipts.length}` : ""}`),
        element("p.note", {}, say("receiptNote")),
        element("textarea", { id: "receipt", rows: 4, spellcheck: "false", "aria-label": say("receiptLabel") }),
        element("div.row", {}, element("label", { for: "receipt-files" }, say("receiptFiles")), files)),
      element("div.row", {}, element("button.main", { type: "submit" }, say("verify"))));
  }

  function again() {
    writeAddress();
    verify();
  }

  function renderChecks() {
    const { counts } = report;
    const done = report.dossier !== null && report.point !== null;
    const covered = done && !report.reasons.some(({ verdict }) => verdict === "complete");
    const failed = (...codes) => report.findings.some(({ code }) => codes.includes(code));
    const row = (name, scope, was, ...codes) => {
      const [look, text] = failed(...codes) ? ["no", say("failed")]
        : scope === "0" ? ["soft", say("none")]
          : was ? ["yes", say("passed")] : ["could-not-check", say("notDone")];
      return [words.pick(name), scope, element(`span.${look}`, {}, text)];
    };
    const count = (key) => String(counts[key] ?? 0);
    const rows = [
      row(["卷宗的写法", "Form of the dossier"], "1", report.dossier !== null, "dossier-malformed"),
      row(["检查点由您信任的密钥签署", "The checkpoint is signed by a key that you trust"], "1", report.trusted, "checkpoint-signature"),
      row(["存证记录的写法、在台账中的位置、先后", "Entries: form, place in the log, order in time"], count("entries"), done, "not-canonical", "bad-entry", "entry-not-included", "recorded-at-decreases"),
      row(["各序列的编号与前后相接", "Streams: numbers and chains"], count("streams"), covered, "sequence-gap", "chain-broken"),
      row(["索引证明:序列与参与单位齐全", "Index proofs: streams and parties are whole"], `${count("streams")} + ${count("parties")}`, covered, "index-proof"),
      row(["密封内容(其中已删除)", "Sealed values (of them erased)"], `${count("sealed")} (${count("erased")})`, done, "disclosure-missing", "disclosure-unmatched", "disclosure-not-erased"),
      row(["记录方的签名", "Signatures of those who recorded"], count("signatures"), done, "actor-signature"),
      row(["规则依据及其引用", "Rulebooks and what is pinned to them"], `${count("rulebooks")} + ${count("pins")}`, done, "rulebook-digest"),
      row(["佐证的哈希", "Hashes of evidence"], count("evidence"), done, "evidence-differs"),
      row(["您留存的回执", "Receipts that you kept"], counts.receipts ? count("receipts") : say("notGiven"), counts.receipts > 0, "receipt-unmet", "checkpoint-not-extended"),
    ];
    fill("checks", element("h2", {}, say("checks")), table([[say("check")], [say("scope"), "number"], [say("result"), "status"]], rows));
  }

  function renderOpen() {
    const reasons = [...new Set(report.reasons.map(told))];
    fill("open", element("h2", {}, say("openTitle")),
      element("ul.lines", {}, [...reasons, ...words.NEVER.map(words.pick)].map((text) => element("li", {}, text))));
  }

  async function renderCheckpoint() {
    const { point, dossier } = report;
    const grouped = (digits) => digits.match(/.{1,4}/g).join(" ");
    const stated = (await statedKeys()).map(({ key, fingerprint }) =>
      element("div", {}, element("div.mono", {}, key), element("div.mono.soft", {}, `${say("fingerprint")} ${grouped(fingerprint)}`)));
    const lines = point.signatures.map(({ name, hash }) => element("div.mono", {}, `${name}+${reading.hex(hash)}`));
    fill("checkpoint",
      element("h2", {}, say("checkpoint")),
      terms([
        [say("origin"), element("span.mono", {}, point.origin)],
        [say("treeSize"), String(point.size)],
        [say("root"), element("span.mono", {}, reading.hex(point.root))],
        [say("signatureLines"), lines],
        [say("trustedKeys"), report.keys.map(({ text }) => element("div.mono", {}, text))],
        [say("statedKeys"), stated.length > 0 ? [stated, element("div.note", {}, say("statedKeysNote"))] : null],
      ]),
      dossier.timestamps.length > 0 ? timestamps(point, dossier.timestamps) : null);
  }

  function timestamps(point, tokens) {
    const one = (token, at) => [
      element("pre.mono", {}, `openssl ts -verify -data checkpoint.txt -in timestamp-${at + 1}.tsr -token_in -CAfile tsa-ca.pem`),
      element("button", { type: "button", click: () => save(`timestamp-${at + 1}.tsr`, reading.fromBase64(token) ?? new Uint8Array(), "application/timestamp-reply") }, say("saveToken", at + 1)),
    ];
    return [
      element("h3", {}, say("timestamps")),
      element("p.note", {}, say("timestampsNote")),
      element("button", { type: "button", click: () => save("checkpoint.txt", point.body, "text/plain") }, say("saveNote")),
      tokens.map(one),
    ];
  }

  document.getElementById("trust").addEventListener("submit", (event) => {
    event.preventDefault();
    keepTyped();
    again();
  });
  window.addEventListener("hashchange", () => {
    readAddress();
    verify();
  });
  readAddress();
  verify();
}
