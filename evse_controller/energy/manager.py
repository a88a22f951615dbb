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
site that has had no load for longer is offered the failsafe share. Whoever else negotiates for the site (a back office)
may hold the offer for `EnergyConfig.back_office_wait_s` of control time; plans stay inside what it delivers.

After that the accepted caps rule. What changes the plan for good (site limits for more than a slot, prices, what the EV
needs, an EV that keeps to no plan) makes a new one, from what has been delivered by then; when it differs from the
accepted one `renegotiation` says that the EV should ask for it, and not more often than the configured gap.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator
from dataclasses import replace

from evse_controller.energy.back_office import OfficePlan
from evse_controller.energy.config import EnergyConfig
from evse_controller.energy.ev_offer import EvAsk
from evse_controller.energy.making import Circumstances, Planned, making_steps, missing_wh
from evse_controller.energy.needs import StatedNeeds
from evse_controller.energy.offers import cap_of, news_in
from evse_controller.energy.planner import Plan, PlanError
from evse_controller.energy.prices import Tariff
from evse_controller.energy.renegotiation import Asking, ProfileKept, Renegotiation
from evse_controller.model.commands import EvLimits
from evse_controller.model.limits import Limit
from evse_controller.model.offer import EnergyNeeds, EnergyOffer, OfferTuple, PowerProfile, ScheduleOffer
from evse_controller.model.snapshot import AcRatings, DcRatings
from evse_controller.model.wish import EnergyWish
from evse_controller.site import SiteOutlook

__all__ = ["EnergyConfig", "EnergyManager", "Renegotiation"]

_DYNAMIC_SETTLED_S = 10.0
_PATIENT_STEPS = 100  # control steps (20 Hz) for which a Scheduled offer waits for the building meter
_STEP_S = 0.05
_LOCAL_OFFER = 0  # the session's own, made without us
_MOST_OFFERS = 8
_MORE_W = 500.0


