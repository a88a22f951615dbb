"""The plan is the cheapest there is, keeps every limit, and never holds up the loop."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evse_controller.energy.planner import Plan, PlanError, PlanRequest, PlanSlot, charge_at_once, plan, plan_steps
from tests.energy.linear_programme import optimum, own_objective, random_request


def _slots(*prices: float, charge_w: float = 10000.0, discharge_w: float = 10000.0) -> tuple[PlanSlot, ...]:
    return tuple(PlanSlot(3600.0, price, price, charge_w, discharge_w) for price in prices)


def test_cost_equals_an_independent_linear_programme_in_120_random_cases() -> None:
    rng = random.Random(20)
    for case in range(120):
        request = random_request(rng)
        result = plan(request)
        assert result.restricted_slots == 0
        own = own_objective(request, result.cost, result.energies_wh[-1])
        assert own == pytest.approx(optimum(request), abs=1e-6), f"case {case}"


def test_stated_cost_is_the_cost_of_the_stated_powers() -> None:
    rng = random.Random(5)
    for _ in range(50):
        request = random_request(rng)
        result = plan(request)
        assert _cost(request, result) == pytest.approx(result.cost, abs=1e-9)


def _cost(request: PlanRequest, result: Plan) -> float:
    """Money at the grid connection with and without the car, plus wear: nothing shared with the planner."""
    total = 0.0
    for slot, power_w in zip(request.slots, result.powers_w, strict=True):
        ac_w = power_w / request.charge_efficiency if power_w > 0 else power_w * request.discharge_efficiency
        hours = slot.duration_s / 3600
        for grid_w, sign in ((slot.building_w + ac_w, 1), (slot.building_w, -1)):
            total += sign * grid_w / 1000 * hours * (slot.buy_per_kwh if grid_w > 0 else slot.sell_per_kwh)
        wear = request.wear_per_kwh if slot.ask_per_kwh is None else slot.ask_per_kwh
        total += max(0.0, -power_w) / 1000 * hours * wear
    return total


@st.composite
def _requests(draw: st.DrawFn) -> PlanRequest:
    price = st.floats(-0.5, 0.6)
    power = st.sampled_from((0.0, 1400.0, 11000.0, 50000.0))
    slots = draw(
        st.lists(
            st.builds(PlanSlot, st.sampled_from((60.0, 3600.0)), price, price, power, power, st.floats(-9e3, 9e3)),
            min_size=1, max_size=12,
        )
    )
    floor = draw(st.floats(-40000, 20000))
    return PlanRequest(
        tuple(slots), draw(st.floats(-40000, 60000)), floor, floor + draw(st.floats(0, 80000)),
        draw(st.sampled_from((0.0, 0.05))), 0.95, 0.94, 0.97, draw(st.floats(0, 0.3)),
    )


@given(_requests())
@settings(max_examples=150, deadline=None)
def test_no_plan_leaves_power_limits_or_energy_window_and_need_is_met_when_feasible(request_: PlanRequest) -> None:
    result = plan(request_)
    battery, ceiling, reach, energy = request_.battery_efficiency, max(0.0, request_.ceiling_wh), 0.0, 0.0
    for slot, power_w, after in zip(request_.slots, result.powers_w, result.energies_wh[1:], strict=True):
        assert -slot.max_discharge_w <= power_w <= slot.max_charge_w
        moved = power_w * slot.duration_s / 3600
        energy += moved * battery if moved > 0 else moved / battery
        assert energy == pytest.approx(after, abs=1e-3)
        reach = min(ceiling, reach + slot.max_charge_w * slot.duration_s / 3600 * battery)
        assert energy <= ceiling + 1e-3
        assert energy >= min(request_.floor_wh, reach) - 1e-3
    if result.feasible:
        assert energy >= max(request_.need_wh, request_.floor_wh) - 1e-3
    else:
        assert energy == pytest.approx(reach, abs=1e-3), "an unreachable need is charged for with all there is"


@given(_requests())
@settings(max_examples=100, deadline=None)
def test_no_discharge_below_marginal_cost(request_: PlanRequest) -> None:
    """A kWh leaves the battery only when it earns at least its wear and what it would be worth at the end."""
    result = plan(replace(request_, need_wh=-1e6))
    keep = request_.terminal_value_per_kwh
    for slot, power_w in zip(request_.slots, result.powers_w, strict=True):
        if power_w < 0:
            worth = max(slot.buy_per_kwh, slot.sell_per_kwh) * request_.discharge_efficiency - request_.wear_per_kwh
            cheapest = min(min(s.buy_per_kwh, s.sell_per_kwh) for s in request_.slots) / request_.charge_efficiency
            assert worth * request_.battery_efficiency >= min(keep, cheapest / request_.battery_efficiency) - 1e-9


def test_charges_cheap_discharges_dear_and_ends_with_the_need() -> None:
    result = plan(PlanRequest(_slots(0.3, 0.05, 0.5, 0.1), 5000.0, -5000.0, 20000.0, 0.04))
    assert result.powers_w == (-5000.0, 10000.0, -10000.0, 10000.0)
    assert result.energies_wh[-1] == 5000.0
    assert result.feasible


def test_wear_above_the_spread_stops_cycling() -> None:
    assert plan(PlanRequest(_slots(0.10, 0.14), 0.0, -5000.0, 20000.0, wear_per_kwh=0.05)).powers_w == (0.0, 0.0)
    assert plan(PlanRequest(_slots(0.10, 0.16), 0.0, -5000.0, 20000.0, wear_per_kwh=0.05)).powers_w[1] == -10000.0


def test_equal_prices_charge_early() -> None:
    assert plan(PlanRequest(_slots(0.2, 0.2, 0.2), 10000.0, 0.0, 30000.0)).powers_w == (10000.0, 0.0, 0.0)


def test_minimum_energy_is_charged_first_whatever_the_price() -> None:
    result = plan(PlanRequest(_slots(0.9, 0.9, 0.1, 0.1), 30000.0, 15000.0, 40000.0))
    assert result.powers_w[:2] == (10000.0, 5000.0)


def test_discharge_first_covers_the_building_and_is_worth_the_purchase_price() -> None:
    slots = (
        PlanSlot(3600.0, 0.10, 0.0, 10000.0, 0.0),
        PlanSlot(3600.0, 0.40, 0.05, 0.0, 10000.0, building_w=3000.0),
    )
    result = plan(PlanRequest(slots, 0.0, 0.0, 20000.0, wear_per_kwh=0.02))
    assert result.powers_w[1] == -3000.0, "selling at 0.05 a kWh that cost 0.10 loses money"


def test_paid_to_consume_never_charges_and_discharges_at_once() -> None:
    """Negative price, no wear: cycling inside a slot would burn energy for money; that slot only charges."""
    request = PlanRequest(_slots(-0.5, -0.5), 0.0, -20000.0, 12000.0, 0.0, 0.9, 0.9)
    result = plan(request)
    assert result.restricted_slots == 2
    assert result.energies_wh[-1] == 12000.0
    own = own_objective(request, result.cost, result.energies_wh[-1])
    assert own == pytest.approx(optimum(request, discharge=False), abs=1e-6)


def test_sale_above_purchase_counts_as_purchase_and_is_told() -> None:
    slots = (
        PlanSlot(3600.0, 0.10, 0.10, 10000.0, 0.0),
        PlanSlot(3600.0, 0.05, 0.40, 0.0, 10000.0, building_w=3000.0),
    )
    result = plan(PlanRequest(slots, 0.0, 0.0, 20000.0))
    assert result.powers_w == (0.0, 0.0)
    assert result.restricted_slots == 1


def test_unreachable_need_charges_all_it_can_and_says_so() -> None:
    result = plan(PlanRequest(_slots(0.1, 0.9), 50000.0, 0.0, 60000.0))
    assert result.powers_w == (10000.0, 10000.0)
    assert not result.feasible


def test_planning_yields_after_every_slot() -> None:
    request = PlanRequest(_slots(*[0.1, 0.3] * 48), 20000.0, -5000.0, 30000.0)
    assert sum(1 for _ in plan_steps(request)) == 3 * 96


def test_charge_at_once_is_full_power_until_the_need_is_met() -> None:
    result = charge_at_once(PlanRequest(_slots(0.5, 0.4, 0.1), 15000.0, -5000.0, 30000.0))
    assert result.powers_w == (10000.0, 5000.0, 0.0)
    assert result.cost == pytest.approx(5.0 + 2.0)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"slots": ()}, "slot"),
        ({"charge_efficiency": 0.0}, "charge_efficiency"),
        ({"battery_efficiency": 1.1}, "battery_efficiency"),
        ({"need_wh": float("nan")}, "finite"),
        ({"wear_per_kwh": -1.0}, "wear"),
        ({"floor_wh": 30001.0}, "floor"),
        ({"slots": (PlanSlot(0.0, 0.1, 0.1, 1.0, 1.0),)}, "duration"),
        ({"slots": (PlanSlot(60.0, 0.1, 0.1, -1.0, 1.0),)}, "power"),
        ({"slots": (PlanSlot(60.0, float("nan"), 0.1, 1.0, 1.0),)}, "prices"),
    ],
)
def test_senseless_request_is_refused_by_name(change: dict[str, object], word: str) -> None:
    request = PlanRequest(_slots(0.1), 0.0, 0.0, 30000.0)
    with pytest.raises(PlanError, match=word):
        plan(replace(request, **change))  # type: ignore[arg-type]
