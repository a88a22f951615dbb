"""The vehicle's own planning: caps are never exceeded, the need comes first, prices decide the rest."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from evse_controller.messages import Schema, decode, encode
from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.generated.common_types import MessageHeader
from evse_controller.messages.rational import rational_nearest, rational_value
from evse_controller.model.offer import PowerSlot
from hil.evcc.plan import Need, Plan, choose, plan_tuple, spans_of
from hil.evcc.power import PlanFollower
from hil.evcc.requests import power_delivery

T0 = 1_700_000_000


def schedule(powers: list[tuple[int, float]], prices: list[tuple[int, float]] | None) -> cm.ChargingSchedule:
    price = None
    if prices is not None:
        price = cm.AbsolutePriceSchedule(
            time_anchor=T0, price_schedule_id=1, currency="EUR", language="eng",
            price_algorithm="urn:iso:std:iso:15118:-20:PriceAlgorithm:1-Power",
            price_rule_stacks=cm.PriceRuleStackList(price_rule_stack=[
                cm.PriceRuleStack(duration=duration, price_rule=[
                    cm.PriceRule(energy_fee=rational_nearest(fee), power_range_start=rational_nearest(0)),
                ]) for duration, fee in prices
            ]),
        )
    return cm.ChargingSchedule(
        power_schedule=cm.PowerSchedule(
            time_anchor=T0,
            power_schedule_entries=cm.PowerScheduleEntryList(power_schedule_entry=[
                cm.PowerScheduleEntry(duration=duration, power=rational_nearest(power)) for duration, power in powers
            ]),
        ),
        absolute_price_schedule=price,
    )


def offered(charge, buy, discharge=None, sell=None, number: int = 1) -> cm.ScheduleTuple:
    return cm.ScheduleTuple(
        schedule_tuple_id=number, charging_schedule=schedule(charge, buy),
        discharging_schedule=None if discharge is None else schedule(discharge, sell),
    )


NEED = Need(10_000.0, -10_000.0, 30_000.0, 11_000.0, 10_000.0, 0.02)


def test_it_charges_in_the_cheapest_hour() -> None:
    plan = plan_tuple(offered([(7200, 11_000)], [(3600, 0.30), (3600, 0.10)]), NEED, T0, None)
    assert [slot.power_w for slot in plan.slots] == [0.0, 10_000.0]
    assert plan.missing_wh == 0


def test_it_sells_in_the_dear_hour_and_still_meets_the_need() -> None:
    plan = plan_tuple(
        offered([(10_800, 11_000)], [(3600, 0.05), (3600, 0.50), (3600, 0.10)],
                [(10_800, 9_000)], [(3600, 0.02), (3600, 0.45), (3600, 0.05)]),
        NEED, T0, None,
    )
    energies = [slot.power_w * slot.duration_s / 3600 for slot in plan.slots]
    assert energies[1] == -9_000
    assert sum(energies) == 10_000


def test_a_gain_below_the_wear_is_not_worth_a_trade() -> None:
    plan = plan_tuple(
        offered([(7200, 11_000)], [(3600, 0.10), (3600, 0.11)], [(7200, 9_000)], [(3600, 0.10), (3600, 0.115)]),
        NEED, T0, None,
    )
    assert all(slot.power_w >= 0 for slot in plan.slots)


def test_the_cheapest_tuple_that_meets_the_need_is_chosen() -> None:
    dear = offered([(7200, 11_000)], [(7200, 0.30)], number=1)
    cheap = offered([(7200, 11_000)], [(7200, 0.10)], number=2)
    short = offered([(7200, 1_000)], [(7200, 0.01)], number=3)
    assert choose([dear, cheap, short], NEED, T0, None).tuple_id == 2


def test_departure_ends_the_plan() -> None:
    plan = plan_tuple(offered([(7200, 11_000)], [(7200, 0.10)]), NEED, T0, T0 + 1800)
    assert plan.slots[0].power_w == 11_000
    assert plan.missing_wh == 4_500


def test_discharge_powers_are_read_with_either_sign() -> None:
    negative = spans_of(offered([(3600, 5_000)], None, [(3600, -4_000)], None), T0)
    assert negative[0].discharge_cap_w == 4_000


def test_time_anchor_zero_means_now() -> None:
    tuple_ = offered([(3600, 5_000)], None)
    tuple_.charging_schedule.power_schedule.time_anchor = 0
    assert plan_tuple(tuple_, NEED, T0 + 5, None).anchor_s == T0 + 5


power = st.integers(0, 30_000).map(float)
fee = st.integers(-20, 80).map(lambda cents: cents / 100)
hours = st.lists(st.tuples(st.sampled_from([900, 1800, 3600]), power), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(hours, hours, st.data())
def test_no_plan_exceeds_a_cap_or_the_battery(charge, discharge, data) -> None:
    buy = [(duration, data.draw(fee)) for duration, _ in charge]
    sell = [(duration, data.draw(fee)) for duration, _ in discharge]
    tuple_ = offered(charge, buy, discharge, sell)
    plan = plan_tuple(tuple_, NEED, T0, None)
    stored = 0.0
    for span, slot in zip(spans_of(tuple_, T0), plan.slots, strict=True):
        assert -span.discharge_cap_w - 1e-6 <= slot.power_w <= span.charge_cap_w + 1e-6
        assert -NEED.max_discharge_w - 1e-6 <= slot.power_w <= NEED.max_charge_w + 1e-6
        stored += slot.power_w * slot.duration_s / 3600
        assert NEED.lowest_wh - 1e-3 <= stored <= NEED.highest_wh + 1e-3
    entries = plan.message().ev_power_profile_entries.ev_power_profile_entry
    for entry, slot in zip(entries, plan.slots, strict=True):
        assert abs(rational_value(entry.power)) <= abs(slot.power_w) + 1e-9


def test_the_profile_is_a_valid_message() -> None:
    plan = plan_tuple(offered([(7200, 11_000)], [(7200, 0.10)]), NEED, T0, None)
    request = power_delivery(MessageHeader(bytes(range(8)), T0), cm.ChargeProgress.Start, plan.message())
    assert decode(Schema.ISO20_COMMON, encode(request)) == request


def test_a_cut_that_cost_energy_ends_the_selling_before_the_drivers_target() -> None:
    plan = Plan(1, T0, (PowerSlot(3600, 10_000.0), PowerSlot(3600, -8_000.0)), 0.0, 0.0)
    follower = PlanFollower()
    assert follower.power_w(plan, T0 + 3600, target_wh=-8_000.0) == -8_000.0  # everything as planned
    assert follower.power_w(plan, T0 + 3600, target_wh=-2_000.0) == 0.0  # 6 kWh were cut away
    assert follower.power_w(plan, T0 + 5400, target_wh=-2_000.0) == 0.0
    assert follower.power_w(plan, T0 + 6400, target_wh=-2_000.0) == -8_000.0  # what is left to sell is affordable
    assert follower.power_w(None, T0, target_wh=0.0) == 0.0
