"""Acrel DJSF1352-RN: DC meter at the outlet, Modbus RTU, driver `acrel-djsf1352`.

Wire facts: FC3, wire addresses. Value and decimal point in two registers: V = r0 * 10^(r1-3) V,
I = i16 r2 * 10^(r3-3) A, P = i16 r8 * 10^(r9-3) W; r4 wire break, r5 i16 0.1 degC; import energy u32 r12-13, export u32
r14-15. All come with one read of 16 registers, so voltage, current, power and energy belong to the same moment.

The unit of the energy registers differs between sources (1 Wh, or 0.1 Wh): compare with the display once and set
`energy_wh_per_count`. Positive current must mean "to the EV"; a shunt mounted the other way is `reversed = true`.

Bring-up: factory 9600 8N1, unit 1 (meter menu). Silent: A/B, unit, baud rate, auxiliary supply. Current stays 0: shunt
wires (then also the wire-break register is set).
"""

from __future__ import annotations

from collections.abc import Mapping

from hal import modbus_rtu
from hal.api import DcMeterReading
from hal.meters.modbus_meter import ModbusMeter
from hal.modbus import ModbusBus, Transaction, shared_bus, take_options
from hal.options import Options

FIRST_REGISTER = 0
REGISTER_COUNT = 16
_VOLTAGE, _CURRENT, _WIRE_BREAK, _POWER, _IMPORT, _EXPORT = 0, 2, 4, 8, 12, 14
# 32767 with the decimal point at 10^4 is 327 MV: anything above is not a measurement but a garbled register.
_LARGEST_POINT = 7
_PERIOD_S = 0.1


class AcrelDjsf1352(ModbusMeter[DcMeterReading]):
    """Reads ten times a second (line permitting: 55 ms a reading at 9600 baud)."""

    READING = DcMeterReading

    def __init__(
        self,
        name: str,
        bus: ModbusBus,
        unit: int = 1,
        *,
        energy_wh_per_count: float = 1.0,
        reversed_: bool = False,
        meter_id: str | None = None,
        timeout_s: float = 0.2,
    ) -> None:
        super().__init__(name, bus, unit, reversed_=reversed_, meter_id=meter_id, timeout_s=timeout_s)
        self._energy_wh_per_count = energy_wh_per_count
        self._transaction: Transaction | None = None
        self._next_s = 0.0

    def poll(self, now_s: float) -> None:
        self._bus.poll(now_s)
        if self._transaction is not None and self._transaction.done:
            self._take(self._transaction)
            self._transaction = None
        if self._transaction is None and now_s >= self._next_s:
            self._transaction = self._client.read(modbus_rtu.READ_HOLDING, FIRST_REGISTER, REGISTER_COUNT)
            self._next_s = now_s + _PERIOD_S

    def _take(self, transaction: Transaction) -> None:
        self._note = transaction.error
        if not transaction.ok:
            return
        registers = transaction.registers
        points = (registers[_VOLTAGE + 1], registers[_CURRENT + 1], registers[_POWER + 1])
        if max(points) > _LARGEST_POINT:
            self._note = f"meter gives impossible decimal points {points}"
            return
        if registers[_WIRE_BREAK]:
            # Its current would read 0 now: better no reading (which grows stale) than a false one.
            self._note = f"meter reports a broken shunt wire (register 4 = {registers[_WIRE_BREAK]})"
            return
        sign = -1.0 if self._reversed else 1.0
        import_wh = modbus_rtu.u32(*registers[_IMPORT : _IMPORT + 2]) * self._energy_wh_per_count
        export_wh = modbus_rtu.u32(*registers[_EXPORT : _EXPORT + 2]) * self._energy_wh_per_count
        if self._reversed:
            import_wh, export_wh = export_wh, import_wh
        self._reading = DcMeterReading(
            at_s=transaction.at_s,
            voltage_v=scaled(registers[_VOLTAGE], points[0]),
            current_a=sign * scaled(modbus_rtu.i16(registers[_CURRENT]), points[1]),
            power_w=sign * scaled(modbus_rtu.i16(registers[_POWER]), points[2]),
            import_wh=import_wh,
            export_wh=export_wh,
        )


def scaled(value: int, point: int) -> float:
    """value * 10^(point - 3): the meter's way to write a decimal point."""
    return float(value * 10 ** (point - 3)) if point >= 3 else value / 10 ** (3 - point)


def create(name: str, options: Mapping[str, object]) -> AcrelDjsf1352:
    """Options: port, unit (1), baudrate (9600), parity (N), stop_bits, timeout_s, energy_wh_per_count (1.0), reversed,
    meter_id."""
    taken = Options(name, options)
    line = take_options(taken, unit=1, baudrate=9600, parity="N")
    energy_wh_per_count = taken.number("energy_wh_per_count", 1.0, 0.001, 1000.0)
    turned = taken.flag("reversed", False)
    meter_id = taken.text("meter_id", name)
    taken.done()
    return AcrelDjsf1352(
        name,
        shared_bus(taken, line),
        line.unit,
        energy_wh_per_count=energy_wh_per_count,
        reversed_=turned,
        meter_id=meter_id,
        timeout_s=line.timeout_s,
    )
