"""Day-ahead prices from a CSV file, and the tariff that turns them into what a kWh costs and earns here."""

from __future__ import annotations

import calendar
import math
import time
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from itertools import pairwise
from pathlib import Path

_DAY_S = 86400.0
_LONGEST_S = 3600.0


class PriceFileError(ValueError):
    """A price file cannot be used. The text is `file:line:column: what is wrong`."""

    def __init__(self, file: str, line: int, column: int, reason: str) -> None:
        super().__init__(f"{file}:{line}:{column}: {reason}")
        self.file = file
        self.line = line
        self.column = column
        self.reason = reason


@dataclass(frozen=True, slots=True)
class DayAhead:
    """Market prices: `starts_s` (Unix s, strictly rising) and `eur_per_mwh`.

    A price holds until the next one starts, but no longer than an hour (then it is a hole in the data); the last one
    as long as the one before, `step_s` when there is only one. Markets change from 60 to 15 minutes within a file.
    """

    starts_s: tuple[float, ...]
    eur_per_mwh: tuple[float, ...]
    step_s: float

    @property
    def known_until_s(self) -> float:
        """End of the last known price."""
        return self._end_s(len(self.starts_s) - 1)

    def _end_s(self, index: int) -> float:
        """When the price at `index` ends to hold."""
        starts = self.starts_s
        if index + 1 < len(starts):
            return min(starts[index + 1], starts[index] + _LONGEST_S)
        last_s = self.step_s if len(starts) < 2 else min(starts[-1] - starts[-2], _LONGEST_S)
        return starts[-1] + last_s

    def at(self, utc_s: float) -> float:
        """EUR/MWh at `utc_s`. Outside the data: the same hour of the nearest known day, then the nearest price."""
        probe = utc_s
        if utc_s >= self.known_until_s:
            probe -= math.ceil((utc_s - self.known_until_s + 1e-3) / _DAY_S) * _DAY_S
        elif utc_s < self.starts_s[0]:
            probe += math.ceil((self.starts_s[0] - utc_s) / _DAY_S) * _DAY_S
        for _ in range(4):  # a hole in the data: look at the days before
            index = bisect_right(self.starts_s, probe) - 1
            if index >= 0 and probe < self._end_s(index):
                return self.eur_per_mwh[index]
            probe -= _DAY_S
        index = bisect_right(self.starts_s, min(utc_s, self.known_until_s)) - 1
        return self.eur_per_mwh[max(0, index)]

    def next_change_s(self, utc_s: float) -> float:
        """The next moment after `utc_s` at which the price may change."""
        index = bisect_right(self.starts_s, utc_s) - 1
        if index >= 0 and utc_s < self._end_s(index):
            return self._end_s(index)
        # Prices of another day stand in here, in their steps: the shortest of the file meets them all.
        return self.starts_s[0] + (math.floor((utc_s - self.starts_s[0]) / self.step_s) + 1) * self.step_s


