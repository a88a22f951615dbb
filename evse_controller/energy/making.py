"""From needs, site and tariff to a finished plan, and to the offer that a Scheduled EV is made of it: in small steps.

The offer's tuples: 1 holds the EV to the plan, 2 leaves it all that site and outlet can give, 3 is the plan of an EV
that gives nothing back. 2 and 3 are there only where they differ from 1.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from evse_controller.energy.back_office import OfficePlan
from evse_controller.energy.config import EnergyConfig
from evse_controller.energy.ev_offer import EvAsk
from evse_controller.energy.needs import StatedNeeds
from evse_controller.energy.offers import after_level, differs, tuple_steps
from evse_controller.energy.planner import Plan, PlanRequest, PlanSlot, charge_at_once, plan_steps
from evse_controller.energy.prices import Tariff
from evse_controller.energy.slots import replacement_price, reserve_from, slot_steps
from evse_controller.model.offer import OfferTuple, ScheduleOffer
from evse_controller.site import SiteOutlook

_UNKNOWN_NEED_WH = 1e7
_FEWEST_POINTS = 12  # MaximumSupportingPoints is 12..1024 in the schema
_MOST_POINTS = 1024
_PLAN, _WIDEST, _ONE_WAY = 1, 2, 3  # tuple ids


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a plan is made of. `moved_wh`: net energy at the outlet since the session began; `flowing`: energy flows
    already, nothing is left to wait for. `reason`: why this plan is made, in words for the event."""

    session: StatedNeeds
    moved_wh: float
    outlook: SiteOutlook | None
    tariff: Tariff
    flowing: bool
    ask: EvAsk | None
    reason: str
    office: OfficePlan | None = None


@dataclass(frozen=True, slots=True)
class Planned:
    anchor_utc_s: int
    slots: tuple[PlanSlot, ...]
    reserve_utc_s: float  # from here on until departure what is missing is charged at once
    plan: Plan
    offer: ScheduleOffer | None
    outlook: SiteOutlook | None
    led: bool  # its first slot waits for the first energy
    reason: str
    widest: OfferTuple | None = None  # all that site and outlet can give, offered or not

    def like(self, chosen: OfferTuple) -> OfferTuple:
        """What an EV that chose `chosen` from an older offer would choose from this one."""
        assert self.offer is not None
        if chosen.tuple_id == _WIDEST and self.widest is not None:
            return self.widest
        return next((entry for entry in self.offer.tuples if entry.tuple_id == chosen.tuple_id), self.offer.tuples[0])


def need_wh(session: StatedNeeds, moved_wh: float) -> float:
    """What must still be charged; negative: so much may be missing in the end."""
    unknown = session.needs.target_wh is None and session.needs.maximum_wh is None
    most = session.left(session.needs.maximum_wh, moved_wh, -math.inf)
    return session.left(session.needs.target_wh, moved_wh, _UNKNOWN_NEED_WH if unknown else most)


def missing_wh(session: StatedNeeds, moved_wh: float) -> float:
    """What must be charged for the need and for the minimum."""
    return max(need_wh(session, moved_wh), session.left(session.needs.minimum_wh, moved_wh, -math.inf))


def making_steps(
    config: EnergyConfig, given: Circumstances, utc_s: float, offer_id: int
) -> Generator[None, None, Planned]:
    """One plan from `utc_s` on, with an offer of this id in Scheduled mode."""
    session, moved_wh = given.session, given.moved_wh
    anchor = math.floor(utc_s)
    edge = session.edge(moved_wh)
    minimum = session.left(session.needs.minimum_wh, moved_wh, -math.inf)
    # Below the V2X window (but not below the minimum) nothing forces a charge, and nothing may be discharged.
    discharge = session.bidirectional and math.isfinite(edge) and (edge <= 0.0 or edge <= minimum)
    floor = edge if discharge else max(0.0, minimum)
    most = session.left(session.needs.maximum_wh, moved_wh, -math.inf)
    need = need_wh(session, moved_wh)
    ceiling = max(most, need, floor)
    # Before the first energy the cable is checked and pre-charged: a plan must not count on that time.
    lead_s = 0.0 if given.flowing else config.start_lead_s
    slots = yield from slot_steps(
        config, session, anchor, given.outlook, given.tariff, discharge, lead_s, given.ask, given.office
    )
    open_w = slots[0].max_charge_w
    if lead_s and len(slots) > 1:
        slots = (replace(slots[0], max_charge_w=0.0, max_discharge_w=0.0), *slots[1:])
    reserve = reserve_from(config, session)
    used = sum(start < reserve for start in _starts(anchor, slots))
    closed = [replace(slot, max_charge_w=0.0, max_discharge_w=0.0) for slot in slots[used:]]
    # A kWh left over is worth what the cheapest hour would replace it for (a touch less, so that it is not bought).
    cheapest = max(0.0, min(replacement_price(slot) for slot in slots))
    request = PlanRequest(
        (*slots[:used], *closed) if reserve > anchor + lead_s else slots,
        need,
        floor,
        ceiling,
        config.wear_per_kwh,
        config.charge_efficiency,
        config.discharge_efficiency,
        config.battery_efficiency,
        0.999 * cheapest / (config.charge_efficiency * config.battery_efficiency),
    )
    plan = yield from plan_steps(request)
    offer, widest = None, None
    if not session.needs.dynamic:
        caps = _caps_of_plan(plan, slots, used)
        if lead_s and len(slots) > 1:  # an EV that is ready sooner may begin
            caps[0][0], caps[1][0] = min(caps[0][1], open_w), caps[1][1]
        points = min(_MOST_POINTS, max(_FEWEST_POINTS, session.needs.max_supporting_points))
        tuples = [(yield from tuple_steps(_PLAN, slots, *caps, session.bidirectional, points))]
        charge_w = [open_w if lead_s and not index else slot.max_charge_w for index, slot in enumerate(slots)]
        discharge_w = after_level(slots, edge, config.battery_efficiency)
        widest = yield from tuple_steps(_WIDEST, slots, charge_w, discharge_w, session.bidirectional, points)
        if differs(plan, charge_at_once(request).powers_w):
            tuples.append(widest)
        if any(caps[1]):  # for an EV that would rather not give anything back
            calm = yield from plan_steps(
                replace(request, slots=tuple(replace(slot, max_discharge_w=0.0) for slot in request.slots))
            )
            caps = _caps_of_plan(calm, slots, used)
            if lead_s and len(slots) > 1:
                caps[0][0] = min(caps[0][1], open_w)
            tuples.append((yield from tuple_steps(_ONE_WAY, slots, *caps, session.bidirectional, points)))
        offer = ScheduleOffer(offer_id, anchor, given.tariff.currency, tuple(tuples))
    return Planned(anchor, slots, reserve, plan, offer, given.outlook, lead_s > 0, given.reason, widest)


def _caps_of_plan(plan: Plan, slots: Sequence[PlanSlot], used: int) -> tuple[list[float], list[float]]:
    """(charge, discharge) caps that hold the EV to the plan; in the reserve it may catch up."""
    charge_w = [max(0.0, power_w) for power_w in plan.powers_w]
    discharge_w = [max(0.0, -power_w) for power_w in plan.powers_w]
    charge_w[used:] = [slot.max_charge_w for slot in slots[used:]]
    return charge_w, discharge_w


def _starts(anchor_s: int, slots: Sequence[PlanSlot]) -> list[float]:
    return [anchor_s + before_s for before_s in accumulate((slot.duration_s for slot in slots[:-1]), initial=0.0)]
