"""The two meters by bytes."""

from __future__ import annotations

import math

import pytest

from hal.meters import acrel_djsf1352, eastron_sdm630
from hal.meters.acrel_djsf1352 import AcrelDjsf1352
from hal.meters.eastron_sdm630 import EastronSdm630
from tests.hal.drivers.bench import RegisterDevice, f32_words, modbus_line, run


def acrel(registers: dict[int, int], **options: float | bool) -> tuple[AcrelDjsf1352, RegisterDevice]:
    bus, line = modbus_line()
    meter = AcrelDjsf1352("meter", bus, 1, **options)  # type: ignore[arg-type]
    meter.open()
    return meter, RegisterDevice(line, 1, registers)


# 400.5 V, -62.5 A, -25 030 W, 65 537 and 2 counts
ACREL = {0: 4005, 1: 2, 2: 0x10000 - 625, 3: 2, 8: 0x10000 - 2503, 9: 4, 12: 1, 13: 1, 14: 0, 15: 2}


def test_acrel_reads_value_and_decimal_point() -> None:
    meter, device = acrel(ACREL)
    now_s = run(meter.poll, lambda _: device.poll(), 0.0, 0.2)
    reading = meter.reading()
    assert reading is not None
    assert (reading.voltage_v, reading.current_a, reading.power_w) == pytest.approx((400.5, -62.5, -25030.0))
    assert (reading.import_wh, reading.export_wh) == (65537.0, 2.0)
    assert now_s - reading.at_s < 0.15
    assert meter.problem() is None


def test_acrel_energy_factor_and_direction_are_configurable() -> None:
    meter, device = acrel(ACREL, energy_wh_per_count=0.1, reversed_=True)
    run(meter.poll, lambda _: device.poll(), 0.0, 0.2)
    reading = meter.reading()
    assert reading is not None
    assert (reading.current_a, reading.power_w) == pytest.approx((62.5, 25030.0))
    assert (reading.import_wh, reading.export_wh) == pytest.approx((0.2, 6553.7))


def test_acrel_with_broken_shunt_wire_gives_no_reading() -> None:
    meter, device = acrel(ACREL)
    now_s = run(meter.poll, lambda _: device.poll(), 0.0, 0.5)
    device.registers[4] = 1
    device.registers[2] = 0
    run(meter.poll, lambda _: device.poll(), now_s, 1.0)
    reading = meter.reading()
    assert reading is not None
    assert reading.current_a == -62.5  # the last true one, and old
    assert reading.at_s <= now_s + 0.1
    assert "broken shunt wire" in (meter.problem() or "")


def test_acrel_impossible_decimal_point_is_no_reading() -> None:
    meter, device = acrel({**ACREL, 1: 40})
    run(meter.poll, lambda _: device.poll(), 0.0, 0.3)
    assert meter.reading() is None
    assert "decimal points" in (meter.problem() or "")


def test_silent_meter_keeps_its_old_time_and_names_the_unit() -> None:
    meter, device = acrel(ACREL)
    now_s = run(meter.poll, lambda _: device.poll(), 0.0, 0.2)
    device.mute = True
    run(meter.poll, lambda _: device.poll(), now_s, 3.0)
    reading = meter.reading()
    assert reading is not None
    assert reading.at_s <= now_s
    assert "unit 1: no answer" in (meter.problem() or "")
    device.mute = False
    end_s = run(meter.poll, lambda _: device.poll(), now_s + 3.0, 2.0)
    assert end_s - meter.reading().at_s < 0.2  # type: ignore[union-attr]
    assert meter.problem() is None


def sdm630(registers: dict[int, int], reversed_: bool = False) -> tuple[EastronSdm630, RegisterDevice]:
    bus, line = modbus_line()
    meter = EastronSdm630("building", bus, 1, reversed_=reversed_)
    meter.open()
    return meter, RegisterDevice(line, 1, registers)


def sdm_registers(power_w: float, import_kwh: float, export_kwh: float) -> dict[int, int]:
    words = (*f32_words(power_w), *f32_words(import_kwh), *f32_words(export_kwh))
    return dict(zip((52, 53, 72, 73, 74, 75), words, strict=True))


def test_sdm630_power_in_watt_and_energy_in_kwh_high_word_first() -> None:
    meter, device = sdm630(sdm_registers(-1234.5, 1000.5, 20.25))
    now_s = run(meter.poll, lambda _: device.poll(), 0.0, 0.5)
    reading = meter.reading()
    assert reading is not None
    assert (reading.power_w, reading.import_wh, reading.export_wh) == (-1234.5, 1_000_500.0, 20_250.0)
    assert now_s - reading.at_s < 0.4
    assert all(request[1] == 4 for request in device.requests)


def test_sdm630_reversed_turns_power_and_registers() -> None:
    meter, device = sdm630(sdm_registers(-1234.5, 1000.5, 20.25), reversed_=True)
    run(meter.poll, lambda _: device.poll(), 0.0, 0.5)
    reading = meter.reading()
    assert reading is not None
    assert (reading.power_w, reading.import_wh) == (1234.5, 20_250.0)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_sdm630_not_a_number_is_no_reading(bad: float) -> None:
    meter, device = sdm630(sdm_registers(bad, 1.0, 1.0))
    run(meter.poll, lambda _: device.poll(), 0.0, 0.5)
    assert meter.reading() is None
    assert meter.problem() is not None


def test_factories_name_unknown_and_missing_options() -> None:
    with pytest.raises(ValueError, match="m: option 'port' is missing"):
        acrel_djsf1352.create("m", {})
    with pytest.raises(ValueError, match="m: option 'baudrat' is unknown; did you mean 'baudrate'"):
        acrel_djsf1352.create("m", {"port": "/dev/ttyX1", "baudrat": 9600})
    with pytest.raises(ValueError, match=r"option 'unit' must be a whole number 1\.\.247, got 0"):
        eastron_sdm630.create("m", {"port": "/dev/ttyX2", "unit": 0})
    with pytest.raises(ValueError, match="option 'parity' must be one of N, E, O"):
        eastron_sdm630.create("m", {"port": "/dev/ttyX3", "parity": "even"})
    assert eastron_sdm630.create("m", {"port": "/dev/ttyX4", "meter_id": "SN1"}).meter_id == "SN1"
