"""The planner's problem as a linear programme, written independently of its code; solved by HiGHS through scipy."""

from __future__ import annotations

import random

import numpy as np
from scipy.optimize import linprog

from evse_controller.energy.planner import PlanRequest, PlanSlot


def optimum(request: PlanRequest, discharge: bool = True) -> float:
    """Lowest cost (wear included, terminal value deducted). Variables per slot in kW: surplus, bought, used, sold."""
    count = len(request.slots)
    battery = request.battery_efficiency
    cost = np.zeros(4 * count)
    bounds: list[tuple[float, float]] = []
    rows: list[np.ndarray] = []
    right: list[float] = []
    energy = np.zeros((count + 1, 4 * count))
    reach = 0.0
    ceiling = max(request.ceiling_wh, 0.0) / 1000
    for index, slot in enumerate(request.slots):
        hours = slot.duration_s / 3600
        at = 4 * index
        worth = hours * request.discharge_efficiency
        cost[at] = slot.sell_per_kwh * hours / request.charge_efficiency
        cost[at + 1] = slot.buy_per_kwh * hours / request.charge_efficiency
        wear = request.wear_per_kwh if slot.ask_per_kwh is None else slot.ask_per_kwh
        cost[at + 2] = wear * hours - slot.buy_per_kwh * worth
        cost[at + 3] = wear * hours - slot.sell_per_kwh * worth
        charge, back = slot.max_charge_w / 1000, slot.max_discharge_w / 1000 * discharge
        building = slot.building_w / 1000
        bounds += [
            (0, max(0.0, -building) * request.charge_efficiency),
            (0, charge),
            (0, max(0.0, building) / request.discharge_efficiency),
            (0, back),
        ]
        for first, limit in ((at, charge), (at + 2, back)):
            row = np.zeros(4 * count)
            row[first : first + 2] = 1
            rows.append(row)
            right.append(limit)
        energy[index + 1] = energy[index]
        energy[index + 1, at : at + 2] = hours * battery
        energy[index + 1, at + 2 : at + 4] = -hours / battery
        reach = min(ceiling, reach + charge * hours * battery)
        rows += [energy[index + 1], -energy[index + 1]]
        right += [ceiling, -min(request.floor_wh / 1000, reach)]
    rows.append(-energy[count])
    right.append(-min(max(request.need_wh, request.floor_wh) / 1000, reach) + 1e-12)
    result = linprog(
        cost - request.terminal_value_per_kwh * energy[count], np.array(rows), np.array(right), bounds=bounds,
        method="highs", options={"primal_feasibility_tolerance": 1e-9, "dual_feasibility_tolerance": 1e-9},
    )
    assert result.success, result.message
    return float(result.fun)


def random_request(rng: random.Random) -> PlanRequest:
    """Two-sided prices (sale not above purchase), mixed limits, loads and surpluses, needs that may be out of reach."""
    slots = []
    for _ in range(rng.choice((1, 2, 5, 12, 24, 48))):
        buy = rng.choice((rng.uniform(0, 0.5), round(rng.uniform(0, 0.5), 1)))
        slots.append(
            PlanSlot(
                rng.choice((300.0, 900.0, 3600.0)),
                buy,
                max(0.0, buy - rng.choice((0.0, 0.02, 0.1))),
                rng.choice((0.0, 3000.0, 11000.0)),
                rng.choice((0.0, 5000.0, 10000.0)),
                rng.choice((0.0, 1000.0, -2000.0, 6000.0)),
                rng.choice((None, None, 0.0, 0.1, 0.3)),
            )
        )
    floor = rng.choice((-30000.0, -5000.0, 0.0, 4000.0))
    return PlanRequest(
        tuple(slots), rng.uniform(-10000, 40000), floor, rng.uniform(max(0.0, floor), 60000),
        rng.choice((0.0, 0.04)), rng.choice((1.0, 0.95)), rng.choice((1.0, 0.93)), rng.choice((1.0, 0.98)),
        rng.choice((0.0, 0.05)),
    )


def own_objective(request: PlanRequest, cost: float, end_wh: float) -> float:
    return cost - request.terminal_value_per_kwh * end_wh / 1000
