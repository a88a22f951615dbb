"""The AC outlet on obedient fakes: the contactor closes, ends of every kind."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evse_controller.model.commands import (
    EndKind,
    EnergyHold,
    EnergyStop,
    LimitsNegotiated,
    ServiceReleased,
    SessionEnded,
)
from evse_controller.model.fault import Fault, FaultCode
from evse_controller.model.limits import Limit, SiteAllowance
from evse_controller.model.permit import Permit
from evse_controller.model.pilot import PilotState
from evse_controller.model.snapshot import Authorization, Notification, Step
from evse_controller.model.wish import EnergyWish
from evse_controller.station import AcStationConfig
from evse_controller.station.ac.actuator import AcActuator
from tests.safety.ac_facts import AC_MCU, AC_METER
from tests.safety.facts import EV, NOW
from tests.station.ac_bench import AC_BPT, AC_LIMITS, CLOSED_TCP, OPENED, START, AcBench, FakeAc

# -- closing ----------------------------------------------------------------------------------------------------


def test_good_sequence_closes_at_start_and_pilot_c_and_tells_the_session() -> None:
    bench = AcBench()
    bench.negotiate()
    assert bench.snapshot.contactor is Step.IDLE
    bench.tell(START)
    assert bench.snapshot.contactor is Step.RUNNING
    bench.steps(3)
    assert not bench.devices.wanted  # pilot is still B
    bench.pilot = PilotState.C
    bench.steps(3)
    assert bench.snapshot.contactor is Step.DONE
    assert bench.snapshot.energy_ready
    assert bench.devices.duty == 5.0
    assert bench.snapshot.ratings.max_charge_power_w == 0.0


def test_car_that_does_not_come_to_c_fails_the_step_in_time_and_without_a_fault() -> None:
    bench = AcBench()
    bench.negotiate()
    bench.tell(START)
    begun_s = bench.now_s
    while bench.snapshot.contactor is Step.RUNNING:
        bench.steps(1)
    assert 1.4 <= bench.now_s - begun_s < 1.5
    assert bench.snapshot.contactor is Step.FAILED
    assert bench.fault_codes == set()
    bench.pilot = PilotState.C
    bench.steps(10)
    assert not bench.devices.wanted
    bench.tell(START)  # and the next Start is another try
    bench.steps(4)
    assert bench.snapshot.contactor is Step.DONE


def test_contactor_that_is_not_fed_back_fails_and_latches_a_fault() -> None:
    bench = AcBench()
    bench.negotiate()
    bench.devices.stuck = True
    bench.tell(START)
    bench.pilot = PilotState.C
    begun_s = bench.now_s
    bench.steps(1)
    while bench.snapshot.contactor is Step.RUNNING:
        bench.steps(1)
    assert bench.now_s - begun_s < 1.5
    assert bench.snapshot.contactor is Step.FAILED
    assert bench.fault_codes == {"contactor-mismatch"}
    assert not bench.devices.wanted
    bench.steps(5)
    assert bench.snapshot.contactor is Step.FAILED


def test_contactor_that_was_not_fed_back_in_time_is_opened_at_once() -> None:
    bench = AcBench()
    bench.negotiate()
    bench.tell(START)
    bench.steps(26)  # the car comes to C late: the time of Start runs out before that of the contactor
    bench.pilot, bench.devices.stuck = PilotState.C, True
    bench.steps(1)
    assert bench.devices.wanted
    while bench.snapshot.contactor is Step.RUNNING:
        bench.steps(1)
    assert bench.snapshot.contactor is Step.FAILED
    assert not bench.devices.wanted
    bench.devices.stuck, bench.amps = False, 10.0
    bench.steps(100)
    assert not bench.devices.wanted
    assert bench.devices.log.count("open") == 1


@pytest.mark.parametrize("held", [False, True])
def test_stop_wins_over_a_start_in_the_same_step(held: bool) -> None:
    bench = AcBench()
    bench.to_energy()
    bench.steps(3)
    if held:
        bench.looping = False
        bench.tell(EnergyHold("standby"))
        bench.steps(2)
    bench.tell(EnergyStop("ev"), START)
    assert bench.snapshot.contactor is Step.RUNNING
    bench.steps(5)
    assert bench.devices.log.count("open") == 1
    bench.steps(20)  # and Start, which came later, closes anew
    assert [bench.phase, bench.devices.log.count("close")] == ["energy", 2]


def test_start_that_is_repeated_changes_nothing_and_has_no_more_time() -> None:
    bench = AcBench()
    bench.negotiate()
    begun_s = bench.now_s
    while bench.snapshot.contactor is not Step.FAILED:
        if bench.now_s - begun_s < 1.0:
            bench.tell(START)
        bench.steps(1)
    assert bench.now_s - begun_s < 1.5
    bench.tell(START)
    bench.pilot = PilotState.C
    bench.steps(4)
    bench.tell(START)
    assert bench.snapshot.contactor is Step.DONE


def test_without_ac_limits_or_with_a_fault_it_does_not_close() -> None:
    bench = AcBench()
    bench.pilot = PilotState.C
    bench.steps(3)
    bench.tell(OPENED, AC_BPT, LimitsNegotiated(EV, None), START)
    bench.steps(3)
    assert bench.snapshot.contactor is Step.FAILED
    assert not bench.devices.wanted
    latched = Fault(FaultCode.CONTACTOR_WELDED, "mcu", "closed", 0.0)
    bench = AcBench(latched=(latched,))
    bench.negotiate()
    bench.pilot = PilotState.C
    bench.tell(START)
    bench.steps(5)
    assert "close" not in bench.devices.log


def test_contactor_waits_for_open_feedback_and_zero_current() -> None:
    mcu = FakeAc()
    actuator = AcActuator(mcu)  # type: ignore[arg-type]
    permit = Permit(NOW, NOW + 0.25, True, 264.0, 0.0, 0.0, False, "t", "t")
    actuator.apply(True, permit, NOW, AC_MCU, AC_METER)
    assert not mcu.wanted
    assert "open feedback" in (actuator.refusal or "")
    opened = replace(AC_MCU, contactor=FakeAc().mcu.contactor)  # type: ignore[union-attr]
    actuator.apply(True, permit, NOW, opened, AC_METER)
    assert "zero current" in (actuator.refusal or "")
    actuator.apply(True, permit, NOW, opened, None)
    assert not mcu.wanted
    actuator.apply(True, permit, NOW + 0.25, opened, FakeAc().meter)
    assert not mcu.wanted
    actuator.apply(True, permit, NOW, opened, FakeAc().meter)
    assert mcu.wanted
    actuator.apply(True, replace(permit, contactors=False), NOW, AC_MCU, AC_METER)
    assert not mcu.wanted
    assert mcu.log[-2:] == ["open", "beat"]


# -- ends -------------------------------------------------------------------------------------------------------


def test_stop_opens_at_zero_current() -> None:
    bench = AcBench()
    bench.wish = EnergyWish(setpoint_w=11_000.0)
    bench.to_energy()
    bench.amps = 10.0
    bench.steps(2)
    bench.tell(EnergyStop("EV wants to stop"))
    bench.steps(20)
    assert bench.devices.wanted
    assert not bench.snapshot.stop_done
    bench.amps = 0.0
    bench.steps(4)
    assert not bench.devices.wanted
    assert bench.snapshot.stop_done
    assert bench.phase == "connected"
    assert bench.fault_codes == set()


def test_stop_opens_at_pilot_b_and_after_five_seconds_whatever_flows() -> None:
    bench = AcBench()
    bench.wish = EnergyWish(setpoint_w=11_000.0)
    bench.to_energy()
    bench.amps = 10.0
    bench.tell(EnergyStop("stop"))
    bench.steps(3)
    bench.pilot = PilotState.B
    bench.steps(1)
    assert not bench.devices.wanted
    bench = AcBench()
    bench.wish = EnergyWish(setpoint_w=11_000.0)
    bench.to_energy()
    bench.amps = 10.0
    bench.tell(CLOSED_TCP)
    begun_s = bench.now_s
    while bench.devices.wanted:
        bench.steps(1)
        assert bench.now_s - begun_s < 5.2
    assert bench.now_s - begun_s >= 5.0


def test_stop_of_ours_is_told_and_power_goes_to_zero_and_is_forced() -> None:
    bench = AcBench()
    bench.to_energy()
    bench.wish = EnergyWish(setpoint_w=11_000.0)
    bench.station.request_stop("technician", bench.now_s)
    bench.steps(1)
    assert bench.snapshot.notification is Notification.TERMINATE
    assert bench.present.target_w.total_w == bench.present.max_charge_w.total_w == 0.0
    bench.steps(450)
    assert not bench.devices.wanted
    assert bench.fault_codes == set()
    assert "stopped by force" in (bench.snapshot.emergency or "")
    bench.looping = False
    bench.tell(CLOSED_TCP)
    bench.steps(3)
    assert bench.snapshot.emergency is None


def test_hold_tells_zero_and_keeps_the_contactor_and_start_goes_on() -> None:
    bench = AcBench()
    bench.to_energy()
    bench.wish = EnergyWish(setpoint_w=11_000.0)
    bench.looping = False
    bench.tell(EnergyHold("standby"))
    bench.steps(400)
    assert bench.phase == "hold"
    assert bench.devices.wanted
    assert bench.present.target_w.total_w == 0.0
    assert not bench.snapshot.energy_ready
    bench.tell(START)
    bench.steps(2)
    assert bench.phase == "energy"
    assert bench.snapshot.contactor is Step.DONE
    bench.looping = True
    bench.steps(3)
    bench.looping = False
    bench.tell(EnergyHold("standby"))
    bench.amps = 5.0
    bench.steps(140)
    assert bench.fault_codes == {"over-current"}


def test_pilot_b_in_hold_opens_without_a_fault_and_start_closes_again() -> None:
    bench = AcBench()
    bench.to_energy()
    bench.looping = False
    bench.tell(EnergyHold("standby"))
    bench.steps(5)
    bench.pilot = PilotState.B
    bench.steps(3)
    assert bench.phase == "connected"
    assert bench.fault_codes == set()
    bench.pilot = PilotState.C
    bench.steps(5)
    assert not bench.devices.wanted
    bench.tell(START)
    bench.steps(4)
    assert bench.phase == "energy"


def test_released_service_opens_and_its_limits_are_void() -> None:
    bench = AcBench()
    bench.to_energy()
    bench.looping = False
    bench.devices.meter = replace(AC_METER, import_wh=400.0)
    bench.steps(1)
    bench.tell(ServiceReleased())
    bench.steps(10)
    assert bench.phase == "connected"
    assert bench.snapshot.meter is not None
    assert bench.snapshot.meter.charged_wh == 400.0
    bench.tell(START)
    bench.steps(3)
    assert bench.snapshot.contactor is Step.FAILED


def test_paused_session_sleeps_and_the_ev_wakes_it() -> None:
    bench = AcBench()
    bench.to_energy()
    bench.looping = False
    bench.tell(EnergyStop("pause"))
    bench.steps(5)
    bench.pilot = PilotState.B
    bench.tell(SessionEnded(EndKind.PAUSED, "pause"))
    bench.steps(5)
    assert bench.devices.duty is None
    assert bench.station.asleep
    bench.pilot = PilotState.C
    bench.steps(1)
    assert bench.devices.duty == 5.0
    assert not bench.devices.wanted


def test_session_that_follows_another_under_power_finds_an_open_contactor() -> None:
    bench = AcBench()
    bench.to_energy()
    bench.looping = False
    bench.tell(OPENED, AC_BPT, AC_LIMITS)
    bench.steps(20)
    assert bench.phase == "connected"
    assert not bench.devices.wanted
    bench.tell(START)
    bench.steps(4)
    assert bench.phase == "energy"


def test_late_step_opens_by_the_expired_permit_and_failing_steps_starve_the_board() -> None:
    bench = AcBench()
    bench.to_energy()
    bench.now_s += 0.3
    bench.station.guard(bench.now_s)
    assert not bench.devices.wanted
    bench = AcBench()
    bench.to_energy()
    bench.devices.log.clear()
    for _ in range(20):
        bench.now_s += 0.05
        bench.station.fail_safe("control step failed", bench.now_s)
    assert bench.devices.log == ["open", "beat"]


def test_step_that_fails_does_not_beat() -> None:
    bench = AcBench()
    bench.steps(3)
    before = bench.devices.log.count("beat")
    bench.devices.meter = object()  # type: ignore[assignment]
    limit = Limit(0.0, "site", "test")
    with pytest.raises(AttributeError):
        bench.station.step(
            bench.now_s, 0.0, True, SiteAllowance(limit, limit, False), EnergyWish(), Authorization.PENDING
        )
    assert bench.devices.log.count("beat") == before
    assert bench.devices.log[-1] == "beat"


@pytest.mark.parametrize(
    "wrong",
    [
        {"phases": 2},
        {"max_current_a": 0.0},
        {"max_discharge_current_a": 40.0},
        {"min_current_a": 40.0},
        {"loop_timeout_s": 0.4},
        {"max_asymmetry_w": 0.0},
        {"nominal_voltage_v": 0.0},
    ],
)
def test_configuration_that_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="AC station"):
        AcStationConfig(**{"evseid": "E", "max_current_a": 32.0, **wrong})  # type: ignore[arg-type]
