"""RationalNumber helpers: numbers to and from Value * 10^Exponent, with the direction of rounding in the name.

ISO 15118-20 sends most quantities as a 16-bit value and a power of ten. A limit must never become larger by
rounding, so the caller says in which direction the loss goes: `rational_down` for maxima that we promise not to
exceed, `rational_up` for minima, `rational_nearest` for measurements.
"""

from __future__ import annotations

from evse_controller.messages.generated.common_types import RationalNumber
from evse_controller.messages.scaling import DOWN, NEAREST, UP, meant, scaled

_NAME = "rational number"


def rational_down(value: float) -> RationalNumber:
    """The nearest rational number that is not above `value`."""
    return RationalNumber(*scaled(value, DOWN, _NAME))


def rational_up(value: float) -> RationalNumber:
    """The nearest rational number that is not below `value`."""
    return RationalNumber(*scaled(value, UP, _NAME))


def rational_nearest(value: float) -> RationalNumber:
    """The rational number nearest to `value`."""
    return RationalNumber(*scaled(value, NEAREST, _NAME))


def rational_value(number: RationalNumber) -> float:
    """The value of a rational number; any exponent of the schema is accepted."""
    return meant(number.exponent, number.value)
