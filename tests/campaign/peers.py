"""The independent vehicle at the real daemon in every combination that it can do. One case takes about half a minute.

A scaled run takes a sample by seed. Where Java is present its own codec is among the cases and may not be left out.
"""

from __future__ import annotations

import itertools
import random
import shutil
import tempfile
from pathlib import Path

from hil.peers.house import charge_josev
from hil.peers.options import DYNAMIC, SCHEDULED, PeerOptions


def cases() -> list[tuple[str, int, bool, str]]:
    """(service, control mode, TLS, codec)."""
    codecs = ["native", "own"] if shutil.which("java") else ["native"]
    return list(itertools.product(("DC_BPT", "DC"), (SCHEDULED, DYNAMIC), (True, False), codecs))


def run(scale: float, seed: int) -> int:
    every = cases()
    chosen = random.Random(seed).sample(every, max(1, round(len(every) * scale)))
    for service, mode, tls, codec in chosen:
        legs = ((45, 20.0), (75, -15.0)) if service == "DC_BPT" else ((60, 20.0),)
        options = PeerOptions(
            "", "", service=service, control_mode=mode, tls=tls, codec=codec, legs=legs, departure_s=6 * 3600
        )
        with tempfile.TemporaryDirectory() as folder:
            result = charge_josev(Path(folder), options)
        name = f"{service}, control mode {mode}, TLS {tls}, codec {codec}"
        assert result.peer.completed, f"{name}: {result.peer.failure}\n{result.evsed}"
        assert result.plant["highest_a"] > 10.0, f"{name}: {result.plant}"
        assert service == "DC" or result.plant["lowest_a"] < -5.0, f"{name}: {result.plant}"
        assert not result.plant["objections"], f"{name}: {result.plant['objections']}"
    return len(chosen)
