"""Byte-exactness against EXIficient; `python -m tests.campaign.exi_exact`.

The messages that hit every point of every schema (exi_cover), the largest of each kind (exi_fullest), random ones of
every type, and fragments of every element that can be signed. EXIficient's bytes must be ours, and from them we must
get the message again. SCALE scales the numbers (1.0: every point, everything of any size, 15,000 messages in all).
The exit code is 1 if anything differs or nothing was compared.

The one known difference is an element without content (see `empty_texts`); all others have content everywhere.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from itertools import chain, islice

from evse_controller.messages import Message, Node, Schema, decode, encode
from evse_controller.messages.codec import coders
from evse_controller.messages.fragments import decode_fragment, encode_fragment
from tests.campaign.exi_cover import CoverageMaker, covering_messages
from tests.campaign.exi_fullest import Fullest
from tests.campaign.exi_grammar import message_classes, ways_from
from tests.campaign.exi_messages import SCHEMAS, MessageMaker, weighted_classes
from tests.campaign.exi_oracle import Oracle, java_present, schema_folder
from tests.campaign.exi_vectors import read_vectors
from tests.campaign.exi_xml import XmlWriter

FULL = 15_000
LONGEST = 2_000_000  # bytes; more than any message without unbounded lists can have

Compared = tuple[Message, bytes, bytes]  # the message, our bytes, EXIficient's


def covering(share: float, seed: int, schemas: tuple[Schema, ...] = SCHEMAS) -> Iterator[Message]:
    """The messages that hit every point; with a share below 1 some of each schema, others with another seed."""
    step = max(1, round(1 / share))
    for schema in schemas:
        yield from islice(covering_messages(schema), seed % step, None, step)


def fullest(longest: int) -> Iterator[Message]:
    """The largest message of each root element, of those that take no more than so many bytes."""
    for schema in SCHEMAS:
        maker = Fullest()
        for cls in message_classes(schema):
            message, values = maker.make(cls)
            assert isinstance(message, Message)
            if values <= longest and len(encode(message)) <= longest:  # the first is quicker told
                yield message


def chance(total: int, seed: int) -> Iterator[Message]:
    """Random messages, spread evenly over the root elements of all schemas."""
    classes = [cls for schema in SCHEMAS for cls in weighted_classes(schema)]
    maker = MessageMaker(seed)
    for number in range(max(total, len(classes))):
        yield maker.make(classes[number % len(classes)])


def compare(messages: Iterator[Message], oracle: Oracle) -> Iterator[Compared]:
    """The messages with both codecs' bytes."""
    writers = {schema: XmlWriter(schema_folder(), schema) for schema in SCHEMAS}
    for message in messages:
        yield message, encode(message), oracle.encode(message.SCHEMA, writers[message.SCHEMA].write(message))


def difference(message: Message, ours: bytes, theirs: bytes) -> str:
    """What is wrong, or nothing."""
    if ours != theirs:
        return f"encoded differently:\n  ours   {ours.hex()}\n  theirs {theirs.hex()}\n  {message!r}"
    if decode(message.SCHEMA, theirs, limit=LONGEST, strict=True) != message:
        return f"decoded differently: {theirs.hex()}\n  {message!r}"
    return ""


def empty_texts(schema: Schema, oracle: Oracle) -> Iterator[tuple[Message, bytes, bytes]]:
    """Messages with every text and binary that may be empty, where the two codecs write different bytes.

    EXIficient ends an empty element by a second-level event (EXI 1.0, 8.5.4.4.1); we write characters of length 0,
    as cars and stations do. Both are legal. Each codec reads both: that is checked here, the bytes are handed out.
    """
    writer = XmlWriter(schema_folder(), schema)
    for message in covering_messages(schema, empty=True):
        ours, theirs = encode(message), oracle.encode(schema, writer.write(message))
        for name, data in (("ours", ours), ("theirs", theirs)):
            if decode(schema, data) != message:
                raise AssertionError(f"we misread {name}: {data.hex()}\n  {message!r}")
        if oracle.decode(schema, ours) != oracle.decode(schema, theirs):
            raise AssertionError(f"EXIficient reads the two forms differently: {ours.hex()}\n  {message!r}")
        yield message, ours, theirs


def fragments(schema: Schema, share: float, seed: int) -> Iterator[tuple[str, Node]]:
    """Elements that can be signed: every point of what they may hold, and some random ones."""
    step = max(1, round(1 / share))
    maker = MessageMaker(seed)
    for element, (_, cls, _, _) in coders(schema).FRAGMENT_CODERS.items():
        nodes = islice(CoverageMaker(ways_from([cls])).nodes(), seed % step, None, step)
        random = (maker.make(cls) for _ in range(max(2, 50 // step)))
        for node in chain(nodes, random):
            yield element, node


def check_fragments(share: float, seed: int, oracle: Oracle) -> Iterator[tuple[Schema, str, bytes]]:
    """Compare fragments in both directions; the schema, element and bytes of each."""
    for schema in SCHEMAS:
        writer = XmlWriter(schema_folder(), schema)
        for element, node in fragments(schema, share, seed):
            ours = encode_fragment(schema, element, node)
            theirs = oracle.encode(schema, writer.write_fragment(element, node), fragment=True)
            if ours != theirs or decode_fragment(schema, theirs) != (element, node):
                raise AssertionError(f"fragment differs: {ours.hex()} {theirs.hex()}\n  {element} {node!r}")
            yield schema, element, ours


def run(scale: float, seed: int) -> int:
    """The campaign; the number of messages compared. Without Java the committed vectors are compared instead."""
    if not java_present():
        print("exi: no Java here, comparing with the committed vectors of EXIficient instead")
        return _check((message, encode(message), data) for message, data in read_vectors())
    with Oracle(SCHEMAS) as oracle:
        covered = _check(compare(covering(scale, seed), oracle))
        large = _check(compare(fullest(int(LONGEST * scale)), oracle))
        rest = max(0, int(FULL * scale) - covered - large)
        random = _check(compare(chance(rest, seed), oracle))
        empty = sum(1 for schema in SCHEMAS for _ in empty_texts(schema, oracle))
        signable = sum(1 for _ in check_fragments(scale, seed, oracle))
    print(f"exi: {covered} messages for the points of the grammars, {large} full ones, {random} random ones, {empty} "
          f"with empty texts, {signable} fragments")
    return covered + large + random + empty + signable


def _check(compared: Iterator[Compared]) -> int:
    count = 0
    problems = []
    for message, ours, theirs in compared:
        count += 1
        problem = difference(message, ours, theirs)
        if problem:
            problems.append(f"{message.SCHEMA.name} {type(message).__name__}: {problem[:2000]}")
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
