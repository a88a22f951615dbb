"""One session of the independent vehicle at the real daemon: `evsed`, plant and vehicle, three processes on a cable."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from certs import LabPki, make_lab
from certs.profile import Role
from hil.netns import Link
from hil.peers.options import PeerOptions
from hil.peers.pki import josev_pki
from hil.peers.run import PeerResult, run_josev
from hil.virtual import bench_toml, hourly, price_file

_CHECKOUT = Path(__file__).resolve().parents[2]
_START_TIMEOUT_S = 20.0
START_UTC_S = 1_724_752_800.0
SPEED = 600.0
PRICES = (100.0, 20.0, 20.0, 400.0, 400.0, 400.0, *(100.0,) * 42)
"""The vehicle needs about 10 s until its loop, 1.7 h at this speed; then come cheap hours, then dear ones."""


@dataclass(frozen=True, slots=True)
class HouseResult:
    """`peer`: the vehicle's own verdict. `plant`: what flowed, and the referee's objections. `evsed`: its console."""

    peer: PeerResult
    plant: dict[str, Any]
    evsed: str


@contextlib.contextmanager
def _process(argv: Sequence[str], log: Path, ready: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has said `ready` in its log; its standard input is closed at the end, then it is ended."""
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
        try:
            process.wait(2)
        except subprocess.TimeoutExpired:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _config(folder: Path, interface: str, lab: LabPki | None, anchor_s: float) -> Path:
    """The daemon's file for this session."""
    if lab is None:
        switches, tls = '"lab-tcp", "lab-slow-loop"', ""
    else:
        files = lab.files(Role.SECC)
        trust = ", ".join(f'"{path}"' for path in lab.trust_of_secc)
        switches = '"lab-p256", "lab-slow-loop"'
        tls = f'[net.tls]\nchain = "{files.chain}"\nkey = "{files.key}"\ntrust = [{trust}]\n'
    # The vehicle takes announced TCP ports of the dynamic range only.
    net = f'[net]\ninterface = "{interface}"\ntcp_port = 51118\n{tls}'
    world = f"[world]\nstart = 2024-08-27T10:00:00Z\nspeed = {SPEED}\nanchor_s = {anchor_s}\n"
    price_file(folder, hourly(START_UTC_S, PRICES))
    path = folder / "evse.toml"
    path.write_text(bench_toml(folder, switches, net + world, folder / "dev"))
    return path


def charge_josev(folder: Path, options: PeerOptions, timeout_s: float = 120.0) -> HouseResult:
    """Run a whole session. `options.interface`, `channel` and `pki_path` are filled in here. Raises NetworkUnavailable,
    PeerEnvironmentError, or RuntimeError when a process does not start."""
    folder.mkdir(parents=True, exist_ok=True)
    lab = make_lab(folder / "pki", "lab-p256") if options.tls else None
    pki = f"{josev_pki(lab, folder / 'josev-pki')}/" if lab is not None else None
    channel, result = str(folder / "inlet"), folder / "plant.json"
    anchor_s = time.monotonic()
    plant = {
        "ports": str(folder / "dev"), "channel": channel, "result": str(result),
        "plant": {"speed": SPEED, "start_utc_s": START_UTC_S, "building_w": 2000.0, "battery": {"soc": 0.4},
                  "bus": {"imd_self_test_s": 2.0, "imd_cycle_s": 0.5}},
    }
    with Link() as link:
        wanted = replace(options, interface=link.ev.interface, channel=channel, pki_path=pki)
        with _process(
            link.ev.command([sys.executable, "-m", "hil.peers.plant_process", json.dumps(plant)]),
            folder / "plant.log", "ready",
        ), _process(
            link.evse.command([
                sys.executable, "-m", "evse_controller.app", "--config",
                str(_config(folder, link.evse.interface, lab, anchor_s)),
            ]),
            folder / "evsed.log", " ready, SDP port",
        ):
            time.sleep(4.0)  # the isolation monitor tests itself before a car may come
            verdict = run_josev(wanted, folder / "peer.log", command=link.ev.command, timeout_s=timeout_s)
            time.sleep(1.0)
    return HouseResult(verdict, json.loads(result.read_text()), (folder / "evsed.log").read_text())
