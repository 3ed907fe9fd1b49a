#!/usr/bin/env python3
"""Verifies a dossier as docs/format.md section 10 says, written from that page alone; needs PyPI `PyNaCl`.
Prints {"complete": {"answer": "yes|no|could-not-check", "findings": [code...], "reasons": [code...]}, "intact": {...}}.
Exit code: 0 both yes, 1 any finding, 2 otherwise, also where what is given cannot be read. Step 13 is not judged."""
import argparse, base64, datetime, functools, hashlib, json, re, sys
from nacl.signing import VerifyKey

def sha(*parts): return hashlib.sha256(b"".join(parts)).digest()
def write(value): return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
def attempt(read, *arguments):
    try: return read(*arguments)
    except Exception: return None  # Whatever the reason: what is read is not to be trusted.
def decoded(text, url=False):
    """What base64 (or base64url) stands for; nothing where the text is not its one spelling."""
    signs = b"-_" if url else None
    raw = attempt(lambda: base64.b64decode(text + "=" * (-len(text) % 4 * url), signs, True)) or b""
    return raw if base64.b64encode(raw, signs).decode().rstrip("=" * url) == text else b""
def is_date(text, shape, more=""):
    return fits(text, shape) and attempt(datetime.date.fromisoformat, (text + more)[:10]) is not None
def fits(value, shape):
    """A regular expression asks for a string, a number for an integer from there on; name? may be absent."""
    if isinstance(shape, dict):
        bare = {name.rstrip("?"): (one, name[-1] == "?") for name, one in shape.items()}
        return isinstance(value, dict) and value.keys() <= bare.keys() and all(
            fits(value[name], one) if name in value else optional for name, (one, optional) in bare.items())
    if isinstance(shape, list): return isinstance(value, list) and all(fits(one, shape[0]) for one in value)
    if isinstance(shape, str): return isinstance(value, str) and bool(re.fullmatch(shape, value, re.ASCII))
    return shape(value) if callable(shape) else type(value) is int and value >= shape

TEXT, HEX, ID = r"(?s).*", r"[0-9a-f]{64}", r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
DAY, INSTANT = r"\d{4}-\d\d-\d\d", r"\d{4}-\d\d-\d\dT([01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{3}Z"
STREAM, LEAF = r"[a-z]{1,16}/" + ID, {"leaf": {"key": HEX, "value_hash": HEX}}
PROVEN = {"proof": {"siblings": [HEX], "terminal": lambda v: v == "empty" or fits(v, LEAF)}, "stream": STREAM}
DOSSIER = {
    "checkpoint": TEXT, "disclosures": [{"disclosure": TEXT, "leaf_index": 0}], "format": TEXT, "parties": [PROVEN],
    "entries": [{"entry": TEXT, "inclusion": [HEX], "leaf_index": 0}], "made_at": lambda v: is_date(v, INSTANT),
    "evidence": [{"leaf_index": 0, "media_type": TEXT, "sha256": HEX, "size_bytes": -2**53}], "timestamps": [TEXT],
    "state": {"as_of": TEXT, "fold_version": 0, "projection": TEXT, "value": TEXT}, "streams": [PROVEN],
    "subject": {"id": TEXT, "kind": "agreement|trustee|school"}}
SEALED = {"_sd": lambda v: fits(v, [r"[A-Za-z0-9_-]{43}"]) and len(v) == 1}
ENTRY = {
    "actor": {"key?": HEX, "organisation": ID, "person?": SEALED, "role": r"[a-z][a-z0-9_-]{0,31}"},
    "as_found": lambda v: isinstance(v, bool), "command": r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "effective": lambda v: is_date(v, DAY) or is_date(v, r"\d{4}-\d\d", "-01") or fits(v, r"SY(?!0000|9999)\d{4}"),
    "format": lambda v: type(v) is int and v == 1, "ledger": r'(?![^+"\\]*[+"\\])[!-~]{1,255}',
    "payload": lambda v: isinstance(v, dict),
    "parties?": lambda v: fits(v, ["organisation/" + ID]) and bool(v) and v == sorted(set(v)), "prev": HEX,
    "recorded_at": lambda v: is_date(v, INSTANT), "seen?": HEX, "sequence": 1, "stream": STREAM,
    "signature?": lambda v: len(decoded(v)) == 64, "type": r"[A-Z][A-Za-z0-9]{0,63}", "version": 1}
