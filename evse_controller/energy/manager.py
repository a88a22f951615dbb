"""Holds what the car needs, plans in small steps beside the control loop, and says what it wants right now.

All times here are world time (`utc_s`), except the budget of `work`. Energies the EV states are relative to the
moment it states them; `moved_wh` (net energy at the outlet since the session began) carries them forward.

Discharge (`EnergyNeeds`): the battery is never planned below the higher of EVMinimumEnergyRequest and
EVMinimumV2XEnergyRequest (the lower edge of the V2X window); while that edge is not below the present level there is
no discharge at all. An EV that states neither may give back only what it took in this session. A minimum request
above zero is charged first, whatever the price.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace

from evse_controller.energy.offers import differs, power_at, tuple_steps
from evse_controller.energy.planner import Plan, PlanError, PlanRequest, PlanSlot, charge_at_once, plan_steps
from evse_controller.energy.prices import Tariff
from evse_controller.model.commands import EvDcLimits
from evse_controller.model.limits import Limit
from evse_controller.model.offer import EnergyNeeds, OfferTuple, PowerProfile, ScheduleOffer
from evse_controller.model.snapshot import DcRatings
from evse_controller.model.wish import EnergyWish
from evse_controller.site import SiteOutlook

_UNKNOWN_NEED_WH = 1e7
_FEWEST_POINTS = 12  # MaximumSupportingPoints is 12..1024 in the schema
_DYNAMIC_SETTLED_S = 10.0
_MOST_POINTS = 1024
_MOST_SLOTS = 512


@dataclass(frozen=True, slots=True)
class EnergyConfig:
    """How to plan. `building_profile_w`: 24 values, the building's usual load by hour of the UTC day; None: as now.

    `start_lead_s`: world time from a schedule request to the first energy (cable check and pre-charge).
    """

    slot_s: int = 900
    default_stay_s: int = 8 * 3600
    max_horizon_s: int = 36 * 3600
    wear_per_kwh: float = 0.04
    charge_efficiency: float = 0.95
    discharge_efficiency: float = 0.95
    battery_efficiency: float = 0.98
    building_profile_w: tuple[float, ...] | None = None
    start_lead_s: float = 0.0

    def __post_init__(self) -> None:
        if not 60 <= self.slot_s <= 3600:
            raise ValueError(f"slot_s must be 60..3600, got {self.slot_s}")
        for name in ("default_stay_s", "max_horizon_s"):
            if getattr(self, name) < self.slot_s:
                raise ValueError(f"{name} must be at least slot_s, got {getattr(self, name)}")
        for name in ("charge_efficiency", "discharge_efficiency", "battery_efficiency"):
            if not 0.0 < getattr(self, name) <= 1.0:
                raise ValueError(f"{name} must be above 0 and at most 1, got {getattr(self, name)}")
        if not 0.0 <= self.wear_per_kwh < math.inf:
            raise ValueError(f"wear_per_kwh must be >= 0, got {self.wear_per_kwh}")
        if self.building_profile_w is not None and len(self.building_profile_w) != 24:
            raise ValueError(f"building_profile_w needs 24 values, got {len(self.building_profile_w)}")


@dataclass(frozen=True, slots=True)
class _Session:
    needs: EnergyNeeds
    told_at_wh: float
    ev: EvDcLimits
    ratings: DcRatings
    bidirectional: bool


@dataclass(frozen=True, slots=True)
class _Planned:
    anchor_utc_s: int
    slots: tuple[PlanSlot, ...]
    plan: Plan
    offer: ScheduleOffer | None
    outlook: SiteOutlook | None


class EnergyManager:
    """One car at one outlet. Call `observe` and `work` in every control step, `wish` when its answer is needed."""

    def __init__(self, config: EnergyConfig, tariff: Tariff) -> None:
        self.config = config
        self._tariff = tariff
        self._session: _Session | None = None
        self._soc: float | None = None
        self._outlook: SiteOutlook | None = None
        self._outlook_differs_since_s: float | None = None
        self._moved_wh = 0.0
        self._job: Generator[None, None, _Planned] | None = None
        self._planned: _Planned | None = None
        self._accepted: tuple[ScheduleOffer, OfferTuple] | None = None
        self._awaits_answer = False
        self._tariff_changed = False
        self._flowing = False
        self._offer_id = 0
        self.problem: str | None = None

    @property
    def plan(self) -> Plan | None:
        """The newest finished plan; its first slot starts at `plan_anchor_utc_s`."""
        return None if self._planned is None else self._planned.plan

    @property
    def plan_anchor_utc_s(self) -> int | None:
        return None if self._planned is None else self._planned.anchor_utc_s

    @property
    def planning(self) -> bool:
        return self._job is not None

    @property
    def renegotiate(self) -> bool:
        """A newer offer than the accepted one stands: the EV should be asked to renegotiate its schedule."""
        offer = None if self._planned is None else self._planned.offer
        return self._accepted is not None and offer is not None and offer.offer_id != self._accepted[0].offer_id

    def request(
        self,
        needs: EnergyNeeds,
        ev_limits: EvDcLimits,
        ratings: DcRatings,
        bidirectional: bool,
        utc_s: float,
        moved_wh: float = 0.0,
    ) -> None:
        """The EV wants a (new) schedule: plan anew. Until done `wish` has no new offer; accepted caps keep ruling."""
        self._session = _Session(needs, moved_wh, ev_limits, ratings, bidirectional)
        self._moved_wh = moved_wh
        self._soc = needs.present_soc
        self._planned = None
        self._awaits_answer = not needs.dynamic
        self._start(utc_s)

    def update(
        self, needs: EnergyNeeds | None, ev_limits: EvDcLimits, soc: float | None, utc_s: float, moved_wh: float
    ) -> None:
        """News from the charge loop. Replans at once when departure or remaining need changed on the EV's side."""
        session = self._session
        if session is None:
            return
        self._moved_wh = moved_wh
        self._soc = soc if soc is not None else self._soc
        if needs is None:
            self._session = replace(session, ev=ev_limits)
            return
        changed = self._changed(session, needs)
        self._session = replace(session, needs=needs, told_at_wh=moved_wh, ev=ev_limits)
        if changed and needs.dynamic:
            self._start(utc_s)

    def observe(self, outlook: SiteOutlook, utc_s: float, moved_wh: float) -> None:
        """The site's outlook of this moment. Starts a new plan at each slot in Dynamic mode, and in Scheduled mode
        when the schedule ended; in both when prices changed or site limits differ for long (Scheduled: a slot)."""
        self._outlook = outlook
        self._moved_wh = moved_wh
        planned, session = self._planned, self._session
        if planned is None or session is None or self._job is not None:
            return
        if self._awaits_answer:
            return  # the EV chooses among the tuples that it was told; news leads to a renegotiation after that
        if self._tariff_changed or self._outlook_changed_for_long(planned, utc_s):
            self._start(utc_s)
            return
        first_s = planned.slots[0].duration_s
        valid_s = first_s if session.needs.dynamic else sum(slot.duration_s for slot in planned.slots)
        if not 0.0 <= utc_s - planned.anchor_utc_s < valid_s and (session.needs.dynamic or self._accepted is not None):
            self._start(utc_s)

    def set_tariff(self, tariff: Tariff) -> None:
        """New prices: planned with from the next `observe`."""
        self._tariff = tariff
        self._tariff_changed = True

    def work(self, budget_s: float = 0.0005, clock: Callable[[], float] = time.perf_counter) -> bool:
        """Plan for about `budget_s` of real time; true while work is left. A refused request shows in `problem`."""
        if self._job is None:
            return False
        until = clock() + budget_s
        while True:
            try:
                next(self._job)
            except StopIteration as done:
                self._planned = done.value
                self._job = None
                self.problem = None
                return False
            except PlanError as error:
                self._job = None
                self.problem = f"no plan: {error}"
                return False
            if clock() >= until:
                return True

    def accepted(self, profile: PowerProfile | None) -> None:
        """Energy starts under the newest offer (Scheduled). Raises ValueError for a tuple that was not offered."""
        self._flowing = True
        offer = None if self._planned is None else self._planned.offer
        if offer is None:
            return
        self._awaits_answer = False
        wanted = None if profile is None else profile.tuple_id
        for candidate in offer.tuples:
            if wanted is None or candidate.tuple_id == wanted:
                self._accepted = (offer, candidate)
                return
        raise ValueError(f"schedule tuple {wanted} was not offered (offer {offer.offer_id})")

    def end(self) -> None:
        """The session is over: forget the car."""
        self._session = None
        self._planned = None
        self._accepted = None
        self._flowing = False
        self._job = None
        self._soc = None
        self._moved_wh = 0.0
        self._outlook_differs_since_s = None

    def wish(self, utc_s: float) -> EnergyWish:
        """What the outlet should do at `utc_s`: a set-point (Dynamic), or the accepted caps and the offer."""
        session = self._session
        if session is None:
            return EnergyWish()
        if session.needs.dynamic:
            return EnergyWish(setpoint_w=self._setpoint(session, utc_s))
        offer = None if self._planned is None else self._planned.offer
        if self._accepted is None:
            return EnergyWish(offer=offer)
        accepted_offer, chosen = self._accepted
        offset_s = utc_s - accepted_offer.anchor_utc_s
        return EnergyWish(
            charge_cap=_cap(chosen, "charge", offset_s),
            discharge_cap=_cap(chosen, "discharge", offset_s),
            offer=offer,
        )

    def _setpoint(self, session: _Session, utc_s: float) -> float | None:
        planned = self._planned
        if planned is None:
            return None
        offset_s = utc_s - planned.anchor_utc_s
        for slot, power_w in zip(planned.slots, planned.plan.powers_w, strict=True):
            if 0.0 <= offset_s < slot.duration_s:
                if power_w < 0.0 and not self._may_discharge_now(session):
                    return 0.0
                if power_w > 0.0 and self._left(session, session.needs.maximum_wh, math.inf) <= 0.0:
                    return 0.0
                return power_w
            offset_s -= slot.duration_s
        return None

    def _may_discharge_now(self, session: _Session) -> bool:
        if not session.bidirectional or self._edge(session) >= 0.0:
            return False
        floor = session.needs.minimum_soc
        return not (self._soc is not None and floor is not None and self._soc <= floor)

    def _stored(self, moved_wh: float) -> float:
        battery = self.config.battery_efficiency
        return moved_wh * battery if moved_wh > 0.0 else moved_wh / battery

    def _left(self, session: _Session, stated_wh: float | None, otherwise: float) -> float:
        """A stated energy, carried forward by what moved since."""
        if stated_wh is None:
            return otherwise
        return stated_wh - self._stored(self._moved_wh - session.told_at_wh)

    def _edge(self, session: _Session) -> float:
        """Energy (relative to now) below which the battery may not be discharged."""
        stated = [x for x in (session.needs.minimum_wh, session.needs.v2x_minimum_wh) if x is not None]
        if stated:
            return self._left(session, max(stated), 0.0)
        return -self._stored(max(0.0, self._moved_wh))

    def _changed(self, session: _Session, needs: EnergyNeeds) -> bool:
        old = session.needs
        if (old.departure_utc_s is None) != (needs.departure_utc_s is None):
            return True
        # The wire carries whole seconds relative to a message: only more than a minute is news.
        if abs((old.departure_utc_s or 0.0) - (needs.departure_utc_s or 0.0)) > 60.0:
            return True
        pairs = (
            (old.target_wh, needs.target_wh),
            (old.minimum_wh, needs.minimum_wh),
            (old.v2x_minimum_wh, needs.v2x_minimum_wh),
        )
        for before, now in pairs:
            if (before is None) != (now is None):
                return True
            if now is not None and abs(self._left(session, before, 0.0) - now) > 500.0:
                return True
        return False

    def _outlook_changed_for_long(self, planned: _Planned, utc_s: float) -> bool:
        now, then = self._outlook, planned.outlook
        if now is None or then is None:
            return now is not then
        same = (
            abs(now.import_limit_w - then.import_limit_w) <= 100.0
            and abs(now.export_limit_w - then.export_limit_w) <= 100.0
            and (now.building_w is None) == (then.building_w is None)
        )
        if same:
            self._outlook_differs_since_s = None
            return False
        dynamic = self._session is not None and self._session.needs.dynamic
        if dynamic and then.building_w is None:
            return True  # planned blind, with the failsafe share only
        if self._outlook_differs_since_s is None:
            self._outlook_differs_since_s = utc_s
        # A new plan costs nothing in Dynamic mode; in Scheduled mode it is a renegotiation.
        return utc_s - self._outlook_differs_since_s > (_DYNAMIC_SETTLED_S if dynamic else self.config.slot_s)

    def _start(self, utc_s: float) -> None:
        if self._session is not None:
            self._job = self._job_steps(self._session, utc_s, self._outlook, self._tariff)
            self._tariff_changed = False
            self._outlook_differs_since_s = None

    def _job_steps(
        self, session: _Session, utc_s: float, outlook: SiteOutlook | None, tariff: Tariff
    ) -> Generator[None, None, _Planned]:
        anchor = math.floor(utc_s)
        edge = self._edge(session)
        minimum = self._left(session, session.needs.minimum_wh, -math.inf)
        # Below the V2X window (but not below the minimum) nothing forces a charge, and nothing may be discharged.
        discharge = session.bidirectional and (edge <= 0.0 or edge <= minimum)
        floor = edge if discharge else max(0.0, minimum)
        unknown = session.needs.target_wh is None and session.needs.maximum_wh is None
        most = self._left(session, session.needs.maximum_wh, -math.inf)
        need = self._left(session, session.needs.target_wh, _UNKNOWN_NEED_WH if unknown else most)
        ceiling = max(most, need, floor)
        # Before the first energy the cable is checked and pre-charged: a plan must not count on that time.
        lead_s = 0.0 if self._flowing else self.config.start_lead_s
        slots = yield from self._slot_steps(session, anchor, outlook, tariff, discharge, lead_s)
        open_w = slots[0].max_charge_w
        if lead_s and len(slots) > 1:
            slots = (replace(slots[0], max_charge_w=0.0, max_discharge_w=0.0), *slots[1:])
        config = self.config
        # A kWh left over is worth what the cheapest hour would replace it for (a touch less, so that it is not bought).
        cheapest = max(0.0, min(_replacement_price(slot) for slot in slots))
        request = PlanRequest(
            slots,
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
        if session.needs.dynamic:
            return _Planned(anchor, slots, plan, None, outlook)
        points = min(_MOST_POINTS, max(_FEWEST_POINTS, session.needs.max_supporting_points))
        charge_w = [max(0.0, power_w) for power_w in plan.powers_w]
        discharge_w = [max(0.0, -power_w) for power_w in plan.powers_w]
        if lead_s and len(slots) > 1:  # an EV that is ready sooner may begin
            charge_w[0], discharge_w[0] = min(charge_w[1], open_w), discharge_w[1]
        tuples = [(yield from tuple_steps(1, slots, charge_w, discharge_w, session.bidirectional, points))]
        if differs(plan, charge_at_once(request).powers_w):
            charge_w = [open_w if lead_s and not index else slot.max_charge_w for index, slot in enumerate(slots)]
            discharge_w = [slot.max_discharge_w for slot in slots]
            tuples.append((yield from tuple_steps(2, slots, charge_w, discharge_w, session.bidirectional, points)))
        self._offer_id += 1
        offer = ScheduleOffer(self._offer_id, anchor, tariff.currency, tuple(tuples))
        return _Planned(anchor, slots, plan, offer, outlook)

    def _slot_steps(
        self,
        session: _Session,
        anchor: int,
        outlook: SiteOutlook | None,
        tariff: Tariff,
        discharge: bool,
        lead_s: float,
    ) -> Generator[None, None, tuple[PlanSlot, ...]]:
        config, departure = self.config, session.needs.departure_utc_s
        stay_s = config.default_stay_s if departure is None else round(departure) - anchor
        # A departure that has passed leaves one slot: whatever is missing is charged at once.
        horizon_s = min(config.max_horizon_s, _MOST_SLOTS * config.slot_s)
        end = anchor + min(horizon_s, stay_s if stay_s >= 60 else config.slot_s)
        charge_w, discharge_w = _power_limits(session)
        slots: list[PlanSlot] = []
        start = anchor
        while start < end:
            grid = (start // config.slot_s + 1) * config.slot_s
            change = math.ceil(tariff.next_change(start))
            until = min(grid, end, change if change > start else grid)
            if start == anchor and 0 < lead_s < end - anchor:
                until = anchor + math.ceil(lead_s)  # one slot of its own, whatever boundaries it crosses
            building_w, import_w, export_w = self._site_at(start, anchor, outlook, charge_w)
            slots.append(
                PlanSlot(
                    float(until - start),
                    tariff.buy(start),
                    tariff.sell(start),
                    min(charge_w, import_w * config.charge_efficiency),
                    min(discharge_w, export_w / config.discharge_efficiency) if discharge else 0.0,
                    building_w,
                )
            )
            start = until
            yield
        return tuple(slots)

    def _site_at(
        self, start: int, anchor: int, outlook: SiteOutlook | None, charge_w: float
    ) -> tuple[float, float, float]:
        """(building load, import room, export room) in W AC for the slot at `start`."""
        if outlook is None:  # no site known: its guard clips charging; export is denied by default
            return 0.0, charge_w / self.config.charge_efficiency, 0.0
        if outlook.building_w is None:
            return 0.0, min(outlook.failsafe_import_w, outlook.import_limit_w), 0.0
        building_w = outlook.building_w
        profile = self.config.building_profile_w
        if profile is not None and start > anchor:
            building_w = profile[start // 3600 % 24]
        return building_w, max(0.0, outlook.import_limit_w - building_w), max(0.0, outlook.export_limit_w + building_w)


def _power_limits(session: _Session) -> tuple[float, float]:
    """(charge, discharge) power that EV and EVSE can do at the outlet."""
    ev, evse = session.ev, session.ratings
    charge_w = min(ev.max_charge_power_w, ev.max_charge_current_a * ev.max_voltage_v, evse.max_charge_power_w)
    stated = []
    if ev.max_discharge_power_w is not None:
        stated.append(ev.max_discharge_power_w)
    if ev.max_discharge_current_a is not None:
        stated.append(ev.max_discharge_current_a * ev.max_voltage_v)
    if not stated:
        return charge_w, 0.0
    return charge_w, min(*stated, evse.max_discharge_power_w)


def _replacement_price(slot: PlanSlot) -> float:
    """What the first kWh charged in this slot costs at the grid connection: a surplus only its lost sale."""
    return min(slot.buy_per_kwh, slot.sell_per_kwh) if slot.building_w < 0.0 else slot.buy_per_kwh


def _cap(chosen: OfferTuple, way: str, offset_s: float) -> Limit:
    slots = chosen.charging if way == "charge" else chosen.discharging
    found = None if slots is None else power_at(slots, offset_s)
    if found is None:
        why = "no discharge in the schedule" if slots is None else "outside the schedule's time"
        return Limit(0.0, "schedule", f"tuple {chosen.tuple_id}: {why}")
    power_w, start_s, end_s = found
    reason = f"tuple {chosen.tuple_id}: {way} {power_w:.0f} W from +{start_s:.0f} s to +{end_s:.0f} s"
    return Limit(power_w, "schedule", reason)
