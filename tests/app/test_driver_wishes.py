"""What the driver wants: departure and charge, told to the outlet and through it to the car."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from evse_controller.app import rpc_session
from evse_controller.model.commands import ControlMode
from evse_controller.model.snapshot import DriverWishes
from evse_controller.net.control import RpcError
from hil.evcc import EvccConfig
from hil.virtual import BenchSettings, VirtualBench, hourly, plant_of
from tests.app.house import DYNAMIC, START_S, call, charging

MODE_2 = (replace(DYNAMIC, mobility_needs_mode=2), "[services]\nmobility_needs_modes = [1, 2]\n", 1.0)


@pytest.mark.parametrize("house", [MODE_2], indirect=True)
def test_what_the_driver_says_reaches_the_car_until_the_plug_is_out(house: VirtualBench) -> None:
    leaves_s = house.outlet.world.utc_s() + 5 * 3600
    told = call(house, "driver.set", departure=leaves_s, target_soc=77)
    assert told["heard"] is True
    call(house, "driver.set", minimum_soc=33)
    wishes = DriverWishes(leaves_s, 77, 33)
    house.arrive()
    charging(house)
    assert house.outlet.snapshot().driver == wishes
    answers = [a.message for a in house.answers if type(a.message).__name__ == "DC_ChargeLoopRes"]
    mode = answers[-1].cl_res_control_mode  # type: ignore[union-attr]
    assert (mode.target_soc, mode.minimum_soc) == (77, 33)
    house.evcc.request_stop("done")
    house.until(lambda: house.evcc.finished, 40.0)
    assert house.outlet.driver == wishes
    house.plant.inlet.unplug()
    house.run(0.5)
    assert house.outlet.driver is None


def test_nobody_hears_the_driver_where_the_cars_speak_for_themselves(house: VirtualBench) -> None:
    assert call(house, "driver.set", target_soc=80)["heard"] is False
    assert call(house, "driver.clear") == dict.fromkeys(("departure_utc_s", "target_soc", "minimum_soc"))


@pytest.mark.parametrize("house", [(replace(DYNAMIC, mobility_needs_mode=1), *MODE_2[1:])], indirect=True)
def test_who_hears_the_driver_follows_what_the_car_has_selected(house: VirtualBench) -> None:
    assert call(house, "driver.set", target_soc=80)["heard"] is True, "it may yet ask us"
    house.arrive()
    charging(house)
    assert call(house, "driver.set", target_soc=80)["heard"] is False
    house.evcc.request_stop("done")
    house.until(lambda: house.evcc.finished, 40.0)
    assert call(house, "driver.set", target_soc=80)["heard"] is True


DEAR = hourly(START_S, (400.0,) * 3 + (20.0,) * 45)


@pytest.mark.parametrize("mode", [ControlMode.DYNAMIC, ControlMode.SCHEDULED])
def test_the_drivers_minimum_is_kept_whatever_the_car_and_its_mode_say(tmp_path: Path, mode: ControlMode) -> None:
    """MobilityNeedsMode 1: the car has its own minimum of 20 % and never hears of the driver's."""
    car = EvccConfig(
        services=(6,), control_mode=mode, target_soc=65.0, minimum_soc=20.0, v2x_min_soc=20.0,
        departure_utc_s=START_S + 8 * 3600,
    )
    settings = BenchSettings(prices=DEAR, speed=100.0, plant=plant_of(0.62), soc=0.62)
    with VirtualBench(tmp_path, car, settings) as house:
        call(house, "driver.set", minimum_soc=60)
        house.arrive()
        house.run(50.0)
        shown = [sample.soc * 100.0 for sample in house.samples]
        assert 59.0 < min(shown) < 61.5, "sold down to the driver's minimum, and no further"
        assert min(sample.power_w for sample in house.samples) < -2_000.0


NOW_S = 1_700_000_000.0  # 2023-11-14 22:13:20 UTC


@pytest.mark.parametrize(
    ("said", "departs_s"),
    [
        ("22:14Z", NOW_S + 40),
        ("22:13Z", NOW_S - 20 + 86_400),
        ("07:30Z", NOW_S + 9 * 3600 + 16 * 60 + 40),
        ("2023-11-15T07:30:00+02:00", NOW_S + 7 * 3600 + 16 * 60 + 40),
        (NOW_S + 60, NOW_S + 60),
    ],
)
def test_a_departure_is_the_next_time_of_that_day(said: object, departs_s: float) -> None:
    assert rpc_session.departure_s(said, NOW_S) == departs_s


def test_a_departure_without_zone_is_of_the_chargers_own_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    try:
        monkeypatch.setenv("TZ", "Europe/Berlin")
        time.tzset()
        assert rpc_session.departure_s("23:14", NOW_S) == NOW_S + 40
        assert rpc_session.departure_s("23:13", NOW_S) == NOW_S - 20 + 86_400
        night_s = 1_711_836_000.0  # 30 March 2024, 23:00 in Berlin: an hour is missing until seven
        assert rpc_session.departure_s("07:00", night_s) == night_s + 7 * 3600
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    "said", ["7 o'clock", "25:00", "2023-11-15T07:30:00", NOW_S - 1, NOW_S + 15 * 86_400, True, []]
)
def test_a_departure_that_cannot_be_is_refused(said: object) -> None:
    with pytest.raises(RpcError, match="departure must"):
        rpc_session.departure_s(said, NOW_S)


def test_wishes_that_cannot_be_are_refused(house: VirtualBench) -> None:
    wrong: tuple[dict[str, object], ...] = (
        {}, {"target_soc": 101}, {"target_soc": 50, "minimum_soc": 60}, {"minimum_soc": True}, {"target_soc": 50.5},
    )
    for params in wrong:
        with pytest.raises(RpcError):
            call(house, "driver.set", **params)
        assert house.outlet.driver is None, params
