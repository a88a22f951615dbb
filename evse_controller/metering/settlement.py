"""What a session cost, slot by slot, and what charging at once would have cost for the same energy at departure.

Both sides are counted at the grid connection. Charging takes the building's surplus first (which then earns no sale)
and buys the rest; discharge covers the building's load first (which saves its purchase) and sells the rest.

The baseline charges at the power that limits allowed at the time, from the first moment until the battery holds what
it held at the end of the real session. When the session took more out than it put in, the baseline would have had to
do nothing, and the energy given away is replaced at the cheapest purchase price seen in the session.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

from evse_controller.metering.session import MeterSample


class PriceSource(Protocol):
    """Prices per kWh in `currency` over time (Unix s); `next_change`: the next moment a price may change."""

    @property
    def currency(self) -> str: ...

    def buy(self, utc_s: float) -> float: ...

    def sell(self, utc_s: float) -> float: ...

    def next_change(self, utc_s: float) -> float: ...


@dataclass(frozen=True, slots=True)
class SettlementTerms:
    """Losses between grid and outlet, outlet and battery (each way), and wear per kWh discharged at the outlet."""

    charge_efficiency: float = 1.0
    discharge_efficiency: float = 1.0
    battery_efficiency: float = 1.0
    wear_per_kwh: float = 0.0

    def __post_init__(self) -> None:
        for name in ("charge_efficiency", "discharge_efficiency", "battery_efficiency"):
            if not 0.0 < getattr(self, name) <= 1.0:
                raise ValueError(f"{name} must be above 0 and at most 1, got {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class Settlement:
    """Money of a session. `cost` includes `wear_cost`; `saving` = `baseline_cost` - `cost`; negative cost = earned.

    `baseline_unmet_kwh`: battery energy that charging at once could not have charged within the session and limits
    (priced at the end of the session).
    """

    currency: str
    cost: float
    wear_cost: float
    baseline_cost: float
    saving: float
    charged_kwh: float
    discharged_kwh: float
    baseline_unmet_kwh: float


@dataclass(frozen=True, slots=True)
class _Piece:
    hours: float
    charged_kwh: float
    discharged_kwh: float
    building_kw: float
    max_charge_kw: float
    buy: float
    sell: float


def _pieces(samples: Sequence[MeterSample], tariff: PriceSource) -> Iterator[_Piece]:
    """Cut the time between samples where prices change; energy spreads evenly between two samples."""
    for before, after in pairwise(samples):
        span_s = after.utc_s - before.utc_s
        charged_kwh = (after.charged_wh - before.charged_wh) / 1000.0
        discharged_kwh = (after.discharged_wh - before.discharged_wh) / 1000.0
        if span_s < 0.0 or charged_kwh < 0.0 or discharged_kwh < 0.0:
            raise ValueError(f"samples fall between {before} and {after}")
        if span_s == 0.0:  # energy without time still costs
            buy, sell = tariff.buy(before.utc_s), tariff.sell(before.utc_s)
            yield _Piece(0.0, charged_kwh, discharged_kwh, after.building_w / 1000.0, 0.0, buy, sell)
            continue
        start_s = before.utc_s
        while start_s < after.utc_s:
            end_s = min(after.utc_s, max(tariff.next_change(start_s), start_s + 1e-3))
            part = (end_s - start_s) / span_s
            yield _Piece(
                (end_s - start_s) / 3600.0,
                charged_kwh * part,
                discharged_kwh * part,
                after.building_w / 1000.0,
                after.max_charge_w / 1000.0,
                tariff.buy(start_s),
                tariff.sell(start_s),
            )
            start_s = end_s


def _purchase(outlet_kwh: float, piece: _Piece, terms: SettlementTerms) -> float:
    grid_kwh = outlet_kwh / terms.charge_efficiency
    surplus_kwh = min(grid_kwh, max(0.0, -piece.building_kw) * piece.hours)
    return surplus_kwh * piece.sell + (grid_kwh - surplus_kwh) * piece.buy


def _sale(outlet_kwh: float, piece: _Piece, terms: SettlementTerms) -> float:
    grid_kwh = outlet_kwh * terms.discharge_efficiency
    own_use_kwh = min(grid_kwh, max(0.0, piece.building_kw) * piece.hours)
    return own_use_kwh * piece.buy + (grid_kwh - own_use_kwh) * piece.sell


def settle(samples: Sequence[MeterSample], tariff: PriceSource, terms: SettlementTerms | None = None) -> Settlement:
    """Settle a session. Raises ValueError when samples fall in time or energy."""
    terms = terms if terms is not None else SettlementTerms()
    pieces = list(_pieces(samples, tariff))
    charged = sum(piece.charged_kwh for piece in pieces)
    discharged = sum(piece.discharged_kwh for piece in pieces)
    wear = discharged * terms.wear_per_kwh
    energy_cost = sum(_purchase(p.charged_kwh, p, terms) - _sale(p.discharged_kwh, p, terms) for p in pieces)
    stored = charged * terms.battery_efficiency - discharged / terms.battery_efficiency
    baseline = 0.0
    missing = stored / terms.battery_efficiency  # at the outlet
    if missing < 0.0:
        cheapest = min(piece.buy for piece in pieces)
        baseline = missing / terms.charge_efficiency * cheapest
        missing = 0.0
    for piece in pieces:
        take = min(missing, piece.max_charge_kw * piece.hours)
        baseline += _purchase(take, piece, terms)
        missing -= take
    unmet = missing if missing > 1e-9 else 0.0
    if unmet:
        baseline += unmet / terms.charge_efficiency * pieces[-1].buy
    cost = energy_cost + wear
    return Settlement(
        tariff.currency,
        cost,
        wear,
        baseline,
        baseline - cost,
        charged,
        discharged,
        unmet * terms.battery_efficiency,
    )
