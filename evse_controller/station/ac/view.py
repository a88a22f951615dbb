"""One control step's readings of an AC outlet, taken once."""

from __future__ import annotations

from dataclasses import dataclass

from evse_controller.model.pilot import PilotState
from evse_controller.safety import thresholds as t
from hal.api import AcOutletReading, Contact, McuReading


@dataclass(frozen=True, slots=True)
class AcView:
    """Readings of this step. Freshness is judged by `safety`; a stale protection input ends every sequence."""

    now_s: float
    mcu: McuReading | None
    meter: AcOutletReading | None

    @property
    def pilot(self) -> PilotState:
        return PilotState.INVALID if self.mcu is None else self.mcu.pilot

    @property
    def contact(self) -> Contact:
        return Contact.UNDEFINED if self.mcu is None else self.mcu.contactor

    @property
    def fresh(self) -> AcOutletReading | None:
        """The meter's reading when it is not older than its deadline."""
        meter = self.meter
        return meter if meter is not None and self.now_s - meter.at_s <= t.METER_DEADLINE_S else None


class ZeroPhases:
    """Counts consecutive *new* meter samples below 1 A in every phase, measured after `since_s`."""

    def __init__(self, samples: int, since_s: float) -> None:
        self._wanted = samples
        self._last_s = since_s
        self._seen = 0

    def measured(self, view: AcView) -> bool:
        meter = view.meter
        if meter is not None and meter.at_s > self._last_s:
            self._last_s = meter.at_s
            zero = all(abs(phase.current_a) < t.ZERO_CURRENT_A for phase in meter.phases)
            self._seen = self._seen + 1 if zero else 0
        return self._seen >= self._wanted