def is_plain(value, depth=0):
    """Section 2: names, nesting, characters and numbers of a value that may be written."""
    if isinstance(value, dict):
        return fits(list(value), ["[a-z][a-z0-9_]*|_sd"]) and is_plain(list(value.values()), depth)
    if isinstance(value, list): return depth < 16 and all(is_plain(one, depth + 1) for one in value)
    return value is None or isinstance(value, bool) or (isinstance(value, str) and "\0" not in value) or (
        type(value) is int and abs(value) < 2**53)
def canonical(text):
    """The value of a text in canonical form; an error for any other text, such as half a character."""
    value = json.loads(text)
    if write(value) != text or not text.encode() or not is_plain(value): raise ValueError
    return value

def signed(public, signature, message):
    """Ed25519, strict: libsodium refuses other encodings than the canonical ones and points of small order."""
    return attempt(lambda: VerifyKey(public).verify(message, signature)) == message
def verifier_key(text):
    """Name, and algorithm with public key, of `name+hash+base64`; ValueError for another text."""
    name, hint, key = text.split("+", 2)
    raw = decoded(key)
    if len(raw) != 33 or raw[0] != 1 or hint != sha(name.encode(), b"\n", raw)[:4].hex(): raise ValueError
    return name, raw
def climbed(leaf, index, size, proof):
    """RFC 9162 section 2.1.3: the root to which a proof leads in a tree of that size; none for a wrong length."""
    if size <= 1 or not proof: return leaf if size == 1 and not proof else b""
    half = 1 << (size - 1).bit_length() - 1
    if index < half: return sha(b"\1", climbed(leaf, index, half, proof[:-1]), proof[-1])
    return sha(b"\1", proof[-1], climbed(leaf, index - half, size - half, proof[:-1]))

class Checkpoint:
    """A signed note of origin, size and root; an error for another text."""
    def __init__(self, note):
        text, self.origin, size, root, lines = re.fullmatch(
            r"(([!-~]+)\n(0|[1-9][0-9]{0,15})\n(\S{44})\n(?:[^\x00-\x1f]+\n)*)\n((?:— [^\s+]+ \S+\n)+)", note).groups()
        self.text, self.size, self.root = text.encode(), int(size), decoded(root)
        self.signatures = [(line.split(" ")[1], decoded(line.split(" ")[2])) for line in lines.splitlines()]
        sound = all(len(raw) > 4 for _, raw in self.signatures) and len(self.signatures) <= 100 and len(self.root) == 32
        if not sound or len(note.encode()) > 10**6 or not fits(self.origin, ENTRY["ledger"]): raise ValueError
    def signed_by(self, keys):
        """Step 2: whether every line of a signer holds; None where there is no signer."""
        lines = [signed(key[1:], raw[4:], self.text) for name, raw in self.signatures for owner, key in keys
                 if name == owner == self.origin and raw[:4] == sha(name.encode(), b"\n", key)[:4]]
        return all(lines) if lines else None
    def includes(self, entry, proof):
        return entry.index < self.size and climbed(entry.leaf, entry.index, self.size, proof) == self.root
