"""Eastron SDM630 (also SDM72DM-V2, SDM230): AC meter at the grid connection, Modbus RTU, driver `eastron-sdm630`.

At an AC outlet (`outlet = true`) the same driver gives `eastron_sdm630_outlet.py`.

Wire facts: FC4, IEEE-754 single, high word first; total power W at 52, import kWh at 72, export kWh at 74 (wire
addresses). Power is positive when drawn from the grid.

Bring-up: RS-485 A to A, B to B, 120 ohm at both ends. Factory setting 9600 8N1 (some: 2400), unit 1; the meter's own
menu shows all three. Silent: baud rate, unit, A/B. Wrong sign: current transformers turned or on the wrong side;
`reversed = true` turns the whole meter.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from hal import modbus_rtu
from hal.api import AcMeterReading
from hal.meters.eastron_sdm630_outlet import EastronSdm630Outlet
from hal.meters.modbus_meter import ModbusMeter
from hal.modbus import ModbusBus, ModbusOptions, Transaction, shared_bus, take_options
from hal.options import Options

POWER_W = 52
ENERGY_KWH = 72  # import at 72, export at 74
_POWER_PERIOD_S = 0.3
_ENERGY_PERIOD_S = 1.0


class EastronSdm630(ModbusMeter[AcMeterReading]):
    """`reading().at_s` is when the power arrived; the registers in it are at most about a second older."""

    READING = AcMeterReading

    def __init__(
        self,
        name: str,
        bus: ModbusBus,
        unit: int = 1,
        *,
        reversed_: bool = False,
        meter_id: str | None = None,
        timeout_s: float = 0.2,
    ) -> None:
        super().__init__(name, bus, unit, reversed_=reversed_, meter_id=meter_id, timeout_s=timeout_s)
        self._power: Transaction | None = None
        self._energy: Transaction | None = None
        self._next_power_s = 0.0
        self._next_energy_s = 0.0
        self._registers_wh: tuple[float, float] | None = None

    def poll(self, now_s: float) -> None:
        self._bus.poll(now_s)
        if self._energy is not None and self._energy.done:
            self._take_energy(self._energy)
            self._energy = None
        if self._power is not None and self._power.done:
            self._take_power(self._power)
            self._power = None
        if self._energy is None and now_s >= self._next_energy_s:
            self._energy = self._client.read(modbus_rtu.READ_INPUT, ENERGY_KWH, 4)
            self._next_energy_s = now_s + _ENERGY_PERIOD_S
        if self._power is None and now_s >= self._next_power_s:
            self._power = self._client.read(modbus_rtu.READ_INPUT, POWER_W, 2)
            self._next_power_s = now_s + _POWER_PERIOD_S

    def _take_energy(self, transaction: Transaction) -> None:
        self._note = transaction.error
        if transaction.ok:
            registers = transaction.registers
            import_kwh, export_kwh = modbus_rtu.f32(*registers[0:2]), modbus_rtu.f32(*registers[2:4])
            if not (math.isfinite(import_kwh) and math.isfinite(export_kwh)):
                self._note = f"meter gives no energy: {import_kwh}, {export_kwh} kWh"
                return
            if self._reversed:
                import_kwh, export_kwh = export_kwh, import_kwh
            self._registers_wh = (import_kwh * 1000.0, export_kwh * 1000.0)

    def _take_power(self, transaction: Transaction) -> None:
        if transaction.error is not None:
            self._note = transaction.error
            return
        power_w = modbus_rtu.f32(*transaction.registers)
        if not math.isfinite(power_w):
            self._note = f"meter gives no power: {power_w} W"
            return
        if self._registers_wh is not None:
            signed_w = -power_w if self._reversed else power_w
            self._reading = AcMeterReading(transaction.at_s, signed_w, *self._registers_wh)


def create(name: str, options: Mapping[str, object]) -> EastronSdm630 | EastronSdm630Outlet:
    """Options: port, unit (1), baudrate (9600), parity (N), stop_bits (1), timeout_s (0.2), reversed, meter_id; at an
    AC outlet `outlet = true` and there phases (3)."""
    taken = Options(name, options)
    line: ModbusOptions = take_options(taken, unit=1, baudrate=9600, parity="N")
    turned = taken.flag("reversed", False)
    meter_id = taken.text("meter_id", name)
    outlet = taken.flag("outlet", False)
    phases = taken.integer("phases", 3, 1, 3) if outlet else 0
    taken.done()
    bus = shared_bus(taken, line)
    if not outlet:
        return EastronSdm630(name, bus, line.unit, reversed_=turned, meter_id=meter_id, timeout_s=line.timeout_s)
    return EastronSdm630Outlet(
        name, bus, line.unit, phases=phases, reversed_=turned, meter_id=meter_id, timeout_s=line.timeout_s
    )
