"""The one place that holds the outputs of an AC outlet: contactor and pilot. It accepts nothing but valid Permits."""

from __future__ import annotations

from evse_controller.model.permit import Permit
from evse_controller.safety import thresholds as t
from evse_controller.station.permitted import Permitted
from hal.api import AcOutletReading, Contact, McuReading


class AcActuator(Permitted):
    """Closes and opens the contactor inside a Permit.

    Closing waits for open feedback and no current; a refusal is told as text and asked again in the next step. Opening
    waits for nothing here: whether the EV gets time to reduce first is the phase machine's to decide.
    """

    def apply(
        self,
        close: bool,
        permit: Permit | None,
        now_s: float,
        mcu: McuReading | None,
        meter: AcOutletReading | None,
    ) -> None:
        """Bring the contactor to `close` as far as `permit` allows. A change leaves with the next `beat`."""
        permit = self._heed(permit, now_s)
        if permit is None:
            return
        wanted = close and permit.contactors
        if wanted and not self.contactors:
            self.refusal = _why_not_close(mcu, meter)
            wanted = self.refusal is None
        self._command(wanted, now_s)

    def _stop(self, now_s: float) -> None:
        """Nothing: the EV's converter makes the power."""


def _why_not_close(mcu: McuReading | None, meter: AcOutletReading | None) -> str | None:
    if mcu is None or meter is None:
        return "contactor waits for measurements"
    if mcu.contactor is not Contact.OPEN:
        return f"contactor waits for open feedback ({mcu.contactor.value})"
    if any(abs(phase.current_a) >= t.ZERO_CURRENT_A for phase in meter.phases):
        return "contactor waits for zero current"
    return None
