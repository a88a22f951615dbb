"""Standby: protocol.md B.9, F.2 case 52, and what the EV may do in it."""

from __future__ import annotations

import pytest

from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.generated.common_types import EvseNotification, Processing, ResponseCode
from evse_controller.model import commands as c
from evse_controller.model.snapshot import Notification
from evse_controller.secc.config import SeccConfig
from tests.secc.ev import DYNAMIC, Bench, loop, power_delivery, profile, schedule_request, stop

START, STOP, STANDBY, RENEGOTIATE = cm.ChargeProgress


def in_standby(**kinds: object) -> Bench:
    bench = Bench(**kinds).to("Standby")  # type: ignore[arg-type]
    bench.after(0.5)
    return bench


def test_case_52_standby_holds_energy_and_keeps_the_session() -> None:
    bench = in_standby()
    assert [type(command) for command in bench.commands[-2:]] == [c.LoopUpdate, c.EnergyHold]
    assert bench.commands[-1] == c.EnergyHold("standby", standby=True)
    assert bench.commands_of(c.EnergyStop) == []


@pytest.mark.parametrize("state", ["PreCharge", "PowerDelivery"])
def test_case_52_standby_before_the_loop_is_refused_with_a_warning(state: str) -> None:
    bench = Bench().to(state)
    assert bench.say(power_delivery(STANDBY)).response_code is ResponseCode.WARNING_StandbyNotAllowed
    assert (bench.state, bench.commands_of(c.EnergyHold)) == (state, [])


def test_case_52_standby_that_is_not_offered_is_refused_with_a_warning_and_the_loop_goes_on() -> None:
    bench = Bench(SeccConfig(standby=False)).to("ChargeLoop")
    bench.say(loop())
    assert bench.say(power_delivery(STANDBY)).response_code is ResponseCode.WARNING_StandbyNotAllowed
    assert bench.say(loop()).response_code is ResponseCode.OK
    assert bench.commands_of(c.EnergyHold) == []


def test_no_standby_at_a_station_that_wants_to_end() -> None:
    bench = Bench().to("ChargeLoop")
    bench.set(notification=Notification.TERMINATE)
    answer = bench.say(power_delivery(STANDBY))
    assert answer.response_code is ResponseCode.WARNING_StandbyNotAllowed
    assert answer.evse_status.evse_notification is EvseNotification.Terminate


def test_standby_again_is_a_poll_without_effect_and_may_last() -> None:
    bench = in_standby()
    before = len(bench.commands)
    for _ in range(50):
        assert bench.after(59.9).say(power_delivery(STANDBY)).response_code is ResponseCode.OK
    assert (bench.state, len(bench.commands)) == ("Standby", before)


@pytest.mark.parametrize(("silent_s", "over"), [(59.999, False), (60.0, True)])
def test_sixty_seconds_without_a_poll_end_it_with_energy_off_first(silent_s: float, over: bool) -> None:
    bench = in_standby()
    bench.say(power_delivery(STANDBY))
    reply = bench.session.on_timer(bench.now_s + silent_s, bench.snapshot)
    assert (reply is not None) is over
    if reply is not None:
        assert [type(command) for command in reply.commands] == [c.EnergyStop, c.SessionEnded]


def test_start_goes_on_with_the_old_profile() -> None:
    bench = in_standby()
    (begun,) = bench.commands_of(c.EnergyStart)
    assert bench.say(power_delivery(START)).response_code is ResponseCode.OK
    assert (bench.state, bench.commands[-1]) == ("ChargeLoop", begun)
    assert bench.say(loop()).response_code is ResponseCode.OK


def test_start_with_a_new_profile_is_checked_against_the_tuple() -> None:
    bench = in_standby()
    assert bench.say(power_delivery(plan=profile(1, (3600, 2000.0)))).response_code is ResponseCode.OK
    assert bench.commands_of(c.EnergyStart)[-1].profile.slots[0].power_w == 2000
    bench = in_standby()
    code = bench.say(power_delivery(plan=profile(1, (3600, 60_000.0)))).response_code
    assert code is ResponseCode.FAILED_EVPowerProfileInvalid
    assert [type(command) for command in bench.commands[-2:]] == [c.EnergyStop, c.SessionEnded]


def test_start_that_is_not_finished_has_no_effect() -> None:
    bench = in_standby()
    bench.say(power_delivery(START, Processing.Ongoing))
    assert (bench.state, len(bench.commands_of(c.EnergyStart))) == ("Standby", 1)


