#!/usr/bin/env python3
"""Checks a log's static files with an independent implementation of the C2SP specifications.

Usage: aics_tlog_check.py DIR VERIFIER_KEY

DIR holds `checkpoint`, `tile/<L>/...` and `tile/entries/...`; if it also holds `receipt/receipt.tlog-proof` and
`receipt/entry.json`, the receipt's inclusion proof is checked too. Needs PyPI aics-tlog 0.2.1 on Python >= 3.12.

Exit code: 0 all right, 1 something is wrong, 2 could not check (wrong usage, package missing, files missing).
"""

import base64
import sys
from pathlib import Path

try:
    import aics_tlog as tlog
except ImportError as error:
    print(f"could not check: {error}", file=sys.stderr)
    sys.exit(2)

PROOF_HEADER = "c2sp.org/tlog-proof@v1"


def check_receipt(directory: Path, checkpoint) -> str:
    """Checks that the receipt proves its entry in the tree of the checkpoint."""
    lines = (directory / "receipt/receipt.tlog-proof").read_text("utf-8").split("\n")
    entry = (directory / "receipt/entry.json").read_bytes()
    if lines[0] != PROOF_HEADER or not lines[1].startswith("index "):
        raise ValueError("the receipt is not a tlog-proof")
    end = lines.index("")
    proof = [base64.b64decode(line, validate=True) for line in lines[2:end]]
    index = int(lines[1].removeprefix("index "))
    if "\n".join(lines[end + 1 :]) != (directory / "checkpoint").read_text("utf-8"):
        raise ValueError("the receipt quotes another checkpoint")
    if not tlog.verify_leaf_inclusion(entry, index, checkpoint.size, proof, checkpoint.root):
        raise ValueError(f"the receipt does not prove entry {index}")
    return f"receipt of entry {index}"


def check(directory: Path, key_text: str) -> str:
    """Checks the checkpoint's signature, every tile and bundle, and an inclusion proof for every 37th entry."""
    key = tlog.parse_vkey(key_text)
    note = tlog.parse_note((directory / "checkpoint").read_bytes())
    result = tlog.verify_checkpoint(note, key, expected_origin=key.name)
    if not result.ok:
        raise ValueError(f"checkpoint: {result.error}")
    reader = tlog.FileSystemTileReader(directory)
    report = tlog.audit_tiles(reader, result.size, result.root, entries=True)
    verified = tlog.VerifiedTileReader(reader, result.size, result.root)
    indices = sorted({*range(0, result.size, 37), *([result.size - 1] if result.size else [])})
    for index in indices:
        proof = tlog.inclusion_proof_from_tiles(verified, index, result.size)
        entry = tlog.read_entry(verified, index, result.size)
        if not tlog.verify_leaf_inclusion(entry, index, result.size, proof, result.root):
            raise ValueError(f"entry {index} is not included")
    done = f"size {result.size}: {report.tiles} tiles, {report.bundles} bundles, {len(indices)} inclusion proofs"
    if (directory / "receipt/receipt.tlog-proof").exists():
        done += f", {check_receipt(directory, result)}"
    return done


def main() -> int:
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    directory = Path(sys.argv[1])
    if not (directory / "checkpoint").is_file():
        print(f"could not check: {directory} has no checkpoint", file=sys.stderr)
        return 2
    try:
        print(check(directory, sys.argv[2]))
    except Exception as error:  # Every refusal of the package, of whatever class, is a finding here.
        print(f"wrong: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
