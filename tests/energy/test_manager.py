"""The manager plans beside the loop, follows the EV's energy window, and offers schedules an EV can take."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evse_controller.energy.manager import EnergyConfig, EnergyManager
from evse_controller.energy.prices import DayAhead, Tariff, TariffTerms, flat_day_ahead, packaged_day_ahead
from evse_controller.model.commands import EvDcLimits
from evse_controller.model.offer import EnergyNeeds, OfferTuple, PowerProfile, ScheduleOffer
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


def _manager(prices: DayAhead | None = None, **config: object) -> EnergyManager:
    tariff = Tariff(prices or packaged_day_ahead(), TariffTerms(buy_surcharge_per_kwh=0.02))
    return EnergyManager(EnergyConfig(**config), tariff)  # type: ignore[arg-type]


def _finish(manager: EnergyManager) -> None:
    while manager.work(1.0):
        pass


def _planned(needs: EnergyNeeds, bidirectional: bool = True, utc_s: float = NOON, **config: object) -> EnergyManager:
    manager = _manager(**config)
    manager.observe(OUTLOOK, utc_s, 0.0)
    manager.request(needs, EV, RATINGS, bidirectional, utc_s)
    _finish(manager)
    assert manager.problem is None
    return manager


def _offer(manager: EnergyManager) -> ScheduleOffer:
    offer = manager.wish(NOON).offer
    assert offer is not None
    return offer


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
        _finish(manager)
        power_w = manager.wish(utc_s).setpoint_w or 0.0
        powers.append(power_w)
        energy = power_w * step_s / 3600
        moved += energy
        stored += energy * battery if energy > 0 else energy / battery
        assert stored >= needs.minimum_wh - 1.0
        assert stored <= needs.maximum_wh + 1.0
    return stored, powers


def test_dynamic_charges_at_noon_discharges_in_the_evening_peak_and_meets_the_target() -> None:
    manager = _planned(NEEDS)
    stored, powers = _drive(manager, NEEDS, 18.0)
    assert stored >= 20000.0 - 5.0
    assert max(powers[:60]) == 11000.0
    assert min(powers[5 * 60 : 7 * 60]) < -5000.0, "17 to 19 h is the evening peak"


def test_nothing_is_wished_without_a_session_or_before_the_plan_is_ready() -> None:
    manager = _manager()
    assert manager.wish(NOON).setpoint_w is None
    manager.request(NEEDS, EV, RATINGS, True, NOON)
    assert manager.planning
    assert manager.wish(NOON).setpoint_w is None
    _finish(manager)
    assert manager.wish(NOON).setpoint_w is not None
    manager.end()
    assert manager.wish(NOON).setpoint_w is None
    assert manager.plan is None


def test_work_stops_when_its_budget_is_used_up() -> None:
    manager = _manager()
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
    manager = _planned(replace(NEEDS, **change), bidirectional)  # type: ignore[arg-type]
    assert manager.plan is not None
    assert min(manager.plan.powers_w) >= 0.0


def test_discharge_setpoint_ends_when_the_ev_reports_the_edge_of_its_window_or_its_minimum_soc() -> None:
    peak = DAY + 18 * 3600.0
    needs = replace(NEEDS, target_wh=-5000.0, minimum_soc=30.0)
    manager = _planned(needs, utc_s=peak)
    assert (manager.wish(peak).setpoint_w or 0.0) < -1000.0
    manager.update(needs, EV, 30.0, peak + 1, 0.0)
    assert manager.wish(peak + 1).setpoint_w == 0.0
    manager.update(needs, EV, 31.0, peak + 1, 0.0)
    assert (manager.wish(peak + 1).setpoint_w or 0.0) < -1000.0
    manager.update(replace(needs, v2x_minimum_wh=0.0), EV, 31.0, peak + 2, 0.0)
    assert manager.wish(peak + 2).setpoint_w == 0.0, "at once, with the old plan still standing"


def test_minimum_energy_is_charged_at_once_at_any_price() -> None:
    peak = DAY + 18 * 3600.0
    manager = _planned(replace(NEEDS, minimum_wh=8000.0, v2x_minimum_wh=None), utc_s=peak)
    assert manager.wish(peak).setpoint_w == 11000.0


def test_passed_departure_charges_what_is_missing_at_once() -> None:
    manager = _planned(replace(NEEDS, departure_utc_s=NOON - 3600.0))
    assert manager.wish(NOON).setpoint_w == 11000.0


CHEAPER = DayAhead(tuple(NOON + h * 3600.0 for h in range(24)), tuple(400.0 - 16.0 * h for h in range(24)), 3600.0)
"""Prices that fall from hour to hour: the cheapest time to charge is the last before departure."""


def _lagging(hours: float, late_s: float, **config: object) -> tuple[list[float], list[float]]:
    """A dynamic EV that lacks 4 kWh and whose power comes `late_s` after the set-point, while prices fall; battery Wh
    and set-points by the minute."""
    manager = _manager(CHEAPER, **config)
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
        _finish(manager)
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
    manager = _planned(late)
    assert manager.wish(NOON).setpoint_w == 11000.0, "not spread over the four minutes"
    manager.observe(OUTLOOK, NOON + 100, 505.0)
    assert manager.wish(NOON + 100).setpoint_w == pytest.approx(11000.0), "505 Wh at the outlet are less in the battery"
    manager.observe(OUTLOOK, NOON + 180, 515.0)
    assert manager.wish(NOON + 180).setpoint_w == 0.0
    minimum = _planned(replace(late, target_wh=0.0, minimum_wh=500.0))
    assert minimum.wish(NOON).setpoint_w == 11000.0


def test_an_offer_holds_the_need_before_the_reserve_and_is_open_in_it() -> None:
    manager = _planned(replace(SCHEDULED, departure_utc_s=NOON + 4 * 3600.0, target_wh=40000.0), ready_before_s=600.0)
    cheapest = _offer(manager).tuples[0]
    before_wh = sum(_at(cheapest, second, True) for second in range(0, 4 * 3600 - 600, 60)) / 60.0
    assert before_wh * manager.config.battery_efficiency >= 40000.0 - 1.0
    assert [_at(cheapest, second, True) for second in (4 * 3600 - 600, 4 * 3600 - 1)] == [11000.0, 11000.0]
    assert _at(cheapest, 4 * 3600 - 1, False) == 0.0
    assert sum(slot.duration_s for slot in cheapest.charging) == 4 * 3600


def test_unknown_departure_takes_the_default_stay() -> None:
    manager = _planned(replace(NEEDS, departure_utc_s=None), default_stay_s=4 * 3600)
    assert manager.plan is not None
    assert len(manager.plan.powers_w) == 16


def test_site_limits_bound_the_plan() -> None:
    manager = _manager()
    manager.observe(SiteOutlook(6000.0, 0.0, 2000.0, 4000.0), NOON, 0.0)
    manager.request(NEEDS, EV, RATINGS, True, NOON)
    _finish(manager)
    assert manager.plan is not None
    assert max(manager.plan.powers_w) <= 4000.0 * 0.95 + 1e-6
    assert min(manager.plan.powers_w) >= -2000.0 / 0.95 - 1e-6


def test_unknown_building_plans_with_the_failsafe_share_and_no_export() -> None:
    manager = _manager()
    manager.observe(SiteOutlook(24000.0, 5000.0, None, 4000.0), NOON, 0.0)
    manager.request(NEEDS, EV, RATINGS, True, NOON)
    _finish(manager)
    assert manager.plan is not None
    assert max(manager.plan.powers_w) <= 4000.0
    assert min(manager.plan.powers_w) >= 0.0


def test_scheduled_offer_has_the_plan_and_all_that_the_site_can_give_with_prices_for_both_directions() -> None:
    manager = _planned(SCHEDULED)
    offer = _offer(manager)
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
    manager = _planned(SCHEDULED, start_lead_s=1800.0)
    assert manager.plan is not None
    assert manager.plan.powers_w[0] == 0.0
    offer = _offer(manager)
    for alternative in offer.tuples:
        assert sum(slot.duration_s for slot in alternative.charging) == 18 * 3600
    assert offer.tuples[0].charging[0].power_w == manager.plan.powers_w[1] > 0.0, "a faster EV may begin"
    manager.accepted(PowerProfile(1, NOON, ()))
    manager.request(SCHEDULED, EV, RATINGS, True, NOON)
    _finish(manager)
    assert manager.plan.powers_w[0] > 0.0, "a new plan under power starts now"


def test_a_dynamic_plan_waits_no_longer_than_the_first_energy() -> None:
    manager = _planned(NEEDS, start_lead_s=1800.0)
    assert manager.wish(NOON + 60).setpoint_w == 0.0
    manager.accepted(None)
    manager.observe(OUTLOOK, NOON + 120, 0.0)
    _finish(manager)
    assert manager.wish(NOON + 121).setpoint_w == 11000.0


def test_charge_only_offer_has_no_discharging_schedule() -> None:
    assert all(t.discharging is None for t in _offer(_planned(SCHEDULED, bidirectional=False)).tuples)


def test_offer_keeps_the_evs_number_of_points_and_never_raises_a_cap() -> None:
    full = _offer(_planned(SCHEDULED)).tuples[0]
    few = _offer(_planned(replace(SCHEDULED, max_supporting_points=12))).tuples[0]
    assert max(map(len, (few.charging, few.discharging or (), few.charge_prices, few.discharge_prices))) <= 12
    assert len(full.charge_prices) > 12
    for second in range(0, 18 * 3600, 300):
        assert _at(few, second, True) <= _at(full, second, True)
        assert _at(few, second, False) <= _at(full, second, False)


def _at(chosen: OfferTuple, second: int, charging: bool) -> float:
    for slot in chosen.charging if charging else chosen.discharging or ():
        if second < slot.duration_s:
            return slot.power_w
        second -= slot.duration_s
    raise AssertionError("outside the schedule")


def test_caps_follow_the_accepted_tuple_and_are_zero_after_its_end() -> None:
    manager = _planned(SCHEDULED)
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
        _planned(SCHEDULED).accepted(PowerProfile(9, NOON, ()))


def test_no_offer_while_planning_and_ids_rise() -> None:
    manager = _planned(SCHEDULED)
    first = _offer(manager).offer_id
    manager.request(SCHEDULED, EV, RATINGS, True, NOON)
    assert manager.wish(NOON).offer is None
    _finish(manager)
    assert _offer(manager).offer_id == first + 1


def test_a_site_cut_longer_than_a_slot_leads_to_a_new_offer_and_renegotiation() -> None:
    manager = _planned(SCHEDULED)
    manager.accepted(None)
    cut = replace(OUTLOOK, import_limit_w=8000.0)
    manager.observe(cut, NOON + 60.0, 0.0)
    manager.observe(OUTLOOK, NOON + 600.0, 0.0)
    manager.observe(cut, NOON + 660.0, 0.0)
    manager.observe(cut, NOON + 1500.0, 0.0)
    assert not manager.planning
    assert not manager.renegotiate
    manager.observe(cut, NOON + 1561.0, 0.0)
    assert manager.planning
    _finish(manager)
    assert manager.renegotiate
    assert max(slot.power_w for slot in _offer(manager).tuples[0].charging) <= 6000.0
    old = manager.wish(NOON + 1600).charge_cap
    assert old is not None
    assert old.value == 11000.0, "the accepted schedule rules until the EV accepts the new one; the site clips it"
    manager.accepted(None)
    assert not manager.renegotiate


def test_an_offer_stands_until_the_ev_has_chosen_from_it() -> None:
    """Cable check and pre-charge lie between offer and choice: a new offer then would have other tuples."""
    manager = _planned(SCHEDULED)
    offered = _offer(manager)
    cut = replace(OUTLOOK, import_limit_w=4000.0)
    for second in (1.0, 901.0, 1900.0):
        manager.observe(cut, NOON + second, 0.0)
        assert not manager.planning
    manager.accepted(PowerProfile(offered.tuples[-1].tuple_id, NOON, ()))
    manager.observe(cut, NOON + 2000.0, 0.0)
    manager.observe(cut, NOON + 3000.0, 0.0)
    assert manager.planning


def test_a_blind_plan_is_made_anew_as_soon_as_the_building_is_known_in_dynamic_mode() -> None:
    manager = _manager()
    manager.observe(replace(OUTLOOK, building_w=None), NOON, 0.0)
    manager.request(NEEDS, EV, RATINGS, True, NOON)
    _finish(manager)
    manager.observe(OUTLOOK, NOON + 1.0, 0.0)
    assert manager.planning


def test_new_prices_lead_to_a_new_plan() -> None:
    manager = _planned(NEEDS)
    manager.set_tariff(Tariff(flat_day_ahead(100.0)))
    manager.observe(OUTLOOK, NOON + 1.0, 0.0)
    assert manager.planning
    _finish(manager)
    assert manager.plan is not None
    assert min(manager.plan.powers_w) >= 0.0


def test_scheduled_needs_are_carried_forward_by_what_moved() -> None:
    manager = _planned(SCHEDULED)
    manager.accepted(None)
    manager.set_tariff(Tariff(flat_day_ahead(100.0)))
    manager.observe(OUTLOOK, NOON + 3600.0, 15000.0)
    _finish(manager)
    assert manager.plan is not None
    assert manager.plan.energies_wh[-1] == pytest.approx(20000.0 - 15000.0 * 0.98, abs=1e-3)


def test_dynamic_replans_when_the_driver_changes_departure_or_target() -> None:
    manager = _planned(NEEDS)
    manager.update(replace(NEEDS, departure_utc_s=NOON + 18 * 3600.0 + 1.0), EV, None, NOON + 1.0, 0.0)
    assert not manager.planning
    manager.update(replace(NEEDS, departure_utc_s=NOON + 7200.0), EV, None, NOON + 2.0, 0.0)
    assert manager.planning
    _finish(manager)
    manager.update(replace(NEEDS, departure_utc_s=NOON + 7200.0, target_wh=25000.0), EV, None, NOON + 3.0, 0.0)
    assert manager.planning


def test_an_ev_that_states_no_energy_is_offered_full_power() -> None:
    silent = replace(
        SCHEDULED, target_wh=None, maximum_wh=None, minimum_wh=None, v2x_minimum_wh=None, v2x_maximum_wh=None
    )
    offer = _offer(_planned(silent))
    assert {round(slot.power_w, 3) for slot in offer.tuples[0].charging} == {11000.0}


def test_senseless_limits_of_the_ev_show_as_a_problem_not_as_a_crash() -> None:
    manager = _manager()
    manager.observe(OUTLOOK, NOON, 0.0)
    manager.request(NEEDS, replace(EV, max_charge_power_w=-5.0), RATINGS, True, NOON)
    _finish(manager)
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
    manager = _planned(NEEDS, building_profile_w=profile)
    assert manager.plan is not None
    assert all(power <= 2000.0 * 0.95 + 1e-6 for power in manager.plan.powers_w[4:8])


def test_a_limit_that_runs_out_shortens_no_plan_beyond_its_end() -> None:
    cut = replace(OUTLOOK, import_limit_w=4000.0, import_later=((3600.0, 24000.0),))
    manager = _manager()
    manager.observe(cut, NOON, 0.0)
    manager.request(SCHEDULED, EV, RATINGS, True, NOON)
    _finish(manager)
    everything = _offer(manager).tuples[1].charging
    assert everything[0].power_w < 2000.0
    assert everything[0].duration_s == 3600
    assert everything[1].power_w == 11000.0
