"""Planner against an independent linear programme, and the manager's whole sessions on real prices.

`run(scale, seed)`: 10,000 random plans and 300 sessions at scale 1. A plan that differs by 1e-6 EUR, leaves a limit
or misses a reachable need stops the campaign with the seed of its case.
"""

from __future__ import annotations

import random
from dataclasses import replace

from evse_controller.energy.manager import EnergyConfig, EnergyManager
from evse_controller.energy.planner import plan
from evse_controller.energy.prices import Tariff, TariffTerms, packaged_day_ahead
from evse_controller.metering import SessionMeter, SettlementTerms, settle
from evse_controller.model.commands import EvDcLimits
from evse_controller.model.offer import EnergyNeeds
from evse_controller.model.snapshot import DcRatings
from evse_controller.site import SiteOutlook
from tests.energy.linear_programme import optimum, own_objective, random_request

_FIRST = 1724630400  # 2024-08-26T00:00:00Z
_RATINGS = DcRatings(920.0, 150.0, 60.0, 22000.0, 60.0, 22000.0)


def run(scale: float = 1.0, seed: int = 1) -> int:
    """Run and return the number of cases executed; AssertionError names the first case that fails."""
    plans, sessions = max(1, round(10_000 * scale)), max(1, round(300 * scale))
    worst = 0.0
    for case in range(plans):
        request = random_request(random.Random(f"plan {seed} {case}"))
        result = plan(request)
        gap = abs(own_objective(request, result.cost, result.energies_wh[-1]) - optimum(request))
        worst = max(worst, gap)
        assert gap <= 1e-6, f"plan case {seed}/{case}: {gap} EUR from the optimum"
    savings = [_session(random.Random(f"session {seed} {case}"), f"{seed}/{case}") for case in range(sessions)]
    mean = sum(savings) / sessions
    print(f"planner: {plans} plans, worst gap {worst:.1e} EUR; {sessions} sessions, mean saving {mean:.2f} EUR")
    return plans + sessions


def _session(rng: random.Random, name: str) -> float:
    """A dynamic session that follows its set-points minute by minute; returns its saving in EUR."""
    config = EnergyConfig(wear_per_kwh=rng.choice((0.0, 0.04)))
    tariff = Tariff(packaged_day_ahead(), TariffTerms(buy_surcharge_per_kwh=0.05, sell_fee_per_kwh=0.01))
    start = _FIRST + rng.randrange(0, 48) * 3600 + rng.randrange(60) * 60
    stay_s = rng.randrange(2, 20) * 3600
    low, target = rng.uniform(-20000, 0), rng.uniform(0, 40000)
    outlook = SiteOutlook(25000.0, rng.choice((0.0, 8000.0)), rng.uniform(-3000, 8000), 4000.0)
    ev = EvDcLimits(450.0, 250.0, 100.0, 0.0, 11000.0, 0.0, 100.0, 0.0, 10000.0, 0.0)
    needs = EnergyNeeds(True, 1024, float(start + stay_s), target, target + 10000, low, target + 10000, low)
    manager, meter = EnergyManager(config, tariff), SessionMeter("sim", 0.0, 0.0, float(start))
    manager.observe(outlook, start, 0.0)
    manager.request(needs, ev, _RATINGS, True, start)
    charged = discharged = stored = reach = 0.0
    building_w = outlook.building_w or 0.0
    room_w = min(11000.0, (25000.0 - building_w) * config.charge_efficiency)
    for second in range(start, start + stay_s, 60):
        moved = charged - discharged
        now = replace(
            needs, target_wh=target - stored, maximum_wh=target + 10000 - stored, minimum_wh=low - stored,
            v2x_minimum_wh=low - stored,
        )
        manager.update(now, ev, None, second, moved)
        manager.observe(outlook, second, moved)
        while manager.work(1.0):
            pass
        assert manager.problem is None, f"session case {name}: {manager.problem}"
        power_w = manager.wish(second).setpoint_w or 0.0
        ac_w = power_w / config.charge_efficiency if power_w > 0 else power_w * config.discharge_efficiency
        assert building_w + ac_w <= 25000.0 + 1e-3, f"session case {name}: import limit"
        assert power_w >= 0.0 or building_w + ac_w >= -outlook.export_limit_w - 1e-3, f"session case {name}: export"
        energy = abs(power_w) / 60
        charged, discharged = (charged + energy, discharged) if power_w > 0 else (charged, discharged + energy)
        stored += energy * config.battery_efficiency if power_w > 0 else -energy / config.battery_efficiency
        reach += room_w / 60 * config.battery_efficiency
        assert low - 20.0 <= stored <= target + 10020.0, f"session case {name}: energy window"
        meter.update(charged, discharged, second + 60.0, building_w, room_w)
    assert stored >= min(target, reach) - 50.0, f"session case {name}: need missed ({stored:.0f} of {target:.0f} Wh)"
    terms = SettlementTerms(
        config.charge_efficiency, config.discharge_efficiency, config.battery_efficiency, config.wear_per_kwh
    )
    result = settle(meter.samples, tariff, terms)
    assert result.saving >= -0.02, f"session case {name}: dearer than charging at once by {-result.saving:.2f}"
    return result.saving
