"""Limits that an EV tells in the charge loop, AC and DC: which make no sense, and what becomes of the session.

Refused with FAILED_WrongChargeParameter, energy off before the answer leaves, as in ChargeParameterDiscovery:

- NaN-like: beyond any physical charger (`ABSURD`), what an exponent out of its range makes of a number.
- negative: charge limits and discharge limits are amounts >= 0, their name says the direction. Only where
  `accept_negative_discharge_limits` holds, a negative discharge limit is its amount.
- inverted: a minimum in this request above the maximum that holds, that of this request, else the last one. A window of
  voltages is inverted by its maximum alone too.

Not refused, because cars mean well by it:

- A maximum of 0 power or current: nothing now, whatever the minimum. A maximum voltage of 0 keeps the last window.
- A maximum power that comes alone and falls below a minimum of earlier: the minimum follows it down.
- A limit above what ChargeParameterDiscovery said: that bounds it.
- Targets, present values and energies are no limits: targets are clamped, the others are signed.

`accept_senseless_loop_limits`, best as a quirk of one make of cars, keeps such a session: what makes no sense then
widens nothing. A number that is none keeps the last one, a negative one is zero, a minimum follows its maximum down.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from evse_controller.messages.base import Node
from evse_controller.messages.generated.common_types import RationalNumber
from evse_controller.messages.rational import rational_value
from evse_controller.model.commands import EvAcLimits, EvDcLimits
from evse_controller.model.power import PhasePower
from evse_controller.secc.iso20.ac_phases import each, parts, physical, stated

ABSURD = 1e9
"""Beyond any physical charger: a number like this is a placeholder for "no number"."""

def dc_fault(known: EvDcLimits, mode: Node, negative_discharge: bool) -> str | None:
    """The first limit of this request that makes no sense, None if all do; `known`: the limits that hold."""
    told: dict[str, float] = {}
    for name in (spec.name for spec in mode.FIELDS):
        number: RationalNumber | None = getattr(mode, name)
        if number is None or "energy" in name or not name.startswith(("ev_maximum", "ev_minimum")):
            continue
        value = rational_value(number)
        if not math.isfinite(value) or abs(value) > ABSURD:
            return f"{name} is no physical value"
        if negative_discharge and "discharge" in name:
            value = abs(value)
        if value < 0:
            return f"{name} is negative: {value:g}"
        told[name] = value
    for what, low, high in (
        ("charge_power", known.min_charge_power_w, known.max_charge_power_w),
        ("discharge_power", known.min_discharge_power_w, known.max_discharge_power_w),
        ("voltage", known.min_voltage_v, known.max_voltage_v),
    ):
        least, most = told.get(f"ev_minimum_{what}"), told.get(f"ev_maximum_{what}", high)
        if what == "voltage" and least is None:
            least = low
        if least is not None and most and least > most:
            return f"inverted {what}: minimum {least:g}, maximum {most:g}"
    return None


def ac_fault(known: EvAcLimits, mode: Node, negative_discharge: bool) -> str | None:
    """The same of AC, where each phase may have its own limits."""
    for way, holds in (("charge", known.max_charge_w), ("discharge", known.max_discharge_w)):
        told: dict[str, PhasePower] = {}
        for which in ("minimum", "maximum"):
            power = _ac_limit(mode, f"ev_{which}_{way}_power")
            if power is None:
                continue
            if not physical(power):
                return f"{which} {way} power is no physical value"
            if negative_discharge and way == "discharge":
                power = each(power, abs)
            if min(parts(power)) < 0:
                return f"{which} {way} power is negative: {parts(power)} W"
            told[which] = power
        least, most = told.get("minimum"), told.get("maximum", holds)
        if least is not None and most is not None and any(low > high > 0 for low, high in _pairs(least, most)):
            return f"inverted {way} power: minimum {parts(least)}, maximum {parts(most)} W"
    return None


def _ac_limit(mode: Node, name: str) -> PhasePower | None:
    l1, l2, l3 = (getattr(mode, name + phase, None) for phase in ("", "_l2", "_l3"))
    return None if l1 is None else stated(l1, l2, l3)


def _pairs(least: PhasePower, most: PhasePower) -> Iterator[tuple[float, float]]:
    """What is compared: the totals, and phase by phase where both are told so."""
    yield least.total_w, most.total_w
    if least.per_phase and most.per_phase:
        for low, high in zip((least.l2_w, least.l3_w, least.l1_w), (most.l2_w, most.l3_w, most.l1_w), strict=True):
            yield low or 0.0, high or 0.0
