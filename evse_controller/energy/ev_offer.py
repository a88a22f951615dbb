"""What the EV would sell (EVEnergyOffer), slot by slot. Where it offers nothing, nothing is discharged.

A slot takes the tightest of what the EV says within it: the least power and the highest price.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import TypeVar

from evse_controller.model.offer import EnergyOffer, PowerSlot, PriceSlot

_Slot = TypeVar("_Slot", PowerSlot, PriceSlot)


class EvAsk:
    """An offer made ready for look-up. In another currency than ours it cannot be weighed, and is none."""

    def __init__(self, offer: EnergyOffer, currency: str) -> None:
        self._anchor_utc_s = offer.anchor_utc_s
        self.problem: str | None = None
        if offer.currency != currency:
            self.problem = f"the EV offers energy in {offer.currency!r}, the tariff is in {currency}: not taken"
        self._power, self._power_ends = offer.power, _ends(offer.power)
        self._prices, self._price_ends = offer.prices, _ends(offer.prices)

    def within(self, start_utc_s: float, end_utc_s: float) -> tuple[float, float]:
        """(power in W that the EV gives throughout, price per kWh of the dearest part); (0, 0) when it does not."""
        start_s, end_s = start_utc_s - self._anchor_utc_s, end_utc_s - self._anchor_utc_s
        if self.problem is not None or start_s < 0 or not self._power_ends or end_s > self._power_ends[-1]:
            return 0.0, 0.0
        powers = [slot.power_w for slot in _touched(self._power, self._power_ends, start_s, end_s)]
        prices = [slot.price_per_kwh for slot in _touched(self._prices, self._price_ends, start_s, end_s)]
        if not powers or not prices or end_s > self._price_ends[-1]:
            return 0.0, 0.0
        # Negative is what it gives; positive means that it is not able to [energy.md 2.2].
        return max(0.0, -max(powers)), max(prices)


def _ends(slots: Sequence[PowerSlot | PriceSlot]) -> list[int]:
    return list(accumulate(slot.duration_s for slot in slots))


def _touched(slots: Sequence[_Slot], ends: list[int], start_s: float, end_s: float) -> Sequence[_Slot]:
    first = bisect_right(ends, start_s)
    last = first
    while last < len(slots) and (last == first or ends[last - 1] < end_s):
        last += 1
    return slots[first:last]
