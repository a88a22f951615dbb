"""The whole AC house in virtual time: on-board charger, mains, the daemon's AC outlet and its devices, the SECC."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evse_controller.model.commands import ControlMode
from evse_controller.model.pilot import PilotState
from evse_controller.model.snapshot import Notification
from evse_controller.site import Direction
from hil.evcc import AC_PROTOCOLS, SERVICE_AC, SERVICE_AC_BPT, AcRatings, Act, Deviation, EvccConfig, Step
from hil.virtual import BenchSettings, VirtualBench, hourly, plant_of
from tests.hil.house import MakeBench

START = 1_724_752_800.0
PRICES = hourly(START, (100.0,) * 2 + (20.0,) * 2 + (400.0,) * 2 + (100.0,) * 42)
DAY = BenchSettings(start_utc_s=START, prices=PRICES, speed=600.0, plant=plant_of(kind="ac"))
CHEAP = replace(DAY, prices=hourly(START, (20.0,) * 6 + (400.0,) * 42), speed=60.0)
STAY = EvccConfig(
    target_soc=55.0, departure_utc_s=START + 6.5 * 3600, protocols=AC_PROTOCOLS, services=(SERVICE_AC_BPT,)
)
CHARGING = replace(STAY, target_soc=90.0, departure_utc_s=START + 3 * 3600)


def leave(house: VirtualBench) -> None:
    house.evcc.request_stop("test is over")
    house.until(lambda: house.evcc.finished and house.outlet.at_rest, 30.0)


@pytest.mark.parametrize("service", [SERVICE_AC, SERVICE_AC_BPT])
@pytest.mark.parametrize("mode", list(ControlMode))
def test_an_ac_day_in_every_mode(bench: MakeBench, mode: ControlMode, service: int) -> None:
    house = bench(replace(STAY, control_mode=mode, services=(service,)))
    house.session()
    assert house.evcc.failure is None, house.story()
    powers = [sample.power_w for sample in house.samples]
    assert max(powers) > 9_000.0
    assert min(powers) < -5_000.0 if service == SERVICE_AC_BPT else min(powers) > -1.0
    assert house.plant.inlet.soc_percent == pytest.approx(55.0, abs=8.0)
    (record,) = house.outlet.journal.sessions()
    assert record.end_kind == "terminated"
    energy = house.plant.world.world_energy
    assert record.charged_wh == pytest.approx(energy.outlet_in_wh, rel=0.03, abs=50.0)
    assert record.discharged_wh == pytest.approx(energy.outlet_out_wh, rel=0.03, abs=50.0)
    assert not house.samples[-1].closed


@pytest.mark.parametrize("mode", list(ControlMode))
def test_a_site_cut_is_obeyed_by_the_on_board_charger_within_the_reaction_time(
    bench: MakeBench, mode: ControlMode
) -> None:
    house = bench(replace(CHARGING, control_mode=mode), CHEAP)
    house.arrive()
    house.until(lambda: house.samples[-1].power_w > 9_000.0, 60.0)
    house.limit(Direction.IMPORT, 8_000.0)
    house.until(lambda: house.samples[-1].grid_w < 8_050.0, 5.0)
    house.run(3.0)
    assert house.samples[-1].closed
    assert house.samples[-1].power_w > 2_000.0
    leave(house)
    assert house.evcc.failure is None, house.story()


@pytest.mark.parametrize("mode", list(ControlMode))
def test_a_charger_that_draws_above_its_target_is_cut_off(bench: MakeBench, mode: ControlMode) -> None:
    greedy = replace(CHARGING, control_mode=mode, deviations=frozenset({Deviation.OVERDRAWS}), after_loops=20)
    house = bench(greedy, replace(CHEAP, import_w=8_000.0))
    house.arrive()
    house.until(lambda: house.evcc.loops >= 20, 60.0)
    house.until(lambda: not house.samples[-1].closed, 8.0)
    house.until(lambda: house.evcc.finished and house.outlet.at_rest, 30.0)
    assert house.plant.inlet.charger.power_w == 0.0


@pytest.mark.parametrize("deviation", [
    Deviation.SILENT_IN_LOOP, Deviation.DROP_IN_LOOP, Deviation.WRONG_SESSION_ID, Deviation.WRONG_CONTROL_MODE,
    Deviation.STOP_WITHOUT_POWER_DELIVERY, Deviation.PULL_PLUG, Deviation.STAYS_IN_STATE_B,
])
def test_whatever_the_ac_vehicle_does_the_contactor_ends_open(bench: MakeBench, deviation: Deviation) -> None:
    house = bench(replace(CHARGING, deviations=frozenset({deviation}), after_loops=20, stop_after_loop_s=8.0), CHEAP)
    if deviation is Deviation.PULL_PLUG:
        house.plant.referee.waive("unplugged-live", "the test pulls a live plug")
    house.arrive()
    house.until(lambda: house.evcc.finished or house.evcc.loops >= 20, 90.0)
    house.until(lambda: not house.samples[-1].closed and house.outlet.at_rest, 30.0)
    assert house.plant.inlet.charger.power_w == 0.0


@pytest.mark.parametrize("per_phase", [True, False])
@pytest.mark.parametrize("mode", list(ControlMode))
def test_limits_for_each_phase_and_for_all_of_them_mean_the_same(
    bench: MakeBench, mode: ControlMode, per_phase: bool
) -> None:
    house = bench(replace(CHARGING, control_mode=mode, ac=AcRatings(per_phase=per_phase)), CHEAP)
    house.arrive()
    house.until(lambda: house.samples[-1].power_w > 10_000.0, 60.0)
    leave(house)
    assert house.evcc.failure is None, house.story()


@pytest.mark.parametrize("act", [Act.RENEGOTIATE, Act.RENEGOTIATE_BESIDE, Act.STANDBY])
@pytest.mark.parametrize("mode", list(ControlMode))
def test_energy_flows_again_after_it_rested(bench: MakeBench, mode: ControlMode, act: Act) -> None:
    house = bench(replace(CHARGING, control_mode=mode, script=(Step(act, 3.0),)), CHEAP)
    house.arrive()
    house.until(lambda: house.evcc.done == [act], 90.0)
    house.until(lambda: house.samples[-1].power_w > 9_000.0, 20.0)
    leave(house)
    assert house.evcc.failure is None, house.story()


def test_from_charging_only_to_both_ways_without_unplugging(bench: MakeBench) -> None:
    change = Step(Act.CHANGE_SERVICE, 3.0, changes={"services": (SERVICE_AC_BPT,), "control_mode": ControlMode.DYNAMIC})
    dear_later = replace(CHEAP, prices=PRICES, speed=600.0)
    house = bench(replace(STAY, services=(SERVICE_AC,), script=(change,)), dear_later)
    house.arrive()
    house.until(lambda: house.evcc.done == [Act.CHANGE_SERVICE], 60.0)
    house.until(lambda: house.samples[-1].power_w < -5_000.0, 60.0)
    leave(house)
    assert house.evcc.failure is None, house.story()
    assert len(house.outlet.journal.sessions()) == 1


def test_a_paused_ac_vehicle_wakes_the_station_by_its_pilot(bench: MakeBench) -> None:
    rests = replace(CHARGING, control_mode=ControlMode.DYNAMIC)
    house = bench(rests, CHEAP)
    house.arrive()
    house.until(lambda: house.samples[-1].power_w > 5_000.0, 60.0)
    house.ask(Notification.PAUSE)
    house.until(lambda: house.evcc.finished, 20.0)
    assert house.evcc.paused is not None, house.story()
    house.until(lambda: house.plant.inlet.duty_percent is None, 10.0)
    assert not house.samples[-1].closed
    memory = house.evcc.paused
    house.wake_by_vehicle()
    house.come_back(replace(rests, stop_after_loop_s=5.0), memory)
    house.until(lambda: house.evcc.finished and house.outlet.at_rest, 60.0)
    assert house.evcc.failure is None, house.story()
    assert house.evcc.resumed
    assert house.plant.inlet.plugged
    assert house.outlet.snapshot().pilot is PilotState.B



@pytest.mark.parametrize("mode", list(ControlMode))
@pytest.mark.parametrize("asked", ["pause", "stop"])
def test_an_ac_vehicle_that_heeds_nothing_loses_its_power_and_then_its_session(
    bench: MakeBench, mode: ControlMode, asked: str
) -> None:
    deaf = replace(CHARGING, control_mode=mode, deviations=frozenset({Deviation.IGNORE_NOTIFICATION}))
    house = bench(deaf, CHEAP)
    house.arrive()
    house.until(lambda: house.samples[-1].power_w > 9_000.0, 60.0)
    if asked == "pause":
        house.ask(Notification.PAUSE, max_delay_s=5)
    else:
        house.outlet.station.request_stop("a technician", house.now_s)
    house.until(lambda: not house.samples[-1].closed, 40.0)
    house.until(lambda: house.evcc.finished, 5.0)
    assert "FAILED" in str(house.evcc.failure), house.story()
    house.until(lambda: house.outlet.at_rest, 40.0)
    house.plant.inlet.unplug()
    house.run(1.0)
    assert house.outlet.station.status().stopping is None
