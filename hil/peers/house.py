"""One session of the independent vehicle at the real daemon: `evsed`, plant and vehicle, three processes on a cable."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from certs import LabPki, make_lab
from certs.profile import Role
from hil.demo.views import METER_CLASS, SET_POINT_TOLERANCE, View, disagreements
from hil.netns import Link
from hil.peers.environment import peer_python
from hil.peers.options import EVCCID, PeerOptions
from hil.peers.pki import josev_pki
from hil.peers.run import PeerResult, run_josev
from hil.virtual_config import bench_toml, hourly, price_file

_CHECKOUT = Path(__file__).resolve().parents[2]
_START_TIMEOUT_S = 20.0
START_UTC_S = 1_724_752_800.0
SPEED = 720.0
_FLOOR_WH = 200.0  # a third of a second of control time at full power: ramps, and what the modules took to follow
_AC_FLOOR_WH = 2_300.0  # an AC outlet's energy registers are read once a second: 11 kW at this speed
PRICES = (100.0, 20.0, 20.0, 20.0, 400.0, 400.0, 400.0, *(100.0,) * 41)
"""The vehicle needs 8 to 14 s until its loop, up to 2.8 h at this speed; cheap hours end after 20 s, then dear ones."""


@dataclass(frozen=True, slots=True)
class HouseResult:
    """`peer`: the vehicle's own verdict. `plant`: what flowed, what was set on the module bus, and the referee's
    objections. `record`: the session's record as the daemon's journal has it, empty when no session came.
    `evsed`: its console."""

    peer: PeerResult
    plant: dict[str, Any]
    record: dict[str, Any]
    evsed: str

    def disagreements(self) -> list[str]:
        """The meter itself, the journal and the decoded set-points know nothing of each other and must agree."""
        meter = View("meter", self.plant["meter_in_wh"], self.plant["meter_out_wh"], 0.0)
        journal = View("journal", self.record["charged_wh"], self.record["discharged_wh"], METER_CLASS)
        if self.plant["can_frames"] == 0:  # an AC outlet sets no modules
            return disagreements(meter, (journal,), _AC_FLOOR_WH)
        bus = View(
            "set-points", self.plant["set_point_charged_wh"], self.plant["set_point_discharged_wh"], SET_POINT_TOLERANCE
        )
        return disagreements(meter, (journal, bus), _FLOOR_WH)


@contextlib.contextmanager
def _process(
    argv: Sequence[str], log: Path, ready: str, ends_by_input: bool = False
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has said `ready` in its log; ended by SIGTERM, or by the end of its standard input."""
    environment = dict(os.environ, PYTHONPATH=str(_CHECKOUT), PYTHONUNBUFFERED="1")
    with log.open("wb") as output:
        process = subprocess.Popen(
            list(argv), stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT, env=environment, cwd=_CHECKOUT
        )
    try:
        until = time.monotonic() + _START_TIMEOUT_S
        while ready not in log.read_text(errors="replace"):
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{log.name} did not become ready:\n{log.read_text(errors='replace')}")
            time.sleep(0.05)
        yield process
    finally:
        assert process.stdin is not None
        process.stdin.close()
        if not ends_by_input:
            process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _ask(folder: Path, *words: str) -> dict[str, Any]:
    """What `evsectl` says; nothing while there is nothing to say."""
    argv = [sys.executable, "-m", "evse_controller.cli", "--socket", str(folder / "control.sock"), *words, "--json"]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=_CHECKOUT, timeout=_START_TIMEOUT_S, check=False)
    said: dict[str, Any] = json.loads(done.stdout) if done.returncode == 0 else {}
    return said


def _until(folder: Path, words: Sequence[str], seen: Callable[[dict[str, Any]], bool], what: str) -> dict[str, Any]:
    """Ask until it is seen. Raises RuntimeError with the last answer."""
    until = time.monotonic() + _START_TIMEOUT_S
    while not seen(answer := _ask(folder, *words)):
        if time.monotonic() > until:
            raise RuntimeError(f"{what} was not seen: {answer}")
        time.sleep(0.1)
    return answer


def _sound(status: dict[str, Any]) -> bool:
    return bool(status) and not status["faults"] and not any(device["problem"] for device in status["devices"])


