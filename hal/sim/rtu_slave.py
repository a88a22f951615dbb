"""Modbus RTU slaves on one simulated RS-485 line, with character timing; written apart from the drivers' own codec."""

from __future__ import annotations

import struct
from typing import Protocol

from hal.channel import ByteChannel
from hal.sim.faults import Faults
from hal.sim.line import TimedLine

READ_HOLDING = 3
READ_INPUT = 4
WRITE_ONE = 6
WRITE_MANY = 16

ILLEGAL_FUNCTION = 1
ILLEGAL_ADDRESS = 2
ILLEGAL_VALUE = 3


def checksum(data: bytes) -> int:
    """CRC-16 of Modbus (polynomial 0xA001 reflected, start 0xFFFF); sent low byte first."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
    return crc


def sealed(data: bytes) -> bytes:
    return data + struct.pack("<H", checksum(data))


class ModbusError(Exception):
    """A device refuses a request with this exception code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"modbus exception {code}")
        self.code = code


class RtuDevice(Protocol):
    """What a device offers to its line."""

    unit: int
    faults: Faults
    turnaround_s: float

    def poll(self, now_s: float) -> None: ...

    def read(self, function: int, address: int, count: int) -> list[int]:
        """Register values, or ModbusError."""
        ...

    def write(self, function: int, address: int, values: list[int]) -> None:
        """Take register values, or ModbusError."""
        ...


class RtuLine:
    """Frames, addresses and times. A device never starts its answer before the request's last character plus its
    turnaround; a wrong unit, a bad checksum or noise is met with silence."""

    def __init__(self, channel: ByteChannel, baudrate: int, bits_per_char: int = 10) -> None:
        self._line = TimedLine(channel, baudrate, bits_per_char)
        self._devices: dict[int, RtuDevice] = {}
        self._inbox = bytearray()
        self._first_at_s = 0.0
        self._grown_at_s = 0.0
        self.requests = 0

    def add(self, device: RtuDevice) -> None:
        if device.unit in self._devices:
            raise ValueError(f"unit {device.unit} is taken on this line")
        self._devices[device.unit] = device

    def poll(self, now_s: float) -> None:
        arrived = self._line.take()
        if arrived:
            if not self._inbox:
                self._first_at_s = now_s
            self._inbox += arrived
            self._grown_at_s = now_s
        for device in self._devices.values():
            device.faults.now_s = now_s
            device.poll(now_s)
        self._serve(now_s)
        self._line.poll(now_s)

    def _serve(self, now_s: float) -> None:
        char_s = self._line.char_s
        if not self._inbox:
            return
        end_s = self._first_at_s + len(self._inbox) * char_s
        wanted = _request_length(self._inbox)
        if wanted is None or len(self._inbox) < wanted:
            # Garbage or a torn request: forgotten after a silence, generous because a host's scheduler tears too.
            if now_s > max(end_s, self._grown_at_s) + max(3.5 * char_s, 0.05):
                self._inbox.clear()
            return
        if now_s + 1e-9 < self._first_at_s + wanted * char_s:
            return
        request = bytes(self._inbox[:wanted])
        self._inbox.clear()
        if checksum(request[:-2]) != struct.unpack("<H", request[-2:])[0]:
            return
        self.requests += 1
        arrived_s = self._first_at_s + wanted * char_s
        for unit in sorted(self._devices) if request[0] == 0 else [request[0]]:
            device = self._devices.get(unit)
            if device is None or device.faults.active("silent"):
                continue
            answer = _answer(device, request)
            if request[0] != 0:
                if device.faults.active("corrupt"):
                    answer = answer[:-1] + bytes([answer[-1] ^ 0x01])
                self._line.send(answer, arrived_s + 3.5 * char_s + device.turnaround_s + device.faults.delay_s)


def _request_length(data: bytes | bytearray) -> int | None:
    if len(data) < 2:
        return None
    if data[1] == WRITE_MANY:
        return 9 + data[6] if len(data) >= 7 else None
    return 8


def _answer(device: RtuDevice, request: bytes) -> bytes:
    unit, function = request[0], request[1]
    address, word = struct.unpack(">HH", request[2:6])
    try:
        if function in (READ_HOLDING, READ_INPUT):
            if not 1 <= word <= 125:
                raise ModbusError(ILLEGAL_VALUE)
            values = device.read(function, address, word)
            body = struct.pack(f">BBB{word}H", unit, function, 2 * word, *values)
        elif function == WRITE_ONE:
            device.write(function, address, [word])
            body = request[:6]
        elif function == WRITE_MANY:
            if not 1 <= word <= 123 or request[6] != 2 * word:
                raise ModbusError(ILLEGAL_VALUE)
            device.write(function, address, list(struct.unpack(f">{word}H", request[7:-2])))
            body = request[:6]
        else:
            raise ModbusError(ILLEGAL_FUNCTION)
    except ModbusError as error:
        body = bytes([unit, function | 0x80, error.code])
    return sealed(body)


def float_words(value: float) -> tuple[int, int]:
    """IEEE-754 single as two registers, high word first."""
    high, low = struct.unpack(">HH", struct.pack(">f", value))
    return high, low
