"""Value-added services as configuration: what is offered beside energy, and what their parameter sets say."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

INTERNET = 65
PARKING_STATUS = 66
# The parameter set of each port is fixed, whatever of them is offered.
INTERNET_SETS = {20: (1, "ftp"), 21: (2, "ftp"), 80: (3, "http"), 443: (4, "https")}
CHECK_IN, CHECK_OUT = 1, 2

ParameterValue = bool | int | float | str
"""Sent as boolValue, intValue, rationalNumber or finiteString."""

_LONGEST_NAME = 80
_MOST_SETS = 32
_SHORT = range(-(2**15), 2**15)
_INT = range(-(2**31), 2**31)
_ID = range(1, 2**16)
_LARGEST = 32_767e3  # what a rational number of the highest permitted exponent holds


@dataclass(frozen=True, slots=True)
class Internet:
    """Internet access for the vehicle: which ports it may use, and whether it costs nothing."""

    ports: tuple[int, ...] = (20, 21, 80, 443)
    free: bool = True

    def __post_init__(self) -> None:
        _distinct("internet ports", self.ports, INTERNET_SETS)

    def sets(self) -> dict[int, tuple[tuple[str, ParameterValue], ...]]:
        found = (INTERNET_SETS[port] + (port,) for port in self.ports)
        return {set_id: (("Protocol", protocol), ("Port", port)) for set_id, protocol, port in found}


@dataclass(frozen=True, slots=True)
class ParkingStatus:
    """Check-in and check-out of a parking space. `intended`: 1 check-in, 2 check-out; each is a set of that id.

    `status_type`: 1 automatic internal, 2 automatic external, 3 manual internal, 4 manual external. `space`,
    `device_location` and `target_distance` are what VehicleCheckInRes says, None: nothing. `check_out_scheduled`: the
    vehicle may leave at the time that it asks for, instead of at once.
    """

    intended: tuple[int, ...] = (CHECK_IN, CHECK_OUT)
    status_type: int = 4
    free: bool = True
    space: int | None = None
    device_location: int | None = None
    target_distance: int | None = None
    check_out_scheduled: bool = False

    def __post_init__(self) -> None:
        _distinct("parking intended", self.intended, (CHECK_IN, CHECK_OUT))
        if self.status_type not in (1, 2, 3, 4):
            raise ValueError(f"parking status_type must be 1, 2, 3 or 4, got {self.status_type}")
        for name in ("space", "device_location", "target_distance"):
            value: int | None = getattr(self, name)
            if value is not None and value not in _SHORT:
                raise ValueError(f"parking {name} must have 16 bits, got {value}")

    def sets(self) -> dict[int, tuple[tuple[str, ParameterValue], ...]]:
        return {
            intended: (("IntendedService", intended), ("ParkingStatusType", self.status_type))
            for intended in self.intended
        }


@dataclass(frozen=True, slots=True)
class CustomSet:
    """One parameter set of a service of one's own: names and values in the order in which they are sent."""

    set_id: int
    parameters: tuple[tuple[str, ParameterValue], ...]

    def __post_init__(self) -> None:
        if self.set_id not in _ID:
            raise ValueError(f"a parameter set id must be from 1 to 65535, got {self.set_id}")
        if not 1 <= len(self.parameters) <= _MOST_SETS:
            raise ValueError(f"parameter set {self.set_id} must have 1 to 32 parameters, got {len(self.parameters)}")
        for name, value in self.parameters:
            if len(name) > _LONGEST_NAME or not _sendable(value):
                raise ValueError(f"parameter {name!r} must have a name and value that can be sent, got {value!r}")


@dataclass(frozen=True, slots=True)
class CustomService:
    """A value-added service of one's own; its id must not be one that ISO 15118-20 gives a meaning."""

    service_id: int
    parameter_sets: tuple[CustomSet, ...]
    free: bool = True

    def __post_init__(self) -> None:
        if self.service_id not in _ID or self.service_id <= PARKING_STATUS:
            raise ValueError(f"a custom service id must be from 67 to 65535, got {self.service_id}")
        ids = [entry.set_id for entry in self.parameter_sets]
        if not 1 <= len(ids) <= _MOST_SETS or len(set(ids)) != len(ids):
            raise ValueError(f"service {self.service_id} must have 1 to 32 parameter sets of different ids, got {ids}")

    def sets(self) -> dict[int, tuple[tuple[str, ParameterValue], ...]]:
        return {entry.set_id: entry.parameters for entry in self.parameter_sets}


def _distinct(what: str, chosen: tuple[int, ...], allowed: Iterable[int]) -> None:
    known = list(allowed)
    if not chosen or len(set(chosen)) != len(chosen) or not set(chosen) <= set(known):
        raise ValueError(f"{what} must be chosen from {known}, got {list(chosen)}")


def _sendable(value: ParameterValue) -> bool:
    match value:
        case bool():
            return True
        case int():
            return value in _INT
        case float():
            return math.isfinite(value) and abs(value) <= _LARGEST
        case _:
            return len(value) <= _LONGEST_NAME