class Entry:
    """One entry with its members, which are good or not; ValueError where it is not canonical."""
    def __init__(self, text, index):
        self.text, self.index, self.leaf, self.json = text, index, sha(b"\0", text.encode()), canonical(text)
        self.good = fits(self.json, ENTRY) and len(text.encode()) < 65536 and \
            ("signature" in self.json) == ("key" in self.json["actor"])
        self.stream, self.type, self.payload, self.parties = map(
            self.json.get if self.good else {}.get, ("stream", "type", "payload", "parties"))
        self.digests, self.opened = set(re.findall(r'"_sd":\["([^"]*)"', text)), {}
    def is_signed(self, entries):
        """Step 9: by a key that was enrolled for the organisation ahead of this entry, and not revoked since."""
        public, key, home = b"", self.json["actor"]["key"], "organisation/" + self.json["actor"]["organisation"]
        for other in entries:
            if other.stream == home and other.index < self.index and other.payload.get("key") == key:
                raw = decoded(other.payload.get("public_key"))
                enrolled = other.type == "SigningKeyEnrolled" and sha(b"ed25519\0", raw).hex() == key
                public = raw if enrolled else b"" if other.type == "SigningKeyRevoked" else public
        body = {name: self.json[name] for name in self.json.keys() - {"prev", "recorded_at", "sequence", "signature"}}
        return signed(public, decoded(self.json["signature"]), b"weituo/entry-signature/v1\n" + write(body).encode())
def receipt(text, keys, origin):
    """Returns the checkpoint and entry that a tlog-proof proves under the keys; an error or None for any other text."""
    extra, index, lines, note = re.fullmatch(
        r"c2sp\.org/tlog-proof@v1\nextra (\S+)\nindex (0|[1-9][0-9]*)\n((?:\S{44}\n)*)\n(.*)", text, re.DOTALL).groups()
    point, proof, entry = Checkpoint(note), [*map(decoded, lines.split())], Entry(decoded(extra).decode(), int(index))
    plain = all(len(one) == 32 for one in proof) and point.text.count(b"\n") == 3  # No extension lines.
    sound = plain and entry.good and origin == point.origin == entry.json["ledger"]
    return (point, entry) if sound and point.signed_by(keys) and point.includes(entry, proof) else None
def bits(key): return f"{int.from_bytes(key, 'big'):0256b}"
def proves(proof, root, name, number, last):
    """Section 7: in the index of that root the name has the value number ‖ last, or none where the number is 0."""
    siblings, end, key = [*map(bytes.fromhex, proof["siblings"])], proof["terminal"], sha(name.encode())
    leaf = None if end == "empty" else [bytes.fromhex(end["leaf"][one]) for one in ("key", "value_hash")]
    node, path = sha(b"JMT::LeafNode", *leaf) if leaf else b"SPARSE_MERKLE_PLACEHOLDER_HASH__", bits(key)
    for side, sibling in zip(reversed(path[:len(siblings)]), siblings):
        node = sha(b"JMT::IntrnalNode", *((sibling, node) if side == "1" else (node, sibling)))
    absent = not leaf or (leaf[0] != key and bits(leaf[0]).startswith(path[:len(siblings)]))
    holds = leaf == [key, sha(number.to_bytes(8, "big"), last)] if number else absent
    return holds and len(siblings) <= 256 and node.hex() == root
