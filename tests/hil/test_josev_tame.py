"""The independent vehicle against our SECC and network shell, with a tame outlet: its own log says that it charged."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from certs import make_lab
from hil import netns
from hil.peers.options import DYNAMIC, SCHEDULED, PeerOptions
from hil.peers.pki import josev_pki
from hil.peers.run import PeerResult, run_josev

ROOT = Path(__file__).resolve().parents[2]
MODES = {"scheduled": SCHEDULED, "dynamic": DYNAMIC}


def meet(folder: Path, **choices: object) -> tuple[PeerResult, dict[str, object]]:
    """One session on a cable of its own. Returns the vehicle's verdict and what the station saw."""
    tls = bool(choices.get("tls"))
    lab = folder / "pki"
    pki = josev_pki(make_lab(lab, "lab-p256"), folder / "josev-pki") if tls else None
    with netns.Link() as link:
        channel, result = str(folder / "inlet"), folder / "result.json"
        station = subprocess.Popen(
            link.evse.command([sys.executable, "-m", "tests.hil.tame_station", json.dumps({
                "interface": link.evse.interface, "channel": channel, "tls": tls, "pki": str(lab),
                "result": str(result), "patience_s": 60, "loop_sequence_s": 2.0,
            })]),
            stdout=subprocess.PIPE, cwd=ROOT, text=True, env=dict(os.environ, PYTHONPATH=str(ROOT)),
        )
        try:
            assert station.stdout is not None
            assert station.stdout.readline() == "ready\n"
            verdict = run_josev(
                PeerOptions(
                    interface=link.ev.interface, channel=channel, pki_path=str(pki) + "/" if pki else None,
                    legs=((12, 20.0), (12, -15.0)), **choices,
                ),
                folder / "peer.log", command=link.ev.command, timeout_s=60.0,
            )
        finally:
            station.terminate()
            station.wait()
            station.stdout.close()
    return verdict, json.loads(result.read_text()) if result.exists() else {}


@pytest.mark.peer
@pytest.mark.parametrize(("service", "mode", "tls", "codec"), [
    ("DC_BPT", "scheduled", False, "native"),
    ("DC_BPT", "dynamic", True, "native"),
    ("DC", "dynamic", False, "native"),
    ("DC", "scheduled", True, "own"),
])
async def test_it_charges_and_leaves(tmp_path: Path, service: str, mode: str, tls: bool, codec: str) -> None:
    if codec == "own" and shutil.which("java") is None:
        pytest.skip("its own codec needs Java, and there is none on this machine")
    verdict, station = await asyncio.to_thread(
        meet, tmp_path, service=service, control_mode=MODES[mode], tls=tls, codec=codec
    )
    assert verdict.completed, (verdict.failure, station)
    assert verdict.received[-1] == "SessionStopRes"
    assert verdict.received.count("DC_ChargeLoopRes") >= 20
    assert station["ended"] == "terminated", station
    assert station["highest_a"] == pytest.approx(20.0, abs=0.1)
    if service == "DC_BPT":
        assert station["lowest_a"] == pytest.approx(-15.0, abs=0.1)
    assert station["pilot"] == "B"
    assert not station["contactor_closed"]
