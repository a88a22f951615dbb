"""How much power and voltage is allowed now: every limit by name, and the gate that export must pass."""

from __future__ import annotations

import math
from typing import Protocol

from evse_controller.model.commands import EvDcLimits
from evse_controller.model.limits import Limit, tightest
from evse_controller.model.offer import EnergyNeeds
from evse_controller.safety import thresholds as t
from evse_controller.safety.inputs import Inputs, NamedLimit
from evse_controller.safety.phase import Phase


class MinimumFacts(Protocol):
    """What the driver's minimum depends on, the same for AC and DC: needs, SoC, and what moved since they were told."""

    @property
    def needs(self) -> EnergyNeeds | None: ...

    @property
    def soc(self) -> float | None: ...

    @property
    def soc_age_s(self) -> float: ...

    @property
    def driver_minimum_soc(self) -> float | None: ...

    @property
    def charged_wh(self) -> float: ...

    @property
    def discharged_wh(self) -> float: ...


def cable_test_voltage(ev_max_v: float, evse_max_v: float) -> float:
    """Test voltage of the cable check in V (IEC 61851-23 CC.4.1.2), never above what the EVSE can give."""
    wanted = min(t.TEST_CLASS_V, ev_max_v + t.TEST_ADD_V) if ev_max_v <= t.TEST_CLASS_V else t.TEST_SHARE * ev_max_v
    return min(evse_max_v, wanted)


def max_voltage_v(inputs: Inputs) -> float:
    """Highest voltage set-point of this phase: the test voltage, then the EV's and the EVSE's maximum."""
    if inputs.negotiated is None or inputs.phase in (Phase.IDLE, Phase.CONNECTED):
        return 0.0
    if inputs.phase is Phase.CABLE_CHECK:
        return cable_test_voltage(inputs.negotiated.max_voltage_v, inputs.ratings.max_voltage_v)
    newest = inputs.ev or inputs.negotiated
    return min(inputs.ratings.max_voltage_v, inputs.negotiated.max_voltage_v, newest.max_voltage_v)


def at_test_voltage(inputs: Inputs) -> bool:
    """Whether the outlet may be at the cable check's test voltage, which is above the EV's maximum: with the EV's
    contactors open, in the check and in the ramp down that ends it early."""
    return inputs.phase is Phase.CABLE_CHECK or (inputs.phase is Phase.RAMP_DOWN and inputs.cable_test_unfinished)


def trip_voltage_v(inputs: Inputs) -> float:
    """Level above which the outlet opens. Follows the *negotiated* maximum; a maximum that the EV lowers in
    the loop is obeyed by the clamp first, and trips when the outlet stays above it (`ev-voltage-hold`)."""
    if inputs.negotiated is None:
        limit = inputs.ratings.max_voltage_v
    elif at_test_voltage(inputs):
        limit = cable_test_voltage(inputs.negotiated.max_voltage_v, inputs.ratings.max_voltage_v)
    else:
        limit = min(inputs.ratings.max_voltage_v, inputs.negotiated.max_voltage_v)
    return above_v(limit)


def above_v(limit_v: float) -> float:
    """Level from which a measured voltage counts as above `limit_v`: its tolerance added."""
    return limit_v + max(t.OVER_VOLTAGE_MARGIN_V, t.OVER_VOLTAGE_SHARE * limit_v)


def isolation_threshold_ohm(evse_max_v: float, mcs: bool = False) -> float:
    """100 ohm per volt of the EVSE's maximum voltage, and never below 100 kohm (125 kohm at an MCS connector)."""
    least_ohm = t.ISOLATION_LEAST_MCS_OHM if mcs else t.ISOLATION_LEAST_OHM
    return max(least_ohm, t.ISOLATION_OHM_PER_V * evse_max_v)


