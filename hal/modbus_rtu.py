"""Modbus RTU frames: requests for function codes 3, 4, 6 and 16, their answers, and exceptions. Pure functions.

Frame: unit (1..247), function, data, CRC-16 (polynomial 0xA001 reflected, start 0xFFFF, low byte first). Registers
are big endian. Source: Modbus Application Protocol V1.1b3 and Modbus over Serial Line V1.02.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

READ_HOLDING = 3
READ_INPUT = 4
WRITE_SINGLE = 6
WRITE_MULTIPLE = 16

EXCEPTIONS = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "device failure",
    5: "acknowledge, still working",
    6: "device busy",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target does not answer",
}


def _table() -> tuple[int, ...]:
    rows = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ 0xA001 if value & 1 else value >> 1
        rows.append(value)
    return tuple(rows)


_CRC_TABLE = _table()


def crc16(data: bytes | bytearray | memoryview) -> int:
    crc = 0xFFFF
    for byte in data:
        crc = (crc >> 8) ^ _CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc


def frame(unit: int, pdu: bytes) -> bytes:
    """`pdu` with unit and CRC around it, as it goes onto the line."""
    body = bytes((unit,)) + pdu
    return body + struct.pack("<H", crc16(body))


@dataclass(frozen=True, slots=True)
class Request:
    """One request: `values` empty for a read of `count` registers from `address` (wire address, 0-based)."""

    unit: int
    function: int
    address: int
    count: int
    values: tuple[int, ...] = ()

    def encode(self) -> bytes:
        head = struct.pack(">BH", self.function, self.address)
        if self.function in (READ_HOLDING, READ_INPUT):
            return frame(self.unit, head + struct.pack(">H", self.count))
        if self.function == WRITE_SINGLE:
            return frame(self.unit, head + struct.pack(">H", self.values[0]))
        data = struct.pack(f">{len(self.values)}H", *self.values)
        return frame(self.unit, head + struct.pack(">HB", len(self.values), len(data)) + data)

    @property
    def answer_length(self) -> int:
        """Length in bytes of a good answer, CRC included."""
        return 5 + 2 * self.count if self.function in (READ_HOLDING, READ_INPUT) else 8


def read_request(unit: int, function: int, address: int, count: int) -> Request:
    """A read. Raises ValueError outside the protocol's 1..125 registers."""
    if function not in (READ_HOLDING, READ_INPUT) or not 1 <= count <= 125 or not 0 <= address <= 0x10000 - count:
        raise ValueError(f"Modbus read fc {function} of {count} registers at {address} is impossible")
    return Request(unit, function, address, count)


def write_request(unit: int, address: int, values: Sequence[int], single: bool = False) -> Request:
    """A write with FC16, or FC6 with `single`. Raises ValueError outside the protocol's 1..123 registers."""
    if not 1 <= len(values) <= (1 if single else 123) or not all(0 <= value <= 0xFFFF for value in values):
        raise ValueError(f"Modbus write of {len(values)} registers at {address} is impossible")
    return Request(unit, WRITE_SINGLE if single else WRITE_MULTIPLE, address, len(values), tuple(values))


@dataclass(frozen=True, slots=True)
class Answer:
    """What a device said: `registers` of a read (empty for a write), or the exception code."""

    registers: tuple[int, ...]
    exception: int | None = None


def find_answer(request: Request, received: bytes | bytearray) -> Answer | None:
    """The answer to `request` in `received`, None while there is none (yet).

    Line noise before the frame is skipped: every offset at which unit and function fit is tried, and only a frame with
    the right length, echo and CRC counts. A frame of another unit, another function or another length is never taken.
    """
    for start in range(max(0, len(received) - 4)):
        if received[start] != request.unit:
            continue
        function = received[start + 1]
        if function == request.function | 0x80:
            length = 5
        elif function == request.function:
            length = request.answer_length
        else:
            continue
        candidate = received[start : start + length]
        if len(candidate) < length or crc16(candidate[:-2]) != candidate[-2] | candidate[-1] << 8:
            continue
        if function != request.function:
            return Answer((), candidate[2])
        if function in (READ_HOLDING, READ_INPUT):
            if candidate[2] == 2 * request.count:
                return Answer(struct.unpack(f">{request.count}H", candidate[3:-2]))
        elif bytes(candidate[:6]) == request.encode()[:6]:
            return Answer(())
    return None


def f32(high: int, low: int) -> float:
    """IEEE-754 single from two registers, high word first."""
    value: float = struct.unpack(">f", struct.pack(">HH", high, low))[0]
    return value


def i16(register: int) -> int:
    return register - 0x10000 if register & 0x8000 else register


def u32(high: int, low: int) -> int:
    return high << 16 | low
