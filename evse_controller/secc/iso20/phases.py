"""What an EV may take of each phase."""

from __future__ import annotations

from dataclasses import dataclass

from evse_controller.model.commands import EvAcLimits
from evse_controller.model.power import PhasePower

Shares = tuple[float, float, float]
_ALIKE_W = 1.0


@dataclass(frozen=True, slots=True)
class PhaseCaps:
    """What both sides can do of each phase (W >= 0), for each direction; None: of that a total only is known."""

    charging: Shares | None
    discharging: Shares | None


def phase_caps(
    limits: EvAcLimits, most_charge_w: PhasePower, most_discharge_w: PhasePower | None
) -> PhaseCaps | None:
    """The lower of both sides phase by phase; None when the phases are alike, or one side speaks of a total only."""
    charging = _lower(limits.max_charge_w, most_charge_w)
    discharging = None
    if limits.max_discharge_w is not None and most_discharge_w is not None:
        discharging = _lower(limits.max_discharge_w, most_discharge_w)
    if all(shares is None or _alike(shares) for shares in (charging, discharging)):
        return None
    return PhaseCaps(charging, discharging)


def _lower(ev: PhasePower, evse: PhasePower) -> Shares | None:
    both = ev.within(evse)
    return (both.l1_w, both.l2_w or 0.0, both.l3_w or 0.0) if both.per_phase else None


def _alike(shares: Shares) -> bool:
    return max(shares) - min(shares) <= _ALIKE_W
