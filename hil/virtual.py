"""The whole house in one process and in virtual time: plant, drivers, outlet, SECC connection, vehicle. No sockets.

Everything is what the daemon runs, but the event loop and the sockets: the real drivers on the plant's byte channels,
the daemon's own `Outlet` (station, site, energy, journal), the SECC's `Connection`, and our vehicle. Bytes are handed
over directly, after `latency_s`. An hour in the charge loop takes as long as the machine needs to compute it.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from evse_controller.app.outlet import Outlet
from evse_controller.config import load
from evse_controller.config.devices import Devices
from evse_controller.model.clock import AnchoredWorldClock, VirtualClock
from evse_controller.secc.config import SeccConfig
from evse_controller.secc.connection import Connection
from evse_controller.secc.connection import Output as StationOutput
from evse_controller.secc.reply import Transport
from evse_controller.site import Direction
from evse_controller.station import OutletDevices
from evse_controller.store import Journal
from hal.can_port import SlcanPort
from hal.isolation.bender_isocha425 import BenderIsoCha425
from hal.meters.acrel_djsf1352 import AcrelDjsf1352
from hal.meters.eastron_sdm630 import EastronSdm630
from hal.modbus import ModbusBus
from hal.pilot.charge_som import ChargeSomMcu
from hal.power.infy_beg import InfyBeg
from hal.sim.battery import BatteryConfig
from hal.sim.plant import BusConfig, Plant, PlantConfig
from hil.evcc import Close, Evcc, EvccConfig, Output, Send

POLL_S, CONTROL_S = 0.01, 0.05
_MAX_VOLTAGE_V = 920.0
_TOML = """
[controller]
evseid = "DE*EVC*E000001"
state_dir = "{folder}"
socket = "{folder}/control.sock"
lab = [{lab}]
{extra}[outlet]
bidirectional = true
grid_profile = 1
isolation_response_s = 1.0
efficiency_import = 0.93
efficiency_export = 0.98
ramp_up_a_per_s = 100.0
[outlet.ratings]
max_voltage_v = 920
min_voltage_v = 150
max_charge_current_a = 70
max_charge_power_w = 22000
max_discharge_current_a = 70
max_discharge_power_w = 22000
[outlet.mcu]
driver = "charge-som-uart"
port = "{ports}/mcu"
[outlet.power]
driver = "infy-beg"
interface = "slcan"
channel = "{ports}/can0"
modules = 2
[outlet.meter]
driver = "acrel-djsf1352"
port = "{ports}/meter"
unit = 1
[outlet.isolation]
driver = "bender-isocha425hv"
port = "{ports}/imd"
unit = 3
[site]
import_limit_w = {import_w}
export_limit_w = {export_w}
failsafe_import_w = 4200
meter_scope = "grid"
[site.meter]
driver = "eastron-sdm630"
port = "{ports}/building"
unit = 1
[energy]
prices = "{folder}/prices.csv"
currency = "EUR"
buy_surcharge_per_kwh = 0.12
wear_cost_per_kwh = 0.03
slot_s = 900
[authorization]
mode = "free-vend"
"""


@dataclass(frozen=True, slots=True)
class BenchSettings:
    """The story. Prices are (Unix s, price per MWh), hourly, covering the stay; `speed` is world over control time.

    `plant` may change anything of the world but what stands here. Powers in W, all >= 0.
    """

    start_utc_s: float = 1_724_752_800.0
    prices: tuple[tuple[float, float], ...] = ()
    speed: float = 600.0
    soc: float = 0.4
    building_w: float = 2_000.0
    import_w: float = 28_000.0
    export_w: float = 10_000.0
    latency_s: float = 0.002
    plant: PlantConfig = field(default_factory=PlantConfig)


def hourly(start_utc_s: float, prices: tuple[float, ...]) -> tuple[tuple[float, float], ...]:
    """Prices per MWh for the hours from the full hour before `start_utc_s` on."""
    first = start_utc_s - start_utc_s % 3600
    return tuple((first + 3600 * index, price) for index, price in enumerate(prices))


@dataclass(frozen=True, slots=True)
class Sample:
    """The world at one control step; current and powers signed, + towards the EV and into the building."""

    at_s: float
    utc_s: float
    current_a: float
    grid_w: float
    soc: float


class VirtualBench:
    """Build it, `run` it, look at it. The plant's referee is asked by `check`, which raises AssertionError."""

    def __init__(
        self, folder: Path, vehicle: EvccConfig, settings: BenchSettings | None = None,
        secc: SeccConfig | None = None, seed: int = 1,
    ) -> None:
        self.settings = settings = settings or BenchSettings()
        folder.mkdir(parents=True, exist_ok=True)
        self.plant = plant = Plant(replace(
            settings.plant, speed=settings.speed, start_utc_s=settings.start_utc_s, building_w=settings.building_w,
            battery=replace(settings.plant.battery, soc=settings.soc),
            referee=replace(settings.plant.referee, evse_max_voltage_v=_MAX_VOLTAGE_V),
        ))
        plant.set_grid_limits(settings.import_w, settings.export_w)
        self.clock = VirtualClock(plant.now_s)
        self._world = AnchoredWorldClock(self.clock, settings.start_utc_s, plant.now_s, settings.speed)
        self._config = load(_write_config(folder, settings))
        self._journal = Journal(folder / "journal.db", folder / "events.jsonl")
        self._start()
        self._secc = secc or SeccConfig(services=(6, 2))
        self._rng = random.Random(seed)
        start_s = plant.now_s
        self.evcc = Evcc(
            vehicle, plant.inlet, random.Random(seed + 1),
            lambda now_s: settings.start_utc_s + (now_s - start_s) * settings.speed,
        )
        self.samples: list[Sample] = []
        self._limits_w = dict.fromkeys(Direction, math.inf)
        self.answers: list[StationOutput] = []
        self.refusals: list[str] = []
        self._in_flight: list[tuple[float, Callable[[], None]]] = []
        self._control_s = start_s

    def _start(self) -> None:
        self.devices = _devices(self.plant)
        for driver in self.devices.drivers:
            driver.open()
        ticks = itertools.count(step=0.0001)  # planning takes as many steps on every machine and in every run
        self.outlet = Outlet(
            self._config, self.devices, self._journal, self.clock, self._world, work_clock=lambda: next(ticks)
        )
        self.connection: Connection | None = None

    # -- time --------------------------------------------------------------------------------------------------------

    @property
    def now_s(self) -> float:
        return self.clock.now_s()

    def tick(self) -> None:
        """10 ms of everything; every fifth one is a control step."""
        self.plant.step(POLL_S)
        self.clock.advance(self.plant.now_s - self.clock.now_s())
        now_s = self.now_s
        for driver in self.devices.drivers:
            driver.poll(now_s)
        self.outlet.station.guard(now_s)
        if now_s - self._control_s >= CONTROL_S - 1e-9:
            self._control_s = now_s
            self.outlet.step(now_s)
            world = self.plant.world
            self.samples.append(
                Sample(now_s, self.plant.utc_s, world.outlet_current_a, world.grid_power_w, world.battery.soc)
            )
        while self._in_flight and self._in_flight[0][0] <= now_s:
            self._in_flight.pop(0)[1]()
        if self.connection is None:
            return
        deadline_s = self.connection.next_deadline_s
        if deadline_s is not None and now_s >= deadline_s:
            self._from_station(self.connection.on_timer(now_s, self.outlet.snapshot()))
        deadline_s = self.evcc.deadline_s
        if deadline_s is not None and now_s >= deadline_s:
            self._from_vehicle(self.evcc.on_timer(now_s))

    def run(self, seconds: float) -> None:
        """Let control time pass."""
        for _ in range(round(seconds / POLL_S)):
            self.tick()

    def limit(self, direction: Direction, power_w: float) -> None:
        """An operator's limit of the grid connection, on top of the commissioned one, until the next call. The daemon
        is told, and the referee holds the outlet to it."""
        self.outlet.site.set_limit(direction, power_w, "operator", "sudden cut", None, self.now_s)
        self._limits_w[direction] = power_w
        import_w, export_w = self._limits_w[Direction.IMPORT], self._limits_w[Direction.EXPORT]
        self.plant.set_grid_limits(min(self.settings.import_w, import_w), min(self.settings.export_w, export_w))

    def lose_daemon(self, down_s: float) -> None:
        """The daemon dies without a word; after `down_s` another one starts from the same journal.

        As in the field its pilot board is reset (the lost heartbeat left it in its safe state) and a technician clears
        the faults that latch.
        """
        self._in_flight.clear()
        self.plant.step(down_s)
        self.clock.advance(self.plant.now_s - self.clock.now_s())
        self._start()
        self.plant.inject("mcu", "reset")
        self.plant.clear("mcu", "reset")
        self.run(2.0)
        for fault in self.outlet.station.faults:
            self.outlet.station.clear_fault(fault.code, self.now_s)

    def until(self, condition: Callable[[], bool], within_s: float) -> float:
        """Run until the condition holds and return how long it took. AssertionError with the story after `within_s`."""
        began_s = self.now_s
        while not condition():
            if self.now_s - began_s > within_s:
                raise AssertionError(f"not within {within_s} s of control time\n{self.story()}")
            self.tick()
        return self.now_s - began_s

    # -- the story ---------------------------------------------------------------------------------------------------

    def arrive(self) -> None:
        """Wait until the outlet is ready (its isolation monitor tested), plug in, open the connection at 5 % duty."""
        self.until(self._ready, 60.0)
        self.plant.inlet.plug()
        self.until(lambda: self.plant.inlet.duty_percent == 5.0, 5.0)
        self.connection = Connection(
            self._secc, Transport.TLS_1_3_MUTUAL, self._rng.randbytes, self.now_s, self.now_s + 18.0
        )
        self.outlet.connection = self.connection
        self._from_vehicle(self.evcc.start(self.now_s))

    def session(self, within_s: float = 300.0) -> None:
        """Arrive, charge, leave: until the vehicle has closed and the outlet is at rest; then unplug."""
        self.arrive()
        self.until(lambda: self.evcc.finished, within_s)
        self.until(lambda: self.outlet.at_rest, 30.0)
        self.plant.inlet.unplug()
        self.run(1.0)

    def _ready(self) -> bool:
        isolation = self.devices.outlet.isolation.reading()
        snapshot = self.outlet.station.snapshot
        return isolation is not None and isolation.self_test_ok is True and snapshot is not None \
            and snapshot.bidirectional

    def check(self) -> None:
        """Raises AssertionError with the referee's objections."""
        self.plant.referee.check()

    def close(self) -> None:
        self.outlet.close()
        for driver in self.devices.drivers:
            driver.close()
        self._journal.close()
        self.plant.close()

    def __enter__(self) -> VirtualBench:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def story(self) -> str:
        """The outlet's events and the vehicle's last exchanges, for a failing test."""
        lines = [f"{event.at_utc_s:.0f} {event.kind}: {event.text}" for event in self._journal.events()[-40:]]
        lines += [
            f"{exchange.sent_s:.2f} {exchange.request.ELEMENT} -> "
            f"{exchange.response.ELEMENT if exchange.response else None}" for exchange in self.evcc.exchanges[-8:]
        ]
        lines += self.refusals[-5:]
        return "\n".join([*lines, f"vehicle: {self.evcc.failure}", f"station: {self.outlet.station.status()}"])

    # -- bytes -------------------------------------------------------------------------------------------------------

    def _later(self, action: Callable[[], None]) -> None:
        self._in_flight.append((self.now_s + self.settings.latency_s, action))

    def _from_vehicle(self, outputs: list[Output]) -> None:
        for output in outputs:
            if isinstance(output, Send):
                self._later(lambda data=output.data: self._station_receives(data))  # type: ignore[misc]
            elif isinstance(output, Close):
                self._later(self._station_loses)

    def _station_receives(self, data: bytes) -> None:
        if self.connection is not None:
            self._from_station(self.connection.receive(data, self.outlet.snapshot(), self.now_s))

    def _station_loses(self) -> None:
        if self.connection is not None:
            self._from_station(self.connection.on_disconnect(self.now_s))

    def _from_station(self, outputs: list[StationOutput]) -> None:
        for output in outputs:
            self.answers.append(output)
            self.outlet.on_commands(output.commands)
            if output.event is not None and output.event.reason:
                self.refusals.append(f"{output.event.request}: {output.event.code} {output.event.reason}")
            if output.data is not None and self.connection is not None:
                self.connection.on_sent(self.now_s)
                self._later(lambda data=output.data: self._vehicle_receives(data))  # type: ignore[misc]
            if output.close is not None:
                self._later(lambda: self._from_vehicle(self.evcc.connection_lost(self.now_s)))

    def _vehicle_receives(self, data: bytes) -> None:
        self._from_vehicle(self.evcc.receive(data, self.now_s))


