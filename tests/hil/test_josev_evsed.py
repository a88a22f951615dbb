"""The independent vehicle at the real daemon: its own log, the CAN bus, the meter and the referee must agree."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from hil.peers.house import HouseResult, charge_josev
from hil.peers.options import DYNAMIC, SCHEDULED, PeerOptions

LEGS = ((70, 20.0), (45, -15.0))


def assert_charged_and_discharged(result: HouseResult) -> None:
    """Seen by the vehicle, on the module bus as set, by the meter as the daemon read it, and by the referee."""
    plant, record = result.plant, result.record
    assert result.peer.completed, (result.peer.failure, result.evsed)
    assert record["end_kind"] == "terminated", record
    assert plant["highest_a"] > 10.0, plant
    assert plant["lowest_a"] < -5.0, plant
    for charged, discharged in (
        (plant["set_point_charged_wh"], plant["set_point_discharged_wh"]),
        (record["charged_wh"], record["discharged_wh"]),
    ):
        assert charged > 1_000.0, (plant, record)
        assert discharged > 1_000.0, (plant, record)
    assert result.disagreements() == [], (plant, record)
    assert plant["can_frames"] > 500
    assert not plant["contactor_closed"]
    assert plant["objections"] == []


@pytest.mark.peer
@pytest.mark.parametrize(
    ("mode", "tls", "slow_loop"),
    [pytest.param(DYNAMIC, True, True, id="dynamic-tls"), pytest.param(SCHEDULED, False, True, id="scheduled-tcp")],
)
async def test_dc_bpt_charges_and_discharges(tmp_path: Path, mode: int, tls: bool, slow_loop: bool) -> None:
    options = PeerOptions("", "", service="DC_BPT", control_mode=mode, tls=tls, legs=LEGS, departure_s=6 * 3600)
    assert_charged_and_discharged(await asyncio.to_thread(charge_josev, tmp_path, options, slow_loop=slow_loop))
