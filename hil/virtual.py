"""The whole house in one process and in virtual time: plant, drivers, outlet, SECC connection, vehicle. No sockets.

Everything is what the daemon runs, but the event loop and the sockets: the real drivers on the plant's byte channels,
the daemon's own `Outlet` (station, site, energy, journal), the SECC's `Connection`, and our vehicle. Bytes are handed
over directly, after `latency_s`. An hour in the charge loop takes as long as the machine needs to compute it.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from evse_controller.app.outlet import Outlet
from evse_controller.config import load
from evse_controller.model.clock import AnchoredWorldClock, VirtualClock
from evse_controller.model.pilot import PilotState
from evse_controller.model.snapshot import Notification
from evse_controller.secc.config import SeccConfig
from evse_controller.secc.connection import Connection
from evse_controller.secc.output import Output as StationOutput
from evse_controller.secc.reply import Transport
from evse_controller.secc.surroundings import Peer
from evse_controller.site import Direction
from evse_controller.station import AcOutletDevices
from evse_controller.store import Journal
from hal.sim.plant import Plant
from hil.evcc import Close, Evcc, EvccConfig, Memory, Output, Send
from hil.virtual_config import BenchSettings, devices, hourly, plant_of, write_config

__all__ = ["BenchSettings", "VirtualBench", "certificate", "hourly", "plant_of"]

POLL_S, CONTROL_S = 0.01, 0.05
_MAX_VOLTAGE_V = 920.0
@dataclass(frozen=True, slots=True)
class Sample:
    """The world at one control step; current and powers signed, + towards the EV and into the building. `current_a` is
    that of a DC outlet, `power_w` what crosses either kind of outlet."""

    at_s: float
    utc_s: float
    current_a: float
    power_w: float
    grid_w: float
    soc: float
    closed: bool


def certificate(name: str = "EVLAB0000000001") -> Peer:
    """What TLS would tell of a vehicle's certificate; another name is another certificate."""
    return Peer(hashlib.sha512(name.encode()).digest(), name)


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
            referee=replace(
                settings.plant.referee, evse_max_voltage_v=_MAX_VOLTAGE_V,
                ac=replace(settings.plant.referee.ac, export_allowed=True),  # as commissioned in the daemon's file
            ),
        ))
        plant.set_grid_limits(settings.import_w, settings.export_w)
        self.clock = VirtualClock(plant.now_s)
        self._world = AnchoredWorldClock(self.clock, settings.start_utc_s, plant.now_s, settings.speed)
        self._config = load(write_config(folder, settings))
        self._journal = Journal(folder / "journal.db", folder / "events.jsonl")
        self._start()
        self._secc = secc or self._config.secc
        self._rng = random.Random(seed)
        start_s = plant.now_s
        self._utc = lambda now_s: settings.start_utc_s + (now_s - start_s) * settings.speed
        self._seed = seed
        self.vehicles: list[Evcc] = []
        self._new_vehicle(vehicle)
        self.samples: list[Sample] = []
        self._limits_w = dict.fromkeys(Direction, math.inf)
        self.answers: list[StationOutput] = []
        self.refusals: list[str] = []
        self._in_flight: list[tuple[float, Callable[[], None]]] = []
        self._control_s = start_s

    @property
    def evcc(self) -> Evcc:
        """The vehicle that talks now, or talked last; one that sleeps and comes back is a new one of `vehicles`."""
        return self.vehicles[-1]

    def _new_vehicle(self, config: EvccConfig) -> None:
        rng = random.Random(self._seed + 1 + len(self.vehicles))
        self.vehicles.append(Evcc(config, self.plant.inlet, rng, self._utc))

    def _start(self) -> None:
        self.devices = devices(self.plant)
        for driver in self.devices.drivers:
            driver.open()
        ticks = itertools.count(step=0.0001)  # planning takes as many steps on every machine and in every run
        self.outlet = Outlet(
            self._config, self.devices, self._journal, self.clock, self._world, work_clock=lambda: next(ticks)
        )
        self.connection: Connection | None = None

    def _outlet_power_w(self) -> float:
        """Signed, + to the vehicle; at an AC outlet what the on-board charger takes."""
        charger, world = self.plant.inlet.charger, self.plant.world
        return world.outlet_v * world.outlet_current_a if charger is None else charger.power_w

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
                Sample(
                    now_s, self.plant.utc_s, world.outlet_current_a, self._outlet_power_w(), world.grid_power_w,
                    world.battery.soc, world.evse_contactor.closed,
                )
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
        self.connect()

    def connect(self, peer: Peer | None = None) -> None:
        """The vehicle opens its connection as soon as the pilot shows 5 % duty, with the certificate of `peer`."""
        self.until(lambda: self.plant.inlet.duty_percent == 5.0, 8.0)
        self.connection = Connection(
            self._secc, Transport.TLS_1_3_MUTUAL, self._rng.randbytes, self.now_s, self.now_s + 18.0,
            around=self.outlet.surroundings(peer or certificate()),
        )
        self.outlet.connection = self.connection
        self._from_vehicle(self.evcc.start(self.now_s))

    def wake_by_vehicle(self) -> None:
        """The sleeping vehicle toggles its pilot B, C, B [protocol.md E.5] and waits for the oscillator."""
        for state in (PilotState.C, PilotState.B):
            self.plant.inlet.set_pilot(state)
            self.run(0.4)

    def come_back(self, changes: EvccConfig, memory: Memory | None, peer: Peer | None = None) -> None:
        """The same vehicle, still plugged, opens another session: it joins the one it remembers."""
        self._new_vehicle(replace(changes, resume=memory))
        self.connect(peer)

    def ask(self, what: Notification, reason: str = "test", max_delay_s: int = 60) -> None:
        """The station wants something of the vehicle."""
        self.outlet.ask(what, reason, max_delay_s)

    def session(self, within_s: float = 300.0) -> None:
        """Arrive, charge, leave: until the vehicle has closed and the outlet is at rest; then unplug."""
        self.arrive()
        self.until(lambda: self.evcc.finished, within_s)
        self.until(lambda: self.outlet.at_rest, 30.0)
        self.plant.inlet.unplug()
        self.run(1.0)

    def _ready(self) -> bool:
        snapshot = self.outlet.station.snapshot
        if snapshot is None or not snapshot.bidirectional:
            return False
        if isinstance(self.devices.outlet, AcOutletDevices):
            return self.devices.outlet.meter.reading() is not None
        isolation = self.devices.outlet.isolation.reading()
        return isolation is not None and isolation.self_test_ok is True

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
                self._later(partial(self._station_receives, self.connection, output.data))
            elif isinstance(output, Close):
                self._later(partial(self._station_loses, self.connection))

    def _station_receives(self, connection: Connection | None, data: bytes) -> None:
        if connection is not None and connection is self.connection:
            self._from_station(connection.receive(data, self.outlet.snapshot(), self.now_s))

    def _station_loses(self, connection: Connection | None) -> None:
        if connection is not None and connection is self.connection:
            self._from_station(connection.on_disconnect(self.now_s))

    def _from_station(self, outputs: list[StationOutput]) -> None:
        evcc = self.evcc
        for output in outputs:
            self.answers.append(output)
            self.outlet.on_commands(output.commands)
            if output.event is not None and output.event.reason:
                self.refusals.append(f"{output.event.request}: {output.event.code} {output.event.reason}")
            if output.data is not None and self.connection is not None:
                self.connection.on_sent(self.now_s)
                self._later(partial(self._vehicle_receives, evcc, output.data))
            if output.close is not None:
                self._later(partial(self._vehicle_loses, evcc))

    def _vehicle_receives(self, evcc: Evcc, data: bytes) -> None:
        if evcc is self.evcc:
            self._from_vehicle(evcc.receive(data, self.now_s))

    def _vehicle_loses(self, evcc: Evcc) -> None:
        if evcc is self.evcc:
            self._from_vehicle(evcc.connection_lost(self.now_s))
