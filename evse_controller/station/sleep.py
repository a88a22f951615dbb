"""The pilot of a paused session: oscillator off (X1) until the EV or we wake the other (reference E.5).

Asleep begins when the session ended as paused, X1 when nothing is energised any more. The EV wakes us by B -> C (its
BCB toggle; a C that was there before B is only a car on its way to sleep). We wake the EV by B1 -> B2, which is the
oscillator on again, not earlier than 3 s after it went off.
"""

from __future__ import annotations

from evse_controller.model.pilot import PilotState
from evse_controller.safety import thresholds as t


class PilotSleep:
    """`off` is what the pilot must do; `step` tells why it ended, once."""

    def __init__(self) -> None:
        self._asleep = False
        self._off_since_s: float | None = None
        self._seen_b = False
        self._wake: str | None = None

    @property
    def asleep(self) -> bool:
        """A session is paused here and nobody woke anybody yet."""
        return self._asleep

    @property
    def off(self) -> bool:
        """The oscillator has to be off."""
        return self._asleep and self._off_since_s is not None

    def begin(self) -> None:
        """The session was paused."""
        self.end()
        self._asleep = True

    def go_on(self) -> None:
        """A session had been paused before our time. An EV that is ready by now has woken up meanwhile."""
        self.begin()
        self._seen_b = True

    def end(self) -> None:
        """A session opened, or the plug was pulled."""
        self._asleep, self._off_since_s, self._seen_b, self._wake = False, None, False, None

    def wake(self, reason: str) -> bool:
        """We want the EV to wake up. False when nobody sleeps here."""
        if self._asleep:
            self._wake = reason
        return self._asleep

    def step(self, pilot: PilotState, energised: bool, now_s: float) -> str | None:
        """One control step; the reason when the sleep ended in it by waking up."""
        if not self._asleep or energised:
            return None
        if pilot is PilotState.A:
            self.end()
            return None
        if self._off_since_s is None:
            self._off_since_s = now_s
        if pilot.ready and self._seen_b:
            self.end()
            return "the EV woke up (B -> C)"
        self._seen_b = self._seen_b or pilot is PilotState.B
        if self._wake is not None and now_s - self._off_since_s >= t.STEP_X1_S:
            reason = self._wake
            self.end()
            return reason
        return None
