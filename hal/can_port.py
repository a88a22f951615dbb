"""A CAN bus as the drivers see it: send and receive extended data frames, never blocking.

`PythonCanPort` puts any python-can bus behind it (socketcan, virtual, ...). `SlcanPort` speaks the serial-line CAN
text protocol (CANable, USBtin, a pty) itself: python-can's own slcan backend drains the line after each frame and
reads byte by byte with a time-out, which a control loop cannot afford. Both are the same on the wire.

slcan: `T` + 8 hex digits of identifier + length + data in hex + CR is one extended frame; `C` closes, `S4` sets
125 kbit/s, `O` opens; the adapter answers CR, BEL for an error, or `Z`/`z` + CR for a frame sent.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from hal.api import DeviceError
from hal.channel import ByteChannel
from hal.serial_port import SerialPort

if TYPE_CHECKING:
    import can

_SLCAN_RATES = {
    10_000: "S0",
    20_000: "S1",
    50_000: "S2",
    100_000: "S3",
    125_000: "S4",
    250_000: "S5",
    500_000: "S6",
    800_000: "S7",
    1_000_000: "S8",
}
_LONGEST_LINE = 64
_REOPEN_AFTER_S = 1.0
_LONGEST_PAUSE_S = 10.0


class CanPort(Protocol):
    """One end of a CAN bus. No method blocks or raises for a bus that is down."""

    def send(self, can_id: int, data: bytes) -> bool:
        """Hand one extended data frame to the controller. False when it did not take it."""
        ...

    def receive(self) -> tuple[int, bytes] | None:
        """The next extended data frame that has arrived; None when there is none."""
        ...

    def problem(self) -> str | None: ...

    def close(self) -> None: ...


class PythonCanPort:
    """A python-can bus. With `reopen` a bus that keeps failing is shut down and opened again, with growing pauses."""

    def __init__(
        self,
        bus: can.BusABC,
        reopen: Callable[[], can.BusABC] | None = None,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        import can

        self._can = can
        self._bus: can.BusABC | None = bus
        self._reopen = reopen
        self._clock_s = clock_s
        self._problem: str | None = None
        self._failing_since_s: float | None = None
        self._retry_at_s = 0.0
        self._pause_s = _REOPEN_AFTER_S

    def send(self, can_id: int, data: bytes) -> bool:
        bus = self._ready()
        if bus is None:
            return False
        try:
            bus.send(self._can.Message(arbitration_id=can_id, data=data, is_extended_id=True), timeout=0.0)
        except (self._can.CanError, OSError) as error:
            self._failed(error)
            return False
        self._problem = None
        self._failing_since_s = None
        return True

    def receive(self) -> tuple[int, bytes] | None:
        bus = self._ready()
        if bus is None:
            return None
        try:
            while True:
                message = bus.recv(timeout=0.0)
                if message is None:
                    return None
                if message.is_extended_id and not message.is_remote_frame and not message.is_error_frame:
                    return message.arbitration_id, bytes(message.data)
        except (self._can.CanError, OSError) as error:
            self._failed(error)
            return None

    def problem(self) -> str | None:
        return self._problem

    def close(self) -> None:
        if self._bus is not None:
            self._bus.shutdown()
            self._bus = None
        self._reopen = None

    def _failed(self, error: Exception) -> None:
        self._problem = f"CAN bus: {error}"
        if self._failing_since_s is None:
            self._failing_since_s = self._clock_s()

    def _ready(self) -> can.BusABC | None:
        now_s = self._clock_s()
        failing = self._failing_since_s is not None and now_s - self._failing_since_s > _REOPEN_AFTER_S
        if self._reopen is None or (self._bus is not None and not failing) or now_s < self._retry_at_s:
            return self._bus
        self._retry_at_s = now_s + self._pause_s
        self._pause_s = min(self._pause_s * 2, _LONGEST_PAUSE_S)
        try:
            if self._bus is not None:
                old, self._bus = self._bus, None
                old.shutdown()
            self._bus = self._reopen()
            self._failing_since_s = None
            self._pause_s = _REOPEN_AFTER_S
        except (self._can.CanError, OSError, ValueError) as error:
            self._failed(error)
        return self._bus


class SlcanPort:
    """The slcan text protocol over a byte channel. Raises ValueError for a bit rate the protocol has no letter for."""

    def __init__(self, channel: ByteChannel, bitrate: int = 125_000) -> None:
        letter = _SLCAN_RATES.get(bitrate)
        if letter is None:
            raise ValueError(f"slcan knows no bit rate {bitrate}; it has {', '.join(map(str, _SLCAN_RATES))}")
        self._channel = channel
        self._set_up = f"C\r{letter}\rO\r".encode()
        self._line = bytearray()
        self._frames: deque[tuple[int, bytes]] = deque()
        self._was_down = False
        channel.write(self._set_up)

    def send(self, can_id: int, data: bytes) -> bool:
        self._heal()
        self._channel.write(f"T{can_id:08X}{len(data)}{data.hex().upper()}\r".encode())
        return self._channel.problem() is None

    def receive(self) -> tuple[int, bytes] | None:
        if not self._frames:
            self._heal()
            for byte in self._channel.read():
                if byte in (0x0D, 0x07):
                    frame = _parse(bytes(self._line))
                    if frame is not None:
                        self._frames.append(frame)
                    self._line.clear()
                elif len(self._line) < _LONGEST_LINE:
                    self._line.append(byte)
        return self._frames.popleft() if self._frames else None

    def problem(self) -> str | None:
        return self._channel.problem()

    def close(self) -> None:
        self._channel.write(b"C\r")
        self._channel.close()

    def _heal(self) -> None:
        """An adapter that was unplugged forgot its bit rate: open it again once the line is back."""
        down = self._channel.problem() is not None
        if self._was_down and not down:
            self._line.clear()
            self._channel.write(self._set_up)
        self._was_down = down


def open_port(interface: str, channel: str, bitrate: int, tty_baudrate: int) -> CanPort:
    """The bus by python-can's name of its interface, or `slcan` on the serial line `channel`. Raises DeviceError."""
    if interface == "slcan":
        line = SerialPort(channel, tty_baudrate)
        line.open()
        return SlcanPort(line, bitrate)
    import can

    def open_bus() -> can.BusABC:
        return can.Bus(interface=interface, channel=channel, bitrate=bitrate)

    try:
        return PythonCanPort(open_bus(), open_bus)
    except (can.CanError, OSError, ValueError, ImportError) as error:
        raise DeviceError(f"{interface} {channel}", str(error)) from error


def _parse(line: bytes) -> tuple[int, bytes] | None:
    """The extended data frame in one slcan line; None for everything else (answers, standard and damaged frames)."""
    start = line.rfind(b"T")  # an answer letter or half a line may stand before it
    if start < 0 or len(line) - start < 10:
        return None
    try:
        can_id = int(line[start + 1 : start + 9], 16)
        length = int(line[start + 9 : start + 10])
        data = bytes.fromhex(line[start + 10 :].decode("ascii"))
    except ValueError:
        return None
    if length > 8 or can_id > 0x1FFFFFFF or len(data) != length:
        return None
    return can_id, data
