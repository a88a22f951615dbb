"""A socket outlet, whole and in virtual time: the driver's own cable says what a car may be told, and it is told it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from evse_controller.model.commands import ControlMode
from hal.sim.ac_mains import AcConfig
from hil.evcc import AC_PROTOCOLS, SERVICE_AC_BPT, EvccConfig
from hil.virtual import BenchSettings, VirtualBench, plant_of

SETTINGS = BenchSettings(speed=1.0, plant=plant_of(0.4, kind="ac", ac=AcConfig(cable_a=13)))
CAR = EvccConfig(
    services=(SERVICE_AC_BPT,), protocols=AC_PROTOCOLS, departure_utc_s=SETTINGS.start_utc_s + 8 * 3600.0
)


@pytest.mark.parametrize("mode", list(ControlMode))
def test_power_flows_through_the_drivers_cable_and_never_more_than_it_carries(
    tmp_path: Path, mode: ControlMode
) -> None:
    with VirtualBench(tmp_path, replace(CAR, control_mode=mode), SETTINGS) as house:
        house.arrive()
        house.until(lambda: house.samples[-1].power_w > 8_500.0, 60.0)
        house.run(8.0)  # longer than the reaction time, so that what is measured is judged by what is told now
        assert house.samples[-1].closed
        assert 8_500.0 < house.samples[-1].power_w < 3 * 13.0 * 230.0 + 300.0
        snapshot = house.outlet.station.snapshot
        assert snapshot is not None
        assert snapshot.ac_ratings is not None
        assert snapshot.ac_present is not None
        assert snapshot.ac_ratings.max_charge_w.total_w == pytest.approx(3 * 13.0 * 230.0)
        assert 0.0 < snapshot.ac_present.max_charge_w.total_w <= 3 * 13.0 * 230.0 + 0.1
        assert not house.outlet.station.faults
        house.check()
