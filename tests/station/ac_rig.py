"""The AC station with real drivers on the simulated plant, in virtual time, and a car that follows what it is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from evse_controller.model.commands import (
    AcLoopUpdate,
    EndKind,
    EnergyStart,
    EnergyStop,
    EvAcLimits,
    LimitsNegotiated,
    ScheduleRequested,
    ServiceSelected,
    SessionEnded,
    SessionOpened,
)
from evse_controller.model.limits import Limit, SiteAllowance
from evse_controller.model.pilot import PilotState
from evse_controller.model.power import PhasePower
from evse_controller.model.snapshot import Authorization, EvseSnapshot
from evse_controller.model.wish import EnergyWish
from evse_controller.safety import AcPhase
from evse_controller.station import AcOutletDevices, AcStation, AcStationConfig, StationEvent
from hal.meters.eastron_sdm630_outlet import EastronSdm630Outlet
from hal.modbus import ModbusBus
from hal.pilot.charge_som import ChargeSomMcu
from hal.sim.onboard import OnboardCharger, OnboardConfig
from hal.sim.plant import Plant, PlantConfig
from hal.sim.referee import RefereeConfig
from hal.sim.referee_ac import AcRefereeConfig
from tests.station.ac_bench import AC_BPT
from tests.station.rig import NEEDS, POLL_S, STEP_S

AC_PLANT = PlantConfig(kind="ac")
FED = replace(AC_PLANT, referee=RefereeConfig(ac=AcRefereeConfig(export_allowed=True)))
ONE_PHASE = replace(AC_PLANT, onboard=OnboardConfig(phases=1, max_current_a=32.0))
CONFIG = AcStationConfig(evseid="DE*EVC*E1", max_current_a=32.0)
V2G = replace(CONFIG, bidirectional=True, ac_export_authorised=True, max_discharge_current_a=16.0)


class AcRig:
    """Plant, drivers, station and a car. `follows` false: the car does not do what the loop tells it."""

    def __init__(self, plant: Plant, config: AcStationConfig = CONFIG) -> None:
        self.plant = plant
        ends = plant.channels
        self.mcu = ChargeSomMcu("mcu", lambda: ends["mcu"])
        self.meter = EastronSdm630Outlet("meter", ModbusBus(lambda: ends["meter"], 9600), 1, phases=config.phases)
        self.drivers = (self.mcu, self.meter)
        for driver in self.drivers:
            driver.open()
        self.station = AcStation(config, AcOutletDevices(self.mcu, self.meter))
        self.import_w, self.export_w = 22_000.0, 11_000.0
        self.wish = EnergyWish(setpoint_w=0.0)
        self.per_phase = True
        self.looping = False
        self.follows = True
        self.frozen = False
        self.events: list[StationEvent] = []
        self._control_s = self._loop_s = plant.now_s

    @property
    def now_s(self) -> float:
        return self.plant.now_s

    @property
    def car(self) -> OnboardCharger:
        charger = self.plant.inlet.charger
        assert charger is not None
        return charger

    def tick(self) -> None:
        """10 ms: world, drivers, guard; every 50 ms a control step; every 200 ms the EV's loop request."""
        self.plant.step(POLL_S)
        if self.frozen:
            return
        now_s = self.now_s
        for driver in self.drivers:
            driver.poll(now_s)
        self.station.guard(now_s)
        if self.looping and now_s - self._loop_s >= 0.2 - 1e-9:
            self._loop_s = now_s
            self.send(AcLoopUpdate(PhasePower(self.car.power_w), self.limits(), NEEDS, 50.0))
            present = self.snapshot.ac_present
            if self.follows and present is not None:
                self.car.set_power(present.target_w.total_w)
        if now_s - self._control_s >= STEP_S - 1e-9:
            self._control_s = now_s
            end = now_s + 1.0
            site = SiteAllowance(
                Limit(self.import_w, "site", "test", end), Limit(self.export_w, "site", "test", end), False
            )
            self.station.step(now_s, self.plant.utc_s, True, site, self.wish, Authorization.ACCEPTED)
            self.events += self.station.drain_events()

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / POLL_S)):
            self.tick()

    def until(self, condition: Callable[[], bool], within_s: float) -> float:
        """Run until `condition` holds; returns the time it took. AssertionError after `within_s`."""
        begin_s = self.now_s
        while not condition():
            if self.now_s - begin_s > within_s:
                raise AssertionError(f"not within {within_s} s: {self.station.status()}\n{self.story()}")
            self.tick()
        return self.now_s - begin_s

    def story(self) -> str:
        return "\n".join(f"{event.at_s:.2f} {event.kind}: {event.text}" for event in self.events)

    @property
    def snapshot(self) -> EvseSnapshot:
        snapshot = self.station.snapshot
        assert snapshot is not None
        return snapshot

    @property
    def phase(self) -> AcPhase:
        return AcPhase(self.station.status().phase)

    @property
    def fault_codes(self) -> set[str]:
        return {fault.code.value for fault in self.station.status().faults}

    @property
    def closed(self) -> bool:
        return self.plant.world.evse_contactor.closed

    @property
    def power_w(self) -> float:
        return self.car.power_w

    def send(self, command: object) -> None:
        self.station.command(command, self.now_s)  # type: ignore[arg-type]

    def limits(self) -> EvAcLimits:
        def spread(total_w: float) -> PhasePower:
            return PhasePower(*[total_w / 3] * 3) if self.per_phase else PhasePower(total_w)

        car = self.car
        return EvAcLimits(spread(car.max_power_w), spread(1_380.0), spread(car.max_discharge_w), spread(0.0))

    def negotiate(self, service: ServiceSelected = AC_BPT) -> None:
        self.run(1.0)
        self.plant.inlet.plug()
        self.until(lambda: self.plant.inlet.duty_percent == 5.0, 2.0)
        self.send(SessionOpened("0011223344556677", "EVCC", "ISO15118-20:AC"))
        self.send(service)
        self.send(LimitsNegotiated(self.limits(), 80.0))
        self.send(ScheduleRequested(NEEDS))
        self.run(0.2)

    def start(self, service: ServiceSelected = AC_BPT) -> float:
        """From unplugged into the loop; returns the time from Start to a closed contactor."""
        self.negotiate(service)
        self.send(EnergyStart(None))
        self.plant.inlet.set_pilot(PilotState.C)
        took_s = self.until(lambda: self.snapshot.energy_ready, 1.4)
        self.looping = True
        return took_s

    def at_power(self, power_w: float, service: ServiceSelected = AC_BPT) -> None:
        self.start(service)
        self.set_power(power_w)

    def set_power(self, power_w: float) -> None:
        self.wish = EnergyWish(setpoint_w=power_w)
        self.until(lambda: abs(self.power_w - power_w) < 100.0, 10.0)

    def stop(self) -> None:
        """The car reduces, PowerDelivery(Stop), pilot B, SessionStop."""
        self.looping = False
        self.car.set_power(0.0)
        self.send(EnergyStop("EV wants to stop"))
        self.until(lambda: self.snapshot.stop_done, 5.0)
        self.plant.inlet.set_pilot(PilotState.B)
        self.run(0.2)
        self.send(SessionEnded(EndKind.TERMINATED, "done"))
        self.run(0.2)
