"""The committed vectors: messages with the bytes that EXIficient made of them.

`python -m tests.campaign.exi_vectors` makes the file anew (needs Java and the wheel, see exi_oracle).
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from evse_controller.messages import Message, Schema, from_json, to_json

FILE = Path(__file__).resolve().parent.parent / "data" / "exi_vectors.jsonl.gz"
COUNT = 1500
SEED = 15118
LONGEST = 700  # bytes; longer ones, but for the first of each class, are left to the live comparison


def read_vectors() -> Iterator[tuple[Message, bytes]]:
    """Messages and EXIficient's bytes."""
    with gzip.open(FILE, "rt", encoding="utf-8") as lines:
        for line in lines:
            schema, form, data = json.loads(line)
            yield from_json(Schema[schema], form), bytes.fromhex(data)


def main() -> int:
    """Write the file; the exit code."""
    from tests.campaign.exi_exact import compare, difference
    from tests.campaign.exi_messages import SCHEMAS
    from tests.campaign.exi_oracle import Oracle

    rows = []
    seen: set[type[Message]] = set()
    with Oracle(SCHEMAS) as oracle:
        for message, ours, theirs in compare(COUNT, SEED, oracle):
            if difference(message, ours, theirs):
                print(f"not written: {difference(message, ours, theirs)}", file=sys.stderr)
                return 1
            if len(theirs) <= LONGEST or type(message) not in seen:
                seen.add(type(message))
                rows.append(json.dumps([message.SCHEMA.name, to_json(message), theirs.hex()], separators=(",", ":")))
    FILE.parent.mkdir(parents=True, exist_ok=True)
    # No name and time in the archive: the same messages give the same file.
    FILE.write_bytes(gzip.compress("\n".join([*rows, ""]).encode("utf-8"), 9, mtime=0))
    print(f"{len(rows)} vectors, {FILE.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
