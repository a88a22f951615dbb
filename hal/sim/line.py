"""A serial line at its real speed: bytes leave one by one, and a request has arrived only when its last bit has."""

from __future__ import annotations

from collections import deque

from hal.channel import ByteChannel


class TimedLine:
    """The device's end of a serial line. `bits_per_char` counts start, data, parity and stop bits."""

    def __init__(self, channel: ByteChannel, baudrate: int, bits_per_char: int = 10) -> None:
        if baudrate <= 0:
            raise ValueError("baudrate must be > 0")
        self.char_s = bits_per_char / baudrate
        self._channel = channel
        self._outgoing: deque[tuple[float, int]] = deque()
        self._free_at_s = 0.0

    def take(self) -> bytes:
        """Bytes that arrived since the last call."""
        return self._channel.read()

    def send(self, data: bytes, not_before_s: float) -> None:
        """Queue `data`; its first character starts at `not_before_s` or when the line is free."""
        at_s = max(not_before_s, self._free_at_s)
        for byte in data:
            at_s += self.char_s
            self._outgoing.append((at_s, byte))
        self._free_at_s = at_s

    def poll(self, now_s: float) -> None:
        """Hand over every character whose last bit is out."""
        ready = bytearray()
        while self._outgoing and self._outgoing[0][0] <= now_s + 1e-9:
            ready.append(self._outgoing.popleft()[1])
        if ready:
            self._channel.write(bytes(ready))

    def drop(self) -> None:
        """Forget what was not sent yet (the device lost its supply)."""
        self._outgoing.clear()
        self._free_at_s = 0.0
