"""Session energy comes from registers; a register that falls is refused loudly and changes nothing."""

from __future__ import annotations

import pytest

from evse_controller.metering import MeterRegisterError, SessionMeter


def test_energy_is_the_difference_of_registers_each_way() -> None:
    meter = SessionMeter("M1", 1_000_000.0, 5_000.0, 100.0)
    totals = meter.update(1_002_500.0, 5_100.0, 160.0)
    assert (totals.meter_id, totals.charged_wh, totals.discharged_wh, totals.at_utc_s) == ("M1", 2500.0, 100.0, 160.0)
    record = meter.energy()
    assert (record.start_import_wh, record.stop_import_wh) == (1_000_000.0, 1_002_500.0)
    assert (record.charged_wh, record.discharged_wh, record.refused_readings) == (2500.0, 100.0, 0)


@pytest.mark.parametrize(
    ("reading", "word"),
    [
        ((999.0, 50.0, 20.0), "import register went from 1010"),
        ((1011.0, 49.0, 20.0), "export register"),
        ((float("nan"), 50.0, 20.0), "import register"),
        ((1011.0, 50.0, 5.0), "time went back"),
    ],
)
def test_falling_register_is_refused_and_totals_stand(reading: tuple[float, float, float], word: str) -> None:
    meter = SessionMeter("M1", 1000.0, 50.0, 0.0)
    meter.update(1010.0, 50.0, 10.0)
    with pytest.raises(MeterRegisterError, match=word):
        meter.update(*reading)
    assert meter.totals.charged_wh == 10.0
    assert meter.energy().refused_readings == 1
    assert meter.update(1012.0, 50.0, 30.0).charged_wh == 12.0


def test_a_meter_without_numbers_cannot_start_a_session() -> None:
    with pytest.raises(MeterRegisterError, match="not numbers"):
        SessionMeter("M1", float("inf"), 0.0, 0.0)


def test_samples_are_spaced_end_with_the_newest_and_carry_mean_site_values() -> None:
    meter = SessionMeter("M1", 0.0, 0.0, 0.0, keep_every_s=60.0)
    for second in range(1, 91):
        meter.update(float(second), 0.0, float(second), building_w=1000.0 if second <= 30 else 3000.0)
    samples = meter.samples
    assert [sample.utc_s for sample in samples] == [0.0, 60.0, 90.0]
    assert [sample.charged_wh for sample in samples] == [0.0, 60.0, 90.0]
    assert samples[1].building_w == pytest.approx(2000.0)
    assert samples[2].building_w == pytest.approx(3000.0)
