"""Who else plans for this outlet: a back office says that it negotiates, then delivers a plan or withdraws.

While it negotiates, a Scheduled car is told Ongoing, for `[energy] wait_for_back_office_s` at most: then it is offered
what we have planned by ourselves. A plan that comes later is told in a renegotiation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from evse_controller.energy.back_office import OfficePlan
from evse_controller.energy.manager import EnergyManager


@dataclass(frozen=True, slots=True)
class Negotiation:
    source: str
    reason: str
    until_s: float  # control time


class BackOffice:
    """One negotiation and one plan at a time; whoever speaks last rules."""

    def __init__(self, energy: EnergyManager, wait_s: float) -> None:
        self._energy = energy
        self.wait_s = wait_s
        self.negotiation: Negotiation | None = None

    @property
    def plan(self) -> OfficePlan | None:
        return self._energy.office_plan

    def negotiates(self, source: str, reason: str, for_s: float, now_s: float) -> None:
        """Offers wait from now on. Raises ValueError where the configuration lets none wait."""
        if self.wait_s <= 0.0:
            raise ValueError("energy.wait_for_back_office_s is 0: no car is kept waiting")
        self.negotiation = Negotiation(source, reason, now_s + for_s)
        self._energy.hold_offer(f"{source} negotiates")

    def deliver(self, plan: OfficePlan) -> None:
        """A plan that our own ones stay inside from now on, in place of an older one; ends the negotiation."""
        self._energy.set_office_plan(plan)
        self._settled()

    def withdraw(self, source: str) -> bool:
        """Neither negotiation nor plan of this source any more; False if there was none."""
        plan, negotiation = self.plan, self.negotiation
        if plan is not None and plan.source == source:
            self._energy.set_office_plan(None)
        elif negotiation is None or negotiation.source != source:
            return False
        if negotiation is not None and negotiation.source == source:
            self._settled()
        return True

    def step(self, now_s: float, utc_s: float) -> str | None:
        """Ends what is over by now; returns what did, for the record."""
        if self.plan is not None and utc_s >= self.plan.ends_utc_s:
            self._energy.set_office_plan(None)
        if self.negotiation is not None and now_s >= self.negotiation.until_s:
            source = self.negotiation.source
            self._settled()
            return f"{source} delivered nothing in time: our own plan is offered"
        return None

    def _settled(self) -> None:
        self.negotiation = None
        self._energy.hold_offer(None)

    def status(self, now_s: float) -> dict[str, Any]:
        negotiation, plan = self.negotiation, self.plan
        told = None
        if negotiation is not None:
            told = {
                "source": negotiation.source,
                "reason": negotiation.reason,
                "ends_in_s": max(0.0, negotiation.until_s - now_s),
            }
        return {
            "wait_s": self.wait_s,
            "negotiating": told,
            "car_waits_s": self._energy.held_s,
            "plan": None
            if plan is None
            else {
                "source": plan.source,
                "starts_utc_s": plan.anchor_utc_s,
                "ends_utc_s": plan.ends_utc_s,
                "slots": len(plan.slots),
                "most_charge_w": max((slot.charge_w for slot in plan.slots), default=math.nan),
            },
        }
