"""A day, a site and an EV, and a manager that has planned for them."""

from __future__ import annotations

from dataclasses import replace

from evse_controller.energy.manager import EnergyConfig, EnergyManager
from evse_controller.energy.prices import DayAhead, Tariff, TariffTerms, packaged_day_ahead
from evse_controller.model.commands import EvDcLimits
from evse_controller.model.offer import EnergyNeeds, OfferTuple, ScheduleOffer
from evse_controller.model.snapshot import DcRatings
from evse_controller.site import SiteOutlook

DAY = 1724630400  # 2024-08-26T00:00:00Z
NOON = DAY + 12 * 3600
RATINGS = DcRatings(920.0, 150.0, 60.0, 22000.0, 60.0, 22000.0)
EV = EvDcLimits(450.0, 250.0, 100.0, 0.0, 11000.0, 0.0, 100.0, 0.0, 10000.0, 0.0)
OUTLOOK = SiteOutlook(24000.0, 5000.0, 2000.0, 4000.0)
NEEDS = EnergyNeeds(
    dynamic=True, max_supporting_points=1024, departure_utc_s=NOON + 18 * 3600.0,
    target_wh=20000.0, maximum_wh=30000.0, minimum_wh=-10000.0, v2x_maximum_wh=25000.0, v2x_minimum_wh=-10000.0,
)
SCHEDULED = replace(NEEDS, dynamic=False)


def manager_of(prices: DayAhead | None = None, **config: object) -> EnergyManager:
    tariff = Tariff(prices or packaged_day_ahead(), TariffTerms(buy_surcharge_per_kwh=0.02))
    return EnergyManager(EnergyConfig(**config), tariff)  # type: ignore[arg-type]


def finish(manager: EnergyManager) -> None:
    while manager.work(1.0):
        pass


def plan_for(needs: EnergyNeeds, bidirectional: bool = True, utc_s: float = NOON, **config: object) -> EnergyManager:
    manager = manager_of(**config)
    manager.observe(OUTLOOK, utc_s, 0.0)
    manager.request(needs, EV, RATINGS, bidirectional, utc_s)
    finish(manager)
    assert manager.problem is None
    return manager


def offer_of(manager: EnergyManager) -> ScheduleOffer:
    offer = manager.wish(NOON).offer
    assert offer is not None
    return offer


def at_second(chosen: OfferTuple, second: int, charging: bool) -> float:
    for slot in chosen.charging if charging else chosen.discharging or ():
        if second < slot.duration_s:
            return slot.power_w
        second -= slot.duration_s
    raise AssertionError("outside the schedule")
