"""When an EV is asked for a new schedule, how often, and from where the new one starts. energy.md 2.5."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evse_controller.energy.config import EnergyConfig
from evse_controller.energy.manager import EnergyManager
from evse_controller.energy.prices import Tariff, flat_day_ahead
from evse_controller.energy.renegotiation import Asking, ProfileKept
from evse_controller.model.offer import EnergyNeeds, PowerProfile, PowerSlot
from tests.energy.planning import DAY, EV, NEEDS, NOON, OUTLOOK, RATINGS, SCHEDULED, finish, manager_of, plan_for

SLOT_S = 900.0
CUT = replace(OUTLOOK, import_limit_w=8000.0)


def charging(tuple_id: int = 2, profile: tuple[PowerSlot, ...] = ()) -> EnergyManager:
    """A car that follows a schedule since noon."""
    manager = plan_for(SCHEDULED)
    manager.observe(OUTLOOK, NOON, 0.0)
    offer = manager.wish(NOON).offer
    assert offer is not None
    manager.accepted(PowerProfile(tuple_id, NOON, profile, offer.offer_id))
    return manager


def observe(manager: EnergyManager, utc_s: float, outlook: object = OUTLOOK, moved_wh: float = 0.0) -> str | None:
    manager.observe(outlook, utc_s, moved_wh)  # type: ignore[arg-type]
    finish(manager)
    return None if manager.renegotiation is None else manager.renegotiation.reason


def test_a_site_cut_of_more_than_a_slot_is_a_reason_and_its_end_takes_it_back() -> None:
    manager = charging()
    assert observe(manager, NOON + 60, CUT) is None
    assert observe(manager, NOON + 60 + SLOT_S, CUT) is None
    reason = observe(manager, NOON + 61 + SLOT_S, CUT)
    assert reason is not None
    assert reason.startswith("the site's limits changed: charging")
    assert manager.renegotiate
    for second in range(1000, 2200, 60):
        last = observe(manager, NOON + SLOT_S + second)
    assert last is None, "the old schedule is right again"
    assert not manager.renegotiate


def test_new_prices_are_a_reason_when_they_change_what_the_car_does() -> None:
    manager = charging(tuple_id=1)
    manager.set_tariff(Tariff(flat_day_ahead(100.0)))
    reason = observe(manager, NOON + 1000)
    assert reason is not None
    assert reason.startswith("prices changed: ")


def test_new_prices_that_change_nothing_for_this_car_are_none() -> None:
    manager = charging(tuple_id=2)
    manager.set_tariff(Tariff(flat_day_ahead(100.0)))
    assert observe(manager, NOON + 1000) is None
    manager.set_tariff(Tariff(flat_day_ahead(100.0)))
    assert observe(manager, NOON + 2000) is None


def test_an_ev_that_needs_something_else_is_asked_to_say_so_in_a_schedule() -> None:
    manager = charging(tuple_id=1)
    manager.update(replace(SCHEDULED, target_wh=19_900.0), EV, None, NOON + 60, 0.0)
    assert observe(manager, NOON + 1000) is None, "hardly news"
    more = EnergyNeeds(False, 0, None, 30_000.0, None, None)
    manager.update(more, EV, None, NOON + 1001, 0.0)
    assert manager.planning
    reason = observe(manager, NOON + 1002)
    assert reason is not None
    assert reason.startswith("the EV needs something else")


@pytest.mark.parametrize(("moved_wh", "asked"), [(10_000.0, False), (10_900.0, False), (8_000.0, True)])
def test_an_ev_far_from_its_own_profile_is_planned_for_anew(moved_wh: float, asked: bool) -> None:
    manager = charging(tuple_id=1, profile=(PowerSlot(3600, 10_000.0), PowerSlot(10 * 3600, 0.0)))
    reason = observe(manager, NOON + 3600 + 600, OUTLOOK, moved_wh)
    assert (reason is not None) is asked
    if reason is not None:
        assert "2.0 kWh below its own profile" in reason


def test_no_ev_is_asked_more_often_than_the_gap() -> None:
    manager = charging(tuple_id=1)
    numbers = []
    for minute in range(1, 180):
        if minute % 5 == 0:
            manager.set_tariff(Tariff(flat_day_ahead(50.0 + minute)))
        observe(manager, NOON + minute * 60)
        if manager.renegotiation is not None and manager.renegotiation.number not in numbers:
            numbers.append(manager.renegotiation.number)
    assert 2 <= len(numbers) <= 180 * 60 / manager.config.renegotiation_gap_s
    assert numbers == sorted(numbers)


def test_a_schedule_that_was_just_accepted_is_left_in_peace_for_the_gap() -> None:
    manager = charging(tuple_id=1)
    manager.set_tariff(Tariff(flat_day_ahead(100.0)))
    assert observe(manager, NOON + 60) is None
    assert observe(manager, NOON + 61 + manager.config.renegotiation_gap_s) is not None


def test_accepting_the_new_schedule_ends_the_asking() -> None:
    manager = charging(tuple_id=1)
    manager.set_tariff(Tariff(flat_day_ahead(100.0)))
    assert observe(manager, NOON + 1000) is not None
    manager.request(SCHEDULED, EV, RATINGS, True, NOON + 1010, 2000.0, renegotiation=True)
    assert not manager.renegotiate, "the EV is at it"
    old = manager.wish(NOON + 1010)
    assert old.charge_cap is not None, "the accepted schedule rules on"
    finish(manager)
    offer = manager.wish(NOON + 1010).offer
    assert offer is not None
    manager.accepted(PowerProfile(1, NOON + 1010, (), offer.offer_id))
    assert observe(manager, NOON + 1020, OUTLOOK, 2000.0) is None


def test_what_the_ev_does_not_say_again_holds_on_less_what_was_delivered() -> None:
    manager = charging(tuple_id=2)
    silent = EnergyNeeds(False, 12, None, None, None, None)
    observe(manager, NOON + 3600, OUTLOOK, 11_000.0)
    manager.request(silent, EV, RATINGS, True, NOON + 3600, 11_000.0, renegotiation=True)
    finish(manager)
    assert manager.plan is not None
    assert manager.plan.energies_wh[-1] == pytest.approx(20_000.0 - 11_000.0 * 0.98, abs=1.0)
    offer = manager.wish(NOON + 3600).offer
    assert offer is not None
    assert sum(slot.duration_s for slot in offer.tuples[0].charging) == 17 * 3600, "until the same departure"
    assert len(offer.tuples[0].charging) <= 12


def test_what_the_ev_says_again_counts_from_then() -> None:
    manager = charging(tuple_id=2)
    observe(manager, NOON + 3600, OUTLOOK, 11_000.0)
    manager.request(replace(SCHEDULED, target_wh=5_000.0), EV, RATINGS, True, NOON + 3600, 11_000.0, renegotiation=True)
    finish(manager)
    assert manager.plan is not None
    assert manager.plan.energies_wh[-1] == pytest.approx(5_000.0, abs=1.0)


def test_a_dynamic_plan_rules_until_the_new_one_is_there() -> None:
    manager = plan_for(NEEDS)
    before = manager.wish(NOON).setpoint_w
    assert before
    manager.request(NEEDS, EV, RATINGS, True, NOON + 10, 0.0, renegotiation=True)
    assert manager.planning
    assert manager.wish(NOON + 10).setpoint_w == before


def test_the_local_schedule_holds_no_discharge_and_is_replaced_as_soon_as_a_plan_stands() -> None:
    manager = plan_for(SCHEDULED)
    manager.observe(OUTLOOK, NOON, 0.0)
    manager.accepted(PowerProfile(1, NOON, (PowerSlot(86400, 11_000.0),), 0))
    wish = manager.wish(NOON)
    assert wish.charge_cap is None, "the site alone limits"
    assert wish.discharge_cap is not None
    assert wish.discharge_cap.value == 0.0
    assert observe(manager, NOON + 10) == "a plan is there in place of the local schedule"


def test_a_plan_that_comes_after_the_local_schedule_replaces_it() -> None:
    manager = manager_of()
    manager.observe(OUTLOOK, NOON, 0.0)
    manager.request(SCHEDULED, EV, RATINGS, True, NOON)
    manager.accepted(PowerProfile(1, NOON, (PowerSlot(86400, 11_000.0),), 0))
    assert not manager.renegotiate
    finish(manager)
    assert manager.renegotiate


def test_an_ev_that_went_back_to_the_old_schedule_is_asked_again_after_the_gap() -> None:
    manager = charging(tuple_id=1)
    told = manager.wish(NOON).offer
    assert told is not None
    manager.set_tariff(Tariff(flat_day_ahead(100.0)))
    observe(manager, NOON + 1000)
    manager.accepted(PowerProfile(1, NOON, (), told.offer_id))
    assert observe(manager, NOON + 1010) is None
    assert observe(manager, NOON + 2000) is not None


def test_an_offer_is_held_while_the_site_negotiates_but_not_for_ever() -> None:
    manager = plan_for(SCHEDULED)
    manager.hold_offer("the back office negotiates")
    for _ in range(899):
        manager.observe(OUTLOOK, NOON + 1, 0.0)
        assert manager.wish(NOON + 1).offer is None
    manager.observe(OUTLOOK, NOON + 1, 0.0)
    assert manager.wish(NOON + 1).offer is not None, "45 s: before the session answers by itself"


def test_what_the_site_settled_on_is_in_the_offer_that_was_held() -> None:
    manager = plan_for(SCHEDULED)
    manager.hold_offer("the back office negotiates")
    manager.observe(CUT, NOON + 1, 0.0)
    manager.hold_offer(None)
    finish(manager)
    offer = manager.wish(NOON + 1).offer
    assert offer is not None
    assert max(slot.power_w for slot in offer.tuples[0].charging) <= 6000.0


def test_a_minimum_soc_that_is_not_there_yet_is_charged_at_once() -> None:
    peak = DAY + 18 * 3600.0
    needs = replace(NEEDS, target_wh=-5000.0, minimum_soc=30.0)
    manager = plan_for(needs, utc_s=peak)
    for soc, sign in ((29.0, 1), (30.0, 0), (31.0, -1)):
        manager.update(needs, EV, soc, peak + 1, 0.0)
        power_w = manager.wish(peak + 1).setpoint_w or 0.0
        assert (power_w > 0) - (power_w < 0) == sign


@given(st.lists(st.tuples(st.floats(0, 2000), st.booleans()), max_size=40))
def test_asking_keeps_its_gap_whatever_comes(steps: list[tuple[float, bool]]) -> None:
    asking, utc_s, asked = Asking(900.0), 0.0, []
    for wait_s, wanted in steps:
        utc_s += wait_s
        before = 0 if not asked else asked[-1][0]
        asking.wanted("why" if wanted else None, utc_s)
        if asking.current is not None and asking.current.number > before:
            asked.append((asking.current.number, utc_s))
    times = [at for _, at in asked]
    assert all(later - earlier >= 900.0 for earlier, later in pairwise(times))


@settings(max_examples=100, deadline=None)
@given(
    slots=st.lists(st.tuples(st.integers(1, 3600), st.floats(-11_000, 11_000)), min_size=1, max_size=12),
    share=st.floats(0.0, 0.99),
    off_wh=st.floats(-900, 900),
)
def test_an_ev_that_keeps_to_its_profile_never_deviates(
    slots: list[tuple[int, float]], share: float, off_wh: float
) -> None:
    total_s = sum(duration for duration, _ in slots)
    kept = ProfileKept(PowerProfile(1, NOON, tuple(PowerSlot(*slot) for slot in slots)), EnergyConfig(), NOON, 5000.0)
    left_s, moved_wh = total_s * share, 5000.0
    for duration, power_w in slots:
        moved_wh += power_w * min(duration, max(0.0, left_s)) / 3600.0
        left_s -= duration
    assert kept.deviation(NOON + total_s * share, moved_wh + off_wh) is None
