"""When the EV should be asked for a new schedule, and when it should be left in peace."""

from __future__ import annotations

import math
from dataclasses import dataclass

from evse_controller.energy.config import EnergyConfig
from evse_controller.model.offer import PowerProfile

_EVERY_S = 60.0


@dataclass(frozen=True, slots=True)
class Renegotiation:
    """The EV should renegotiate its schedule; each new `number` is worth one notification."""

    number: int
    reason: str


class Asking:
    """Hysteresis: asked once, then not again within the gap; a new schedule, accepted, begins the gap, too."""

    def __init__(self, gap_s: float) -> None:
        self._gap_s = gap_s
        self._last_utc_s = -math.inf
        self._number = 0
        self.current: Renegotiation | None = None

    def wanted(self, reason: str | None, utc_s: float) -> None:
        """Why a new schedule would be better than the accepted one; None when it would not."""
        if reason is None:
            self.current = None
        elif self.due(utc_s):
            self._number += 1
            self.current = Renegotiation(self._number, reason)
            self._last_utc_s = utc_s

    def due(self, utc_s: float) -> bool:
        """Whether the EV may be asked (again)."""
        return not 0.0 <= utc_s - self._last_utc_s < self._gap_s

    def settled(self, utc_s: float) -> None:
        self.current = None
        self._last_utc_s = utc_s


class ProfileKept:
    """The energy that the EV planned to move by now against what the meter says."""

    def __init__(self, profile: PowerProfile, config: EnergyConfig, utc_s: float, moved_wh: float) -> None:
        self._profile = profile
        self._config = config
        # Beyond its end the profile says nothing; an EV without a profile says nothing at all.
        self._end_utc_s = profile.anchor_utc_s + sum(slot.duration_s for slot in profile.slots)
        self.restart(utc_s, moved_wh)

    def restart(self, utc_s: float, moved_wh: float) -> None:
        """From now on; what was is accounted for."""
        self._from_utc_s, self._from_wh, self._next_utc_s = utc_s, moved_wh, utc_s + _EVERY_S

    def deviation(self, utc_s: float, moved_wh: float) -> str | None:
        """Why the plan is no longer true, None while it is. Asked often, looked at once a minute."""
        if utc_s < self._next_utc_s or utc_s >= self._end_utc_s:
            return None
        self._next_utc_s = utc_s + _EVERY_S
        planned_wh, most_w = self._planned(self._from_utc_s, utc_s)
        off_wh = moved_wh - self._from_wh - planned_wh
        config = self._config
        # Chargers need their time at each step of the profile, however fast the world runs.
        late_wh = most_w * config.reaction_s * config.world_speed / 3600.0
        if abs(off_wh) <= max(config.deviation_wh, abs(planned_wh) / 10.0) + late_wh:
            return None
        return f"the EV is {abs(off_wh) / 1000.0:.1f} kWh {'above' if off_wh > 0.0 else 'below'} its own profile"

    def _planned(self, start_utc_s: float, end_utc_s: float) -> tuple[float, float]:
        """(Wh, greatest |W|) planned in this time."""
        at_s, energy_wh, most_w = float(self._profile.anchor_utc_s), 0.0, 0.0
        for slot in self._profile.slots:
            from_s, at_s = at_s, at_s + slot.duration_s
            overlap_s = min(at_s, end_utc_s) - max(from_s, start_utc_s)
            if overlap_s > 0.0:
                energy_wh += slot.power_w * overlap_s / 3600.0
                most_w = max(most_w, abs(slot.power_w))
        return energy_wh, most_w
