"""What happened in the plant, as data that the referee reads. Facts of the physical world, no opinion."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ContactorMoved:
    """`which` is "evse" or "ev". Voltages just before the contacts moved; `current_a` is what they carried (signed)."""

    at_s: float
    which: str
    closed: bool
    supply_side_v: float
    line_side_v: float
    current_a: float


@dataclass(frozen=True, slots=True)
class ConnectorMoved:
    """Plugged or pulled, with the higher of both voltages at the contacts at that moment."""

    at_s: float
    plugged: bool
    voltage_v: float


@dataclass(frozen=True, slots=True)
class ModeWritten:
    """Somebody asked a power module for another working mode; `accepted` is what the module made of it."""

    at_s: float
    module: str
    was: str
    wanted: str
    on: bool
    current_a: float
    accepted: bool


@dataclass(frozen=True, slots=True)
class IsolationMeasured:
    """The isolation monitor finished one valid measuring cycle; `lowest_v` is the least outlet voltage during it."""

    at_s: float
    resistance_ohm: float
    lowest_v: float
    evse_closed: bool
    ev_closed: bool


@dataclass(frozen=True, slots=True)
class BusOverrun:
    """A CAN node offered more than its bus can carry."""

    at_s: float
    bus: str
    detail: str


Event = ContactorMoved | ConnectorMoved | ModeWritten | IsolationMeasured | BusOverrun
