"""For tests: plants that fail the test when the referee objects.

In a conftest: `from hal.sim.testing import make_plant, plant` (both are fixtures).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from hal.sim.plant import Plant, PlantConfig

MakePlant = Callable[..., Plant]


@contextmanager
def judged(plant: Plant) -> Iterator[Plant]:
    """Use a plant; at the end the referee's objections raise AssertionError. The plant is closed in any case."""
    try:
        yield plant
        plant.referee.check()
    finally:
        plant.close()


@pytest.fixture
def make_plant() -> Iterator[MakePlant]:
    """A maker of plants: `make_plant(config=None, virtual_can=False)`. All are judged when the test ends.

    With `virtual_can=True` the module bus joins a python-can `virtual` channel of its own: `plant.virtual_can`.
    """
    made: list[Plant] = []

    def make(config: PlantConfig | None = None, virtual_can: bool = False) -> Plant:
        plant = Plant(config, virtual_can=f"plant-{uuid.uuid4().hex}" if virtual_can else None)
        made.append(plant)
        return plant

    yield make
    try:
        for plant in made:
            plant.referee.check()
    finally:
        for plant in made:
            plant.close()


@pytest.fixture
def plant(make_plant: MakePlant) -> Plant:
    """One plant with default configuration and a `virtual` CAN channel, judged when the test ends."""
    return make_plant(virtual_can=True)
