"""The driver's minimum is kept: in what is offered, in what an accepted schedule allows, by the meter."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evse_controller.energy.manager import EnergyManager
from evse_controller.model.offer import OfferTuple, PowerProfile, PowerSlot
from tests.energy.planning import (
    EV,
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

_NAN = float("nan")


def _short(minimum_wh: float) -> EnergyManager:
    """An EV that is `minimum_wh` short of what its driver wants at least."""
    needs = replace(
        SCHEDULED, minimum_wh=minimum_wh, v2x_minimum_wh=None, target_wh=max(20000.0, minimum_wh), maximum_wh=40000.0
    )
    return plan_for(needs, start_lead_s=360.0)


def _reaches_s(chosen: OfferTuple, level_wh: float, battery: float) -> float:
    """When full charging under the tuple's caps reaches the level, counted without the lead."""
    stored, second = 0.0, 360
    while stored < level_wh:
        stored += at_second(chosen, second, True) * battery * 60.0 / 3600.0
        second += 60
        if second >= 18 * 3600:
            return second
    return second - 60.0


@given(st.floats(1.0, 30000.0))
@settings(max_examples=15, deadline=None)
def test_no_offered_tuple_holds_discharge_before_its_own_charging_reached_the_minimum(minimum_wh: float) -> None:
    manager = _short(minimum_wh)
    some = False
    for chosen in offer_of(manager).tuples:
        reached_s = _reaches_s(chosen, minimum_wh, manager.config.battery_efficiency)
        start = 0
        for slot in chosen.discharging or (PowerSlot(0, 0.0),):
            if slot.power_w > 0.0:
                some = True
                assert start >= reached_s - 60.0
            start += slot.duration_s
    assert some, "after the minimum the evening peak is offered"


@pytest.mark.parametrize("tuple_id", [1, 2])
def test_accepted_discharge_ends_by_the_meter_where_the_drivers_minimum_begins(tuple_id: int) -> None:
    """An EV that charged less than it could is not discharged, whatever its schedule says by now."""
    manager = _short(6000.0)
    manager.accepted(PowerProfile(tuple_id, NOON, ()))
    peak = NOON + 6.5 * 3600
    for moved_wh, allowed in ((0.0, False), (6100.0, False), (6130.0, True), (9000.0, True), (6100.0, False)):
        manager.observe(OUTLOOK, peak, moved_wh)
        cap = manager.wish(peak).discharge_cap
        assert cap is not None
        assert (cap.value > 5000.0) is allowed, moved_wh
        if not allowed:
            assert (cap.value, cap.source) == (0.0, "minimum")
            assert "minimum energy" in cap.reason


def test_accepted_discharge_ends_at_the_minimum_soc() -> None:
    manager = plan_for(replace(SCHEDULED, minimum_soc=40.0))
    manager.accepted(PowerProfile(2, NOON, ()))
    for soc, allowed in ((41.0, True), (40.0, False), (_NAN, False)):
        manager.update(None, EV, soc, NOON + 60.0, 0.0)
        cap = manager.wish(NOON + 60.0).discharge_cap
        assert cap is not None
        assert (cap.value > 0.0) is allowed, soc


def test_accepted_discharge_ends_at_the_minimum_that_the_driver_told_us_instead_of_the_car() -> None:
    """Whatever the mode and whatever the EV says; while it shows no state of charge nothing is discharged."""
    manager = plan_for(SCHEDULED)
    manager.accepted(PowerProfile(2, NOON, ()))
    for soc, asked, allowed in ((None, None, True), (None, 60, False), (61.0, 60, True), (60.0, 60, False)):
        manager.driver_minimum_soc = asked
        manager.update(None, EV, soc, NOON + 60.0, 0.0)
        cap = manager.wish(NOON + 60.0).discharge_cap
        assert cap is not None
        assert (cap.value > 0.0) is allowed, (soc, asked)


def test_needs_or_meter_that_are_not_a_number_allow_no_discharge() -> None:
    for change in ({"minimum_wh": _NAN}, {"v2x_minimum_wh": _NAN}, {"minimum_wh": float("-inf")}):
        manager = plan_for(replace(SCHEDULED, **change))  # type: ignore[arg-type]
        for chosen in offer_of(manager).tuples:
            assert {slot.power_w for slot in chosen.discharging or ()} <= {0.0}
    manager = plan_for(SCHEDULED)
    manager.accepted(PowerProfile(2, NOON, ()))
    manager.observe(OUTLOOK, NOON + 60.0, _NAN)
    cap = manager.wish(NOON + 60.0).discharge_cap
    assert cap is not None
    assert cap.value == 0.0


def test_a_scheduled_offer_waits_for_the_building_meter_but_not_for_ever() -> None:
    blind = replace(OUTLOOK, building_w=None)
    manager = manager_of()
    manager.observe(blind, NOON, 0.0)
    manager.request(SCHEDULED, EV, RATINGS, True, NOON)
    assert manager.planning
    finish(manager)
    assert manager.wish(NOON).offer is None, "the EV is told Ongoing"
    manager.observe(OUTLOOK, NOON + 40.0, 0.0)
    finish(manager)
    offer = offer_of(manager)
    assert offer.anchor_utc_s == NOON + 40
    assert max(slot.power_w for slot in offer.tuples[0].charging) == 11000.0

    without_meter = manager_of()
    without_meter.observe(blind, NOON, 0.0)
    without_meter.request(SCHEDULED, EV, RATINGS, True, NOON)
    for _ in range(98):
        without_meter.observe(blind, NOON, 0.0)
        assert without_meter.wish(NOON).offer is None
    for _ in range(2):
        without_meter.observe(blind, NOON, 0.0)
        finish(without_meter)
    assert max(slot.power_w for slot in offer_of(without_meter).tuples[0].charging) <= 4000.0
    without_meter.request(SCHEDULED, EV, RATINGS, True, NOON)
    finish(without_meter)
    assert without_meter.wish(NOON).offer is not None, "a site without a meter is not waited for again"
