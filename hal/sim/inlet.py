"""The vehicle's end of the cable: what an EVCC can feel and do, and nothing else of the world.

This is the whole electrical interface between a simulated car (`hil`) and the plant. Everything takes effect with the
next `World.step`; reading costs nothing. Sign: positive current = into the battery.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evse_controller.model.pilot import PilotState
from hal.sim.battery import BmsLimits
from hal.sim.onboard import OnboardCharger

if TYPE_CHECKING:
    from hal.sim.world import World


class Inlet:
    """Plug, pilot resistor, EV contactors and battery of the one car at this outlet."""

    def __init__(self, world: World) -> None:
        self._world = world

    def plug(self) -> None:
        """Put the connector in: pilot state B, EV contactors open. Plugging twice changes nothing."""
        self._world.plug()

    def unplug(self) -> None:
        """Pull the connector, whatever flows (the referee objects above 60 V). The pilot goes to state A."""
        self._world.unplug()

    @property
    def plugged(self) -> bool:
        return self._world.plugged

    def set_pilot(self, state: PilotState) -> None:
        """Switch the car's pilot resistor: B (connected, not ready), C (ready) or D. Needs `plug()` before.

        Raises ValueError for a state that a car cannot make by itself (A, E, F).
        """
        if state not in (PilotState.B, PilotState.C, PilotState.D):
            raise ValueError(f"a car's resistor makes pilot state B, C or D, not {state.value}")
        if not self._world.plugged:
            raise ValueError("no connector in the inlet: plug() first")
        self._world.vehicle_pilot = state

    @property
    def duty_percent(self) -> float | None:
        """PWM duty seen on the control pilot, 0..100 %; None when unplugged or when the pilot is steady (no PWM)."""
        return self._world.pilot_duty_percent if self._world.plugged and self._world.pilot_pwm else None

    def close_contactor(self) -> None:
        """Command the EV contactors closed; they follow after their own delay (about 30 ms)."""
        self._world.ev_contactor.command(True)

    def open_contactor(self) -> None:
        """Command the EV contactors open; they follow after their own delay (about 15 ms)."""
        self._world.ev_contactor.command(False)

    @property
    def contactor_closed(self) -> bool:
        """Where the EV contactors really are (welded ones stay closed)."""
        return self._world.ev_contactor.closed

    @property
    def charger(self) -> OnboardCharger | None:
        """The car's on-board charger at an AC outlet: `set_power`, and what it takes now. None at a DC outlet."""
        return None if self._world.ac is None else self._world.ac.charger

    @property
    def inlet_voltage_v(self) -> float:
        """Voltage between DC+ and DC- at the inlet, on the cable side of the EV contactors; 0 when unplugged.

        At an AC outlet: line to neutral, 0 until the station has closed its contactor.
        """
        return self._world.inlet_voltage_v

    @property
    def battery_voltage_v(self) -> float:
        """Battery terminal voltage, on the battery side of the EV contactors."""
        return self._world.battery_voltage_v

    @property
    def current_a(self) -> float:
        """Current through the EV contactors, positive = charging, negative = discharging."""
        return self._world.ev_current_a

    @property
    def soc(self) -> float:
        """State of charge, 0..1."""
        return self._world.battery.soc

    @property
    def soc_percent(self) -> float:
        """State of charge, 0..100 %."""
        return self._world.battery.soc * 100.0

    @property
    def capacity_wh(self) -> float:
        return self._world.battery.capacity_wh

    @property
    def limits(self) -> BmsLimits:
        """What the battery management permits now: currents of both directions (>= 0), voltage window."""
        return self._world.battery.limits

    @property
    def charged_wh(self) -> float:
        """Energy that came in at the battery terminals since the world began, Wh of world time, >= 0."""
        return self._world.world_energy.battery_in_wh

    @property
    def discharged_wh(self) -> float:
        """Energy that left the battery terminals since the world began, Wh of world time, >= 0."""
        return self._world.world_energy.battery_out_wh
