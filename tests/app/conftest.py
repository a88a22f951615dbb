"""The house that tests of this room live in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hil.virtual import BenchSettings, VirtualBench, plant_of
from tests.app.house import DYNAMIC


@pytest.fixture
def house(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[VirtualBench]:
    vehicle, config, speed, *energy = getattr(request, "param", (DYNAMIC, "", 1.0))
    settings = BenchSettings(speed=speed, plant=plant_of(0.4), config=config, energy="".join(energy))
    with VirtualBench(tmp_path, vehicle, settings) as made:
        yield made
        made.check()
