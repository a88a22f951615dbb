"""From a plan to what the EV is offered: caps and prices in few enough steps, never above the plan's limits."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from itertools import pairwise

from evse_controller.energy.planner import Plan, PlanSlot
from evse_controller.model.limits import Limit
from evse_controller.model.offer import OfferTuple, PowerSlot, PriceSlot

_AT_LEAST_W = 1.0
_NEWS_W, _BRIEF_S = 100.0, 60.0  # a renegotiation is worth more than that


def compress_power(slots: Sequence[tuple[int, float]], points: int) -> Generator[None, None, list[tuple[int, float]]]:
    """Merge neighbours until at most `points` (>= 1) remain; merged power is the *smaller*, so no cap ever rises.

    Each step merges the pair that loses the least energy. Yields once a step; returns (duration, power) pairs.
    """
    merged: list[tuple[int, float]] = []
    for duration, power in slots:
        if merged and merged[-1][1] == power:
            merged[-1] = (merged[-1][0] + duration, power)
        else:
            merged.append((duration, power))
    while len(merged) > max(1, points):
        best, best_loss = 0, float("inf")
        for index in range(len(merged) - 1):
            (first_s, first_w), (second_s, second_w) = merged[index], merged[index + 1]
            loss = (first_w - second_w) * first_s if first_w > second_w else (second_w - first_w) * second_s
            if loss < best_loss:
                best, best_loss = index, loss
        (first_s, first_w), (second_s, second_w) = merged[best], merged[best + 1]
        merged[best : best + 2] = [(first_s + second_s, min(first_w, second_w))]
        yield
    return merged


def compress_price(slots: Sequence[tuple[int, float]], points: int) -> Generator[None, None, list[tuple[int, float]]]:
    """Merge neighbours until at most `points` remain; a merged price is the mean over time. Yields once a step."""
    merged: list[tuple[int, float]] = []
    for duration, price in slots:
        if merged and merged[-1][1] == price:
            merged[-1] = (merged[-1][0] + duration, price)
        else:
            merged.append((duration, price))
    while len(merged) > max(1, points):
        best, best_error = 0, float("inf")
        for index in range(len(merged) - 1):
            (first_s, first), (second_s, second) = merged[index], merged[index + 1]
            error = abs(first - second) * first_s * second_s / (first_s + second_s)
            if error < best_error:
                best, best_error = index, error
        (first_s, first), (second_s, second) = merged[best], merged[best + 1]
        total_s = first_s + second_s
        merged[best : best + 2] = [(total_s, (first * first_s + second * second_s) / total_s)]
        yield
    return merged


def after_level(slots: Sequence[PlanSlot], level_wh: float, battery_efficiency: float) -> list[float]:
    """All the discharge that the slots allow, but none before full charging could have reached `level_wh`."""
    caps: list[float] = []
    reached_wh = 0.0
    for slot in slots:
        caps.append(slot.max_discharge_w if reached_wh >= level_wh else 0.0)
        reached_wh += slot.max_charge_w * slot.duration_s / 3600.0 * battery_efficiency
    return caps


def tuple_steps(
    tuple_id: int,
    slots: Sequence[PlanSlot],
    charge_w: Sequence[float],
    discharge_w: Sequence[float],
    bidirectional: bool,
    points: int,
) -> Generator[None, None, OfferTuple]:
    """One alternative with these caps (both >= 0, one a slot).

    Discharge is priced as the EV asked for it, else with what its first kWh is worth: the purchase it saves while the
    building has a load, else the sale. For a bidirectional service a discharging schedule is always there, all zero
    when nothing is wanted.
    """
    spans = [round(slot.duration_s) for slot in slots]
    charging = yield from compress_power(list(zip(spans, charge_w, strict=True)), points)
    buy = yield from compress_price([(s, x.buy_per_kwh) for s, x in zip(spans, slots, strict=True)], points)
    charge_part = tuple(PowerSlot(s, p) for s, p in charging)
    charge_prices = tuple(PriceSlot(s, p) for s, p in buy)
    if not bidirectional:
        return OfferTuple(tuple_id, charge_part, charge_prices)
    discharging = yield from compress_power(list(zip(spans, discharge_w, strict=True)), points)
    sale = yield from compress_price(list(zip(spans, map(_worth, slots), strict=True)), points)
    return OfferTuple(
        tuple_id,
        charge_part,
        charge_prices,
        tuple(PowerSlot(s, p) for s, p in discharging),
        tuple(PriceSlot(s, p) for s, p in sale),
    )


def _worth(slot: PlanSlot) -> float:
    if slot.ask_per_kwh is not None and slot.max_discharge_w > 0.0:
        return slot.ask_per_kwh
    return slot.buy_per_kwh if slot.building_w > 0.0 else slot.sell_per_kwh


def differs(plan: Plan, other_w: Sequence[float]) -> bool:
    """Whether an alternative is worth offering: any slot differs by more than a watt."""
    return any(abs(a - b) > _AT_LEAST_W for a, b in zip(plan.powers_w, other_w, strict=True))


def power_at(slots: Sequence[PowerSlot], offset_s: float) -> tuple[float, float, float] | None:
    """(power, start, end) of the step that holds at `offset_s` after the anchor; None outside the schedule."""
    start = 0.0
    for slot in slots:
        if start <= offset_s < start + slot.duration_s:
            return slot.power_w, start, start + slot.duration_s
        start += slot.duration_s
    return None


def news_in(
    new: OfferTuple, new_anchor_s: float, old: OfferTuple, old_anchor_s: float, from_s: float, until_s: float
) -> str | None:
    """What differs between two schedules in this time; None: nothing that lasts longer than `_BRIEF_S`."""
    ways = (("charging", old.charging, new.charging), ("discharging", old.discharging or (), new.discharging or ()))
    for name, then, now in ways:
        lasts_s = 0.0
        for start, end in _spans(then, old_anchor_s, now, new_anchor_s, from_s, until_s):
            before, after = (
                0.0 if found is None else found[0]
                for found in (power_at(then, start - old_anchor_s), power_at(now, start - new_anchor_s))
            )
            if abs(before - after) > _NEWS_W:
                lasts_s += end - start
            if lasts_s > _BRIEF_S:
                return f"{name} {after:.0f} W instead of {before:.0f} W"
    return None


def _spans(
    old: Sequence[PowerSlot],
    old_anchor_s: float,
    new: Sequence[PowerSlot],
    new_anchor_s: float,
    from_s: float,
    until_s: float,
) -> list[tuple[float, float]]:
    """The time ahead, cut wherever either schedule has a step."""
    steps = {from_s, until_s}
    for slots, at_s in ((old, old_anchor_s), (new, new_anchor_s)):
        for slot in slots:
            at_s += slot.duration_s
            steps.add(at_s)
    edges = sorted(step for step in steps if from_s <= step <= until_s)
    return list(pairwise(edges))


def cap_of(chosen: OfferTuple, way: str, offset_s: float) -> Limit:
    """The cap of a schedule that the EV has chosen, `offset_s` after its start."""
    slots = chosen.charging if way == "charge" else chosen.discharging
    found = None if slots is None else power_at(slots, offset_s)
    if found is None:
        why = "no discharge in the schedule" if slots is None else "outside the schedule's time"
        return Limit(0.0, "schedule", f"tuple {chosen.tuple_id}: {why}")
    power_w, start_s, end_s = found
    reason = f"tuple {chosen.tuple_id}: {way} {power_w:.0f} W from +{start_s:.0f} s to +{end_s:.0f} s"
    return Limit(power_w, "schedule", reason)
