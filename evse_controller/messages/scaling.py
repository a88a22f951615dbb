"""Numbers as a 16-bit value and a power of ten, -3 to 3, as all charging protocols send quantities.

The direction in which the rounding may lose is always said, because a limit must never become larger by it.
"""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal

DOWN, UP, NEAREST = ROUND_FLOOR, ROUND_CEILING, ROUND_HALF_EVEN
LOWEST_EXPONENT = -3
HIGHEST_EXPONENT = 3
_LOW, _HIGH = -(2**15), 2**15 - 1


def scaled(value: float, rounding: str, name: str) -> tuple[int, int]:
    """Exponent and value of a number, as exact as 16 bits allow. ValueError names what cannot hold it."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} cannot be sent as a {name}")
    # repr gives the shortest decimal that means this float, so 0.1 stays 1 * 10^-1.
    exact = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if exact == 0:
        return 0, 0
    # Of its own, and exact: what the caller has set for decimals must not move a limit.
    context = Context(prec=len(exact.as_tuple().digits) + 1000, Emax=999999, Emin=-999999, clamp=0, traps=[])
    for exponent in range(LOWEST_EXPONENT, HIGHEST_EXPONENT + 1):
        number = int(exact.scaleb(-exponent, context).to_integral_value(rounding, context))
        if _LOW <= number <= _HIGH:
            return _shortest(exponent, number)
    raise ValueError(f"{value} is beyond what a {name} with exponent {HIGHEST_EXPONENT} can hold")


def _shortest(exponent: int, value: int) -> tuple[int, int]:
    """The same number with trailing zeros moved to the exponent, towards exponent 0 only: 400 stays 400 * 10^0."""
    while exponent < 0 and value % 10 == 0:
        exponent, value = exponent + 1, value // 10
    return exponent, value


def meant(exponent: int, value: int) -> float:
    """The number that was sent; any exponent is accepted."""
    return float(value * 10**exponent) if exponent >= 0 else float(value / 10**-exponent)
