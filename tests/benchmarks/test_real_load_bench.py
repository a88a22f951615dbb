"""Four charge loops at real speed over TLS, at once, while sixteen cars are planned for, measured together.

One process holds four whole daemons on one loop and the planner of sixteen cars (`four_outlets`); this one holds four
plants behind ptys and four cars on real sockets. What is read is what the daemons wrote down themselves, message by
message (`ms` in `events.jsonl`): from the frame's bytes to the answer's, and beside it what the cars saw, which also
holds their own computation and that of four plants. So the machine's load counts, and is told.

The goal is p99 <= 5 ms for the daemon's own answer and never over 250 ms (V2G_SECC_Msg_Performance_Time of the loop).
On a machine that is busy with other things before, nothing is asserted but that everybody was served.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

from pytest_benchmark.fixture import BenchmarkFixture

from evse_controller.model.commands import ControlMode
from hil.bench import Bench, environment
from hil.bench_config import START_UTC_S, Setting
from hil.evcc import EvccConfig
from tests.benchmarks.sixteen_cars import CARS

MODES = (ControlMode.DYNAMIC, ControlMode.SCHEDULED) * 2
CAR = EvccConfig(departure_utc_s=START_UTC_S + 8 * 3600.0, loop_period_s=0.1)
SECONDS = 20.0
P99_MS, WORST_MS = 5.0, 250.0


def _launch(benches: list[Bench], log: Path) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-m", "tests.benchmarks.four_outlets", *(str(bench.config_file) for bench in benches)]
    with log.open("wb") as out:
        return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment())


async def _ready(benches: list[Bench], log: Path) -> None:
    def lines() -> list[str]:
        return [line for line in log.read_text().splitlines() if " ready, SDP port " in line]

    await benches[0].until(lambda: len(lines()) == len(benches) or not benches[0].alive, "four outlets", 60.0)
    assert benches[0].alive, log.read_text()
    for bench in benches:
        (line,) = (line for line in lines() if bench.socket_path in line)
        bench.sdp_port = int(line.split("SDP port ")[1].split(",")[0])


async def _measure(folder: Path) -> tuple[list[float], list[float], int, float]:
    """The daemons' and the cars' times of loop messages in ms, how many plans were made, and the share of both
    processors that was busy meanwhile."""
    log = folder / "four.log"
    async with AsyncExitStack() as stack:
        setting = Setting(network="loopback")
        benches = [
            await stack.enter_async_context(Bench(folder / str(number), setting)) for number in range(len(MODES))
        ]
        process = _launch(benches, log)
        stack.callback(process.wait)
        stack.callback(process.kill)
        for bench in benches:
            bench.process = process
        await _ready(benches, log)
        for bench in benches:
            await bench.until_sound()
        sessions = [
            bench.plug_and_charge(replace(CAR, control_mode=mode))
            for bench, mode in zip(benches, MODES, strict=True)
        ]
        for bench, session in zip(benches, sessions, strict=True):
            await bench.until(lambda session=session: session.evcc.loops > 10, "energy at every outlet", 90.0)  # type: ignore[misc]
        since_s, busy, plans = time.time(), _busy(), _planned(log)
        seen = [len(session.evcc.exchanges) for session in sessions]
        await asyncio.sleep(SECONDS)
        share, plans = _share(busy, _busy()), _planned(log) - plans
        waits = [
            (exchange.received_s - exchange.sent_s) * 1e3
            for session, first in zip(sessions, seen, strict=True)
            for exchange in session.evcc.exchanges[first:]
            if exchange.received_s is not None
        ]
        for session in sessions:
            assert not session.task.done(), session.task
            session.evcc.request_stop("enough")
        for session in sessions:
            outcome = await asyncio.wait_for(session.task, 60.0)
            assert outcome.completed, outcome.failure
        took = [ms for bench in benches for ms in _loop_ms(bench, since_s)]
        return took, waits, plans, share


def _loop_ms(bench: Bench, since_s: float) -> list[float]:
    found: list[float] = []
    for line in (bench.folder / "state" / "events.jsonl").read_text(encoding="utf-8").splitlines():
        event = json.loads(line)
        data = event.get("data") or {}
        if event["kind"] == "message" and data.get("state") == data.get("next") == "ChargeLoop" and "ms" in data:
            found.append(data["ms"])
    return found


def _planned(log: Path) -> int:
    return sum(CARS for line in log.read_text().splitlines() if line.startswith("planned "))


def _busy() -> tuple[int, int]:
    ticks = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)


def _share(before: tuple[int, int], after: tuple[int, int]) -> float:
    return (after[0] - before[0]) / max(1, after[1] - before[1])


def _percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def test_four_real_outlets_while_sixteen_cars_are_planned(tmp_path: Path, benchmark: BenchmarkFixture) -> None:
    load = os.getloadavg()[0]
    took, waits, plans, share = benchmark.pedantic(lambda: asyncio.run(_measure(tmp_path)), rounds=1)
    p99_ms, worst_ms = _percentile(took, 0.99), max(took)
    print(
        f"\nfour outlets over TLS for {SECONDS:g} s, {len(took)} answers, {plans} plans of 96 slots meanwhile: daemon"
        f" p50 {_percentile(took, 0.5):.2f} p99 {p99_ms:.2f} worst {worst_ms:.1f} ms; seen by the cars"
        f" p50 {_percentile(waits, 0.5):.2f} p99 {_percentile(waits, 0.99):.2f} worst {max(waits):.1f} ms;"
        f" load before {load:.1f} on {os.cpu_count()} processors, {share * 100:.0f} % busy meanwhile"
    )
    benchmark.extra_info |= {"samples": len(took), "p99_ms": p99_ms, "worst_ms": worst_ms, "busy": share}
    assert plans >= CARS, "sixteen cars must have been planned for"
    assert len(took) > 4 * SECONDS
    if load < 1.0:
        assert p99_ms <= P99_MS
        assert worst_ms <= WORST_MS
