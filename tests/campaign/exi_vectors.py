"""The committed vectors: messages of our own making with the bytes that EXIficient made of them.

They are the messages that hit every point of every schema (exi_cover) and some random ones; then those with empty
texts, where EXIficient's bytes differ from ours and have to be understood too; then fragments of all elements that
can be signed. A line is [schema, JSON form, EXIficient's bytes in hex], of an empty text with our bytes behind it,
or ["fragment", schema, element, EXIficient's bytes in hex].

`python -m tests.campaign.exi_vectors` makes the file anew (needs Java and the wheel, see exi_oracle).
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from evse_controller.messages import Message, Schema, from_json, to_json

FILE = Path(__file__).resolve().parent.parent / "data" / "exi_vectors.jsonl.gz"
RANDOM = 1200
SEED = 15118
LONGEST = 700  # bytes of a random message or a fragment; longer ones are left to the live comparison


def read_vectors(schema: Schema | None = None) -> Iterator[tuple[Message, bytes]]:
    """Messages (of one schema) and EXIficient's bytes, which are ours too."""
    for message, theirs, ours in _rows(schema):
        if not ours:
            yield message, theirs


def read_empty_texts(schema: Schema | None = None) -> Iterator[tuple[Message, bytes, bytes]]:
    """Messages with empty texts or binaries, EXIficient's bytes and ours."""
    for message, theirs, ours in _rows(schema):
        if ours:
            yield message, theirs, ours


def read_fragments() -> Iterator[tuple[Schema, str, bytes]]:
    """Schema, element and EXIficient's bytes of each fragment."""
    for line in _lines('["fragment",'):
        _, schema, element, data = json.loads(line)
        yield Schema[schema], element, bytes.fromhex(data)


def _lines(start: str) -> Iterator[str]:
    with gzip.open(FILE, "rt", encoding="utf-8") as lines:
        yield from (line for line in lines if line.startswith(start))


def _rows(wanted: Schema | None) -> Iterator[tuple[Message, bytes, bytes]]:
    for line in _lines(f'["{wanted.name}",' if wanted else "["):
        if not line.startswith('["fragment",'):
            schema, form, theirs, *ours = json.loads(line)
            yield from_json(Schema[schema], form), bytes.fromhex(theirs), bytes.fromhex("".join(ours))


def _row(message: Message, *data: bytes) -> str:
    return json.dumps([message.SCHEMA.name, to_json(message), *(d.hex() for d in data)], separators=(",", ":"))


def main() -> int:
    """Write the file; the exit code."""
    from tests.campaign.exi_exact import chance, check_fragments, compare, covering, difference, empty_texts
    from tests.campaign.exi_messages import SCHEMAS
    from tests.campaign.exi_oracle import Oracle

    rows = []
    with Oracle(SCHEMAS) as oracle:
        some = (message for message, ours, _ in compare(chance(RANDOM, SEED), oracle) if len(ours) <= LONGEST)
        for message, ours, theirs in compare(chain(covering(1, SEED), some), oracle):
            if difference(message, ours, theirs):
                print(f"not written: {difference(message, ours, theirs)}", file=sys.stderr)
                return 1
            rows.append(_row(message, theirs))
        for schema in SCHEMAS:
            rows += [_row(message, theirs, ours) for message, ours, theirs in empty_texts(schema, oracle)
                     if ours != theirs]
        rows += [json.dumps(["fragment", schema.name, element, data.hex()], separators=(",", ":"))
                 for schema, element, data in check_fragments(1, SEED, oracle) if len(data) <= LONGEST]
    FILE.parent.mkdir(parents=True, exist_ok=True)
    # No name and time in the archive: the same messages give the same file.
    FILE.write_bytes(gzip.compress("\n".join([*rows, ""]).encode("utf-8"), 9, mtime=0))
    print(f"{len(rows)} vectors, {FILE.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
