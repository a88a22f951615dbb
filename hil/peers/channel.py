"""The independent vehicle's wire to its own hardware: inlet and battery of the plant, over a Unix socket.

One JSON object a line each way. Every request is answered with the inlet's figures after it was carried out. The
client half is used in the peer's own Python environment, so this file stands on the standard library and `model`.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Protocol

from evse_controller.model.pilot import PilotState


class ChargerLike(Protocol):
    """What is used of `hal.sim.onboard.OnboardCharger`."""

    def set_power(self, power_w: float) -> None: ...
    @property
    def power_w(self) -> float: ...


class InletLike(Protocol):
    """What is used of `hal.sim.inlet.Inlet`."""

    def plug(self) -> None: ...
    def set_pilot(self, state: PilotState) -> None: ...
    def close_contactor(self) -> None: ...
    def open_contactor(self) -> None: ...
    @property
    def plugged(self) -> bool: ...
    @property
    def contactor_closed(self) -> bool: ...
    @property
    def inlet_voltage_v(self) -> float: ...
    @property
    def battery_voltage_v(self) -> float: ...
    @property
    def current_a(self) -> float: ...
    @property
    def soc_percent(self) -> float: ...
    @property
    def capacity_wh(self) -> float: ...
    @property
    def charger(self) -> ChargerLike | None: ...


@dataclass(frozen=True, slots=True)
class InletFigures:
    """The inlet at one moment; current positive into the battery, SoC in %. `charger_w`: what the on-board charger
    takes now, signed; 0 without one."""

    plugged: bool
    contactor_closed: bool
    inlet_voltage_v: float
    battery_voltage_v: float
    current_a: float
    soc_percent: float
    capacity_wh: float
    charger_w: float = 0.0


def figures(inlet: InletLike) -> InletFigures:
    charger = inlet.charger
    return InletFigures(
        inlet.plugged, inlet.contactor_closed, inlet.inlet_voltage_v, inlet.battery_voltage_v, inlet.current_a,
        inlet.soc_percent, inlet.capacity_wh, 0.0 if charger is None else charger.power_w,
    )


def carry_out(inlet: InletLike, request: dict[str, object]) -> None:
    """One request: {"plug": true}, {"pilot": "C"}, {"contactor": true}, {"power": 7000.0}, or {} to read only."""
    if request.get("plug"):
        inlet.plug()
    if "pilot" in request and inlet.plugged:
        inlet.set_pilot(PilotState(request["pilot"]))
    if "contactor" in request:
        if request["contactor"]:
            inlet.close_contactor()
        else:
            inlet.open_contactor()
    if "power" in request and inlet.charger is not None:
        inlet.charger.set_power(float(str(request["power"])))


class InletServer:
    """Serves one inlet on a Unix socket of the plant's event loop."""

    def __init__(self, inlet: InletLike, path: str, observe: Callable[[InletFigures], None] | None = None) -> None:
        self._inlet = inlet
        self._path = path
        self._observe = observe
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, self._path)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                carry_out(self._inlet, json.loads(line))
                now = figures(self._inlet)
                if self._observe is not None:
                    self._observe(now)
                writer.write(json.dumps(asdict(now)).encode() + b"\n")
                await writer.drain()
        except ConnectionError:
            return  # the vehicle's process ended
        finally:
            writer.close()


class InletClient:
    """Blocking client; an answer takes well under a millisecond."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(5.0)
        self._socket.connect(path)
        self._file = self._socket.makefile("rb")

    def ask(self, **request: object) -> InletFigures:
        self._socket.sendall(json.dumps(request).encode() + b"\n")
        line = self._file.readline()
        if not line:
            raise ConnectionError("the plant closed the inlet's socket")
        return InletFigures(**json.loads(line))

    def close(self) -> None:
        self._file.close()
        self._socket.close()
