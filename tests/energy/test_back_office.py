"""A plan from outside: our own plans, offers and set-points stay inside it."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evse_controller.energy.back_office import LONGEST_S, OfficePlan, OfficeSlot
from evse_controller.energy.config import EnergyConfig
from evse_controller.model.offer import PowerProfile
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

CAPS = OfficePlan("office", NOON + 600, (OfficeSlot(1000, 3000.0, 0.0), OfficeSlot(3600, 0.0, 2000.0)))


def test_caps_hold_from_change_to_change_and_the_tightest_within() -> None:
    assert CAPS.caps(NOON, NOON + 600) == (math.inf, math.inf)
    assert CAPS.caps(NOON, NOON + 601) == (3000.0, 0.0)
    assert CAPS.caps(NOON + 600, NOON + 1600) == (3000.0, 0.0)
    assert CAPS.caps(NOON + 1599, NOON + 1601) == (0.0, 0.0)
    assert CAPS.caps(NOON + 1600, NOON + 1700) == (0.0, 2000.0)
    assert CAPS.caps(CAPS.ends_utc_s, CAPS.ends_utc_s + 9) == (math.inf, math.inf)
    changes = [CAPS.next_change(at) for at in (NOON, NOON + 600, NOON + 1600, NOON + 5200)]
    assert changes == [NOON + 600, NOON + 1600, NOON + 5200, math.inf]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: OfficeSlot(59, 1.0),
        lambda: OfficeSlot(60, -1.0),
        lambda: OfficeSlot(60, math.nan),
        lambda: OfficeSlot(60, 1.0, math.inf),
        lambda: OfficePlan("a", NOON, ()),
        lambda: OfficePlan("a", NOON, (OfficeSlot(60, 1.0),) * 257),
        lambda: OfficePlan("a", NOON, (OfficeSlot(LONGEST_S, 1.0), OfficeSlot(60, 1.0))),
        lambda: EnergyConfig(back_office_wait_s=50.1),
    ],
)
def test_a_plan_that_cannot_be_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match="must"):
        wrong()  # type: ignore[operator]


@settings(max_examples=40, deadline=None)
@given(
    slots=st.lists(
        st.builds(OfficeSlot, st.integers(60, 7000), st.floats(0, 20_000), st.floats(0, 20_000)),
        min_size=1,
        max_size=8,
    ),
    begins=st.integers(-3000, 20_000),
    points=st.sampled_from((12, 1024)),
)
def test_no_offer_leaves_the_plan_of_the_back_office(slots: list[OfficeSlot], begins: int, points: int) -> None:
    office = OfficePlan("office", NOON + begins, tuple(slots))
    manager = manager_of()
    manager.set_office_plan(office)
    manager.observe(OUTLOOK, NOON, 0.0)
    manager.request(replace(SCHEDULED, max_supporting_points=points), EV, RATINGS, True, NOON)
    finish(manager)
    for entry in offer_of(manager).tuples:
        for second in range(0, 64_000, 170):
            charge_w, discharge_w = office.caps(NOON + second, NOON + second + 1)
            assert at_second(entry, second, True) <= charge_w
            if entry.discharging is not None:
                assert at_second(entry, second, False) <= discharge_w


def test_a_dynamic_set_point_obeys_at_once() -> None:
    manager = plan_for(replace(NEEDS, minimum_wh=8000.0))
    before_w = manager.wish(NOON).setpoint_w
    assert before_w is not None
    assert before_w > 3000.0
    manager.set_office_plan(OfficePlan("office", NOON, (OfficeSlot(3600, 3000.0),)))
    manager.observe(OUTLOOK, NOON + 1, 0.0)
    finish(manager)
    assert manager.wish(NOON + 1).setpoint_w == 3000.0
    manager.set_office_plan(None)
    manager.observe(OUTLOOK, NOON + 2, 0.0)
    finish(manager)
    assert manager.wish(NOON + 2).setpoint_w == before_w


def test_a_plan_that_comes_while_the_car_charges_is_told_by_renegotiation() -> None:
    manager = plan_for(SCHEDULED)
    offer = offer_of(manager)
    manager.accepted(PowerProfile(2, NOON, (), offer.offer_id))
    manager.set_office_plan(OfficePlan("office", NOON + 1, (OfficeSlot(LONGEST_S, 3000.0),)))
    manager.observe(OUTLOOK, NOON + 1, 0.0)
    finish(manager)
    manager.observe(OUTLOOK, NOON + 1000, 0.0)
    finish(manager)
    assert manager.renegotiation is not None
    assert manager.renegotiation.reason.startswith("the back office has another plan")


def test_an_offer_waits_as_long_as_is_configured() -> None:
    manager = plan_for(SCHEDULED, back_office_wait_s=10.0)
    assert manager.held_s is None
    manager.hold_offer("the back office negotiates")
    manager.hold_offer(None)
    assert manager.wish(NOON).offer is None, "the offer from before it was settled is none any more"
    finish(manager)
    assert manager.wish(NOON).offer is not None
    manager.hold_offer("the back office negotiates")
    for step in range(200):
        assert manager.wish(NOON).offer is None
        assert manager.held_s == pytest.approx(step * 0.05)
        manager.observe(OUTLOOK, NOON, 0.0)
    assert manager.held_s is None
    assert manager.wish(NOON).offer is not None
