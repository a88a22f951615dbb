"""What the energy room wants from the outlet now. A wish only: safety and the site clip it."""

from __future__ import annotations

from dataclasses import dataclass

from evse_controller.model.limits import Limit
from evse_controller.model.offer import ScheduleOffer


@dataclass(frozen=True, slots=True)
class EnergyWish:
    """`setpoint_w` is the signed DC power wanted in Dynamic mode (None: no plan yet, meaning 0).

    `charge_cap` and `discharge_cap` are the offered schedule's caps for this moment in W at the outlet (DC), None
    without a schedule. `offer` is what Scheduled mode negotiates, None while it is still being planned.
    """

    setpoint_w: float | None = None
    charge_cap: Limit | None = None
    discharge_cap: Limit | None = None
    offer: ScheduleOffer | None = None
