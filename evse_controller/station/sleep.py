"""The pilot's oscillator off (X1) while no session is wanted, until the EV or we wake the other (reference E.5).

Off it is for a paused session, which begins to sleep when it ended and nothing is energised any more. Then the EV
wakes us by B -> C (its BCB toggle; a C that was there before B is only a car on its way to sleep). Off it is, too,
after a stop that stands, and for the moment in which an EV is called; then only we end it. We wake the EV by B1 -> B2,
which is the oscillator on again, not earlier than 3 s after it went off.
"""

from __future__ import annotations

import math

from evse_controller.model.pilot import PilotState
from evse_controller.safety import thresholds as t


class PilotSleep:
    """`off` is what the pilot must do; `step` tells why it ended, once."""

    def __init__(self) -> None:
        self._silent = False
        self._paused = False
        self._longest_s = math.inf
        self._off_since_s: float | None = None
        self._seen_b = False
        self._wake: str | None = None

    @property
    def asleep(self) -> bool:
        """A session is paused here and nobody woke anybody yet."""
        return self._paused

    @property
    def silent(self) -> bool:
        """The oscillator is off, or will be as soon as nothing is energised."""
        return self._silent

    @property
    def off(self) -> bool:
        """The oscillator has to be off."""
        return self._silent and self._off_since_s is not None

    def begin(self) -> None:
        """The session was paused."""
        self.end()
        self._silent = self._paused = True

    def go_on(self) -> None:
        """A session had been paused before our time. An EV that is ready by now has woken up meanwhile; another one
        may have been plugged in, so that silence does not last for ever."""
        self.begin()
        self._seen_b, self._longest_s = True, t.RESTORED_SLEEP_S

    def keep_off(self) -> None:
        """No session is wanted, or the EV is to be called: it wakes nobody."""
        self._silent, self._paused, self._longest_s, self._wake = True, False, math.inf, None

    def end(self) -> None:
        """A session opened, or the plug was pulled."""
        self._silent = self._paused = self._seen_b = False
        self._longest_s, self._off_since_s, self._wake = math.inf, None, None

    def wake(self, reason: str) -> bool:
        """We want the EV to wake up. False when nothing is off."""
        if self._silent:
            self._wake = reason
        return self._silent

    def step(self, pilot: PilotState, energised: bool, now_s: float) -> str | None:
        """One control step; the reason when the sleep ended in it by waking up."""
        if not self._silent or energised:
            return None
        if pilot is PilotState.A:
            self.end()
            return None
        if self._off_since_s is None:
            self._off_since_s = now_s
        reason = self._woken(pilot, now_s - self._off_since_s)
        if reason is not None:
            self.end()
        self._seen_b = self._seen_b or pilot is PilotState.B
        return reason

    def _woken(self, pilot: PilotState, off_s: float) -> str | None:
        if self._paused and pilot.ready and self._seen_b:
            return "the EV woke up (B -> C)"
        if off_s >= self._longest_s:
            return "no sign of life of the EV that slept before the restart: whoever is plugged in is listened to"
        return self._wake if off_s >= t.STEP_X1_S else None
