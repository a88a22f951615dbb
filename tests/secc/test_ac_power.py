"""PowerDelivery at an AC outlet: protocol.md B.9, E.3 and F.2 cases 49 to 52."""

from __future__ import annotations

from typing import Any

import pytest

from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.generated.common_types import EvseNotification, Processing, ResponseCode
from evse_controller.model.commands import AcLoopUpdate, EndKind, EnergyStart, EnergyStop, SessionEnded
from evse_controller.model.pilot import PilotState
from evse_controller.model.snapshot import Notification, Step
from evse_controller.secc.reply import CloseReason
from tests.secc.ev import DYNAMIC, SCHEDULED, frame, power_delivery, profile, stop
from tests.secc.ev_ac import AcBench, loop


def asked(contactor: Step = Step.IDLE) -> AcBench:
    """A Start was heard, and nothing is answered yet."""
    bench = AcBench().to("PowerDelivery")
    bench.set(contactor=contactor)
    reply = bench.ask(bench.start())
    assert reply.response is None
    assert reply.close is None
    assert len(bench.commands_of(EnergyStart)) == 1
    return bench


def test_case_49_the_answer_waits_for_the_contactor_and_is_given_once_it_is_closed() -> None:
    bench = asked()
    bench.set(contactor=Step.RUNNING)
    assert bench.waited(0.75) is None
    bench.set(contactor=Step.DONE)
    reply = bench.waited(0.2)
    assert reply is not None
    assert reply.response.response_code is ResponseCode.OK  # type: ignore[union-attr]
    assert bench.state == "ChargeLoop"
    assert len(bench.commands_of(EnergyStart)) == 1
    assert reply.event is not None
    assert reply.event.request == "PowerDeliveryReq"


@pytest.mark.parametrize("step", [Step.IDLE, Step.RUNNING])
def test_case_49_contactor_late_by_1_4_s_is_a_contactor_error(step: Step) -> None:
    bench = asked()
    bench.set(contactor=step)
    started_s = bench.now_s
    reply = bench.waited(2.0)
    assert reply is not None
    assert reply.response.response_code is ResponseCode.FAILED_ContactorError  # type: ignore[union-attr]
    assert 1.4 <= bench.now_s - started_s < 1.5
    assert reply.close is CloseReason.FAILED
    assert [type(command) for command in bench.commands[-2:]] == [EnergyStop, SessionEnded]


def test_case_49_a_contactor_reported_failed_is_a_contactor_error_at_once() -> None:
    bench = asked()
    bench.set(contactor=Step.FAILED, pilot=PilotState.B)
    reply = bench.waited(0.2)
    assert reply is not None
    assert reply.response.response_code is ResponseCode.FAILED_ContactorError  # type: ignore[union-attr]
    assert reply.event is not None
    assert "state B" in str(reply.event.reason)


def test_a_failure_of_an_earlier_try_is_not_taken_for_this_one() -> None:
    bench = asked(Step.FAILED)
    assert bench.waited(0.25) is None
    bench.set(contactor=Step.DONE)
    reply = bench.waited(0.2)
    assert reply is not None
    assert reply.response.response_code is ResponseCode.OK  # type: ignore[union-attr]


def test_case_49_a_contactor_that_is_closed_already_is_ok_at_once() -> None:
    bench = AcBench().to("PowerDelivery")
    bench.set(contactor=Step.DONE)
    assert bench.say(bench.start()).response_code is ResponseCode.OK
    assert bench.state == "ChargeLoop"


def test_the_station_may_change_its_mind_while_the_contactor_closes() -> None:
    bench = asked()
    bench.set(notification=Notification.TERMINATE)
    reply = bench.waited(0.2)
    assert reply is not None
    assert reply.response.response_code is ResponseCode.OK  # type: ignore[union-attr]
    assert reply.response.evse_status.evse_notification is EvseNotification.Terminate  # type: ignore[union-attr]
    assert bench.state == "SessionStop"
    assert len(bench.commands_of(EnergyStop)) == 1


def test_an_ev_that_leaves_while_the_contactor_closes_stops_energy() -> None:
    bench = asked()
    reply = bench.session.on_disconnect(bench.now_s)
    assert reply is not None
    assert [type(command) for command in reply.commands] == [EnergyStop, SessionEnded]
    assert reply.commands[-1].kind is EndKind.EV_CLOSED  # type: ignore[union-attr]


def test_case_50_start_three_times_with_ongoing_has_no_side_effect() -> None:
    bench = AcBench().to("PowerDelivery")
    for _ in range(3):
        answer = bench.after(0.5).say(power_delivery(processing=Processing.Ongoing, plan=profile(1, (60, 1e3))))
        assert answer.response_code is ResponseCode.OK
    assert bench.state == "PowerDelivery"
    assert bench.commands_of(EnergyStart) == []


