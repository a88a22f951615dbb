"""One charger: builds the rooms, runs the control loop at 20 Hz, serves the car and the technician.

Order at start: imports, journal, devices, control loop, network, control socket. Order at stop: the session is asked
to end and the outlet brought to its safe state before anything is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import sys
import time
import traceback
from typing import TYPE_CHECKING

from evse_controller.app.network import NetworkError, build_server
from evse_controller.app.outlet import Outlet
from evse_controller.app.rpc import methods
from evse_controller.config import Config
from evse_controller.config.devices import Devices, DriverError, build, real_devices
from evse_controller.energy.prices import PriceFileError
from evse_controller.model.clock import (
    AnchoredWorldClock,
    ControlClock,
    SystemControlClock,
    SystemWorldClock,
    WorldClock,
)
from evse_controller.net.control import ControlServer
from evse_controller.store import Journal, JournalError
from hal.api import DeviceError

if TYPE_CHECKING:
    from evse_controller.net.server import V2gServer

POLL_S = 0.01
CONTROL_S = 0.05
STOP_WAIT_S = 10.0


class StartError(Exception):
    """The daemon cannot start; the text names the device, file or address and the reason."""


def ntp_synchronised() -> bool:
    """Whether the kernel's clock is disciplined (adjtimex status without STA_UNSYNC)."""
    import ctypes

    buffer = ctypes.create_string_buffer(512)
    state = ctypes.CDLL(None, use_errno=True).adjtimex(buffer)
    return bool(state not in (-1, 5))


def load_protocols(ac: bool) -> None:
    """What a car's first messages need, imported before the first heartbeat: an import cannot yield to the loop."""
    import evse_controller.secc.iso20.session  # noqa: F401
    from evse_controller.secc.iso20.services import rows_of

    rows_of(1 if ac else 2)


class Daemon:
    def __init__(self, config: Config, control: ControlClock | None = None) -> None:
        self.config = config
        self.control = control or SystemControlClock()
        self.world = self._world_clock()
        self.started_s = self.control.now_s()
        self._stopping = asyncio.Event()

    def _world_clock(self) -> WorldClock:
        world = self.config.world
        if world is None:
            return SystemWorldClock(ntp_synchronised())
        real = real_devices(self.config)
        if real:
            raise StartError(f"[world] scales time, and these devices are not simulated: {', '.join(real)}")
        anchor_s = self.control.now_s() if world.anchor_s is None else world.anchor_s
        return AnchoredWorldClock(self.control, world.start_utc_s, anchor_s, world.speed)

    async def run(self) -> None:
        """Until SIGTERM or SIGINT. Raises StartError when something needed at start is missing."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        load_protocols(self.config.secc.ac)
        with contextlib.ExitStack() as stack:
            journal, devices = self._open(stack)
            try:
                outlet = Outlet(self.config, devices, journal, self.control, self.world)
            except PriceFileError as error:
                raise StartError(f"energy.prices: {error}") from error
            outlet.step(self.control.now_s())  # the first snapshot: nothing is known, nothing is permitted
            # From this first heartbeat on the pilot board waits for the next, whatever else there is to be started.
            loops = asyncio.create_task(self._control_loop(outlet, devices))
            stack.callback(loops.cancel)
            try:
                server = build_server(self.config, outlet)
                await server.start()
            except (NetworkError, OSError) as error:
                raise StartError(str(error)) from error
            outlet.attach(server)
            control = ControlServer(self.config.controller.socket, methods(outlet, self.started_s))
            try:
                await control.start()
            except OSError as error:
                await server.stop()
                raise StartError(f"{self.config.controller.socket}: {error}") from error
            outlet.event("daemon", f"started, lab switches: {', '.join(self.config.controller.lab) or 'none'}")
            self._announce(server)
            gc.freeze()  # what lives as long as the daemon need not be looked at by every later collection
            await self._stopping.wait()
            await self._shut_down(outlet, server, control, loops)

    def _open(self, stack: contextlib.ExitStack) -> tuple[Journal, Devices]:
        state = self.config.controller.state_dir
        try:
            journal = Journal(state / "journal.db", state / "events.jsonl")
            stack.callback(journal.close)
            devices = build(self.config)
            for driver in devices.drivers:
                driver.open()
                stack.callback(driver.close)
        except (JournalError, DriverError, DeviceError) as error:
            raise StartError(str(error)) from error
        return journal, devices

    def _announce(self, server: V2gServer) -> None:
        endpoints = [
            f"{kind} [{e[0]}]:{e[1]}" for kind, e in (("TLS", server.tls_endpoint), ("TCP", server.tcp_endpoint)) if e
        ]
        print(
            f"evsed: {self.config.controller.evseid} ready, SDP port {server.sdp_port}, {', '.join(endpoints)},"
            f" control socket {self.config.controller.socket}",
            flush=True,
        )

    async def _control_loop(self, outlet: Outlet, devices: Devices) -> None:
        """The only loop there is. A step that raises never reaches the heartbeat: the pilot board opens by itself."""
        next_control_s = next_poll_s = self.control.now_s()
        while True:
            now_s = self.control.now_s()
            try:
                for driver in devices.drivers:
                    driver.poll(now_s)
                outlet.station.guard(now_s)
                if now_s >= next_control_s:
                    outlet.step(now_s)
                    next_control_s = max(next_control_s + CONTROL_S, now_s)
            except Exception as error:  # the last line before the heartbeat: whatever it is, outputs go off
                outlet.failed(error, now_s)
                traceback.print_exc(file=sys.stderr)
                next_control_s = now_s + CONTROL_S
            next_poll_s = max(next_poll_s + POLL_S, now_s)
            await asyncio.sleep(max(0.0, next_poll_s - self.control.now_s()))

    async def _shut_down(
        self, outlet: Outlet, server: V2gServer, control: ControlServer, loops: asyncio.Task[None]
    ) -> None:
        outlet.station.request_stop("the daemon stops", self.control.now_s())
        deadline_s = time.monotonic() + STOP_WAIT_S
        while not outlet.at_rest and time.monotonic() < deadline_s:
            await asyncio.sleep(CONTROL_S)
        await server.stop()
        await asyncio.sleep(2 * CONTROL_S)
        loops.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await loops
        outlet.station.fail_safe("the daemon stops", self.control.now_s())
        outlet.close()
        await control.close()
