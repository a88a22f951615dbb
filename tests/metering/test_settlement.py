"""What a session cost, and what charging at once would have cost for the same energy at departure."""

from __future__ import annotations

import pytest

from evse_controller.metering import MeterSample, SettlementTerms, settle


class _Prices:
    currency = "EUR"

    def __init__(self, *buy: float, sell_less: float = 0.0) -> None:
        self._buy = buy
        self._sell_less = sell_less

    def buy(self, utc_s: float) -> float:
        return self._buy[min(len(self._buy) - 1, int(utc_s // 3600))]

    def sell(self, utc_s: float) -> float:
        return self.buy(utc_s) - self._sell_less

    def next_change(self, utc_s: float) -> float:
        return (utc_s // 3600 + 1) * 3600


def _sample(hour: float, charged_kwh: float, discharged_kwh: float, building_w: float = 0.0) -> MeterSample:
    return MeterSample(hour * 3600, charged_kwh * 1000, discharged_kwh * 1000, building_w, 10000.0)


def test_cheap_charge_dear_discharge_against_charging_at_once() -> None:
    """10 kWh at 0.10, 5 kWh back at 0.50, 5 kWh again at 0.20; at once: the 10 kWh that stay, in the first hour."""
    samples = [_sample(0, 0, 0), _sample(1, 0, 0), _sample(2, 10, 0), _sample(3, 10, 5), _sample(4, 15, 5)]
    result = settle(samples, _Prices(0.3, 0.1, 0.5, 0.2), SettlementTerms(wear_per_kwh=0.04))
    assert result.cost == pytest.approx(10 * 0.1 - 5 * 0.5 + 5 * 0.2 + 5 * 0.04)
    assert result.wear_cost == pytest.approx(0.2)
    assert result.baseline_cost == pytest.approx(10 * 0.3)
    assert result.saving == pytest.approx(result.baseline_cost - result.cost)
    assert (result.charged_kwh, result.discharged_kwh, result.baseline_unmet_kwh) == (15.0, 5.0, 0.0)
    assert result.currency == "EUR"


def test_energy_between_samples_is_split_where_the_price_changes() -> None:
    result = settle([_sample(0.5, 0, 0), _sample(1.5, 10, 0)], _Prices(0.1, 0.3))
    assert result.cost == pytest.approx(5 * 0.1 + 5 * 0.3)


def test_own_use_saves_the_purchase_and_the_rest_is_sold() -> None:
    result = settle([_sample(0, 0, 0), _sample(1, 0, 5, 3000.0)], _Prices(0.4, sell_less=0.3))
    assert result.cost == pytest.approx(-(3 * 0.4 + 2 * 0.1))


def test_a_surplus_costs_only_its_lost_sale() -> None:
    result = settle([_sample(0, 0, 0), _sample(1, 5, 0, -3000.0)], _Prices(0.4, sell_less=0.3))
    assert result.cost == pytest.approx(3 * 0.1 + 2 * 0.4)


def test_losses_are_paid_at_the_grid() -> None:
    terms = SettlementTerms(charge_efficiency=0.9, discharge_efficiency=0.8)
    result = settle([_sample(0, 0, 0), _sample(1, 9, 0), _sample(2, 9, 5)], _Prices(0.1, 0.5), terms)
    assert result.cost == pytest.approx(10 * 0.1 - 4 * 0.5)
    assert result.baseline_cost == pytest.approx(4 / 0.9 * 0.1)


def test_energy_given_away_is_replaced_at_the_cheapest_price() -> None:
    result = settle([_sample(0, 0, 0), _sample(1, 0, 10), _sample(2, 0, 10)], _Prices(0.5, 0.1))
    assert result.cost == pytest.approx(-5.0)
    assert result.baseline_cost == pytest.approx(-1.0)
    assert result.saving == pytest.approx(4.0)


def test_baseline_that_does_not_fit_is_said() -> None:
    tight = [MeterSample(0, 0, 0), MeterSample(3600, 10000, 0, max_charge_w=6000)]
    result = settle(tight, _Prices(0.1))
    assert result.baseline_unmet_kwh == pytest.approx(4.0)
    assert result.saving == pytest.approx(0.0)


def test_charging_at_once_saves_nothing() -> None:
    result = settle([_sample(0, 0, 0), _sample(1, 10, 0), _sample(2, 15, 0), _sample(3, 15, 0)], _Prices(0.3, 0.2))
    assert result.saving == pytest.approx(0.0)


def test_no_energy_costs_nothing_even_without_time() -> None:
    assert settle([], _Prices(0.1)).cost == 0.0
    assert settle([_sample(0, 0, 0)], _Prices(0.1)).saving == 0.0
    assert settle([_sample(0, 0, 0), _sample(0, 1, 0)], _Prices(0.1)).cost == pytest.approx(0.1)


def test_falling_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="fall"):
        settle([_sample(0, 5, 0), _sample(1, 4, 0)], _Prices(0.1))
