"""Timers at their edge, in virtual time: protocol.md C.3 and F.2 cases 13, 18, 54."""

from __future__ import annotations

import pytest

from evse_controller.messages.generated.common_messages import ChargeProgress
from evse_controller.model import commands as c
from evse_controller.secc.config import SeccConfig
from evse_controller.secc.iso20.states import State
from evse_controller.secc.iso20.timers import Timers, performance_s
from evse_controller.secc.reply import CloseReason
from tests.secc.ev import (
    NS_DC,
    SNAPSHOT,
    Bench,
    connection,
    every_request,
    frame,
    header,
    loop,
    negotiated,
    power_delivery,
    sap_request,
    stop,
)

WAITING = [state for state in State if state is not State.ENDED]


@pytest.mark.parametrize("state", WAITING, ids=lambda state: state.value)
def test_case_18_sixty_seconds_of_silence_end_each_state_without_an_answer(state: State) -> None:
    bench = Bench().to(state.value)
    deadline_s = bench.session.deadline_s
    assert deadline_s == bench.now_s + 60
    assert bench.session.on_timer(deadline_s - 0.001, bench.snapshot) is None
    reply = bench.session.on_timer(deadline_s, bench.snapshot)
    assert reply is not None
    assert (reply.response, reply.close, reply.close_delay_s) == (None, CloseReason.SEQUENCE_TIMEOUT, 0)
    ended = [command for command in reply.commands if isinstance(command, c.SessionEnded)]
    assert [command.kind for command in ended] == ([] if state is State.SESSION_SETUP else [c.EndKind.EV_TIMEOUT])
    assert bench.session.on_timer(deadline_s + 100, bench.snapshot) is None


@pytest.mark.parametrize("lab_s", [0.5, 5.0])
def test_case_54_silence_in_the_loop_stops_energy_first_and_closes(lab_s: float) -> None:
    """[V2G20-1502], lengthened by lab-slow-loop."""
    bench = Bench(SeccConfig(timers=Timers(loop_sequence_s=lab_s))).to("ChargeLoop")
    bench.say(loop())
    assert bench.session.on_timer(bench.now_s + lab_s - 0.001, bench.snapshot) is None
    reply = bench.session.on_timer(bench.now_s + lab_s, bench.snapshot)
    assert reply is not None
    assert [type(command) for command in reply.commands] == [c.EnergyStop, c.SessionEnded]
    assert reply.close is CloseReason.SEQUENCE_TIMEOUT


def test_the_loop_timer_runs_after_a_loop_response_only() -> None:
    bench = Bench().to("ChargeLoop")
    assert bench.session.deadline_s == bench.now_s + 60
    bench.say(loop())
    assert bench.session.deadline_s == bench.now_s + 0.5


def test_what_is_refused_inside_the_loop_does_not_lengthen_its_timer() -> None:
    """[V2G20-1502]"""
    bench = Bench(SeccConfig(standby=False)).to("ChargeLoop")
    bench.say(loop())
    bench.after(0.25).say(power_delivery(ChargeProgress.Standby))
    assert bench.session.deadline_s == bench.now_s + 0.5
    reply = bench.session.on_timer(bench.now_s + 0.5, bench.snapshot)
    assert reply is not None
    assert [type(command) for command in reply.commands] == [c.EnergyStop, c.SessionEnded]


def test_after_stop_the_long_timer_runs() -> None:
    bench = Bench().to("ChargeLoop")
    bench.say(loop())
    bench.say(power_delivery(ChargeProgress.Stop))
    assert bench.session.deadline_s == bench.now_s + 60


def test_the_strict_loop_timer_can_only_be_lengthened() -> None:
    with pytest.raises(ValueError, match=r"0\.5"):
        Timers(loop_sequence_s=0.4)


def test_the_sequence_timer_starts_when_the_response_is_sent() -> None:
    bench = Bench().to("ChargeLoop")
    bench.say(loop())
    assert bench.session.on_sent(bench.now_s + 0.1) == bench.now_s + 0.6
    assert bench.session.on_timer(bench.now_s + 0.55, bench.snapshot) is None


def test_energy_is_stopped_only_if_it_could_flow() -> None:
    bench = Bench().to("ServiceDetail")
    reply = bench.session.on_timer(bench.now_s + 60, bench.snapshot)
    assert reply is not None
    assert [type(command) for command in reply.commands] == [c.SessionEnded]


def test_case_13_silence_before_app_protocol_closes_after_60_s() -> None:
    link = connection(opened_s=1000.0)
    assert link.next_deadline_s == 1060.0
    assert link.on_timer(1059.9, SNAPSHOT) == []
    (output,) = link.on_timer(1060.0, SNAPSHOT)
    assert (output.close, output.data, output.commands) == (CloseReason.SEQUENCE_TIMEOUT, None, ())
    assert link.closed


@pytest.mark.parametrize("negotiate", [False, True])
def test_no_session_setup_within_the_communication_setup_time_closes(negotiate: bool) -> None:
    link = connection(opened_s=1000.0, setup_deadline_s=1015.0)
    if negotiate:
        link.receive(frame(sap_request((NS_DC, 1, 0, 1, 1))), SNAPSHOT, 1001.0)
    assert link.next_deadline_s == 1015.0
    (output,) = link.on_timer(1015.0, SNAPSHOT)
    assert (output.close, output.data) == (CloseReason.SETUP_TIMEOUT, None)


def test_the_communication_setup_time_is_over_with_session_setup() -> None:
    link = connection(opened_s=1000.0, setup_deadline_s=1015.0)
    link.receive(frame(sap_request((NS_DC, 1, 0, 1, 1))), SNAPSHOT, 1001.0)
    link.receive(frame(every_request()[0]), SNAPSHOT, 1002.0)
    assert link.next_deadline_s == 1062.0


def test_case_60_tcp_stays_open_5_s_after_session_stop() -> None:
    link, session_id = negotiated()
    request = stop()
    request.header = header(session_id)
    (output,) = link.receive(frame(request), SNAPSHOT, 1010.0)
    assert output.close is None
    assert output.data is not None
    assert link.next_deadline_s == 1015.0
    assert [output.data for output in link.receive(frame(request), SNAPSHOT, 1011.0)] == [None]
    (output,) = link.on_timer(1015.0, SNAPSHOT)
    assert output.close is CloseReason.SESSION_STOPPED


def test_tcp_closes_within_5_s_after_failed() -> None:
    link, _ = negotiated()
    (output,) = link.receive(frame(stop()), SNAPSHOT, 1010.0)
    assert output.event is not None
    assert output.event.code == "FAILED_UnknownSession"
    assert link.next_deadline_s is not None
    assert 1010.0 < link.next_deadline_s <= 1015.0


@pytest.mark.parametrize(
    ("response", "limit_s"),
    [("DC_ChargeLoopRes", 0.25), ("ServiceDetailRes", 4.5), ("DC_CableCheckRes", 1.5), ("PowerDeliveryRes", 1.5)],
)
def test_performance_times(response: str, limit_s: float) -> None:
    assert performance_s(response) == limit_s
