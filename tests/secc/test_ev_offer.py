"""EVEnergyOffer: what the EV would sell reaches the energy room as it was meant. energy.md 2.2."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.rational import rational_nearest as n
from evse_controller.model.commands import ScheduleRequested
from evse_controller.model.offer import EnergyOffer, PowerSlot, PriceSlot
from tests.secc.ev import SCHEDULED, UTC_S, Bench, schedule_request

NOW = int(UTC_S)


def request(
    power: list[tuple[int, float]], prices: list[tuple[int, list[tuple[float, float]]]], anchor: int, price_anchor: int
) -> cm.ScheduleExchangeReq:
    """Prices are (seconds, [(start of the power range, price)])."""
    entries = [cm.EVPowerScheduleEntry(duration, n(power_w)) for duration, power_w in power]
    stacks = [
        cm.EVPriceRuleStack(duration, [cm.EVPriceRule(n(fee), n(start_w)) for start_w, fee in rules])
        for duration, rules in prices
    ]
    asked = schedule_request(SCHEDULED)
    assert asked.scheduled_se_req_control_mode is not None
    asked.scheduled_se_req_control_mode.ev_energy_offer = cm.EVEnergyOffer(
        cm.EVPowerSchedule(anchor, cm.EVPowerScheduleEntryList(entries)),
        cm.EVAbsolutePriceSchedule(
            price_anchor, "EUR", "urn:iso:std:iso:15118:-20:PriceAlgorithm:1-Power", cm.EVPriceRuleStackList(stacks)
        ),
    )
    return asked


def understood(asked: cm.ScheduleExchangeReq) -> EnergyOffer | None:
    bench = Bench().to("ScheduleExchange")
    bench.say(asked)
    (command,) = bench.commands_of(ScheduleRequested)
    offer: EnergyOffer | None = command.ev_offer
    return offer


def test_an_offer_is_passed_on_with_its_signs() -> None:
    asked = request([(3600, 5000.0), (7200, -8000.0)], [(3600, [(0.0, 0.3)]), (7200, [(0.0, 0.25)])], NOW, NOW)
    assert understood(asked) == EnergyOffer(
        NOW,
        "EUR",
        (PowerSlot(3600, 5000.0), PowerSlot(7200, -8000.0)),
        (PriceSlot(3600, pytest.approx(0.3)), PriceSlot(7200, pytest.approx(0.25))),
    )


def test_no_offer_is_none() -> None:
    assert understood(schedule_request(SCHEDULED)) is None


def test_the_price_is_that_of_the_power_range_nearest_to_zero() -> None:
    ranges = [(-11_000.0, 0.9), (-1000.0, 0.5), (-5000.0, 0.7)]
    offer = understood(request([(3600, -8000.0)], [(3600, ranges)], NOW, NOW))
    assert offer is not None
    assert offer.prices[0].price_per_kwh == pytest.approx(0.5)


@pytest.mark.parametrize("anchor", [0, 2**64 - 1, NOW + 8 * 86400])
def test_an_anchor_that_is_no_absolute_time_means_now(anchor: int) -> None:
    offer = understood(request([(3600, -8000.0)], [(3600, [(0.0, 0.3)])], anchor, anchor))
    assert offer is not None
    assert offer.anchor_utc_s == pytest.approx(NOW, abs=5)
    assert offer.prices == (PriceSlot(3600, pytest.approx(0.3)),)


@pytest.mark.parametrize(
    ("price_anchor", "prices"),
    [
        (NOW - 600, [(300, 0.2), (7200, 0.3)]),
        (NOW - 900, [(7200, 0.3)]),
        (NOW - 1200, [(6900, 0.3)]),
        (NOW + 100, [(1000, 0.2), (7200, 0.3)]),
    ],
)
def test_prices_are_counted_from_the_anchor_of_the_powers(price_anchor: int, prices: list[tuple[int, float]]) -> None:
    asked = request([(3600, -8000.0)], [(900, [(0.0, 0.2)]), (7200, [(0.0, 0.3)])], NOW, price_anchor)
    offer = understood(asked)
    assert offer is not None
    assert [(slot.duration_s, slot.price_per_kwh) for slot in offer.prices] == [
        (duration, pytest.approx(price)) for duration, price in prices
    ]


@settings(max_examples=50, deadline=None)
@given(
    power=st.lists(st.tuples(st.integers(0, 2**32 - 1), st.floats(-3e6, 3e6)), min_size=1, max_size=8),
    prices=st.lists(st.tuples(st.integers(0, 2**32 - 1), st.floats(-10, 10)), min_size=1, max_size=8),
    anchors=st.tuples(st.integers(0, 2**64 - 1), st.integers(NOW - 10**6, NOW + 10**6)),
)
def test_no_offer_upsets_the_session(
    power: list[tuple[int, float]], prices: list[tuple[int, float]], anchors: tuple[int, int]
) -> None:
    stacks: list[tuple[int, list[tuple[float, float]]]] = [(duration, [(0.0, fee)]) for duration, fee in prices]
    for first, second in (anchors, anchors[::-1]):
        offer: Any = understood(request(power, stacks, first, second))
        assert len(offer.power) == len(power)
