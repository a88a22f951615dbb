"""Powers over phases: to and from the wire, and inside each other.

A power without phases 2 and 3 is that of all phases together. Where two forms meet, totals are compared; a total bound
shrinks all phases alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from evse_controller.messages.generated.common_types import RationalNumber
from evse_controller.messages.rational import rational_down, rational_up, rational_value
from evse_controller.model.power import PhasePower

# A number beyond this is no power of a vehicle: a placeholder for "no number".
ABSURD_W = 1e9


def parts(power: PhasePower) -> tuple[float, ...]:
    """All numbers that were stated."""
    return tuple(value for value in (power.l1_w, power.l2_w, power.l3_w) if value is not None)


def each(power: PhasePower, change: Callable[[float], float]) -> PhasePower:
    """The same form with every number changed."""
    l2, l3 = power.l2_w, power.l3_w
    return PhasePower(
        change(power.l1_w), None if l2 is None else change(l2), None if l3 is None else change(l3)
    )


def stated(l1: RationalNumber, l2: RationalNumber | None, l3: RationalNumber | None) -> PhasePower:
    """A power as a message carries it."""
    return PhasePower(
        rational_value(l1), None if l2 is None else rational_value(l2), None if l3 is None else rational_value(l3)
    )


Rationals = tuple[RationalNumber, RationalNumber | None, RationalNumber | None]


def wire(power: PhasePower, rounding: Callable[[float], RationalNumber]) -> Rationals:
    """A power as a message carries it, each number rounded alone."""
    l2, l3 = power.l2_w, power.l3_w
    return rounding(power.l1_w), None if l2 is None else rounding(l2), None if l3 is None else rounding(l3)


def rational_inwards(value: float) -> RationalNumber:
    """Rounded towards zero: a set-point must not leave its bounds by rounding, whatever its sign."""
    return rational_down(value) if value >= 0 else rational_up(value)


def physical(power: PhasePower) -> bool:
    return all(math.isfinite(value) and abs(value) <= ABSURD_W for value in parts(power))


def at_most(power: PhasePower, bound: PhasePower) -> PhasePower:
    """A power >= 0 inside a bound >= 0."""
    return inside(power, bound, PhasePower(0.0))


def inside(power: PhasePower, charge: PhasePower, discharge: PhasePower) -> PhasePower:
    """A signed power inside what may be charged (>= 0) and discharged (>= 0), in its own form."""
    if not power.per_phase:
        return PhasePower(max(-discharge.total_w, min(power.l1_w, charge.total_w)))
    values = [power.l1_w, power.l2_w, power.l3_w]
    for sign, bound in ((1.0, charge), (-1.0, discharge)):
        if not bound.per_phase:
            continue
        limits = (bound.l1_w, bound.l2_w or 0.0, bound.l3_w or 0.0)
        values = [
            value if value is None or value * sign <= limit else sign * limit
            for value, limit in zip(values, limits, strict=True)
        ]
    total_w = sum(value or 0.0 for value in values)
    bound_w = charge.total_w if total_w >= 0 else discharge.total_w
    share = 1.0 if abs(total_w) <= bound_w else bound_w / abs(total_w)
    first, second, third = (None if value is None else value * share for value in values)
    return PhasePower(first or 0.0, second, third)
