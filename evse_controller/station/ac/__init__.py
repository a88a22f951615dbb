"""One AC outlet: contactor, pilot, and what the EV's own converter is told. The same face as the DC `Station`."""

from __future__ import annotations

from evse_controller.station.ac.config import AcOutletDevices, AcStationConfig
from evse_controller.station.ac.machine import AcStation

__all__ = ["AcOutletDevices", "AcStation", "AcStationConfig"]
