"""Mutated frames: any bytes give a message or an ExiError, quickly. Mutations know where a frame's bits matter.

Besides random bit flips, frames are cut, extended, spliced with others of the same schema, and get runs of ones
(lengths that never end) or zeros (event codes that go on).
"""

from __future__ import annotations

import random
import time

from evse_controller.messages import ExiError, Schema, decode, encode
from tests.campaign.exi_vectors import read_vectors

FULL = 1_000_000
SLOWEST = 0.05  # seconds of CPU for one frame; the longest seeds have 6 KiB


def run(scale: float, seed: int) -> int:
    """The campaign; the number of frames decoded."""
    rng = random.Random(seed)
    seeds: dict[Schema, list[bytes]] = {}
    for message, data in read_vectors():
        seeds.setdefault(message.SCHEMA, []).append(data)
    # Random messages are twice as often from the schemas with most types, as in the vectors.
    schemas = [schema for schema, frames in seeds.items() for _ in frames]
    count = accepted = 0
    for _ in range(max(1000, int(FULL * scale))):
        schema = rng.choice(schemas)
        frame = mutate(rng, rng.choice(seeds[schema]), seeds[schema])
        started = time.process_time()
        try:
            message = decode(schema, frame)
        except ExiError as error:
            if error.schema != schema.name or error.offset is None or not error.reason:
                raise AssertionError(f"{schema.name} {frame.hex()}: incomplete error {error!r}") from error
        else:
            accepted += 1
            _again(schema, frame, message)
        spent = time.process_time() - started
        if spent > SLOWEST:
            raise AssertionError(f"{schema.name} {frame.hex()}: {spent * 1e3:.0f} ms")
        count += 1
    print(f"exi_fuzz: {accepted} of {count} mutated frames were still messages")
    return count


def _again(schema: Schema, frame: bytes, message: object) -> None:
    """What was decoded may be encodable; then it must decode to the same again."""
    try:
        data = encode(message)  # type: ignore[arg-type]
    except ExiError:
        return  # decoding is more lenient: session ids of any length up to 8
    if decode(schema, data) != message:
        raise AssertionError(f"{schema.name} {frame.hex()}: not the same message after encoding it")


def mutate(rng: random.Random, frame: bytes, others: list[bytes]) -> bytes:
    """A frame with something wrong in it."""
    size = 8 * len(frame)
    kind = rng.randrange(6)
    if kind == 0:
        return frame[: rng.randrange(len(frame))]
    if kind == 1:
        other = rng.choice(others)
        return frame[: rng.randrange(1, len(frame))] + other[rng.randrange(1, len(other)):]
    value = int.from_bytes(frame, "big")
    if kind == 2:
        for _ in range(rng.randint(1, 8)):
            value ^= 1 << rng.randrange(size - 8)
    elif kind == 3:
        width = min(rng.choice((3, 8, 16, 40, 200)), size - 9)
        value |= (1 << width) - 1 << rng.randrange(size - 8 - width)
    elif kind == 4:
        width = min(rng.choice((3, 8, 16, 40, 200)), size - 9)
        value &= ~((1 << width) - 1 << rng.randrange(size - 8 - width))
    else:
        # Insert bits: everything behind shifts, so that values are read as event codes and the other way round.
        at, width = rng.randrange(size - 8), rng.randint(1, 16)
        high, low = value >> at, value & (1 << at) - 1
        value = (high << width | rng.getrandbits(width)) << at | low
        size += width
        value <<= -size % 8
        size += -size % 8
    return value.to_bytes(size // 8, "big")
