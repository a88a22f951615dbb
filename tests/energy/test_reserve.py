"""The need is met some time before departure, also by power that comes late."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evse_controller.energy.prices import DayAhead
from tests.energy.planning import (
    EV,
    NEEDS,
    NOON,
    OUTLOOK,
    RATINGS,
    SCHEDULED,
    at_second,
    finish,
    manager_of,
    offer_of,
    plan_for,
)

CHEAPER = DayAhead(tuple(NOON + h * 3600.0 for h in range(24)), tuple(400.0 - 16.0 * h for h in range(24)), 3600.0)
"""Prices that fall from hour to hour: the cheapest time to charge is the last before departure."""


def _lagging(hours: float, late_s: float, **config: object) -> tuple[list[float], list[float]]:
    """A dynamic EV that lacks 4 kWh and whose power comes `late_s` after the set-point, while prices fall; battery Wh
    and set-points by the minute."""
    manager = manager_of(CHEAPER, **config)
    needs = replace(NEEDS, departure_utc_s=NOON + hours * 3600.0, target_wh=4000.0)
    manager.observe(OUTLOOK, NOON, 0.0)
    manager.request(needs, EV, RATINGS, True, NOON)
    manager.accepted(None)
    moved = 0.0
    stored, wished = [0.0], [0.0] * round(late_s / 60.0)
    battery = manager.config.battery_efficiency
    for minute in range(round(hours * 60)):
        utc_s = NOON + minute * 60.0
        now = replace(
            needs, target_wh=4000.0 - stored[-1], maximum_wh=30000.0 - stored[-1], minimum_wh=-10000.0 - stored[-1],
            v2x_minimum_wh=-10000.0 - stored[-1],
        )
        manager.update(now, EV, None, utc_s, moved)
        manager.observe(OUTLOOK, utc_s, moved)
        finish(manager)
        wished.append(manager.wish(utc_s).setpoint_w or 0.0)
        energy_wh = wished[minute] / 60.0
        moved += energy_wh
        stored.append(stored[-1] + (energy_wh * battery if energy_wh > 0.0 else energy_wh / battery))
    return stored, wished[round(late_s / 60.0) :]


@pytest.mark.parametrize("hours", [0.75, 6.0, 8.25, 12.0, 17.25])
def test_the_need_is_met_the_reserve_before_departure(hours: float) -> None:
    stored, wished = _lagging(hours, 0.0, ready_before_s=600.0)
    assert min(stored[-11:]) >= 4000.0 - 1.0
    assert min(wished[-10:]) >= 0.0, "nothing is discharged in the reserve"


@pytest.mark.parametrize("hours", [8.25, 9.5, 17.25])
def test_power_that_comes_late_is_made_good_before_departure(hours: float) -> None:
    """At a fast world clock a change of direction takes long: the last cheap quarter of an hour must not be all."""
    stored, _ = _lagging(hours, 1440.0, reaction_s=3.0, world_speed=1440.0)
    assert stored[-1] >= 4000.0 - 1.0


def test_what_is_missing_in_the_reserve_is_charged_at_once_and_not_more() -> None:
    late = replace(NEEDS, departure_utc_s=NOON + 240.0, target_wh=500.0)
    manager = plan_for(late)
    assert manager.wish(NOON).setpoint_w == 11000.0, "not spread over the four minutes"
    manager.observe(OUTLOOK, NOON + 100, 505.0)
    assert manager.wish(NOON + 100).setpoint_w == pytest.approx(11000.0), "505 Wh at the outlet are less in the battery"
    manager.observe(OUTLOOK, NOON + 180, 515.0)
    assert manager.wish(NOON + 180).setpoint_w == 0.0
    minimum = plan_for(replace(late, target_wh=0.0, minimum_wh=500.0))
    assert minimum.wish(NOON).setpoint_w == 11000.0


def test_an_offer_holds_the_need_before_the_reserve_and_is_open_in_it() -> None:
    manager = plan_for(replace(SCHEDULED, departure_utc_s=NOON + 4 * 3600.0, target_wh=40000.0), ready_before_s=600.0)
    cheapest = offer_of(manager).tuples[0]
    before_wh = sum(at_second(cheapest, second, True) for second in range(0, 4 * 3600 - 600, 60)) / 60.0
    assert before_wh * manager.config.battery_efficiency >= 40000.0 - 1.0
    assert [at_second(cheapest, second, True) for second in (4 * 3600 - 600, 4 * 3600 - 1)] == [11000.0, 11000.0]
    assert at_second(cheapest, 4 * 3600 - 1, False) == 0.0
    assert sum(slot.duration_s for slot in cheapest.charging) == 4 * 3600
