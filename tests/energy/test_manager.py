"""The manager plans beside the loop, follows the EV's energy window, and offers schedules an EV can take."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evse_controller.energy.manager import EnergyConfig, EnergyManager
from evse_controller.model.offer import EnergyNeeds, PowerProfile
from evse_controller.site import SiteOutlook
from tests.energy.planning import (
    DAY,
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


def _drive(manager: EnergyManager, needs: EnergyNeeds, hours: float, step_s: float = 60.0) -> tuple[float, list[float]]:
    """A dynamic EV that follows the set-point exactly and reports its remaining needs; (battery Wh, powers)."""
    assert needs.target_wh is not None
    assert needs.maximum_wh is not None
    assert needs.minimum_wh is not None
    moved = stored = 0.0
    powers = []
    battery = manager.config.battery_efficiency
    for step in range(round(hours * 3600 / step_s)):
        utc_s = NOON + step * step_s
        now = replace(
            needs,
            target_wh=needs.target_wh - stored,
            maximum_wh=needs.maximum_wh - stored,
            minimum_wh=needs.minimum_wh - stored,
            v2x_minimum_wh=None if needs.v2x_minimum_wh is None else needs.v2x_minimum_wh - stored,
        )
        manager.update(now, EV, None, utc_s, moved)
        manager.observe(OUTLOOK, utc_s, moved)
        finish(manager)
        power_w = manager.wish(utc_s).setpoint_w or 0.0
        powers.append(power_w)
        energy = power_w * step_s / 3600
        moved += energy
        stored += energy * battery if energy > 0 else energy / battery
        assert stored >= needs.minimum_wh - 1.0
        assert stored <= needs.maximum_wh + 1.0
    return stored, powers


def test_dynamic_charges_at_noon_discharges_in_the_evening_peak_and_meets_the_target() -> None:
    manager = plan_for(NEEDS)
    stored, powers = _drive(manager, NEEDS, 18.0)
    assert stored >= 20000.0 - 5.0
    assert max(powers[:60]) == 11000.0
    assert min(powers[5 * 60 : 7 * 60]) < -5000.0, "17 to 19 h is the evening peak"


def test_nothing_is_wished_without_a_session_or_before_the_plan_is_ready() -> None:
    manager = manager_of()
    assert manager.wish(NOON).setpoint_w is None
    manager.request(NEEDS, EV, RATINGS, True, NOON)
    assert manager.planning
    assert manager.wish(NOON).setpoint_w is None
    finish(manager)
    assert manager.wish(NOON).setpoint_w is not None
    manager.end()
    assert manager.wish(NOON).setpoint_w is None
    assert manager.plan is None


def test_work_stops_when_its_budget_is_used_up() -> None:
    manager = manager_of()
    manager.observe(OUTLOOK, NOON, 0.0)
    manager.request(NEEDS, EV, RATINGS, True, NOON)
    ticks = iter(range(100000))
    calls = 0
    while manager.work(3.0, clock=lambda: float(next(ticks))):
        calls += 1
    assert calls > 20, "a plan of 72 slots must come in many small pieces"
    assert manager.plan is not None


@pytest.mark.parametrize(
    ("change", "bidirectional"),
    [
        ({}, False),
        ({"v2x_minimum_wh": 500.0}, True),
        ({"v2x_minimum_wh": 0.0, "minimum_wh": 0.0, "target_wh": 0.0, "maximum_wh": 0.0}, True),
    ],
)
def test_no_discharge_without_bpt_or_below_the_v2x_window(change: dict[str, object], bidirectional: bool) -> None:
    manager = plan_for(replace(NEEDS, **change), bidirectional)  # type: ignore[arg-type]
    assert manager.plan is not None
    assert min(manager.plan.powers_w) >= 0.0


def test_discharge_setpoint_ends_when_the_ev_reports_the_edge_of_its_window_or_its_minimum_soc() -> None:
    peak = DAY + 18 * 3600.0
    needs = replace(NEEDS, target_wh=-5000.0, minimum_soc=30.0)
    manager = plan_for(needs, utc_s=peak)
    assert (manager.wish(peak).setpoint_w or 0.0) < -1000.0
    manager.update(needs, EV, 30.0, peak + 1, 0.0)
    assert manager.wish(peak + 1).setpoint_w == 0.0
    manager.update(needs, EV, 31.0, peak + 1, 0.0)
    assert (manager.wish(peak + 1).setpoint_w or 0.0) < -1000.0
    manager.update(replace(needs, v2x_minimum_wh=0.0), EV, 31.0, peak + 2, 0.0)
    assert manager.wish(peak + 2).setpoint_w == 0.0, "at once, with the old plan still standing"


def test_minimum_energy_is_charged_at_once_at_any_price() -> None:
    peak = DAY + 18 * 3600.0
    manager = plan_for(replace(NEEDS, minimum_wh=8000.0, v2x_minimum_wh=None), utc_s=peak)
    assert manager.wish(peak).setpoint_w == 11000.0


def test_passed_departure_charges_what_is_missing_at_once() -> None:
    manager = plan_for(replace(NEEDS, departure_utc_s=NOON - 3600.0))
    assert manager.wish(NOON).setpoint_w == 11000.0


def test_unknown_departure_takes_the_default_stay() -> None:
    manager = plan_for(replace(NEEDS, departure_utc_s=None), default_stay_s=4 * 3600)
    assert manager.plan is not None
    assert len(manager.plan.powers_w) == 16


def test_site_limits_bound_the_plan() -> None:
    manager = manager_of()
    manager.observe(SiteOutlook(6000.0, 0.0, 2000.0, 4000.0), NOON, 0.0)
    manager.request(NEEDS, EV, RATINGS, True, NOON)
    finish(manager)
    assert manager.plan is not None
    assert max(manager.plan.powers_w) <= 4000.0 * 0.95 + 1e-6
    assert min(manager.plan.powers_w) >= -2000.0 / 0.95 - 1e-6


def test_unknown_building_plans_with_the_failsafe_share_and_no_export() -> None:
    manager = manager_of()
    manager.observe(SiteOutlook(24000.0, 5000.0, None, 4000.0), NOON, 0.0)
    manager.request(NEEDS, EV, RATINGS, True, NOON)
    finish(manager)
    assert manager.plan is not None
    assert max(manager.plan.powers_w) <= 4000.0
    assert min(manager.plan.powers_w) >= 0.0


def test_scheduled_offer_has_the_plan_and_all_that_the_site_can_give_with_prices_for_both_directions() -> None:
    manager = plan_for(SCHEDULED)
    offer = offer_of(manager)
    assert offer.anchor_utc_s == NOON
    assert [t.tuple_id for t in offer.tuples] == [1, 2, 3]
    plan, everything, one_way = offer.tuples
    for alternative in offer.tuples:
        assert alternative.discharging is not None
        for schedule in (alternative.charging, alternative.discharging):
            assert sum(slot.duration_s for slot in schedule) == 18 * 3600
            assert min(slot.power_w for slot in schedule) >= 0.0
        for prices in (alternative.charge_prices, alternative.discharge_prices):
            assert sum(slot.duration_s for slot in prices) == 18 * 3600
    assert plan.discharging is not None
    assert max(slot.power_w for slot in plan.discharging) > 5000.0
    assert {slot.power_w for slot in everything.charging} == {11000.0}
    assert everything.discharging is not None
    assert min(slot.power_w for slot in everything.discharging) > 5000.0
    assert {slot.power_w for slot in one_way.discharging or ()} == {0.0}
    assert sum(slot.power_w * slot.duration_s for slot in one_way.charging) / 3600 * 0.98 >= 20000.0 - 1.0
    assert plan.charge_prices[0].price_per_kwh == pytest.approx(0.01634 + 0.02)


def test_no_plan_counts_on_the_time_of_cable_check_and_pre_charge() -> None:
    manager = plan_for(SCHEDULED, start_lead_s=1800.0)
    assert manager.plan is not None
    assert manager.plan.powers_w[0] == 0.0
    offer = offer_of(manager)
    for alternative in offer.tuples:
        assert sum(slot.duration_s for slot in alternative.charging) == 18 * 3600
    assert offer.tuples[0].charging[0].power_w == manager.plan.powers_w[1] > 0.0, "a faster EV may begin"
    manager.accepted(PowerProfile(1, NOON, ()))
    manager.request(SCHEDULED, EV, RATINGS, True, NOON)
    finish(manager)
    assert manager.plan.powers_w[0] > 0.0, "a new plan under power starts now"


def test_a_dynamic_plan_waits_no_longer_than_the_first_energy() -> None:
    manager = plan_for(NEEDS, start_lead_s=1800.0)
    assert manager.wish(NOON + 60).setpoint_w == 0.0
    manager.accepted(None)
    manager.observe(OUTLOOK, NOON + 120, 0.0)
    finish(manager)
    assert manager.wish(NOON + 121).setpoint_w == 11000.0


def test_charge_only_offer_has_no_discharging_schedule() -> None:
    assert all(t.discharging is None for t in offer_of(plan_for(SCHEDULED, bidirectional=False)).tuples)


def test_offer_keeps_the_evs_number_of_points_and_never_raises_a_cap() -> None:
    full = offer_of(plan_for(SCHEDULED)).tuples[0]
    few = offer_of(plan_for(replace(SCHEDULED, max_supporting_points=12))).tuples[0]
    assert max(map(len, (few.charging, few.discharging or (), few.charge_prices, few.discharge_prices))) <= 12
    assert len(full.charge_prices) > 12
    for second in range(0, 18 * 3600, 300):
        assert at_second(few, second, True) <= at_second(full, second, True)
        assert at_second(few, second, False) <= at_second(full, second, False)


def test_caps_follow_the_accepted_tuple_and_are_zero_after_its_end() -> None:
    manager = plan_for(SCHEDULED)
    assert manager.wish(NOON).charge_cap is None
    manager.accepted(PowerProfile(2, NOON, ()))
    cap = manager.wish(NOON + 10).charge_cap
    assert cap is not None
    assert (cap.value, cap.source) == (11000.0, "schedule")
    manager.accepted(PowerProfile(1, NOON, ()))
    peak = manager.wish(DAY + 18.5 * 3600)
    assert peak.charge_cap is not None
    assert peak.discharge_cap is not None
    assert peak.charge_cap.value == 0.0
    assert peak.discharge_cap.value > 5000.0
    late = manager.wish(NOON + 18 * 3600)
    assert late.charge_cap is not None
    assert late.discharge_cap is not None
    assert (late.charge_cap.value, late.discharge_cap.value) == (0.0, 0.0)


def test_a_tuple_that_was_not_offered_is_refused() -> None:
    with pytest.raises(ValueError, match="tuple 9 was not offered"):
        plan_for(SCHEDULED).accepted(PowerProfile(9, NOON, ()))


def test_no_offer_while_planning_and_ids_rise() -> None:
    manager = plan_for(SCHEDULED)
    first = offer_of(manager).offer_id
    manager.request(SCHEDULED, EV, RATINGS, True, NOON)
    assert manager.wish(NOON).offer is None
    finish(manager)
    assert offer_of(manager).offer_id == first + 1


def test_an_ev_that_states_no_energy_is_offered_full_power() -> None:
    silent = replace(
        SCHEDULED, target_wh=None, maximum_wh=None, minimum_wh=None, v2x_minimum_wh=None, v2x_maximum_wh=None
    )
    offer = offer_of(plan_for(silent))
    assert {round(slot.power_w, 3) for slot in offer.tuples[0].charging} == {11000.0}


def test_senseless_limits_of_the_ev_show_as_a_problem_not_as_a_crash() -> None:
    manager = manager_of()
    manager.observe(OUTLOOK, NOON, 0.0)
    manager.request(NEEDS, replace(EV, max_charge_power_w=-5.0), RATINGS, True, NOON)
    finish(manager)
    assert manager.problem is not None
    assert "power limits" in manager.problem
    assert manager.wish(NOON).setpoint_w is None


@pytest.mark.parametrize(
    "change",
    [
        {"slot_s": 30}, {"default_stay_s": 10}, {"charge_efficiency": 0.0}, {"wear_per_kwh": -1.0},
        {"building_profile_w": (1.0,)}, {"ready_before_s": -1.0}, {"reaction_s": float("nan")},
    ],
)
def test_senseless_config_is_refused_by_name(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        EnergyConfig(**change)  # type: ignore[arg-type]


def test_building_profile_is_the_forecast() -> None:
    profile = tuple(22000.0 if hour == 13 else 2000.0 for hour in range(24))
    manager = plan_for(NEEDS, building_profile_w=profile)
    assert manager.plan is not None
    assert all(power <= 2000.0 * 0.95 + 1e-6 for power in manager.plan.powers_w[4:8])


def test_a_limit_that_runs_out_shortens_no_plan_beyond_its_end() -> None:
    cut = replace(OUTLOOK, import_limit_w=4000.0, import_later=((3600.0, 24000.0),))
    manager = manager_of()
    manager.observe(cut, NOON, 0.0)
    manager.request(SCHEDULED, EV, RATINGS, True, NOON)
    finish(manager)
    everything = offer_of(manager).tuples[1].charging
    assert everything[0].power_w < 2000.0
    assert everything[0].duration_s == 3600
    assert everything[1].power_w == 11000.0
