"""The independent vehicle at the real daemon in every combination that it can do. One case takes about half a minute.

A scaled run takes a sample by seed. Where Java is present its own codec is among the cases and may not be left out.
With our codec it is quick enough for the strict loop of 0.5 s [V2G20-1502] too; its own may need `lab-slow-loop`.
"""

from __future__ import annotations

import itertools
import random
import shutil
import tempfile
from pathlib import Path

from hil.peers.house import charge_josev
from hil.peers.options import DYNAMIC, SCHEDULED, PeerOptions


def cases() -> list[tuple[str, int, bool, str, bool]]:
    """(service, control mode, TLS, codec, slow loop)."""
    codecs = [("native", True), ("native", False)] + ([("own", True)] if shutil.which("java") else [])
    return [
        (service, mode, tls, codec, slow_loop)
        for service, mode, tls, (codec, slow_loop) in itertools.product(
            ("DC_BPT", "DC"), (SCHEDULED, DYNAMIC), (True, False), codecs
        )
    ]


def run(scale: float, seed: int) -> int:
    every = cases()
    chosen = random.Random(seed).sample(every, max(1, round(len(every) * scale)))
    for service, mode, tls, codec, slow_loop in chosen:
        both = service == "DC_BPT"
        options = PeerOptions(
            "", "", service=service, control_mode=mode, tls=tls, codec=codec, departure_s=6 * 3600,
            legs=((70, 20.0), (45, -15.0)) if both else ((60, 20.0),),
        )
        with tempfile.TemporaryDirectory() as folder:
            result = charge_josev(Path(folder), options, slow_loop=slow_loop)
        name = f"{service}, control mode {mode}, TLS {tls}, codec {codec}, slow loop {slow_loop}"
        plant, record = result.plant, result.record
        assert result.peer.completed, f"{name}: {result.peer.failure}\n{result.evsed}"
        assert plant["highest_a"] > 10.0, f"{name}: {plant}"
        assert plant["set_point_charged_wh"] > 1_000.0, f"{name}: {plant}"
        assert record["charged_wh"] > 1_000.0, f"{name}: {record}"
        if both:
            assert plant["lowest_a"] < -5.0, f"{name}: {plant}"
            assert plant["set_point_discharged_wh"] > 1_000.0, f"{name}: {plant}"
            assert record["discharged_wh"] > 1_000.0, f"{name}: {record}"
        assert result.disagreements() == [], f"{name}: {result.disagreements()} {plant}"
        assert not plant["objections"], f"{name}: {plant['objections']}"
    return len(chosen)