def test_after_a_hold_the_first_loop_has_its_own_time_and_the_next_the_short_one() -> None:
    bench = in_standby()
    bench.say(power_delivery(START))
    assert bench.session.deadline_s == bench.now_s + 10
    bench.after(1.0).say(loop())
    assert bench.session.deadline_s == bench.now_s + 0.5


@pytest.mark.parametrize(("waited_s", "failed"), [(9.9, False), (10.0, True)])
def test_a_start_out_of_standby_that_never_leads_into_the_loop_fails(waited_s: float, failed: bool) -> None:
    bench = in_standby()
    for _ in range(2):
        bench.say(power_delivery(START))
    code = bench.after(waited_s).say(power_delivery(START)).response_code
    assert (code is ResponseCode.FAILED) is failed


def test_the_loop_may_be_left_for_standby_again_and_again() -> None:
    bench = in_standby(control_mode=DYNAMIC)
    for _ in range(5):
        bench.after(300.0)
        assert bench.say(power_delivery(START)).response_code is ResponseCode.OK
        assert bench.after(0.25).say(loop(DYNAMIC)).response_code is ResponseCode.OK
        assert bench.after(0.25).say(power_delivery(STANDBY)).response_code is ResponseCode.OK
    assert len(bench.commands_of(c.EnergyHold)) == 6


def test_stop_leaves_it_in_the_usual_order() -> None:
    bench = in_standby()
    assert bench.say(power_delivery(STOP)).response_code is ResponseCode.OK
    assert bench.state == "WeldingDetection"
    bench.to("Ended")
    assert len(bench.commands_of(c.EnergyStop)) == 1


def test_session_stop_in_it_stops_energy_first() -> None:
    bench = in_standby()
    assert bench.say(stop()).response_code is ResponseCode.OK
    assert [type(command) for command in bench.commands[-2:]] == [c.EnergyStop, c.SessionEnded]


def test_no_loop_and_no_schedule_in_it() -> None:
    assert in_standby().say(loop()).response_code is ResponseCode.FAILED_SequenceError
    assert in_standby().say(schedule_request(1)).response_code is ResponseCode.FAILED_SequenceError


def test_renegotiation_in_it_is_refused_with_a_warning() -> None:
    bench = in_standby()
    code = bench.say(power_delivery(RENEGOTIATE)).response_code
    assert (code, bench.state) == (ResponseCode.WARNING_ScheduleRenegotiationFailed, "Standby")


def test_exit_standby_is_told_in_it_and_nowhere_else() -> None:
    bench = Bench().to("ChargeLoop")
    bench.set(notification=Notification.EXIT_STANDBY, notification_max_delay_s=30)
    assert bench.say(loop()).evse_status is None
    for left_s in (30, 29):
        status = bench.say(power_delivery(STANDBY)).evse_status
        assert (status.evse_notification, status.notification_max_delay) == (EvseNotification.ExitStandby, left_s)
        bench.after(1.0)


def test_a_station_that_wants_to_end_says_so_and_starts_nothing() -> None:
    bench = in_standby()
    bench.set(notification=Notification.TERMINATE)
    assert bench.say(power_delivery(STANDBY)).evse_status.evse_notification is EvseNotification.Terminate
    answer = bench.say(power_delivery(START))
    assert answer.evse_status.evse_notification is EvseNotification.Terminate
    assert (bench.state, len(bench.commands_of(c.EnergyStart))) == ("WeldingDetection", 1)


@pytest.mark.parametrize("progress", [STANDBY, cm.ChargeProgress.ScheduleRenegotiation])
def test_no_start_stands_for_a_loop(progress: cm.ChargeProgress) -> None:
    """Start and Standby in turn would keep an outlet live for ever without one word about power."""
    bench = in_standby()
    bench.say(power_delivery(START))
    answer = bench.after(5.0).say(power_delivery(progress))
    assert answer.response_code.name.startswith("WARNING")
    assert (bench.state, len(bench.commands_of(c.EnergyHold))) == ("ChargeLoop", 1)
    assert bench.session.deadline_s == bench.now_s + 5.0  # what was refused buys no time
    bench.after(5.0)
    reply = bench.session.on_timer(bench.now_s, bench.snapshot)
    assert reply is not None
    assert [type(command) for command in reply.commands] == [c.EnergyStop, c.SessionEnded]


def test_before_the_first_loop_there_is_no_standby() -> None:
    bench = Bench().to("ChargeLoop")
    assert bench.say(power_delivery(STANDBY)).response_code is ResponseCode.WARNING_StandbyNotAllowed
    assert bench.state == "ChargeLoop"