def completeness(dossier, entries, point, streams, parties):
    """Steps 5 to 7: yields the code of each finding."""
    last, below = entries[-1], entries[:-1]
    stated = write([last.stream, last.type, last.payload.get("size"), point.size])
    right = stated == write(["log/index", "IndexCommitted", last.index, last.index + 1])
    if not right or not fits(last.payload.get("root"), HEX): return (yield "index-proof")
    for item in dossier["streams"]:
        own = [entry for entry in below if entry.stream == item["stream"]]
        numbers = [entry.json["sequence"] for entry in own]
        yield from ["sequence-gap"] * (numbers != list(range(1, len(own) + 1)))
        for number, ahead, entry in zip([0, *numbers], [entries[0], *own], own):
            prev = ahead.leaf.hex() if entry.index else "0" * 64
            yield from ["chain-broken"] * (entry.json["sequence"] == number + 1 and entry.json["prev"] != prev)
        head = (numbers[-1], own[-1].leaf) if own else (0, b"")
        yield from ["index-proof"] * (not proves(item["proof"], last.payload["root"], item["stream"], *head))
    for item in dossier["parties"]:
        own = [entry for entry in below if item["stream"] in (entry.parties or [])]
        chain = functools.reduce(lambda chain, entry: sha(chain, entry.leaf), own, bytes(32))
        proven = proves(item["proof"], last.payload["root"], "party:" + item["stream"], len(own), chain)
        yield from ["index-proof"] * (not proven or any(entry.stream not in streams for entry in own))
    kind, name = dossier["subject"]["kind"], dossier["subject"]["id"]
    proven = "agreement/" + name in streams if kind == "agreement" else "organisation/" + name in parties
    yield from ["index-proof"] * (not proven)

def read_dossier(text):
    """Step 1: returns the dossier, or the code of why it is none; None or an error for what cannot be read at all."""
    dossier = canonical(text)
    if isinstance(dossier["format"], str) and dossier["format"] != "weituo-dossier/1": return "format-unknown"
    orders = ("entries leaf_index", "streams stream", "parties stream", "disclosures leaf_index disclosure")
    rows = [[[item[key] for key in keys] for item in dossier[name]] for name, *keys in map(str.split, orders)]
    ordered = all(one < other for row in rows for one, other in zip(row, row[1:]))
    return dossier if fits(dossier, DOSSIER) and ordered and dossier["entries"][0]["leaf_index"] == 0 else None
def sealed_values(dossier, at, here):
    """Steps 8 and 11: opens what is disclosed; yields the code of each finding."""
    for item in dossier["disclosures"]:
        entry, digest = at.get(item["leaf_index"]), base64.urlsafe_b64encode(sha(item["disclosure"].encode())).decode()
        if entry and digest[:43] in entry.digests:
            entry.opened[digest[:43]] = decoded(item["disclosure"], url=True).decode("utf-8", "replace")
        elif entry or item["leaf_index"] not in here: yield "disclosure-unmatched"
    erased = [write([entry.payload.get("leaf_index"), entry.payload.get("digest")]) for entry in at.values()
              if (entry.stream, entry.type) == ("log/main", "DisclosureErased")]
    for entry, digest in [(entry, digest) for entry in at.values() for digest in entry.digests]:
        if (digest in entry.opened) == (write([entry.index, digest]) in erased):
            yield "disclosure-not-erased" if digest in entry.opened else "disclosure-missing"
    for item in dossier["evidence"]:
        entry, whole = at.get(item["leaf_index"]), rf'(?<!\\)"{item["sha256"]}"(?!:)'
        named = entry and any(re.search(whole, text) for text in [entry.text, *entry.opened.values()])
        yield from ["evidence-differs"] * (not named and (bool(entry) or item["leaf_index"] not in here))
def signers_and_rulebooks(entries, streams):
    """Steps 9 and 10: yields the code of each finding and reason."""
    adopted = []
    for entry in entries:
        if "signature" in entry.json:
            proven = "organisation/" + entry.json["actor"]["organisation"] in streams
            yield from ["actor-signature"] * (not entry.is_signed(entries)) if proven else ["signer-not-proven"]
        if entry.type == "RulebookAdopted":
            digest = sha(str(entry.payload.get("text")).encode()).hex()
            adopted.append(write([entry.stream, entry.payload.get("version"), digest]))
            yield from ["rulebook-digest"] * (entry.payload.get("digest", digest) != digest)
        if entry.stream.startswith("agreement/") and "rulebook" in entry.payload:
            pin = entry.payload["rulebook"] if isinstance(entry.payload["rulebook"], dict) else {}
            pinned = write([f"rulebook/{pin.get('id')}", pin.get("version"), pin.get("digest")])
            yield from ["rulebook-digest"] * (pinned not in adopted)