def _stored_wh(inputs: MinimumFacts, dynamic: bool) -> float:
    """Energy that the battery gained (lost: < 0) since the EV stated its needs, losses reckoned against us.

    In Dynamic mode the EV states them again in every loop request: what it says it still needs it does need, and only
    what was taken out since then counts.
    """
    stored_wh = inputs.charged_wh * t.BATTERY_SHARE - inputs.discharged_wh / t.BATTERY_SHARE
    return 0.0 if dynamic and stored_wh > 0.0 else stored_wh


def minimum_kept(inputs: MinimumFacts) -> str | None:
    """Why the driver's minimum forbids discharging, None when it is kept. The same in Scheduled and Dynamic mode."""
    needs = inputs.needs
    if needs is None:
        return "EV has not stated its needs"
    asked = inputs.driver_minimum_soc
    if asked is not None:  # told to us, not to the EV: it holds in every mode, and is never taken on trust
        if inputs.soc is None or not inputs.soc_age_s <= t.SOC_SHOWN_S:
            return f"SoC unknown, the driver asked for a minimum of {asked:.0f} %"
        if not inputs.soc > asked:
            return f"SoC {inputs.soc:.0f} % is not above the driver's minimum {asked:.0f} %"
    stored_wh = _stored_wh(inputs, needs.dynamic)
    stated = [wh for wh in (needs.minimum_wh, needs.v2x_minimum_wh) if wh is not None]
    for wh in stated:
        if not wh - stored_wh < 0.0:  # also true for NaN
            return f"EV still needs {wh - stored_wh:.0f} Wh to its minimum energy"
    if needs.minimum_soc is None:
        return None
    soc = inputs.soc if inputs.soc is not None else needs.present_soc
    if soc is None:
        return None if stated else f"SoC unknown, the driver's minimum is {needs.minimum_soc:.0f} %"
    if not soc > needs.minimum_soc:
        return f"SoC {soc:.0f} % is not above the driver's minimum {needs.minimum_soc:.0f} %"
    return None


def _converter_refuses(inputs: Inputs, now_s: float) -> str | None:
    """Why the converter may not feed the grid: silent, faulty (no grid), or without the commissioned profile."""
    power = inputs.power
    if power is None or not now_s - power.at_s <= t.POWER_DEADLINE_S:
        return "converter is silent: grid and profile unknown"
    if power.fault is not None:
        return f"converter reports {power.fault}"
    if power.grid_profile != inputs.grid_profile:
        return f"grid profile {inputs.grid_profile} not read back (converter has {power.grid_profile})"
    return None


def export_denied(inputs: Inputs, now_s: float) -> str | None:
    """The first condition of the export gate (ARCHITECTURE rule 5) that does not hold; None = export permitted."""
    ev = inputs.ev or inputs.negotiated
    site = inputs.allowance.export_w
    if not inputs.service_bidirectional:
        return "no bidirectional service selected"
    if ev is None or not ev.max_discharge_current_a or not ev.max_discharge_power_w:
        return "EV gave no discharge limits"
    if not inputs.export_configured or inputs.capability is None or not inputs.capability.bidirectional:
        return "EVSE is not bidirectional"
    if inputs.ratings.max_discharge_current_a <= 0 or inputs.ratings.max_discharge_power_w <= 0:
        return "EVSE has no discharge rating"
    if inputs.allowance.stale or not site.valid(now_s):
        return f"site export limit expired ({site.source})"
    if not site.value > 0:
        return f"site permits no export ({site.source}: {site.reason})"
    if inputs.grid_profile is None:
        return "no grid profile commissioned"
    return _converter_refuses(inputs, now_s) or minimum_kept(inputs)


def working_voltage_v(inputs: Inputs) -> float:
    """Voltage that turns W into A: measured at the outlet, never below what would make the current explode."""
    floor = max(1.0, inputs.ratings.min_voltage_v)
    return floor if inputs.meter is None else max(floor, inputs.meter.voltage_v)


