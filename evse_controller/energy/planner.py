"""The cheapest charge and discharge plan for one car, exactly, in pure Python, in steps that never block the loop.

Method: the cost still to come, as a function of the battery's energy, is convex and piecewise linear. Going backward
from departure it is kept as a sorted list of (slope, length); one slot is one infimal convolution, which for such
functions is a merge of sorted lists, followed by a cut to the allowed energy window. Going forward, each slot charges
as long as the energy is worth more later than it costs now and discharges as long as it is worth less.

Energy is counted in the battery, in Wh relative to the moment of planning; power at the DC outlet, in W, positive to
the EV; money at the grid connection. Losses: `charge_efficiency` (grid to outlet), `discharge_efficiency` (outlet to
grid), `battery_efficiency` (outlet to battery, each way).

Inside one slot the car goes one way only. A slot in which charging and discharging *at once* would earn money (paid
to consume with next to no wear, or a sale price above the purchase price) is not convex. Such a slot is planned with
charging only and counted in `Plan.restricted_slots`; with a building load that splits the discharge between
self-consumption and export, a sale price above the purchase price counts as the purchase price. Both are cautious:
the plan is feasible and its cost honest, but only plans with `restricted_slots == 0` are claimed to be optimal.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Generator
from dataclasses import dataclass

_WH_EPS = 1e-6  # rounding dust is not a power: it would change direction for nothing
_TIE = 1e-9  # per kWh: cycling that gains nothing is not done


class PlanError(ValueError):
    """The request itself is wrong (negative limit, no slot, efficiency outside 0..1 ...): says which value."""


@dataclass(frozen=True, slots=True)
class PlanSlot:
    """A span of constant prices and limits.

    `max_charge_w` and `max_discharge_w`: >= 0, at the DC outlet. `building_w`: forecast of the site's load without
    this car, at the grid connection; negative = surplus (solar). Discharge first covers that load and is then worth
    `buy_per_kwh`, the rest is sold for `sell_per_kwh`; charging first takes a surplus, which costs `sell_per_kwh`.
    `ask_per_kwh`: what the EV wants for a kWh it gives, in place of the wear that is reckoned with otherwise.
    """

    duration_s: float
    buy_per_kwh: float
    sell_per_kwh: float
    max_charge_w: float
    max_discharge_w: float
    building_w: float = 0.0
    ask_per_kwh: float | None = None


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """What to plan. Energies in the battery, relative to now.

    `need_wh` must be reached by the end of the last slot (negative: may end that much lower). `floor_wh` is kept at
    all times; above zero it is charged as fast as the limits allow, whatever the price. `ceiling_wh` is never
    exceeded. `wear_per_kwh` is the battery's wear for each kWh discharged at the outlet. `terminal_value_per_kwh`
    is the worth of a kWh in the battery beyond the need at the end.
    """

    slots: tuple[PlanSlot, ...]
    need_wh: float
    floor_wh: float
    ceiling_wh: float
    wear_per_kwh: float = 0.0
    charge_efficiency: float = 1.0
    discharge_efficiency: float = 1.0
    battery_efficiency: float = 1.0
    terminal_value_per_kwh: float = 0.0

    def check(self) -> None:
        """Raise PlanError when a value makes no sense; NaN never passes."""
        if not self.slots:
            raise PlanError("a plan needs at least one slot")
        for name in ("charge_efficiency", "discharge_efficiency", "battery_efficiency"):
            if not 0.0 < getattr(self, name) <= 1.0:
                raise PlanError(f"{name} must be above 0 and at most 1, got {getattr(self, name)}")
        if not 0.0 <= self.wear_per_kwh < math.inf:
            raise PlanError(f"wear_per_kwh must be >= 0, got {self.wear_per_kwh}")
        if not all(map(math.isfinite, (self.need_wh, self.floor_wh, self.ceiling_wh, self.terminal_value_per_kwh))):
            raise PlanError("need, floor, ceiling and terminal value must be finite numbers")
        if self.floor_wh > self.ceiling_wh:
            raise PlanError(f"floor {self.floor_wh} Wh is above ceiling {self.ceiling_wh} Wh")
        for index, slot in enumerate(self.slots):
            if not 0.0 < slot.duration_s < math.inf:
                raise PlanError(f"slot {index}: duration must be > 0 s, got {slot.duration_s}")
            if not (0.0 <= slot.max_charge_w < math.inf and 0.0 <= slot.max_discharge_w < math.inf):
                raise PlanError(f"slot {index}: power limits must be >= 0 W")
            numbers = (slot.buy_per_kwh, slot.sell_per_kwh, slot.building_w, slot.ask_per_kwh or 0.0)
            if not all(map(math.isfinite, numbers)):
                raise PlanError(f"slot {index}: prices and building load must be finite numbers")


@dataclass(frozen=True, slots=True)
class Plan:
    """`powers_w[i]`: signed DC power in slot i; `energies_wh`: battery energy at the start and after each slot.

    `cost` is grid cost plus wear, without the terminal value. `feasible` false: need or floor cannot be reached; the
    plan then charges all it can. `restricted_slots`: see the module's text on slots that are not convex.
    """

    powers_w: tuple[float, ...]
    energies_wh: tuple[float, ...]
    cost: float
    feasible: bool
    restricted_slots: int


@dataclass(frozen=True, slots=True)
class _Actions:
    """One slot in battery terms: (cost per kWh, Wh), `charge` cheapest first, `discharge` (worth) dearest first."""

    charge: tuple[tuple[float, float], ...]
    discharge: tuple[tuple[float, float], ...]
    restricted: bool


def _actions(request: PlanRequest, slot: PlanSlot) -> _Actions:
    battery = request.battery_efficiency
    hours = slot.duration_s / 3600.0
    restricted = False
    # Charging: cost per kWh in the battery.
    into = request.charge_efficiency * battery
    room_wh = slot.max_charge_w * hours * battery
    surplus_wh = min(room_wh, max(0.0, -slot.building_w) * hours * into)
    sell, buy = slot.sell_per_kwh, slot.buy_per_kwh
    if sell > buy and (surplus_wh > 0.0 or slot.building_w > 0.0):
        sell, restricted = buy, slot.max_discharge_w > 0.0 or surplus_wh > 0.0
    charge = [(sell / into, surplus_wh), (buy / into, room_wh - surplus_wh)]
    # Discharging: earning per kWh out of the battery, wear taken off.
    out = request.discharge_efficiency * battery
    wear = (request.wear_per_kwh if slot.ask_per_kwh is None else slot.ask_per_kwh) * battery
    have_wh = slot.max_discharge_w * hours / battery
    own_use_wh = min(have_wh, max(0.0, slot.building_w) * hours / out)
    discharge = [(buy * out - wear, own_use_wh), (sell * out - wear, have_wh - own_use_wh)]
    charge = [part for part in charge if part[1] > 0.0]
    discharge = [part for part in discharge if part[1] > 0.0]
    if charge and discharge and discharge[0][0] > charge[0][0]:
        return _Actions(tuple(charge), (), True)
    return _Actions(tuple(charge), tuple(discharge), restricted)


def _cut_left(slopes: list[float], lengths: list[float], amount: float) -> None:
    count = 0
    while amount > 0.0 and count < len(lengths):
        if lengths[count] > amount:
            lengths[count] -= amount
            break
        amount -= lengths[count]
        count += 1
    del slopes[:count], lengths[:count]


def _cut_right(slopes: list[float], lengths: list[float], amount: float) -> None:
    while amount > 0.0 and lengths:
        if lengths[-1] > amount:
            lengths[-1] -= amount
            return
        amount -= lengths.pop()
        slopes.pop()


def _insert(slopes: list[float], lengths: list[float], slope: float, length: float) -> None:
    at = bisect_left(slopes, slope)
    if at < len(slopes) and slopes[at] == slope:
        lengths[at] += length
    else:
        slopes.insert(at, slope)
        lengths.insert(at, length)


def plan_steps(request: PlanRequest) -> Generator[None, None, Plan]:
    """Plan, yielding after every slot's work (some 10 us on a PC), so that the caller decides when to go on.

    The generator's return value is the Plan. Raises PlanError on the first step for a senseless request.
    """
    request.check()
    actions: list[_Actions] = []
    reach_wh = [0.0]
    ceiling = max(request.ceiling_wh, 0.0)
    for slot in request.slots:
        action = _actions(request, slot)
        actions.append(action)
        reach_wh.append(min(ceiling, reach_wh[-1] + sum(length for _, length in action.charge)))
        yield
    need = max(request.need_wh, request.floor_wh)
    feasible = need <= reach_wh[-1] + _WH_EPS
    need = min(need, reach_wh[-1])

    # Backward: later[i] is the cost to come after slot i, as (lowest energy, slopes, lengths).
    low, slopes, lengths = need, [-request.terminal_value_per_kwh], [ceiling - need]
    later: list[tuple[float, list[float], list[float]]] = []
    high = ceiling
    for index in range(len(actions) - 1, -1, -1):
        later.append((low, slopes.copy(), lengths.copy()))
        action = actions[index]
        for cost, length in action.charge:
            _insert(slopes, lengths, -cost, length)
            low -= length
        for worth, length in action.discharge:
            _insert(slopes, lengths, _TIE - worth, length)
            high += length
        floor = min(request.floor_wh, reach_wh[index])
        if low < floor:
            _cut_left(slopes, lengths, floor - low)
            low = floor
        if high > ceiling:
            _cut_right(slopes, lengths, high - ceiling)
            high = ceiling
        yield
    later.reverse()

    # Forward: two thresholds per price. Ties charge now (the driver may leave early) and do not discharge.
    energy = 0.0
    energies = [energy]
    powers: list[float] = []
    cost_sum = 0.0
    for index, (action, slot) in enumerate(zip(actions, request.slots, strict=True)):
        low, slopes, lengths = later[index]
        moved = 0.0
        for cost, length in action.charge:
            until = low + sum(lengths[: bisect_right(slopes, -cost)])
            take = min(length, until - energy - moved)
            if take > _WH_EPS:
                moved += take
                cost_sum += cost * take
        if moved == 0.0:
            for worth, length in action.discharge:
                until = low + sum(lengths[: bisect_right(slopes, _TIE - worth)])
                take = min(length, energy + moved - until)
                if take > _WH_EPS:
                    moved -= take
                    cost_sum -= worth * take
        energy += moved
        energies.append(energy)
        outlet_wh = moved / request.battery_efficiency if moved > 0.0 else moved * request.battery_efficiency
        powers.append(max(-slot.max_discharge_w, min(slot.max_charge_w, outlet_wh * 3600.0 / slot.duration_s)))
        yield
    restricted = sum(action.restricted for action in actions)
    return Plan(tuple(powers), tuple(energies), cost_sum / 1000.0, feasible, restricted)


def plan(request: PlanRequest) -> Plan:
    """Plan in one go (about a millisecond for 96 slots): for tests, tools and the worker."""
    steps = plan_steps(request)
    while True:
        try:
            next(steps)
        except StopIteration as done:
            result: Plan = done.value
            return result


def charge_at_once(request: PlanRequest) -> Plan:
    """What a charger without a plan would do: full power from now until the need is met, no discharge."""
    request.check()
    wanted = max(request.need_wh, request.floor_wh)
    target = min(wanted, max(request.ceiling_wh, 0.0))
    energy, cost_sum = 0.0, 0.0
    energies, powers = [0.0], []
    for slot in request.slots:
        moved = 0.0
        for cost, length in _actions(request, slot).charge:
            take = min(length, max(0.0, target - energy - moved))
            moved += take
            cost_sum += cost * take
        energy += moved
        energies.append(energy)
        powers.append(min(slot.max_charge_w, moved / request.battery_efficiency * 3600.0 / slot.duration_s))
    return Plan(tuple(powers), tuple(energies), cost_sum / 1000.0, energy >= wanted - _WH_EPS, 0)
