"""The time ahead cut into slots of constant prices and limits, from tariff, site and what EV and EVSE can do."""

from __future__ import annotations

import math
from collections.abc import Generator

from evse_controller.energy.back_office import OfficePlan
from evse_controller.energy.config import EnergyConfig
from evse_controller.energy.ev_offer import EvAsk
from evse_controller.energy.needs import StatedNeeds
from evse_controller.energy.planner import PlanSlot
from evse_controller.energy.prices import Tariff
from evse_controller.site import SiteOutlook

_MOST_SLOTS = 512


def slot_steps(
    config: EnergyConfig,
    stated: StatedNeeds,
    anchor: int,
    outlook: SiteOutlook | None,
    tariff: Tariff,
    discharge: bool,
    lead_s: float,
    ask: EvAsk | None = None,
    office: OfficePlan | None = None,
) -> Generator[None, None, tuple[PlanSlot, ...]]:
    """Slots from `anchor` to departure, yielding after each. `lead_s` > 0 is a first slot of its own; one ends where
    the reserve before departure begins. `ask`: what the EV wants for what it gives, and how much it gives;
    `office`: the caps of a back office."""
    departure = stated.needs.departure_utc_s
    stay_s = config.default_stay_s if departure is None else round(departure) - anchor
    # A departure that has passed leaves one slot: whatever is missing is charged at once.
    horizon_s = min(config.max_horizon_s, _MOST_SLOTS * config.slot_s)
    end = anchor + min(horizon_s, stay_s if stay_s >= 60 else config.slot_s)
    reserve = reserve_from(config, stated)
    charge_w, discharge_w = stated.power_limits()
    slots: list[PlanSlot] = []
    start = anchor
    while start < end:
        grid = (start // config.slot_s + 1) * config.slot_s
        change = math.ceil(tariff.next_change(start))
        until = min(grid, end, change if change > start else grid)
        if office is not None:
            until = int(min(until, office.next_change(start)))
        if start < reserve < until:
            until = int(reserve)
        if start == anchor and 0 < lead_s < end - anchor:
            until = anchor + math.ceil(lead_s)  # one slot of its own, whatever boundaries it crosses
        building_w, import_w, export_w = _site_at(config, start, anchor, outlook, charge_w)
        capped = (math.inf, math.inf) if office is None else office.caps(start, until)
        given_w, per_kwh = (discharge_w, None) if ask is None else ask.within(start, until)
        slots.append(
            PlanSlot(
                float(until - start),
                tariff.buy(start),
                tariff.sell(start),
                min(charge_w, import_w * config.charge_efficiency, capped[0]),
                min(discharge_w, given_w, export_w / config.discharge_efficiency, capped[1]) if discharge else 0.0,
                building_w,
                per_kwh,
            )
        )
        start = until
        yield
    return tuple(slots)


def reserve_from(config: EnergyConfig, stated: StatedNeeds) -> float:
    """When the reserve before departure begins, in whole seconds; never, when no departure is known."""
    departure = stated.needs.departure_utc_s
    return math.inf if departure is None else float(math.floor(departure - config.reserve_s))


def _site_at(
    config: EnergyConfig, start: int, anchor: int, outlook: SiteOutlook | None, charge_w: float
) -> tuple[float, float, float]:
    """(building load, import room, export room) in W AC for the slot at `start`."""
    if outlook is None:  # no site known: its guard clips charging; export is denied by default
        return 0.0, charge_w / config.charge_efficiency, 0.0
    if outlook.building_w is None:
        return 0.0, min(outlook.failsafe_import_w, outlook.import_limit_w), 0.0
    building_w = outlook.building_w
    after_s = (start - anchor) / config.world_speed
    import_w = _then(outlook.import_limit_w, outlook.import_later, after_s)
    export_w = _then(outlook.export_limit_w, outlook.export_later, after_s)
    profile = config.building_profile_w
    if profile is not None and start > anchor:
        building_w = profile[start // 3600 % 24]
    return building_w, max(0.0, import_w - building_w), max(0.0, export_w + building_w)


def _then(limit_w: float, later: tuple[tuple[float, float], ...], after_s: float) -> float:
    """The limit `after_s` of control time from now: what held at a slot's start is the tightest within it."""
    for in_s, value_w in later:
        if after_s >= in_s:
            limit_w = value_w
    return limit_w


def replacement_price(slot: PlanSlot) -> float:
    """What the first kWh charged in this slot costs at the grid connection: a surplus only its lost sale."""
    return min(slot.buy_per_kwh, slot.sell_per_kwh) if slot.building_w < 0.0 else slot.buy_per_kwh
