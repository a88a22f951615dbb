"""Fewer slots than were planned: neighbours are merged, and a cap is never exceeded by merging.

Caps merge to their minimum; prices to their mean over time, so that a constant power costs the same as before.
Always the pair is merged that loses least.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from itertools import pairwise

from evse_controller.model.offer import PowerSlot, PriceSlot

_Slot = tuple[int, float]
_Join = Callable[[_Slot, _Slot], float]


def compress_caps(slots: Sequence[PowerSlot], most: int) -> tuple[PowerSlot, ...]:
    """At most `most` (>= 1) slots over the same time, nowhere above the given power."""
    merged = _compress([(slot.duration_s, slot.power_w) for slot in slots], most, lambda a, b: min(a[1], b[1]))
    return tuple(PowerSlot(duration, power) for duration, power in merged)


def compress_prices(slots: Sequence[PriceSlot], most: int) -> tuple[PriceSlot, ...]:
    """At most `most` (>= 1) slots over the same time, with the same mean price."""
    merged = _compress([(slot.duration_s, slot.price_per_kwh) for slot in slots], most, _mean)
    return tuple(PriceSlot(duration, price) for duration, price in merged)


def _mean(a: _Slot, b: _Slot) -> float:
    return (a[0] * a[1] + b[0] * b[1]) / (a[0] + b[0])


def _compress(slots: list[_Slot], most: int, join: _Join) -> list[_Slot]:
    """Greedy merging over a heap of neighbours: n log n, so that a thousand slots cost no noticeable time."""
    if most < 1:
        raise ValueError(f"at least one slot must remain, got {most}")
    alive: list[_Slot | None] = list(_join_equal(slots))
    following = list(range(1, len(alive) + 1))
    previous = list(range(-1, len(alive) - 1))
    count = len(alive)
    heap = [
        (_loss(left, right, join), index)
        for index, (left, right) in enumerate(pairwise(alive))
        if left is not None and right is not None
    ]
    heapq.heapify(heap)
    while count > most:
        loss, index = heapq.heappop(heap)
        left = alive[index]
        after = following[index]
        right = alive[after] if after < len(alive) else None
        # Entries are not removed when a neighbour changes; one that no longer tells the truth is dropped here.
        if left is None or right is None or loss != _loss(left, right, join):
            continue
        alive[index], alive[after] = (left[0] + right[0], join(left, right)), None
        following[index] = following[after]
        if following[index] < len(alive):
            previous[following[index]] = index
        count -= 1
        for start in (previous[index], index):
            end = following[start] if start >= 0 else len(alive)
            if end < len(alive):
                first, second = alive[start], alive[end]
                assert first is not None
                assert second is not None
                heapq.heappush(heap, (_loss(first, second, join), start))
    return [slot for slot in alive if slot is not None]


def _join_equal(slots: list[_Slot]) -> list[_Slot]:
    """Neighbours of the same value are one slot; slots without duration are none."""
    joined: list[_Slot] = []
    for duration, value in slots:
        if duration <= 0:
            continue
        if joined and joined[-1][1] == value:
            joined[-1] = (joined[-1][0] + duration, value)
        else:
            joined.append((duration, value))
    return joined


def _loss(left: _Slot, right: _Slot, join: _Join) -> float:
    value = join(left, right)
    return abs(left[1] - value) * left[0] + abs(right[1] - value) * right[0]
