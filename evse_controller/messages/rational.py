"""RationalNumber helpers: numbers to and from Value * 10^Exponent, with the direction of rounding in the name.

ISO 15118-20 sends most quantities as a 16-bit value and a power of ten. A limit must never become larger by
rounding, so the caller says in which direction the loss goes: `rational_down` for maxima that we promise not to
exceed, `rational_up` for minima, `rational_nearest` for measurements.
"""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal

from evse_controller.messages.generated.common_types import RationalNumber

LOWEST_EXPONENT = -3
HIGHEST_EXPONENT = 3
_LOW, _HIGH = -(2**15), 2**15 - 1


def _convert(value: float, rounding: str) -> RationalNumber:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} cannot be sent as a rational number")
    # repr gives the shortest decimal that means this float, so 0.1 stays 1 * 10^-1.
    exact = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if exact == 0:
        return RationalNumber(0, 0)
    for exponent in range(LOWEST_EXPONENT, HIGHEST_EXPONENT + 1):
        scaled = int(exact.scaleb(-exponent).to_integral_value(rounding=rounding))
        if _LOW <= scaled <= _HIGH:
            return _shortest(exponent, scaled)
    raise ValueError(f"{value} is beyond what a rational number with exponent {HIGHEST_EXPONENT} can hold")


def _shortest(exponent: int, value: int) -> RationalNumber:
    """The same number with trailing zeros moved to the exponent, towards exponent 0 only: 400 stays 400 * 10^0."""
    while exponent < 0 and value % 10 == 0:
        exponent, value = exponent + 1, value // 10
    return RationalNumber(exponent, value)


def rational_down(value: float) -> RationalNumber:
    """The nearest rational number that is not above `value`."""
    return _convert(value, ROUND_FLOOR)


def rational_up(value: float) -> RationalNumber:
    """The nearest rational number that is not below `value`."""
    return _convert(value, ROUND_CEILING)


def rational_nearest(value: float) -> RationalNumber:
    """The rational number nearest to `value`."""
    return _convert(value, ROUND_HALF_EVEN)


def rational_value(number: RationalNumber) -> float:
    """The value of a rational number; any exponent of the schema is accepted."""
    if number.exponent >= 0:
        return float(number.value * 10**number.exponent)
    return float(number.value / 10**-number.exponent)
