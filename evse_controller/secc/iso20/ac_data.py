"""What only the AC states remember."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from evse_controller.model.commands import EvAcLimits
from evse_controller.model.power import PhasePower
from evse_controller.model.snapshot import Step

if TYPE_CHECKING:
    from evse_controller.secc.iso20.states import Accepted

NO_POWER = PhasePower(0.0)


@dataclass(frozen=True, slots=True)
class RatedAc:
    """The limits of AC_ChargeParameterDiscoveryRes exactly as sent; the loop never exceeds them [V2G20-2654]."""

    max_charge_w: PhasePower
    min_charge_w: PhasePower
    max_discharge_w: PhasePower = NO_POWER
    min_discharge_w: PhasePower = NO_POWER


@dataclass(slots=True)
class AcData:
    """`negotiated` are the EV's limits of ChargeParameterDiscovery, `limits` what it said last, never above them.

    `held`: the answer to PowerDeliveryReq(Start) that waits for the contactor since `contactor_asked_s`; None with
    `entering`: the first loop request waits so, having been taken for Start.
    `contactor_before` is what the contactor was like at that moment. `target_told`: a Scheduled EV was told to stay
    below its schedule, and is told from then on what holds.
    """

    rated: RatedAc | None = None
    negotiated: EvAcLimits | None = None
    limits: EvAcLimits | None = None
    held: Accepted | None = None
    entering: bool = False
    contactor_asked_s: float | None = None
    contactor_before: Step = Step.IDLE
    target_told: bool = False