def _config(
    folder: Path, interface: str, lab: LabPki | None, anchor_s: float, slow_loop: bool, ac: bool
) -> Path:
    """The daemon's file for this session."""
    slow = ', "lab-slow-loop"' if slow_loop else ""
    if lab is None:
        switches, tls = f'"lab-tcp"{slow}', ""
    else:
        files = lab.files(Role.SECC)
        trust = ", ".join(f'"{path}"' for path in lab.trust_of_secc)
        switches = f'"lab-p256"{slow}'
        tls = f'[net.tls]\nchain = "{files.chain}"\nkey = "{files.key}"\ntrust = [{trust}]\n'
    # The vehicle takes announced TCP ports of the dynamic range only.
    net = f'[net]\ninterface = "{interface}"\ntcp_port = 51118\n{tls}'
    # It knows no other notification than these: any other one ends it with NotImplementedError.
    quirk = f'[[quirks]]\nevccid_prefix = "{EVCCID}"\nwhy = "iso15118 0.31.2"\n[quirks.set]\n'
    quirk += 'notifications = ["Terminate", "ServiceRenegotiation"]\n'
    world = f"[world]\nstart = 2024-08-27T10:00:00Z\nspeed = {SPEED}\nanchor_s = {anchor_s}\n"
    price_file(folder, hourly(START_UTC_S, PRICES))
    path = folder / "evse.toml"
    path.write_text(bench_toml(folder, switches, net + world + quirk, folder / "dev", ac=ac))
    return path


def charge_josev(
    folder: Path, options: PeerOptions, timeout_s: float = 120.0, slow_loop: bool = True, renegotiate: bool = False
) -> HouseResult:
    """Run a whole session, under `lab-slow-loop` unless told otherwise. An AC vehicle comes to an AC outlet.

    `renegotiate`: once in the loop the station asks for a service renegotiation, with which this vehicle stops.
    `options.interface`, `channel` and `pki_path` are filled in here. Raises NetworkUnavailable, PeerEnvironmentError,
    or RuntimeError when a process does not start.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lab = make_lab(folder / "pki", "lab-p256") if options.tls else None
    pki = f"{josev_pki(lab, folder / 'josev-pki')}/" if lab is not None else None
    channel, result = str(folder / "inlet"), folder / "plant.json"
    peer_python()  # made now if it must be: it may take a minute, and the world's day would be over
    anchor_s = time.monotonic()
    plant = {
        "ports": str(folder / "dev"), "channel": channel, "result": str(result),
        "plant": {"speed": SPEED, "start_utc_s": START_UTC_S, "building_w": 2000.0, "battery": {"soc": 0.4},
                  "bus": {"imd_self_test_s": 0.5, "imd_cycle_s": 0.2}, "kind": "ac" if options.by_ac else "dc",
                  "referee": {"ac": {"export_allowed": True}}},
    }

    def ask_for_renegotiation() -> None:
        if not _ask(folder, "session", "renegotiate", "--service"):
            raise RuntimeError("the daemon does not ask for a service renegotiation")

    with Link() as link:
        wanted = replace(options, interface=link.ev.interface, channel=channel, pki_path=pki)
        with _process(
            link.ev.command([sys.executable, "-m", "hil.peers.plant_process", json.dumps(plant)]),
            folder / "plant.log", "ready", ends_by_input=True,
        ), _process(
            link.evse.command([
                sys.executable, "-m", "evse_controller.app", "--config",
                str(_config(folder, link.evse.interface, lab, anchor_s, slow_loop, options.by_ac)),
            ]),
            folder / "evsed.log", " ready, SDP port",
        ):
            _until(folder, ("status",), _sound, "a station without faults")
            verdict = run_josev(
                wanted, folder / "peer.log", command=link.ev.command, timeout_s=timeout_s,
                in_loop=ask_for_renegotiation if renegotiate else None,
            )
            shown = _until(
                folder, ("session", "show"), lambda shown: bool(shown.get("session", {}).get("ended_utc_s")),
                "the end of the session's record",
            ) if verdict.completed else _ask(folder, "session", "show")
    record = shown.get("session", {})
    return HouseResult(verdict, json.loads(result.read_text()), record, (folder / "evsed.log").read_text())
