"""Mutated frames: any bytes give a message or an ExiError, quickly, and nothing is left behind.

Two kinds, at the same time: structure-aware mutations in a process per processor (`exi_fuzz_mutate`), and
coverage-guided ones in a process of its own where atheris is installed (`exi_fuzz_guided`; the extra `fuzz`). What
must hold of every frame is in `exi_fuzz_oracle`.
"""

from __future__ import annotations

import os
import random
import resource
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from evse_controller.messages import ExiError, Message, Schema, encode
from evse_controller.messages.base import Field
from evse_controller.messages.codec import DEFAULT_LIMIT
from tests.campaign import exi_fuzz_guided as guided
from tests.campaign.exi_fuzz_corpus import read_corpus
from tests.campaign.exi_fuzz_heavy import fragment_frames, heavy_frame
from tests.campaign.exi_fuzz_mutate import NO_BOUND, UNBOUNDED, ObjectMutator, PieceMutator, copy, mutate_bits, walk
from tests.campaign.exi_fuzz_oracle import Growth, Judge, Tally
from tests.campaign.exi_fuzz_pieces import Writer
from tests.campaign.exi_grammar import message_classes
from tests.campaign.exi_messages import MessageMaker
from tests.campaign.exi_vectors import read_vectors

FULL = 5_000_000
GUIDED = 0.1  # the share of frames that are coverage-guided where atheris is installed
LEAST = 1000
LARGE = 8192  # bytes: what must be decoded in 50 ms
# Rare, since one costs as much as hundreds of small ones: batches of large frames, and of some near the size limit.
LARGE_EVERY, HUGE_EVERY = 150, 1500
HEAVY_EVERY = 40  # batches, one of which is of the frames that cost most for their size
FRAGMENTS = 0.03  # the share of batches that are of fragments
BATCH = 48
SHORT = 4  # bytes; shorter inputs of the corpus have nothing to mutate
ENVELOPES = 60  # seeds of the one element that holds all messages of a schema
MEMORY = 2 << 30  # bytes of address space that a worker may take beyond what it starts with
CPU_PER_FRAME_S = 0.01  # on average, before the kernel ends a worker that no timer could interrupt

Frames = list[tuple[Schema, bytes]]


class Seeds:
    """What mutations start from: the vectors, the corpus, and messages grown to a size."""

    def __init__(
        self, schemas: Iterable[Schema] = tuple(Schema), vectors: Iterable[tuple[Message, bytes]] = ()
    ) -> None:
        self.messages: dict[Schema, list[Message]] = {schema: [] for schema in schemas}
        self.frames: dict[Schema, list[bytes]] = {schema: [] for schema in schemas}
        for message, data in vectors:
            self.messages[message.SCHEMA].append(message)
            self.frames[message.SCHEMA].append(data)
        for schema, messages in self.messages.items():
            for cls in message_classes(schema):
                for number in range(ENVELOPES if "Message" in cls.ELEMENT else 2):
                    messages.append(MessageMaker(number).make(cls))
                    self.frames[schema].append(encode(messages[-1]))
        for schema, data in read_corpus():
            if schema in self.frames and len(data) > SHORT:
                self.frames[schema].append(data)
        # A schema with more types has more vectors, and is chosen more often.
        self.schemas = [schema for schema, messages in self.messages.items() for _ in messages]
        self.large = {schema: self._grown(schema, LARGE) for schema in self.messages}
        self.huge = {schema: self._grown(schema, DEFAULT_LIMIT - 64) for schema in self.messages}

    def _grown(self, schema: Schema, size: int) -> list[bytes]:
        """Frames of valid messages, as near to the size as the longest lists of the schema come."""
        def room(message: Message) -> int:
            nodes = walk(message)
            return sum(_most(f) for n in nodes for f in n.FIELDS if getattr(n, f.name) is not None) // len(nodes)

        return [grown(message, size) for message in sorted(self.messages[schema], key=room)[-3:]]


def _most(field: Field) -> int:
    return NO_BOUND - 2 if field.high > UNBOUNDED else field.high


