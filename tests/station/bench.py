"""The station on obedient fakes, step by step: outlet and link show the set voltage when on and connected."""

from __future__ import annotations

from dataclasses import replace

from evse_controller.model.commands import (
    CableCheckRequested,
    ControlMode,
    EndKind,
    EnergyStart,
    LimitsNegotiated,
    LoopUpdate,
    PreChargeRequested,
    ScheduleRequested,
    ServiceSelected,
    SessionEnded,
    SessionOpened,
)
from evse_controller.model.fault import Fault
from evse_controller.model.limits import Limit, SiteAllowance
from evse_controller.model.pilot import PilotState
from evse_controller.model.snapshot import Authorization, DriverWishes, EvseSnapshot
from evse_controller.model.wish import EnergyWish
from evse_controller.station import OutletDevices, Station, StationConfig
from tests.safety.facts import EV, NEEDS, NOW, RATINGS
from tests.station.fakes import Face, FakeDevices

OPENED = SessionOpened("00", "EV", "-20")
BPT = ServiceSelected(6, 1, ControlMode.DYNAMIC, True, 1)
LIMITS = LimitsNegotiated(EV, None)
LOOP = LoopUpdate(400.0, 450.0, 20.0, EV, None, None)
PAUSED = SessionEnded(EndKind.PAUSED, "pause")


class Bench:
    """Station and fakes. `outlet_v` overrides the voltage that the outlet shows, `amps` its current."""

    def __init__(self, latched: tuple[Fault, ...] = (), **changes: object) -> None:
        self.devices = FakeDevices()
        faces = [Face(self.devices, which) for which in ("mcu", "power", "meter", "isolation")]
        config = StationConfig(evseid="E", ratings=RATINGS, grid_profile=1, isolation_response_s=0.2)
        self.station = Station(replace(config, **changes), OutletDevices(*faces), latched)  # type: ignore[arg-type]
        self.now_s = NOW
        self.pilot = PilotState.A
        self.amps = 0.0
        self.outlet_v: float | None = None
        self.driver: DriverWishes | None = None

    def steps(self, count: int = 1) -> None:
        for _ in range(count):
            self.now_s += 0.05
            devices = self.devices
            devices.time(self.now_s)
            devices.mcu = devices.mcu and replace(devices.mcu, pilot=self.pilot)
            power = devices.power
            volts = devices.output[0] if power is not None and power.on else 0.0
            devices.power = power and replace(power, voltage_v=volts, current_a=self.amps)
            shown = volts if devices.wanted_contactors else 0.0
            devices.meter = devices.meter and replace(
                devices.meter, voltage_v=shown if self.outlet_v is None else self.outlet_v, current_a=self.amps
            )
            limit = Limit(20_000.0, "site", "test", self.now_s + 1)
            allowance = SiteAllowance(limit, limit, False)
            self.station.step(self.now_s, 0.0, True, allowance, EnergyWish(), Authorization.ACCEPTED, self.driver)

    def tell(self, *commands: object) -> None:
        for command in commands:
            self.station.command(command, self.now_s)  # type: ignore[arg-type]

    @property
    def snapshot(self) -> EvseSnapshot:
        snapshot = self.station.snapshot
        assert snapshot is not None
        return snapshot

    @property
    def phase(self) -> str:
        return self.station.status().phase

    @property
    def fault_codes(self) -> set[str]:
        return {fault.code.value for fault in self.station.faults}

    def ask_cable_check(self) -> None:
        """Plugged in, negotiated, pilot C, cable check asked for."""
        self.pilot = PilotState.B
        self.steps(40)
        self.tell(OPENED, BPT, LIMITS, ScheduleRequested(NEEDS))
        self.pilot = PilotState.C
        self.steps(2)
        self.tell(CableCheckRequested())

    def to_energy(self) -> None:
        self.ask_cable_check()
        self.steps(30)
        self.tell(PreChargeRequested(400.0, 0.0))
        self.steps(5)
        self.tell(EnergyStart(None))
        self.steps(3)
        assert self.phase == "energy", self.station.drain_events()
