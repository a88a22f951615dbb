"""What must hold of any frame whatever: a message that behaves, or an ExiError that says all, quickly and small."""

from __future__ import annotations

import gc
import heapq
import json
import resource
import signal
import sys
import time
import tracemalloc
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from evse_controller.messages import (
    ExiError,
    Message,
    Node,
    Schema,
    codec,
    decode,
    encode,
    from_json,
    to_json,
)
from evse_controller.messages.codec import DEFAULT_LIMIT, HEADER, coders
from evse_controller.messages.fragments import decode_fragment, encode_fragment

SLOWEST_S = 0.05  # CPU time for up to 8 KiB, and for every 8 KiB of longer frames
PER_BYTES = 8192
HANG_S = 2.0  # CPU time after which a frame of up to 8 KiB is given up
# What decoding may hold at once: objects cost more than the bits they come from, but only by a factor. The densest
# content is a list of empty or one-bit items: an object of some 100 bytes from 5 bits.
PEAK_BASE, PEAK_PER_BYTE = 256 * 1024, 400
SUSPECTS = 50  # frames that are judged again
PEAK_EVERY = 997  # frames between two whose memory is measured
GROWTH_BLOCKS = 3000  # memory blocks that a run may hold more at its end than after its warm-up
GROWTH_PER_FRAME = 0.25  # or so many for each frame: what is kept once for all may first be met late
GROWTH_BYTES = 24 << 20  # the same of resident memory
WARM_UP = 10_000  # frames after which all that is kept once has been met
REPLAYED = 600  # frames at a run's end that are judged twice more; the second time must leave nothing behind
REPLAYED_LONGEST = 512  # bytes of such a frame
REPLAY_BLOCKS = REPLAYED // 2


class Finding(Exception):
    """A frame that breaks a rule, with the rule."""

    def __init__(self, schema: str, frame: bytes, what: str) -> None:
        super().__init__(schema, frame, what)
        self.schema, self.frame, self.what = schema, frame, what

    def __str__(self) -> str:
        return f"{self.schema} {self.frame.hex()}: {self.what}"


class Hang(BaseException):
    """Raised by the timer: no handler of ordinary errors may swallow it."""


def _hung(_number: int, _frame: FrameType | None) -> None:
    raise Hang


@dataclass(slots=True)
class Tally:
    """What a run did. `slowest_s` is the slowest frame's CPU time scaled to 8 KiB, `peak` likewise bytes per byte."""

    executed: int = 0
    accepted: int = 0
    deviating: int = 0
    fragments: int = 0
    slowest_s: float = 0.0
    longest: int = 0
    peak_bytes: int = 0
    grown_blocks: int = 0

    def add(self, other: Tally) -> None:
        """Count another run's frames too."""
        self.executed += other.executed
        self.accepted += other.accepted
        self.deviating += other.deviating
        self.fragments += other.fragments
        self.slowest_s = max(self.slowest_s, other.slowest_s)
        self.longest = max(self.longest, other.longest)
        self.peak_bytes = max(self.peak_bytes, other.peak_bytes)
        self.grown_blocks = max(self.grown_blocks, other.grown_blocks)

    def __str__(self) -> str:
        return (
            f"{self.executed} frames executed, {self.accepted} were messages ({self.deviating} with deviations), "
            f"{self.fragments} of them fragments, "
            f"slowest {self.slowest_s * 1e3:.1f} ms per 8 KiB, longest {self.longest} bytes, "
            f"largest decode {self.peak_bytes >> 10} KiB, growth {self.grown_blocks} blocks"
        )


def strictly(schema: Schema, data: bytes) -> Message:
    """The message of a document that does not deviate."""
    return codec.decode(schema, data, strict=True)


