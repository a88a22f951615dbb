"""The vehicle's answer to an offered schedule: choose the cheapest tuple and plan power within its caps.

The planner is the vehicle's own and simple: it buys what it needs in the cheapest spans, then trades cheap against
dear spans as long as that earns more than the wear. It never plans beyond a cap. Power at the outlet in W, signed
(negative = discharge); energies in Wh; prices per kWh.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from evse_controller.messages.generated.common_messages import (
    ChargingSchedule,
    EVPowerProfile,
    EVPowerProfileEntryList,
    PowerScheduleEntry,
    PowerToleranceAcceptance,
    Scheduled_EVPPTControlMode,
    ScheduleTuple,
)
from evse_controller.messages.rational import rational_down, rational_up, rational_value
from evse_controller.model.offer import PowerSlot

_MAX_ENTRIES = 2048


@dataclass(frozen=True, slots=True)
class Span:
    """A span in which all caps and prices are constant. `start_s` is Unix time; caps >= 0."""

    start_s: int
    duration_s: int
    charge_cap_w: float
    discharge_cap_w: float
    buy: float
    sell: float


@dataclass(frozen=True, slots=True)
class Need:
    """Energy relative to now: reach `target_wh`, never leave `lowest_wh`..`highest_wh` on the way."""

    target_wh: float
    lowest_wh: float
    highest_wh: float
    max_charge_w: float
    max_discharge_w: float
    wear_per_kwh: float


@dataclass(frozen=True, slots=True)
class Plan:
    """Signed power from `anchor_s` (Unix time) on, and what it costs."""

    tuple_id: int
    anchor_s: int
    slots: tuple[PowerSlot, ...]
    cost: float
    missing_wh: float

    def power_w(self, utc_s: float) -> float:
        """Planned power at a moment; 0 outside the plan."""
        offset = utc_s - self.anchor_s
        if offset < 0:
            return 0.0
        for slot in self.slots:
            if offset < slot.duration_s:
                return slot.power_w
            offset -= slot.duration_s
        return 0.0

    def net_wh_from(self, utc_s: float) -> float:
        """Signed energy that the plan still moves from a moment on."""
        energy_wh, start = 0.0, float(self.anchor_s)
        for slot in self.slots:
            end = start + slot.duration_s
            energy_wh += slot.power_w * max(0.0, end - max(start, utc_s)) / 3600.0
            start = end
        return energy_wh

    def message(self, tolerance: PowerToleranceAcceptance | None = None) -> EVPowerProfile:
        """The EVPowerProfile of PowerDeliveryReq. Rounded towards zero so that it never exceeds a cap."""
        entries = [
            PowerScheduleEntry(
                duration=slot.duration_s,
                power=rational_down(slot.power_w) if slot.power_w >= 0 else rational_up(slot.power_w),
            )
            for slot in self.slots[:_MAX_ENTRIES]
        ]
        return EVPowerProfile(
            time_anchor=self.anchor_s,
            scheduled_evppt_control_mode=Scheduled_EVPPTControlMode(
                selected_schedule_tuple_id=self.tuple_id, power_tolerance_acceptance=tolerance
            ),
            ev_power_profile_entries=EVPowerProfileEntryList(ev_power_profile_entry=entries),
        )


def _powers(schedule: ChargingSchedule | None, anchor_s: int) -> list[tuple[int, int, float]]:
    """(start, end, magnitude in W). The sign of a DischargingSchedule is not settled between stacks: both are read."""
    if schedule is None:
        return []
    start = schedule.power_schedule.time_anchor or anchor_s
    steps = []
    for entry in schedule.power_schedule.power_schedule_entries.power_schedule_entry:
        phases = (entry.power, entry.power_l2, entry.power_l3)
        total_w = abs(sum(rational_value(power) for power in phases if power is not None))
        steps.append((start, start + entry.duration, total_w))
        start += entry.duration
    return steps


def _prices(schedule: ChargingSchedule | None, anchor_s: int) -> list[tuple[int, int, float]]:
    """(start, end, price per kWh): the energy fee of the lowest power range, or the price level as if it were one."""
    if schedule is None:
        return []
    steps: list[tuple[int, int, float]] = []
    if schedule.absolute_price_schedule is not None:
        absolute = schedule.absolute_price_schedule
        start = absolute.time_anchor or anchor_s
        for stack in absolute.price_rule_stacks.price_rule_stack:
            rule = min(stack.price_rule, key=lambda rule: rational_value(rule.power_range_start))
            steps.append((start, start + stack.duration, rational_value(rule.energy_fee)))
            start += stack.duration
    elif schedule.price_level_schedule is not None:
        levels = schedule.price_level_schedule
        start = levels.time_anchor or anchor_s
        for level in levels.price_level_schedule_entries.price_level_schedule_entry:
            steps.append((start, start + level.duration, float(level.price_level)))
            start += level.duration
    return steps


def _at(steps: Sequence[tuple[int, int, float]], moment_s: int) -> float | None:
    return next((value for start, end, value in steps if start <= moment_s < end), None)


def spans_of(offered: ScheduleTuple, now_utc_s: int) -> list[Span]:
    """The tuple cut at every change of a cap or a price. A time anchor of 0 means now."""
    charging, discharging = offered.charging_schedule, offered.discharging_schedule
    anchor = charging.power_schedule.time_anchor or now_utc_s
    charge, discharge = _powers(charging, anchor), _powers(discharging, anchor)
    buy, sell = _prices(charging, anchor), _prices(discharging, anchor)
    end = charge[-1][1]
    cuts = {moment for steps in (charge, discharge, buy, sell) for start, stop, _ in steps for moment in (start, stop)}
    edges = sorted({anchor, end, *(moment for moment in cuts if anchor < moment < end)})
    spans = []
    for start, stop in pairwise(edges):
        price = _at(buy, start)
        spans.append(
            Span(
                start, stop - start, _at(charge, start) or 0.0, _at(discharge, start) or 0.0,
                price if price is not None else 0.0, _at(sell, start) or 0.0,
            )
        )
    return spans


def _seconds(span: Span, now_utc_s: float, until_utc_s: float | None) -> float:
    """How much of the span lies between now and the departure."""
    stop = float(span.start_s + span.duration_s)
    return max(0.0, (stop if until_utc_s is None else min(stop, until_utc_s)) - max(span.start_s, now_utc_s))


def _plan_spans(spans: Sequence[Span], need: Need, now_utc_s: float, until_utc_s: float | None) -> list[float]:
    """Energy in Wh for each span."""
    count = len(spans)
    energy = [0.0] * count
    level = [0.0] * count  # stored energy after each span, relative to now
    usable = [_seconds(span, now_utc_s, until_utc_s) / 3600.0 for span in spans]
    charge = [min(s.charge_cap_w, need.max_charge_w) * hours for s, hours in zip(spans, usable, strict=True)]
    discharge = [min(s.discharge_cap_w, need.max_discharge_w) * hours for s, hours in zip(spans, usable, strict=True)]

    def add(index: int, amount_wh: float) -> None:
        energy[index] += amount_wh
        for later in range(index, count):
            level[later] += amount_wh

    missing = need.target_wh
    for index in sorted(range(count), key=lambda i: (spans[i].buy, i)):
        room = min(need.highest_wh - value for value in level[index:])
        amount = min(charge[index], missing, room)
        if amount > 0:
            add(index, amount)
            missing -= amount
    trades = sorted(
        (
            (spans[dear].sell - spans[cheap].buy - need.wear_per_kwh, cheap, dear)
            for cheap in range(count) if charge[cheap] > 0
            for dear in range(count) if discharge[dear] > 0 and dear != cheap
        ),
        key=lambda trade: (-trade[0], trade[1], trade[2]),
    )
    if missing < 0:  # more energy on board than wanted: sell the surplus where it earns most
        for index in sorted(range(count), key=lambda i: (-spans[i].sell, i)):
            room = min(value - need.lowest_wh for value in level[index:])
            amount = min(discharge[index], -missing, room)
            if amount > 0 and spans[index].sell > need.wear_per_kwh:
                add(index, -amount)
                missing += amount
    for gain, cheap, dear in trades:
        if gain <= 0:
            break
        if energy[dear] > 0 or energy[cheap] < 0:
            continue
        between = range(cheap, dear) if cheap < dear else range(dear, cheap)
        room = (
            min(need.highest_wh - level[k] for k in between) if cheap < dear
            else min(level[k] - need.lowest_wh for k in between)
        )
        amount = min(charge[cheap] - energy[cheap], discharge[dear] + energy[dear], room)
        if amount > 1.0:
            add(cheap, amount)
            add(dear, -amount)
    return energy


def plan_tuple(offered: ScheduleTuple, need: Need, now_utc_s: float, until_utc_s: float | None) -> Plan:
    """The plan within one offered tuple, from `now_utc_s` to `until_utc_s` (None: its end)."""
    spans = spans_of(offered, int(now_utc_s))
    energy = _plan_spans(spans, need, now_utc_s, until_utc_s)
    slots, cost = [], 0.0
    for span, amount in zip(spans, energy, strict=True):
        seconds = _seconds(span, now_utc_s, until_utc_s)
        power = amount * 3600.0 / seconds if seconds > 0 else 0.0
        slots.append(PowerSlot(span.duration_s, power))
        price = span.buy if amount >= 0 else span.sell
        cost += amount / 1000.0 * price + max(0.0, -amount) / 1000.0 * need.wear_per_kwh
    return Plan(
        offered.schedule_tuple_id, spans[0].start_s, tuple(slots), cost, max(0.0, need.target_wh - sum(energy))
    )


def choose(tuples: Sequence[ScheduleTuple], need: Need, now_utc_s: float, until_utc_s: float | None) -> Plan:
    """The best plan over all tuples: first as much of the need as possible, then the lowest cost."""
    plans = [plan_tuple(offered, need, now_utc_s, until_utc_s) for offered in tuples]
    return min(plans, key=lambda plan: (round(plan.missing_wh / 100.0), plan.cost))
