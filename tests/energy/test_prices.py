"""Price files are read strictly; the tariff has two sides."""

from __future__ import annotations

from pathlib import Path

import pytest

from evse_controller.energy.prices import (
    DayAhead,
    PriceFileError,
    Tariff,
    TariffTerms,
    flat_day_ahead,
    load_day_ahead,
    packaged_day_ahead,
    parse_day_ahead,
)

_HEADER = "start_utc,eur_per_mwh"
_DAY = 1724630400.0  # 2024-08-26T00:00:00Z


def test_packaged_excerpt_has_three_real_days_with_an_evening_peak() -> None:
    prices = packaged_day_ahead()
    assert len(prices.starts_s) == 72
    assert prices.starts_s[0] == _DAY
    assert prices.step_s == 3600.0
    assert prices.at(_DAY + 18 * 3600 + 1) == 224.28
    assert prices.at(_DAY + 10 * 3600) == 5.0


@pytest.mark.parametrize(
    ("lines", "where", "what"),
    [
        (["# x", "when,price"], "f:2:1", "header"),
        ([_HEADER, "2024-08-26T00:00:00Z"], "f:2:1", "2 columns"),
        ([_HEADER, "", "2024-08-26 00:00,1"], "f:3:1", "UTC time"),
        ([_HEADER, "2024-08-26T00:00:00Z,dear"], "f:2:22", "not a price"),
        ([_HEADER, "2024-08-26T00:00:00Z,nan"], "f:2:22", "finite"),
        ([_HEADER, "2024-08-26T01:00:00Z,1", "2024-08-26T01:00:00Z,2"], "f:3:1", "rise"),
        ([_HEADER], "f:1:1", "no prices"),
        ([], "f:1:1", "no prices"),
    ],
)
def test_bad_file_is_refused_with_line_and_column(lines: list[str], where: str, what: str) -> None:
    with pytest.raises(PriceFileError, match=what) as caught:
        parse_day_ahead(lines, "f")
    assert str(caught.value).startswith(where + ":")


def test_missing_or_binary_file_is_a_price_file_error(tmp_path: Path) -> None:
    with pytest.raises(PriceFileError, match="cannot be read"):
        load_day_ahead(tmp_path / "none.csv")
    (tmp_path / "bad.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PriceFileError, match="cannot be read"):
        load_day_ahead(tmp_path / "bad.csv")


def test_beyond_the_known_days_the_same_hour_of_the_nearest_day_counts() -> None:
    prices = packaged_day_ahead()
    assert prices.at(_DAY + 3 * 86400 + 18 * 3600) == 198.89
    assert prices.at(_DAY + 30 * 86400 + 18 * 3600) == 198.89
    assert prices.at(_DAY - 86400 + 18 * 3600) == 224.28
    hole = DayAhead((0.0, 3600.0, 86400.0), (1.0, 2.0, 3.0), 3600.0)
    assert hole.at(86400.0 + 3700.0) == 2.0


def test_prices_change_on_the_step() -> None:
    prices = packaged_day_ahead()
    assert prices.next_change_s(_DAY) == _DAY + 3600
    assert prices.next_change_s(_DAY + 3599.5) == _DAY + 3600
    assert flat_day_ahead(80.0).at(_DAY + 12345) == 80.0


def test_in_a_file_that_changes_from_60_to_15_minutes_each_price_holds_until_the_next_starts() -> None:
    mixed = DayAhead((0.0, 3600.0, 7200.0, 8100.0, 9000.0), (1.0, 2.0, 3.0, 4.0, 5.0), 900.0)
    assert [mixed.at(t) for t in (0.0, 1800.0, 3599.0, 3600.0, 7199.0, 7200.0, 8100.0, 9899.0)] == [
        1.0, 1.0, 1.0, 2.0, 2.0, 3.0, 4.0, 5.0,
    ]
    assert mixed.known_until_s == 9900.0
    assert [mixed.next_change_s(t) for t in (0.0, 7000.0, 7200.0, 8100.0)] == [3600.0, 7200.0, 8100.0, 9000.0]
    assert mixed.next_change_s(9000.0) == 9900.0, "after the last price those of the day before count, in their steps"


def test_tariff_is_two_sided() -> None:
    tariff = Tariff(flat_day_ahead(100.0), TariffTerms("EUR", 0.05, 0.2, 0.9, 0.01))
    assert tariff.buy(_DAY) == pytest.approx(0.18)
    assert tariff.sell(_DAY) == pytest.approx(0.08)
    assert Tariff(flat_day_ahead(100.0), TariffTerms(sell_fixed_per_kwh=0.07)).sell(_DAY) == 0.07


@pytest.mark.parametrize("terms", [{"currency": "eur"}, {"buy_tax": -0.1}, {"sell_share": float("nan")}])
def test_senseless_terms_are_refused(terms: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(terms))):
        TariffTerms(**terms)  # type: ignore[arg-type]
