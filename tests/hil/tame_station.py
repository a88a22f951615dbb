"""The tame outlet behind the real network shell and the real SECC, in real time.

As a program (`python -m tests.hil.tame_station JSON`) it serves one vehicle on an interface, offers its inlet on a
Unix socket, and writes what flowed to a result file when the session is over.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from certs import make_lab
from certs.profile import Role
from evse_controller.model.commands import Command, SessionEnded
from evse_controller.model.snapshot import EvseSnapshot
from evse_controller.net.ports import LinkInfo, NetEvent, Output
from evse_controller.net.server import ServerConfig, V2gServer
from evse_controller.net.tls import PROFILES, Side, TlsContext, load_credential, load_roots
from evse_controller.secc.config import SeccConfig
from evse_controller.secc.connection import Connection
from evse_controller.secc.iso20.timers import Timers
from evse_controller.secc.reply import Transport
from hil.peers.channel import InletFigures, InletServer
from tests.hil.fake_house import FakeOutlet

# The independent vehicle takes announced ports of the dynamic range (49152..65535) only.
_DYNAMIC_PORT = 51118


def station_tls(folder: Path, profile: str) -> TlsContext:
    lab = make_lab(folder, profile)
    files = lab.files(Role.SECC)
    return TlsContext(
        Side.SERVER, PROFILES[profile], load_credential(files.chain, files.key), load_roots(*lab.trust_of_secc)
    )


def vehicle_tls(folder: Path, profile: str) -> TlsContext:
    lab = make_lab(folder, profile)
    files = lab.files(Role.VEHICLE)
    return TlsContext(
        Side.CLIENT, PROFILES[profile], load_credential(files.chain, files.key), load_roots(*lab.trust_of_vehicle)
    )


class TameHooks:
    """Joins the server to the tame outlet; `ended` is set when the session is over."""

    def __init__(self, outlet: FakeOutlet) -> None:
        self.outlet = outlet
        self.events: list[str] = []
        self.refusals: list[str] = []
        self.ended = asyncio.Event()
        self._zero_s = time.monotonic()

    def now_s(self) -> float:
        return time.monotonic() - self._zero_s

    def snapshot(self) -> EvseSnapshot:
        return self.outlet.snapshot(self.now_s())

    def on_commands(self, commands: Sequence[Command]) -> None:
        for command in commands:
            self.outlet.command(command, self.now_s())
            if isinstance(command, SessionEnded):
                self.ended.set()

    def on_output(self, link: LinkInfo, output: Output, took_s: float | None) -> None:
        event = getattr(output, "event", None)
        if event is not None and event.reason:
            self.refusals.append(f"{event.request}: {event.code} {event.reason}")

    def on_event(self, event: NetEvent) -> None:
        self.events.append(f"{event.kind}: {event.text}")


def tame_server(
    hooks: TameHooks, config: ServerConfig, tls: TlsContext | None, loop_sequence_s: float = 0.5
) -> V2gServer:
    secc = SeccConfig(lab_tcp=config.lab_tcp, timers=Timers(loop_sequence_s=loop_sequence_s))

    def connect(link: LinkInfo) -> Connection:
        transport = Transport.TLS_1_3_MUTUAL if link.tls else Transport.TCP
        return Connection(secc, transport, secrets.token_bytes, link.opened_s, link.setup_deadline_s)

    return V2gServer(config, connect, hooks, tls)


async def serve(options: dict[str, object]) -> None:
    outlet = FakeOutlet()
    hooks = TameHooks(outlet)

    def dynamic_set_point(_: InletFigures) -> None:
        """In Dynamic mode the station leads: first charge, then discharge."""
        flowing = [at_s for at_s, _ in outlet.currents]
        outlet.dynamic_a = 20.0 if not flowing or hooks.now_s() - flowing[0] < 2.5 else -15.0

    tls = station_tls(Path(str(options["pki"])), "lab-p256") if options["tls"] else None
    server = tame_server(
        hooks, ServerConfig(interface=str(options["interface"]), lab_tcp=tls is None, tcp_port=_DYNAMIC_PORT), tls,
        float(str(options["loop_sequence_s"])),
    )
    inlet = InletServer(outlet.inlet, str(options["channel"]), dynamic_set_point)
    await inlet.start()
    await server.start()
    server.set_enabled(True)
    print("ready", flush=True)
    await asyncio.wait_for(hooks.ended.wait(), float(str(options["patience_s"])))
    currents = [current for _, current in outlet.currents]
    Path(str(options["result"])).write_text(json.dumps({
        "highest_a": max(currents, default=0.0), "lowest_a": min(currents, default=0.0),
        "ended": outlet.commands[-1].kind.value, "events": hooks.events, "refusals": hooks.refusals,
        "contactor_closed": outlet.inlet.contactor_closed, "pilot": outlet.inlet.pilot.value,
        "closed_at_difference_v": outlet.inlet.closed_at_difference_v,
    }))
    await asyncio.sleep(10.0)  # the vehicle lingers; its runner ends us


if __name__ == "__main__":
    asyncio.run(serve(json.loads(sys.argv[1])))
