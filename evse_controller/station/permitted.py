"""What holds the outputs of any outlet to its Permit: no valid Permit, no closed contactor, and no waiting.

It holds the pilot board, which is contactors, pilot and heartbeat; subclasses add what else can feed the outlet.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from evse_controller.model.permit import Permit
from hal.api import SafetyMcu


class Permitted(ABC):
    """Opens the contactors when the Permit is withdrawn or runs out. A refusal is told as text."""

    def __init__(self, mcu: SafetyMcu) -> None:
        self._mcu = mcu
        self._permit: Permit | None = None
        self.contactors = False
        self.contactors_since_s = 0.0
        self.refusal: str | None = None

    @property
    def energised(self) -> bool:
        """True while anything that could feed the outlet is commanded."""
        return self.contactors

    def expire(self, now_s: float) -> bool:
        """Everything off when the last permit ran out while the outlet is energised. True when it had to act."""
        if not self.energised or (self._permit is not None and self._permit.valid(now_s)):
            return False
        self.all_off(now_s, "permit expired")
        return True

    def all_off(self, now_s: float, reason: str) -> None:
        """What feeds the outlet first, then the contactors at once, without waiting for anything.

        Opening them takes one control frame now. With contactors already open there is none: a board that gets
        nothing but the frames of failing steps must find its heartbeat missing.
        """
        self._stop(now_s)
        self._mcu.set_contactors(False)
        if self.contactors:
            self.contactors = False
            self.contactors_since_s = now_s
            self._mcu.beat(now_s)
        self.refusal = reason

    def beat(self, now_s: float) -> None:
        """The heartbeat of a completed step; nothing else may call the board's `beat` to keep contactors closed."""
        self._mcu.beat(now_s)

    def set_duty(self, duty_percent: float | None) -> None:
        """Pilot duty in %, None = oscillator off."""
        self._mcu.set_duty(duty_percent)

    def _heed(self, permit: Permit | None, now_s: float) -> Permit | None:
        """`permit`, to be obeyed in this step; None when it permits nothing and everything was switched off for it."""
        self._permit = permit
        self.refusal = None
        if permit is None or not permit.valid(now_s):
            self.all_off(now_s, "no valid permit")
            return None
        if not permit.contactors and self.contactors:
            self.all_off(now_s, f"permit withdrawn: {permit.reason}")
            return None
        return permit

    def _command(self, wanted: bool, now_s: float) -> None:
        """Contactors as wanted, with the next `beat`."""
        if wanted != self.contactors:
            self.contactors = wanted
            self.contactors_since_s = now_s
        self._mcu.set_contactors(self.contactors)

    @abstractmethod
    def _stop(self, now_s: float) -> None:
        """Switch off what feeds the outlet, if it is ours to switch."""
