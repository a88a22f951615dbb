"""The whole house in virtual time: every mode completes, energy really flows both ways, cuts are obeyed, nobody
objects. Each bench ends with the referee's verdict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from evse_controller.messages.generated import dc
from evse_controller.messages.rational import rational_value
from evse_controller.model.commands import ControlMode
from evse_controller.model.pilot import PilotState
from evse_controller.site import Direction
from hil.evcc import SERVICE_DC, SERVICE_DC_BPT, Deviation, EvccConfig
from hil.virtual import BenchSettings, VirtualBench, hourly, plant_of
from tests.hil.house import MakeBench

START = 1_724_752_800.0
PRICES = hourly(START, (100.0,) * 2 + (20.0,) * 2 + (400.0,) * 2 + (100.0,) * 42)
DAY = BenchSettings(start_utc_s=START, prices=PRICES, speed=600.0, plant=plant_of())
STAY = EvccConfig(target_soc=55.0, departure_utc_s=START + 6.5 * 3600)
CHARGING = replace(STAY, target_soc=90.0, services=(SERVICE_DC_BPT,))


@pytest.mark.parametrize("service", [SERVICE_DC, SERVICE_DC_BPT])
@pytest.mark.parametrize("mode", list(ControlMode))
def test_a_day_in_every_mode(bench: MakeBench, mode: ControlMode, service: int) -> None:
    house = bench(replace(STAY, control_mode=mode, services=(service,)))
    house.session()
    assert house.evcc.failure is None, house.story()
    currents = [sample.current_a for sample in house.samples]
    assert max(currents) > 20.0
    if service == SERVICE_DC_BPT:
        assert min(currents) < -20.0
    else:
        assert min(currents) > -1.0
    # At this speed a second of ramp is ten minutes of energy, and caps leave no room to catch up.
    assert house.plant.inlet.soc_percent == pytest.approx(55.0, abs=7.0)
    assert not house.plant.world.evse_contactor.closed
    (record,) = house.outlet.journal.sessions()
    battery = house.plant.inlet
    assert record.charged_wh == pytest.approx(battery.charged_wh, rel=0.03, abs=30.0)
    assert record.discharged_wh == pytest.approx(battery.discharged_wh, rel=0.03, abs=30.0)
    assert record.end_kind == "terminated"


@pytest.mark.parametrize("mode", list(ControlMode))
def test_a_site_cut_is_obeyed_within_a_second(bench: MakeBench, mode: ControlMode) -> None:
    house = bench(replace(CHARGING, control_mode=mode), replace(DAY, speed=120.0))
    house.arrive()
    house.until(lambda: house.samples[-1].grid_w > 15_000.0, 60.0)
    house.limit(Direction.IMPORT, 6_000.0)
    house.until(lambda: house.samples[-1].grid_w < 6_000.0, 1.0)
    house.run(2.0)
    assert max(sample.grid_w for sample in house.samples[-40:]) < 6_100.0
    assert house.samples[-1].current_a > 2.0
    last = [exchange for exchange in house.evcc.exchanges if isinstance(exchange.response, dc.DC_ChargeLoopRes)][-1]
    told = last.response.cl_res_control_mode.evse_maximum_charge_power
    assert rational_value(told) < 6_000.0
    house.evcc.request_stop("test is over")
    house.until(lambda: house.evcc.finished and house.outlet.at_rest, 30.0)
    assert house.evcc.failure is None


def test_silence_in_the_loop_opens_the_contactors(bench: MakeBench) -> None:
    house = bench(replace(CHARGING, deviations=frozenset({Deviation.SILENT_IN_LOOP}), after_loops=20))
    house.arrive()
    house.until(lambda: house.evcc.loops >= 20, 60.0)
    house.until(lambda: not house.plant.world.evse_contactor.closed, 3.0)
    assert abs(house.plant.world.outlet_current_a) < 1.0


@pytest.mark.parametrize("deviation", [
    Deviation.DROP_IN_LOOP, Deviation.WRONG_SESSION_ID, Deviation.STOP_WITHOUT_POWER_DELIVERY,
    Deviation.IGNORE_LIMITS, Deviation.START_THRICE, Deviation.SKIP_WELDING_DETECTION,
    Deviation.NO_PRECHARGE_FINISHED, Deviation.TARGET_VOLTAGE_ZERO,
])
def test_whatever_the_vehicle_does_the_outlet_ends_safe(bench: MakeBench, deviation: Deviation) -> None:
    house = bench(replace(
        CHARGING, deviations=frozenset({deviation}), after_loops=20, stop_after_loop_s=6.0, departure_utc_s=None,
    ))
    house.arrive()
    house.until(lambda: house.evcc.finished, 90.0)
    house.until(lambda: house.outlet.at_rest, 30.0)
    assert not house.plant.world.evse_contactor.closed
    if not house.plant.inlet.contactor_closed:  # one vehicle drops everything and keeps its contactors closed
        assert house.plant.world.outlet_v < 60.0


def test_the_same_seed_lives_the_same_day(bench: MakeBench) -> None:
    stay = replace(CHARGING, stop_after_loop_s=3.0, departure_utc_s=None)
    first, second = bench(stay), bench(stay)
    first.session()
    second.session()
    assert [sample.current_a for sample in first.samples] == [sample.current_a for sample in second.samples]
    assert first.plant.inlet.duty_percent is None
    assert first.outlet.snapshot().pilot is PilotState.A


def _dead_bus(house: VirtualBench) -> None:
    house.plant.inject("can", "dead")
    house.run(15.0)
    house.plant.clear("can", "dead")
    house.run(3.0)


@pytest.mark.parametrize("outage", [_dead_bus, lambda house: house.lose_daemon(12.0)], ids=["bus", "daemon"])
def test_an_outlet_comes_back_by_itself_after_its_modules_were_alone_for_over_ten_seconds(
    bench: MakeBench, outage: Callable[[VirtualBench], None]
) -> None:
    """They switched themselves off and remember it: no fault that would keep the next car from charging."""
    house = bench(replace(CHARGING, departure_utc_s=None), replace(DAY, speed=10.0))  # dear now, cheap later
    house.run(8.0)
    outage(house)
    house.arrive()
    house.until(lambda: house.samples[-1].current_a < -3.0, 60.0)
    house.evcc.request_stop("test is over")
    house.until(lambda: house.evcc.finished and house.outlet.at_rest, 30.0)
    assert house.evcc.failure is None, house.story()
