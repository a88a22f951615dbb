"""The SDM630 at an AC outlet, by bytes."""

from __future__ import annotations

import math

import pytest

from hal.meters import eastron_sdm630
from hal.meters.eastron_sdm630_outlet import EastronSdm630Outlet
from tests.hal.drivers.bench import RegisterDevice, f32_words, modbus_line, run

# L1 2300 W drawn, L2 nothing, L3 690 W fed back; 50.01 Hz, 12.5 kWh in, 3.25 kWh out
VALUES = {0: 230.0, 2: 231.0, 4: 229.0, 6: 10.0, 8: 0.0, 10: 3.0, 12: 2300.0, 14: 0.0, 16: -687.0}
TOTALS = {70: 50.01, 72: 12.5, 74: 3.25}


def registers(values: dict[int, float]) -> dict[int, int]:
    words: dict[int, int] = {}
    for address, value in values.items():
        words[address], words[address + 1] = f32_words(value)
    return words


def outlet(**options: float | bool) -> tuple[EastronSdm630Outlet, RegisterDevice]:
    bus, line = modbus_line()
    meter = EastronSdm630Outlet("meter", bus, 1, **options)  # type: ignore[arg-type]
    meter.open()
    return meter, RegisterDevice(line, 1, registers({**VALUES, **TOTALS}))


def test_every_phase_is_signed_by_its_power() -> None:
    meter, device = outlet()
    run(meter.poll, lambda _: device.poll(), 0.0, 0.5)
    reading = meter.reading()
    assert reading is not None
    assert [phase.voltage_v for phase in reading.phases] == [230.0, 231.0, 229.0]
    assert [phase.current_a for phase in reading.phases] == [10.0, 0.0, -3.0]
    assert [phase.power_w for phase in reading.phases] == [2300.0, 0.0, -687.0]
    assert reading.power_w == 1613.0
    assert (reading.import_wh, reading.export_wh) == (12_500.0, 3_250.0)
    assert reading.frequency_hz == pytest.approx(50.01)


def test_turned_meter_turns_power_current_and_registers() -> None:
    meter, device = outlet(reversed_=True)
    run(meter.poll, lambda _: device.poll(), 0.0, 0.5)
    reading = meter.reading()
    assert reading is not None
    assert reading.power_w == -1613.0
    assert reading.phases[0].current_a == -10.0
    assert (reading.import_wh, reading.export_wh) == (3_250.0, 12_500.0)


def test_readings_come_well_within_their_deadline() -> None:
    meter, device = outlet()
    oldest = 0.0
    now_s = run(meter.poll, lambda _: device.poll(), 0.0, 1.0)
    for _ in range(300):
        now_s = run(meter.poll, lambda _: device.poll(), now_s, 0.01)
        reading = meter.reading()
        assert reading is not None
        oldest = max(oldest, now_s - reading.at_s)
    assert oldest < 0.4


def test_one_phase_meter_has_one_phase() -> None:
    meter, device = outlet(phases=1)
    run(meter.poll, lambda _: device.poll(), 0.0, 0.5)
    reading = meter.reading()
    assert reading is not None
    assert len(reading.phases) == 1


@pytest.mark.parametrize("address", [0, 8, 16])
def test_what_is_not_a_number_is_no_reading(address: int) -> None:
    meter, device = outlet()
    now_s = run(meter.poll, lambda _: device.poll(), 0.0, 0.5)
    device.registers.update(registers({address: math.nan}))
    run(meter.poll, lambda _: device.poll(), now_s + 0.2, 1.0)
    reading = meter.reading()
    assert reading is not None
    assert reading.at_s <= now_s + 0.2
    assert "no measurement" in (meter.problem() or "")


def test_phases_without_fresh_registers_are_no_reading() -> None:
    meter, device = outlet()
    now_s = run(meter.poll, lambda _: device.poll(), 0.0, 0.5)
    device.refuse[70] = 2
    now_s = run(meter.poll, lambda _: device.poll(), now_s, 4.0)
    reading = meter.reading()
    assert reading is not None
    assert now_s - reading.at_s > 1.0


def test_the_driver_is_chosen_by_an_option() -> None:
    made = eastron_sdm630.create("m", {"port": "/dev/none", "outlet": True, "phases": 1})
    assert isinstance(made, EastronSdm630Outlet)
    assert isinstance(eastron_sdm630.create("m", {"port": "/dev/none", "unit": 2}), eastron_sdm630.EastronSdm630)
    with pytest.raises(ValueError, match="phases"):
        eastron_sdm630.create("m", {"port": "/dev/none", "outlet": True, "phases": 2, "unit": 3})
