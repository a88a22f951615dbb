"""PhysicalValue helpers: numbers to and from Value * 10^Multiplier with a unit, rounded in the direction of the name.

ISO 15118-2 and DIN 70121 each have a PhysicalValue and a UnitSymbol of their own; the caller hands over those of the
protocol that was negotiated, so this module loads neither:

    from evse_controller.messages.generated.iso2 import PhysicalValue, UnitSymbol
    physical_down(PhysicalValue, 398.74, UnitSymbol.V)  # PhysicalValue(multiplier=-1, unit=V, value=3987)

A limit must never become larger by rounding: `physical_down` for maxima that we promise not to exceed, `physical_up`
for minima, `physical_nearest` for measurements. The unit is the one of the number given; nothing is converted.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Protocol, TypeVar

from evse_controller.messages.scaling import DOWN, NEAREST, UP, meant, scaled


class Physical(Protocol):
    """What the PhysicalValue classes of both protocols share."""

    multiplier: int
    value: int


PhysicalT = TypeVar("PhysicalT", bound=Physical)


def _physical(kind: Callable[..., PhysicalT], value: float, unit: IntEnum | None, rounding: str) -> PhysicalT:
    multiplier, number = scaled(value, rounding, "physical value")
    return kind(multiplier=multiplier, unit=unit, value=number)


def physical_down(kind: Callable[..., PhysicalT], value: float, unit: IntEnum | None = None) -> PhysicalT:
    """The nearest physical value that is not above `value`; `unit` may be left out in DIN 70121 only."""
    return _physical(kind, value, unit, DOWN)


def physical_up(kind: Callable[..., PhysicalT], value: float, unit: IntEnum | None = None) -> PhysicalT:
    """The nearest physical value that is not below `value`; `unit` may be left out in DIN 70121 only."""
    return _physical(kind, value, unit, UP)


def physical_nearest(kind: Callable[..., PhysicalT], value: float, unit: IntEnum | None = None) -> PhysicalT:
    """The physical value nearest to `value`; `unit` may be left out in DIN 70121 only."""
    return _physical(kind, value, unit, NEAREST)


def physical_value(number: Physical) -> float:
    """The number in a physical value, in its own unit."""
    return meant(number.multiplier, number.value)
