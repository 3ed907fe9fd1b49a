// Verification: the checks of docs/format.md section 10, steps 1 to 12, and nothing else.
//
// Invariants: trusts only the keys it is given; every check that fails is a finding, whatever else failed; an entry that
// did not pass is shown nowhere as verified. No code is shared with the Rust verifier.
// Absent: step 13 (payloads by their types, the state): the state is "as stated"; the display (show.js).
// Source: docs/format.md section 10.
const verification = (() => {
  "use strict";

  const { TEXT, HEX, STREAM, utf8, hex, fromHex, equal, sha256, fits, toBase64Url } = reading;

  const FORMAT = "weituo-dossier/1";

  const isTerminal = (value) => value === "empty" || fits(value, { leaf: { key: HEX, value_hash: HEX } });
  const PROVEN = { proof: { siblings: [HEX], terminal: isTerminal }, stream: STREAM };

  /** The members of a dossier. */
  const DOSSIER = {
    checkpoint: TEXT,
    disclosures: [{ disclosure: TEXT, leaf_index: 0 }],
    entries: [{ entry: TEXT, inclusion: [HEX], leaf_index: 0 }],
    evidence: [{ leaf_index: 0, media_type: TEXT, sha256: HEX, size_bytes: Number.MIN_SAFE_INTEGER }],
    format: TEXT,
    made_at: reading.isInstant,
    parties: [PROVEN],
    state: { as_of: TEXT, fold_version: 0, projection: TEXT, value: TEXT },
    streams: [PROVEN],
    subject: { id: TEXT, kind: /^(agreement|trustee|school)$/ },
    timestamps: [TEXT],
  };

  /** Returns what a reader makes of something that may be unreadable, `null` where it is. */
  async function attempt(read, ...given) {
    try {
      return await read(...given);
    } catch (error) {
      if (error instanceof reading.Unreadable) return null;
      throw error;
    }
  }

  /** What has been found so far, and what was looked at. */
  class Report {
    findings = [];
    reasons = [];
    counts = {};
    dossier = null;
    point = null;
    /** The keys given that could be read. */
    keys = [];
    /** Whether one of them has signed the checkpoint. */
    trusted = false;
    /** The entries that passed, each with its members, and its disclosures by digest. */
    entries = [];

    /** Adds a finding with where it is, and both hashes where two differ. */
    find(verdict, code, where = {}) {
      this.findings.push({ verdict, code, ...where });
    }

    /** Adds a reason why something could not be checked. */
    doubt(verdict, code, where = {}) {
      this.reasons.push({ verdict, code, ...where });
    }

    count(check, number = 1) {
      this.counts[check] = (this.counts[check] ?? 0) + number;
    }

    verdict(name) {
      const codes = (list) => list.filter(({ verdict }) => verdict === name).map(({ code }) => code).sort();
      const [findings, reasons] = [codes(this.findings), codes(this.reasons)];
      const answer = findings.length > 0 ? "no" : reasons.length > 0 ? "could-not-check" : "yes";
      return { answer, findings, reasons };
    }
  }

  /** Returns whether one number, or text by its bytes, is below another. */
  function isBelow(one, other) {
    if (typeof one === "number") return one < other;
    const [bytes, others] = [utf8(one), utf8(other)];
    const at = bytes.findIndex((byte, place) => byte !== others[place]);
    return at < 0 ? bytes.length < others.length : bytes[at] < (others[at] ?? -1);
  }

  /** Returns whether a list is strictly ascending by some members. */
  function isAscending(list, ...names) {
    return list.every((item, at) => {
      if (at === 0) return true;
      const name = names.find((one) => list[at - 1][one] !== item[one]);
      return name !== undefined && isBelow(list[at - 1][name], item[name]);
    });
  }

  /** Step 1. */
  async function readDossier(source, report) {
    const dossier = await attempt(() => reading.canonical(typeof source === "string" ? source : reading.text(source)));
    const isObject = dossier !== null && typeof dossier === "object";
    if (isObject && typeof dossier.format === "string" && dossier.format !== FORMAT) {
      report.doubt("intact", "format-unknown");
      report.doubt("complete", "format-unknown");
      return false;
    }
    const isWell = isObject && fits(dossier, DOSSIER) && dossier.entries[0]?.leaf_index === 0
      && isAscending(dossier.entries, "leaf_index") && isAscending(dossier.streams, "stream")
      && isAscending(dossier.parties, "stream") && isAscending(dossier.disclosures, "leaf_index", "disclosure");
    if (!isWell) {
      report.find("intact", "dossier-malformed");
      report.doubt("complete", "intact-not-established");
      return false;
    }
    report.dossier = dossier;
    return true;
  }

  /** Step 2. */
  async function checkCheckpoint(report, keys) {
    const point = await attempt(reading.checkpoint, report.dossier.checkpoint);
    if (point === null) {
      report.find("intact", "checkpoint-signature");
      report.doubt("complete", "intact-not-established");
      return false;
    }
    report.point = point;
    report.keys = keys;
    const isSigned = await reading.isSignedByOne(point, keys);
    report.trusted = isSigned === true;
    if (isSigned === null) ["intact", "complete"].forEach((name) => report.doubt(name, keys.length === 0 ? "no-key" : "key-unknown"));
    if (isSigned === false) report.find("intact", "checkpoint-signature");
    return true;
  }

  /** Step 3. */
  async function checkEntries(report) {
    const { dossier, point } = report;
    for (const { entry: text, inclusion, leaf_index: leafIndex } of dossier.entries) {
      report.count("entries");
      const where = { leafIndex };
      const members = await attempt(reading.canonical, text);
      if (members === null || !reading.isEntry(members, text)) {
        report.find("intact", members === null ? "not-canonical" : "bad-entry", where);
        continue;
      }
      Object.assign(where, { stream: members.stream, sequence: members.sequence });
      if (members.ledger !== point.origin) {
        report.find("intact", "origin-differs", { ...where, expected: point.origin, found: members.ledger });
      }
      const leafHash = await sha256(Uint8Array.of(0), utf8(text));
      if (!(await reading.isIncluded(point, leafIndex, leafHash, inclusion.map(fromHex)))) {
        report.find("intact", "entry-not-included", { ...where, found: hex(leafHash) });
        continue;
      }
      const ahead = report.entries.at(-1)?.members.recorded_at ?? "";
      if (members.recorded_at < ahead) report.find("intact", "recorded-at-decreases", where);
      report.entries.push({ ...members, members, leafIndex, leafHash, text, where, digests: digestsIn(members), opened: new Map() });
    }
  }

  /** Returns the digests that a value seals, at any depth. */
  function digestsIn(value, found = new Set()) {
    if (value === null || typeof value !== "object") return found;
    for (const [name, inner] of Object.entries(value)) {
      if (name === "_sd" && Array.isArray(inner)) inner.filter((one) => typeof one === "string").forEach((one) => found.add(one));
      else digestsIn(inner, found);
    }
    return found;
  }

  /** Steps 4 to 7. */
  async function checkCompleteness(report) {
    const { dossier, point, entries } = report;
    const isBarred = report.findings.some(({ code }) => code !== "recorded-at-decreases");
    if (isBarred) report.doubt("complete", "intact-not-established");
    if (isBarred || !report.trusted) return;
    const last = entries.at(-1);
    const { size, root } = last.payload;
    const isCommitted = last.stream === "log/index" && last.type === "IndexCommitted" && size === last.leafIndex
      && point.size === last.leafIndex + 1 && HEX.test(root);
    if (!isCommitted) {
      report.find("complete", "index-proof", last.where);
      return;
    }
    const below = entries.slice(0, -1);
    for (const { stream, proof } of dossier.streams) await checkStream(report, below, fromHex(root), stream, proof);
    for (const { stream, proof } of dossier.parties) await checkParty(report, below, fromHex(root), stream, proof);
    const { kind, id } = dossier.subject;
    const [list, home] = kind === "agreement" ? [dossier.streams, `agreement/${id}`] : [dossier.parties, `organisation/${id}`];
    if (!list.some(({ stream }) => stream === home)) report.find("complete", "index-proof", { stream: home });
  }

  async function checkStream(report, below, root, stream, proof) {
    report.count("streams");
    const own = below.filter((entry) => entry.stream === stream);
    if (own.some(({ sequence }, at) => sequence !== at + 1)) report.find("complete", "sequence-gap", { stream });
    own.forEach(({ leafIndex, prev, sequence, where }, at) => {
      // Whose predecessor is not here cannot be judged by it.
      if (sequence !== (at === 0 ? 1 : own[at - 1].sequence + 1)) return;
      const ahead = at === 0 ? below[0] : own[at - 1];
      const expected = leafIndex === 0 ? "0".repeat(64) : hex(ahead.leafHash);
      if (prev !== expected) report.find("intact", "chain-broken", { ...where, expected, found: prev });
    });
    const head = own.at(-1);
    const value = head ? reading.numbered(head.sequence, head.leafHash) : null;
    if (!(await reading.isInIndex(root, stream, value, proof))) report.find("complete", "index-proof", { stream });
  }

  async function checkParty(report, below, root, party, proof) {
    report.count("parties");
    const joining = below.filter(({ members }) => members.parties?.includes(party));
    let chain = new Uint8Array(32);
    for (const { leafHash } of joining) chain = await sha256(chain, leafHash);
    const value = joining.length > 0 ? reading.numbered(joining.length, chain) : null;
    const isProven = await reading.isInIndex(root, `party:${party}`, value, proof);
    const isHere = ({ stream }) => report.dossier.streams.some((item) => item.stream === stream);
    if (!isProven || !joining.every(isHere)) report.find("complete", "index-proof", { stream: party });
  }

  /** Step 8. */
  async function checkSealed(report) {
    const { dossier, entries } = report;
    for (const { disclosure, leaf_index: leafIndex } of dossier.disclosures) {
      report.count("disclosures");
      const entry = entries.find((one) => one.leafIndex === leafIndex);
      const digest = toBase64Url(await sha256(utf8(disclosure)));
      if (entry?.digests.has(digest)) entry.opened.set(digest, await attempt(reading.disclosure, disclosure));
      else if (entry || !isHere(report, leafIndex)) report.find("intact", "disclosure-unmatched", { leafIndex });
    }
    for (const entry of entries) {
      for (const digest of entry.digests) {
        report.count("sealed");
        const isOpen = entry.opened.has(digest);
        const isErased = erasureOf(report, entry.leafIndex, digest) !== undefined;
        if (isErased) report.count("erased");
        if (isOpen === isErased) {
          report.find("intact", isOpen ? "disclosure-not-erased" : "disclosure-missing", { ...entry.where, found: digest });
        }
      }
    }
  }

  /** Returns the verified entry that records the erasure of a sealed value. */
  const erasureOf = (report, leafIndex, digest) => report.entries.find(({ stream, type, payload }) =>
    stream === "log/main" && type === "DisclosureErased" && payload.leaf_index === leafIndex && payload.digest === digest);

  const isHere = (report, leafIndex) => report.dossier.entries.some((item) => item.leaf_index === leafIndex);

  /** Step 9. */
  async function checkSignatures(report) {
    const { dossier, entries } = report;
    for (const entry of entries.filter(({ signature }) => signature !== undefined)) {
      report.count("signatures");
      const home = `organisation/${entry.actor.organisation}`;
      if (!dossier.streams.some(({ stream }) => stream === home)) {
        report.doubt("intact", "signer-not-proven", { ...entry.where, organisation: entry.actor.organisation });
        continue;
      }
      const { prev, recorded_at: _, sequence, signature, ...signed } = entry.members;
      const message = utf8(`weituo/entry-signature/v1\n${reading.write(signed)}`);
      const publicKey = await enrolledKey(entries, home, entry);
      if (publicKey === null || !(await reading.isSigned(publicKey, reading.fromBase64(signature), message))) {
        report.find("intact", "actor-signature", entry.where);
      }
    }
  }

  /** Returns the public key that was enrolled under the signer's key id ahead of an entry and not revoked since. */
  async function enrolledKey(entries, home, { actor, leafIndex }) {
    let publicKey = null;
    for (const { stream, type, payload, leafIndex: at } of entries) {
      if (stream !== home || at >= leafIndex || payload.key !== actor.key) continue;
      if (type === "SigningKeyRevoked") publicKey = null;
      const candidate = type === "SigningKeyEnrolled" ? reading.fromBase64(payload.public_key) : null;
      if (candidate && hex(await sha256(utf8("ed25519\0"), candidate)) === actor.key) publicKey = candidate;
    }
    return publicKey;
  }

  /** Step 10. */
  async function checkRulebooks(report) {
    const adopted = [];
    for (const { stream, type, payload, where } of report.entries) {
      if (type === "RulebookAdopted") {
        const digest = typeof payload.text === "string" ? hex(await sha256(utf8(payload.text))) : null;
        adopted.push({ stream, version: payload.version, digest });
        report.count("rulebooks");
        if (payload.digest !== undefined && payload.digest !== digest) {
          report.find("intact", "rulebook-digest", { ...where, expected: payload.digest, found: digest });
        }
      }
      if (!stream.startsWith("agreement/") || payload.rulebook === undefined) continue;
      report.count("pins");
      const pin = payload.rulebook;
      const isPinned = (one) => one.stream === `rulebook/${pin?.id}` && one.version === pin?.version && one.digest === pin?.digest;
      if (!adopted.some(isPinned)) report.find("intact", "rulebook-digest", where);
    }
  }

  /** Returns whether a text stands as a whole string in a value, at any depth. */
  function holds(value, text) {
    if (value === null || typeof value !== "object") return value === text;
    return Object.values(value).some((inner) => holds(inner, text));
  }

  /** Step 11. */
  function checkEvidence(report) {
    for (const { leaf_index: leafIndex, sha256: hash } of report.dossier.evidence) {
      report.count("evidence");
      const entry = report.entries.find((one) => one.leafIndex === leafIndex);
      const isNamed = entry && [entry.members, ...entry.opened.values()].some((value) => holds(value, hash));
      // What hangs on an entry that did not pass is not judged: the finding about the entry is the cause.
      if (!isNamed && (entry || !isHere(report, leafIndex))) {
        report.find("intact", "evidence-differs", { leafIndex, found: hash });
      }
    }
  }

  /** Step 12. */
  async function checkReceipts(report, receipts, keys) {
    const { dossier, point } = report;
    for (const source of receipts) {
      report.count("receipts");
      const receipt = await attempt(reading.receipt, source);
      const members = receipt && (await attempt(reading.canonical, receipt.entry));
      const isValid = members && reading.isEntry(members, receipt.entry) && members.ledger === point.origin
        && receipt.point.origin === point.origin && (await reading.isSignedByOne(receipt.point, keys))
        && (await reading.isIncluded(receipt.point, receipt.leafIndex, await sha256(Uint8Array.of(0), utf8(receipt.entry)), receipt.inclusion));
      if (!isValid) {
        report.doubt("intact", "receipt-not-valid");
        continue;
      }
      if (receipt.point.size === point.size && !equal(receipt.point.root, point.root)) {
        const [expected, found] = [hex(point.root), hex(receipt.point.root)];
        report.find("intact", "checkpoint-not-extended", { expected, found });
      }
      if (receipt.leafIndex >= dossier.entries.at(-1).leaf_index) continue;
      const here = dossier.entries.find((item) => item.leaf_index === receipt.leafIndex);
      const belongs = dossier.streams.some(({ stream }) => stream === members.stream)
        || dossier.parties.some(({ stream }) => members.parties?.includes(stream));
      if (here ? here.entry !== receipt.entry : belongs) {
        report.find("complete", "receipt-unmet", { leafIndex: receipt.leafIndex, stream: members.stream });
      }
    }
  }

  /** Returns a report on a dossier (its text, or the bytes), the keys that the reader trusts, and receipts. */
  async function examine(source, keyTexts, receipts) {
    const report = new Report();
    if (!(await readDossier(source, report))) return report;
    const keys = (await Promise.all(keyTexts.map(reading.verifierKey))).filter((key) => key !== null);
    if (keys.length < keyTexts.length) report.doubt("intact", "key-unreadable");
    if (!(await checkCheckpoint(report, keys))) return report;
    await checkEntries(report);
    await checkCompleteness(report);
    await checkSealed(report);
    await checkSignatures(report);
    await checkRulebooks(report);
    checkEvidence(report);
    await checkReceipts(report, receipts, keys);
    return report;
  }

  /** Returns both verdicts, each with its answer, findings and reasons. */
  async function verify(source, keys, receipts) {
    return verdicts(await examine(source, keys, receipts));
  }

  const verdicts = (report) => ({ intact: report.verdict("intact"), complete: report.verdict("complete") });

  return { verify, examine, verdicts, erasureOf };
})();