class Judge:
    """Decodes frames and holds what comes out against the rules; the codec's functions can be others in its tests.

    `patience` multiplies the time allowed, for code that counts its own coverage; then `slow` keeps the slowest
    frames, to be judged again by someone who is not slowed down.
    """

    def __init__(self, patience: int = 1) -> None:
        self.tally = Tally()
        self.patience = patience
        self.slow: list[tuple[float, str, str]] = []
        self.decode: Callable[[Schema, bytes], Message] = decode
        self.encode: Callable[[Message], bytes] = encode
        self.strictly: Callable[[Schema, bytes], Message] = strictly
        self.fragment: Callable[[Schema, bytes], tuple[str, Node]] = decode_fragment
        signal.signal(signal.SIGPROF, _hung)

    def judge(self, schema: Schema, frame: bytes, fragment: bool = False) -> bool:
        """Whether the frame is a message, or an element in a fragment; Finding if a rule is broken."""
        tally = self.tally
        tally.executed += 1
        tally.fragments += fragment
        tally.longest = max(tally.longest, len(frame))
        scale = max(1.0, len(frame) / PER_BYTES) * self.patience
        try:
            signal.setitimer(signal.ITIMER_PROF, HANG_S * scale)
            try:
                started = time.process_time()
                result = self._decoded(schema, frame, fragment)
                spent = time.process_time() - started
                if spent > SLOWEST_S * scale / 3:
                    spent = min(spent, self._measured_again(schema, frame, fragment))
                if spent > SLOWEST_S * scale:
                    raise Finding(schema.name, frame, f"decoding takes {spent * 1e3:.0f} ms")
                tally.slowest_s = max(tally.slowest_s, spent / scale)
                if self.patience > 1 and (len(self.slow) < SUSPECTS or spent / scale > self.slow[0][0]):
                    (heapq.heappush if len(self.slow) < SUSPECTS else heapq.heappushpop)(
                        self.slow, (spent / scale, schema.name, frame.hex())
                    )
                if tally.executed % PEAK_EVERY == 0:
                    self._small(schema, frame, fragment)
                if isinstance(result, ExiError):
                    self._complete(schema, frame, result, fragment)
                    if not fragment:
                        self._strict(schema, frame, None)
                    return False
                tally.accepted += 1
                if isinstance(result, tuple):
                    if encode_fragment(schema, *result) != frame:
                        raise Finding(schema.name, frame, "a fragment that is encoded otherwise")
                else:
                    self._strict(schema, frame, result)
                    self._behaves(schema, frame, result)
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
        except Hang:
            raise Finding(schema.name, frame, f"no end after {HANG_S * scale:.0f} s") from None
        except Finding:
            raise
        except Exception as error:
            raise Finding(schema.name, frame, f"{type(error).__name__}: {error}") from error
        return True

    def _decoded(self, schema: Schema, frame: bytes, fragment: bool) -> Message | tuple[str, Node] | ExiError:
        try:
            return self.fragment(schema, frame) if fragment else self.decode(schema, frame)
        except ExiError as error:
            return error

    def _strict(self, schema: Schema, frame: bytes, result: Message | None) -> None:
        """Strict decoding gives the same message, and an error where the other tells of deviations or fails."""
        if len(frame) > PER_BYTES:
            return
        try:
            message = self.strictly(schema, frame)
        except ExiError as error:
            self._complete(schema, frame, error, False)
            if result is not None and not result.deviations:
                raise Finding(schema.name, frame, f"accepted without deviation, but not strictly: {error}") from None
            return
        if result is None or result.deviations or not (message == result and not message.deviations):
            raise Finding(schema.name, frame, "strict decoding accepts what deviates")

    def _measured_again(self, schema: Schema, frame: bytes, fragment: bool) -> float:
        """The best of seven, since other programs take from this one's time even where CPU time is counted."""
        best = float("inf")
        for _ in range(7):
            started = time.process_time()
            self._decoded(schema, frame, fragment)
            best = min(best, time.process_time() - started)
        return best

    def _small(self, schema: Schema, frame: bytes, fragment: bool) -> None:
        tracemalloc.start()
        try:
            self._decoded(schema, frame, fragment)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        self.tally.peak_bytes = max(self.tally.peak_bytes, peak)
        if peak > PEAK_BASE + PEAK_PER_BYTE * len(frame):
            raise Finding(schema.name, frame, f"{peak} bytes of memory for a frame of {len(frame)}")

    def _complete(self, schema: Schema, frame: bytes, error: ExiError, fragment: bool) -> None:
        """An error names schema, path, offset and reason."""
        size = 8 * len(frame)
        located = error.offset is not None and 0 <= error.offset <= size
        if error.schema != schema.name or not error.reason or not located or not str(error):
            raise Finding(schema.name, frame, f"incomplete error {error!r} (schema {error.schema}, bit {error.offset})")
        module = coders(schema)
        if fragment or len(frame) < 2 or frame[0] != HEADER or len(frame) > DEFAULT_LIMIT:
            return
        code = int.from_bytes(frame[1:5].ljust(4, b"\0"), "big") >> 32 - module.DOCUMENT_BITS
        root = module.ROOT_DECODERS.get(code)
        if root is not None and not (error.path.split("/")[0] == root[0] and root[0] in str(error)):
            raise Finding(schema.name, frame, f"the error's path {error.path!r} does not begin with {root[0]}")

    def _behaves(self, schema: Schema, frame: bytes, message: Message) -> None:
        """A message can be shown, compared, written as JSON and read back, and encoded to the same bytes."""
        if not repr(message):
            raise Finding(schema.name, frame, "no representation")
        again = from_json(schema, json.loads(json.dumps(to_json(message))))
        if not (message == again and again == message):
            raise Finding(schema.name, frame, "not the same message after its JSON form")
        deviations = message.deviations
        self.tally.deviating += bool(deviations)
        for number, (path, offset, reason) in enumerate(deviations, 1):
            # The last may say only how many more there are.
            placed = number == len(deviations) if offset is None else 0 <= offset <= 8 * len(frame)
            if not (path and reason and placed):
                raise Finding(schema.name, frame, f"incomplete deviation {(path, offset, reason)}")
        try:
            data = self.encode(message)
        except ExiError as error:
            # Decoding is more lenient than encoding.
            if not deviations:
                raise Finding(schema.name, frame, f"accepted without deviation, but not encoded: {error}") from None
            return
        if data == frame:
            return
        if not deviations:
            raise Finding(schema.name, frame, f"accepted without deviation, but encoded as {data.hex()}")
        other = self.decode(schema, data)
        if not (other == message and message == other) or other.deviations:
            raise Finding(schema.name, frame, "not the same message after encoding it")


