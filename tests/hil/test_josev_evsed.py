"""The independent vehicle at the real daemon: its own log, the CAN bus, the meter and the referee must agree."""

from __future__ import annotations

from pathlib import Path

import pytest

from hil.peers.house import charge_josev
from hil.peers.options import DYNAMIC, SCHEDULED, PeerOptions

LOOPS = ((45, 20.0), (75, -15.0))


@pytest.mark.peer
@pytest.mark.parametrize(("mode", "tls"), [(DYNAMIC, True), (SCHEDULED, False)])
def test_dc_bpt_charges_and_discharges(tmp_path: Path, mode: int, tls: bool) -> None:
    result = charge_josev(tmp_path, PeerOptions(
        "", "", service="DC_BPT", control_mode=mode, tls=tls, legs=LOOPS, departure_s=6 * 3600,
    ))
    assert result.peer.completed, (result.peer.failure, result.evsed)
    assert result.plant["highest_a"] > 10.0, result.plant
    assert result.plant["lowest_a"] < -5.0, result.plant
    assert result.plant["meter_in_wh"] > 100.0
    assert result.plant["meter_out_wh"] > 100.0
    assert result.plant["can_frames"] > 500
    assert not result.plant["contactor_closed"]
    assert result.plant["objections"] == []
