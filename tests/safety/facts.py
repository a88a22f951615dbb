"""Inputs of a good moment in the charge loop; tests change one fact each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from evse_controller.model.commands import EvDcLimits
from evse_controller.model.limits import Limit, SiteAllowance
from evse_controller.model.offer import EnergyNeeds
from evse_controller.model.pilot import PilotState
from evse_controller.model.snapshot import DcRatings
from evse_controller.safety import Inputs, Phase
from hal.api import (
    Contact,
    DcMeterReading,
    IsolationReading,
    IsolationState,
    McuReading,
    PowerCapability,
    PowerMode,
    PowerReading,
)

NOW = 1000.0
MCU = McuReading(NOW, PilotState.C, 5.0, Contact.CLOSED, False, False, 0)
POWER = PowerReading(NOW, 400.0, 20.0, True, PowerMode.CHARGE, 2, 1, None)
METER = DcMeterReading(NOW, 400.0, 20.0, 8000.0, 0.0, 0.0)
ISOLATION = IsolationReading(NOW, IsolationState.MEASURING, 1e6, True, True)
CAPABILITY = PowerCapability(1000.0, 150.0, 146.0, 44_000.0, True, 2)
RATINGS = DcRatings(1000.0, 150.0, 140.0, 40_000.0, 140.0, 40_000.0)
EV = EvDcLimits(500.0, 300.0, 125.0, 0.0, 50_000.0, 0.0, 80.0, 0.0, 30_000.0, 0.0)
NEEDS = EnergyNeeds(
    dynamic=True,
    max_supporting_points=12,
    departure_utc_s=None,
    target_wh=1.0,
    maximum_wh=1.0,
    minimum_wh=-1.0,
    v2x_maximum_wh=1000.0,
    v2x_minimum_wh=-1000.0,
    minimum_soc=20.0,
)


def allowance(import_w: float = 30_000.0, export_w: float = 20_000.0, stale: bool = False) -> SiteAllowance:
    return SiteAllowance(Limit(import_w, "site", "import", NOW + 1), Limit(export_w, "site", "export", NOW + 1), stale)


def good(**changes: Any) -> Inputs:
    """Charging with everything in order and export permitted."""
    base = Inputs(
        phase=Phase.ENERGY,
        started_s=NOW - 100,
        mcu=MCU,
        power=POWER,
        capability=CAPABILITY,
        meter=METER,
        isolation=ISOLATION,
        ratings=RATINGS,
        allowance=allowance(),
        negotiated=EV,
        ev=EV,
        service_bidirectional=True,
        export_configured=True,
        grid_profile=1,
        needs=NEEDS,
        soc=50.0,
        contactors_commanded=True,
        contactors_since_s=NOW - 50,
        isolation_since_s=NOW - 50,
    )
    return replace(base, **changes)
