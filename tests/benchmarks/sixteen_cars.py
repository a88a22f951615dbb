"""Sixteen cars for which there is always something to plan, as the energy room plans: in steps beside the loop."""

from __future__ import annotations

import time
from collections.abc import Callable

from evse_controller.app.compose import energy_config, tariff_of
from evse_controller.config import Config
from evse_controller.energy.manager import EnergyManager
from evse_controller.model.commands import EvDcLimits
from evse_controller.model.offer import EnergyNeeds
from evse_controller.model.snapshot import DcRatings
from evse_controller.site import SiteOutlook

CARS = 16
_LIMITS = EvDcLimits(450.0, 300.0, 100.0, 0.0, 40_000.0, 0.0, 60.0, 0.0, 20_000.0, 0.0)
_RATINGS = DcRatings(920.0, 150.0, 70.0, 22_000.0, 70.0, 22_000.0)


class SixteenCars:
    """Plans of 96 slots, each anew as soon as it is finished."""

    def __init__(self, config: Config, utc_s: float) -> None:
        self.planned = 0
        self._utc_s = utc_s
        self._cars = [EnergyManager(energy_config(config), tariff_of(config)) for _ in range(CARS)]
        self._turn = 0

    def turn(self) -> EnergyManager:
        """The next car, which has something to plan."""
        car, self._turn = self._cars[self._turn], (self._turn + 1) % CARS
        if not car.planning:
            needs = EnergyNeeds(
                True, 1024, self._utc_s + 24 * 3600, 20_000.0 + self._turn, 40_000.0, -5_000.0, 30_000.0, -4_000.0
            )
            car.end()
            car.observe(SiteOutlook(40_000.0, 30_000.0, 2_000.0, 4_200.0), self._utc_s, 0.0)
            car.request(needs, _LIMITS, _RATINGS, True, self._utc_s)
        return car

    def work(self, car: EnergyManager, clock: Callable[[], float] = time.perf_counter) -> None:
        self.planned += not car.work(clock=clock)
