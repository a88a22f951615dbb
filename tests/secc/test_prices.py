"""Price schedules on the wire: protocol.md G.1 to G.4, energy.md 2.2."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evse_controller.messages.rational import rational_value as value
from evse_controller.model.offer import OfferTuple, PowerSlot, PriceSlot, ScheduleOffer
from evse_controller.secc.config import PRICING_LEVELS, SeccConfig
from evse_controller.secc.iso20.price_terms import (
    AdditionalService,
    Overstay,
    OverstayRule,
    ParkingFee,
    PowerRange,
    PriceAlgorithm,
    PriceTerms,
    TaxRule,
)
from tests.secc.ev import OFFER, SCHEDULED, UTC_S, Bench, schedule_request

TERMS = PriceTerms(
    algorithm=PriceAlgorithm.STACKED_ENERGY,
    description="night and day",
    minimum_cost=1.0,
    maximum_cost=80.0,
    taxes=(TaxRule(1, 21.0, "BTW", True), TaxRule(7, 1.5, on_energy=False, on_parking=True, on_cost_limits=True)),
    overstay=Overstay((OverstayRule(0, 0.1, 60, "first hour"), OverstayRule(3600, 0.5, 60)), 600, 500.0),
    additional_services=(AdditionalService("car wash", 9.5),),
    ranges=(PowerRange(0.0, 0.0), PowerRange(22_000.0, 0.05)),
    parking=ParkingFee(2.0, 3600),
    carbon_g_per_kwh=240,
    renewable_percent=61,
)


def schedules(config: SeccConfig, offer: ScheduleOffer = OFFER) -> tuple[Any, Any]:
    """The first tuple's schedules for charging and for discharging, as they came through the codec."""
    bench = Bench(config).to("ScheduleExchange")
    bench.say(schedule_request(SCHEDULED))
    bench.after(0.75).set(offer=offer)
    entry = bench.say(schedule_request(SCHEDULED)).scheduled_se_res_control_mode.schedule_tuple[0]
    return entry.charging_schedule, entry.discharging_schedule


def offered(*prices: tuple[int, float]) -> ScheduleOffer:
    total_s = sum(duration for duration, _ in prices)
    caps = (PowerSlot(total_s, 10_000.0),)
    return ScheduleOffer(9, int(UTC_S), "SEK", (OfferTuple(1, caps, tuple(PriceSlot(*p) for p in prices), caps),))


def test_all_terms_of_an_absolute_price_schedule_reach_the_ev() -> None:
    charging, _ = schedules(SeccConfig(prices=TERMS, language="nld"), offered((86400, 0.25)))
    sent = charging.absolute_price_schedule
    assert sent.price_algorithm == "urn:iso:std:iso:15118:-20:PriceAlgorithm:3-StackedEnergy"
    assert (sent.price_schedule_description, sent.currency, sent.language) == ("night and day", "SEK", "nld")
    assert (value(sent.minimum_cost), value(sent.maximum_cost)) == (1.0, 80.0)
    first, second = sent.tax_rules.tax_rule
    assert (first.tax_rule_id, first.tax_rule_name, value(first.tax_rate)) == (1, "BTW", 21.0)
    assert (first.tax_included_in_price, first.applies_to_energy_fee) == (True, True)
    assert (first.applies_to_parking_fee, first.applies_minimum_maximum_cost) == (False, False)
    assert (second.tax_included_in_price, second.applies_to_energy_fee) == (None, False)
    assert (second.applies_to_parking_fee, second.applies_to_overstay_fee) == (True, False)
    assert second.applies_minimum_maximum_cost
    overstay = sent.overstay_rules
    assert (overstay.overstay_time_threshold, value(overstay.overstay_power_threshold)) == (600, 500.0)
    rules = [
        (rule.start_time, value(rule.overstay_fee), rule.overstay_fee_period, rule.overstay_rule_description)
        for rule in overstay.overstay_rule
    ]
    assert rules == [(0, 0.1, 60, "first hour"), (3600, 0.5, 60, None)]
    (extra,) = sent.additional_selected_services.additional_service
    assert (extra.service_name, value(extra.service_fee)) == ("car wash", 9.5)
    (stack,) = sent.price_rule_stacks.price_rule_stack
    slow, fast = stack.price_rule
    assert [(value(rule.power_range_start), value(rule.energy_fee)) for rule in (slow, fast)] == [
        (0.0, 0.25),
        (22_000.0, pytest.approx(0.30)),
    ]
    assert (value(slow.parking_fee), slow.parking_fee_period) == (2.0, 3600)
    assert (slow.carbon_dioxide_emission, slow.renewable_generation_percentage) == (240, 61)


def test_discharging_is_priced_without_the_terms_of_a_sale() -> None:
    """Parking and a least cost would otherwise be there twice, once as something to be paid to the EV."""
    _, discharging = schedules(SeccConfig(prices=TERMS), offered((86400, 0.25)))
    sent = discharging.absolute_price_schedule
    assert (sent.minimum_cost, sent.maximum_cost, sent.tax_rules, sent.overstay_rules) == (None,) * 4
    assert sent.additional_selected_services is None
    ((rule,),) = (stack.price_rule for stack in sent.price_rule_stacks.price_rule_stack)
    assert (value(rule.energy_fee), value(rule.power_range_start), rule.parking_fee) == (0.25, 0.0, None)