@pytest.mark.parametrize(
    ("plan", "code"),
    [
        (profile(9, (60, 1000.0)), ResponseCode.FAILED_ScheduleSelectionInvalid),
        (profile(1, (60, 51_000.0)), ResponseCode.FAILED_EVPowerProfileInvalid),
    ],
)
def test_case_51_a_plan_that_was_not_offered_closes_no_contactor(plan: cm.EVPowerProfile, code: ResponseCode) -> None:
    bench = AcBench().to("PowerDelivery")
    assert bench.say(power_delivery(plan=plan)).response_code is code
    assert bench.commands_of(EnergyStart) == []


@pytest.mark.parametrize("mode", [SCHEDULED, DYNAMIC])
def test_case_52_standby_keeps_the_contactor_and_start_goes_on_at_once(mode: int) -> None:
    bench = AcBench(control_mode=mode).to("Standby")
    assert bench.say(bench.start()).response_code is ResponseCode.OK
    assert bench.state == "ChargeLoop"


def test_case_52_standby_before_the_loop_is_a_warning() -> None:
    bench = AcBench().to("PowerDelivery")
    answer = bench.say(power_delivery(cm.ChargeProgress.Standby))
    assert answer.response_code is ResponseCode.WARNING_StandbyNotAllowed
    assert bench.state == "PowerDelivery"


def test_after_stop_comes_session_stop_directly() -> None:
    bench = AcBench().to("ChargeLoop")
    bench.say(loop(bench.control_mode, True))
    assert bench.say(power_delivery(cm.ChargeProgress.Stop)).response_code is ResponseCode.OK
    assert bench.state == "SessionStop"  # [V2G20-3210]
    bench.set(pilot=PilotState.B)
    assert bench.after(1.0).say(stop()).response_code is ResponseCode.OK
    assert bench.state == "Ended"


def test_case_60_session_stop_with_pilot_still_in_c_fails() -> None:
    bench = AcBench().to("SessionStop")
    bench.set(pilot=PilotState.C)
    assert bench.after(1.5).say(stop()).response_code is ResponseCode.FAILED


def test_a_loop_without_start_is_a_sequence_error() -> None:
    bench = AcBench().to("PowerDelivery")
    assert bench.say(loop(bench.control_mode, True)).response_code is ResponseCode.FAILED_SequenceError


def test_the_held_answer_leaves_the_connection_in_its_frame_and_the_next_request_waits_for_it() -> None:
    from tests.secc.ev import NS_AC, connection, read, sap_request

    bench = AcBench().to("PowerDelivery")
    link = connection(bench.config)
    link.receive(frame(sap_request((NS_AC, 1, 0, 3, 1))), bench.snapshot, bench.now_s)
    link._session = bench.session
    start = bench.start()
    start.header.session_id = bench.session_id
    following = loop(bench.control_mode, True)
    following.header.session_id = bench.session_id
    outputs = link.receive(frame(start) + frame(following), bench.snapshot, bench.now_s)
    assert [output.data for output in outputs] == [None] * len(outputs)
    assert any(isinstance(command, EnergyStart) for output in outputs for command in output.commands)
    deadline_s = link.next_deadline_s
    assert deadline_s is not None
    assert deadline_s - bench.now_s <= 0.05
    bench.set(contactor=Step.DONE)
    answers = [output for output in link.on_timer(deadline_s, bench.snapshot) if output.data is not None]
    assert [read(output).ELEMENT for output in answers] == ["PowerDeliveryRes", "AC_ChargeLoopRes"]


@pytest.mark.parametrize("step", [Step.DONE, Step.FAILED])
def test_a_first_loop_that_counts_as_start_waits_for_the_contactor(step: Step) -> None:
    bench: Any = AcBench().to("PowerDelivery")
    bench.set(contactor=Step.IDLE)
    ongoing = bench.start()
    ongoing.ev_processing = Processing.Ongoing
    bench.say(ongoing)
    reply: Any = bench.ask(bench._loop())
    assert reply.response is None
    assert [type(command) for command in reply.commands] == [EnergyStart]
    bench.set(contactor=Step.RUNNING)
    reply = bench.waited(0.1)
    assert reply is None or reply.response is None
    bench.set(contactor=step)
    reply = bench.waited(0.1)
    if step is Step.DONE:
        assert [type(command) for command in reply.commands] == [AcLoopUpdate]
        assert (reply.response.response_code, bench.state) == (ResponseCode.OK, "ChargeLoop")
    else:
        assert (reply.response.response_code, bench.state) == (ResponseCode.FAILED_ContactorError, "Ended")