def grown(message: Message, size: int) -> bytes:
    """The frame of a message after some of its lists were made longer, but not over a size."""
    best = encode(message)
    current: Message = copy(message)
    slots = [(n, f) for n in walk(current) for f in n.FIELDS if isinstance(getattr(n, f.name), list)]
    for node, field in sorted(slots, key=lambda slot: -_most(slot[1]))[:8]:
        value = getattr(node, field.name)
        for wanted in (size * len(value) // len(best), _most(field)):
            longer = (value * (wanted // max(len(value), 1) + 1))[: min(wanted, _most(field))]
            setattr(node, field.name, longer)
            data = _encoded(current) if len(walk(current)) < size // 2 else b""
            if len(best) < len(data) <= size:
                best, value = data, longer
            setattr(node, field.name, value)
    return best


def _encoded(message: Message) -> bytes:
    try:
        return encode(message)
    except ExiError:
        return b""  # some lists are refused earlier than at their maximum


def batches(rng: random.Random, seeds: Seeds) -> Iterator[Frames]:
    """Mutated frames without end, some at a time."""
    objects = {schema: ObjectMutator(rng, messages) for schema, messages in seeds.messages.items()}
    while True:
        schema = rng.choice(seeds.schemas)
        frames = seeds.frames[schema]
        how = rng.random()
        if rng.randrange(HUGE_EVERY) == 0:
            yield [(schema, mutate_bits(rng, rng.choice(seeds.huge[schema]), frames)) for _ in range(4)]
        elif rng.randrange(LARGE_EVERY) == 0:
            yield [(schema, mutate_bits(rng, rng.choice(seeds.large[schema]), frames)) for _ in range(BATCH)]
        elif rng.randrange(HEAVY_EVERY) == 0:
            yield [(schema, heavy_frame(rng, seeds.messages[schema])) for _ in range(4)]
        elif how < 0.25:
            yield [(schema, mutate_bits(rng, rng.choice(frames), frames)) for _ in range(BATCH)]
        elif how < 0.6:
            pieces = PieceMutator(rng, Writer().document(rng.choice(seeds.messages[schema])))
            yield [(schema, pieces.frame()) for _ in range(BATCH)]
        else:
            batch = []
            for _ in range(6):
                document = Writer().document(objects[schema].changed(rng.choice(seeds.messages[schema])))
                pieces = PieceMutator(rng, document)
                batch += [(schema, document.data()), *((schema, pieces.frame()) for _ in range(5))]
            yield batch


def fragments(rng: random.Random, seeds: Seeds) -> Frames:
    """Some mutated fragments."""
    schema = rng.choice(seeds.schemas)
    messages = rng.sample(seeds.messages[schema], min(len(seeds.messages[schema]), 9))
    return [(schema, frame) for frame in fragment_frames(rng, schema, messages, BATCH)]


def share(seeds: Seeds, count: int, seed: str) -> Tally:
    """One worker's frames."""
    judge = Judge()
    rng = random.Random(seed)
    source = batches(rng, seeds)
    growth = Growth(judge, count)
    while judge.tally.executed < count:
        fragment = rng.random() < FRAGMENTS
        for schema, frame in fragments(rng, seeds) if fragment else next(source):
            judge.judge(schema, frame, fragment)
            growth.judged(schema, frame, fragment)
    judge.tally.grown_blocks = growth.check()
    return judge.tally


_seeds: Seeds | None = None  # workers take it over when they are forked


def _worker(count: int, seed: str) -> Tally:
    assert _seeds is not None
    # The last defence, for what holds the interpreter itself: the kernel ends the worker, and the pool says so.
    size = resource.getpagesize() * int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
    spent = int(sum(resource.getrusage(resource.RUSAGE_SELF)[:2]))
    most = spent + 120 + int(count * CPU_PER_FRAME_S)
    resource.setrlimit(resource.RLIMIT_CPU, (most, most))
    return share(_seeds, count, seed)


def run(scale: float, seed: int) -> int:
    """The campaign; the number of frames decoded."""
    global _seeds
    total = max(LEAST, int(FULL * scale))
    coverage = guided.Run(int(total * GUIDED), seed) if guided.available() else None
    try:
        _seeds = Seeds(vectors=read_vectors())
        workers = os.cpu_count() or 1
        count = total - (coverage.count if coverage else 0)
        tally = Tally()
        with ProcessPoolExecutor(workers, mp_context=get_context("fork")) as pool:
            tasks = [pool.submit(_worker, -(-count // workers), f"{seed}/{number}") for number in range(workers)]
            for task in tasks:
                tally.add(task.result())
        print(f"exi_fuzz, structure-aware: {tally}", flush=True)
        executed = tally.executed
        if coverage:
            found = coverage.result()
            print(f"exi_fuzz, coverage-guided: {found}", flush=True)
            executed += found.executed
    finally:
        _seeds = None
        if coverage:
            coverage.close()
    without = "" if coverage else "; atheris is not installed: all structure-aware, none coverage-guided"
    print(f"exi_fuzz: {executed} frames{without}", flush=True)
    return executed
