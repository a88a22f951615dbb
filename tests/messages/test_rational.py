"""Rounding of RationalNumber: never to the unsafe side, exponent within -3..3."""

from decimal import Context, Inexact, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evse_controller.messages.generated.common_types import RationalNumber
from evse_controller.messages.rational import rational_down, rational_nearest, rational_up, rational_value

LARGEST = 32767 * 1000


def exact(number: RationalNumber) -> Fraction:
    return Fraction(number.value) * Fraction(10) ** number.exponent


@given(st.floats(-LARGEST, LARGEST) | st.integers(-LARGEST, LARGEST))
def test_direction_and_range(value: float) -> None:
    decimal = Fraction(repr(value))
    down, up, nearest = rational_down(value), rational_up(value), rational_nearest(value)
    assert exact(down) <= decimal <= exact(up)
    assert exact(nearest) in (exact(down), exact(up))
    for number in (down, up, nearest):
        assert -3 <= number.exponent <= 3
        assert -32768 <= number.value <= 32767
    # the loss is at most one part in the 16-bit value's resolution, or a thousandth
    assert exact(up) - exact(down) <= max(Fraction(1, 1000), abs(decimal) / 3276)


def test_plain_numbers_stay_plain() -> None:
    assert rational_nearest(0.1) == RationalNumber(-1, 1)
    assert rational_down(400) == RationalNumber(0, 400)
    assert rational_down(123456) == RationalNumber(1, 12345)
    assert rational_up(123456) == RationalNumber(1, 12346)
    assert rational_down(-123456) == RationalNumber(1, -12346)
    assert rational_value(RationalNumber(-1, 3987)) == 398.7
    assert rational_value(RationalNumber(5, 2)) == 200000.0


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e8, -1e9])
def test_impossible_numbers(value: float) -> None:
    with pytest.raises(ValueError, match="rational number"):
        rational_down(value)


@pytest.mark.parametrize("context", [Context(prec=2), Context(prec=1, Emax=1, Emin=-1), Context(traps=[Inexact])])
def test_the_callers_decimal_context_moves_no_limit(context: Context) -> None:
    for value in (398.74, 1996, -1996, 12345678, 0.0004, 10**7 + 1):
        wanted = rational_down(value), rational_up(value), rational_nearest(value)
        with localcontext(context):
            assert (rational_down(value), rational_up(value), rational_nearest(value)) == wanted
