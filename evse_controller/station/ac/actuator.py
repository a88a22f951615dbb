"""The one place that holds the outputs of an AC outlet: contactor and pilot. It accepts nothing but valid Permits."""

from __future__ import annotations

from evse_controller.model.permit import Permit
from evse_controller.safety import thresholds as t
from hal.api import AcOutletReading, Contact, McuReading, SafetyMcu


class AcActuator:
    """Closes and opens the contactor inside a Permit.

    Closing waits for open feedback and no current; a refusal is told as text and asked again in the next step. Opening
    waits for nothing here: whether the EV gets time to reduce first is the phase machine's to decide.
    """

    def __init__(self, mcu: SafetyMcu) -> None:
        self._mcu = mcu
        self._permit: Permit | None = None
        self.contactor = False
        self.contactor_since_s = 0.0
        self.refusal: str | None = None

    @property
    def energised(self) -> bool:
        """True while the contactor is commanded closed."""
        return self.contactor

    def apply(
        self,
        close: bool,
        permit: Permit | None,
        now_s: float,
        mcu: McuReading | None,
        meter: AcOutletReading | None,
    ) -> None:
        """Bring the contactor to `close` as far as `permit` allows. A change leaves with the next `beat`."""
        self._permit = permit
        self.refusal = None
        if permit is None or not permit.valid(now_s):
            self.all_off(now_s, "no valid permit")
            return
        if not permit.contactors and self.contactor:
            self.all_off(now_s, f"permit withdrawn: {permit.reason}")
            return
        wanted = close and permit.contactors
        if wanted and not self.contactor:
            self.refusal = _why_not_close(mcu, meter)
            wanted = self.refusal is None
        if wanted != self.contactor:
            self.contactor = wanted
            self.contactor_since_s = now_s
        self._mcu.set_contactors(self.contactor)

    def expire(self, now_s: float) -> bool:
        """Open when the last permit ran out with the contactor closed. True when it had to act."""
        if not self.contactor or (self._permit is not None and self._permit.valid(now_s)):
            return False
        self.all_off(now_s, "permit expired")
        return True

    def all_off(self, now_s: float, reason: str) -> None:
        """Open at once, whatever flows. Takes one control frame now if it was closed; with an open contactor there is
        none, so that a board which gets nothing but the frames of failing steps finds its heartbeat missing."""
        self._mcu.set_contactors(False)
        if self.contactor:
            self.contactor = False
            self.contactor_since_s = now_s
            self._mcu.beat(now_s)
        self.refusal = reason

    def beat(self, now_s: float) -> None:
        """The heartbeat of a completed step; nothing else may call the board's `beat` to keep the contactor closed."""
        self._mcu.beat(now_s)

    def set_duty(self, duty_percent: float | None) -> None:
        """Pilot duty in %, None = oscillator off."""
        self._mcu.set_duty(duty_percent)


def _why_not_close(mcu: McuReading | None, meter: AcOutletReading | None) -> str | None:
    if mcu is None or meter is None:
        return "contactor waits for measurements"
    if mcu.contactor is not Contact.OPEN:
        return f"contactor waits for open feedback ({mcu.contactor.value})"
    if any(abs(phase.current_a) >= t.ZERO_CURRENT_A for phase in meter.phases):
        return "contactor waits for zero current"
    return None
