"""Holds what the car needs, plans in small steps beside the control loop, and says what it wants right now.

All times here are world time (`utc_s`), except the budget of `work`. Energies the EV states are relative to the
moment it states them; `moved_wh` (net energy at the outlet since the session began) carries them forward.

A minimum request above zero is charged first, whatever the price; what forbids discharge is in `energy.needs`. An
offer holds no discharge before its own charging could have reached that minimum, and the accepted schedule's
discharge ends by the meter where the minimum begins, whatever the schedule says.

The need is met a reserve (`EnergyConfig.reserve_s`) before departure, for cars, ramps, meters and drivers are never
exactly as planned. In the reserve nothing is discharged, and what is missing by the meter is charged at once: in
Dynamic mode by the set-point, in Scheduled mode by the caps, which are open then.

A Scheduled offer is made once and stands until the EV has chosen, so it is not made blind: while the building meter,
seen or just started, gives no load, the offer waits up to 5 s of control time (the EV is told Ongoing meanwhile). A
site that has had no load for longer is offered the failsafe share.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from evse_controller.energy.config import EnergyConfig
from evse_controller.energy.needs import StatedNeeds
from evse_controller.energy.offers import after_level, differs, power_at, tuple_steps
from evse_controller.energy.planner import Plan, PlanError, PlanRequest, PlanSlot, charge_at_once, plan_steps
from evse_controller.energy.prices import Tariff
from evse_controller.energy.slots import replacement_price, reserve_from, slot_steps
from evse_controller.model.commands import EvDcLimits
from evse_controller.model.limits import Limit
from evse_controller.model.offer import EnergyNeeds, OfferTuple, PowerProfile, ScheduleOffer
from evse_controller.model.snapshot import DcRatings
from evse_controller.model.wish import EnergyWish
from evse_controller.site import SiteOutlook

__all__ = ["EnergyConfig", "EnergyManager"]

_UNKNOWN_NEED_WH = 1e7
_FEWEST_POINTS = 12  # MaximumSupportingPoints is 12..1024 in the schema
_DYNAMIC_SETTLED_S = 10.0
_MOST_POINTS = 1024
_PATIENT_STEPS = 100  # control steps (20 Hz) for which a Scheduled offer waits for the building meter


@dataclass(frozen=True, slots=True)
class _Planned:
    anchor_utc_s: int
    slots: tuple[PlanSlot, ...]
    reserve_utc_s: float  # from here on until departure what is missing is charged at once
    plan: Plan
    offer: ScheduleOffer | None
    outlook: SiteOutlook | None
    led: bool  # its first slot waits for the first energy


class EnergyManager:
    """One car at one outlet. Call `observe` and `work` in every control step, `wish` when its answer is needed."""

    def __init__(self, config: EnergyConfig, tariff: Tariff) -> None:
        self.config = config
        self._tariff = tariff
        self._session: StatedNeeds | None = None
        self._soc: float | None = None
        self._outlook: SiteOutlook | None = None
        self._outlook_differs_since_s: float | None = None
        self._blind_steps = 0
        self._postponed = False
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
        return self._job is not None or self._postponed

    @property
    def renegotiate(self) -> bool:
        """A newer offer than the accepted one stands: the EV should be asked to renegotiate its schedule.

        For the session manager, which will notify ScheduleRenegotiation; until then the accepted caps keep ruling.
        """
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
        self._session = StatedNeeds(
            needs, moved_wh, ev_limits, ratings, bidirectional, self.config.battery_efficiency
        )
        self._moved_wh = moved_wh
        self._soc = needs.present_soc
        self._planned = None
        self._awaits_answer = not needs.dynamic
        self._job = None
        self._postponed = not needs.dynamic and 0 < self._blind_steps < _PATIENT_STEPS
        if not self._postponed:
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
        changed = session.changed(needs, moved_wh)
        self._session = replace(session, needs=needs, told_at_wh=moved_wh, ev=ev_limits)
        if changed and needs.dynamic:
            self._start(utc_s)

    def observe(self, outlook: SiteOutlook, utc_s: float, moved_wh: float) -> None:
        """The site's outlook of this moment. Starts a new plan at each slot in Dynamic mode, and in Scheduled mode
        when the schedule ended; in both when prices changed or site limits differ for long (Scheduled: a slot)."""
        self._outlook = outlook
        self._moved_wh = moved_wh
        self._blind_steps = self._blind_steps + 1 if outlook.building_w is None else 0
        if self._postponed and not 0 < self._blind_steps < _PATIENT_STEPS:
            self._postponed = False
            self._start(utc_s)
        planned, session = self._planned, self._session
        if planned is None or session is None or self._job is not None:
            return
        if self._awaits_answer:
            return  # the EV chooses among the tuples that it was told; news leads to a renegotiation after that
        if self._tariff_changed or self._outlook_changed_for_long(planned, utc_s):
            self._start(utc_s)
            return
        if session.needs.dynamic and planned.led and self._flowing:
            self._start(utc_s)  # energy flows: nothing is left to wait for
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
        self._awaits_answer = False
        self._postponed = False
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
        discharge_cap = _cap(chosen, "discharge", offset_s)
        forbidden = session.no_discharge(self._moved_wh, self._soc)
        if discharge_cap.value > 0.0 and forbidden is not None:
            discharge_cap = Limit(0.0, "minimum", f"no discharge: {forbidden}")
        return EnergyWish(charge_cap=_cap(chosen, "charge", offset_s), discharge_cap=discharge_cap, offer=offer)

    def _setpoint(self, session: StatedNeeds, utc_s: float) -> float | None:
        planned = self._planned
        if planned is None:
            return None
        offset_s = utc_s - planned.anchor_utc_s
        for slot, power_w in zip(planned.slots, planned.plan.powers_w, strict=True):
            if 0.0 <= offset_s < slot.duration_s:
                if utc_s >= planned.reserve_utc_s:
                    power_w = slot.max_charge_w if self._missing_wh(session) > 0.0 else 0.0
                if power_w < 0.0 and session.no_discharge(self._moved_wh, self._soc) is not None:
                    return 0.0
                if power_w > 0.0 and session.left(session.needs.maximum_wh, self._moved_wh, math.inf) <= 0.0:
                    return 0.0
                return power_w
            offset_s -= slot.duration_s
        return None

    def _need_wh(self, session: StatedNeeds) -> float:
        """What must still be charged; negative: so much may be missing in the end."""
        unknown = session.needs.target_wh is None and session.needs.maximum_wh is None
        most = session.left(session.needs.maximum_wh, self._moved_wh, -math.inf)
        return session.left(session.needs.target_wh, self._moved_wh, _UNKNOWN_NEED_WH if unknown else most)

    def _missing_wh(self, session: StatedNeeds) -> float:
        """What must be charged for the need and for the minimum."""
        return max(self._need_wh(session), session.left(session.needs.minimum_wh, self._moved_wh, -math.inf))

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
        self, session: StatedNeeds, utc_s: float, outlook: SiteOutlook | None, tariff: Tariff
    ) -> Generator[None, None, _Planned]:
        anchor = math.floor(utc_s)
        edge = session.edge(self._moved_wh)
        minimum = session.left(session.needs.minimum_wh, self._moved_wh, -math.inf)
        # Below the V2X window (but not below the minimum) nothing forces a charge, and nothing may be discharged.
        discharge = session.bidirectional and math.isfinite(edge) and (edge <= 0.0 or edge <= minimum)
        floor = edge if discharge else max(0.0, minimum)
        most = session.left(session.needs.maximum_wh, self._moved_wh, -math.inf)
        need = self._need_wh(session)
        ceiling = max(most, need, floor)
        # Before the first energy the cable is checked and pre-charged: a plan must not count on that time.
        lead_s = 0.0 if self._flowing else self.config.start_lead_s
        slots = yield from slot_steps(self.config, session, anchor, outlook, tariff, discharge, lead_s)
        open_w = slots[0].max_charge_w
        if lead_s and len(slots) > 1:
            slots = (replace(slots[0], max_charge_w=0.0, max_discharge_w=0.0), *slots[1:])
        config = self.config
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
        if session.needs.dynamic:
            return _Planned(anchor, slots, reserve, plan, None, outlook, lead_s > 0)
        points = min(_MOST_POINTS, max(_FEWEST_POINTS, session.needs.max_supporting_points))
        charge_w = [max(0.0, power_w) for power_w in plan.powers_w]
        discharge_w = [max(0.0, -power_w) for power_w in plan.powers_w]
        charge_w[used:] = [slot.max_charge_w for slot in slots[used:]]
        if lead_s and len(slots) > 1:  # an EV that is ready sooner may begin
            charge_w[0], discharge_w[0] = min(charge_w[1], open_w), discharge_w[1]
        tuples = [(yield from tuple_steps(1, slots, charge_w, discharge_w, session.bidirectional, points))]
        if differs(plan, charge_at_once(request).powers_w):
            charge_w = [open_w if lead_s and not index else slot.max_charge_w for index, slot in enumerate(slots)]
            discharge_w = after_level(slots, edge, config.battery_efficiency)
            tuples.append((yield from tuple_steps(2, slots, charge_w, discharge_w, session.bidirectional, points)))
        self._offer_id += 1
        offer = ScheduleOffer(self._offer_id, anchor, tariff.currency, tuple(tuples))
        return _Planned(anchor, slots, reserve, plan, offer, outlook, lead_s > 0)


def _starts(anchor_s: int, slots: Sequence[PlanSlot]) -> list[float]:
    return [anchor_s + before_s for before_s in accumulate((slot.duration_s for slot in slots[:-1]), initial=0.0)]


def _cap(chosen: OfferTuple, way: str, offset_s: float) -> Limit:
    slots = chosen.charging if way == "charge" else chosen.discharging
    found = None if slots is None else power_at(slots, offset_s)
    if found is None:
        why = "no discharge in the schedule" if slots is None else "outside the schedule's time"
        return Limit(0.0, "schedule", f"tuple {chosen.tuple_id}: {why}")
    power_w, start_s, end_s = found
    reason = f"tuple {chosen.tuple_id}: {way} {power_w:.0f} W from +{start_s:.0f} s to +{end_s:.0f} s"
    return Limit(power_w, "schedule", reason)
