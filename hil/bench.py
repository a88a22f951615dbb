"""The bench: a plant behind ptys, the daemon as a process of its own, and vehicles on real sockets.

    async with Bench(folder, Setting()) as bench:
        await bench.start()
        session = bench.plug_and_charge(EvccConfig())
        await bench.until(lambda: bench.current_a > 50, "charging")

Plant and vehicle live in the calling process, stepped by its asyncio loop, and go on while the daemon is stopped or
dead. Daemon and vehicle talk through a cable of network namespaces where the machine permits it, else through `::1`
with ports that the kernel chooses; both ways any number of benches can be used at the same time.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from certs import LabPki, make_lab
from certs.profile import Role
from evse_controller.net.tls import PROFILES, Side, TlsContext, load_credential, load_roots
from hal.sim.battery import BatteryConfig
from hal.sim.onboard import OnboardConfig
from hal.sim.plant import BusConfig, Plant, PlantConfig
from hal.sim.ptys import PtyBench
from hal.sim.referee import RefereeConfig
from hal.sim.referee_ac import AcRefereeConfig
from hal.sim.safety_mcu import McuConfig
from hal.sim.world import WorldConfig
from hil.bench_config import START_UTC_S, Setting, daemon_tables, merge, price_lines
from hil.evcc import Evcc, EvccConfig
from hil.evcc_net import Client, NetOptions, Outcome, ThisHost, connect, discover
from hil.netns import Link, best_network
from hil.toml_text import toml_text

READY_TIMEOUT_S = 20.0
_TICK_S = 0.01


@cache
def network_kind() -> str:
    """`namespaces` where the machine permits them, else `loopback`. Asked once a process."""
    return "namespaces" if best_network().kind == "namespaces" else "loopback"


class BenchError(AssertionError):
    """Something did not happen in time; the text says what, and how daemon and plant stand."""


@dataclass(slots=True)
class VehicleSession:
    """A vehicle on its way. `task` ends with its Outcome."""

    evcc: Evcc
    client: Client
    task: asyncio.Task[Outcome]


class Bench:
    """One plant, one daemon, one vehicle at a time. `close` (or leaving the context) ends all of it."""

    def __init__(self, folder: Path, setting: Setting | None = None) -> None:
        self.folder = folder
        self.setting = setting = setting or Setting()
        folder.mkdir(parents=True, exist_ok=True)
        self._link: Link | None = None
        self.profile = "lab-p256" if "lab-p256" in setting.lab else "strict"
        self._pki: LabPki | None = None
        self.anchor_s = time.monotonic()
        config = PlantConfig(
            kind=setting.kind,
            speed=setting.speed,
            onboard=OnboardConfig(phases=setting.phases),
            mcu=McuConfig(contactors=(0,) if setting.kind == "ac" else (0, 1)),
            referee=RefereeConfig(ac=AcRefereeConfig(export_allowed=setting.kind == "ac")),
            start_utc_s=float(START_UTC_S),
            building_w=setting.building_w,
            import_limit_w=setting.import_limit_w,
            export_limit_w=setting.export_limit_w,
            battery=BatteryConfig(soc=setting.soc),
            world=WorldConfig(bleeder_ohm=3000.0),  # the link is discharged sooner: nobody waits for it in a test
            bus=BusConfig(imd_self_test_s=0.5, imd_cycle_s=0.2),
        )
        self.ptys = PtyBench(folder / "dev", config)
        self.plant: Plant = self.ptys.plant
        self.config_file = folder / "evse.toml"
        self._short = tempfile.TemporaryDirectory(prefix="evse-")  # a socket's path may have 107 characters, no more
        self.socket_path = str(Path(self._short.name) / "control.sock")
        self.process: subprocess.Popen[bytes] | None = None
        self.ready_line = ""
        self.sdp_port = 15118
        self._stepper: asyncio.Task[None] | None = None
        self._sessions: list[VehicleSession] = []
        self.contactor_moves: list[tuple[float, bool]] = []
        self._contactor_closed = False
        self.plant.world.observers.append(self._observe)

    async def __aenter__(self) -> Bench:
        # in threads: plants of other benches on this loop must not stand still meanwhile
        self._pki = await asyncio.to_thread(make_lab, self.folder / "pki", self.profile)
        if self.setting.network == "auto" and await asyncio.to_thread(network_kind) == "namespaces":
            self._link = await asyncio.to_thread(Link().__enter__)
        self._stepper = asyncio.create_task(self.ptys.run())
        self.write_config()
        return self

    async def __aexit__(self, kind: object, *_: object) -> None:
        try:
            await self.close()
        finally:
            if kind is None:
                self.plant.referee.check()

    async def close(self) -> None:
        """End vehicle and daemon, then the plant."""
        for session in self._sessions:
            session.task.cancel()
        await asyncio.gather(*(session.task for session in self._sessions), return_exceptions=True)
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self._stepper is not None:
            self._stepper.cancel()
            await asyncio.gather(self._stepper, return_exceptions=True)
        self.ptys.close()
        self.plant.close()
        if self._link is not None:
            await asyncio.to_thread(self._link.__exit__, None, None, None)
            self._link = None
        self._short.cleanup()

    @property
    def pki(self) -> LabPki:
        assert self._pki is not None, "the bench is not entered"
        return self._pki

    # -- the daemon -------------------------------------------------------------------------------------------------

    def write_config(self, changes: Mapping[str, Any] | None = None) -> Path:
        """Write the daemon's file from the setting, with `changes` merged in."""
        prices = self.folder / "prices.csv"
        prices.write_text(price_lines(self.setting.prices), encoding="utf-8")
        interface = self._link.evse.interface if self._link else None
        data = daemon_tables(
            self.setting, self.pki, self.ptys.directory, self.folder / "state", Path(self.socket_path), prices
        )
        data["net"] |= {"interface": interface} if interface else {"host": "::1", "sdp_port": 0}
        data["world"]["anchor_s"] = self.anchor_s
        merge(data, self.setting.config)
        merge(data, changes or {})
        self.config_file.write_text(toml_text(data), encoding="utf-8")
        return self.config_file

    def command(self) -> list[str]:
        """The daemon's command line, on its side of the cable."""
        argv = [sys.executable, "-m", "evse_controller.app", "--config", str(self.config_file)]
        return self._link.evse.command(argv) if self._link else argv

    def launch(self) -> None:
        """Start the daemon without waiting for it."""
        with (self.folder / "evsed.log").open("wb") as log:
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment()
            )

    async def start(self) -> None:
        """Start the daemon and wait until it says that it is ready."""
        self.launch()
        await self.until(lambda: " ready, SDP port " in self.log() or not self.alive, "evsed ready", READY_TIMEOUT_S)
        if not self.alive:
            raise BenchError(f"evsed ended with {self.exit_code}: {self.log()}")
        self.ready_line = next(line for line in self.log().splitlines() if " ready, SDP port " in line)
        self.sdp_port = int(self.ready_line.split("SDP port ")[1].split(",")[0])

    async def stop(self, timeout_s: float = 15.0) -> int:
        """SIGTERM and wait. Returns the exit code."""
        self.signal(signal.SIGTERM)
        return await self.ended(timeout_s)

    async def ended(self, timeout_s: float) -> int:
        await self.until(lambda: not self.alive, "evsed ended", timeout_s)
        assert self.exit_code is not None
        return self.exit_code

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def exit_code(self) -> int | None:
        return None if self.process is None else self.process.poll()

    def log(self) -> str:
        """What the daemon wrote to its console."""
        return (self.folder / "evsed.log").read_text(encoding="utf-8", errors="replace")

    def memory_mib(self) -> float:
        """Resident memory of the daemon now."""
        assert self.process is not None
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    async def call(self, method: str, params: Mapping[str, Any] | None = None, timeout_s: float = 5.0) -> Any:
        """One call on the control socket. Raises BenchError with the daemon's refusal."""
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_unix_connection(self.socket_path, limit=2**24)
            try:
                request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": dict(params or {})}
                writer.write(json.dumps(request).encode() + b"\n")
                reply = json.loads(await reader.readline())
            finally:
                writer.close()
        if "error" in reply:
            raise BenchError(f"{method}: {reply['error']}")
        return reply["result"]

    async def ctl(self, *arguments: str, timeout_s: float = 15.0) -> subprocess.CompletedProcess[str]:
        """Run `evsectl` against this daemon."""
        argv = [sys.executable, "-m", "evse_controller.cli", "--socket", self.socket_path, *arguments]
        pipe = subprocess.PIPE
        with subprocess.Popen(argv, stdout=pipe, stderr=pipe, text=True, env=environment()) as process:
            try:
                await self.until(lambda: process.poll() is not None, f"evsectl {arguments}", timeout_s)
            except BenchError:
                process.kill()
                raise
            out, err = process.communicate()
        return subprocess.CompletedProcess(argv, process.returncode, out, err)

    # -- the vehicle ------------------------------------------------------------------------------------------------

    def net_options(self, tls: bool | None = None, attempts: int = 50) -> NetOptions:
        """How a vehicle finds this station; `tls` None: as the daemon's lab switches have it."""
        context = None
        if tls if tls is not None else "lab-tcp" not in self.setting.lab:
            files = self.pki.files(Role.VEHICLE)
            context = TlsContext(
                Side.CLIENT,
                PROFILES[self.profile],
                load_credential(str(files.chain), str(files.key)),
                load_roots(*map(str, self.pki.trust_of_vehicle)),
            )
        return NetOptions(
            interface=self._link.ev.interface if self._link else None,
            direct=None if self._link else "::1",
            sdp_port=self.sdp_port,
            tls=context,
            sdp_attempts=attempts,
            host=self._link.ev if self._link else ThisHost(),
        )

    def vehicle_socket(self, kind: socket.SocketKind) -> socket.socket:
        """A raw IPv6 socket on the vehicle's side."""
        return self.net_options(tls=False).host.socket(kind)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """SDP, then a bare TCP connection to what it announced (the TLS port unless `lab-tcp`)."""
        options = self.net_options()
        found = await discover(options)
        return await connect(options, str(found.address), found.port)

    def plug(self) -> None:
        if not self.plant.inlet.plugged:
            self.plant.inlet.plug()

    async def unplug(self) -> None:
        """Pull the connector once it is no longer live."""
        if self.plant.inlet.charger is not None:
            await self.until(lambda: not self.contactors_closed, "a dead connector to pull")
        else:
            await self.until(lambda: self.plant.inlet.inlet_voltage_v <= 60.0, "a dead connector to pull")
        self.plant.inlet.unplug()
        await asyncio.sleep(0.3)

    def utc(self, now_s: float) -> float:
        return START_UTC_S + (now_s - self.anchor_s) * self.setting.speed

    def charge(self, config: EvccConfig, options: NetOptions | None = None) -> VehicleSession:
        """A vehicle that is plugged in begins its session."""
        evcc = Evcc(config, self.plant.inlet, random.Random(1), self.utc)
        client = Client(evcc, options or self.net_options())
        session = VehicleSession(evcc, client, asyncio.create_task(client.run()))
        self._sessions.append(session)
        return session

    def plug_and_charge(self, config: EvccConfig | None = None) -> VehicleSession:
        self.plug()
        return self.charge(config or EvccConfig(departure_utc_s=START_UTC_S + 8 * 3600.0))

    async def outcome(self, session: VehicleSession, timeout_s: float = 30.0) -> Outcome:
        """How a vehicle's session went."""
        await self.until(session.task.done, "the end of the vehicle's session", timeout_s)
        return session.task.result()

    # -- looking ----------------------------------------------------------------------------------------------------

    @property
    def current_a(self) -> float:
        """Outlet current, + to the EV."""
        return self.plant.world.outlet_current_a

    @property
    def power_w(self) -> float:
        """Power at the outlet, + to the EV."""
        charger = self.plant.inlet.charger
        if charger is not None:
            return charger.power_w
        return self.plant.world.outlet_v * self.plant.world.outlet_current_a

    @property
    def contactors_closed(self) -> bool:
        return self.plant.world.evse_contactor.closed

    def _observe(self, world: Any, _dt: float) -> None:
        closed = world.evse_contactor.closed
        if closed is not self._contactor_closed:
            self._contactor_closed = closed
            self.contactor_moves.append((world.now_s, closed))

    async def until(self, done: Callable[[], bool], what: str, timeout_s: float = 25.0) -> float:
        """Wait for something to be seen. Returns the seconds of plant time it took; BenchError when it does not."""
        started_s, until_s = self.plant.now_s, time.monotonic() + timeout_s
        while not done():
            if time.monotonic() > until_s:
                raise BenchError(f"not seen in {timeout_s:g} s: {what}\n{await self.story()}")
            await asyncio.sleep(_TICK_S)
        return self.plant.now_s - started_s

    async def until_status(
        self, done: Callable[[Mapping[str, Any]], bool], what: str, timeout_s: float = 15.0
    ) -> dict[str, Any]:
        """Wait until the daemon's status satisfies `done`; returns that status."""
        until_s = time.monotonic() + timeout_s
        while True:
            status: dict[str, Any] = await self.call("status")
            if done(status):
                return status
            if time.monotonic() > until_s:
                raise BenchError(f"not seen in {timeout_s:g} s: {what}\n{await self.story()}")
            await asyncio.sleep(0.05)

    async def until_sound(self) -> None:
        """Wait until every device has answered and no fault is left: a car that comes sooner is rightly refused."""
        await self.until_status(
            lambda s: not s["faults"] and not any(device["problem"] for device in s["devices"]), "a sound station"
        )

    async def story(self) -> str:
        """For a failing test: how the daemon, the plant and the vehicle stand."""
        world = self.plant.world
        lines = [
            f"plant: outlet {world.outlet_v:.0f} V {world.outlet_current_a:.1f} A, link {world.link_v:.0f} V,"
            f" contactors {'closed' if self.contactors_closed else 'open'}, objections {self.plant.referee.objections}",
            f"evsed console: {self.log()}" if (self.folder / "evsed.log").exists() else "evsed was never started",
        ]
        for session in self._sessions:
            last = [type(exchange.request).__name__ for exchange in session.evcc.exchanges[-3:]]
            lines.append(f"vehicle: {last}, failure {session.evcc.failure}, task {session.task!r}")
        with contextlib.suppress(OSError, TimeoutError, BenchError, ValueError):
            lines.append(f"status: {json.dumps(await self.call('status', timeout_s=2.0))}")
        events = self.folder / "state" / "events.jsonl"
        if events.exists():
            lines += events.read_text(encoding="utf-8").splitlines()[-25:]
        return "\n".join(lines)


def environment() -> dict[str, str]:
    """For programs of ours: as installed, with byte-code beside them and the packages of this process in reach."""
    inherited = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    root = str(Path(__file__).resolve().parent.parent)
    return inherited | {"PYTHONPATH": os.pathsep.join(filter(None, (root, inherited.get("PYTHONPATH"))))}