class Growth:
    """Whether judging frames leaves memory behind.

    Some is kept once for all, and a run of any length begins with that. So a long run is judged from behind its
    warm-up on, and every run by its last small frames: they are judged once more, which brings about what is kept of
    them, and then again, which must leave nothing behind.
    """

    def __init__(self, judge: Judge, count: int) -> None:
        """Of a run that `judge` does, of `count` frames."""
        self._judge = judge
        self._warm = max(count // 5, WARM_UP)
        self._start: tuple[int, int] | None = None
        self._last: deque[tuple[Schema, bytes, bool]] = deque(maxlen=REPLAYED)

    @staticmethod
    def _now() -> tuple[int, int]:
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return sys.getallocatedblocks(), pages * resource.getpagesize()

    def judged(self, schema: Schema, frame: bytes, fragment: bool = False) -> None:
        """Say that a frame has been judged."""
        if len(frame) <= REPLAYED_LONGEST:
            self._last.append((schema, frame, fragment))
        if self._start is None and self._judge.tally.executed >= self._warm:
            self._start = self._now()

    def check(self) -> int:
        """How many blocks are held more; an error beyond what a run of any length may add."""
        grown = 0
        if self._start is not None:
            blocks, resident = self._now()
            grown = blocks - self._start[0]
            frames = self._judge.tally.executed - self._warm
            self._hold(grown, resident - self._start[1], frames, max(GROWTH_BLOCKS, int(frames * GROWTH_PER_FRAME)))
        judge = Judge(self._judge.patience)
        frames = list(self._last)
        blocks = resident = 0
        for again in (False, True):
            if again:
                blocks, resident = self._now()
            for frame in frames:
                judge.judge(*frame)
        last, size = self._now()
        self._hold(last - blocks, size - resident, len(frames), REPLAY_BLOCKS)
        return max(grown, last - blocks, 0)

    @staticmethod
    def _hold(blocks: int, resident: int, frames: int, most: int) -> None:
        if blocks > most or resident > GROWTH_BYTES:
            raise AssertionError(
                f"growth: {frames} frames left {blocks} blocks and {resident} bytes behind "
                f"(at most {most} and {GROWTH_BYTES})"
            )
