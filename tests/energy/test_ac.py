"""An AC outlet in the energy room: powers of phases become a total, no loss between grid and outlet."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evse_controller.energy.manager import EnergyManager
from evse_controller.model.commands import EvAcLimits
from evse_controller.model.power import PhasePower
from evse_controller.model.snapshot import AcRatings
from tests.energy.planning import DAY, EV, NEEDS, NOON, OUTLOOK, RATINGS, SCHEDULED, finish, manager_of

THREE = PhasePower(7360.0, 7360.0, 7360.0)
NOTHING = PhasePower(0.0, 0.0, 0.0)
AC_RATINGS = AcRatings(THREE, PhasePower(3680.0, 3680.0, 3680.0), NOTHING, NOTHING, 230.0, 50.0, 3)
AC_EV = EvAcLimits(PhasePower(3680.0, 3680.0, 3680.0), NOTHING, PhasePower(3000.0, 3000.0, 3000.0), NOTHING)
WIDE = replace(OUTLOOK, import_limit_w=50_000.0, export_limit_w=50_000.0)


def planned(needs: object, ev: EvAcLimits, bidirectional: bool = True, **config: float) -> EnergyManager:
    manager = manager_of(charge_efficiency=1.0, discharge_efficiency=1.0, **config)
    manager.observe(WIDE, NOON, 0.0)
    manager.request(needs, ev, AC_RATINGS, bidirectional, NOON)  # type: ignore[arg-type]
    finish(manager)
    assert manager.problem is None
    return manager


@pytest.mark.parametrize(
    ("most", "total_w"),
    [
        (PhasePower(3680.0, 3680.0, 3680.0), 11_040.0),
        (PhasePower(3680.0, 0.0, 0.0), 3680.0),
        (PhasePower(9000.0, 9000.0, 1000.0), 15_720.0),
        (PhasePower(9000.0), 9000.0),
        (PhasePower(30_000.0), 22_080.0),
    ],
)
def test_the_schedule_is_what_both_sides_can_do_over_all_phases(most: PhasePower, total_w: float) -> None:
    offer = planned(SCHEDULED, replace(AC_EV, max_charge_w=most)).wish(NOON).offer
    assert offer is not None
    widest = next(entry for entry in offer.tuples if entry.tuple_id == 2)
    assert max(slot.power_w for slot in widest.charging) == pytest.approx(total_w)


def test_dynamic_set_points_charge_and_discharge_with_the_total() -> None:
    manager = planned(NEEDS, AC_EV)
    assert manager.wish(NOON).setpoint_w == pytest.approx(11_040.0)
    plan = manager.plan
    assert plan is not None
    assert min(plan.powers_w) == pytest.approx(-9000.0)


def test_without_a_bidirectional_service_or_a_stated_discharge_nothing_is_fed_back() -> None:
    for manager in (
        planned(NEEDS, AC_EV, bidirectional=False),
        planned(NEEDS, replace(AC_EV, max_discharge_w=None)),
    ):
        assert manager.plan is not None
        assert min(manager.plan.powers_w) >= 0.0


def test_limits_of_the_other_kind_of_outlet_allow_nothing() -> None:
    for ev, ratings in ((AC_EV, RATINGS), (EV, AC_RATINGS)):
        manager = manager_of()
        manager.observe(WIDE, NOON, 0.0)
        manager.request(NEEDS, ev, ratings, True, NOON)
        finish(manager)
        assert manager.wish(DAY + 13 * 3600.0).setpoint_w in (0.0, None)


def test_the_loop_may_shrink_the_evs_limits() -> None:
    manager = planned(NEEDS, AC_EV)
    small = replace(AC_EV, max_charge_w=PhasePower(1380.0, 0.0, 0.0))
    manager.update(replace(NEEDS, target_wh=25_000.0), small, None, NOON + 5, 0.0)
    finish(manager)
    assert manager.wish(NOON + 6).setpoint_w == pytest.approx(1380.0)


def test_a_car_that_shows_that_it_can_take_more_is_asked_once_for_a_new_schedule_that_uses_it() -> None:
    """What names one phase is planned for one, until the loop has shown that it loads three."""
    one, three = (replace(AC_EV, max_charge_w=PhasePower(power_w)) for power_w in (3680.0, 11_040.0))
    manager = planned(SCHEDULED, one, renegotiation_gap_s=0.0)
    manager.accepted(None)
    manager.update(None, three, None, NOON + 5, 0.0)
    manager.observe(WIDE, NOON + 5, 0.0)
    finish(manager)
    manager.observe(WIDE, NOON + 6, 0.0)
    assert manager.renegotiation is not None
    manager.request(SCHEDULED, one, AC_RATINGS, True, NOON + 7, renegotiation=True)
    finish(manager)
    offer = manager.wish(NOON + 7).offer
    assert offer is not None
    assert max(slot.power_w for entry in offer.tuples for slot in entry.charging) == pytest.approx(11_040.0)
    manager.accepted(None)
    for second in range(8, 12):
        manager.update(None, three, None, NOON + second, 0.0)
        manager.observe(WIDE, NOON + second, 0.0)
        finish(manager)
    assert manager.renegotiation is None
