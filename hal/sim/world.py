"""One deterministic physical world: grid point, modules, DC link, contactors, cable, car.

Electrical state moves on control time with implicit (backward Euler) steps, which are stable at any step width; the
energy that such a step loses when it charges a capacitor at once is booked as commutation loss, so that the sum over
all branches is exact. Battery charge, meter registers and building load move on world time, `speed` times as fast.

    grid -- building
      |---- modules =eta= link (C, bleeder) -/ EVSE / - outlet (C, divider) -- cable R --/ EV / -- R_int -- OCV(SoC)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from evse_controller.model.pilot import PilotState
from hal.sim.ac_mains import AcMains
from hal.sim.battery import Battery, BatteryConfig
from hal.sim.contactor import Contactor
from hal.sim.energy import EnergyTotals
from hal.sim.events import ConnectorMoved, ContactorMoved, Event
from hal.sim.power_stage import INVERTER, PowerStage, PowerStageConfig


@dataclass(frozen=True, slots=True)
class WorldConfig:
    """Passive parts. Times in s, resistances in ohm, capacities in F."""

    link_f: float = 100e-6
    bleeder_ohm: float = 10_000.0
    contact_ohm: float = 0.001
    outlet_f: float = 0.2e-6
    divider_ohm: float = 2_000_000.0
    cable_ohm: float = 0.02
    cable_isolation_ohm: float = 10_000_000.0
    station_isolation_ohm: float = 8_000_000.0
    vehicle_isolation_ohm: float = 5_000_000.0
    evse_close_s: float = 0.05
    evse_open_s: float = 0.02
    ev_close_s: float = 0.03
    ev_open_s: float = 0.015
    fine_step_s: float = 0.001
    coarse_step_s: float = 0.010


Observer = Callable[["World", float], None]


class World:
    """`step(dt)` moves everything. Public attributes are the state; devices and vehicle set the ones they own."""

    def __init__(
        self,
        config: WorldConfig,
        battery: BatteryConfig,
        modules: dict[str, PowerStageConfig],
        building_w: Callable[[float], float] | float = 0.0,
        start_utc_s: float = 0.0,
        start_s: float = 0.0,
        speed: float = 1.0,
        ac: AcMains | None = None,
    ) -> None:
        """`ac`: an AC outlet instead of modules and DC link; its contactor is the world's EVSE contactor."""
        if speed <= 0:
            raise ValueError("world speed must be > 0")
        self.config = config
        self.now_s = start_s
        self.utc_s = start_utc_s
        self._speed = speed
        self.battery = Battery(battery)
        self.ac = ac
        self.stages = {name: PowerStage(name, stage) for name, stage in modules.items()}
        self.evse_contactor = Contactor("evse", config.evse_close_s, config.evse_open_s)
        self.ev_contactor = Contactor("ev", config.ev_close_s, config.ev_open_s)
        self.building = building_w
        self.grid_present = True
        self.link_v = 0.0
        self.outlet_v = 0.0
        self.evse_current_a = 0.0
        self.outlet_current_a = 0.0
        self.ev_current_a = 0.0
        self.grid_power_w = 0.0
        self.building_power_w = 0.0
        self.ac_power_w = 0.0
        self.plugged = False
        self.plug_ins = 0
        self.vehicle_pilot = PilotState.A
        self.pilot_pwm = False
        self.pilot_duty_percent = 100.0
        self.emergency_stop = False
        self.heartbeat_at_s: float | None = None
        self.mcu_safe_state = False
        self.cable_isolation_ohm = config.cable_isolation_ohm
        self.vehicle_isolation_ohm = config.vehicle_isolation_ohm
        self.short_ohm: float | None = None
        self.faults: set[tuple[str, str]] = set()
        self.fault_changed_s: dict[tuple[str, str], float] = {}
        self.events: list[Event] = []
        self.observers: list[Observer] = []
        self.energy = EnergyTotals()
        self._world_base = EnergyTotals()
        self._busy_s = 0.0

    # -- time and energy -------------------------------------------------------------------------------------------
    @property
    def speed(self) -> float:
        return self._speed

    @speed.setter
    def speed(self, speed: float) -> None:
        if speed <= 0:
            raise ValueError("world speed must be > 0")
        self._world_base = self._world_base.plus(self.energy, self._speed - speed)
        self._speed = speed

    @property
    def world_energy(self) -> EnergyTotals:
        """Energy of every branch on world time: what meters, battery and bills see."""
        return self._world_base.plus(self.energy, self._speed)

    @property
    def stored_wh(self) -> float:
        """Energy in the two capacitors of a DC outlet now (control time)."""
        if self.ac is not None:
            return 0.0
        return (self.config.link_f * self.link_v**2 + self.config.outlet_f * self.outlet_v**2) / 7200.0

    @property
    def residual_wh(self) -> float:
        """Energy (control time) that appeared (+) or vanished (-); zero in a world that obeys conservation."""
        total = self.energy
        supplied = total.grid_import_wh - total.grid_export_wh - total.building_wh
        return supplied - total.losses_wh - total.cells_wh - self.stored_wh

    # -- the car's and the site's hands ----------------------------------------------------------------------------
    def plug(self) -> None:
        if not self.plugged:
            self.plugged = True
            self.plug_ins += 1
            self.vehicle_pilot = PilotState.B
            self._connector(True)

    def unplug(self) -> None:
        if self.plugged:
            self._connector(False)
            self.plugged = False
            self.vehicle_pilot = PilotState.A

    def _connector(self, plugged: bool) -> None:
        vehicle_v = self.battery_voltage_v if self.ev_contactor.closed else 0.0
        self.events.append(ConnectorMoved(self.now_s, plugged, max(self.outlet_v, vehicle_v)))
        self.disturb()

    @property
    def battery_voltage_v(self) -> float:
        return self.battery.ocv_v + self.ev_current_a * self.battery.config.r_int_ohm

    @property
    def inlet_voltage_v(self) -> float:
        if self.ev_contactor.closed:
            return self.battery_voltage_v
        return self.outlet_v if self.plugged else 0.0

    @property
    def isolation_ohm(self) -> float:
        """Resistance to earth that a monitor at the outlet can see: everything that is connected right now."""
        conductance = 1.0 / self.cable_isolation_ohm
        if self.evse_contactor.closed:
            conductance += 1.0 / self.config.station_isolation_ohm
        if self.plugged and self.ev_contactor.closed:
            conductance += 1.0 / self.vehicle_isolation_ohm
        return 1.0 / conductance

    def note_fault(self, device: str, fault: str, active: bool) -> None:
        """A fault was injected or cleared; the referee excuses what it forces (`hal.sim.excuses`)."""
        change = self.faults.add if active else self.faults.discard
        change((device, fault))
        self.fault_changed_s[device, fault] = self.now_s
        self.disturb()

    def disturb(self, seconds: float = 0.05) -> None:
        """Something switched: resolve the next `seconds` finely."""
        self._busy_s = max(self._busy_s, seconds)

    # -- the step --------------------------------------------------------------------------------------------------
    def step(self, dt_s: float) -> None:
        """Let `dt_s` seconds of control time pass (and `dt_s * speed` of world time)."""
        self.building_power_w = 0.0
        if self.grid_present:
            self.building_power_w = self.building(self.utc_s) if callable(self.building) else self.building
        left = dt_s
        while left > 1e-9:
            width = min(left, self.config.fine_step_s if self._busy_s > 0 else self.config.coarse_step_s)
            for contactor in (self.evse_contactor, self.ev_contactor):
                if contactor.left_s is not None:
                    width = min(width, max(contactor.left_s, 1e-6))
            self._advance(width)
            left -= width

    def _advance(self, h: float) -> None:
        self.now_s += h
        self.utc_s += h * self._speed
        self._busy_s = max(0.0, self._busy_s - h)
        self._move_contactors(h)
        if self.ac is not None:
            self.ac.solve(self, h)
        else:
            self._solve(h)
        for observer in self.observers:
            observer(self, h)

    def _move_contactors(self, h: float) -> None:
        vehicle_v = self.battery.ocv_v
        for contactor, supply, line, current in (
            (self.evse_contactor, self.link_v, self.outlet_v, self.evse_current_a),
            (self.ev_contactor, vehicle_v, self.outlet_v if self.plugged else vehicle_v, self.ev_current_a),
        ):
            if contactor.advance(h):
                self.events.append(ContactorMoved(self.now_s, contactor.name, contactor.closed, supply, line, current))
                self.disturb()

    def _solve(self, h: float) -> None:
        config = self.config
        bleed = 1.0 / config.bleeder_ohm
        bleed += sum(
            1.0 / stage.config.discharge_ohm
            for stage in self.stages.values()
            if stage.config.discharge_ohm is not None and not stage.on and not self.evse_contactor.closed
        )
        contact = 1.0 / config.contact_ohm if self.evse_contactor.closed else 0.0
        divider = 1.0 / config.divider_ohm
        short = 1.0 / self.short_ohm if self.short_ohm is not None else 0.0
        joined = self.plugged and self.ev_contactor.closed
        r_ev = config.cable_ohm + self.battery.config.r_int_ohm
        vehicle = 1.0 / r_ev if joined else 0.0
        ocv_v = self.battery.ocv_v
        link_0, outlet_0 = self.link_v, self.outlet_v
        a = config.link_f / h + bleed + contact
        d = config.outlet_f / h + divider + short + contact + vehicle
        det = a * d - contact * contact
        link_in = config.link_f / h * link_0
        outlet_in = config.outlet_f / h * outlet_0 + vehicle * ocv_v
        base_v = (d * link_in + contact * outlet_in) / det
        current = self._regulate(base_v, d / det, link_0, h)
        link = (d * (link_in + current) + contact * outlet_in) / det
        outlet = (a * outlet_in + contact * (link_in + current)) / det
        self.link_v, self.outlet_v = link, outlet
        self.evse_current_a = (link - outlet) * contact
        self.ev_current_a = (outlet - ocv_v) * vehicle
        self.outlet_current_a = self.ev_current_a + outlet * short
        self._book(h, bleed, divider, short, ocv_v, link_0, outlet_0)

    def _regulate(self, base_v: float, volts_per_a: float, link_v: float, h: float) -> float:
        """Deadbeat voltage control within each stage's current span: no stage passes its own voltage reference."""
        total = 0.0
        waiting = []
        for stage in self.stages.values():
            if not self.grid_present and stage.on:
                stage.switch(False, link_v)
            if stage.on:
                waiting.append((stage.span(link_v, h), stage.reference_v(h), stage))
            else:
                stage.current_a = 0.0
        waiting.sort(key=lambda item: item[0])
        for index, (span, reference_v, stage) in enumerate(waiting):
            missing = (reference_v - base_v) / volts_per_a - total
            share = missing / (len(waiting) - index)
            if stage.mode == INVERTER:
                stage.current_a = max(-span, min(0.0, share))
            else:
                stage.current_a = min(span, max(0.0, share))
            total += stage.current_a
        return total

    def _book(
        self, h: float, bleed: float, divider: float, short: float, ocv_v: float, link_0: float, outlet_0: float
    ) -> None:
        link, outlet, config, total = self.link_v, self.outlet_v, self.config, self.energy
        hours = h / 3600.0
        dc_power = ac_power = 0.0
        for stage in self.stages.values():
            power = stage.current_a * link
            dc_power += power
            if self.grid_present:
                ac_power += stage.ac_power_w(power)
        self.ac_power_w = ac_power
        self.grid_power_w = self.building_power_w + ac_power
        ev_a = self.ev_current_a
        total.at_grid(self.grid_power_w, self.building_power_w, hours)
        total.ac_wh += ac_power * hours
        total.dc_wh += dc_power * hours
        total.converter_loss_wh += (ac_power - dc_power) * hours
        total.bleeder_wh += bleed * link * link * hours
        total.contact_wh += self.evse_current_a**2 * config.contact_ohm * hours
        total.divider_wh += divider * outlet * outlet * hours
        total.short_wh += short * outlet * outlet * hours
        total.cable_wh += ev_a * ev_a * config.cable_ohm * hours
        total.resistance_wh += ev_a * ev_a * self.battery.config.r_int_ohm * hours
        metered = outlet * self.outlet_current_a * hours
        if metered >= 0:
            total.outlet_in_wh += metered
        else:
            total.outlet_out_wh -= metered
        terminal = (ocv_v + ev_a * self.battery.config.r_int_ohm) * ev_a * hours
        if terminal >= 0:
            total.battery_in_wh += terminal
        else:
            total.battery_out_wh -= terminal
        cells = ocv_v * ev_a * hours
        total.cells_wh += cells
        burnt_j = config.link_f * (link - link_0) ** 2 + config.outlet_f * (outlet - outlet_0) ** 2
        total.commutation_wh += burnt_j / 7200.0
        self.battery.store(cells * self._speed)