def parse_day_ahead(lines: Iterable[str], file: str) -> DayAhead:
    """Read `start_utc,eur_per_mwh` lines; `#` starts a comment line. Raises PriceFileError with line and column."""
    starts: list[float] = []
    prices: list[float] = []
    header = False
    number = 0
    for number, raw in enumerate(lines, start=1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if not header:
            if line != "start_utc,eur_per_mwh":
                raise PriceFileError(file, number, 1, f"expected header 'start_utc,eur_per_mwh', found {line[:40]!r}")
            header = True
            continue
        fields = line.split(",")
        if len(fields) != 2:
            raise PriceFileError(file, number, 1, f"expected 2 columns, found {len(fields)}")
        try:
            start = float(calendar.timegm(time.strptime(fields[0].strip(), "%Y-%m-%dT%H:%M:%SZ")))
        except ValueError:
            raise PriceFileError(
                file, number, 1, f"not a UTC time like 2024-08-26T00:00:00Z: {fields[0][:40]!r}"
            ) from None
        column = len(fields[0]) + 2
        try:
            price = float(fields[1])
        except ValueError:
            raise PriceFileError(file, number, column, f"not a price: {fields[1][:40]!r}") from None
        if not math.isfinite(price):
            raise PriceFileError(file, number, column, f"not a finite price: {fields[1][:40]!r}")
        if starts and start <= starts[-1]:
            raise PriceFileError(file, number, 1, "times must rise from line to line")
        starts.append(start)
        prices.append(price)
    if not starts:
        raise PriceFileError(file, max(1, number), 1, "no prices in this file")
    step = min((later - earlier for earlier, later in pairwise(starts)), default=3600.0)
    return DayAhead(tuple(starts), tuple(prices), step)


def load_day_ahead(path: str | Path) -> DayAhead:
    """Read a price file. Raises PriceFileError, also when the file cannot be read."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PriceFileError(str(path), 1, 1, f"cannot be read: {error}") from error
    return parse_day_ahead(text.splitlines(), str(path))


def packaged_day_ahead() -> DayAhead:
    """The excerpt shipped with the package: three late-summer days of 2024 in the Netherlands, with evening peaks."""
    name = "nl_day_ahead_excerpt.csv"
    text = resources.files("evse_controller.energy").joinpath("data", name).read_text(encoding="utf-8")
    return parse_day_ahead(text.splitlines(), name)


def flat_day_ahead(eur_per_mwh: float) -> DayAhead:
    """One price for ever, for a site without a price file. With it the plan charges early and never discharges."""
    return DayAhead((0.0,), (eur_per_mwh,), 3600.0)


@dataclass(frozen=True, slots=True)
class TariffTerms:
    """What lies between the market and the meter, per kWh in `currency`.

    Purchase = (day-ahead + `buy_surcharge_per_kwh`) * (1 + `buy_tax`). Sale = `sell_fixed_per_kwh` when given, else
    day-ahead * `sell_share` - `sell_fee_per_kwh`. Energy discharged into the building's own load saves the purchase.
    """

    currency: str = "EUR"
    buy_surcharge_per_kwh: float = 0.0
    buy_tax: float = 0.0
    sell_share: float = 1.0
    sell_fee_per_kwh: float = 0.0
    sell_fixed_per_kwh: float | None = None

    def __post_init__(self) -> None:
        if len(self.currency) != 3 or not self.currency.isalpha() or not self.currency.isupper():
            raise ValueError(f"currency must be three capital letters (ISO 4217), got {self.currency!r}")
        for name in ("buy_surcharge_per_kwh", "buy_tax", "sell_share", "sell_fee_per_kwh"):
            if not math.isfinite(getattr(self, name)):
                raise ValueError(f"{name} must be a finite number")
        if self.sell_fixed_per_kwh is not None and not math.isfinite(self.sell_fixed_per_kwh):
            raise ValueError("sell_fixed_per_kwh must be a finite number")
        if self.buy_tax < 0:
            raise ValueError(f"buy_tax must be >= 0, got {self.buy_tax}")


class Tariff:
    """Two-sided prices at this site. Meets `metering.settlement.PriceSource`."""

    def __init__(self, day_ahead: DayAhead, terms: TariffTerms | None = None) -> None:
        self.day_ahead = day_ahead
        self.terms = terms if terms is not None else TariffTerms()

    @property
    def currency(self) -> str:
        return self.terms.currency

    def buy(self, utc_s: float) -> float:
        """What a kWh from the grid costs at `utc_s`."""
        return (self.day_ahead.at(utc_s) / 1000.0 + self.terms.buy_surcharge_per_kwh) * (1.0 + self.terms.buy_tax)

    def sell(self, utc_s: float) -> float:
        """What a kWh into the grid earns at `utc_s`; may be negative."""
        if self.terms.sell_fixed_per_kwh is not None:
            return self.terms.sell_fixed_per_kwh
        return self.day_ahead.at(utc_s) / 1000.0 * self.terms.sell_share - self.terms.sell_fee_per_kwh

    def next_change(self, utc_s: float) -> float:
        """The next moment after `utc_s` at which a price may change (Unix s)."""
        return self.day_ahead.next_change_s(utc_s)
