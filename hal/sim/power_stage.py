"""The power stage of one bidirectional AC/DC module: what silicon does, without its communication."""

from __future__ import annotations

from dataclasses import dataclass

RECTIFIER = "rectifier"
INVERTER = "inverter"


@dataclass(frozen=True, slots=True)
class PowerStageConfig:
    """Ratings of one module. Currents are magnitudes on the DC side; `efficiency` holds in both directions."""

    max_voltage_v: float = 1000.0
    min_voltage_v: float = 150.0
    max_current_a: float = 73.0
    rated_power_w: float = 22000.0
    efficiency: float = 0.95
    idle_w: float = 15.0
    ramp_a_per_s: float = 100.0
    fall_a_per_s: float = 2000.0
    slew_v_per_s: float = 500.0
    discharge_ohm: float | None = None

    def __post_init__(self) -> None:
        if not 0.5 <= self.efficiency <= 1.0:
            raise ValueError("efficiency must be 0.5..1")
        if min(self.max_current_a, self.rated_power_w, self.ramp_a_per_s, self.fall_a_per_s, self.slew_v_per_s) <= 0:
            raise ValueError("module ratings and ramps must be > 0")


class PowerStage:
    """Regulates the DC link: rectifier feeds up to `current_set_a` at `voltage_set_v`, inverter draws down to a floor.

    `current_a` is signed, positive into the DC link. Off means no current at once.
    """

    def __init__(self, name: str, config: PowerStageConfig) -> None:
        self.name = name
        self.config = config
        self.on = False
        self.mode = RECTIFIER
        self.voltage_set_v = 0.0
        self.current_set_a = 0.0
        self.floor_v = config.min_voltage_v
        self.upper_v = config.max_voltage_v
        self.country_code: int | None = None
        self.current_a = 0.0
        self.over_voltage_v = 0.0
        self.broken = False
        self._reference_v = 0.0

    def switch(self, on: bool, link_v: float) -> None:
        """Soft start from the voltage that is there."""
        if on and not self.on:
            self._reference_v = link_v
        self.on = on
        if not on:
            self.current_a = 0.0

    def span(self, link_v: float, seconds: float) -> float:
        """The largest magnitude of current this stage can reach by the end of the next `seconds`."""
        if not self.on or self.broken:
            return 0.0
        config = self.config
        if self.mode == INVERTER and (link_v < config.min_voltage_v or link_v > self.upper_v):
            return 0.0
        wanted = min(self.current_set_a, config.max_current_a, config.rated_power_w / max(link_v, 1.0))
        present = abs(self.current_a)
        return min(present + config.ramp_a_per_s * seconds, max(wanted, present - config.fall_a_per_s * seconds))

    def reference_v(self, seconds: float) -> float:
        """The voltage this stage regulates to at the end of the next `seconds`; moves the soft-start reference."""
        if self.mode == INVERTER:
            return self.floor_v
        goal = self.voltage_set_v + self.over_voltage_v
        move = self.config.slew_v_per_s * seconds
        self._reference_v += max(-move, min(move, goal - self._reference_v))
        return self._reference_v

    def ac_power_w(self, dc_power_w: float) -> float:
        """Grid side power of this module for its DC power, both positive = from grid to link."""
        if dc_power_w >= 0:
            return dc_power_w / self.config.efficiency + self.config.idle_w
        return dc_power_w * self.config.efficiency + self.config.idle_w
