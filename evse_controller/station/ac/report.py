"""The numbers of an AC outlet's snapshot: what the EV may take and give now, and what it is asked to."""

from __future__ import annotations

import math

from evse_controller.model.commands import ControlMode
from evse_controller.model.power import PhasePower, shared
from evse_controller.model.snapshot import AcPresent, AcRatings, DcPresent, DcRatings
from evse_controller.model.wish import EnergyWish
from evse_controller.safety import Verdict
from evse_controller.safety.envelope import ruling
from evse_controller.station.ac.config import AcStationConfig
from evse_controller.station.ac.context import AcContext
from hal.api import AcOutletReading

NO_DC_RATINGS = DcRatings(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
NO_DC = DcPresent(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, False, False, False)

NOT_OURS = ("ev-power",)
"""Limits that the EV knows itself."""

DEADBAND_W = 100.0
"""Power below which an EV counts as neither charging nor discharging."""


def by_phase(config: AcStationConfig, session: AcContext) -> bool:
    """The form in which this EV states its own powers: per phase, or all phases together."""
    return config.phases == 3 and (session.ev is None or session.ev.max_charge_w.per_phase)


def spread(config: AcStationConfig, session: AcContext, total_w: float) -> PhasePower:
    """`total_w` (signed) in the form in which this EV states its own; over the phases that it says it can use."""
    if not by_phase(config, session):
        return PhasePower(total_w)
    ev = session.ev
    most = None if ev is None else ev.max_charge_w if total_w >= 0 else ev.max_discharge_w
    if most is None or not most.per_phase:
        return PhasePower(total_w / 3, total_w / 3, total_w / 3)
    return PhasePower(*(math.copysign(power_w, total_w) for power_w in shared(abs(total_w), most.by_phase)))


def measured(config: AcStationConfig, session: AcContext, meter: AcOutletReading | None) -> PhasePower | None:
    """The meter's powers in the same form."""
    if meter is None:
        return None
    if by_phase(config, session) and len(meter.phases) == 3:
        return PhasePower(*(phase.power_w for phase in meter.phases))
    return PhasePower(meter.power_w)


def present(
    config: AcStationConfig, ratings: AcRatings, session: AcContext, verdict: Verdict, wish: EnergyWish,
    stopping: bool, meter: AcOutletReading | None,
) -> AcPresent:
    """The loop's limits: everything on our side (site, schedule, ratings, export gate), never above the ratings.

    The phase's zero is left out (a limit before energy flows is a forecast) unless the station is stopping. The target
    comes from the Permit and is zero whenever that permits nothing.
    """
    skip = NOT_OURS if stopping else (*NOT_OURS, "phase")
    now_s = verdict.permit.issued_at_s
    charge = ruling(tuple(item for item in verdict.charge if item[0] not in skip), now_s)[1].value
    discharge = ruling(tuple(item for item in verdict.discharge if item[0] not in skip), now_s)[1].value
    return AcPresent(
        max_charge_w=spread(config, session, min(charge, ratings.max_charge_w.total_w)),
        max_discharge_w=spread(config, session, min(discharge, ratings.max_discharge_w.total_w)),
        target_w=spread(config, session, target_w(ratings, session, verdict, wish, meter)),
        measured_w=measured(config, session, meter),
        three_phases=session.three_phases,
    )


def permitted_w(verdict: Verdict) -> tuple[float, float]:
    """What the Permit of this step lets the EV be told: charge and discharge, all phases together."""
    permit = verdict.permit
    charge_w = verdict.charge_rules[1].value if permit.max_charge_current_a > 0 else 0.0
    discharge_w = verdict.discharge_rules[1].value if permit.max_discharge_current_a > 0 and permit.export else 0.0
    return charge_w, discharge_w


def target_w(
    ratings: AcRatings, session: AcContext, verdict: Verdict, wish: EnergyWish, meter: AcOutletReading | None
) -> float:
    """Signed power that the EV is asked for, all phases together.

    Dynamic: the energy room's set-point inside the Permit; zero where it is below what EV or outlet can do at least.
    Scheduled: the bound in the direction in which the EV goes, since its own profile says how much; while it goes in
    none, in the one in which it may.
    """
    charge_w, discharge_w = permitted_w(verdict)
    if session.service is not None and session.service.control_mode is ControlMode.SCHEDULED:
        flows_w = 0.0 if meter is None else meter.power_w
        rests = abs(flows_w) <= DEADBAND_W and not charge_w > 0.0
        return -discharge_w if rests or flows_w < -DEADBAND_W else charge_w
    wanted_w = max(-discharge_w, min(charge_w, wish.setpoint_w or 0.0))
    return wanted_w if abs(wanted_w) >= _least_w(ratings, session, wanted_w) else 0.0


def _least_w(ratings: AcRatings, session: AcContext, wanted_w: float) -> float:
    """What EV and outlet can do at least in the direction of `wanted_w`; a smaller target would be none to follow."""
    ev = session.ev
    if wanted_w >= 0:
        return max(ratings.min_charge_w.total_w, 0.0 if ev is None else ev.min_charge_w.total_w)
    least = None if ev is None else ev.min_discharge_w
    return max(ratings.min_discharge_w.total_w, 0.0 if least is None else least.total_w)


def unscheduled_w(verdict: Verdict) -> tuple[float, float]:
    """What everything but the schedule allows now, charge and discharge >= 0; it binds at once."""
    permit = verdict.permit
    if not permit.contactors:
        return 0.0, 0.0
    charge_w, discharge_w = (
        ruling(tuple(item for item in limits if item[0] != "schedule"), permit.issued_at_s)[1].value
        for limits in (verdict.charge, verdict.discharge)
    )
    return charge_w, discharge_w if permit.export else 0.0


def told_w(session: AcContext, verdict: Verdict, target: float) -> tuple[float, float]:
    """What this step tells the EV, charge and discharge >= 0: the target in Dynamic mode, else the bounds."""
    if session.service is not None and session.service.control_mode is ControlMode.DYNAMIC:
        return max(0.0, target), max(0.0, -target)
    return permitted_w(verdict)
