"""Computation of the daemon from frame bytes in to frame bytes out over TCP, with plant and car in another process.

The daemon measures itself; what the car sees on top is the machine's scheduling and its own computation. Pacing is
not part of it (there is none by default). Prints warm-up, sample count and percentiles; the goal is p50 <= 1.5 ms and
p99 <= 10 ms.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from evse_controller.model.commands import ControlMode
from hil.bench import Bench, Setting
from hil.evcc import EvccConfig

WARM_UP, SAMPLES = 300, 2000


async def _measure(folder: Path, mode: ControlMode) -> tuple[list[float], float]:
    async with Bench(folder, Setting(lab=("lab-tcp",))) as bench:
        await bench.start()
        session = bench.plug_and_charge(EvccConfig(control_mode=mode, loop_period_s=0.01))
        await bench.until(lambda: session.evcc.loops >= WARM_UP + SAMPLES, "enough loops", 120)
        recent = (await bench.call("latency"))["recent_ms"]
        memory_mib = bench.memory_mib()
        session.evcc.request_stop("enough")
        await asyncio.wait_for(session.task, 30)
    return sorted(recent[-SAMPLES:]), memory_mib


@pytest.mark.parametrize("mode", list(ControlMode))
def test_charge_loop_latency(tmp_path: Path, mode: ControlMode, benchmark: BenchmarkFixture) -> None:
    taken, memory_mib = benchmark.pedantic(lambda: asyncio.run(_measure(tmp_path, mode)), rounds=1)
    p50, p99 = taken[len(taken) // 2], taken[int(len(taken) * 0.99)]
    figures = f"p50 {p50:.3f} ms, p99 {p99:.3f} ms, max {taken[-1]:.3f} ms"
    print(f"\n{mode.name}: warm-up {WARM_UP}, samples {len(taken)}: {figures}; daemon resident {memory_mib:.1f} MiB")
    benchmark.extra_info |= {"warm_up": WARM_UP, "samples": len(taken), "p50_ms": p50, "p99_ms": p99}
