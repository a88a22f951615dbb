"""Simulated isolation monitor Bender isoCHA425HV: measuring cycles that take time, a self-test that takes longer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hal.sim.faults import COMMON, Faults
from hal.sim.rtu_slave import (
    ILLEGAL_ADDRESS,
    ILLEGAL_FUNCTION,
    ILLEGAL_VALUE,
    READ_HOLDING,
    WRITE_MANY,
    ModbusError,
    float_words,
)

IMD_FAULTS = COMMON | {"corrupt", "self_test_fails"}

SELF_TEST_REGISTER = 8005
SELF_TEST_WORD = 0x5445
UNIT_OHM = 2
UNIT_VOLT = 4
VALID = 0
ABOVE = 2
INVALID = 3
RANGE_OHM = 10_000_000.0


@dataclass(frozen=True, slots=True)
class LineSample:
    """What is on the line that the monitor hangs on: resistance to earth and voltage."""

    resistance_ohm: float
    voltage_v: float


class BenderIsoCha425:
    """Registers 1000.. hold measurements in groups of four, 3005.. the configuration, 8005 starts a self-test.

    After being enabled, after a self-test and after start-up the value is invalid until a measuring cycle of
    `cycle_s` is over; each later cycle moves the value towards the truth. `on_measured` hears every valid cycle: the
    value in ohm and the lowest voltage that the line had during it.
    """

    def __init__(
        self,
        name: str,
        sample: Callable[[], LineSample],
        on_measured: Callable[[float, float], None] | None = None,
        unit: int = 3,
        self_test_s: float = 8.0,
        cycle_s: float = 1.0,
        turnaround_s: float = 0.01,
        enabled: bool = True,
    ) -> None:
        self.name = name
        self.unit = unit
        self.turnaround_s = turnaround_s
        self.faults = Faults(name, IMD_FAULTS)
        self.faults.on_reset = self.restart
        self.self_test_s = self_test_s
        self.cycle_s = cycle_s
        self._sample = sample
        self._on_measured = on_measured
        self._default_enabled = 1 if enabled else 0
        self._config: dict[int, int] = {}
        self._test_ends_s: float | None = None
        self._cycle_ends_s: float | None = None
        self._lowest_v = 0.0
        self._value_ohm: float | None = None
        self._test_failed = False
        self.self_tests = 0
        self.restart()

    def restart(self) -> None:
        """Power-up values."""
        self._config = dict.fromkeys(range(3005, 3029), 0)
        self._config.update({3005: 600, 3007: 120, 3021: 3, 3026: self._default_enabled})
        self._test_ends_s = self._cycle_ends_s = self._value_ohm = None
        self._test_failed = False

    @property
    def enabled(self) -> bool:
        return self._config[3026] == 1

    def poll(self, now_s: float) -> None:
        if self._test_ends_s is not None and now_s + 1e-9 >= self._test_ends_s:
            self._test_ends_s = None
            self._test_failed = self.faults.active("self_test_fails")
            self._cycle_ends_s = None
        if self._test_ends_s is not None or not self.enabled:
            self._cycle_ends_s = self._value_ohm = None
            return
        line = self._sample()
        if self._cycle_ends_s is None:
            self._begin_cycle(now_s, line)
        self._lowest_v = min(self._lowest_v, line.voltage_v)
        if self._cycle_ends_s is not None and now_s + 1e-9 >= self._cycle_ends_s:
            self._measure(line)
            self._begin_cycle(now_s, line)

    def _begin_cycle(self, now_s: float, line: LineSample) -> None:
        self._cycle_ends_s = now_s + self.cycle_s
        self._lowest_v = line.voltage_v

    def _measure(self, line: LineSample) -> None:
        if self.faults.active("frozen") and self._value_ohm is not None:
            return
        truth = self.faults.measured("resistance", line.resistance_ohm)
        before = self._value_ohm
        # The filter works on conductance: a new earth fault shows within one cycle, recovery takes a few.
        self._value_ohm = truth if before is None or truth < before else before + 0.7 * (truth - before)
        if self._on_measured is not None and not self._test_failed:
            self._on_measured(self._value_ohm, self._lowest_v)

    def read(self, function: int, address: int, count: int) -> list[int]:
        if function != READ_HOLDING:
            raise ModbusError(ILLEGAL_FUNCTION)
        return [self._register(address + index) for index in range(count)]

    def _register(self, address: int) -> int:
        if 1000 <= address < 1032:
            return self._group((address - 1000) // 4 * 4)[(address - 1000) % 4]
        if address in self._config:
            return self._config[address]
        if 9800 <= address < 9810:
            text = b"isoCHA425HV".ljust(20)
            return text[2 * (address - 9800)] << 8 | text[2 * (address - 9800) + 1]
        if 9820 <= address < 9824:
            return (1, 512, 0x1907, 101)[address - 9820]
        raise ModbusError(ILLEGAL_ADDRESS)

    def _group(self, offset: int) -> list[int]:
        voltage = self._sample().voltage_v
        value, unit, validity, channel = 0.0, UNIT_VOLT, VALID, 0
        if offset in (0, 28):
            unit, channel = UNIT_OHM, 1 if offset == 0 else 71
            if self._value_ohm is None:
                validity = INVALID
            elif self._value_ohm > RANGE_OHM:
                value, validity = RANGE_OHM, ABOVE
            else:
                value = self._value_ohm
        elif offset == 8:
            value, channel = self.faults.measured("voltage", voltage), 76
        elif offset in (16, 20):
            value, channel = (voltage / 2 if offset == 16 else -voltage / 2), 77 if offset == 16 else 78
        else:
            validity = INVALID
        status = self._alarm() | (2 << 6 if self._test_ends_s is not None else 0)
        return [*float_words(value), status << 8 | validity << 6 | unit, channel]

    def _alarm(self) -> int:
        if self._test_failed:
            return 2
        if self._value_ohm is None:
            return 0
        if self._value_ohm < self._config[3007] * 1000.0:
            return 5
        return 1 if self._value_ohm < self._config[3005] * 1000.0 else 0

    def write(self, function: int, address: int, values: list[int]) -> None:
        if function != WRITE_MANY:
            raise ModbusError(ILLEGAL_FUNCTION)
        for index, value in enumerate(values):
            self._write(address + index, value)

    def _write(self, address: int, value: int) -> None:
        if address == SELF_TEST_REGISTER:
            if value != SELF_TEST_WORD:
                raise ModbusError(ILLEGAL_VALUE)
            if self._test_ends_s is None:
                self._test_ends_s = self.faults.now_s + self.self_test_s
                self._test_failed = False
                self.self_tests += 1
        elif address in self._config:
            if address == 3026 and value not in (0, 1):
                raise ModbusError(ILLEGAL_VALUE)
            self._config[address] = value
        else:
            raise ModbusError(ILLEGAL_ADDRESS)
