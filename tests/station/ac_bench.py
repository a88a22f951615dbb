"""The AC station on obedient fakes, step by step: contactor feedback follows at once, the car takes what is set."""

from __future__ import annotations

from dataclasses import replace

from evse_controller.model.commands import (
    AcLoopUpdate,
    ControlMode,
    EndKind,
    EnergyStart,
    LimitsNegotiated,
    ScheduleRequested,
    ServiceSelected,
    SessionEnded,
    SessionOpened,
)
from evse_controller.model.fault import Fault
from evse_controller.model.limits import Limit, SiteAllowance
from evse_controller.model.pilot import PilotState
from evse_controller.model.power import PhasePower
from evse_controller.model.snapshot import AcPresent, Authorization, DriverWishes, EvseSnapshot
from evse_controller.model.wish import EnergyWish
from evse_controller.station import AcOutletDevices, AcStation, AcStationConfig
from hal.api import AcOutletReading, Contact, McuReading
from tests.safety.ac_facts import AC_EV, AC_MCU, AC_METER, phases
from tests.safety.facts import NEEDS, NOW

OPENED = SessionOpened("00", "EV", "-20")
AC_BPT = ServiceSelected(5, 1, ControlMode.DYNAMIC, True, 1, ac=True)
AC_SCHEDULED = replace(AC_BPT, control_mode=ControlMode.SCHEDULED)
AC_LIMITS = LimitsNegotiated(AC_EV, None)
START = EnergyStart(None)
CLOSED_TCP = SessionEnded(EndKind.EV_CLOSED, "tcp")
LOOP = AcLoopUpdate(PhasePower(0.0), AC_EV, None, 50.0)
CONFIG = AcStationConfig(
    evseid="E",
    max_current_a=32.0,
    bidirectional=True,
    ac_export_authorised=True,
    max_discharge_current_a=16.0,
)


class FakeAc:
    """Board and meter in one; `log` is the order of output calls. `stuck` keeps the contactor from moving."""

    name = meter_id = "fake"

    def __init__(self) -> None:
        self.log: list[str] = []
        self.mcu: McuReading | None = replace(AC_MCU, contactor=Contact.OPEN)
        self.meter: AcOutletReading | None = replace(AC_METER, phases=phases(0.0, 0.0, 0.0))
        self.wanted = False
        self.stuck = False
        self.duty: float | None = None

    def set_duty(self, duty_percent: float | None) -> None:
        self.duty = duty_percent

    def set_contactors(self, closed: bool) -> None:
        if closed != self.wanted:
            self.log.append("close" if closed else "open")
        self.wanted = closed

    def beat(self, now_s: float) -> None:
        self.log.append("beat")
        if not self.stuck:
            contact = Contact.CLOSED if self.wanted else Contact.OPEN
            self.mcu = self.mcu and replace(self.mcu, contactor=contact)


class _Face:
    def __init__(self, devices: FakeAc, which: str) -> None:
        self._devices, self._which = devices, which

    def reading(self) -> object:
        return getattr(self._devices, self._which)

    def __getattr__(self, name: str) -> object:
        return getattr(self._devices, name)


class AcBench:
    """Station and fakes. `amps` flow in every phase (or, a tuple, in each its own) while the contactor is closed."""

    def __init__(self, latched: tuple[Fault, ...] = (), **changes: object) -> None:
        self.devices = FakeAc()
        faces = [_Face(self.devices, which) for which in ("mcu", "meter")]
        config = replace(CONFIG, **changes)  # type: ignore[arg-type]
        self.station = AcStation(config, AcOutletDevices(*faces), latched)  # type: ignore[arg-type]
        self.now_s = NOW
        self.pilot = PilotState.A
        self.amps: float | tuple[float, ...] = 0.0
        self.leak_a = 0.0
        self.import_w, self.export_w = 22_000.0, 11_000.0
        self.wish = EnergyWish()
        self.looping = False
        self.silent = False
        self.driver: DriverWishes | None = None

    def steps(self, count: int = 1) -> None:
        for _ in range(count):
            self.now_s += 0.05
            devices = self.devices
            closed = devices.mcu is not None and devices.mcu.contactor is Contact.CLOSED
            count_phases = self.station.config.phases
            amps = self.amps if isinstance(self.amps, tuple) else (self.amps,) * count_phases
            flowing = amps if closed else (self.leak_a,) * count_phases
            if not self.silent:
                devices.mcu = devices.mcu and replace(devices.mcu, at_s=self.now_s, pilot=self.pilot)
                devices.meter = devices.meter and replace(devices.meter, at_s=self.now_s, phases=phases(*flowing))
            if self.looping:
                self.station.command(LOOP, self.now_s)
            end_s = self.now_s + 1
            allowance = SiteAllowance(
                Limit(self.import_w, "site", "test", end_s), Limit(self.export_w, "site", "test", end_s), False
            )
            self.station.step(
                self.now_s, 0.0, True, allowance, self.wish, Authorization.ACCEPTED, self.driver
            )

    def tell(self, *commands: object) -> None:
        for command in commands:
            self.station.command(command, self.now_s)  # type: ignore[arg-type]

    @property
    def snapshot(self) -> EvseSnapshot:
        snapshot = self.station.snapshot
        assert snapshot is not None
        return snapshot

    @property
    def present(self) -> AcPresent:
        present = self.snapshot.ac_present
        assert present is not None
        return present

    @property
    def phase(self) -> str:
        return self.station.status().phase

    @property
    def fault_codes(self) -> set[str]:
        return {fault.code.value for fault in self.station.faults}

    def negotiate(self, service: ServiceSelected = AC_BPT) -> None:
        """Plugged in and negotiated, pilot B."""
        self.pilot = PilotState.B
        self.steps(5)
        self.tell(OPENED, service, AC_LIMITS, ScheduleRequested(NEEDS))
        self.steps(1)

    def to_energy(self, service: ServiceSelected = AC_BPT) -> None:
        self.negotiate(service)
        self.tell(START)
        self.pilot = PilotState.C
        self.steps(4)
        assert self.phase == "energy", self.station.drain_events()
        self.looping = True
        self.steps(1)
