"""One outlet: pilot, link set-up, power sequences, faults, and the one actuator. Synchronous, time passed in."""

from __future__ import annotations

from evse_controller.station.ac import AcOutletDevices, AcStation, AcStationConfig
from evse_controller.station.config import OutletDevices, StationConfig
from evse_controller.station.machine import Station
from evse_controller.station.report import StationEvent, StationStatus

__all__ = [
    "AcOutletDevices",
    "AcStation",
    "AcStationConfig",
    "OutletDevices",
    "Station",
    "StationConfig",
    "StationEvent",
    "StationStatus",
]