def verify(text, keys, receipts):
    """Yields the code of each finding and reason."""
    dossier = attempt(read_dossier, text) or "dossier-malformed"
    point = attempt(lambda: Checkpoint(dossier["checkpoint"]))
    code = dossier if isinstance(dossier, str) else "checkpoint-signature"
    if not point: return (yield from [code] + ["intact-not-established"] * (code not in REASONS))
    at, before, barring = {}, "", ["checkpoint-signature"] * (point.signed_by(keys) is False)
    for item in dossier["entries"]:
        entry = attempt(Entry, item["entry"], item["leaf_index"])
        if not entry or not entry.good: barring.append("bad-entry" if entry else "not-canonical")
        elif point.includes(entry, [*map(bytes.fromhex, item["inclusion"])]):
            yield from ["recorded-at-decreases"] * (entry.json["recorded_at"] < before)
            at[entry.index], before = entry, entry.json["recorded_at"]
        else: barring.append("entry-not-included")
        barring += ["origin-differs"] * bool(entry and entry.good and entry.json["ledger"] != point.origin)
    barring += ["intact-not-established"] * bool(barring)  # Step 4.
    barring += ["key-unknown" if keys else "no-key"] * (point.signed_by(keys) is None)
    streams, parties = [{item["stream"] for item in dossier[name]} for name in ("streams", "parties")]
    yield from barring or completeness(dossier, [*at.values()], point, streams, parties)
    here = {one["leaf_index"]: one["entry"] for one in dossier["entries"]}
    yield from [*sealed_values(dossier, at, here), *signers_and_rulebooks([*at.values()], streams)]
    shown = [attempt(receipt, kept, keys, point.origin) for kept in receipts]
    yield from ["receipt-not-valid"] * shown.count(None)
    for other, entry in filter(None, shown):
        yield from ["checkpoint-not-extended"] * (other.size == point.size and other.root != point.root)
        belongs = entry.stream in streams or bool(parties & set(entry.parties or []))
        unmet = here[entry.index] != entry.text if entry.index in here else belongs
        yield from ["receipt-unmet"] * (entry.index < max(here) and unmet)
BOTH, OF_COMPLETE = "intact complete", ("index-proof", "receipt-unmet", "sequence-gap")
REASONS = {"format-unknown": BOTH, "intact-not-established": "complete", "key-unknown": BOTH, "no-key": BOTH,
           "receipt-not-valid": "intact", "signer-not-proven": "intact"}
def judged(text, keys, receipts):
    codes, result = sorted(verify(text, keys, receipts)), {}
    for name in ("intact", "complete"):
        found = [code for code in codes if code not in REASONS and (code in OF_COMPLETE) == (name == "complete")]
        why = [code for code in codes if name in REASONS.get(code, "")]
        answer = "no" if found else "could-not-check" if why else "yes"
        result[name] = {"answer": answer, "findings": found, "reasons": why}
    return result

def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dossier", help="the .json or the .html", type=argparse.FileType("rb"))
    parser.add_argument("--key", action="append", default=[], type=verifier_key)
    parser.add_argument("--receipt", action="append", default=[], type=argparse.FileType("rb"))
    given = parser.parse_args()
    data = given.dossier.read()
    page = re.search(rb'<script type="application/octet-stream" id="dossier">([^<]*)</script>', data)
    data = attempt(base64.b64decode, page and page[1], None, True) if data.lstrip()[:1] == b"<" else data
    text = data and attempt(data.decode) or parser.error("there is no dossier in the file")
    result = judged(text, given.key, [file.read().decode("utf-8", "replace") for file in given.receipt])
    answers = print(json.dumps(result)) or {verdict["answer"] for verdict in result.values()}
    return 1 if "no" in answers else 2 if "could-not-check" in answers else 0
if __name__ == "__main__": sys.exit(main())
