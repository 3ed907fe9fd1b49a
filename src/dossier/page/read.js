// Reading: bytes, canonical JSON, hashes, signatures, notes, proofs and receipts, by docs/format.md sections 1 to 7.
//
// Invariants: whatever is read is not trusted: what is not in its one spelling is `null` or throws `Unreadable`, and no
// value of it is looked at. No code is shared with the Rust verifier.
// Absent: what is to be found where (verify.js), the display (show.js), the network.
// Source: docs/format.md; RFC 8785, 6962, 9162, 8032; C2SP signed-note, tlog-checkpoint, tlog-proof.
const reading = (() => {
  "use strict";

  class Unreadable extends Error {}

  const encoder = new TextEncoder();
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

  /** Returns the UTF-8 of a text. */
  const utf8 = (text) => encoder.encode(text);

  /** Returns the text of bytes that must be UTF-8. */
  function text(bytes) {
    try {
      return decoder.decode(bytes);
    } catch {
      throw new Unreadable("not UTF-8");
    }
  }

  function join(...parts) {
    const all = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
    let at = 0;
    for (const part of parts) {
      all.set(part, at);
      at += part.length;
    }
    return all;
  }

  const equal = (a, b) => a.length === b.length && a.every((byte, at) => byte === b[at]);

  const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

  const fromHex = (digits) => Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16));

  /** Returns the bytes of base64 (RFC 4648 section 4), `null` where the text is not their one spelling. */
  function fromBase64(text) {
    if (typeof text !== "string" || !/^[A-Za-z0-9+/]*={0,2}$/.test(text)) return null;
    try {
      const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
      return toBase64(bytes) === text ? bytes : null;
    } catch {
      return null;
    }
  }

  function toBase64(bytes) {
    let binary = "";
    for (let at = 0; at < bytes.length; at += 8192) {
      binary += String.fromCharCode(...bytes.subarray(at, at + 8192));
    }
    return btoa(binary);
  }

  /** Returns base64url without padding (RFC 4648 section 5). */
  const toBase64Url = (bytes) => toBase64(bytes).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

  function fromBase64Url(text) {
    if (typeof text !== "string" || !/^[A-Za-z0-9_-]*$/.test(text)) return null;
    const padded = text.replace(/-/g, "+").replace(/_/g, "/") + "=".repeat((4 - (text.length % 4)) % 4);
    return fromBase64(padded);
  }

  async function sha256(...parts) {
    return new Uint8Array(await crypto.subtle.digest("SHA-256", join(...parts)));
  }

  /** Returns the canonical text of a value (section 2); throws where the value lies outside the subset. */
  function write(value, depth = 1) {
    if (value === null || typeof value === "boolean") return String(value);
    if (typeof value === "number") {
      if (!Number.isSafeInteger(value) || Object.is(value, -0)) throw new Unreadable("a number out of range");
      return String(value);
    }
    if (typeof value === "string") {
      // With the u flag a surrogate is matched only where it is half a character.
      if (/[\0\p{Surrogate}]/u.test(value)) throw new Unreadable("U+0000 or half a character");
      return JSON.stringify(value);
    }
    if (depth > 16) throw new Unreadable("nested too deeply");
    if (Array.isArray(value)) return `[${value.map((element) => write(element, depth + 1)).join(",")}]`;
    const members = Object.keys(value).sort().map((key) => {
      if (!/^([a-z][a-z0-9_]*|_sd)$/.test(key)) throw new Unreadable("a key that is none");
      return `"${key}":${write(value[key], depth + 1)}`;
    });
    return `{${members.join(",")}}`;
  }

  /** Returns the value of a text in canonical form; throws `Unreadable` for any other text. */
  function canonical(text) {
    let value;
    try {
      value = JSON.parse(text);
    } catch {
      throw new Unreadable("not JSON");
    }
    // A key given twice, a space or another escape is lost in reading, so that the text written differs.
    if (write(value) !== text) throw new Unreadable("not canonical");
    return value;
  }

  /** Returns whether a value has a shape: a pattern for a string, a number for an integer from there on, `name?` optional. */
  function fits(value, shape) {
    if (typeof shape === "function") return shape(value);
    if (shape instanceof RegExp) return typeof value === "string" && shape.test(value);
    if (typeof shape === "number") return Number.isSafeInteger(value) && value >= shape;
    if (Array.isArray(shape)) return Array.isArray(value) && value.every((element) => fits(element, shape[0]));
    if (value === null || typeof value !== "object" || Array.isArray(value)) return false;
    const names = Object.keys(shape).map((name) => name.replace("?", ""));
    if (!Object.keys(value).every((name) => names.includes(name))) return false;
    return Object.entries(shape).every(([name, inner]) => {
      const plain = name.replace("?", "");
      return Object.hasOwn(value, plain) ? fits(value[plain], inner) : name !== plain;
    });
  }

  /** Returns whether `YYYY-MM-DD` names a day that there was. */
  function isDay(text) {
    const parts = /^(\d{4})-(\d\d)-(\d\d)$/.exec(text);
    if (parts === null) return false;
    const [year, month, day] = parts.slice(1).map(Number);
    const leap = (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0;
    const days = [31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    return year >= 1 && month >= 1 && month <= 12 && day >= 1 && day <= days[month - 1];
  }

  const isInstant = (value) => typeof value === "string"
    && /^.{10}T([01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{3}Z$/.test(value) && isDay(value.slice(0, 10));

  const isEffective = (value) => typeof value === "string"
    && (isDay(value) || isDay(`${value}-01`) || /^SY(?!0000|9999)\d{4}$/.test(value));

  const TEXT = /^[^]*$/;
  const HEX = /^[0-9a-f]{64}$/;
  const STREAM = /^[a-z]{1,16}\/[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
  const PARTY = /^organisation\/[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
  const ORIGIN = /^(?:(?![+"\\])[!-~]){1,255}$/;
  const SEALED = { _sd: (value) => fits(value, [/^[A-Za-z0-9_-]{43}$/]) && value.length === 1 };

  /** The members of an entry, section 1. */
  const ENTRY = {
    actor: { "key?": HEX, organisation: /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, "person?": SEALED, role: /^[a-z][a-z0-9_-]{0,31}$/ },
    as_found: (value) => typeof value === "boolean",
    command: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/,
    effective: isEffective,
    format: (value) => value === 1,
    ledger: ORIGIN,
    "parties?": (value) => fits(value, [PARTY]) && value.length > 0 && value.every((one, at) => at === 0 || value[at - 1] < one),
    payload: (value) => value !== null && typeof value === "object" && !Array.isArray(value),
    prev: HEX,
    recorded_at: isInstant,
    "seen?": HEX,
    sequence: 1,
    "signature?": (value) => fromBase64(value)?.length === 64,
    stream: STREAM,
    type: /^[A-Z][A-Za-z0-9]{0,63}$/,
    version: 1,
  };

  /** Returns whether a canonical value is an entry's. */
  const isEntry = (members, text) => fits(members, ENTRY) && utf8(text).length <= 65_535
    && Object.hasOwn(members, "signature") === Object.hasOwn(members.actor, "key");

  const P = 2n ** 255n - 19n;
  const L = 2n ** 252n + 27742317777372353535851937790883648493n;
  // The y coordinates of the points of order 1, 2, 4 and 8.
  const EIGHTH = 0x7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd83d3d706a17c7n;
  const SMALL_ORDER = [0n, 1n, P - 1n, EIGHTH, P - EIGHTH];

  const littleEndian = (bytes) => BigInt(`0x${hex(bytes.slice().reverse())}`);

  /** Returns whether 32 bytes encode a point canonically that is not of small order. */
  function isSoundPoint(bytes) {
    const y = littleEndian(bytes) & (2n ** 255n - 1n);
    return y < P && !SMALL_ORDER.includes(y);
  }

  let native;

  /** Returns whether the browser's own Ed25519 verifies the first vector of RFC 8032 section 7.1. */
  async function hasNativeEd25519() {
    try {
      const key = fromHex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
      const signature = fromHex("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b");
      const imported = await crypto.subtle.importKey("raw", key, { name: "Ed25519" }, false, ["verify"]);
      return await crypto.subtle.verify({ name: "Ed25519" }, imported, signature, new Uint8Array());
    } catch {
      return false;
    }
  }

  /** Verifies Ed25519 strictly: canonical encodings, no point of small order as the key or as R. */
  async function isSigned(publicKey, signature, message) {
    if (publicKey?.length !== 32 || signature?.length !== 64) return false;
    if (!isSoundPoint(publicKey) || !isSoundPoint(signature.subarray(0, 32))) return false;
    if (littleEndian(signature.subarray(32)) >= L) return false;
    native ??= hasNativeEd25519();
    try {
      if (!(await native)) return await verifyAsync(signature, message, publicKey, { zip215: false });
      const key = await crypto.subtle.importKey("raw", publicKey, { name: "Ed25519" }, false, ["verify"]);
      return await crypto.subtle.verify({ name: "Ed25519" }, key, signature, message);
    } catch {
      return false;
    }
  }

  /** Returns name, hash and public key of a verifier key `name+hash+base64(0x01 ‖ key)`, `null` for another text. */
  async function verifierKey(text) {
    const parts = /^([^\s+]+)\+([0-9a-f]{8})\+(\S+)$/.exec(text);
    const bytes = parts && fromBase64(parts[3]);
    if (bytes?.length !== 33 || bytes[0] !== 1) return null;
    const hash = (await sha256(utf8(`${parts[1]}\n`), bytes)).subarray(0, 4);
    return hex(hash) === parts[2] ? { name: parts[1], hash, publicKey: bytes.subarray(1), text } : null;
  }

  /** Returns a checkpoint with the signatures on it, none of them verified. */
  function checkpoint(note) {
    const end = note.lastIndexOf("\n\n");
    if (end < 0 || !note.endsWith("\n") || /[\0-\x09\x0b-\x1f]/.test(note)) throw new Unreadable("no signed note");
    const body = note.slice(0, end + 1);
    if (body.includes("\n\n") || utf8(note).length > 1_000_000) throw new Unreadable("no checkpoint");
    const [origin, size, root] = body.split("\n");
    const rootHash = fromBase64(root);
    if (!ORIGIN.test(origin) || !/^(0|[1-9]\d{0,15})$/.test(size) || rootHash?.length !== 32) throw new Unreadable("no checkpoint");
    const lines = note.slice(end + 2, -1).split("\n");
    if (lines.length > 100) throw new Unreadable("too many signature lines");
    const signatures = lines.map((line) => {
      const parts = /^— ([^\s+]+) (\S+)$/.exec(line);
      const bytes = parts && fromBase64(parts[2]);
      if (!bytes || bytes.length < 5) throw new Unreadable("no signature line");
      return { name: parts[1], hash: bytes.subarray(0, 4), signature: bytes.subarray(4) };
    });
    return { origin, size: Number(size), root: rootHash, body, signatures };
  }

  /** Returns whether the keys of the checkpoint's name have signed it, `null` where no line is by one of them. */
  async function isSignedByOne(point, keys) {
    let isSignedSo = null;
    for (const { name, hash, signature } of point.signatures) {
      const key = keys.find((one) => name === point.origin && one.name === name && equal(one.hash, hash));
      if (!key) continue;
      // A line that does not hold under a known key decides, whatever the others do.
      if (!(await isSigned(key.publicKey, signature, utf8(point.body)))) return false;
      isSignedSo = true;
    }
    return isSignedSo;
  }

  /** Returns whether a leaf is in the tree of a checkpoint: RFC 9162 section 2.1.3.2. */
  async function isIncluded(point, leafIndex, leafHash, proof) {
    if (leafIndex >= point.size) return false;
    // Numbers, not bit operations, which JavaScript cuts to 32 bits.
    let [fn, sn, hash] = [leafIndex, point.size - 1, leafHash];
    const half = (number) => Math.floor(number / 2);
    for (const sibling of proof) {
      if (sn === 0) return false;
      if (fn % 2 === 1 || fn === sn) {
        hash = await sha256(Uint8Array.of(1), sibling, hash);
        while (fn % 2 === 0 && fn !== 0) [fn, sn] = [half(fn), half(sn)];
      } else {
        hash = await sha256(Uint8Array.of(1), hash, sibling);
      }
      [fn, sn] = [half(fn), half(sn)];
    }
    return sn === 0 && equal(hash, point.root);
  }

  const bit = (bytes, at) => (bytes[at >> 3] >> (7 - (at & 7))) & 1;

  /** Returns whether the index of a root holds this value for a name, or none where it is `null`: section 7. */
  async function isInIndex(root, name, value, { siblings, terminal }) {
    const key = await sha256(utf8(name));
    if (siblings.length > 256) return false;
    let node = utf8("SPARSE_MERKLE_PLACEHOLDER_HASH__");
    let held = false;
    if (terminal !== "empty") {
      const [at, valueHash] = [fromHex(terminal.leaf.key), fromHex(terminal.leaf.value_hash)];
      for (let depth = 0; depth < siblings.length; depth += 1) if (bit(at, depth) !== bit(key, depth)) return false;
      held = equal(at, key);
      if (held && value !== null && !equal(valueHash, await sha256(value))) return false;
      node = await sha256(utf8("JMT::LeafNode"), at, valueHash);
    }
    if (held !== (value !== null)) return false;
    for (const [at, sibling] of siblings.map(fromHex).entries()) {
      const pair = bit(key, siblings.length - 1 - at) === 1 ? [sibling, node] : [node, sibling];
      node = await sha256(utf8("JMT::IntrnalNode"), ...pair);
    }
    return equal(node, root);
  }

  /** Returns the value of the index for a number and a hash: 8 bytes, big-endian, and the hash. */
  function numbered(number, hash) {
    const bytes = new DataView(new ArrayBuffer(8));
    bytes.setBigUint64(0, BigInt(number));
    return join(new Uint8Array(bytes.buffer), hash);
  }

  /** Returns entry, leaf index, proof and checkpoint of a receipt that holds its entry; nothing of it is verified. */
  function receipt(source) {
    const end = source.indexOf("\n\n");
    const [header, extra, index, ...proof] = source.slice(0, Math.max(end, 0)).split("\n");
    const leaf = /^index (0|[1-9]\d{0,15})$/.exec(index ?? "");
    const bytes = extra?.startsWith("extra ") ? fromBase64(extra.slice(6)) : null;
    const inclusion = proof.map(fromBase64);
    if (header !== "c2sp.org/tlog-proof@v1" || leaf === null || bytes === null) throw new Unreadable("no receipt");
    if (inclusion.some((hash) => hash?.length !== 32)) throw new Unreadable("no proof");
    const point = checkpoint(source.slice(end + 2));
    if (point.body.split("\n").length !== 4) throw new Unreadable("extension lines");
    return { entry: text(bytes), leafIndex: Number(leaf[1]), inclusion, point };
  }

  /** Returns `[salt, name, value]` of a disclosure. */
  function disclosure(source) {
    const bytes = fromBase64Url(source);
    const value = bytes && canonical(text(bytes));
    const shaped = Array.isArray(value) && value.length === 3 && typeof value[1] === "string";
    if (!shaped || fromBase64Url(value[0])?.length !== 16) throw new Unreadable("no disclosure");
    return value;
  }

  return {
    Unreadable, utf8, text, join, equal, hex, fromHex, fromBase64, toBase64, toBase64Url, sha256, write, canonical, fits,
    isInstant, isEntry, isSigned, verifierKey, checkpoint, isSignedByOne, isIncluded, isInIndex, numbered, receipt,
    disclosure, TEXT, HEX, STREAM,
  };
})();
