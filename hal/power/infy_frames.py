"""Infypower BEG / BEC protocol V1.04 (Phoenix Contact TRIO-HP BI "GCP V1.00"): frames and registers. Pure functions.

29-bit identifier: error [28:26] | device [25:22] | command [21:16] | destination [15:8] | source [7:0]. Controller
0xF0, modules 0..60, broadcast 0x3F; device 0x0A module or broadcast, 0x0B group. Command 0x23 read, 0x24 write. Eight
data bytes: register (2), zero (2), value (4, big endian). An answer swaps source and destination.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass

CONTROLLER = 0xF0
BROADCAST = 0x3F
DEVICE_MODULE, DEVICE_GROUP = 0x0A, 0x0B
READ, WRITE = 0x23, 0x24

ON, OFF = 0xA0, 0xA1
MODE_RECTIFIER, MODE_INVERTER, MODE_OFF_GRID = 0xA0, 0xA1, 0xA2

STARTING = 7
ERRORS = {2: "command invalid", 3: "data invalid", 4: "address invalid", STARTING: "still starting"}


class Register(enum.IntEnum):
    """Sub-registers by what they mean. 11 31, 11 32 and 11 10 mean one thing when read and another when written."""

    GROUP_VOLTAGE_MV = 0x1001
    GROUP_CURRENT_MA = 0x1002
    MODULE_COUNT = 0x1010
    VOLTAGE_MV = 0x1101
    CURRENT_MA = 0x1102
    STATUS = 0x1110  # read: state bytes; written: on / off
    INVERTER = 0x1111
    MAX_VOLTAGE_MV = 0x1130
    MIN_VOLTAGE_MV = 0x1131  # written: upper voltage limit in discharge
    MAX_CURRENT_MA = 0x1132  # written: discharge cut-off voltage
    RATED_POWER_MW = 0x1133
    WORKING_MODE = 0x2110
    COUNTRY_CODE = 0x31C1


UPPER_LIMIT_MV = Register.MIN_VOLTAGE_MV
DISCHARGE_FLOOR_MV = Register.MAX_CURRENT_MA

# Bits of the state bytes that mean "this module has a fault". Sleeping, off, walk-in, power limiting, load sharing and
# PFC off are states, not faults.
_STATUS_FAULTS: tuple[tuple[int, str], ...] = (
    (0, "output short circuit"),
    (3, "input or bus abnormal"),
    (5, "discharge abnormal"),
    (6, "air duct or discharge abnormal"),  # the two documents disagree on bits 6 and 7
    (7, "communication or discharge abnormal"),
    (8 + 1, "fault"),
    (8 + 2, "protection"),
    (8 + 3, "fan fault"),
    (8 + 4, "over-temperature"),
    (8 + 5, "output over-voltage"),
    (16 + 1, "module address used twice"),
    (16 + 3, "input phase lost"),
    (16 + 4, "input phases unbalanced"),
    (16 + 5, "input under-voltage"),
    (16 + 6, "input over-voltage"),
)
_DC_OFF = 1 << 8
_CAN_INTERRUPTED = 1 << 8 + 7
_INVERTER_FAULTS: tuple[tuple[int, str], ...] = (
    (1, "AC overload"),
    (8 + 0, "off-grid"),
    (8 + 1, "overload"),
    (8 + 3, "islanding detected"),
    (8 + 4, "emergency stop input"),
)


@dataclass(frozen=True, slots=True)
class Frame:
    """A decoded frame. `value` is unsigned; `error` 0 = ok."""

    error: int
    device: int
    command: int
    destination: int
    source: int
    register: int
    value: int


def identifier(command: int, destination: int, device: int = DEVICE_MODULE) -> int:
    """Identifier of a frame from the controller."""
    return device << 22 | command << 16 | destination << 8 | CONTROLLER


def payload(register: int, value: int = 0) -> bytes:
    """Eight data bytes. Raises ValueError when the value does not fit 32 bits unsigned."""
    if not 0 <= value <= 0xFFFFFFFF:
        raise ValueError(f"register {register:04X} cannot hold {value}")
    return struct.pack(">HHI", register, 0, value)


def decode(can_id: int, data: bytes) -> Frame | None:
    """The frame, or None when it is none of this protocol (other command, wrong length)."""
    command = can_id >> 16 & 0x3F
    device = can_id >> 22 & 0x0F
    if len(data) != 8 or command not in (READ, WRITE) or device not in (DEVICE_MODULE, DEVICE_GROUP):
        return None
    register, _, value = struct.unpack(">HHI", data)
    return Frame(can_id >> 26 & 0x07, device, command, can_id >> 8 & 0xFF, can_id & 0xFF, register, value)


def signed(value: int) -> int:
    return value - (1 << 32) if value & 0x80000000 else value


def dc_on(status: int) -> bool:
    return not status & _DC_OFF


def status_faults(status: int) -> list[str]:
    found = [text for bit, text in _STATUS_FAULTS if status >> bit & 1]
    # A module that is off only remembers that it was alone once: who reads this bit is talking with it again, and the
    # documents do not say what clears it. A module that feeds although it says so is wrong.
    if can_interrupted(status) and dc_on(status):
        found.append("CAN interrupted")
    return list(dict.fromkeys(found))


def can_interrupted(status: int) -> bool:
    """True when the module heard nobody for 10 s and switched itself off; may stay set after the talk went on."""
    return bool(status & _CAN_INTERRUPTED)


def inverting(inverter: int) -> bool:
    """True while the module works from DC to AC."""
    return bool(inverter & 1)


def inverter_faults(inverter: int) -> list[str]:
    return [text for bit, text in _INVERTER_FAULTS if inverter >> bit & 1]
