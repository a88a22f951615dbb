"""Small devices for driver tests: scripted answers by bytes, no simulation of physics."""

from __future__ import annotations

import struct
from collections.abc import Callable

import can

from hal import modbus_rtu
from hal.channel import MemoryChannel, memory_pair
from hal.modbus import ModbusBus
from hal.modbus_rtu import frame

STEP_S = 0.01


def modbus_line(baudrate: int = 9600) -> tuple[ModbusBus, MemoryChannel]:
    ours, theirs = memory_pair()
    return ModbusBus(lambda: ours, baudrate), theirs


class RegisterDevice:
    """A Modbus device that answers at once from a register table; `mute` makes it silent."""

    def __init__(self, line: MemoryChannel, unit: int, registers: dict[int, int]) -> None:
        self.line = line
        self.unit = unit
        self.registers = dict(registers)
        self.mute = False
        self.writes: list[tuple[int, tuple[int, ...]]] = []
        self.requests: list[bytes] = []
        self.refuse: dict[int, int] = {}

    def poll(self) -> None:
        data = self.line.read()
        if not data or data[0] != self.unit:
            return
        self.requests.append(data)
        if not self.mute:
            self.line.write(self.answer(data))

    def answer(self, data: bytes) -> bytes:
        function, address, count = struct.unpack(">BHH", data[1:6])
        if address in self.refuse:
            return frame(self.unit, bytes((function | 0x80, self.refuse[address])))
        if function in (3, 4):
            values = [self.registers.get(address + index, 0) for index in range(count)]
            return frame(self.unit, struct.pack(f">BB{count}H", function, 2 * count, *values))
        if function == 16:
            values = list(struct.unpack(f">{count}H", data[7:-2]))
            self.writes.append((address, tuple(values)))
            self.registers.update({address + index: value for index, value in enumerate(values)})
        return frame(self.unit, data[1:6])


def f32_words(value: float) -> tuple[int, int]:
    high, low = struct.unpack(">HH", struct.pack(">f", value))
    return high, low


def run(poll: Callable[[float], None], others: Callable[[float], None], start_s: float, seconds: float) -> float:
    """Steps of 10 ms: the driver, then the other side. Returns the time after."""
    now_s = start_s
    for index in range(1, round(seconds / STEP_S) + 1):
        now_s = start_s + index * STEP_S
        poll(now_s)
        others(now_s)
    return now_s


class FakeBus(can.BusABC):
    """A python-can bus without a wire: `sent` frames with their times, `inbox` what the driver will receive."""

    def __init__(self) -> None:
        super().__init__(channel="fake")
        self._is_shutdown = True  # nothing to shut down, so no warning about it
        self.now_s = 0.0
        self.sent: list[tuple[float, int, bytes]] = []
        self.inbox: list[can.Message] = []
        self.broken: str | None = None

    def send(self, msg: can.Message, timeout: float | None = None) -> None:
        if self.broken is not None:
            raise can.CanOperationError(self.broken)
        assert msg.is_extended_id
        self.sent.append((self.now_s, msg.arbitration_id, bytes(msg.data)))

    def _recv_internal(self, timeout: float | None) -> tuple[can.Message | None, bool]:
        if self.broken is not None:
            raise can.CanOperationError(self.broken)
        return (self.inbox.pop(0), False) if self.inbox else (None, False)

    def put(self, can_id: int, data: bytes, extended: bool = True) -> None:
        self.inbox.append(can.Message(arbitration_id=can_id, data=data, is_extended_id=extended))


__all__ = ["STEP_S", "FakeBus", "RegisterDevice", "f32_words", "modbus_line", "modbus_rtu", "run"]
