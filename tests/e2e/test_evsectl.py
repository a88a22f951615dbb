"""`evsectl` while a car charges, an orderly stop through it, and SIGTERM under power."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from evse_controller.model.commands import ControlMode
from hil.bench import Bench, Setting, environment
from tests.e2e.support import FULL_W, at_full_power, newest_record

OPENING_A = 5.0
MEMORY_MIB = 60.0


async def test_evsectl_shows_a_session_and_stops_it_in_order(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        await bench.start()
        session = await at_full_power(bench)
        status = await bench.ctl("status", "--json")
        parsed = json.loads(status.stdout)
        assert (status.returncode, parsed["outlet"]["phase"]) == (0, "energy")
        await bench.until_status(lambda s: s["outlet"]["power_w"] > FULL_W, "full power in the daemon's own view")
        assert parsed["session"]["service"] == "DC_BPT"
        identifier = parsed["session"]["id"]
        shown = await bench.ctl("status")
        assert max(map(len, shown.stdout.splitlines())) <= 80
        assert len(shown.stdout.splitlines()) <= 24
        watched = await bench.ctl("watch", "--count", "3", "--period", "0.2")
        assert watched.returncode == 0
        assert len(watched.stdout.strip().splitlines()) == 4  # a header and three lines
        lines = (await bench.ctl("watch", "--json", "--count", "2", "--period", "0.2")).stdout.splitlines()
        assert [json.loads(line)["session"]["id"] for line in lines] == [identifier] * 2
        listed = json.loads((await bench.ctl("session", "list", "--json")).stdout)
        assert [row["session_id"] for row in listed] == [identifier]
        by_beginning = await bench.ctl("session", "show", identifier[:6].lower(), "--json")
        assert json.loads(by_beginning.stdout)["session"]["session_id"] == identifier
        assert (await bench.ctl("session", "show", "FFFFFFFF")).returncode == 4
        limits = json.loads((await bench.ctl("limits", "--json")).stdout)["limits"]
        assert {row["direction"] for row in limits} == {"import", "export", "charge", "discharge"}
        for direction in ("import", "export", "charge", "discharge"):
            assert sum(row["rules"] for row in limits if row["direction"] == direction) == 1
        assert (await bench.ctl("limits", "set", "import", "-5", "--for", "10")).returncode == 4
        await _office(bench)
        quiet = await bench.ctl("faults", "--json")
        assert (quiet.returncode, json.loads(quiet.stdout)) == (0, {"active": []})
        assert (await bench.ctl("faults", "clear", "no-such-fault")).returncode == 4
        assert (await bench.ctl("nonsense")).returncode == 2
        await _stop(bench)
        outcome = await bench.outcome(session)
        assert outcome.completed, outcome.failure
        record = await newest_record(bench)
        assert "enough for today" in record["end_reason"]
        assert (await bench.ctl("stop")).returncode == 4
        assert (await bench.ctl("--socket", str(tmp_path / "none.sock"), "status")).returncode == 3


async def _office(bench: Bench) -> None:
    """A back office through the daemon's socket; by default no car is kept waiting for one."""
    refused = await bench.ctl("offer", "negotiate", "--for", "30")
    assert (refused.returncode, "wait_for_back_office_s" in refused.stderr) == (4, True)
    delivered = json.loads((await bench.ctl("offer", "deliver", "86400:40000", "--json")).stdout)
    assert delivered["plan"]["most_charge_w"] == 40_000.0
    assert json.loads((await bench.ctl("status", "--json")).stdout)["offer"] == delivered
    assert json.loads((await bench.ctl("offer", "withdraw", "--json")).stdout)["plan"] is None


async def _stop(bench: Bench) -> None:
    moves = len(bench.contactor_moves)
    currents: list[float] = []
    bench.plant.world.observers.append(lambda world, _: currents.append(world.outlet_current_a))
    stopped = await bench.ctl("stop", "--reason", "enough for today", "--json")
    assert json.loads(stopped.stdout) == {"reason": "enough for today"}
    await bench.until(lambda: len(bench.contactor_moves) > moves, "open contactors", 15.0)
    opened = next(number for number in range(len(currents)) if abs(currents[number]) < OPENING_A)
    assert all(abs(amps) < OPENING_A for amps in currents[opened:]), "current rose again after the ramp"
    assert [closed for _, closed in bench.contactor_moves[moves:]] == [False]


async def test_memory_in_a_scheduled_session_with_capture_and_key_log(tmp_path: Path) -> None:
    """Scheduled mode with every extra that costs memory: capture, key log."""
    setting = Setting(lab=("lab-keylog",), config={"controller": {"capture": True}})
    async with Bench(tmp_path, setting) as bench:
        await bench.start()
        started_mib = bench.memory_mib()
        # an offer made before the building's load is known would hold the failsafe share for its first slot
        await bench.until_status(lambda s: not s["faults"] and s["uptime_s"] > 1.0, "the building meter")
        await at_full_power(bench, control_mode=ControlMode.SCHEDULED)
        await asyncio.sleep(2.0)
        memory_mib = bench.memory_mib()
        print(f"memory of evsed: {started_mib:.1f} MiB at start, {memory_mib:.1f} MiB in a session")
        assert memory_mib <= MEMORY_MIB
        status = await bench.call("status")
        assert status["lab"] == ["lab-keylog"]
        assert status["session"]["control_mode"] == "scheduled"
        assert (await newest_record(bench))["lab_switches"] == "lab-keylog"
        assert "LAB SWITCH lab-keylog IS ON" in bench.log()


@pytest.mark.parametrize("prices", ["cheap-now", "dear-now"])
async def test_sigterm_under_power_ends_in_order(tmp_path: Path, prices: str) -> None:
    async with Bench(tmp_path, Setting(prices=prices, soc=0.8 if prices == "dear-now" else 0.5)) as bench:
        await bench.start()
        session = await at_full_power(bench)
        asked_s = time.monotonic()
        bench.signal(signal.SIGTERM)
        code = await bench.ended(15.0)
        took_s = time.monotonic() - asked_s
        print(f"SIGTERM under power: ended after {took_s:.1f} s")
        assert code == 0, bench.log()
        assert took_s <= 10.0
        assert not bench.contactors_closed
        assert (await bench.outcome(session)).completed
        await bench.unplug()
        await bench.start()
        record = await newest_record(bench)
        assert record["end_kind"] == "terminated"
        assert "the daemon stops" in record["end_reason"]
        energy = bench.plant.world.world_energy
        assert abs(record["charged_wh"] - energy.outlet_in_wh) <= 1.5
        assert abs(record["discharged_wh"] - energy.outlet_out_wh) <= 1.5


def test_evsectl_starts_in_well_under_a_quarter_of_a_second(tmp_path: Path) -> None:
    took_s = []
    argv = [sys.executable, "-m", "evse_controller.cli", "--socket", str(tmp_path / "none.sock"), "status"]
    while len(took_s) < 6 or (min(took_s) >= 0.25 and len(took_s) < 20):  # the best: others had to share the machine
        started_s = time.perf_counter()
        done = subprocess.run(argv, capture_output=True, env=environment(), check=False)
        took_s.append(time.perf_counter() - started_s)
        assert done.returncode == 3
    print(f"evsectl status without a daemon: {min(took_s) * 1e3:.0f} ms at best, with the interpreter's own start")
    assert min(took_s) < 0.25
