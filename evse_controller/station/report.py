"""What the station tells: status for the CLI, events for the journal, and the numbers of the snapshot."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from evse_controller.model.fault import Fault
from evse_controller.model.permit import Permit
from evse_controller.model.snapshot import Authorization, DcPresent, DcRatings, EvseSnapshot, MeterTotals
from evse_controller.safety import NamedLimit, Verdict
from evse_controller.safety.envelope import ruling
from evse_controller.station.config import StationConfig
from evse_controller.station.context import Registers, SessionFacts
from hal.api import PowerCapability


@dataclass(frozen=True, slots=True)
class StationEvent:
    """One line of the journal. `kind` is stable (phase, fault, fault-cleared, command, refused, device, direction,
    stop, notification, wake)."""

    at_s: float
    kind: str
    text: str
    data: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StationStatus:
    """Everything `evsectl status` and `evsectl limits` show of an outlet. Limits in W at the outlet.

    `power_w`: measured, signed. `phases`: an AC outlet's (V, A, W) per phase, signed; there `setpoint_a` is per phase.
    `notification`: what the EV is asked now. `asleep`: a paused session sleeps here.
    """

    at_s: float
    phase: str
    sub_step: str
    charge_limits: tuple[NamedLimit, ...]
    discharge_limits: tuple[NamedLimit, ...]
    charge_rules: NamedLimit
    discharge_rules: NamedLimit
    export_denied: str | None
    faults: tuple[Fault, ...]
    setpoint_a: float
    setpoint_w: float
    voltage_v: float | None
    current_a: float | None
    link_v: float | None
    isolation_ohm: float | None
    contactors: str
    pilot: str
    mode: str
    stopping: str | None
    refusal: str | None
    ready: bool
    permit: Permit
    power_w: float | None = None
    phases: tuple[tuple[float, float, float], ...] = ()
    asleep: bool = False
    notification: str | None = None


def hardware_ratings(config: StationConfig, capability: PowerCapability | None) -> DcRatings:
    """The tighter of what is commissioned and what the connected modules say they can do."""
    rating = config.ratings
    if capability is None:
        return rating
    both = config.bidirectional and capability.bidirectional
    return DcRatings(
        max_voltage_v=min(rating.max_voltage_v, capability.max_voltage_v),
        min_voltage_v=max(rating.min_voltage_v, capability.min_voltage_v),
        max_charge_current_a=min(rating.max_charge_current_a, capability.max_current_a),
        max_charge_power_w=min(rating.max_charge_power_w, capability.max_power_w),
        max_discharge_current_a=min(rating.max_discharge_current_a, capability.max_current_a) if both else 0.0,
        max_discharge_power_w=min(rating.max_discharge_power_w, capability.max_power_w) if both else 0.0,
        min_charge_current_a=rating.min_charge_current_a,
        min_charge_power_w=rating.min_charge_power_w,
        min_discharge_current_a=rating.min_discharge_current_a,
        min_discharge_power_w=rating.min_discharge_power_w,
        power_ramp_w_per_s=rating.power_ramp_w_per_s,
    )


NOT_OURS = ("ev-power", "ev-current", "ev-voltage")
"""Limits that the EV knows itself; the loop response tells it ours."""


def present_limits(
    ratings: DcRatings, verdict: Verdict, volts: float, wanted_a: float, target_v: float | None, stopping: bool
) -> DcPresent:
    """The loop's limits: everything on our side (site, schedule, ratings, export gate), never above the ratings.

    The phase's zero is left out (a limit before energy flows is a forecast) unless the station is stopping.
    """
    skip = NOT_OURS if stopping else (*NOT_OURS, "phase")
    charge = ruling(tuple(item for item in verdict.charge if item[0] not in skip), verdict.permit.issued_at_s)
    discharge = ruling(tuple(item for item in verdict.discharge if item[0] not in skip), verdict.permit.issued_at_s)
    charge_w = min(charge[1].value, ratings.max_charge_power_w)
    discharge_w = min(discharge[1].value, ratings.max_discharge_power_w)
    rules, limit_w = (charge, charge_w) if wanted_a >= 0 else (discharge, discharge_w)
    limited = abs(wanted_a) * volts > limit_w + 1.0
    return DcPresent(
        max_voltage_v=ratings.max_voltage_v,
        min_voltage_v=ratings.min_voltage_v,
        max_charge_current_a=min(ratings.max_charge_current_a, charge_w / volts),
        max_charge_power_w=charge_w,
        max_discharge_current_a=min(ratings.max_discharge_current_a, discharge_w / volts),
        max_discharge_power_w=discharge_w,
        current_limited=limited and rules[0] == "rating-current",
        power_limited=limited and rules[0] != "rating-current",
        voltage_limited=target_v is not None and target_v > ratings.max_voltage_v,
    )


def untold(snapshot: EvseSnapshot) -> EvseSnapshot:
    """The newest snapshot without what belongs to the session before a new one."""
    return replace(
        snapshot, authorization=Authorization.PENDING, energy_ready=False, stop_done=False, meter=None, offer=None
    )


def meter_totals(
    meter_id: str, session: SessionFacts, meter: Registers | None, utc_s: float
) -> MeterTotals | None:
    """Energy of this session from the meter's registers; None before the meter has answered in it."""
    first = session.first_meter
    if first is None or meter is None:
        return None
    return MeterTotals(
        meter_id=meter_id,
        charged_wh=max(0.0, meter.import_wh - first.import_wh),
        discharged_wh=max(0.0, meter.export_wh - first.export_wh),
        at_utc_s=utc_s,
    )
