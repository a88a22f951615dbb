"""A schedule squeezed into few points keeps its length, never raises a cap, and keeps the mean price."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evse_controller.energy.offers import compress_power, compress_price, power_at
from evse_controller.model.offer import PowerSlot

_T = TypeVar("_T")
_SLOTS = st.lists(st.tuples(st.integers(1, 3600), st.floats(0, 22000)), min_size=1, max_size=60)


def _run(steps: Generator[None, None, _T]) -> _T:
    while True:
        try:
            next(steps)
        except StopIteration as done:
            result: _T = done.value
            return result


def _value(slots: list[tuple[int, float]], second: float) -> float:
    found = power_at([PowerSlot(*slot) for slot in slots], second)
    assert found is not None
    return found[0]


@given(_SLOTS, st.integers(1, 20))
@settings(max_examples=80, deadline=None)
def test_compressed_power_never_raises_a_cap(slots: list[tuple[int, float]], points: int) -> None:
    short = _run(compress_power(slots, points))
    assert len(short) <= points
    assert sum(s for s, _ in short) == sum(s for s, _ in slots)
    start = 0
    for duration, power in slots:
        assert _value(short, start) <= power
        assert _value(short, start + duration - 0.5) <= power
        start += duration


@given(_SLOTS, st.integers(1, 20))
@settings(max_examples=50, deadline=None)
def test_compressed_price_keeps_length_and_mean(slots: list[tuple[int, float]], points: int) -> None:
    short = _run(compress_price(slots, points))
    assert len(short) <= points
    assert sum(s for s, _ in short) == sum(s for s, _ in slots)
    assert sum(s * p for s, p in short) == pytest.approx(sum(s * p for s, p in slots), abs=1e-6)


def test_the_pair_that_loses_least_is_merged_first() -> None:
    assert _run(compress_power([(900, 0.0), (900, 10000.0), (900, 9000.0)], 2)) == [(900, 0.0), (1800, 9000.0)]


def test_outside_the_schedule_there_is_no_power() -> None:
    slots = [PowerSlot(60, 1000.0), PowerSlot(60, 2000.0)]
    assert power_at(slots, 60.0) == (2000.0, 60.0, 120.0)
    assert power_at(slots, -0.1) is None
    assert power_at(slots, 120.0) is None
