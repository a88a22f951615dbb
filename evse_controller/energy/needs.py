"""What the EV said it needs, carried forward by the energy that moved since, and what it forbids.

Discharge: the battery is never brought below the higher of EVMinimumEnergyRequest and EVMinimumV2XEnergyRequest (the
lower edge of the V2X window); while that edge is not below the present level there is no discharge at all, in both
control modes. An EV that states neither may give back only what it took in this session. A number that is not one
(NaN) allows nothing.

A Scheduled EV may leave out what it said before (in the loop, in a renegotiation): that holds on, less what has been
delivered since.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from evse_controller.model.commands import EvAcLimits, EvLimits
from evse_controller.model.offer import EnergyNeeds
from evse_controller.model.snapshot import AcRatings, DcRatings

_NEWS_WH = 500.0
_NEWS_S = 60.0  # the wire carries whole seconds relative to a message: only more than a minute is news


@dataclass(frozen=True, slots=True)
class StatedNeeds:
    """`needs` as stated when `told_at_wh` had moved, with the limits of both sides: both DC or both AC."""

    needs: EnergyNeeds
    told_at_wh: float
    ev: EvLimits
    ratings: DcRatings | AcRatings
    bidirectional: bool
    battery_efficiency: float

    def stored(self, moved_wh: float) -> float:
        """Battery energy of what moved at the outlet."""
        return moved_wh * self.battery_efficiency if moved_wh > 0.0 else moved_wh / self.battery_efficiency

    def left(self, stated_wh: float | None, moved_wh: float, otherwise: float) -> float:
        """A stated energy, carried forward by what moved since; `otherwise` when it was not stated."""
        if stated_wh is None:
            return otherwise
        return stated_wh - self.stored(moved_wh - self.told_at_wh)

    def edge(self, moved_wh: float) -> float:
        """Energy (relative to now) below which the battery may not be discharged; infinite when it is not known."""
        stated = [x for x in (self.needs.minimum_wh, self.needs.v2x_minimum_wh) if x is not None]
        edge = self.left(max(stated), moved_wh, 0.0) if stated else -self.stored(max(0.0, moved_wh))
        return edge if all(map(math.isfinite, (*stated, edge))) else math.inf

    def no_discharge(self, moved_wh: float, soc: float | None, driver_soc: float | None = None) -> str | None:
        """Why nothing may be discharged at this moment, None when it may. `driver_soc`: the driver's minimum in %, told
        to us whatever the EV says; an EV that shows no state of charge is not discharged under it."""
        if not self.bidirectional:
            return "no bidirectional service"
        edge, floor = self.edge(moved_wh), self.needs.minimum_soc
        if not edge < 0.0:
            return "the driver's minimum energy is not known" if edge == math.inf else "the driver's minimum energy"
        if soc is not None and floor is not None and not soc > floor:
            return f"the driver's minimum SoC {floor:.0f} %"
        if driver_soc is not None and (soc is None or not soc > driver_soc):
            return f"the driver's minimum SoC {driver_soc:.0f} %"
        return None

    def below_minimum_soc(self, soc: float | None, driver_soc: float | None = None) -> bool:
        """Whether the driver's least is not there yet: it is charged at once, whatever the price."""
        floors = [floor for floor in (self.needs.minimum_soc, driver_soc) if floor is not None]
        return soc is not None and bool(floors) and soc < max(floors)

    def changed(self, needs: EnergyNeeds, moved_wh: float) -> bool:
        """Whether `needs` are news: another departure or remaining energy than these, carried forward, say."""
        old = self.needs
        if (old.departure_utc_s is None) != (needs.departure_utc_s is None):
            return True
        if abs((old.departure_utc_s or 0.0) - (needs.departure_utc_s or 0.0)) > _NEWS_S:
            return True
        pairs = (
            (old.target_wh, needs.target_wh),
            (old.minimum_wh, needs.minimum_wh),
            (old.v2x_minimum_wh, needs.v2x_minimum_wh),
        )
        for before, now in pairs:
            if (before is None) != (now is None):
                return True
            if now is not None and abs(self.left(before, moved_wh, 0.0) - now) > _NEWS_WH:
                return True
        return False

    def carried(self, needs: EnergyNeeds, moved_wh: float) -> EnergyNeeds:
        """`needs` of a Scheduled EV, with what it left out carried forward from these."""
        old = self.needs

        def energy(now: float | None, before: float | None) -> float | None:
            if now is not None or before is None:
                return now
            return self.left(before, moved_wh, 0.0)

        return replace(
            needs,
            max_supporting_points=needs.max_supporting_points or old.max_supporting_points,
            departure_utc_s=old.departure_utc_s if needs.departure_utc_s is None else needs.departure_utc_s,
            target_wh=energy(needs.target_wh, old.target_wh),
            maximum_wh=energy(needs.maximum_wh, old.maximum_wh),
            minimum_wh=energy(needs.minimum_wh, old.minimum_wh),
            target_soc=old.target_soc if needs.target_soc is None else needs.target_soc,
        )

    def power_limits(self) -> tuple[float, float]:
        """(charge, discharge) power in W that EV and EVSE can do at the outlet, all phases together."""
        if isinstance(self.ev, EvAcLimits) != isinstance(self.ratings, AcRatings):
            return 0.0, 0.0  # the limits of the other kind of outlet say nothing about this one
        return self._ac_limits() if isinstance(self.ev, EvAcLimits) else self._dc_limits()

    def _ac_limits(self) -> tuple[float, float]:
        ev, evse = self.ev, self.ratings
        assert isinstance(ev, EvAcLimits)
        assert isinstance(evse, AcRatings)
        charge_w = ev.max_charge_w.within(evse.max_charge_w).total_w
        if ev.max_discharge_w is None:
            return charge_w, 0.0
        return charge_w, ev.max_discharge_w.within(evse.max_discharge_w).total_w

    def _dc_limits(self) -> tuple[float, float]:
        ev, evse = self.ev, self.ratings
        assert not isinstance(ev, EvAcLimits)
        assert not isinstance(evse, AcRatings)
        charge_w = min(ev.max_charge_power_w, ev.max_charge_current_a * ev.max_voltage_v, evse.max_charge_power_w)
        stated = []
        if ev.max_discharge_power_w is not None:
            stated.append(ev.max_discharge_power_w)
        if ev.max_discharge_current_a is not None:
            stated.append(ev.max_discharge_current_a * ev.max_voltage_v)
        if not stated:
            return charge_w, 0.0
        return charge_w, min(*stated, evse.max_discharge_power_w)
