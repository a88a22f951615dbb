"""The whole AC house and cars that are not wrong: one phase of three, a clock that is late."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evse_controller.model.commands import ControlMode
from hal.sim.onboard import OnboardConfig
from hil.evcc import AC_PROTOCOLS, SERVICE_AC, AcRatings, EvccConfig
from hil.virtual import BenchSettings, hourly, plant_of
from tests.hil.house import MakeBench

START = 1_724_752_800.0
CAR = EvccConfig(target_soc=90.0, departure_utc_s=START + 3 * 3600, protocols=AC_PROTOCOLS, services=(SERVICE_AC,))


@pytest.mark.parametrize("mode", list(ControlMode))
def test_a_car_of_one_phase_that_could_take_more_than_one_carries(bench: MakeBench, mode: ControlMode) -> None:
    charger = OnboardConfig(phases=1, max_current_a=48.0)
    house = bench(
        replace(CAR, control_mode=mode, ac=AcRatings(max_charge_w=11_040.0, min_charge_w=1380.0, phases=1)),
        BenchSettings(
            start_utc_s=START,
            prices=hourly(START, (20.0,) * 6 + (400.0,) * 42),
            speed=60.0,
            plant=plant_of(kind="ac", onboard=charger),
        ),
    )
    house.arrive()
    house.until(lambda: house.samples[-1].power_w > 7_000.0, 60.0)
    house.run(10.0)
    assert house.samples[-1].power_w == pytest.approx(7_360.0, rel=0.02)
    assert house.evcc.failure is None, house.story()


def test_a_car_whose_clock_is_late_follows_its_schedule_and_is_served(bench: MakeBench) -> None:
    start = START + 3_500.0
    car = replace(CAR, control_mode=ControlMode.SCHEDULED, target_soc=70.0, departure_utc_s=START + 5 * 3600)
    house = bench(
        car,
        BenchSettings(
            start_utc_s=start,
            prices=hourly(start, (20.0, 400.0, 400.0) + (20.0,) * 40),
            speed=1.0,
            plant=plant_of(kind="ac"),
        ),
    )
    utc_s = house._utc
    house._utc = lambda now_s: utc_s(now_s) - 15.0  # type: ignore[method-assign]
    house._new_vehicle(car)
    house.arrive()
    house.until(lambda: house.samples[-1].power_w > 9_000.0, 60.0)
    house.until(lambda: house.samples[-1].utc_s > START + 3_615.0, 120.0)
    assert house.samples[-1].power_w < 100.0
    house.run(10.0)
    assert house.samples[-1].closed
    assert house.evcc.failure is None, house.story()
    assert not [answer for answer in house.answers if answer.event is not None and "WARNING" in str(answer.event.code)]
