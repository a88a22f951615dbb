"""The vehicle's battery: open circuit voltage over state of charge, internal resistance, limits of its management."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class BatteryConfig:
    """A car battery. `ocv_v` are (state of charge 0..1, open circuit volts) points, rising, first at 0 and last at 1.

    The management's limits: full charge current up to `taper_soc`, from there falling linearly to 5 % at 1.0;
    discharge current falls linearly to zero between `min_soc` + 0.05 and `min_soc`.
    """

    capacity_kwh: float = 60.0
    soc: float = 0.5
    r_int_ohm: float = 0.08
    ocv_v: tuple[tuple[float, float], ...] = ((0.0, 320.0), (0.1, 345.0), (0.5, 368.0), (0.9, 396.0), (1.0, 408.0))
    max_voltage_v: float = 450.0
    min_voltage_v: float = 300.0
    max_charge_current_a: float = 125.0
    max_discharge_current_a: float = 80.0
    taper_soc: float = 0.8
    min_soc: float = 0.05

    def __post_init__(self) -> None:
        points = self.ocv_v
        if len(points) < 2 or points[0][0] != 0.0 or points[-1][0] != 1.0:
            raise ValueError("ocv_v must start at state of charge 0 and end at 1")
        for before, after in pairwise(points):
            if after[0] <= before[0] or after[1] <= before[1]:
                raise ValueError("ocv_v must rise in both columns")
        if not 0.0 <= self.soc <= 1.0 or self.capacity_kwh <= 0 or self.r_int_ohm <= 0:
            raise ValueError("battery: soc 0..1, capacity and internal resistance > 0")


@dataclass(frozen=True, slots=True)
class BmsLimits:
    """What the battery management permits now, all >= 0. The world does not enforce it: asking is the car's job."""

    max_charge_current_a: float
    max_discharge_current_a: float
    max_voltage_v: float
    min_voltage_v: float


class Battery:
    """State of charge moves on world time; its voltage answers the current at once."""

    def __init__(self, config: BatteryConfig) -> None:
        self.config = config
        self.soc = config.soc
        self._socs = [point[0] for point in config.ocv_v]

    @property
    def capacity_wh(self) -> float:
        return self.config.capacity_kwh * 1000.0

    @property
    def ocv_v(self) -> float:
        points = self.config.ocv_v
        index = min(max(bisect_right(self._socs, self.soc), 1), len(points) - 1)
        (soc_0, volt_0), (soc_1, volt_1) = points[index - 1], points[index]
        return volt_0 + (volt_1 - volt_0) * (self.soc - soc_0) / (soc_1 - soc_0)

    def store(self, energy_wh: float) -> None:
        """Book energy behind the internal resistance (+ = charge). Beyond full or empty the OCV line is extended."""
        self.soc += energy_wh / self.capacity_wh

    @property
    def limits(self) -> BmsLimits:
        config = self.config
        charge = config.max_charge_current_a
        if self.soc > config.taper_soc:
            left = max(0.0, 1.0 - self.soc) / max(1e-9, 1.0 - config.taper_soc)
            charge *= 0.05 + 0.95 * left if self.soc < 1.0 else 0.0
        headroom = min(1.0, max(0.0, (self.soc - config.min_soc) / 0.05))
        return BmsLimits(charge, config.max_discharge_current_a * headroom, config.max_voltage_v, config.min_voltage_v)
