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
    `contactor_before` is what the contactor was like at that moment. `target_told`: a Scheduled EV was told a target
    because less holds than was planned, it does more, or its schedule went on to the `slot` that follows; from then on
    it is told what holds, `target` at last.
    """

    rated: RatedAc | None = None
    negotiated: EvAcLimits | None = None
    limits: EvAcLimits | None = None
    held: Accepted | None = None
    entering: bool = False
    contactor_asked_s: float | None = None
    contactor_before: Step = Step.IDLE
    target_told: bool = False
    target: PhasePower | None = None
    slot: tuple[int, int] | None = None

    def usable(self, three_phases: bool) -> EvAcLimits | None:
        """The EV's newest limits, what they say of a total included: without L2 and L3 that may be of one phase or of
        three, and one phase carries its own rating only. `three_phases`: the meter has shown which.

        An EV that can do no less than that means three.
        """
        limits, rated, named = self.limits, self.rated, self.negotiated
        if limits is None or rated is None or named is None or three_phases or not rated.max_charge_w.per_phase:
            return limits
        if named.max_charge_w.per_phase or limits.max_charge_w.per_phase:
            return limits
        if named.min_charge_w.total_w > rated.max_charge_w.l1_w:
            return limits
        charge, discharge = PhasePower(rated.max_charge_w.l1_w), PhasePower(rated.max_discharge_w.l1_w)
        return EvAcLimits(
            limits.max_charge_w.within(charge),
            limits.min_charge_w.within(charge),
            None if limits.max_discharge_w is None else limits.max_discharge_w.within(discharge),
            None if limits.min_discharge_w is None else limits.min_discharge_w.within(discharge),
        )
