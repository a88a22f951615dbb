"""Inputs of a good moment in an AC charge loop; tests change one fact each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from evse_controller.model.commands import EvAcLimits
from evse_controller.model.pilot import PilotState
from evse_controller.model.power import PhasePower
from evse_controller.safety import AcInputs, AcPhase, AcPlate, Told
from hal.api import AcOutletReading, AcPhaseReading, Contact, McuReading
from tests.safety.facts import NEEDS, NOW, allowance

AC_MCU = McuReading(NOW, PilotState.C, 5.0, Contact.CLOSED, False, False, 0)
PLATE = AcPlate(3, 32.0, 16.0, 230.0, True, True, None)


def phases(*amps: float, volts: float = 230.0) -> tuple[AcPhaseReading, ...]:
    return tuple(AcPhaseReading(volts, value, value * volts) for value in amps)


AC_METER = AcOutletReading(NOW, phases(16.0, 16.0, 16.0), 0.0, 0.0, 50.0)
AC_EV = EvAcLimits(
    PhasePower(7360.0, 7360.0, 7360.0),
    PhasePower(1380.0, 1380.0, 1380.0),
    PhasePower(3680.0, 3680.0, 3680.0),
    PhasePower(0.0, 0.0, 0.0),
)
AC_NEEDS = NEEDS


def ac_good(**changes: Any) -> AcInputs:
    """Charging 11 kW with everything in order and export permitted."""
    base = AcInputs(
        phase=AcPhase.ENERGY,
        started_s=NOW - 100,
        plate=PLATE,
        mcu=AC_MCU,
        meter=AC_METER,
        allowance=allowance(),
        told=Told(22_080.0, 11_040.0),
        ev=AC_EV,
        service_bidirectional=True,
        needs=AC_NEEDS,
        soc=50.0,
        contactor_commanded=True,
        contactor_since_s=NOW - 50,
    )
    return replace(base, **changes)


def metered(*amps: float, volts: float = 230.0) -> AcOutletReading:
    return replace(AC_METER, phases=phases(*amps, volts=volts))