def plant_of(soc: float = 0.4, **changes: object) -> PlantConfig:
    """A plant whose isolation monitor is quick, for short tests; `changes` as of PlantConfig."""
    bus = BusConfig(imd_self_test_s=2.0, imd_cycle_s=0.5)
    return replace(PlantConfig(battery=BatteryConfig(soc=soc), bus=bus), **changes)  # type: ignore[arg-type]


def _devices(plant: Plant) -> Devices:
    ends, bus = plant.channels, plant.config.bus
    outlet = OutletDevices(
        ChargeSomMcu("mcu", lambda: ends["mcu"]),
        InfyBeg("power", lambda: SlcanPort(ends["can0"], bus.can_bitrate), modules=bus.module_addresses),
        AcrelDjsf1352("meter", ModbusBus(lambda: ends["meter"], bus.meter_baudrate), bus.meter_unit),
        BenderIsoCha425("imd", ModbusBus(lambda: ends["imd"], bus.imd_baudrate), bus.imd_unit),
    )
    building = EastronSdm630(
        "building", ModbusBus(lambda: ends["building"], bus.building_baudrate), bus.building_unit
    )
    drivers = (outlet.mcu, outlet.supply, outlet.meter, outlet.isolation, building)
    return Devices(outlet, building, drivers)


def _write_config(folder: Path, settings: BenchSettings) -> Path:
    price_file(folder, settings.prices or hourly(settings.start_utc_s, (50.0,) * 48))
    path = folder / "evse.toml"
    net = '[net]\nhost = "::1"\n'
    path.write_text(bench_toml(folder, '"lab-tcp"', net, folder, settings.import_w, settings.export_w))
    return path


def price_file(folder: Path, prices: tuple[tuple[float, float], ...]) -> None:
    """Write `prices.csv`, which `bench_toml` names."""
    lines = [f"{_iso(start_s)},{price}" for start_s, price in prices]
    (folder / "prices.csv").write_text("\n".join(["start_utc,eur_per_mwh", *lines]) + "\n")


def bench_toml(
    folder: Path, lab: str, extra: str, ports: Path, import_w: float = 28_000.0, export_w: float = 10_000.0
) -> str:
    """The daemon's file for a bench: state in `folder`, devices under `ports`; `extra` holds [net] and so on."""
    return _TOML.format(folder=folder, lab=lab, extra=extra, ports=ports, import_w=import_w, export_w=export_w)


def _iso(utc_s: float) -> str:
    import datetime

    return datetime.datetime.fromtimestamp(utc_s, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
