"""The daemon dies or freezes at full power: the pilot board opens by itself, and nothing of the session is lost."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from evse_controller.model.pilot import PilotState
from hal.sim.safety_mcu import McuConfig
from hil.bench import Bench, Setting, VehicleSession
from tests.e2e.support import at_full_power, newest_record

HEARTBEAT_S = McuConfig().heartbeat_s
OPENING_S = 0.05  # contactor delay 20 ms, the board's and the plant's own steps
SETTINGS = {"charging": Setting(prices="cheap-now"), "discharging": Setting(prices="dear-now", soc=0.8)}


async def _opened_by_the_board(
    bench: Bench, number: signal.Signals, session: VehicleSession | None = None
) -> float:
    """Stop the daemon and return the seconds from its last heartbeat until the contactors were open."""
    moves = len(bench.contactor_moves)
    bench.signal(number)
    if session is not None:
        session.task.cancel()  # a car that does not notice: no pilot state B that would open before the heartbeat does
    await bench.until(lambda: len(bench.contactor_moves) > moves, "contactors opened by the board", 5.0)
    at_s, closed = bench.contactor_moves[-1]
    last_beat_s = bench.plant.world.heartbeat_at_s
    assert last_beat_s is not None
    assert not closed
    return at_s - last_beat_s


async def _technician_and_next_car(bench: Bench) -> None:
    """The fault table's way back: board reset, latched fault cleared, plug pulled; then a car charges again."""
    status = await bench.until_status(lambda s: any(f["code"] == "mcu-safe-state" for f in s["faults"]), "the fault")
    assert status["outlet"]["contactor"] == "open"
    refused = await bench.ctl("faults", "clear", "mcu-safe-state")
    assert refused.returncode == 4, "a fault whose cause is still there must not be cleared"
    await bench.unplug()
    bench.plant.inject("mcu", "reset")
    bench.plant.clear("mcu", "reset")
    await asyncio.sleep(1.8)  # the board boots; a cause must be gone for a second
    await bench.until_status(lambda s: [f["code"] for f in s["faults"]] == ["mcu-safe-state"], "only the latched fault")
    cleared = await bench.ctl("faults", "clear", "mcu-safe-state")
    assert cleared.returncode == 0, cleared.stdout + cleared.stderr
    again = await at_full_power(bench)
    again.evcc.request_stop("enough")
    assert (await bench.outcome(again)).completed


@pytest.mark.parametrize("direction", ["charging", "discharging"])
async def test_killed_at_full_power_the_board_opens_and_nothing_is_lost(tmp_path: Path, direction: str) -> None:
    async with Bench(tmp_path, SETTINGS[direction]) as bench:
        await bench.start()
        session = await at_full_power(bench)
        await asyncio.sleep(1.5)
        before = await newest_record(bench)
        moves = len(bench.contactor_moves)
        opened_s = await _opened_by_the_board(bench, signal.SIGKILL, session)
        print(f"SIGKILL while {direction}: open {opened_s * 1e3:.0f} ms after the last heartbeat")
        assert opened_s <= HEARTBEAT_S + OPENING_S
        bench.plant.inlet.open_contactor()
        bench.plant.inlet.set_pilot(PilotState.B)
        await bench.start()
        await bench.until_status(lambda s: s["outlet"]["voltage_v"] is not None, "the meter answers")
        record = await newest_record(bench)
        assert record["session_id"] == before["session_id"]
        assert record["end_kind"] == "interrupted"
        assert record["ended_utc_s"] >= record["started_utc_s"]
        energy = bench.plant.world.world_energy
        assert record["charged_wh"] == pytest.approx(energy.outlet_in_wh, abs=1.5)  # the registers count whole Wh
        assert record["discharged_wh"] == pytest.approx(energy.outlet_out_wh, abs=1.5)
        assert max(record["charged_wh"], record["discharged_wh"]) > 8
        assert len(bench.contactor_moves) == moves + 1, "a restarted daemon must not close by itself"
        if direction == "charging":
            await _technician_and_next_car(bench)


@pytest.mark.parametrize("direction", ["charging", "discharging"])
async def test_frozen_at_full_power_the_board_opens_and_nobody_closes_again(tmp_path: Path, direction: str) -> None:
    async with Bench(tmp_path, SETTINGS[direction]) as bench:
        await bench.start()
        session = await at_full_power(bench)
        moves = len(bench.contactor_moves)
        opened_s = await _opened_by_the_board(bench, signal.SIGSTOP)
        print(f"SIGSTOP while {direction}: open {opened_s * 1e3:.0f} ms after the last heartbeat")
        assert opened_s <= HEARTBEAT_S + OPENING_S
        await asyncio.sleep(1.0)
        bench.signal(signal.SIGCONT)
        assert not (await bench.outcome(session)).completed
        await bench.until_status(lambda s: s["session"] is None, "the session's end")
        record = await newest_record(bench)
        assert record["ended_utc_s"] is not None
        assert record["end_reason"]
        assert len(bench.contactor_moves) == moves + 1, "a daemon that wakes up must not close again"
        if direction == "discharging":
            await _technician_and_next_car(bench)
