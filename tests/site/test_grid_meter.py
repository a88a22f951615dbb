"""A meter at the grid connection holds our own power too: our ramps and cuts are never taken for the building's."""

from __future__ import annotations

import random
from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evse_controller.model.limits import SiteAllowance
from evse_controller.site import Direction, MeterScope, Site, SiteConfig
from hal.api import AcMeterReading

_STEP_S = 0.05


def _site(**changes: object) -> Site:
    values: dict[str, object] = {
        "import_limit_w": 24000.0,
        "export_limit_w": 5000.0,
        "failsafe_import_w": 4000.0,
        "increase_w_per_s": 1e9,
        "meter_scope": MeterScope.GRID,
    }
    return Site(SiteConfig(**{**values, **changes}))  # type: ignore[arg-type]


def _reading(at_s: float, power_w: float) -> AcMeterReading:
    return AcMeterReading(at_s, power_w, 0.0, 0.0)


def _steady(site: Site, grid_w: float, own_w: float, until_s: float, from_s: float = 100.0) -> SiteAllowance:
    """Both meters are read in every step from `from_s` to `until_s`; own power arrives without delay."""
    now_s = from_s
    while now_s < until_s - 1e-9:
        allowance = site.step(now_s, _reading(now_s, grid_w), own_w)
        now_s += _STEP_S
    return allowance


