"""Received bytes are always fed, and their answers come in order, whatever else is due when they arrive."""

from __future__ import annotations

import random
from typing import Any

import pytest

from evse_controller.messages.base import Message
from evse_controller.messages.generated import common_messages as cm
from evse_controller.model.snapshot import Step
from evse_controller.secc.config import SeccConfig
from evse_controller.secc.output import Output
from evse_controller.secc.reply import CloseReason
from evse_controller.secc.v2gtp import PayloadType
from tests.secc.ev import SCHEDULED, frame, header, loop, power_delivery, sap_request, schedule_request
from tests.secc.test_side_streams import BESIDE, looping
from tests.secc.wire_ac import AcWire

NS_AC = "urn:iso:std:iso:15118:-20:AC"


def framed(bench: Any, request: Message, payload_type: int | None = None) -> bytes:
    request.header = header(bench.session_id)  # type: ignore[attr-defined]
    return frame(request, payload_type)


def told(outputs: list[Output]) -> list[str]:
    return [output.message.ELEMENT for output in outputs if output.message is not None]


def closing(large_bytes: int | None = None) -> AcWire:
    """A wire on which the answer to Start waits for the contactor."""
    bench = AcWire(config=SeccConfig(services=(1, 5)), chance=random.Random(1), control_mode=SCHEDULED)
    bench.feed(frame(sap_request((NS_AC, 1, 0, 1, 1))))
    bench.to("ChargeLoop" if large_bytes else "PowerDelivery")
    bench.set(contactor=Step.IDLE)
    if large_bytes is None:
        assert told(bench.link.receive(framed(bench, bench.start()), bench.snapshot, bench.now_s)) == []
    return bench


@pytest.mark.parametrize("late_s", [0.019, 0.021, 0.05])
def test_what_arrives_while_an_answer_waits_for_the_contactor_is_not_lost(late_s: float) -> None:
    """A frame may come in two pieces, with the retry of the held answer between them."""
    bench = closing()
    data = framed(bench, bench._loop())
    assert told(bench.link.receive(data[:10], bench.snapshot, bench.after(0.01).now_s)) == []
    assert told(bench.link.receive(data[10:], bench.snapshot, bench.after(late_s).now_s)) == []
    bench.set(contactor=Step.DONE)
    outputs = bench.link.on_timer(bench.after(0.1).now_s, bench.snapshot)
    assert told(outputs) == ["PowerDeliveryRes", "AC_ChargeLoopRes"]


def test_the_held_answer_that_is_due_leaves_before_that_to_what_arrives() -> None:
    bench = closing()
    bench.set(contactor=Step.DONE)
    data = framed(bench, bench._loop())
    outputs = bench.link.receive(data, bench.snapshot, bench.after(0.05).now_s)
    assert told(outputs) == ["PowerDeliveryRes", "AC_ChargeLoopRes"]


def test_work_of_a_side_stream_that_ends_while_an_answer_is_held_is_answered() -> None:
    bench = closing(large_bytes=60)
    bench.ask(bench._loop())
    bench.link.large_bytes = 10  # so that its reading takes its time, too
    (side,) = bench.link.receive(framed(bench, schedule_request(SCHEDULED), BESIDE), bench.snapshot, bench.now_s)
    assert side.work is not None
    bench.link.large_bytes = None
    bench.after(0.1).ask(power_delivery(cm.ChargeProgress.Standby))
    bench.link.receive(framed(bench, power_delivery()), bench.snapshot, bench.after(0.1).now_s)
    held = bench.link.next_deadline_s
    assert held is not None
    outputs = bench.link.coded(side.work, side.work.run(), bench.snapshot, bench.after(0.05).now_s)
    assert told(outputs) == ["ScheduleExchangeRes"]
    bench.set(contactor=Step.DONE)
    outputs = bench.link.on_timer(bench.after(0.05).now_s, bench.snapshot)
    assert told(outputs) == ["PowerDeliveryRes"]  # the held request is still the one that is answered
    assert outputs[0].payload_type == PayloadType.ISO20_COMMON


@pytest.mark.parametrize(("ahead", "ends"), [(8, False), (9, True)])
def test_an_ev_that_asks_on_and_on_ahead_of_its_answers_is_let_go(ahead: int, ends: bool) -> None:
    bench = looping(large_bytes=60)
    data = framed(bench, schedule_request(SCHEDULED), BESIDE)
    (side,) = bench.link.receive(data, bench.snapshot, bench.now_s)
    assert side.work is not None
    outputs = [bench.link.receive(data, bench.snapshot, bench.now_s) for _ in range(ahead)]
    assert (bench.state == "Ended") is ends
    assert [output.close for output in outputs[-1]] == ([CloseReason.UNEXPECTED_MESSAGE] if ends else [])
    if ends:
        assert [type(command).__name__ for command in outputs[-1][0].commands] == ["EnergyStop", "SessionEnded"]
    else:
        (output,) = bench.link.receive(framed(bench, loop()), bench.snapshot, bench.now_s)
        assert output.work is not None  # the loop goes on beside them
