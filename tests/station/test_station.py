"""The station on obedient fake devices: rules that need no physics, and any order of commands."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evse_controller.model.commands import (
    AuthorizationRequested,
    CableCheckRequested,
    EndKind,
    EnergyHold,
    EnergyStart,
    EnergyStop,
    LoopUpdate,
    PreChargeRequested,
    ScheduleRequested,
    ServiceReleased,
    SessionEnded,
    WeldingDetectionRequested,
)
from evse_controller.model.fault import Fault, FaultCode
from evse_controller.model.limits import Limit, SiteAllowance
from evse_controller.model.permit import Permit
from evse_controller.model.pilot import PilotState
from evse_controller.model.snapshot import Authorization, Step
from evse_controller.model.wish import EnergyWish
from evse_controller.safety import PHASES, Phase
from evse_controller.station import StationConfig
from evse_controller.station.actuator import Actuator
from evse_controller.station.direction import DirectionChange
from evse_controller.station.faults import FaultBook
from evse_controller.station.setpoint import Ramp, direction
from evse_controller.station.view import View
from hal.api import PowerMode
from tests.safety.facts import EV, METER, NEEDS, NOW, RATINGS
from tests.station.bench import BPT, LIMITS, OPENED, Bench
from tests.station.fakes import Face, FakeDevices

COMMANDS = [
    OPENED,
    AuthorizationRequested(),
    BPT,
    LIMITS,
    ScheduleRequested(NEEDS),
    CableCheckRequested(),
    PreChargeRequested(400.0, 0.0),
    EnergyStart(None),
    LoopUpdate(400.0, 450.0, 20.0, EV, None, 50.0),
    LoopUpdate(400.0, 450.0, -20.0, EV, None, 50.0),
    EnergyStop("stop"),
    WeldingDetectionRequested(),
    EnergyHold("hold"),
    ServiceReleased(),
    *(SessionEnded(kind, "end") for kind in EndKind),
]


def test_good_sequence_reaches_the_charge_loop() -> None:
    bench = Bench()
    bench.to_energy()
    snapshot = bench.station.snapshot
    assert snapshot is not None
    assert snapshot.energy_ready
    assert snapshot.cable_check is snapshot.precharge is Step.DONE


def test_heartbeat_is_the_last_thing_a_step_does() -> None:
    bench = Bench()
    bench.steps(3)
    assert bench.devices.log[-1] == "beat"


def test_step_that_fails_does_not_beat() -> None:
    bench = Bench()
    bench.steps(3)
    before = bench.devices.log.count("beat")
    bench.devices.power = object()  # type: ignore[assignment]
    limit = Limit(0.0, "site", "test")
    allowance = SiteAllowance(limit, limit, False)
    with pytest.raises(AttributeError):
        bench.station.step(bench.now_s, 0.0, True, allowance, EnergyWish(), Authorization.PENDING)
    assert bench.devices.log.count("beat") == before


def test_failing_steps_tell_the_board_once_and_then_starve_it() -> None:
    bench = Bench()
    bench.to_energy()
    bench.devices.log.clear()
    for _ in range(20):
        bench.now_s += 0.05
        bench.station.fail_safe("control step failed", bench.now_s)
    assert bench.devices.log.count("beat") == 1
    assert bench.devices.log[:3] == ["stop", "open", "beat"]
    bench.steps()
    assert bench.devices.log[-1] == "beat"


def test_nothing_flows_before_the_first_loop_request() -> None:
    bench = Bench()
    bench.to_energy()
    bench.steps(10)
    assert bench.devices.output[1] == 0.0


def test_contactors_that_were_opened_are_not_closed_again_without_a_new_cable_check() -> None:
    bench = Bench()
    bench.to_energy()
    bench.now_s += 0.3
    bench.station.guard(bench.now_s)  # the permit expired
    assert not bench.devices.wanted_contactors
    bench.devices.log.clear()
    bench.steps(20)
    assert "close" not in bench.devices.log
    assert "on" not in bench.devices.log
    assert bench.station.status().phase == "welding"  # in order, not by a second emergency
    assert {fault.code for fault in bench.station.status().faults} == {FaultCode.DEVICE_ERROR}


def test_cable_check_waits_for_the_self_test_and_fails_after_35_s() -> None:
    bench = Bench()
    bench.devices.isolation = bench.devices.isolation and replace(bench.devices.isolation, self_test_ok=None)
    bench.pilot = PilotState.C
    bench.steps(30)
    for command in (OPENED, BPT, LIMITS, CableCheckRequested()):
        bench.station.command(command, bench.now_s)
    bench.steps(690)
    assert bench.station.status().sub_step == "wait-ready"
    assert "close" not in bench.devices.log
    bench.steps(20)
    snapshot = bench.station.snapshot
    assert snapshot is not None
    assert snapshot.cable_check is Step.FAILED


def test_cable_check_needs_pilot_c_within_its_time() -> None:
    bench = Bench()
    bench.pilot = PilotState.B
    bench.steps(30)
    for command in (OPENED, BPT, LIMITS, CableCheckRequested()):
        bench.station.command(command, bench.now_s)
    bench.steps(35)
    assert "close" not in bench.devices.log
    assert {fault.code for fault in bench.station.status().faults} == {FaultCode.PILOT_LOST}


def test_precharge_that_never_matches_times_out() -> None:
    bench = Bench()
    bench.pilot = PilotState.C
    bench.steps(30)
    for command in (OPENED, BPT, LIMITS, CableCheckRequested()):
        bench.station.command(command, bench.now_s)
    bench.steps(30)
    bench.station.command(PreChargeRequested(900.0, 0.0), bench.now_s)  # above the EV's own maximum
    bench.steps(205)
    assert FaultCode.PRECHARGE_TIMEOUT in {fault.code for fault in bench.station.status().faults}
    assert bench.devices.output[0] <= EV.max_voltage_v


def test_pilot_duty_is_five_percent_when_plugged_and_off_when_faulted_or_paused() -> None:
    bench = Bench()
    bench.steps(2)
    assert bench.devices.duty is None
    bench.pilot = PilotState.B
    bench.steps(2)
    assert bench.devices.duty == 5.0
    for command in (OPENED, SessionEnded(EndKind.PAUSED, "pause")):
        bench.station.command(command, bench.now_s)
    bench.steps(2)
    assert bench.devices.duty is None
    bench.pilot = PilotState.C  # the EV wakes up
    bench.steps(2)
    assert bench.devices.duty == 5.0
    assert bench.devices.mcu is not None
    bench.devices.mcu = replace(bench.devices.mcu, emergency_stop=True)
    bench.steps(2)
    assert bench.devices.duty is None


def test_latched_fault_survives_a_restart_and_blocks_until_cleared() -> None:
    welded = Fault(FaultCode.CONTACTOR_WELDED, "mcu", "welded yesterday", 5.0)
    bench = Bench(latched=(welded,))
    bench.pilot = PilotState.C
    bench.steps(40)
    for command in (OPENED, BPT, LIMITS, CableCheckRequested()):
        bench.station.command(command, bench.now_s)
    bench.steps(40)
    snapshot = bench.station.snapshot
    assert snapshot is not None
    assert snapshot.cable_check is Step.FAILED
    assert "close" not in bench.devices.log
    assert bench.station.clear_fault(FaultCode.CONTACTOR_WELDED, bench.now_s)
    bench.steps(2)
    assert bench.station.status().faults == ()


def test_fault_whose_cause_is_present_cannot_be_cleared() -> None:
    bench = Bench()
    assert bench.devices.mcu is not None
    bench.devices.mcu = replace(bench.devices.mcu, emergency_stop=True)
    bench.steps(5)
    assert not bench.station.clear_fault(FaultCode.EMERGENCY_STOP, bench.now_s)
    bench.devices.mcu = replace(bench.devices.mcu, emergency_stop=False)
    bench.steps(25)
    assert FaultCode.EMERGENCY_STOP in {fault.code for fault in bench.station.status().faults}
    assert bench.station.clear_fault(FaultCode.EMERGENCY_STOP, bench.now_s)


def test_station_with_a_stop_fault_starts_no_cable_check() -> None:
    bench = Bench()
    bench.pilot = PilotState.C
    bench.steps(30)
    bench.station.fail_safe("control step failed", bench.now_s)
    for command in (OPENED, BPT, LIMITS, CableCheckRequested()):
        bench.station.command(command, bench.now_s)
    bench.steps(3)
    snapshot = bench.station.snapshot
    assert snapshot is not None
    assert snapshot.cable_check is Step.FAILED
    assert "close" not in bench.devices.log


def test_book_keeps_powered_faults_until_the_plug_is_pulled() -> None:
    book = FaultBook((), 0.0)
    assert book.see(Fault(FaultCode.OVER_VOLTAGE, "meter", "x", 0.0), 0.0, powered=True)
    assert not book.see(Fault(FaultCode.OVER_VOLTAGE, "meter", "x", 0.1), 0.1, powered=True)
    assert book.expire(10.0, unplugged=False) == []
    assert len(book.expire(10.0, unplugged=True)) == 1


def test_grid_profile_is_written_and_read_back_at_start() -> None:
    bench = Bench()
    bench.devices.power = bench.devices.power and replace(bench.devices.power, grid_profile=None)
    bench.steps(2)
    assert "profile 1" in bench.devices.log


def test_direction_change_waits_for_new_samples_of_zero_current_before_modules_off() -> None:
    devices = FakeDevices()
    faces = [Face(devices, which) for which in ("mcu", "power", "isolation")]
    actuator = Actuator(*faces)  # type: ignore[arg-type]
    change = DirectionChange(PowerMode.DISCHARGE, NOW, 2, 450.0, 300.0)
    for amps, at_s, sub in ((20.0, 0.1, "zero"), (0.5, 0.2, "zero"), (0.5, 0.2, "zero"), (1.0, 0.3, "zero")):
        meter = replace(METER, current_a=amps, at_s=NOW + at_s)
        change.advance(View(NOW + at_s, devices.mcu, devices.power, None, meter, None), actuator)
        assert change.sub.value == sub
        assert change.demand(actuator).on
        assert change.demand(actuator).current_a == 0.0
    for at_s in (0.4, 0.5):
        meter = replace(METER, current_a=0.5, at_s=NOW + at_s)
        change.advance(View(NOW + at_s, devices.mcu, devices.power, None, meter, None), actuator)
    assert change.sub.value == "off"
    assert not change.demand(actuator).on
    assert change.demand(actuator).mode is PowerMode.CHARGE


def test_ramp_grows_at_its_rate_and_falls_at_once() -> None:
    ramp = Ramp(50.0)
    assert ramp.step(100.0, 0.0) == 0.0
    assert ramp.step(100.0, 0.05) == pytest.approx(2.5)
    assert ramp.step(100.0, 10.0) == pytest.approx(7.5)  # a late step must not jump
    assert ramp.step(1.0, 10.05) == 1.0


def test_direction_needs_more_than_the_deadband_and_export() -> None:
    permit = Permit(0.0, 1.0, True, 500.0, 100.0, 100.0, True, "", "")
    assert direction(-0.5, PowerMode.CHARGE, permit) is PowerMode.CHARGE
    assert direction(0.5, PowerMode.DISCHARGE, permit) is PowerMode.DISCHARGE
    assert direction(-5.0, PowerMode.CHARGE, permit) is PowerMode.DISCHARGE
    assert direction(-5.0, PowerMode.DISCHARGE, replace(permit, export=False)) is PowerMode.CHARGE


def test_present_limits_are_never_above_the_ratings() -> None:
    bench = Bench()
    bench.to_energy()
    snapshot = bench.station.snapshot
    assert snapshot is not None
    present, ratings = snapshot.present, snapshot.ratings
    assert 0 < present.max_charge_power_w <= min(ratings.max_charge_power_w, 20_000.0)
    assert present.max_charge_current_a <= ratings.max_charge_current_a
    assert 0 < present.max_discharge_power_w <= ratings.max_discharge_power_w
    bench.station.request_stop("technician", bench.now_s)
    bench.steps()
    assert bench.station.snapshot is not None
    assert bench.station.snapshot.present.max_charge_power_w == 0.0


def test_configuration_names_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="loop_timeout_s"):
        StationConfig(evseid="E", ratings=RATINGS, loop_timeout_s=0.1)
    with pytest.raises(ValueError, match="efficiency"):
        StationConfig(evseid="E", ratings=RATINGS, efficiency_import=0.99, efficiency_export=0.9)
    with pytest.raises(ValueError, match="isolation_response_s"):
        StationConfig(evseid="E", ratings=RATINGS, isolation_response_s=10.0)
    with pytest.raises(ValueError, match="ramp_up"):
        StationConfig(evseid="E", ratings=RATINGS, ramp_up_a_per_s=0.0)


actions = st.lists(
    st.one_of(
        st.sampled_from(COMMANDS),
        st.sampled_from(list(PilotState)),
        st.integers(1, 40),
        st.sampled_from(["stop", "mute"]),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(st.booleans(), actions)
def test_any_order_of_commands_and_pilot_states_stays_inside_the_phase_table(begun: bool, story: list[object]) -> None:
    bench = Bench()
    if begun:
        bench.to_energy()
    for action in story:
        if isinstance(action, PilotState):
            bench.pilot = action
        elif isinstance(action, int):
            bench.steps(action)
        elif action == "stop":
            bench.station.request_stop("test", bench.now_s)
        elif action == "mute":
            bench.devices.isolation = None
        else:
            bench.station.command(action, bench.now_s)  # type: ignore[arg-type]
        bench.steps()
        status = bench.station.status()
        rule = PHASES[Phase(status.phase)]
        assert rule.contactors or not bench.devices.wanted_contactors
        assert rule.output or not (bench.devices.power and bench.devices.power.on)
        assert status.phase == "energy" or abs(status.setpoint_a) <= 2.0
        if bench.devices.wanted_contactors:
            assert bench.pilot.ready
    bench.station.command(SessionEnded(EndKind.EV_CLOSED, "end"), bench.now_s)
    bench.steps(60)
    assert not bench.devices.wanted_contactors


def test_stop_wins_over_a_cable_check_in_the_same_step() -> None:
    bench = Bench()
    bench.to_energy()
    bench.steps(5)
    bench.station.drain_events()
    bench.tell(EnergyStop("ev"), CableCheckRequested())
    bench.steps(1)
    assert bench.phase == "ramp-down"
    assert bench.snapshot.cable_check is Step.RUNNING
    assert not bench.snapshot.energy_ready
    bench.steps(60)
    ways = [event.data["to"] for event in bench.station.drain_events() if event.kind == "phase"]
    assert ways[:4] == ["ramp-down", "welding", "discharge", "connected"]
    assert ways[4] == "cable-check"  # what was asked after the stop comes after it
