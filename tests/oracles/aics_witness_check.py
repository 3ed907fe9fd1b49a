#!/usr/bin/env python3
"""Checks the log against an independent witness, and the witness against an independent log client.

Usage: aics_witness_check.py WEITUO

WEITUO is the binary. Both sides speak C2SP tlog-witness; the other side is PyPI aics-witness 0.1.0 on Python >= 3.12.
Everything happens in a temporary folder, on ports that the system chooses.

Exit code: 0 all right, 1 something is wrong, 2 could not check (wrong usage, package missing).
"""

import json
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

try:
    import aics_tlog as tlog
    import aics_witness
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
except ImportError as error:
    print(f"could not check: {error}", file=sys.stderr)
    sys.exit(2)

ORIGIN = "log.example/aics"
# What its client warns of is what is asked for here.
logging.getLogger("aics_witness").setLevel(logging.CRITICAL)


def expect(holds: bool, what: str) -> None:
    if not holds:
        raise AssertionError(what)


@contextmanager
def started(command: list[str], stream: str, pattern: str, **options):
    """Runs a server until the end of the block; gives what the first line that matches says."""
    process = subprocess.Popen(command, text=True, **{stream: subprocess.PIPE}, **options)
    try:
        for line in getattr(process, stream):
            if found := re.search(pattern, line):
                yield found
                break
        else:
            raise AssertionError(f"{command[0]} did not start")
    finally:
        process.kill()
        process.wait()


class Ledger:
    """A ledger in a folder, worked on by the binary."""

    def __init__(self, binary: str, folder: Path):
        self.binary, self.folder = binary, folder

    def run(self, *arguments: str, code: int | None = 0) -> str:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("WEITUO_")}
        environment["WEITUO_LEDGER"] = f"sqlite://{self.folder / 'ledger.db'}"
        command = [self.binary, "--json", "--lang", "en", *arguments]
        ran = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True)
        if code is not None:
            expect(ran.returncode == code, f"{arguments} ended with {ran.returncode}: {ran.stdout}{ran.stderr}")
        return ran.stdout if code in (0, None) else ran.stderr

    def record(self, lines: list[str], *options: str) -> list[dict]:
        (self.folder / "lines").write_text("".join(lines), "utf-8")
        return [json.loads(line) for line in self.run("record", "lines", *options).splitlines()]

    def receipt(self, leaf: int) -> dict:
        return json.loads(self.run("receipt", str(leaf), "--policy", "policy"))

    def size(self) -> int:
        return json.loads(self.run("checkpoint"))["size"]


def registration(number: int) -> str:
    """Returns the command that registers the root bureau (0) or a school."""
    stream, kind = ("bureau-wz", "bureau") if number == 0 else (f"school-{number}", "public_school")
    command = {
        "command": f"30000000-0000-4000-8000-{number:012}",
        "do": "RegisterOrganisation",
        "stream": f"organisation/{stream}",
        "actor": {"organisation": "bureau-wz", "role": "bureau"},
        "effective": "2019-01-02",
        "payload": {"name": f"机构{number}", "kind": kind},
    }
    return json.dumps(command, ensure_ascii=False) + "\n"


