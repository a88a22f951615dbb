"""An answer that waits for hardware: the request is held, time goes on, and nothing else of the main stream is due."""

from __future__ import annotations

import pytest

from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.generated.common_types import ResponseCode
from evse_controller.model import commands as c
from evse_controller.model.snapshot import Step
from evse_controller.secc.iso20.session import Iso20Session
from tests.secc.ev import header, power_delivery
from tests.secc.ev_ac import AcBench


def waiting() -> AcBench:
    """PowerDelivery(Start) was heard, and the contactor is on its way."""
    bench = AcBench().to("PowerDelivery")
    bench.set(contactor=Step.RUNNING)
    reply = bench.ask(bench.start())  # type: ignore[attr-defined]
    assert (reply.response, reply.close, reply.event) == (None, None, None)
    assert isinstance(bench, AcBench)
    return bench


def session_of(bench: AcBench) -> Iso20Session:
    assert bench.session.pending
    return bench.session


def test_the_command_is_given_at_once_and_the_answer_comes_with_the_hardware() -> None:
    bench = waiting()
    assert [type(command) for command in bench.commands[-1:]] == [c.EnergyStart]
    before = len(bench.commands)
    bench.set(contactor=Step.DONE)
    reply = bench.waited(0.2)
    assert reply is not None
    assert reply.response is not None
    assert (bench.session.pending, len(bench.commands)) == (False, before)
    assert bench.state == "ChargeLoop"


def test_while_it_waits_there_is_no_sequence_timer_to_restart() -> None:
    bench = waiting()
    due_s = session_of(bench).deadline_s
    assert due_s is not None
    assert due_s < bench.now_s + 1.0
    assert session_of(bench).on_sent(bench.now_s) == due_s


def test_a_second_request_before_the_answer_is_a_sequence_error() -> None:
    bench = waiting()
    reply = bench.ask(power_delivery(cm.ChargeProgress.Stop))
    assert reply.response.response_code is ResponseCode.FAILED_SequenceError  # type: ignore[union-attr]
    assert [type(command) for command in reply.commands] == [c.EnergyStop, c.SessionEnded]
    assert not bench.session.pending


@pytest.mark.parametrize("how", ["disconnect", "abort"])
def test_its_end_does_not_wait_for_it(how: str) -> None:
    bench = waiting()
    session = session_of(bench)
    reply = session.on_disconnect(bench.now_s) if how == "disconnect" else session.abort("test", bench.now_s)
    assert reply is not None
    assert [type(command) for command in reply.commands] == [c.EnergyStop, c.SessionEnded]
    assert not session.pending
    assert session.handle(cm.AuthorizationSetupReq(header()), bench.snapshot, bench.now_s).response is None
