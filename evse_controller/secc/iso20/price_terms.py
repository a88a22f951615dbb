"""What the operator asks for besides the price of energy: taxes, parking, overstay, services, cost limits.

Every number must fit the wire (16 bits and a power of ten, G.1 and G.2 of the reference); what does not is refused
when the configuration is read, not when a car stands there.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

# What a rational number of the highest permitted exponent holds.
MOST_NUMBER = 32_767e3
MOST_ID = 2**32 - 1
_NAME, _DESCRIPTION = 80, 160
_MOST_TAXES, _MOST_OVERSTAY_RULES, _MOST_SERVICES, _MOST_RANGES = 10, 5, 5, 8


def _number(name: str, value: float, least: float = -MOST_NUMBER, most: float = MOST_NUMBER) -> None:
    if not (math.isfinite(value) and least <= value <= most):
        raise ValueError(f"{name} must be from {least:g} to {most:g}, got {value}")


def _whole(name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise ValueError(f"{name} must be from {least} to {most}, got {value}")


def _count(name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise ValueError(f"{name}: {least} to {most} are possible, got {value}")


def _text(name: str, value: str | None, most: int) -> None:
    if value is not None and len(value) > most:
        raise ValueError(f"{name} has at most {most} characters, got {len(value)}")


class PriceAlgorithm(enum.Enum):
    """How the power ranges of a price rule stack are applied; the value is the name on the wire."""

    POWER = "urn:iso:std:iso:15118:-20:PriceAlgorithm:1-Power"
    PEAK_POWER = "urn:iso:std:iso:15118:-20:PriceAlgorithm:2-PeakPower"
    STACKED_ENERGY = "urn:iso:std:iso:15118:-20:PriceAlgorithm:3-StackedEnergy"


@dataclass(frozen=True, slots=True)
class TaxRule:
    """`rate_percent` of what it applies to; `included`: the prices hold it already (None: not said)."""

    tax_id: int
    rate_percent: float
    name: str | None = None
    included: bool | None = None
    on_energy: bool = True
    on_parking: bool = False
    on_overstay: bool = False
    on_cost_limits: bool = False

    def __post_init__(self) -> None:
        _whole("tax_id", self.tax_id, 1, MOST_ID)
        _number("rate_percent", self.rate_percent, 0.0, 100.0)
        _text("tax name", self.name, _NAME)


@dataclass(frozen=True, slots=True)
class OverstayRule:
    """From `start_s` after the end of charging on, `fee` for each begun `period_s`."""

    start_s: int
    fee: float
    period_s: int
    description: str | None = None

    def __post_init__(self) -> None:
        _whole("start_s", self.start_s, 0, MOST_ID)
        _whole("period_s", self.period_s, 1, MOST_ID)
        _number("overstay fee", self.fee, 0.0)
        _text("overstay description", self.description, _DESCRIPTION)


@dataclass(frozen=True, slots=True)
class Overstay:
    """Overstay begins after `time_threshold_s` below `power_threshold_w` (both optional); rules in order of time."""

    rules: tuple[OverstayRule, ...]
    time_threshold_s: int | None = None
    power_threshold_w: float | None = None

    def __post_init__(self) -> None:
        _count("overstay rules", len(self.rules), 1, _MOST_OVERSTAY_RULES)
        starts = [rule.start_s for rule in self.rules]
        if starts != sorted(set(starts)):
            raise ValueError(f"overstay rules must rise in start_s, got {starts}")
        if self.time_threshold_s is not None:
            _whole("time_threshold_s", self.time_threshold_s, 0, MOST_ID)
        if self.power_threshold_w is not None:
            _number("power_threshold_w", self.power_threshold_w, 0.0)


@dataclass(frozen=True, slots=True)
class AdditionalService:
    """Something sold with the energy, at a fixed fee: a car wash, a reservation."""

    name: str
    fee: float

    def __post_init__(self) -> None:
        _text("service name", self.name, _NAME)
        _number("service fee", self.fee, 0.0)


@dataclass(frozen=True, slots=True)
class PowerRange:
    """From `start_w` on a kWh costs `surcharge_per_kwh` more than its price of the hour."""

    start_w: float
    surcharge_per_kwh: float

    def __post_init__(self) -> None:
        _number("power range start_w", self.start_w, 0.0)
        _number("surcharge_per_kwh", self.surcharge_per_kwh)


@dataclass(frozen=True, slots=True)
class ParkingFee:
    """`fee` for each `period_s` of parking."""

    fee: float
    period_s: int

    def __post_init__(self) -> None:
        _number("parking fee", self.fee, 0.0)
        _whole("parking period_s", self.period_s, 1, MOST_ID)


@dataclass(frozen=True, slots=True)
class PriceTerms:
    """All of it. Money in the currency of the offer; none of it is said about discharging, which is paid to the EV.

    `ranges` must begin at 0 W and rise. `carbon_g_per_kwh` and `renewable_percent` describe the energy sold.
    """

    algorithm: PriceAlgorithm = PriceAlgorithm.POWER
    description: str | None = None
    minimum_cost: float | None = None
    maximum_cost: float | None = None
    taxes: tuple[TaxRule, ...] = ()
    overstay: Overstay | None = None
    additional_services: tuple[AdditionalService, ...] = ()
    ranges: tuple[PowerRange, ...] = (PowerRange(0.0, 0.0),)
    parking: ParkingFee | None = None
    carbon_g_per_kwh: int | None = None
    renewable_percent: int | None = None

    def __post_init__(self) -> None:
        _text("price description", self.description, _DESCRIPTION)
        _count("taxes", len(self.taxes), 0, _MOST_TAXES)
        _count("additional_services", len(self.additional_services), 0, _MOST_SERVICES)
        _count("ranges", len(self.ranges), 1, _MOST_RANGES)
        ids = [tax.tax_id for tax in self.taxes]
        if len(set(ids)) != len(ids):
            raise ValueError(f"tax ids must differ, got {ids}")
        starts = [entry.start_w for entry in self.ranges]
        if starts[0] != 0.0 or starts != sorted(set(starts)):
            raise ValueError(f"ranges must begin at 0 W and rise, got {starts}")
        for name in ("minimum_cost", "maximum_cost"):
            if getattr(self, name) is not None:
                _number(name, getattr(self, name), 0.0)
        if self.minimum_cost is not None and self.maximum_cost is not None and self.minimum_cost > self.maximum_cost:
            raise ValueError(f"minimum_cost {self.minimum_cost} is above maximum_cost {self.maximum_cost}")
        if self.carbon_g_per_kwh is not None:
            _whole("carbon_g_per_kwh", self.carbon_g_per_kwh, 0, 0xFFFF)
        if self.renewable_percent is not None:
            _whole("renewable_percent", self.renewable_percent, 0, 100)
