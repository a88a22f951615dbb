"""What may happen beside taking energy, in the whole house and in virtual time: rest, a new schedule, another service,
sleep and return, what the station asks for. Each bench ends with the referee's verdict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from evse_controller.model.commands import ControlMode
from evse_controller.model.pilot import PilotState
from evse_controller.model.snapshot import DriverWishes, Notification
from hil.evcc import SERVICE_DC, SERVICE_DC_BPT, SERVICE_MCS_BPT, Act, Deviation, EvccConfig, Step
from hil.virtual import BenchSettings, VirtualBench, certificate, hourly, plant_of
from tests.hil.house import MakeBench

START = 1_724_752_800.0
CHEAP = hourly(START, (20.0,) * 6 + (400.0,) * 42)
DEAR = hourly(START, (400.0,) * 2 + (20.0,) * 46)
DAY = BenchSettings(start_utc_s=START, prices=CHEAP, speed=60.0, plant=plant_of())
CHARGING = EvccConfig(target_soc=90.0, departure_utc_s=START + 2 * 3600, services=(SERVICE_DC_BPT,))
DYNAMIC = replace(CHARGING, control_mode=ControlMode.DYNAMIC)
BOTH = pytest.mark.parametrize("mode", list(ControlMode))


def charging(house: VirtualBench, least_a: float = 20.0) -> VirtualBench:
    house.arrive()
    house.until(lambda: house.samples[-1].current_a > least_a, 60.0)
    return house


def leave(house: VirtualBench) -> None:
    house.evcc.request_stop("test is over")
    house.until(lambda: house.evcc.finished and house.outlet.at_rest, 40.0)
    assert house.evcc.failure is None, house.story()


def opened(house: VirtualBench) -> bool:
    """The contactors opened at some time after they had closed."""
    closed = [sample.closed for sample in house.samples]
    return False in closed[closed.index(True):]


# -- rest and new schedules ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("act", [Act.RENEGOTIATE, Act.STANDBY])
@BOTH
def test_contactors_stay_closed_without_current_while_energy_rests(
    bench: MakeBench, mode: ControlMode, act: Act
) -> None:
    house = charging(bench(replace(CHARGING, control_mode=mode, script=(Step(act, 3.0),))))
    house.until(lambda: house.evcc.done == [act], 60.0)
    rested = [sample for sample in house.samples if sample.closed and abs(sample.current_a) < 1.0]
    assert len(rested) > 5
    house.until(lambda: house.samples[-1].current_a > 20.0, 20.0)
    assert not opened(house)
    leave(house)


@BOTH
def test_energy_flows_on_while_a_schedule_is_made_beside_the_loop(bench: MakeBench, mode: ControlMode) -> None:
    script = (Step(Act.RENEGOTIATE_BESIDE, 4.0, changes={"target_soc": 80.0}),)
    house = charging(bench(replace(CHARGING, control_mode=mode, script=script)))
    house.until(lambda: house.evcc.loops > 20, 10.0)
    first = len(house.samples)
    house.until(lambda: house.evcc.done == [Act.RENEGOTIATE_BESIDE], 60.0)
    house.run(2.0)
    assert min(sample.current_a for sample in house.samples[first:]) > 10.0
    leave(house)


def test_a_vehicle_that_sleeps_in_standby_is_opened_in_good_order(bench: MakeBench) -> None:
    config = replace(CHARGING, script=(Step(Act.STANDBY, 3.0),), deviations=frozenset({Deviation.SLEEPS_IN_STANDBY}))
    house = charging(bench(config))
    house.until(lambda: opened(house), 30.0)
    house.until(lambda: house.evcc.finished and house.outlet.at_rest, 60.0)
    assert house.outlet.station.faults == ()


def test_silence_after_standby_opens_after_the_sequence_time(bench: MakeBench) -> None:
    config = replace(CHARGING, script=(Step(Act.STANDBY, 3.0),), deviations=frozenset({Deviation.SILENT_AFTER_STANDBY}))
    house = charging(bench(config))
    house.until(lambda: house.samples[-1].closed and abs(house.samples[-1].current_a) < 0.5, 20.0)
    took_s = house.until(lambda: not house.samples[-1].closed, 90.0)
    assert 55.0 < took_s < 75.0


@BOTH
def test_the_station_wakes_a_vehicle_from_standby(bench: MakeBench, mode: ControlMode) -> None:
    house = charging(bench(replace(CHARGING, control_mode=mode, script=(Step(Act.STANDBY, 3.0, hold_s=50.0),))))
    house.until(lambda: abs(house.samples[-1].current_a) < 0.5, 20.0)
    house.run(2.0)
    house.ask(Notification.EXIT_STANDBY)
    house.until(lambda: house.samples[-1].current_a > 20.0, 10.0)
    leave(house)


# -- another service -------------------------------------------------------------------------------------------------


@BOTH
def test_from_charging_only_to_both_ways_without_unplugging(bench: MakeBench, mode: ControlMode) -> None:
    change = Step(Act.CHANGE_SERVICE, 3.0, changes={"services": (SERVICE_DC_BPT,), "control_mode": mode})
    one_way = replace(CHARGING, services=(SERVICE_DC,), target_soc=60.0, script=(change,))
    house = bench(replace(one_way, departure_utc_s=START + 8 * 3600), replace(DAY, prices=DEAR))
    house.arrive()
    house.until(lambda: house.evcc.done == [Act.CHANGE_SERVICE], 90.0)
    house.until(lambda: house.samples[-1].current_a < -10.0, 60.0)
    assert opened(house)  # in between the outlet was dead and tested anew
    leave(house)
    assert len(house.outlet.journal.sessions()) == 1


def test_a_vehicle_that_hangs_up_after_its_service_renegotiation_is_survived(bench: MakeBench) -> None:
    config = replace(
        CHARGING, script=(Step(Act.CHANGE_SERVICE, 3.0),),
        deviations=frozenset({Deviation.CLOSES_AFTER_SERVICE_RENEGOTIATION}),
    )
    house = charging(bench(config))
    house.until(lambda: house.evcc.finished and house.outlet.at_rest, 60.0)
    house.come_back(CHARGING, None)
    house.until(lambda: house.samples[-1].current_a > 20.0, 60.0)
    leave(house)


@BOTH
def test_the_station_asks_for_another_service(bench: MakeBench, mode: ControlMode) -> None:
    house = charging(bench(replace(CHARGING, control_mode=mode)))
    house.ask(Notification.SERVICE_RENEGOTIATION)
    house.until(lambda: house.evcc.done == [Act.CHANGE_SERVICE], 60.0)
    house.until(lambda: house.samples[-1].current_a > 20.0, 60.0)
    leave(house)


# -- sleep and return ------------------------------------------------------------------------------------------------


def asleep(bench: MakeBench, config: EvccConfig = DYNAMIC, settings: BenchSettings = DAY) -> VirtualBench:
    house = charging(bench(config, settings))
    house.ask(Notification.PAUSE)
    house.until(lambda: house.evcc.finished, 30.0)
    assert house.evcc.paused is not None, house.story()
    house.until(lambda: house.outlet.station.asleep and house.plant.inlet.duty_percent is None, 20.0)
    assert not house.samples[-1].closed
    return house


def resumed(house: VirtualBench, config: EvccConfig = DYNAMIC) -> None:
    memory = house.evcc.paused
    house.wake_by_vehicle()
    house.come_back(config, memory)
    house.until(lambda: house.samples[-1].current_a > 20.0, 60.0)
    assert house.evcc.resumed


def test_a_vehicle_wakes_the_station_and_goes_on_where_it_paused(bench: MakeBench) -> None:
    house = asleep(bench)
    before = house.outlet.journal.sessions()[0].session_id
    resumed(house)
    leave(house)
    assert {record.session_id for record in house.outlet.journal.sessions()} == {before}
    names = [exchange.request.ELEMENT for exchange in house.evcc.exchanges]
    assert names[:3] == ["supportedAppProtocolReq", "SessionSetupReq", "DC_ChargeParameterDiscoveryReq"]


def test_the_station_wakes_a_paused_vehicle(bench: MakeBench) -> None:
    house = asleep(bench)
    memory = house.evcc.paused
    house.run(5.0)
    house.outlet.station.wake("the sun shines", house.now_s)
    house.come_back(DYNAMIC, memory)
    house.until(lambda: house.samples[-1].current_a > 20.0, 60.0)
    assert house.evcc.resumed
    leave(house)


def test_a_paused_session_survives_a_restart_of_the_daemon(bench: MakeBench) -> None:
    house = asleep(bench)
    house.lose_daemon(3.0)
    resumed(house)
    leave(house)


def test_another_certificate_does_not_get_the_paused_session(bench: MakeBench) -> None:
    house = asleep(bench)
    memory = house.evcc.paused
    house.wake_by_vehicle()
    house.come_back(DYNAMIC, memory, certificate("SOMEONE-ELSE"))
    house.until(lambda: house.samples[-1].current_a > 20.0, 60.0)
    assert not house.evcc.resumed
    leave(house)
    assert len(house.outlet.journal.sessions()) == 2


@BOTH
def test_a_pause_that_nobody_allowed_ends_safely(bench: MakeBench, mode: ControlMode) -> None:
    config = replace(CHARGING, control_mode=mode, script=(Step(Act.PAUSE, 3.0),),
                     deviations=frozenset({Deviation.PAUSES_UNASKED}))
    house = charging(bench(config))
    house.until(lambda: house.evcc.finished and house.outlet.at_rest, 60.0)
    assert "FAILED_PauseNotAllowed" in str(house.evcc.failure)
    assert not house.outlet.station.asleep


def ignored(house: VirtualBench, act: Callable[[], object]) -> None:
    """The vehicle heeds nothing: power is taken first, then the session ends by FAILED, and nobody ever left."""
    act()
    house.until(lambda: not house.samples[-1].closed, 40.0)
    assert abs(house.samples[-1].current_a) < 1.0
    house.until(lambda: house.evcc.finished, 5.0)
    assert "FAILED" in str(house.evcc.failure), house.story()
    house.until(lambda: house.outlet.at_rest, 40.0)
    assert house.outlet.station.stopped is not None  # this one is not welcome any more, the next car is
    house.plant.inlet.unplug()
    house.run(1.0)
    assert house.outlet.station.status().stopping is None


@BOTH
def test_a_vehicle_that_ignores_a_pause_is_stopped_when_its_time_is_over(bench: MakeBench, mode: ControlMode) -> None:
    deaf = replace(CHARGING, control_mode=mode, deviations=frozenset({Deviation.IGNORE_NOTIFICATION}))
    house = charging(bench(deaf))
    ignored(house, lambda: house.ask(Notification.PAUSE, max_delay_s=5))


@BOTH
def test_a_vehicle_that_ignores_terminate_is_stopped_when_its_time_is_over(bench: MakeBench, mode: ControlMode) -> None:
    deaf = replace(CHARGING, control_mode=mode, deviations=frozenset({Deviation.IGNORE_NOTIFICATION}))
    house = charging(bench(deaf))
    ignored(house, lambda: house.outlet.station.request_stop("a technician", house.now_s))


# -- what else is asked ----------------------------------------------------------------------------------------------


@BOTH
def test_a_meter_reading_is_confirmed_and_kept(bench: MakeBench, mode: ControlMode) -> None:
    house = charging(bench(replace(CHARGING, control_mode=mode)))
    house.ask(Notification.METERING_CONFIRMATION)
    house.until(lambda: house.evcc.done == [Act.CONFIRM_METER], 10.0)
    leave(house)


def test_the_drivers_wish_at_the_station_ends_the_session_in_time(bench: MakeBench) -> None:
    settings = replace(DAY, config="[services]\nmobility_needs_modes = [1, 2]\n")
    house = charging(bench(replace(DYNAMIC, mobility_needs_mode=2), settings))
    house.outlet.wish(DriverWishes(house.plant.utc_s + 600.0, 60, 30))
    house.until(lambda: house.evcc.finished, 30.0)
    assert house.evcc.told["target_soc"] == 60.0
    assert house.evcc.failure is None


def test_a_vehicle_that_leaves_its_profile_is_warned_and_then_refused(bench: MakeBench) -> None:
    """It plans to charge in the cheap hours that come, and draws all it can now."""
    greedy = replace(
        CHARGING, target_soc=50.0, departure_utc_s=START + 20 * 3600,
        deviations=frozenset({Deviation.LEAVES_PROFILE}), after_loops=10,
    )
    house = bench(greedy, replace(DAY, prices=DEAR, speed=1.0))
    house.arrive()
    house.until(lambda: house.evcc.finished, 200.0)
    assert "WARNING_EVPowerProfileViolation" in [code.name for code in house.evcc.warnings]
    assert "FAILED_EVPowerProfileViolation" in str(house.evcc.failure)
    house.until(lambda: house.outlet.at_rest, 30.0)


def test_mcs_charges_under_its_own_service(bench: MakeBench) -> None:
    house = charging(bench(replace(CHARGING, services=(SERVICE_MCS_BPT,)), replace(DAY, mcs=True)))
    leave(house)
    assert house.evcc.service_id == SERVICE_MCS_BPT
    assert house.outlet.snapshot().pilot is PilotState.B
