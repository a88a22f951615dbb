"""Frames that cost most to read: full of XML signature content, with faults that are tolerated, and cut off or not.

Signature types are the ones with the fewest bits for each object, and empty values that end by the second-level end
element the faults with the fewest. A document that is read again for each fault, and cannot be read in the end,
turns that into time; see `exi.leniency`.
"""

from __future__ import annotations

import random
from collections.abc import Iterable

from evse_controller.messages import Message, Node, Schema
from evse_controller.messages.codec import coders
from evse_controller.messages.fragments import encode_fragment
from evse_controller.messages.generated import xmldsig
from tests.campaign.exi_fuzz_mutate import PieceMutator, copy, mutate_bits, walk
from tests.campaign.exi_fuzz_pieces import Writer

MOST = 8192  # bytes
TRANSFORM_BITS = 15  # of one without content whose Algorithm is empty
REFERENCES = 128


def signature(transforms: int, each: int, key_names: int) -> xmldsig.Signature:
    """A signature of references with `each` transforms, until there are that many, and of empty names of keys."""
    transform = xmldsig.Transform(algorithm="")
    counts = ([each] * (transforms // each) + [transforms % each or each])[:REFERENCES]
    references = [
        xmldsig.Reference(
            transforms=xmldsig.Transforms([transform] * count),
            digest_method=xmldsig.DigestMethod(algorithm=""),
            digest_value=b"\0",
        )
        for count in counts
    ]
    info = xmldsig.SignedInfo(
        canonicalization_method=xmldsig.CanonicalizationMethod(algorithm=""),
        signature_method=xmldsig.SignatureMethod(algorithm=""),
        reference=references,
    )
    keys = xmldsig.KeyInfo(key_name=[""] * key_names) if key_names else None
    return xmldsig.Signature(info, xmldsig.SignatureValue(value=b"\0"), key_info=keys)


def with_signature(message: Message, signed: xmldsig.Signature) -> Message | None:
    """A copy of the message with that signature; None if it has no place for one."""
    if isinstance(message, xmldsig.Signature):
        return signed
    result: Message = copy(message)
    for node in walk(result):
        for field in node.FIELDS:
            if field.type is xmldsig.Signature and field.high == 1:
                setattr(node, field.name, signed)
                return result
    return None


def heavy_frame(rng: random.Random, messages: list[Message], most: int = MOST) -> bytes:
    """One such frame, of the schema of the messages; empty if they have no place for a signature."""
    size = rng.choice((200, 256, 512, 1268, 2048, 4096, 4097, most - 400))
    each = rng.choice((1, 4, 8, 32, 100))
    transforms = min(size, most - 400) * 8 // (TRANSFORM_BITS + 60 // each)
    for message in rng.sample(messages, min(len(messages), 30)):
        made = with_signature(message, signature(transforms, each, rng.choice((0, 1, 16, 32))))
        if made is None:
            continue
        frame = Writer(c_lists=rng.random() < 0.5, empties=True).document(made).data()
        how = rng.randrange(5)
        if how < 2:
            frame = frame[: -rng.randint(1, 12)]
        elif how == 2:
            frame += b"\0"
        elif how == 3:
            frame = mutate_bits(rng, frame, [frame])
        return frame[:most]
    return b""


def fragment_frames(rng: random.Random, schema: Schema, messages: Iterable[Message], count: int) -> list[bytes]:
    """Fragments of elements in the messages that can be signed, most of them mutated."""
    classes = {cls: name for name, (_, cls, _, _) in coders(schema).FRAGMENT_CODERS.items()}
    nodes: list[Node] = [node for message in messages for node in walk(message) if type(node) in classes]
    frames: list[bytes] = []
    while nodes and len(frames) < count:
        node = rng.choice(nodes)
        element = classes[type(node)]
        document = Writer().fragment(schema, element, node)
        valid = encode_fragment(schema, element, node)
        frames += [valid, PieceMutator(rng, document).frame(), mutate_bits(rng, valid, [valid, document.data()])]
    return frames
