"""Rounding of PhysicalValue: never to the unsafe side, multiplier within -3..3, for both protocols that have one."""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evse_controller.messages.generated import din70121, iso2
from evse_controller.messages.physical import physical_down, physical_nearest, physical_up, physical_value

LARGEST = 32767 * 1000
PROTOCOLS = st.sampled_from([(iso2.PhysicalValue, iso2.UnitSymbol.W), (din70121.PhysicalValue, None)])


def exact(number: Any) -> Fraction:
    return Fraction(number.value) * Fraction(10) ** number.multiplier


@given(PROTOCOLS, st.floats(-LARGEST, LARGEST) | st.integers(-LARGEST, LARGEST))
def test_direction_and_range(protocol: Any, value: float) -> None:
    kind, unit = protocol
    decimal = Fraction(repr(value))
    down, up, nearest = (f(kind, value, unit) for f in (physical_down, physical_up, physical_nearest))
    assert exact(down) <= decimal <= exact(up)
    assert exact(nearest) in (exact(down), exact(up))
    assert abs(exact(nearest) - decimal) * 2 <= exact(up) - exact(down)
    for number in (down, up, nearest):
        assert type(number) is kind
        assert number.unit is unit
        assert -3 <= number.multiplier <= 3
        assert -32768 <= number.value <= 32767
    # the loss is at most one part in the 16-bit value's resolution, or a thousandth
    assert exact(up) - exact(down) <= max(Fraction(1, 1000), abs(decimal) / 3276)


@given(PROTOCOLS, st.integers(-32768, 32767), st.integers(-3, 3))
def test_what_can_be_sent_exactly_is(protocol: Any, value: int, multiplier: int) -> None:
    kind, unit = protocol
    sent = kind(multiplier=multiplier, unit=unit, value=value)
    for rounded in (physical_down, physical_up, physical_nearest):
        assert exact(rounded(kind, physical_value(sent), unit)) == exact(sent)


def test_plain_numbers_stay_plain() -> None:
    volt, watt = iso2.UnitSymbol.V, iso2.UnitSymbol.W
    assert physical_down(iso2.PhysicalValue, 400, volt) == iso2.PhysicalValue(0, volt, 400)
    assert physical_down(iso2.PhysicalValue, 398.74, volt) == iso2.PhysicalValue(-1, volt, 3987)
    assert physical_down(iso2.PhysicalValue, 50_009, watt) == iso2.PhysicalValue(1, watt, 5000)
    assert physical_up(iso2.PhysicalValue, 50_001, watt) == iso2.PhysicalValue(1, watt, 5001)
    assert physical_nearest(din70121.PhysicalValue, 0.1) == din70121.PhysicalValue(-1, 1)
    assert physical_value(din70121.PhysicalValue(-1, 3987, din70121.UnitSymbol.V)) == 398.7


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e8, -1e9])
def test_impossible_numbers(value: float) -> None:
    with pytest.raises(ValueError, match="physical value"):
        physical_down(iso2.PhysicalValue, value, iso2.UnitSymbol.W)
