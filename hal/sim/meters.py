"""Simulated meters: Acrel DJSF1352-RN at the outlet (DC), Eastron SDM630 at the grid connection (AC)."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

from hal.sim.faults import COMMON, Faults
from hal.sim.rtu_slave import ILLEGAL_ADDRESS, ILLEGAL_FUNCTION, READ_HOLDING, READ_INPUT, ModbusError, float_words

METER_FAULTS = COMMON | {"corrupt"}


@dataclass(frozen=True, slots=True)
class DcSample:
    """What the outlet's meter measures; energies are lifetime totals in Wh."""

    voltage_v: float
    current_a: float
    import_wh: float
    export_wh: float


@dataclass(frozen=True, slots=True)
class AcSample:
    """What an AC meter measures; drawn from the grid positive. `phases`: (V, A, W) of each, signed; without them the
    power is spread over three phases of 230 V."""

    power_w: float
    import_wh: float
    export_wh: float
    phases: tuple[tuple[float, float, float], ...] = ()


class AcrelDjsf1352:
    """Holding registers 0..35 as decimal mantissa and exponent, 50..55 as floats (P in kW).

    `energy_lsb_wh` is what one count of registers 12..15 means: the sources disagree between 1 and 0.1 Wh.
    """

    def __init__(
        self,
        name: str,
        sample: Callable[[], DcSample],
        unit: int = 1,
        energy_lsb_wh: float = 1.0,
        voltage_exponent: int = 2,
        current_exponent: int = 1,
        power_exponent: int = 4,
        update_s: float = 0.1,
        turnaround_s: float = 0.005,
        initial_import_wh: float = 1_234_567.0,
        initial_export_wh: float = 76_543.0,
    ) -> None:
        self.name = name
        self.unit = unit
        self.turnaround_s = turnaround_s
        self.faults = Faults(name, METER_FAULTS)
        self.energy_lsb_wh = energy_lsb_wh
        self._exponents = (voltage_exponent, current_exponent, power_exponent)
        self._sample = sample
        self._update_s = update_s
        self._initial = (initial_import_wh, initial_export_wh)
        self._next_s: float | None = None
        self._registers: dict[int, int] = {}
        self._measure()

    def poll(self, now_s: float) -> None:
        if self._next_s is None or now_s + 1e-9 >= self._next_s:
            self._next_s = now_s + self._update_s
            self._measure()

    def _measure(self) -> None:
        if self.faults.active("frozen"):
            return
        truth = self._sample()
        voltage = self.faults.measured("voltage", truth.voltage_v)
        current = self.faults.measured("current", truth.current_a)
        power = voltage * current
        volts, amps, watts = self._exponents
        registers = self._registers
        registers[0], registers[1] = _mantissa(voltage, volts), volts
        registers[2], registers[3] = _mantissa(current, amps), amps
        registers[4], registers[5] = 0, 333
        registers[8], registers[9] = _mantissa(power, watts), watts
        for base, energy_wh in ((12, truth.import_wh + self._initial[0]), (14, truth.export_wh + self._initial[1])):
            count = int(energy_wh / self.energy_lsb_wh + 1e-9) & 0xFFFFFFFF
            registers[base], registers[base + 1] = count >> 16, count & 0xFFFF
        registers[16], registers[17], registers[18], registers[19], registers[35] = 1, 300, 0, 0, 104
        for base, value in ((50, voltage), (52, current), (54, power / 1000.0)):
            registers[base], registers[base + 1] = float_words(value)

    def read(self, function: int, address: int, count: int) -> list[int]:
        if function != READ_HOLDING:
            raise ModbusError(ILLEGAL_FUNCTION)
        if address + count > 64:
            raise ModbusError(ILLEGAL_ADDRESS)
        return [self._registers.get(address + index, 0) for index in range(count)]

    def write(self, function: int, address: int, values: list[int]) -> None:
        raise ModbusError(ILLEGAL_ADDRESS)


def _mantissa(value: float, exponent: int) -> int:
    """Signed 16 bit decimal mantissa of value = mantissa * 10^(exponent-3), saturating."""
    count = round(value / 10.0 ** (exponent - 3))
    return struct.unpack(">H", struct.pack(">h", max(-32768, min(32767, count))))[0]  # type: ignore[no-any-return]


class EastronSdm630:
    """Input registers, floats high word first; energies in kWh, resolution 1 Wh. Power updates twice a second."""

    def __init__(
        self,
        name: str,
        sample: Callable[[], AcSample],
        unit: int = 1,
        update_s: float = 0.5,
        turnaround_s: float = 0.02,
        initial_import_wh: float = 8_000_000.0,
        initial_export_wh: float = 120_000.0,
    ) -> None:
        self.name = name
        self.unit = unit
        self.turnaround_s = turnaround_s
        self.faults = Faults(name, METER_FAULTS)
        self._sample = sample
        self._update_s = update_s
        self._initial = (initial_import_wh, initial_export_wh)
        self._next_s: float | None = None
        self._values: dict[int, float] = {}
        self._measure()

    def poll(self, now_s: float) -> None:
        if self._next_s is None or now_s + 1e-9 >= self._next_s:
            self._next_s = now_s + self._update_s
            self._measure()

    def _measure(self) -> None:
        if self.faults.active("frozen"):
            return
        truth = self._sample()
        power = self.faults.measured("power", truth.power_w)
        imported = int(truth.import_wh + self._initial[0] + 1e-6) / 1000.0
        exported = int(truth.export_wh + self._initial[1] + 1e-6) / 1000.0
        values = self._values
        scale = power / truth.power_w if truth.power_w else 1.0
        for phase in range(3):
            volts, amps, watts = 230.0, power / 690.0, power / 3.0
            if truth.phases:
                volts, amps, watts = truth.phases[phase] if phase < len(truth.phases) else (0.0, 0.0, 0.0)
                amps, watts = amps * scale, watts * scale
            values[2 * phase] = volts
            values[6 + 2 * phase] = abs(amps)
            values[12 + 2 * phase] = watts
            values[18 + 2 * phase] = abs(volts * amps)
            values[30 + 2 * phase] = 1.0 if watts >= 0 else -1.0
            values[346 + 2 * phase] = imported / 3.0
            values[352 + 2 * phase] = exported / 3.0
        values[52], values[56], values[60], values[70] = power, abs(power), 0.0, 50.0
        values[72], values[74], values[342] = imported, exported, imported + exported

    def read(self, function: int, address: int, count: int) -> list[int]:
        if function != READ_INPUT:
            raise ModbusError(ILLEGAL_FUNCTION)
        if address % 2 or count % 2 or count > 80 or address + count > 400:
            raise ModbusError(ILLEGAL_ADDRESS)
        words: list[int] = []
        for register in range(address, address + count, 2):
            words.extend(float_words(self._values.get(register, 0.0)))
        return words

    def write(self, function: int, address: int, values: list[int]) -> None:
        raise ModbusError(ILLEGAL_ADDRESS)