def check_log(binary: str, folder: Path) -> str:
    """Our log, cosigned by aics-witness: growth, waiting, a fork, a lost anchor, a rollback."""
    lines = [registration(number) for number in range(10)]
    ledger = Ledger(binary, folder / "ledger")
    ledger.folder.mkdir()
    key = json.loads(ledger.run("init", "--origin", ORIGIN, "--bureau", "bureau-wz"))["verifier_key"]
    config = folder / "aics.json"
    aics = [sys.executable, "-m", "aics_witness"]
    quiet = {"check": True, "capture_output": True, "text": True}
    init = [*aics, "init", "-c", str(config), "--name", "aics.example/w1", "--listen", "127.0.0.1:0"]
    witness_key = subprocess.run(init, **quiet).stdout.strip()
    subprocess.run([*aics, "add-log", "-c", str(config), "--origin", ORIGIN, "--vkey", key], **quiet)

    def status() -> dict:
        said = subprocess.run([*aics, "status", "-c", str(config), "--json"], **quiet).stdout
        return next(log for log in json.loads(said)["logs"] if log["origin"] == ORIGIN)

    with started([*aics, "serve", "-c", str(config)], "stderr", r"listening on (http://\S+)") as found:
        url = found[1]
        (ledger.folder / "policy").write_text(f"log {key}\nwitness aics {witness_key} {url}\nquorum aics\n")
        first = ledger.record(lines[:1], "--policy", "policy")[0]["ok"]
        receipt = ledger.receipt(first["leaf_index"])
        expect(receipt["cosigned"] == ["aics"], f"not cosigned: {receipt}")
        # What the receipt quotes is a checkpoint that the other implementation accepts, cosignature and all.
        note = receipt["receipt"].split("\n\n", 1)[1]
        keys = (tlog.parse_vkey(key), tlog.parse_vkey(witness_key))
        signatures = [line for line in note.splitlines() if line.startswith("\u2014 ")]
        expect(len(signatures) == 2 and signatures[1].startswith("\u2014 aics.example/w1 "), note)
        expect(tlog.verify_checkpoint(tlog.parse_note(note.encode()), keys[0], expected_origin=ORIGIN).ok, note)
        shutil.copytree(ledger.folder, folder / "forked")
        for line in lines[1:4]:
            waited = ledger.record([line], "--policy", "policy", "--wait-for-witnesses=20")[0]["ok"]
            expect(waited["cosigned"] == ["aics"], f"waited in vain: {waited}")
        expect(status()["size"] == ledger.size(), f"the witness has {status()}, the log {ledger.size()}")
        expect(status()["evidence"] == 0, f"evidence without a fork: {status()}")

        forked = Ledger(binary, folder / "forked")
        answers = forked.record(lines[4:8], "--policy", "policy")
        answers += forked.record([lines[8]], "--policy", "policy")
        expect(forked.receipt(answers[-1]["ok"]["leaf_index"])["cosigned"] == [], "a fork was cosigned")
        expect(status()["size"] == ledger.size() and status()["evidence"] > 0, f"no evidence of a fork: {status()}")

        anchored = ledger.size()
        (ledger.folder / "ledger.anchor").unlink()
        ledger.record([lines[9]], "--policy", "policy")
        expect(ledger.size() > anchored, "the lost anchor was not replaced by what the witness remembers")
        # An older copy of database and anchor, of which the anchor is lost as well.
        shutil.copytree(folder / "forked", folder / "older")
        (folder / "older" / "ledger.anchor").unlink()
        older = Ledger(binary, folder / "older")
        told = older.run("record", "lines", "--policy", "policy", code=2)
        expect("the anchor vouches for" in told, f"a rollback was not told: {told}")
        return f"log of {ledger.size()} entries cosigned"


def check_witness(binary: str, folder: Path) -> str:
    """Our witness, asked by aics-witness's client: growth, a stale size, a rollback, a fork, an unknown log."""
    private = Ed25519PrivateKey.generate()
    key = tlog.format_vkey(tlog.vkey_from_ed25519(ORIGIN, private.public_key()))
    tree = tlog.MerkleTree([f"entry {index}".encode() for index in range(300)])

    def note(size: int, root: bytes | None = None, name: str = ORIGIN) -> bytes:
        checkpoint = tlog.Checkpoint(origin=name, size=size, root=root or tree.root(size))
        return tlog.sign_checkpoint(checkpoint, private, name).to_bytes()

    command = [binary, "--json", "witness", "--state", str(folder / "witness"), "--listen", "127.0.0.1:0", "--log", key]
    with started(command, "stdout", r"^(\{.*\})$", stderr=subprocess.DEVNULL) as found:
        started_as = json.loads(found[1])
        url, witness_key = f"http://{started_as['listen']}", started_as["verifier_key"]
        proof = lambda old, new: tree.consistency_proof(old, new)  # noqa: E731
        client = aics_witness.WitnessClient(url, witness_key)
        for size in (1, 2, 7, 7, 128, 300):
            lines = client.submit(note(size), proof)
            expect(len(lines.splitlines()) == 1, lines)
        # A client that knows nothing learns the size, and one with an older checkpoint is told.
        aics_witness.submit_checkpoint(url, note(300), proof, witness_vkey=witness_key)
        refused(aics_witness.WitnessAhead, lambda: aics_witness.submit_checkpoint(
            url, note(128), proof, witness_vkey=witness_key))
        for root in (b"\x07" * 32, b"\x08" * 32):
            error = refused(aics_witness.WitnessRejected, lambda root=root: client.submit(note(300, root), proof))
            expect(error.status == 422, f"a fork got {error.status}")
        error = refused(aics_witness.WitnessRejected, lambda: client.submit(note(5, name="log.example/x"), proof))
        expect(error.status == 404, f"an unknown log got {error.status}")
    kept = sorted(path.name.split("-")[0] for path in (folder / "witness" / "evidence").iterdir())
    expect(kept == ["fork", "fork"], f"evidence: {kept}")
    return "witness asked"


def refused(kind: type, call) -> Exception:
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    binary = str(Path(sys.argv[1]).resolve())
    try:
        with tempfile.TemporaryDirectory() as folder:
            print(f"{check_log(binary, Path(folder))}; {check_witness(binary, Path(folder))}")
    except Exception as error:  # Every refusal of the package, of whatever class, is a finding here.
        print(f"wrong: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
