"""A CAN bus at its real bit rate: every frame takes its bits, the lowest identifier wins, queues are bounded."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

_CRC_POLYNOMIAL = 0x4599
_TRAILER_BITS = 1 + 2 + 7 + 3  # CRC delimiter, acknowledge slot and delimiter, end of frame, interframe space


@dataclass(frozen=True, slots=True)
class Frame:
    """One classic CAN data frame."""

    identifier: int
    data: bytes
    extended: bool = True


@lru_cache(maxsize=4096)
def frame_bits(frame: Frame) -> int:
    """Bits on the wire including stuff bits and the interframe space of ISO 11898-1."""
    if frame.extended:
        fields = [(0, 1), (frame.identifier >> 18, 11), (0b11, 2), (frame.identifier & 0x3FFFF, 18), (0, 3)]
    else:
        fields = [(0, 1), (frame.identifier, 11), (0, 3)]
    fields.append((len(frame.data), 4))
    fields.extend((byte, 8) for byte in frame.data)
    bits = [value >> shift & 1 for value, width in fields for shift in range(width - 1, -1, -1)]
    crc = 0
    for bit in bits:
        top = crc >> 14 & 1
        crc = (crc << 1 & 0x7FFF) ^ (_CRC_POLYNOMIAL if bit ^ top else 0)
    bits.extend(crc >> shift & 1 for shift in range(14, -1, -1))
    stuffed, run, last = 0, 0, None
    for bit in bits:
        run = run + 1 if bit == last else 1
        last = bit
        if run == 5:
            stuffed += 1
            run, last = 1, 1 - bit
    return len(bits) + stuffed + _TRAILER_BITS


class CanNode:
    """One controller on the bus with a first-in first-out transmit queue of `depth` frames."""

    def __init__(self, bus: CanBus, name: str, receive: Callable[[Frame, float], None], depth: int) -> None:
        self.name = name
        self.receive = receive
        self.depth = depth
        self.queue: deque[tuple[float, Frame]] = deque()
        self.lost = 0
        self._bus = bus

    def send(self, frame: Frame, ready_at_s: float) -> bool:
        """Queue a frame that is ready at that time; False (and lost) when the queue is full."""
        return self._bus.offer(self, frame, ready_at_s)


class CanBus:
    """`poll(now)` moves frames. `load` is the busy share of the last second, 0..1.

    `on_overrun(detail, at_s)` hears when a queue overflows, or when more bits are offered in a second than fit.
    """

    def __init__(self, bitrate: int = 125_000, on_overrun: Callable[[str, float], None] | None = None) -> None:
        if bitrate <= 0:
            raise ValueError("bitrate must be > 0")
        self.bitrate = bitrate
        self.dead = False
        self.loss = 0.0
        self.frames = 0
        self.peak_load = 0.0
        self.log: list[tuple[float, str, Frame]] | None = None
        self._on_overrun = on_overrun
        self._nodes: list[CanNode] = []
        self._free_at_s = float("-inf")
        self._flying: tuple[float, CanNode, Frame] | None = None
        self._busy: deque[tuple[float, int]] = deque()
        self._busy_bits = 0
        self._offered: deque[tuple[float, int]] = deque()
        self._offered_bits = 0
        self._over = False
        self._random = random.Random(7)

    def attach(self, name: str, receive: Callable[[Frame, float], None], depth: int = 64) -> CanNode:
        node = CanNode(self, name, receive, depth)
        self._nodes.append(node)
        return node

    @property
    def load(self) -> float:
        return self._busy_bits / self.bitrate

    def offer(self, node: CanNode, frame: Frame, ready_at_s: float) -> bool:
        bits = frame_bits(frame)
        self._offered.append((ready_at_s, bits))
        self._offered_bits += bits
        while self._offered and self._offered[0][0] < ready_at_s - 1.0:
            self._offered_bits -= self._offered.popleft()[1]
        if self._offered_bits > self.bitrate:
            if not self._over:
                self._overrun(f"{self._offered_bits} bits offered in one second at {self.bitrate} bit/s", ready_at_s)
            self._over = True
        else:
            self._over = False
        if len(node.queue) >= node.depth:
            node.lost += 1
            self._overrun(f"queue of {node.name} is full ({node.depth} frames)", ready_at_s)
            return False
        node.queue.append((ready_at_s, frame))
        return True

    def _overrun(self, detail: str, at_s: float) -> None:
        if self._on_overrun is not None:
            self._on_overrun(detail, at_s)

    def poll(self, now_s: float) -> None:
        """Carry everything that fits until `now_s`; a received frame may queue answers that still fit."""
        while True:
            if self._flying is not None:
                if self._flying[0] > now_s + 1e-12:
                    break
                self._land(*self._flying)
                self._flying = None
            elif not self._start(now_s):
                break
        while self._busy and self._busy[0][0] < now_s - 1.0:
            self._busy_bits -= self._busy.popleft()[1]
        self.peak_load = max(self.peak_load, self.load)

    def _start(self, now_s: float) -> bool:
        waiting = [node for node in self._nodes if node.queue]
        if not waiting:
            return False
        start_s = max(self._free_at_s, min(node.queue[0][0] for node in waiting))
        if start_s > now_s + 1e-12:
            return False
        ready = [node for node in waiting if node.queue[0][0] <= start_s + 1e-12]
        winner = min(ready, key=lambda node: _priority(node.queue[0][1]))
        frame = winner.queue.popleft()[1]
        bits = frame_bits(frame)
        end_s = start_s + bits / self.bitrate
        self._free_at_s = end_s
        self._busy.append((end_s, bits))
        self._busy_bits += bits
        self._flying = (end_s, winner, frame)
        return True

    def _land(self, at_s: float, sender: CanNode, frame: Frame) -> None:
        if self.dead or (self.loss > 0 and self._random.random() < self.loss):
            return
        self.frames += 1
        if self.log is not None:
            self.log.append((at_s, sender.name, frame))
        for node in self._nodes:
            if node is not sender:
                node.receive(frame, at_s)


def _priority(frame: Frame) -> tuple[int, int, int]:
    """Arbitration: the 11 leading bits first, then a standard frame beats an extended one, then the remaining 18."""
    if frame.extended:
        return (frame.identifier >> 18, 1, frame.identifier & 0x3FFFF)
    return (frame.identifier, 0, 0)
