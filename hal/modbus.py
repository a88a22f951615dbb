"""Modbus RTU master: one engine per RS-485 line, shared by all devices on it. Polled, never blocking.

One transaction at a time. Devices take turns (round robin), so that a silent one costs the others at most its
time-out, and after three time-outs in a row it is asked only once a second.

RTU answers carry no number, so a late answer looks like the answer to the next request. Against that: input is thrown
away before every request; a device that timed out is left alone for one more time-out, in which its late answer is
thrown away; and after its next good answer it is left alone once more, in case that one was the late answer and the
real one is still on its way. An answer after a gap in polling (the process was stopped) is thrown away too: its age
is unknown.

Bring-up: one silent device = its unit id, wiring or supply; all silent = A/B swapped, baud rate, parity, missing
120 ohm at both ends. `ModbusClient.problem` names which of them it looks like.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from hal import modbus_rtu
from hal.api import DeviceError
from hal.channel import ByteChannel
from hal.modbus_rtu import Request
from hal.options import Options
from hal.serial_port import SerialPort

_BITS_PER_BYTE = 11
_LONGEST_ANSWER = 256
_SILENT_AFTER = 3
_SILENT_PAUSE_S = 1.0
_STALE_POLL_S = 0.3
_QUEUE_LENGTH = 16


@dataclass(slots=True)
class Transaction:
    """One request and what became of it. Ends with either `registers` or `error`; `at_s` is when it ended."""

    request: Request
    done: bool = False
    registers: tuple[int, ...] = ()
    error: str | None = None
    at_s: float = 0.0

    @property
    def ok(self) -> bool:
        return self.done and self.error is None


@dataclass(slots=True, eq=False)
class ModbusClient:
    """One device on the bus. `gap_s` is the silence it needs after its answer, `timeout_s` until its answer starts."""

    unit: int
    timeout_s: float
    gap_s: float
    queue: deque[Transaction] = field(default_factory=deque)
    timeouts: int = 0
    hold_until_s: float = 0.0
    last_error: str | None = None

    def read(self, function: int, address: int, count: int) -> Transaction:
        return self._submit(modbus_rtu.read_request(self.unit, function, address, count))

    def write(self, address: int, values: Sequence[int]) -> Transaction:
        return self._submit(modbus_rtu.write_request(self.unit, address, values))

    def write_single(self, address: int, value: int) -> Transaction:
        return self._submit(modbus_rtu.write_request(self.unit, address, (value,), single=True))

    def problem(self) -> str | None:
        """What keeps this device from answering; None while it answers."""
        if self.timeouts >= _SILENT_AFTER:
            return f"unit {self.unit}: {self.last_error} ({self.timeouts} in a row)"
        return None

    def _submit(self, request: Request) -> Transaction:
        if len(self.queue) >= _QUEUE_LENGTH:
            raise RuntimeError(f"unit {self.unit}: a driver submits without waiting for its answers")
        transaction = Transaction(request)
        self.queue.append(transaction)
        return transaction


class ModbusBus:
    """The engine of one line. `make_channel` opens it (may raise DeviceError); `baudrate` only times the line."""

    def __init__(self, make_channel: Callable[[], ByteChannel], baudrate: int = 9600) -> None:
        if baudrate <= 0:
            raise ValueError(f"baud rate must be > 0, got {baudrate}")
        self.settings: ModbusOptions | None = None
        self._make_channel = make_channel
        self._channel: ByteChannel | None = None
        self._byte_s = _BITS_PER_BYTE / baudrate
        # 3.5 characters of silence end a frame; a fixed 1.75 ms above 19200 baud (Modbus over Serial Line 2.5.1.1).
        self._frame_gap_s = max(3.5 * self._byte_s, 0.00175)
        self._clients: list[ModbusClient] = []
        self._users: set[str] = set()
        self._next = 0
        self._current: tuple[ModbusClient, Transaction] | None = None
        self._received = bytearray()
        self._deadline_s = 0.0
        self._free_at_s = 0.0
        self._polled_s: float | None = None

    def client(self, unit: int, timeout_s: float = 0.2, gap_s: float = 0.005) -> ModbusClient:
        """A new device on this line. Raises ValueError when the unit is taken."""
        if any(other.unit == unit for other in self._clients):
            raise ValueError(f"unit {unit} is configured twice on the same Modbus line")
        if not 1 <= unit <= 247:
            raise ValueError(f"Modbus unit must be 1..247, got {unit}")
        client = ModbusClient(unit, timeout_s, gap_s)
        self._clients.append(client)
        return client

    def open(self, user: str = "modbus") -> None:
        """Open the line for the device named `user`. Raises DeviceError in that name."""
        if self._channel is None:
            try:
                self._channel = self._make_channel()
            except DeviceError as error:
                raise DeviceError(user, str(error)) from error
        self._users.add(user)

    def close(self, user: str = "modbus") -> None:
        """`user` is done; with the last one the line closes. Closing twice does no harm."""
        self._users.discard(user)
        if not self._users and self._channel is not None:
            self._channel.close()
            self._channel = None
            self._current = None

    def problem(self) -> str | None:
        if self._channel is None:
            return "Modbus line is not open"
        return self._channel.problem()

    def poll(self, now_s: float) -> None:
        """Take in what has arrived and send what is due. Every driver on the line calls it; more often does no harm."""
        if self._channel is None:
            return
        frozen = self._polled_s is not None and now_s - self._polled_s > _STALE_POLL_S
        self._polled_s = now_s
        if self._current is not None:
            client, transaction = self._current
            self._received += self._channel.read()
            self._finish(client, transaction, now_s, frozen)
        if self._current is None and now_s >= self._free_at_s:
            self._start(now_s)

    def _finish(self, client: ModbusClient, transaction: Transaction, now_s: float, frozen: bool) -> None:
        answer = None if frozen else modbus_rtu.find_answer(transaction.request, self._received)
        if answer is not None:
            if client.timeouts:
                client.hold_until_s = now_s + client.timeout_s
            client.timeouts = 0
            client.last_error = None
            if answer.exception is None:
                transaction.registers = answer.registers
            else:
                what = modbus_rtu.EXCEPTIONS.get(answer.exception, "unknown exception")
                transaction.error = f"device refuses: {what} (exception {answer.exception})"
        elif frozen or now_s >= self._deadline_s or len(self._received) > _LONGEST_ANSWER:
            client.timeouts += 1
            pause_s = client.timeout_s if client.timeouts < _SILENT_AFTER else max(client.timeout_s, _SILENT_PAUSE_S)
            client.hold_until_s = now_s + pause_s
            client.last_error = "garbled answer" if self._received else "no answer"
            transaction.error = client.last_error
        else:
            return
        transaction.done = True
        transaction.at_s = now_s
        client.queue.popleft()
        self._current = None
        self._free_at_s = now_s + max(self._frame_gap_s, client.gap_s)

    def _start(self, now_s: float) -> None:
        assert self._channel is not None  # poll checked
        for offset in range(len(self._clients)):
            index = (self._next + offset) % len(self._clients)
            client = self._clients[index]
            if not client.queue or now_s < client.hold_until_s:
                continue
            self._next = index + 1
            transaction = client.queue[0]
            self._channel.read()  # whatever still lies there answers nothing that we will ask now
            self._received.clear()
            data = transaction.request.encode()
            self._channel.write(data)
            self._current = (client, transaction)
            line_s = (len(data) + transaction.request.answer_length) * self._byte_s
            self._deadline_s = now_s + line_s + client.timeout_s
            return


@dataclass(slots=True)
class ModbusOptions:
    """How to reach one device, as every Modbus driver takes it from its options."""

    port: str
    unit: int
    baudrate: int
    parity: str
    stop_bits: int
    timeout_s: float


# A line lives as long as a driver on it does; the settings lie on the bus itself.
_lines: weakref.WeakValueDictionary[str, ModbusBus] = weakref.WeakValueDictionary()


def take_options(options: Options, unit: int, baudrate: int, parity: str) -> ModbusOptions:
    """The common options `port`, `unit`, `baudrate`, `parity`, `stop_bits`, `timeout_s`, with a device's defaults."""
    return ModbusOptions(
        port=options.text("port"),
        unit=options.integer("unit", unit, 1, 247),
        baudrate=options.integer("baudrate", baudrate, 1200, 1_000_000),
        parity=options.text("parity", parity, ("N", "E", "O")),
        stop_bits=options.integer("stop_bits", 1, 1, 2),
        timeout_s=options.number("timeout_s", 0.2, 0.02, 5.0),
    )


def shared_bus(options: Options, wanted: ModbusOptions) -> ModbusBus:
    """The one bus object of a port. Raises ValueError when two devices on it want different line settings."""
    known = _lines.get(wanted.port)
    if known is not None and known.settings is not None:
        for key in ("baudrate", "parity", "stop_bits"):
            ours, theirs = getattr(wanted, key), getattr(known.settings, key)
            if ours != theirs:
                raise options.error(key, f"is {ours}, but another device on {wanted.port} uses {theirs}")
        return known

    def make_channel() -> ByteChannel:
        port = SerialPort(wanted.port, wanted.baudrate, wanted.parity, wanted.stop_bits)
        port.open()
        return port

    bus = ModbusBus(make_channel, wanted.baudrate)
    bus.settings = wanted
    _lines[wanted.port] = bus
    return bus
