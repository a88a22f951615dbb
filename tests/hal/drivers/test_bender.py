"""The isolation monitor by registers: validity, alarm and test bits; self-test; enable."""

from __future__ import annotations

import math

import pytest

from hal.api import IsolationReading, IsolationState
from hal.isolation import bender_isocha425
from hal.isolation.bender_isocha425 import BenderIsoCha425
from tests.hal.drivers.bench import RegisterDevice, f32_words, modbus_line, run


class Bench:
    def __init__(self, **options: int) -> None:
        bus, line = modbus_line(19200)
        self.imd = BenderIsoCha425("imd", bus, 3, **options)  # type: ignore[arg-type]
        self.imd.open()
        self.device = RegisterDevice(line, 3, {})
        self.show(500_000.0)
        self.now_s = 0.0

    def show(self, ohm: float, alarm: int = 0, test: int = 0, unit: int = 2, validity: int = 0) -> None:
        flags = (test << 6 | alarm) << 8 | validity << 6 | unit
        self.device.registers.update(zip(range(1000, 1004), (*f32_words(ohm), flags, 1), strict=True))

    def run(self, seconds: float) -> IsolationReading:
        self.now_s = run(self.imd.poll, lambda _: self.device.poll(), self.now_s, seconds)
        reading = self.imd.reading()
        assert reading is not None
        return reading


def test_off_until_enabled_and_the_switch_is_register_3026() -> None:
    bench = Bench()
    assert bench.run(0.5).state is IsolationState.OFF
    bench.imd.set_measuring(True)
    reading = bench.run(0.6)
    assert (reading.state, reading.valid, reading.resistance_ohm) == (IsolationState.MEASURING, True, 500_000.0)
    bench.imd.set_measuring(False)
    reading = bench.run(0.6)
    assert (reading.state, reading.valid) == (IsolationState.OFF, False)
    assert bench.device.writes == [(3026, (0,)), (3026, (1,)), (3026, (0,))]


@pytest.mark.parametrize(
    ("validity", "unit", "ohm", "valid", "shown"),
    [
        (0, 2, 2000.0, True, 2000.0),
        (1, 2, 2000.0, True, 0.0),  # "<": it may be anything below
        (2, 2, 2e7, True, 2e7),  # ">": at least this much
        (3, 2, 2000.0, False, 0.0),
        (0, 4, 400.0, False, 0.0),  # volts are no resistance
        (0, 2, math.nan, False, 0.0),
        (0, 2, -5.0, False, 0.0),
    ],
)
def test_validity(validity: int, unit: int, ohm: float, valid: bool, shown: float) -> None:
    bench = Bench()
    bench.imd.set_measuring(True)
    bench.show(ohm, validity=validity, unit=unit)
    reading = bench.run(1.0)
    assert (reading.valid, reading.resistance_ohm) == (valid, shown)


def test_device_error_is_a_fault_and_an_alarm_is_not() -> None:
    bench = Bench()
    bench.imd.set_measuring(True)
    bench.show(90_000.0, alarm=5)
    assert bench.run(1.0).state is IsolationState.MEASURING
    bench.show(90_000.0, alarm=2)
    reading = bench.run(0.5)
    assert (reading.state, reading.valid) == (IsolationState.FAULT, False)


def test_self_test_writes_its_key_and_passes_when_its_bits_came_and_went() -> None:
    bench = Bench()
    bench.run(0.5)
    bench.imd.start_self_test()
    reading = bench.run(0.5)
    assert (8005, (0x5445,)) in bench.device.writes
    assert (reading.state, reading.self_test_ok) == (IsolationState.SELF_TEST, None)
    bench.show(1000.0, test=2, alarm=5)
    assert bench.run(3.0).self_test_ok is None
    bench.show(500_000.0)
    reading = bench.run(0.5)
    assert (reading.state, reading.self_test_ok) == (IsolationState.OFF, True)


def test_self_test_that_ends_in_a_device_error_failed() -> None:
    bench = Bench()
    bench.imd.start_self_test()
    bench.run(0.5)
    bench.show(1000.0, test=1)
    bench.run(1.0)
    bench.show(1000.0, alarm=2)
    assert bench.run(0.5).self_test_ok is False


def test_self_test_that_never_starts_failed() -> None:
    bench = Bench()
    bench.imd.start_self_test()
    assert bench.run(6.0).self_test_ok is False


def test_self_test_that_never_ends_failed() -> None:
    bench = Bench()
    bench.imd.start_self_test()
    bench.show(1000.0, test=1)
    assert bench.run(30.0).self_test_ok is None
    assert bench.run(10.0).self_test_ok is False


def test_self_test_asked_while_silent_fails_and_is_not_started_later() -> None:
    bench = Bench()
    bench.run(0.5)
    bench.device.mute = True
    bench.imd.start_self_test()
    bench.run(8.0)
    bench.device.requests.clear()
    bench.device.mute = False
    assert bench.run(3.0).self_test_ok is False
    assert (8005, (0x5445,)) not in bench.device.writes


def test_enable_is_written_again_after_the_device_was_away() -> None:
    bench = Bench(alarm_kohm=90)
    bench.imd.set_measuring(True)
    bench.run(1.0)
    bench.device.mute = True
    bench.run(4.0)
    assert bench.imd.problem() is not None
    bench.device.writes.clear()
    bench.device.mute = False
    bench.run(3.0)
    assert bench.device.writes == [(3007, (90,)), (3026, (1,))]


def test_refused_enable_never_reads_as_measuring() -> None:
    bench = Bench()
    bench.device.refuse[3026] = 4
    bench.imd.set_measuring(True)
    assert bench.run(3.0).state is IsolationState.OFF
    assert "3026" in (bench.imd.problem() or "")


def test_factory_checks_thresholds() -> None:
    with pytest.raises(ValueError, match="alarm_kohm' must lie below prealarm_kohm"):
        bender_isocha425.create("imd", {"port": "/dev/ttyB0", "prealarm_kohm": 100, "alarm_kohm": 100})
    with pytest.raises(ValueError, match="imd: option 'port' is missing"):
        bender_isocha425.create("imd", {"unit": 3})
