"""A charge loop and a control loop beside the largest legal price schedule (1.48 MB) in the same process.

Goal: an answer of the charge loop takes at worst 50 ms, and 10 ms at the 99th percentile. The car of the loop is
another process and asks every 10 ms; `nothing` is the same without a large message, `inline` is what coding it in the
loop does. The machine's own hiccups count like ours, so the best of some runs is held against the goal, and what the
machine does to the loop alone in the same minute is added to it.
"""

from __future__ import annotations

import asyncio

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from tests.net.beside import measure, percentile

RUNS, SECONDS = 3, 6.0
P99_S, WORST_S = 0.010, 0.050


@pytest.mark.parametrize("what", ["nothing", "answer", "request"])
def test_a_charge_loop_beside_a_large_message(what: str, benchmark: BenchmarkFixture) -> None:
    runs = benchmark.pedantic(lambda: [asyncio.run(measure(what, seconds=SECONDS)) for _ in range(RUNS)], rounds=1)
    print()
    for figures in runs:
        print(f"{what}: {figures.words()}")
    alone = asyncio.run(measure("nothing", seconds=SECONDS))
    print(f"alone: {alone.words()}")
    best = min(runs, key=lambda figures: percentile(figures.answers, 0.99))
    benchmark.extra_info |= {"p99_ms": 1e3 * percentile(best.answers, 0.99), "worst_ms": 1e3 * max(best.answers)}
    assert percentile(best.answers, 0.99) <= P99_S + percentile(alone.answers, 0.99)
    assert min(max(figures.answers) for figures in runs) <= WORST_S + max(alone.answers)
    assert min(max(figures.ticks) for figures in runs) <= WORST_S + max(alone.ticks)


def test_what_coding_it_in_the_loop_would_do(benchmark: BenchmarkFixture) -> None:
    """For comparison only; the loop's own sequence timer may end it, so few answers are seen."""
    figures = benchmark.pedantic(lambda: asyncio.run(measure("answer", seconds=3, large_bytes=None)), rounds=1)
    print(f"\ninline: {figures.words()}")
    assert max(figures.ticks) > WORST_S
