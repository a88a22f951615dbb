"""From what the EV or the energy room wants to a current: clipped, and ramped upward only."""

from __future__ import annotations

from evse_controller.model.permit import Permit
from evse_controller.model.wish import EnergyWish
from evse_controller.station.context import SessionContext
from hal.api import PowerMode

DEADBAND_A = 1.0
"""A target smaller than this never asks for a change of direction."""

MAX_STEP_S = 0.1
"""Longest time step the ramp reckons with: after a late control step the current must not jump."""


class Ramp:
    """A magnitude in A that grows at most `rate_a_per_s` and falls at once."""

    def __init__(self, rate_a_per_s: float) -> None:
        self.value_a = 0.0
        self._rate = rate_a_per_s
        self._at_s: float | None = None

    def reset(self) -> None:
        self.value_a, self._at_s = 0.0, None

    def step(self, target_a: float, now_s: float) -> float:
        elapsed = 0.0 if self._at_s is None else min(MAX_STEP_S, now_s - self._at_s)
        self._at_s = now_s
        self.value_a = max(0.0, min(target_a, self.value_a + self._rate * elapsed))
        return self.value_a


def wanted_current_a(session: SessionContext, wish: EnergyWish, volts: float) -> float:
    """Signed current wanted at the outlet: the EV's target (Scheduled) or the energy room's power (Dynamic).

    Zero before the first loop request: nothing flows that the EV has not confirmed it can take.
    """
    if session.update is None:
        return 0.0
    if session.update.target_current_a is not None:
        return session.update.target_current_a
    return (wish.setpoint_w or 0.0) / max(1.0, volts)


def clip_a(wanted_a: float, permit: Permit) -> float:
    """`wanted_a` inside the permit, signed."""
    return max(-permit.max_discharge_current_a, min(permit.max_charge_current_a, wanted_a))


def direction(target_a: float, present: PowerMode, permit: Permit) -> PowerMode:
    """Working mode that `target_a` needs. Without export permission the only mode is CHARGE."""
    if not permit.export or target_a > DEADBAND_A:
        return PowerMode.CHARGE
    return PowerMode.DISCHARGE if target_a < -DEADBAND_A else present