class EnergyManager:
    """One car at one outlet. Call `observe` and `work` in every control step, `wish` when its answer is needed."""

    def __init__(self, config: EnergyConfig, tariff: Tariff) -> None:
        self.config = config
        self._tariff = tariff
        self._session: StatedNeeds | None = None
        self._ask: EvAsk | None = None
        self._soc: float | None = None
        self.driver_minimum_soc: float | None = None
        self._outlook: SiteOutlook | None = None
        self._outlook_differs_since_s: float | None = None
        self._blind_steps = 0
        self._postponed = False
        self._held: str | None = None
        self._held_steps = 0
        self._most_held_steps = round(config.back_office_wait_s / _STEP_S)
        self.office_plan: OfficePlan | None = None
        self._utc_s = 0.0
        self._moved_wh = 0.0
        self._job: Generator[None, None, Planned] | None = None
        self._planned: Planned | None = None
        self._offers: dict[int, ScheduleOffer] = {}
        self._accepted: tuple[ScheduleOffer, OfferTuple] | None = None
        self._local = False
        self._kept: ProfileKept | None = None
        self._asking = Asking(config.renegotiation_gap_s)
        self._outdated = False
        self._awaits_answer = False
        self._most_w = 0.0  # what EV and outlet could do when the plan was asked for
        self._news: str | None = None
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
    def _holds(self) -> bool:
        """Whether an offer waits for who negotiates for the site."""
        return self._held is not None and self._awaits_answer and self._held_steps < self._most_held_steps

    @property
    def held_s(self) -> float | None:
        """For how long the EV waits for that already; None: it does not."""
        return self._held_steps * _STEP_S if self._holds else None

    @property
    def renegotiation(self) -> Renegotiation | None:
        """A better offer than the accepted one stands: the EV should be asked to renegotiate its schedule.

        For who talks to the EV, once per `number`; until the EV has accepted a new schedule the old caps keep ruling.
        """
        return self._asking.current

    @property
    def renegotiate(self) -> bool:
        return self._asking.current is not None

    def request(
        self,
        needs: EnergyNeeds,
        ev_limits: EvLimits,
        ratings: DcRatings | AcRatings,
        bidirectional: bool,
        utc_s: float,
        moved_wh: float = 0.0,
        ev_offer: EnergyOffer | None = None,
        renegotiation: bool = False,
    ) -> None:
        """The EV wants a (new) schedule: plan anew. Until done `wish` has no new offer; accepted caps keep ruling.

        `renegotiation`: what a Scheduled EV does not state again holds on, less what was delivered; in Dynamic mode
        the old plan rules until the new one is there. `ev_offer`: what the EV would sell; it discharges nothing else.
        """
        before = self._session if renegotiation else None
        if before is not None and not needs.dynamic:
            needs = before.carried(needs, moved_wh)
        self._session = StatedNeeds(
            needs, moved_wh, ev_limits, ratings, bidirectional, self.config.battery_efficiency
        )
        self._most_w = self._session.power_limits()[0]
        if before is not None:  # the loop may have shown that it can do more than it said at first
            seen = replace(self._session, ev=before.ev)
            if seen.power_limits()[0] > self._most_w:
                self._session, self._most_w = seen, seen.power_limits()[0]
        if ev_offer is not None or not renegotiation:
            self._ask = None if ev_offer is None else EvAsk(ev_offer, self._tariff.currency)
        self._utc_s, self._moved_wh = utc_s, moved_wh
        self._soc = needs.present_soc if needs.present_soc is not None or not renegotiation else self._soc
        if not (renegotiation and needs.dynamic):
            self._planned = None
        self._awaits_answer = not needs.dynamic
        self._outdated = False
        self._asking.wanted(None, utc_s)
        self._job = None
        self._held_steps = 0
        self._postponed = not needs.dynamic and 0 < self._blind_steps < _PATIENT_STEPS
        if not self._postponed:
            self._start(utc_s, "the EV asks for a new schedule" if renegotiation else "the EV asks")

    def hold_offer(self, reason: str | None) -> None:
        """Whoever negotiates for the site: Scheduled offers wait (the EV is told Ongoing) until None, or too long."""
        released = self._held is not None and reason is None
        unseen = self._holds
        self._held = reason
        if released and unseen:
            self._planned = None  # made before it was settled
            self._start(self._utc_s, "the site has settled")  # nobody has seen the offer that was held

    def update(
        self, needs: EnergyNeeds | None, ev_limits: EvLimits, soc: float | None, utc_s: float, moved_wh: float
    ) -> None:
        """News from the charge loop. Replans when departure or remaining need changed on the EV's side."""
        session = self._session
        if session is None:
            return
        self._utc_s, self._moved_wh = utc_s, moved_wh
        self._soc = soc if soc is not None else self._soc
        most_w = replace(session, ev=ev_limits).power_limits()[0]
        if most_w > self._most_w + _MORE_W:
            self._most_w, self._news = most_w, "the EV can take more than it seemed"
        if needs is None:
            self._session = replace(session, ev=ev_limits)
            return
        if not needs.dynamic:
            needs = session.carried(needs, moved_wh)
        changed = session.changed(needs, moved_wh)
        self._session = replace(session, needs=needs, told_at_wh=moved_wh, ev=ev_limits)
        if changed and (needs.dynamic or (self._accepted is not None and not self._awaits_answer)):
            self._start(utc_s, "the EV needs something else")

    def observe(self, outlook: SiteOutlook, utc_s: float, moved_wh: float) -> None:
        """The site's outlook of this moment. Starts a new plan at each slot in Dynamic mode, and in Scheduled mode
        when the schedule ended; in both when prices changed or site limits differ for long (Scheduled: a slot)."""
        self._outlook = outlook
        self._utc_s, self._moved_wh = utc_s, moved_wh
        self._blind_steps = self._blind_steps + 1 if outlook.building_w is None else 0
        self._held_steps += self._held is not None and self._awaits_answer
        if self._postponed and not 0 < self._blind_steps < _PATIENT_STEPS:
            self._postponed = False
            self._start(utc_s, "the EV asks")
        planned, session = self._planned, self._session
        if planned is None or session is None or self._job is not None:
            return
        if self._awaits_answer:
            return  # the EV chooses among the tuples that it was told; news leads to a renegotiation after that
        reason = self._out_of_date(planned, session, utc_s)
        if reason is not None:
            self._start(utc_s, reason)
        elif self._outdated and self._asking.due(utc_s):
            self._compare()

    def _out_of_date(self, planned: Planned, session: StatedNeeds, utc_s: float) -> str | None:
        """Why a new plan is due, None while the newest one is good."""
        if self._news is not None:
            return self._news
        if self._outlook_changed_for_long(planned, utc_s):
            return "the site's limits changed"
        if session.needs.dynamic and planned.led and self._flowing:
            return "energy flows: nothing is left to wait for"
        if self._kept is not None and (off := self._kept.deviation(utc_s, self._moved_wh)) is not None:
            self._kept.restart(utc_s, self._moved_wh)
            return off
        first_s = planned.slots[0].duration_s
        valid_s = first_s if session.needs.dynamic else sum(slot.duration_s for slot in planned.slots)
        if not 0.0 <= utc_s - planned.anchor_utc_s < valid_s and (session.needs.dynamic or self._accepted is not None):
            return "the plan ended"
        return None

    def _compare(self) -> None:
        """Whether the newest offer is worth a renegotiation. What the gap forbids to ask now is asked after it."""
        planned = self._planned
        if planned is None or planned.offer is None or self._awaits_answer:
            return
        news = None
        if self._local:
            news = "a plan is there in place of the local schedule"
        elif self._accepted is not None and self._accepted[0].offer_id != planned.offer.offer_id:
            told, chosen = self._accepted
            ends_s = planned.anchor_utc_s + sum(slot.duration_s for slot in planned.slots)
            new = planned.like(chosen)
            news = news_in(new, planned.anchor_utc_s, chosen, told.anchor_utc_s, self._utc_s, ends_s)
            news = None if news is None else f"{planned.reason}: {news}"
        self._outdated = news is not None
        self._asking.wanted(news, self._utc_s)

    def set_tariff(self, tariff: Tariff) -> None:
        """New prices: planned with from the next `observe`."""
        self._tariff = tariff
        self._news = "prices changed"

    def set_office_plan(self, plan: OfficePlan | None) -> None:
        """What a back office has settled on, None: nothing any more. Planned with from the next `observe`."""
        if plan != self.office_plan:
            self.office_plan = plan
            self._news = "the back office has another plan"

    def work(self, budget_s: float = 0.0005, clock: Callable[[], float] = time.perf_counter) -> bool:
        """Plan for about `budget_s` of real time; true while work is left. A refused request shows in `problem`."""
        if self._job is None:
            return False
        until = clock() + budget_s
        while True:
            try:
                next(self._job)
            except StopIteration as done:
                self._finished(done.value)
                return False
            except PlanError as error:
                self._job = None
                self.problem = f"no plan: {error}"
                return False
            if clock() >= until:
                return True

    def _finished(self, planned: Planned) -> None:
        self._planned, self._job = planned, None
        self.problem = None if self._ask is None else self._ask.problem
        if planned.offer is not None:
            self._offer_id = planned.offer.offer_id
            self._offers[self._offer_id] = planned.offer
            if len(self._offers) > _MOST_OFFERS:
                keep = None if self._accepted is None else self._accepted[0].offer_id
                del self._offers[next(offer_id for offer_id in self._offers if offer_id != keep)]
            self._compare()

    def accepted(self, profile: PowerProfile | None) -> None:
        """Energy starts under an offer of ours (Scheduled): the one that the profile names, else the newest.

        Raises ValueError for a tuple that was not offered. By the session's own local schedule no caps of ours rule.
        """
        self._flowing = True
        session = self._session
        if session is None or session.needs.dynamic:
            return
        offer_id = None if profile is None else profile.offer_id
        if offer_id == _LOCAL_OFFER:
            self._accepted, self._kept, self._local, self._awaits_answer = None, None, True, False
            self._outdated = True
            return
        newest = None if self._planned is None else self._planned.offer
        offer = newest if offer_id is None else self._offers.get(offer_id)
        if offer is None:
            if offer_id is None:
                return
            raise ValueError(f"offer {offer_id} is not one of this session")
        wanted = None if profile is None else profile.tuple_id
        chosen = next((entry for entry in offer.tuples if wanted is None or entry.tuple_id == wanted), None)
        if chosen is None:
            raise ValueError(f"schedule tuple {wanted} was not offered (offer {offer.offer_id})")
        self._awaits_answer, self._local = False, False
        self._accepted = (offer, chosen)
        self._kept = None
        if profile is not None and profile.slots:
            self._kept = ProfileKept(profile, self.config, self._utc_s, self._moved_wh)
        self._outdated = newest is not None and offer.offer_id != newest.offer_id
        self._asking.settled(self._utc_s)

    def end(self) -> None:
        """The session (or its service) is over: forget what the car said."""
        self._session = None
        self._ask = None
        self._planned = None
        self._offers.clear()
        self._accepted = None
        self._local = False
        self._kept = None
        self._asking = Asking(self.config.renegotiation_gap_s)
        self._outdated = False
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
        if self._holds:
            offer = None
        if self._accepted is None:
            nothing = Limit(0.0, "schedule", "the local schedule holds no discharge") if self._local else None
            return EnergyWish(discharge_cap=nothing, offer=offer)
        accepted_offer, chosen = self._accepted
        offset_s = utc_s - accepted_offer.anchor_utc_s
        discharge_cap = cap_of(chosen, "discharge", offset_s)
        forbidden = self._no_discharge(session)
        if discharge_cap.value > 0.0 and forbidden is not None:
            discharge_cap = Limit(0.0, "minimum", f"no discharge: {forbidden}")
        return EnergyWish(charge_cap=cap_of(chosen, "charge", offset_s), discharge_cap=discharge_cap, offer=offer)

    def _no_discharge(self, session: StatedNeeds) -> str | None:
        return session.no_discharge(self._moved_wh, self._soc, self.driver_minimum_soc)

    def _setpoint(self, session: StatedNeeds, utc_s: float) -> float | None:
        planned = self._planned
        if planned is None:
            return None
        offset_s = utc_s - planned.anchor_utc_s
        for slot, power_w in zip(planned.slots, planned.plan.powers_w, strict=True):
            if 0.0 <= offset_s < slot.duration_s:
                if utc_s >= planned.reserve_utc_s:
                    power_w = slot.max_charge_w if missing_wh(session, self._moved_wh) > 0.0 else 0.0
                if session.below_minimum_soc(self._soc, self.driver_minimum_soc):
                    power_w = slot.max_charge_w
                if power_w < 0.0 and self._no_discharge(session) is not None:
                    return 0.0
                if power_w > 0.0 and session.left(session.needs.maximum_wh, self._moved_wh, math.inf) <= 0.0:
                    return 0.0
                return power_w
            offset_s -= slot.duration_s
        return None

    def _outlook_changed_for_long(self, planned: Planned, utc_s: float) -> bool:
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

    def _start(self, utc_s: float, reason: str) -> None:
        if self._session is not None:
            given = Circumstances(
                self._session,
                self._moved_wh,
                self._outlook,
                self._tariff,
                self._flowing,
                self._ask,
                reason,
                self.office_plan,
            )
            self._job = making_steps(self.config, given, utc_s, self._offer_id + 1)
            self._news = None
            self._outlook_differs_since_s = None