def _common(inputs: Inputs) -> list[NamedLimit]:
    limits: list[NamedLimit] = []
    if inputs.phase is not Phase.ENERGY:
        limits.append(("phase", Limit(0.0, "station", f"no energy in phase {inputs.phase.value}")))
    if inputs.stopping:
        limits.append(("stop", Limit(0.0, "station", "the station is stopping")))
    return limits


def site_limit(limit: Limit, factor: float, now_s: float) -> NamedLimit:
    if not limit.valid(now_s):
        return ("site", Limit(0.0, limit.source, "site limit expired"))
    return ("site", Limit(max(0.0, limit.value) * factor, limit.source, limit.reason, limit.expires_at_s))


def charge_limits(inputs: Inputs, now_s: float) -> tuple[NamedLimit, ...]:
    """Every limit on charging, in W at the outlet."""
    volts = working_voltage_v(inputs)
    rating = inputs.ratings
    limits = _common(inputs)
    limits.append(("rating-power", Limit(rating.max_charge_power_w, "ratings", "hardware power rating")))
    limits.append(("rating-current", Limit(rating.max_charge_current_a * volts, "ratings", "hardware current rating")))
    limits.append(site_limit(inputs.allowance.import_w, inputs.efficiency_import, now_s))
    if inputs.charge_cap is not None and inputs.charge_cap.valid(now_s):
        limits.append(("schedule", inputs.charge_cap))
    ev = inputs.ev or inputs.negotiated
    if ev is not None:
        limits.append(("ev-power", Limit(max(0.0, ev.max_charge_power_w), "ev", "EV charge power limit")))
        limits.append(("ev-current", Limit(max(0.0, ev.max_charge_current_a) * volts, "ev", "EV charge current limit")))
    return tuple(limits)


def discharge_limits(inputs: Inputs, now_s: float, denied: str | None) -> tuple[NamedLimit, ...]:
    """Every limit on discharging, in W at the outlet, including the export gate."""
    volts = working_voltage_v(inputs)
    rating = inputs.ratings
    limits = _common(inputs)
    if denied is not None:
        limits.append(("export-gate", Limit(0.0, "safety", denied)))
    limits.append(("rating-power", Limit(rating.max_discharge_power_w, "ratings", "hardware power rating")))
    limits.append(
        ("rating-current", Limit(rating.max_discharge_current_a * volts, "ratings", "hardware current rating"))
    )
    limits.append(site_limit(inputs.allowance.export_w, 1.0 / inputs.efficiency_export, now_s))
    if inputs.discharge_cap is not None and inputs.discharge_cap.valid(now_s):
        limits.append(("schedule", inputs.discharge_cap))
    ev = inputs.ev or inputs.negotiated
    if ev is not None:
        limits.extend(_ev_discharge(ev, volts, inputs))
    return tuple(limits)


def _ev_discharge(ev: EvDcLimits, volts: float, inputs: Inputs) -> list[NamedLimit]:
    limits: list[NamedLimit] = [
        ("ev-power", Limit(max(0.0, ev.max_discharge_power_w or 0.0), "ev", "EV discharge power limit")),
        ("ev-current", Limit(max(0.0, ev.max_discharge_current_a or 0.0) * volts, "ev", "EV discharge current limit")),
    ]
    if inputs.meter is not None and inputs.meter.voltage_v <= ev.min_voltage_v:
        limits.append(("ev-voltage", Limit(0.0, "ev", f"outlet at EV minimum voltage {ev.min_voltage_v:.0f} V")))
    return limits


def ruling(limits: tuple[NamedLimit, ...], now_s: float) -> NamedLimit:
    """The tightest of `limits` with its name. NaN counts as zero: an unknown number permits nothing."""
    for name, limit in limits:
        if math.isnan(limit.value):
            return (name, Limit(0.0, limit.source, "limit is not a number"))
    best = tightest((limit for _, limit in limits), now_s)
    return next((name, limit) for name, limit in limits if limit is best)
