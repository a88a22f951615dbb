"""Byte-exactness against EXIficient on random messages of every type; `python -m tests.campaign.exi_exact`.

SCALE scales the number of messages (1.0: 15,000). The exit code is 1 if anything differs or nothing was compared.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

from evse_controller.messages import Message, Schema, decode, encode
from tests.campaign.exi_messages import SCHEMAS, MessageMaker, message_classes
from tests.campaign.exi_oracle import Oracle, schema_folder
from tests.campaign.exi_xml import XmlWriter

FULL = 15_000


def compare(total: int, seed: int, oracle: Oracle) -> Iterator[tuple[Message, bytes, bytes]]:
    """Message, our bytes and EXIficient's, spread evenly over all message classes of all schema sets."""
    classes = [(schema, cls) for schema in SCHEMAS for cls in message_classes(schema)]
    writers = {schema: XmlWriter(schema_folder(), schema) for schema in SCHEMAS}
    maker = MessageMaker(seed)
    for number in range(max(total, len(classes))):
        schema, cls = classes[number % len(classes)]
        message = maker.make(cls)
        yield message, encode(message), oracle.encode(schema, writers[schema].write(message))


def difference(message: Message, ours: bytes, theirs: bytes) -> str:
    """What is wrong, or nothing."""
    if ours != theirs:
        return f"encoded differently:\n  ours   {ours.hex()}\n  theirs {theirs.hex()}\n  {message!r}"
    if decode(message.SCHEMA, theirs) != message:
        return f"decoded differently: {theirs.hex()}\n  {message!r}"
    return ""


def main() -> int:
    """Run the campaign; the exit code."""
    scale = float(os.environ.get("SCALE", "1"))
    seed = int(os.environ.get("SEED", "1"))
    schemas: tuple[Schema, ...] = SCHEMAS
    count = failed = 0
    with Oracle(schemas) as oracle:
        for message, ours, theirs in compare(int(FULL * scale), seed, oracle):
            count += 1
            problem = difference(message, ours, theirs)
            if problem:
                failed += 1
                if failed <= 5:
                    print(f"{type(message).__name__}: {problem[:2000]}")
    print(f"exi: {count} messages compared with EXIficient, {failed} differ")
    return 1 if failed or not count else 0


if __name__ == "__main__":
    sys.exit(main())
