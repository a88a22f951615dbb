"""What makes the manager plan anew, and what does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evse_controller.energy.prices import Tariff, flat_day_ahead
from evse_controller.model.offer import PowerProfile
from tests.energy.planning import (
    EV,
    NEEDS,
    NOON,
    OUTLOOK,
    RATINGS,
    SCHEDULED,
    finish,
    manager_of,
    offer_of,
    plan_for,
)


def test_a_site_cut_longer_than_a_slot_leads_to_a_new_offer_and_renegotiation() -> None:
    manager = plan_for(SCHEDULED)
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
    finish(manager)
    assert manager.renegotiate
    assert max(slot.power_w for slot in offer_of(manager).tuples[0].charging) <= 6000.0
    old = manager.wish(NOON + 1600).charge_cap
    assert old is not None
    assert old.value == 11000.0, "the accepted schedule rules until the EV accepts the new one; the site clips it"
    manager.accepted(None)
    assert not manager.renegotiate


def test_an_offer_stands_until_the_ev_has_chosen_from_it() -> None:
    """Cable check and pre-charge lie between offer and choice: a new offer then would have other tuples."""
    manager = plan_for(SCHEDULED)
    offered = offer_of(manager)
    cut = replace(OUTLOOK, import_limit_w=4000.0)
    for second in (1.0, 901.0, 1900.0):
        manager.observe(cut, NOON + second, 0.0)
        assert not manager.planning
    manager.accepted(PowerProfile(offered.tuples[-1].tuple_id, NOON, ()))
    manager.observe(cut, NOON + 2000.0, 0.0)
    manager.observe(cut, NOON + 3000.0, 0.0)
    assert manager.planning


def test_a_blind_plan_is_made_anew_as_soon_as_the_building_is_known_in_dynamic_mode() -> None:
    manager = manager_of()
    manager.observe(replace(OUTLOOK, building_w=None), NOON, 0.0)
    manager.request(NEEDS, EV, RATINGS, True, NOON)
    finish(manager)
    manager.observe(OUTLOOK, NOON + 1.0, 0.0)
    assert manager.planning


def test_new_prices_lead_to_a_new_plan() -> None:
    manager = plan_for(NEEDS)
    manager.set_tariff(Tariff(flat_day_ahead(100.0)))
    manager.observe(OUTLOOK, NOON + 1.0, 0.0)
    assert manager.planning
    finish(manager)
    assert manager.plan is not None
    assert min(manager.plan.powers_w) >= 0.0


def test_scheduled_needs_are_carried_forward_by_what_moved() -> None:
    manager = plan_for(SCHEDULED)
    manager.accepted(None)
    manager.set_tariff(Tariff(flat_day_ahead(100.0)))
    manager.observe(OUTLOOK, NOON + 3600.0, 15000.0)
    finish(manager)
    assert manager.plan is not None
    assert manager.plan.energies_wh[-1] == pytest.approx(20000.0 - 15000.0 * 0.98, abs=1e-3)


def test_dynamic_replans_when_the_driver_changes_departure_or_target() -> None:
    manager = plan_for(NEEDS)
    manager.update(replace(NEEDS, departure_utc_s=NOON + 18 * 3600.0 + 1.0), EV, None, NOON + 1.0, 0.0)
    assert not manager.planning
    manager.update(replace(NEEDS, departure_utc_s=NOON + 7200.0), EV, None, NOON + 2.0, 0.0)
    assert manager.planning
    finish(manager)
    manager.update(replace(NEEDS, departure_utc_s=NOON + 7200.0, target_wh=25000.0), EV, None, NOON + 3.0, 0.0)
    assert manager.planning
