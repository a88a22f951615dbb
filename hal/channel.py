"""Byte channels: the one thing the serial drivers need of the world below them.

A `ByteChannel` never blocks. `read` gives what has arrived (b"" when nothing has), `write` takes everything and sends
as fast as the line allows. Real lines are `hal.serial_port.SerialPort`; `memory_pair` gives two joined ends in memory,
so that a whole bus runs in virtual time.
"""

from __future__ import annotations

from typing import Protocol


class ByteChannel(Protocol):
    """One end of a full-duplex byte stream. No method blocks or raises for a line that is down."""

    def read(self) -> bytes:
        """All bytes that have arrived since the last call; b"" when there are none or the line is down."""
        ...

    def write(self, data: bytes) -> None:
        """Queue `data` for sending. A line that is down swallows it: the protocol above sees a time-out."""
        ...

    def problem(self) -> str | None:
        """What is wrong with the line, in words; None when it is up."""
        ...

    def close(self) -> None: ...


class MemoryChannel:
    """One end of a `memory_pair`. `cut` simulates a pulled cable: both directions drop their bytes until `mend`."""

    def __init__(self) -> None:
        self._inbox = bytearray()
        self._peer: MemoryChannel | None = None
        self._cut = False

    def join(self, peer: MemoryChannel) -> None:
        self._peer = peer

    def read(self) -> bytes:
        data = bytes(self._inbox)
        self._inbox.clear()
        return data

    def write(self, data: bytes) -> None:
        if self._peer is not None and not self._cut and not self._peer._cut:
            self._peer._inbox += data

    def problem(self) -> str | None:
        return None if self._peer is not None else "channel is closed"

    def cut(self) -> None:
        self._cut = True

    def mend(self) -> None:
        self._cut = False

    def close(self) -> None:
        if self._peer is not None:
            self._peer._peer = None
        self._peer = None


def memory_pair() -> tuple[MemoryChannel, MemoryChannel]:
    """Two joined ends: what one writes, the other reads, at once and in order."""
    left, right = MemoryChannel(), MemoryChannel()
    left.join(right)
    right.join(left)
    return left, right
