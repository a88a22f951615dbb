"""The station with real drivers on the simulated plant, in virtual time, driven as a session would drive it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from evse_controller.model.commands import (
    CableCheckRequested,
    ControlMode,
    EndKind,
    EnergyStart,
    EnergyStop,
    EvDcLimits,
    LimitsNegotiated,
    LoopUpdate,
    PreChargeRequested,
    ScheduleRequested,
    ServiceSelected,
    SessionEnded,
    SessionOpened,
    WeldingDetectionRequested,
)
from evse_controller.model.limits import Limit, SiteAllowance
from evse_controller.model.offer import EnergyNeeds
from evse_controller.model.pilot import PilotState
from evse_controller.model.snapshot import Authorization, DcRatings, EvseSnapshot, Step
from evse_controller.model.wish import EnergyWish
from evse_controller.safety import Phase
from evse_controller.station import OutletDevices, Station, StationConfig, StationEvent
from hal.can_port import SlcanPort
from hal.isolation.bender_isocha425 import BenderIsoCha425
from hal.meters.acrel_djsf1352 import AcrelDjsf1352
from hal.modbus import ModbusBus
from hal.pilot.charge_som import ChargeSomMcu
from hal.power.infy_beg import InfyBeg
from hal.sim.plant import Plant, PlantConfig

GRID_PROFILE = 1
IMD_RESPONSE_S = 1.25
"""The simulated monitor measures for 1 s; its reading is polled every 0.2 s."""

POLL_S = 0.01
STEP_S = 0.05
RATINGS = DcRatings(1000.0, 150.0, 140.0, 40_000.0, 140.0, 40_000.0)
CAR = PlantConfig()
"""A 450 V car: its cable is tested at 500 V (IEC 61851-23), above its own limit, with its contactors open."""

EV = EvDcLimits(450.0, 300.0, 125.0, 0.0, 50_000.0, 0.0, 80.0, 0.0, 30_000.0, 0.0)
NEEDS = EnergyNeeds(
    dynamic=True,
    max_supporting_points=12,
    departure_utc_s=None,
    target_wh=20_000.0,
    maximum_wh=25_000.0,
    minimum_wh=-10_000.0,
    v2x_maximum_wh=5_000.0,
    v2x_minimum_wh=-5_000.0,
    present_soc=50.0,
    minimum_soc=20.0,
)


class Rig:
    """Plant, drivers, station and a car that plays by the rules. `run` lets time pass."""

    def __init__(self, plant: Plant, config: StationConfig | None = None, **changes: object) -> None:
        self.plant = plant
        ends = plant.channels
        can_bitrate = plant.config.bus.can_bitrate
        self.mcu = ChargeSomMcu("mcu", lambda: ends["mcu"])
        self.supply = InfyBeg("power", lambda: SlcanPort(ends["can0"], can_bitrate), modules=(1, 2))
        self.meter = AcrelDjsf1352("meter", ModbusBus(lambda: ends["meter"], 9600), 1)
        self.isolation = BenderIsoCha425("imd", ModbusBus(lambda: ends["imd"], 19_200), 3)
        self.drivers = (self.mcu, self.supply, self.meter, self.isolation)
        for driver in self.drivers:
            driver.open()
        self.config = config or StationConfig(
            evseid="DE*EVC*E1", ratings=RATINGS, grid_profile=GRID_PROFILE, isolation_response_s=IMD_RESPONSE_S
        )
        if changes:
            self.config = replace(self.config, **changes)  # type: ignore[arg-type]
        self.station = Station(self.config, OutletDevices(self.mcu, self.supply, self.meter, self.isolation))
        self.import_w, self.export_w, self.site_stale = 50_000.0, 20_000.0, False
        self.wish = EnergyWish(setpoint_w=0.0)
        self.ev = EV
        self.target_a: float | None = None
        self.looping = False
        self.frozen = False
        self.car_holds_pilot = True
        self.events: list[StationEvent] = []
        self._control_s = plant.now_s
        self._loop_s = plant.now_s

    # -- time ----------------------------------------------------------------------------------------------
    @property
    def now_s(self) -> float:
        return self.plant.now_s

    def allowance(self) -> SiteAllowance:
        end = self.now_s + 1.0
        export_w = 0.0 if self.site_stale else self.export_w
        return SiteAllowance(
            Limit(self.import_w, "site", "test", end), Limit(export_w, "site", "test", end), self.site_stale
        )

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
            self.station.command(self.loop_update(), now_s)
        if now_s - self._control_s >= STEP_S - 1e-9:
            self._control_s = now_s
            utc_s = self.plant.utc_s
            self.station.step(now_s, utc_s, True, self.allowance(), self.wish, Authorization.ACCEPTED)
            self.events += self.station.drain_events()

    def loop_update(self) -> LoopUpdate:
        volts = self.plant.inlet.battery_voltage_v
        return LoopUpdate(volts, self.ev.max_voltage_v, self.target_a, self.ev, NEEDS, 50.0)

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

    # -- what is true --------------------------------------------------------------------------------------
    @property
    def snapshot(self) -> EvseSnapshot:
        snapshot = self.station.snapshot
        assert snapshot is not None
        return snapshot

    @property
    def phase(self) -> Phase:
        return Phase(self.station.status().phase)

    @property
    def fault_codes(self) -> set[str]:
        return {fault.code.value for fault in self.station.status().faults}

    @property
    def contactor_closed(self) -> bool:
        return self.plant.world.evse_contactor.closed

    @property
    def current_a(self) -> float:
        """True current to the EV."""
        return self.plant.world.outlet_current_a

    # -- the session ---------------------------------------------------------------------------------------
    def send(self, command: object) -> None:
        self.station.command(command, self.now_s)  # type: ignore[arg-type]

    def ready(self) -> None:
        """Started, modules known, isolation monitor tested, nobody plugged in."""
        self.until(lambda: self.isolation_tested() and self.snapshot.bidirectional, 60.0)
        self.run(0.5)

    def isolation_tested(self) -> bool:
        reading = self.isolation.reading()
        return reading is not None and reading.self_test_ok is True and self.station.snapshot is not None

    def negotiate(self, mode: ControlMode = ControlMode.DYNAMIC, bidirectional: bool = True) -> None:
        self.plant.inlet.plug()
        self.until(lambda: self.phase is Phase.CONNECTED, 2.0)
        self.send(SessionOpened("0011223344556677", "EVCC", "ISO15118-20:DC"))
        self.send(ServiceSelected(6 if bidirectional else 2, 1, mode, bidirectional, 1))
        self.send(LimitsNegotiated(self.ev, 80.0))
        self.send(ScheduleRequested(NEEDS))
        self.run(0.2)

    def cable_check(self) -> float:
        """Pilot C and cable check until done; returns its duration in s."""
        self.plant.inlet.set_pilot(PilotState.C)
        self.run(0.3)
        self.send(CableCheckRequested())
        return self.until(lambda: self.snapshot.cable_check is not Step.RUNNING and self.asked_for_check(), 40.0)

    def asked_for_check(self) -> bool:
        return self.snapshot.cable_check is not Step.IDLE

    def precharge(self) -> float:
        """PreCharge until the outlet matches; then the car closes. Returns the time to match in s."""
        inlet = self.plant.inlet
        self.send(PreChargeRequested(inlet.battery_voltage_v, inlet.inlet_voltage_v))
        took_s = self.until(lambda: self.snapshot.precharge is not Step.RUNNING and self.asked_precharge(), 12.0)
        assert self.snapshot.precharge is Step.DONE, self.story()
        inlet.close_contactor()
        self.run(0.2)
        return took_s

    def asked_precharge(self) -> bool:
        return self.snapshot.precharge is not Step.IDLE

    def start(self, mode: ControlMode = ControlMode.DYNAMIC, bidirectional: bool = True) -> None:
        """From unplugged to the charge loop with no current flowing yet."""
        self.ready()
        self.negotiate(mode, bidirectional)
        self.cable_check()
        assert self.snapshot.cable_check is Step.DONE, self.story()
        self.precharge()
        self.start_energy()

    def start_energy(self) -> None:
        """PowerDelivery(Start) and the first loop requests."""
        self.send(EnergyStart(None))
        self.until(lambda: self.snapshot.energy_ready, 1.5)
        self.looping = True

    def at_power(self, setpoint_w: float) -> None:
        """`start`, then Dynamic mode at `setpoint_w`, reached."""
        self.start()
        self.set_power(setpoint_w)

    def set_power(self, setpoint_w: float) -> None:
        self.wish = EnergyWish(setpoint_w=setpoint_w)
        self.until(lambda: abs(self.power_w - setpoint_w) < 0.05 * abs(setpoint_w) + 100.0, 8.0)

    @property
    def power_w(self) -> float:
        return self.plant.world.outlet_v * self.current_a

    def stop(self) -> None:
        """PowerDelivery(Stop), pilot B, welding detection, EV opens, SessionStop, link discharged."""
        self.looping = False
        self.send(EnergyStop("EV wants to stop"))
        self.until(lambda: self.snapshot.stop_done, 1.5)
        self.plant.inlet.set_pilot(PilotState.B)
        self.run(0.1)
        self.send(WeldingDetectionRequested())
        self.plant.inlet.open_contactor()
        self.run(0.5)
        self.send(SessionEnded(EndKind.TERMINATED, "done"))
        self.until(lambda: self.phase is Phase.CONNECTED, 20.0)

    def unplug(self) -> None:
        self.plant.inlet.open_contactor()
        self.run(1.0)
        self.plant.inlet.unplug()
        self.until(lambda: self.phase is Phase.IDLE, 20.0)

    def unplug_in_emergency(self) -> None:
        self.looping = False
        self.plant.inlet.open_contactor()
        self.run(2.0)
        self.plant.inlet.unplug()
        self.run(3.0)
