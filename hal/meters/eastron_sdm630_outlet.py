"""Eastron SDM630 (SDM230 with one phase) at an AC outlet: every phase, and registers of both directions.

The same meter and wiring as at the grid connection (`eastron_sdm630.py`), asked for more: voltages to neutral at 0, 2,
4, currents at 6, 8, 10, active powers W at 12, 14, 16 (one read of 18 registers, so that they belong together),
frequency at 70, import kWh at 72, export kWh at 74. Currents have no sign in the meter; they take that of the power.

Bring-up: it stands before the contactor (it must show the mains with the contactor open), positive = to the EV;
`reversed = true` turns it. At 9600 baud the phases take 75 ms a reading; at 2400 baud they would miss the deadline.
"""

from __future__ import annotations

import math

from hal import modbus_rtu
from hal.api import AcOutletReading, AcPhaseReading
from hal.meters.modbus_meter import ModbusMeter
from hal.modbus import ModbusBus, Transaction

PHASES, PHASE_REGISTERS = 0, 18
TOTALS, TOTAL_REGISTERS = 70, 6  # frequency, import, export
_PHASE_PERIOD_S = 0.15
_TOTALS_PERIOD_S = 1.0
_TOTALS_LATE_S = 2.0


class EastronSdm630Outlet(ModbusMeter[AcOutletReading]):
    """`hal.api.AcOutletMeter`. A reading has all its phases, and registers that are at most 2 s older, or is none."""

    READING = AcOutletReading

    def __init__(
        self,
        name: str,
        bus: ModbusBus,
        unit: int = 1,
        *,
        phases: int = 3,
        reversed_: bool = False,
        meter_id: str | None = None,
        timeout_s: float = 0.2,
    ) -> None:
        if phases not in (1, 3):
            raise ValueError(f"{name}: phases must be 1 or 3")
        super().__init__(name, bus, unit, reversed_=reversed_, meter_id=meter_id, timeout_s=timeout_s)
        self._phases = phases
        self._phase_read: Transaction | None = None
        self._totals_read: Transaction | None = None
        self._next_phases_s = 0.0
        self._next_totals_s = 0.0
        self._totals: tuple[float, float, float] | None = None
        self._totals_at_s = 0.0

    @property
    def phases(self) -> int:
        return self._phases

    def poll(self, now_s: float) -> None:
        self._bus.poll(now_s)
        if self._totals_read is not None and self._totals_read.done:
            self._take_totals(self._totals_read)
            self._totals_read = None
        if self._phase_read is not None and self._phase_read.done:
            self._take_phases(self._phase_read)
            self._phase_read = None
        if self._totals_read is None and now_s >= self._next_totals_s:
            self._totals_read = self._client.read(modbus_rtu.READ_INPUT, TOTALS, TOTAL_REGISTERS)
            self._next_totals_s = now_s + _TOTALS_PERIOD_S
        if self._phase_read is None and now_s >= self._next_phases_s:
            self._phase_read = self._client.read(modbus_rtu.READ_INPUT, PHASES, PHASE_REGISTERS)
            self._next_phases_s = now_s + _PHASE_PERIOD_S

    def _take_totals(self, transaction: Transaction) -> None:
        self._note = transaction.error
        if not transaction.ok:
            return
        registers = transaction.registers
        frequency_hz, import_kwh, export_kwh = (modbus_rtu.f32(*registers[at : at + 2]) for at in (0, 2, 4))
        if not (math.isfinite(import_kwh) and math.isfinite(export_kwh)):
            self._note = f"meter gives no energy: {import_kwh}, {export_kwh} kWh"
            return
        if self._reversed:
            import_kwh, export_kwh = export_kwh, import_kwh
        self._totals = (import_kwh * 1000.0, export_kwh * 1000.0, frequency_hz)
        self._totals_at_s = transaction.at_s

    def _take_phases(self, transaction: Transaction) -> None:
        if transaction.error is not None:
            self._note = transaction.error
            return
        if self._totals is None or transaction.at_s - self._totals_at_s > _TOTALS_LATE_S:
            return
        values = [modbus_rtu.f32(*transaction.registers[at : at + 2]) for at in range(0, PHASE_REGISTERS, 2)]
        rows = [(values[n], values[3 + n], values[6 + n]) for n in range(self._phases)]
        if not all(math.isfinite(value) for row in rows for value in row):
            self._note = f"meter gives no measurement: {rows}"
            return
        import_wh, export_wh, frequency_hz = self._totals
        sign = -1.0 if self._reversed else 1.0
        self._reading = AcOutletReading(
            at_s=transaction.at_s,
            phases=tuple(self._phase(volts, amps, watts * sign) for volts, amps, watts in rows),
            import_wh=import_wh,
            export_wh=export_wh,
            frequency_hz=frequency_hz if math.isfinite(frequency_hz) and frequency_hz > 0 else None,
        )

    def _phase(self, volts: float, amps: float, watts: float) -> AcPhaseReading:
        return AcPhaseReading(volts, math.copysign(abs(amps), watts), watts)