def test_without_terms_the_schedule_is_as_small_as_it_can_be() -> None:
    charging, _ = schedules(SeccConfig())
    sent = charging.absolute_price_schedule
    assert sent.price_algorithm == "urn:iso:std:iso:15118:-20:PriceAlgorithm:1-Power"
    optional = (sent.minimum_cost, sent.tax_rules, sent.overstay_rules, sent.additional_selected_services)
    assert optional == (None,) * 4
    assert sent.price_schedule_description is None


def test_price_levels_rank_the_prices() -> None:
    config = SeccConfig(scheduled_pricing=PRICING_LEVELS, prices=PriceTerms(description="three"))
    charging, _ = schedules(config, offered((3600, 0.3), (3600, -0.1), (3600, 0.2), (75600, 0.3)))
    sent = charging.price_level_schedule
    entries = sent.price_level_schedule_entries.price_level_schedule_entry
    assert [(entry.duration, entry.price_level) for entry in entries] == [(3600, 2), (3600, 0), (3600, 1), (75600, 2)]
    assert (sent.number_of_price_levels, sent.price_schedule_description) == (3, "three")


@settings(max_examples=25, deadline=None)
@given(
    prices=st.lists(st.tuples(st.integers(1, 7200), st.floats(-32_767e3, 32_767e3)), min_size=1, max_size=40),
    ranges=st.integers(1, 8),
    surcharge=st.floats(-32_767e3, 32_767e3),
)
def test_any_prices_encode_and_keep_their_order(
    prices: list[tuple[int, float]], ranges: int, surcharge: float
) -> None:
    terms = PriceTerms(ranges=tuple(PowerRange(1000.0 * index, surcharge * (index > 0)) for index in range(ranges)))
    charging, _ = schedules(SeccConfig(prices=terms), offered(*prices))
    for stack in charging.absolute_price_schedule.price_rule_stacks.price_rule_stack:
        starts = [value(rule.power_range_start) for rule in stack.price_rule]
        assert starts == sorted(starts)
        assert (starts[0], len(starts)) == (0.0, ranges)


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (TaxRule, {"tax_id": 0, "rate_percent": 1.0}),
        (TaxRule, {"tax_id": 1, "rate_percent": -1.0}),
        (TaxRule, {"tax_id": 1, "rate_percent": 100.1}),
        (AdditionalService, {"name": "x", "fee": -0.1}),
        (TaxRule, {"tax_id": 1, "rate_percent": float("nan")}),
        (TaxRule, {"tax_id": 1, "rate_percent": 1.0, "name": "x" * 81}),
        (OverstayRule, {"start_s": -1, "fee": 1.0, "period_s": 60}),
        (OverstayRule, {"start_s": 0, "fee": 4e7, "period_s": 60}),
        (OverstayRule, {"start_s": 0, "fee": 1.0, "period_s": 0}),
        (OverstayRule, {"start_s": 0, "fee": 1.0, "period_s": 60, "description": "x" * 161}),
        (Overstay, {"rules": ()}),
        (Overstay, {"rules": (OverstayRule(0, 1.0, 60),) * 2}),
        (Overstay, {"rules": tuple(OverstayRule(start, 1.0, 60) for start in range(6))}),
        (Overstay, {"rules": (OverstayRule(0, 1.0, 60),), "power_threshold_w": -1.0}),
        (Overstay, {"rules": (OverstayRule(0, 1.0, 60),), "time_threshold_s": 2**32}),
        (AdditionalService, {"name": "x" * 81, "fee": 1.0}),
        (AdditionalService, {"name": "x", "fee": float("inf")}),
        (ParkingFee, {"fee": 1.0, "period_s": 2**32}),
        (PriceTerms, {"description": "x" * 161}),
        (PriceTerms, {"taxes": (TaxRule(1, 1.0), TaxRule(1, 2.0))}),
        (PriceTerms, {"taxes": tuple(TaxRule(number, 1.0) for number in range(1, 12))}),
        (PriceTerms, {"additional_services": (AdditionalService("x", 1.0),) * 6}),
        (PriceTerms, {"ranges": ()}),
        (PriceTerms, {"ranges": (PowerRange(1.0, 0.0),)}),
        (PriceTerms, {"ranges": (PowerRange(0.0, 0.0), PowerRange(0.0, 1.0))}),
        (PriceTerms, {"ranges": tuple(PowerRange(float(index), 0.0) for index in range(9))}),
        (PriceTerms, {"minimum_cost": 2.0, "maximum_cost": 1.0}),
        (PriceTerms, {"minimum_cost": -1.0}),
        (PriceTerms, {"carbon_g_per_kwh": 65536}),
        (PriceTerms, {"renewable_percent": 101}),
    ],
)
def test_what_does_not_fit_the_wire_is_refused_as_configuration(kind: Any, change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        kind(**change)
