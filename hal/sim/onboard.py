"""The on-board charger of an AC car: takes power from the mains (or gives some back) on one or three phases.

The car's own electronics: it knows its battery, keeps its ramp, and stops by itself when the pilot's oscillator is off
or its own switch is not on C/D. Whether it does what the station told it is the affair of `hil` and of its faults.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from hal.sim.battery import Battery


@dataclass(frozen=True, slots=True)
class OnboardConfig:
    """Currents in A per phase (AC side), magnitudes; `efficiency` holds in both directions."""

    phases: int = 3
    max_current_a: float = 16.0
    max_discharge_current_a: float = 16.0
    efficiency: float = 0.92
    ramp_w_per_s: float = 5_000.0
    bidirectional: bool = True

    def __post_init__(self) -> None:
        if self.phases not in (1, 3):
            raise ValueError("onboard: phases must be 1 or 3")
        if not 0.5 <= self.efficiency <= 1.0:
            raise ValueError("onboard: efficiency must be between 0.5 and 1")
        if self.max_current_a <= 0 or self.max_discharge_current_a < 0 or self.ramp_w_per_s <= 0:
            raise ValueError("onboard: currents and ramp must be positive")


class OnboardCharger:
    """Powers in W at the AC side, all phases together, + = into the car. `set_power` is the only thing a car does.

    Faults: `forced_w` is taken whatever was set (and whatever the pilot says); `factor` on what was set; `one_phase`
    loads L1 with everything.
    """

    def __init__(self, config: OnboardConfig, nominal_v: float, outlet_phases: int) -> None:
        self.config = config
        self.phases = min(config.phases, outlet_phases)
        self.power_w = 0.0
        self.wanted_w = 0.0
        self.forced_w: float | None = None
        self.factor = 1.0
        self.one_phase = False
        self._nominal_v = nominal_v
        self._outlet_phases = outlet_phases

    @property
    def max_power_w(self) -> float:
        """What it can take at nominal voltage."""
        return self.config.max_current_a * self._nominal_v * self.phases

    @property
    def max_discharge_w(self) -> float:
        """What it can give at nominal voltage, >= 0; 0 when it is not bidirectional."""
        amps = self.config.max_discharge_current_a if self.config.bidirectional else 0.0
        return amps * self._nominal_v * self.phases

    def set_power(self, power_w: float) -> None:
        """Power wanted from now on, signed; reached at its ramp, inside what it can do."""
        self.wanted_w = power_w

    def advance(self, h: float, live: bool, permitted: bool) -> None:
        """Let `h` seconds pass. `live`: mains at the inlet; `permitted`: oscillator on and pilot C/D."""
        if not live:
            self.power_w = 0.0
            return
        if self.forced_w is not None:
            target = self.forced_w
        else:
            target = self.wanted_w * self.factor if permitted else 0.0
            if self.factor <= 1.0:
                target = max(-self.max_discharge_w, min(self.max_power_w, target))
        step = self.config.ramp_w_per_s * h
        self.power_w = max(self.power_w - step, min(self.power_w + step, target))

    def split_w(self) -> tuple[float, ...]:
        """The present power in each of the outlet's phases."""
        if self.phases == 1 or self.one_phase:
            return (self.power_w, *(0.0,) * (self._outlet_phases - 1))
        return (self.power_w / self.phases,) * self.phases

    def battery_current_a(self, battery: Battery) -> float:
        """Battery current (+ = charging) of the present power, its conversion loss taken off."""
        share = self.config.efficiency
        terminal_w = self.power_w * share if self.power_w >= 0 else self.power_w / share
        ocv_v, r_ohm = battery.ocv_v, battery.config.r_int_ohm
        return (math.sqrt(max(0.0, ocv_v**2 + 4.0 * r_ohm * terminal_w)) - ocv_v) / (2.0 * r_ohm)
