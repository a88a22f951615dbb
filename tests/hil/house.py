"""Whole houses in virtual time, which the referee judges when the test is over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hil.evcc import EvccConfig
from hil.virtual import BenchSettings, VirtualBench

MakeBench = Callable[..., VirtualBench]


@pytest.fixture
def bench(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[MakeBench]:
    """A house for a vehicle; its settings are `DAY` of the test's module unless told otherwise."""
    made: list[VirtualBench] = []

    def make(vehicle: EvccConfig, settings: BenchSettings | None = None) -> VirtualBench:
        made.append(VirtualBench(tmp_path / str(len(made)), vehicle, settings or request.module.DAY))
        return made[-1]

    yield make
    for house in made:
        house.close()
    for house in made:
        house.check()
