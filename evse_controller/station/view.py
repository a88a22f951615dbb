"""One control step's readings, taken once, and the small questions that sequences ask of them."""

from __future__ import annotations

from dataclasses import dataclass

from evse_controller.model.fault import FaultCode
from evse_controller.safety import thresholds as t
from hal.api import DcMeterReading, IsolationReading, McuReading, PowerCapability, PowerReading

Failure = tuple[FaultCode, str, str]
"""Code, source, cause: how a sequence says that it cannot go on."""


@dataclass(frozen=True, slots=True)
class View:
    """Readings of this step. Freshness is judged by `safety`; a stale protection input ends every sequence."""

    now_s: float
    mcu: McuReading | None
    power: PowerReading | None
    capability: PowerCapability | None
    meter: DcMeterReading | None
    isolation: IsolationReading | None

    @property
    def link_safe(self) -> bool:
        return self.power is not None and self.power.voltage_v < t.SAFE_VOLTAGE_V

    @property
    def outlet_safe(self) -> bool:
        return self.meter is not None and self.meter.voltage_v < t.SAFE_VOLTAGE_V

    @property
    def pilot_connected(self) -> bool:
        return self.mcu is not None and self.mcu.pilot.connected

    @property
    def pilot_ready(self) -> bool:
        return self.mcu is not None and self.mcu.pilot.ready


class ZeroCurrent:
    """Counts consecutive *new* meter samples below 1 A measured after `since_s`. One larger sample starts again."""

    def __init__(self, samples: int, since_s: float) -> None:
        self._wanted = samples
        self._last_s = since_s
        self._seen = 0

    def measured(self, view: View) -> bool:
        meter = view.meter
        if meter is not None and meter.at_s > self._last_s:
            self._last_s = meter.at_s
            self._seen = self._seen + 1 if abs(meter.current_a) < t.ZERO_CURRENT_A else 0
        return self._seen >= self._wanted