@given(st.floats(0.0, 1.0), st.floats(-5e3, 10e3), st.lists(st.floats(-15e3, 15e3), min_size=1, max_size=8))
@settings(max_examples=40, deadline=None)
def test_meter_at_the_grid_does_not_take_own_ramps_for_the_building(
    lag_s: float, building_w: float, own_levels_w: list[float]
) -> None:
    """Own power jumps as it likes, the meter shows building + own up to its lag late: the estimate stays true."""
    site = _site(import_limit_w=50e3, export_limit_w=50e3)
    past: deque[tuple[float, float]] = deque([(0.0, 0.0)])
    for step in range(40 * (1 + len(own_levels_w))):
        now_s = 10.0 + step * _STEP_S
        own_w = own_levels_w[step // 40 - 1] if step >= 40 else 0.0
        past.append((now_s, own_w))
        seen_w = [power for at_s, power in past if at_s <= now_s - lag_s + 1e-9][-1]
        site.step(now_s, _reading(now_s, building_w + seen_w), own_w)
        if step >= 40:
            assert site.building_w == pytest.approx(building_w, abs=1e-6)


def test_a_building_load_is_seen_as_soon_as_own_samples_enclose_the_reading() -> None:
    site = _site()
    assert _steady(site, 12000.0, 10000.0, 103.0).import_w.value == 22000.0
    assert site.building_w == 2000.0
    assert _steady(site, 19000.0, 10000.0, 103.3, 103.0).import_w.value == 22000.0
    assert _steady(site, 19000.0, 10000.0, 103.4, 103.3).import_w.value == 24000.0 - 9000.0


def test_a_reading_above_the_limit_counts_at_once() -> None:
    """Own power cannot be above its allowance: what the reading shows beyond the limit is the building's."""
    site = _site()
    _steady(site, 24000.0, 22000.0, 103.0)
    assert site.step(103.0, _reading(103.0, 29000.0), 22000.0).import_w.value == pytest.approx(17000.0)
    site = _site()
    _steady(site, -5000.0, -7000.0, 103.0)
    assert site.step(103.0, _reading(103.0, -6500.0), -7000.0).export_w.value == pytest.approx(5500.0)


def test_a_building_reading_newer_than_our_own_does_not_count_our_cut_as_the_buildings() -> None:
    site = _site()
    site.set_limit(Direction.IMPORT, 6000.0, "dso", "cut", None, 99.0)
    _steady(site, 6000.0, 5500.0, 103.0)
    site.set_limit(Direction.IMPORT, 2000.0, "dso", "cut", None, 103.0)
    for step in range(40):
        now_s = 103.0 + step * _STEP_S
        own_at_s = 102.95 if step < 8 else now_s
        own_w = 5500.0 if step < 8 else 1500.0
        allowance = site.step(now_s, _reading(now_s, 6000.0 if step < 3 else 2000.0), own_w, own_at_s)
        assert allowance.import_w.value == pytest.approx(1500.0), step


def test_an_allowance_rises_only_as_far_as_a_judged_reading_confirms() -> None:
    """5 kW more in the building while our own power rises and the meter is late: the rise waits for what it shows."""
    site = _site(increase_w_per_s=5000.0)
    site.set_limit(Direction.IMPORT, 8000.0, "dso", "cut", None, 99.0)
    assert _steady(site, 8000.0, 6000.0, 103.0).import_w.value == 6000.0
    site.clear_limit("dso")
    own_w, highest_w = 6000.0, 0.0
    late = deque([8000.0] * 16, maxlen=16)
    for step in range(160):
        now_s = 103.0 + step * _STEP_S
        building_w = 2000.0 if step < 20 else 7000.0
        late.append(building_w + own_w)
        own_w = site.step(now_s, _reading(now_s, late[0]), own_w).import_w.value
        highest_w = max(highest_w, building_w + own_w)
    assert building_w + own_w == pytest.approx(24000.0)
    assert highest_w <= 24500.0, "without the confirmation it is 28 kW"


def test_a_building_that_moved_while_our_own_power_ramped_counts_as_the_worst_it_can_be() -> None:
    """A step of 14 kW, our own power rose by 2 kW around it: in the reading it is 7 to 9 kW."""
    site = _site()
    _steady(site, 5000.0, 10000.0, 103.0)
    for step in range(20):
        now_s = 103.0 + step * _STEP_S
        own_w = 10000.0 if step < 10 else 12000.0
        allowance = site.step(now_s, _reading(now_s, 5000.0 if step < 8 else 19000.0), own_w)
    assert allowance.import_w.value == pytest.approx(24000.0 - 9000.0)
    assert allowance.export_w.value == pytest.approx(5000.0 + 7000.0)


def test_own_power_that_was_unknown_for_a_while_needs_a_new_history() -> None:
    site = _site()
    assert not _steady(site, 2000.0, 0.0, 103.0).stale
    assert site.step(103.0, _reading(103.0, 2000.0), float("nan")).stale
    assert _steady(site, 12000.0, 10000.0, 104.0, 103.05).stale
    assert not _steady(site, 12000.0, 10000.0, 105.0, 104.0).stale
    assert site.building_w == 2000.0


def test_own_samples_that_stand_still_mean_the_failsafe() -> None:
    site = _site()
    _steady(site, 2000.0, 0.0, 103.0)
    for step in range(80):
        allowance = site.step(103.0 + step * _STEP_S, _reading(103.0 + step * _STEP_S, 2000.0), 0.0, 102.95)
    assert allowance.stale
    assert "own AC power" in (site.stale or "")


def test_a_meter_that_does_not_follow_our_own_power_is_stale_until_its_value_changes() -> None:
    site = _site()
    assert not _steady(site, 2000.0, 0.0, 110.0).stale, "a constant load alone is no fault"
    assert not _steady(site, 2000.0, 900.0, 120.0, 110.0).stale, "a kW is within what others may have switched"
    assert not _steady(site, 2000.0, 5000.0, 122.9, 120.0).stale
    allowance = _steady(site, 2000.0, 5000.0, 125.0, 122.9)
    assert allowance.stale
    assert "frozen" in allowance.import_w.reason
    assert _steady(site, 2000.0, 0.0, 130.0, 125.0).stale, "it does not come back when our own power does"
    assert not _steady(site, 2300.0, 0.0, 133.0, 130.0).stale
    assert site.building_w == 2300.0


class _Plant:
    """Building, own power that follows its allowance within the module's dead time and slope, two late meters."""

    def __init__(self, seed: int, meter_late_s: float, own_late_s: float) -> None:
        self.random = random.Random(seed)
        self.site = _site(increase_w_per_s=5000.0, own_lag_s=own_late_s, failsafe_import_w=2000.0)
        self.late_s = (meter_late_s, own_late_s)
        self.periods_s = (self.random.uniform(0.1, 0.5), self.random.uniform(0.05, 0.2))
        self.next_s = [0.0, 0.0]
        self.history: deque[tuple[float, float, float]] = deque(maxlen=60)
        self.reading: AcMeterReading | None = None
        self.own_sample: tuple[float, float] | None = None
        self.building_w = self.own_w = self.wanted_w = 0.0
        self.now_s = 50.0
        self.asked: deque[float] = deque([0.0] * 4, maxlen=4)

    def step(self) -> None:
        self.now_s += _STEP_S
        target_w = self.asked[0]
        slope_w = (12e3 if abs(target_w) > abs(self.own_w) else 60e3) * _STEP_S
        self.own_w += min(max(target_w - self.own_w, -slope_w), slope_w)
        self.history.append((self.now_s, self.building_w + self.own_w, self.own_w))
        if self.now_s >= self.next_s[0]:
            self.next_s[0] = self.now_s + self.periods_s[0]
            self.reading = _reading(self.now_s, self._seen(self.late_s[0])[1])
        if self.now_s >= self.next_s[1]:
            self.next_s[1] = self.now_s + self.periods_s[1]
            self.own_sample = (self.now_s, self._seen(self.late_s[1])[2])
        own_at_s, own_w = self.own_sample or (self.now_s, 0.0)
        allowance = self.site.step(self.now_s, self.reading, own_w, own_at_s)
        self.asked.append(min(max(self.wanted_w, -allowance.export_w.value), allowance.import_w.value))

    def _seen(self, late_s: float) -> tuple[float, float, float]:
        at_s = self.now_s - self.random.uniform(0.0, late_s)
        return next((h for h in reversed(self.history) if h[0] <= at_s), self.history[0])


@given(st.integers(0, 10**6), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
@settings(max_examples=15, deadline=None)
def test_the_grid_is_never_outside_a_limit_for_longer_than_the_reaction_time(
    seed: int, meter_late_s: float, own_late_s: float
) -> None:
    """Loads and limits change at random while power ramps, both meters late: import and export."""
    plant = _Plant(seed, meter_late_s, own_late_s)
    # Building meter's lag and period, then own meter's lag and period, then modules' dead time and slope.
    reaction_s = 1.0 + plant.periods_s[0] + own_late_s + plant.periods_s[1] + 0.2 + 0.6 + 2 * _STEP_S
    limits = {Direction.IMPORT: 24000.0, Direction.EXPORT: 5000.0}
    for _ in range(20):
        outside_s = dict.fromkeys(Direction, 0.0)  # each change has its own reaction time
        what = plant.random.random()
        if what < 0.4:
            plant.building_w = plant.random.choice([0.0, 500.0, 3000.0, 8000.0, 15000.0, -3000.0])
        elif what < 0.7:
            way = plant.random.choice(list(Direction))
            limits[way] = plant.random.choice([0.0, 2000.0, 5000.0, 12000.0, 24000.0])
            plant.site.set_limit(way, limits[way], "dso", "cut", None, plant.now_s)
            limits[way] = min(limits[way], 24000.0 if way is Direction.IMPORT else 5000.0)
        else:
            plant.wanted_w = plant.random.choice([-20000.0, -5000.0, 0.0, 7000.0, 22000.0])
        for _ in range(round(plant.random.choice([0.5, 2.0, 5.0]) / _STEP_S)):
            plant.step()
            grid_w = plant.building_w + plant.own_w
            for way, beyond_w, ours_w in (
                (Direction.IMPORT, grid_w - limits[Direction.IMPORT], plant.own_w),
                (Direction.EXPORT, -grid_w - limits[Direction.EXPORT], -plant.own_w),
            ):
                outside_s[way] = outside_s[way] + _STEP_S if beyond_w > 1.0 and ours_w > 1.0 else 0.0
                assert outside_s[way] <= reaction_s, (way, beyond_w, plant.site.building_w, plant.building_w)
