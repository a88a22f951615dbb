"""Byte-exactness against EXIficient on random messages of every type; `python -m tests.campaign.exi_exact`.

SCALE scales the number of messages (1.0: 15,000). The exit code is 1 if anything differs or nothing was compared.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

from evse_controller.messages import Message, decode, encode
from tests.campaign.exi_messages import SCHEMAS, MessageMaker, message_classes
from tests.campaign.exi_oracle import Oracle, java_present, schema_folder
from tests.campaign.exi_vectors import read_vectors
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


def run(scale: float, seed: int) -> int:
    """The campaign; the number of messages compared. Without Java the committed vectors are compared instead."""
    if not java_present():
        print("exi: no Java here, comparing with the committed vectors of EXIficient instead")
        pairs: Iterator[tuple[Message, bytes, bytes]] = (
            (message, encode(message), data) for message, data in read_vectors()
        )
        return _check(pairs)
    with Oracle(SCHEMAS) as oracle:
        return _check(compare(int(FULL * scale), seed, oracle))


def _check(pairs: Iterator[tuple[Message, bytes, bytes]]) -> int:
    count = 0
    problems = []
    for message, ours, theirs in pairs:
        count += 1
        problem = difference(message, ours, theirs)
        if problem:
            problems.append(f"{type(message).__name__}: {problem[:2000]}")
    if problems:
        raise AssertionError("\n".join([f"{len(problems)} of {count} messages differ", *problems[:5]]))
    return count


def main() -> int:
    """Run the campaign by itself; the exit code."""
    count = run(float(os.environ.get("SCALE", "1")), int(os.environ.get("SEED", "1")))
    print(f"exi: {count} messages compared, none differs")
    return 0 if count else 1


if __name__ == "__main__":
    sys.exit(main())
