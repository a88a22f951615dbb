"""The AC outlet of the world: mains, contactor, on-board charger.

    grid -- building
      |---- meter -/ contactor / - cable - on-board charger =eta= R_int - OCV(SoC)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hal.sim.onboard import OnboardCharger, OnboardConfig

if TYPE_CHECKING:
    from hal.sim.world import World


@dataclass(frozen=True, slots=True)
class AcConfig:
    """The mains at the outlet: line to neutral voltage, 1 or 3 phases. `cable_a`: rating of the driver's own cable in a
    socket outlet (13, 20, 32 or 63 A), 0 = the cable is tethered."""

    voltage_v: float = 230.0
    frequency_hz: float = 50.0
    phases: int = 3
    cable_a: int = 0

    def __post_init__(self) -> None:
        if self.cable_a not in (0, 13, 20, 32, 63):
            raise ValueError("ac: cable_a must be 0 (tethered), 13, 20, 32 or 63")
        if self.phases not in (1, 3) or self.voltage_v <= 0 or self.frequency_hz <= 0:
            raise ValueError("ac: 1 or 3 phases, voltage and frequency > 0")


class AcMains:
    """State of the AC outlet. `factor` scales the mains' voltage (a fault). Powers and currents: + = to the EV."""

    def __init__(self, config: AcConfig, onboard: OnboardConfig) -> None:
        self.config = config
        self.charger = OnboardCharger(onboard, config.voltage_v, config.phases)
        self.factor = 1.0
        self.proximity_lost = False
        self.voltage_v = config.voltage_v
        self.phase_w: tuple[float, ...] = (0.0,) * config.phases
        self.phase_a: tuple[float, ...] = (0.0,) * config.phases

    @property
    def proximity_a(self) -> int:
        """The plugged cable's rating as its resistor tells it; 0 when it does not."""
        return 0 if self.proximity_lost else self.config.cable_a

    @property
    def power_w(self) -> float:
        return sum(self.phase_w)

    @property
    def largest_a(self) -> float:
        """The phase current of largest magnitude, signed."""
        return max(self.phase_a, key=abs)

    def solve(self, world: World, h: float) -> None:
        """Move everything by `h` seconds and book the energy."""
        self.voltage_v = self.config.voltage_v * self.factor if world.grid_present else 0.0
        closed = world.evse_contactor.closed
        live = closed and world.plugged and world.grid_present
        self.charger.advance(h, live, world.pilot_pwm and world.vehicle_pilot.ready)
        self.phase_w = self.charger.split_w()
        self.phase_a = tuple(power / self.voltage_v if self.voltage_v else 0.0 for power in self.phase_w)
        world.link_v = self.voltage_v
        world.outlet_v = self.voltage_v if closed else 0.0
        world.evse_current_a = world.outlet_current_a = self.largest_a
        world.ev_current_a = self.charger.battery_current_a(world.battery)
        self._book(world, h / 3600.0)

    def _book(self, world: World, hours: float) -> None:
        power_w, total = self.power_w, world.energy
        amps, ocv_v, r_ohm = world.ev_current_a, world.battery.ocv_v, world.battery.config.r_int_ohm
        terminal_w = (ocv_v + amps * r_ohm) * amps
        world.ac_power_w = power_w
        world.grid_power_w = world.building_power_w + power_w
        total.at_grid(world.grid_power_w, world.building_power_w, hours)
        total.ac_wh += power_w * hours
        total.dc_wh += terminal_w * hours
        total.converter_loss_wh += (power_w - terminal_w) * hours
        total.resistance_wh += amps * amps * r_ohm * hours
        if power_w >= 0:
            total.outlet_in_wh += power_w * hours
        else:
            total.outlet_out_wh -= power_w * hours
        if terminal_w >= 0:
            total.battery_in_wh += terminal_w * hours
        else:
            total.battery_out_wh -= terminal_w * hours
        cells_wh = ocv_v * amps * hours
        total.cells_wh += cells_wh
        world.battery.store(cells_wh * world.speed)
