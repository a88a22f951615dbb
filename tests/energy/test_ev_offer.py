"""What the EV asks for its energy is weighed like any other price, and nothing is discharged that it does not offer."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evse_controller.energy.ev_offer import EvAsk
from evse_controller.energy.manager import EnergyManager
from evse_controller.model.offer import EnergyOffer, OfferTuple, PowerProfile, PowerSlot, PriceSlot
from tests.energy.planning import DAY, EV, NOON, OUTLOOK, RATINGS, SCHEDULED, finish, manager_of

PEAK = DAY + 18 * 3600


def offer(power_w: float = -8000.0, price: float = 0.05, hours: int = 24, **changes: object) -> EnergyOffer:
    given_offer = EnergyOffer(
        NOON, "EUR", (PowerSlot(hours * 3600, power_w),), (PriceSlot(hours * 3600, price),)
    )
    return replace(given_offer, **changes)  # type: ignore[arg-type]


def planned(ev_offer: EnergyOffer | None) -> EnergyManager:
    manager = manager_of()
    manager.observe(OUTLOOK, NOON, 0.0)
    manager.request(SCHEDULED, EV, RATINGS, True, NOON, ev_offer=ev_offer)
    finish(manager)
    return manager


def tuple_of(manager: EnergyManager, tuple_id: int = 1) -> OfferTuple:
    found = manager.wish(NOON).offer
    assert found is not None
    return next(entry for entry in found.tuples if entry.tuple_id == tuple_id)


def most(slots: tuple[PowerSlot, ...] | None) -> float:
    return max(slot.power_w for slot in slots or ())


def test_no_more_is_discharged_than_the_ev_offers() -> None:
    assert most(tuple_of(planned(None)).discharging) > 5000.0
    manager = planned(offer(power_w=-5000.0))
    for tuple_id in (1, 2):
        assert 0.0 < most(tuple_of(manager, tuple_id).discharging) <= 5000.0


@pytest.mark.parametrize(
    "given_offer",
    [
        offer(power_w=5000.0),  # not able to
        offer(price=5.0),  # nobody pays that
        offer(power=(), prices=()),
        offer(prices=()),
        offer(currency="SEK"),
        offer(anchor_utc_s=NOON + 36 * 3600),
    ],
)
def test_nothing_is_planned_that_is_not_offered_or_not_worth_it(given_offer: EnergyOffer) -> None:
    assert most(tuple_of(planned(given_offer)).discharging) == 0.0


def test_an_offer_in_another_currency_shows_as_a_problem() -> None:
    assert "SEK" in (planned(offer(currency="SEK")).problem or "")
    assert planned(offer()).problem is None


def test_the_price_decides_in_which_hours_it_is_taken() -> None:
    def hours(price: float) -> int:
        slots = tuple_of(planned(offer(price=price))).discharging or ()
        return sum(slot.duration_s for slot in slots if slot.power_w > 0.0)

    assert hours(0.0) > hours(0.08) > 0


def test_the_ev_is_told_its_own_price() -> None:
    prices = tuple_of(planned(offer(price=0.06)), 2).discharge_prices
    assert {round(slot.price_per_kwh, 6) for slot in prices} == {0.06}


def test_outside_the_time_of_the_offer_nothing_is_discharged() -> None:
    evening = replace(offer(), power=(PowerSlot(7 * 3600, 0.0), PowerSlot(3600, -8000.0), PowerSlot(16 * 3600, 1.0)))
    at_s = NOON
    for slot in tuple_of(planned(evening), 2).discharging or ():
        if slot.power_w > 0.0:
            assert at_s >= NOON + 7 * 3600
            assert at_s + slot.duration_s <= NOON + 8 * 3600
        at_s += slot.duration_s


@settings(max_examples=200, deadline=None)
@given(
    power=st.lists(st.tuples(st.integers(0, 40), st.sampled_from((-9.0, -4.0, 0.0, 3.0))), max_size=8),
    prices=st.lists(st.tuples(st.integers(0, 40), st.sampled_from((0.1, 0.2, 0.5))), max_size=8),
    start=st.integers(-10, 200),
    length=st.integers(1, 60),
)
def test_a_slot_takes_the_tightest_of_what_the_ev_says_within_it(
    power: list[tuple[int, float]], prices: list[tuple[int, float]], start: int, length: int
) -> None:
    ask = EvAsk(
        EnergyOffer(1000, "EUR", tuple(PowerSlot(*p) for p in power), tuple(PriceSlot(*p) for p in prices)), "EUR"
    )
    powers = [value for duration, value in power for _ in range(duration)]
    asked = [value for duration, value in prices for _ in range(duration)]
    end = start + length
    expected = (0.0, 0.0)
    if start >= 0 and end <= len(powers) and end <= len(asked):
        expected = (max(0.0, -max(powers[start:end])), max(asked[start:end]))
    assert ask.within(1000 + start, 1000 + end) == expected


def test_an_offer_that_is_not_repeated_in_a_renegotiation_holds_on() -> None:
    manager = planned(offer(power_w=-3000.0))
    manager.request(SCHEDULED, EV, RATINGS, True, NOON, renegotiation=True)
    finish(manager)
    assert 0.0 < most(tuple_of(manager, 2).discharging) <= 3000.0
    manager.request(SCHEDULED, EV, RATINGS, True, NOON)
    finish(manager)
    assert most(tuple_of(manager, 2).discharging) > 3000.0


def test_a_profile_by_an_older_offer_means_that_offer() -> None:
    manager = planned(None)
    old = manager.wish(NOON).offer
    assert old is not None
    manager.request(replace(SCHEDULED, target_wh=0.0), EV, RATINGS, True, NOON)
    finish(manager)
    manager.accepted(PowerProfile(1, NOON, (), old.offer_id))
    cap = manager.wish(PEAK).discharge_cap
    assert cap is not None
    assert cap.value > 5000.0
    with pytest.raises(ValueError, match="offer 99"):
        manager.accepted(PowerProfile(1, NOON, (), 99))
