"""A large message is coded by the shell: what the connection does before, meanwhile and after. All in virtual time."""

from __future__ import annotations

from typing import Any

import pytest

from evse_controller.exi.errors import ExiError
from evse_controller.messages import encode
from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.generated.common_types import ResponseCode
from evse_controller.model import commands as c
from evse_controller.secc.coding import Work, weight
from evse_controller.secc.config import MAX_MESSAGE_LIMIT, SeccConfig
from evse_controller.secc.connection import Connection
from evse_controller.secc.output import Output
from evse_controller.secc.reply import CloseReason, Transport
from evse_controller.secc.v2gtp import PayloadType, encode_frame
from tests.campaign.secc_sequences import Wire
from tests.net.large import largest_schedule
from tests.secc.ev import (
    DC,
    DYNAMIC,
    NS_DC,
    SNAPSHOT,
    connection,
    every_request,
    frame,
    header,
    loop,
    random_bytes,
    read,
    sap_request,
)

SAP = frame(sap_request((NS_DC, 1, 0, 3, 1)))
SETUP = frame(cm.SessionSetupReq(header(), "EV1"))


def patient(large_bytes: int = 1, config: SeccConfig | None = None, **options: Any) -> Connection:
    """A connection whose shell codes everything from `large_bytes` on."""
    config = config or SeccConfig()
    return Connection(config, Transport.TLS_1_3_MUTUAL, random_bytes(), 1000.0, large_bytes=large_bytes, **options)


def work_of(outputs: list[Output]) -> Work:
    (output,) = outputs
    assert output.work is not None
    assert output.data is None
    return output.work


def ask(link: Connection, data: bytes, now_s: float) -> list[Output]:
    """As the edge does it: every piece of work at once."""
    outputs, done = link.receive(data, SNAPSHOT, now_s), []
    while outputs:
        output = outputs.pop(0)
        done.append(output)
        if output.work is not None:
            assert not outputs
            outputs = link.coded(output.work, output.work.run(), SNAPSHOT, now_s)
    return done


def negotiated(large_bytes: int = 1) -> Connection:
    link = patient(large_bytes)
    ask(link, SAP + SETUP, 1000.0)
    assert link.state_name == "AuthorizationSetup"
    return link


def loaded(state: str, large_bytes: int) -> tuple[Wire, Connection]:
    """A session that was led to `state` without work, and hands work out from there."""
    bench = Wire(service=DC, control_mode=DYNAMIC)
    bench.feed(SAP)
    bench.to(state)
    bench.link.large_bytes = large_bytes
    return bench, bench.link


def test_worked_out_or_inline_the_outputs_are_the_same() -> None:
    inline, apart = connection(), patient()
    for data in (SAP, SETUP, frame(cm.AuthorizationSetupReq(header(bytes(8))))):
        (expected,) = inline.receive(data, SNAPSHOT, 1000.0)
        told = [output for output in ask(apart, data, 1000.0) if output.work is None or output.commands]
        assert [output.data for output in told if output.data] == [expected.data]
        assert sum((tuple(output.commands) for output in told), ()) == expected.commands
        assert [output.event for output in told if output.event] == [expected.event]
        assert [output.close for output in told if output.close] == ([expected.close] if expected.close else [])
    assert inline.state_name == apart.state_name


def test_small_messages_are_never_handed_out() -> None:
    link = patient(4096)
    for data in (SAP, SETUP):
        assert all(output.work is None for output in link.receive(data, SNAPSHOT, 1000.0))
    assert max(weight(request, 4096) for request in every_request()) < 1000


def test_a_frame_behind_a_large_one_waits_for_it() -> None:
    link = patient()
    work = work_of(link.receive(SAP + SETUP, SNAPSHOT, 1000.0))
    assert link.receive(b"", SNAPSHOT, 1000.1) == []
    answered, begun = link.coded(work, work.run(), SNAPSHOT, 1000.2)
    assert answered.data is not None
    assert begun.work is not None
    assert link.session_id is None


def test_a_large_answer_gives_its_commands_at_once_and_its_bytes_later() -> None:
    """Hardware acts first, however long the answer takes."""
    link = patient(large_bytes=10**6)
    link.receive(SAP, SNAPSHOT, 1000.0)
    link.large_bytes = 60  # the response only
    (output,) = link.receive(SETUP, SNAPSHOT, 1000.1)
    assert output.work is not None
    assert [type(command) for command in output.commands] == [c.SessionOpened]
    (sealed,) = link.coded(output.work, output.work.run(), SNAPSHOT, 1000.2)
    assert read(sealed).response_code is ResponseCode.OK_NewSessionEstablished
    assert sealed.commands == ()
    assert sealed.event is not None


def test_a_large_answer_that_does_not_encode_becomes_the_refusal_and_gives_no_command_twice() -> None:
    link = patient(large_bytes=10**6)
    link.receive(SAP, SNAPSHOT, 1000.0)
    link.large_bytes = 60
    (output,) = link.receive(SETUP, SNAPSHOT, 1000.1)
    assert output.work is not None
    (refused,) = link.coded(output.work, ExiError("cannot be"), SNAPSHOT, 1000.2)
    again = refused.work
    assert again is not None
    assert [type(command) for command in refused.commands] == [c.SessionEnded]
    (sealed,) = link.coded(again, again.run(), SNAPSHOT, 1000.3)
    assert read(sealed).response_code is ResponseCode.FAILED
    assert link.state_name == "Ended"


def test_a_request_that_came_in_time_counts_although_its_decoding_ends_later() -> None:
    link = negotiated()
    deadline_s = link.next_deadline_s
    assert deadline_s is not None
    arrived_s = deadline_s - 0.01
    work = work_of(link.receive(frame(cm.AuthorizationSetupReq(header())), SNAPSHOT, arrived_s))
    (output,) = link.coded(work, work.run(), SNAPSHOT, arrived_s + 1.0)
    assert output.close is None


def test_a_charge_loop_is_deaf_for_half_a_second_at_most_while_a_large_message_is_decoded() -> None:
    """[V2G20-1502] holds for whatever the EV sends: energy does not flow on while nobody hears it."""
    bench, link = loaded("ChargeLoop", 100_000)
    bench.ask(loop(DYNAMIC, False))
    now_s = bench.now_s + 0.1
    huge = encode_frame(PayloadType.ISO20_COMMON, encode(largest_schedule(stacks=80)))
    work = work_of(link.receive(huge, bench.snapshot, now_s))
    assert link.next_deadline_s == pytest.approx(now_s + 0.5)
    assert link.on_timer(now_s + 0.49, bench.snapshot) == []
    (output,) = link.on_timer(now_s + 0.5, bench.snapshot)
    assert [type(command) for command in output.commands] == [c.EnergyStop, c.SessionEnded]
    assert output.close is CloseReason.ABORTED
    assert output.event is not None
    assert "not coded within" in (output.event.reason or "")
    assert link.coded(work, work.run(), bench.snapshot, now_s + 0.6) == []


def test_the_set_up_time_goes_on_while_a_large_message_is_decoded() -> None:
    link = patient(setup_deadline_s=1005.0)
    work_of(link.receive(SAP, SNAPSHOT, 1004.9))
    (output,) = link.on_timer(1005.0, SNAPSHOT)
    assert output.close is CloseReason.SETUP_TIMEOUT


@pytest.mark.parametrize("how", ["abort", "disconnect"])
def test_the_end_does_not_wait_for_a_large_message(how: str) -> None:
    bench, link = loaded("ChargeLoop", 100_000)
    bench.ask(loop(DYNAMIC, False))
    huge = encode_frame(PayloadType.ISO20_COMMON, encode(largest_schedule(stacks=80)))
    now_s = bench.now_s + 0.1
    work = work_of(link.receive(huge, bench.snapshot, now_s))
    (output,) = link.abort("emergency stop", now_s) if how == "abort" else link.on_disconnect(now_s)
    assert [type(command) for command in output.commands] == [c.EnergyStop, c.SessionEnded]
    assert link.closed
    assert link.next_deadline_s is None
    assert link.coded(work, work.run(), bench.snapshot, now_s) == []


def test_what_does_not_decode_ends_the_session_as_a_small_one_does() -> None:
    link = negotiated()
    work = work_of(link.receive(encode_frame(PayloadType.ISO20_COMMON, b"\x80" + b"\xff" * 300), SNAPSHOT, 1000.5))
    (output,) = link.coded(work, work.run(), SNAPSHOT, 1000.6)
    assert output.close is CloseReason.UNDECODABLE


def test_the_limit_is_configuration_and_a_longer_frame_is_refused_at_its_header() -> None:
    huge = encode_frame(PayloadType.ISO20_COMMON, bytes(MAX_MESSAGE_LIMIT))
    (output,) = negotiated().receive(huge[:8], SNAPSHOT, 1000.5)
    assert output.close is CloseReason.FRAME_TOO_LONG
    assert output.event is not None
    assert "at most 262144" in (output.event.reason or "")
    assert patient(config=SeccConfig(max_message_bytes=MAX_MESSAGE_LIMIT)).receive(huge[:8], SNAPSHOT, 1000.0) == []
    for wrong in (1, MAX_MESSAGE_LIMIT + 1):
        with pytest.raises(ValueError, match="max_message_bytes must be from"):
            SeccConfig(max_message_bytes=wrong)


def test_the_largest_legal_schedule_fits_the_largest_limit() -> None:
    assert 1_400_000 < len(encode(largest_schedule())) <= MAX_MESSAGE_LIMIT


@pytest.mark.parametrize("stacks", [1, 3, 20])
def test_weight_is_never_below_the_size(stacks: int) -> None:
    message = largest_schedule(stacks=stacks)
    assert len(encode(message)) <= weight(message, 10**9) < 4 * len(encode(message))
    assert weight(message, 500) < 2000  # counting stopped
    for request in every_request():
        assert len(encode(request)) <= weight(request, 10**9)


def test_the_result_of_other_work_is_not_taken() -> None:
    link = negotiated()
    request = frame(cm.AuthorizationSetupReq(header()))
    work_of(link.receive(request, SNAPSHOT, 1000.5))
    other = Work(lambda: b"")
    assert link.coded(other, b"", SNAPSHOT, 1000.6) == []
    assert link.state_name == "AuthorizationSetup"


def test_a_message_above_the_usual_limit_is_served_when_configured() -> None:
    """It decodes; that a response is no request is another matter."""
    link = patient(10**6, SeccConfig(max_message_bytes=MAX_MESSAGE_LIMIT))
    ask(link, SAP + SETUP, 1000.0)
    huge = encode_frame(PayloadType.ISO20_COMMON, encode(largest_schedule(stacks=200)))
    assert len(huge) > 256 * 1024
    (output,) = link.receive(huge, SNAPSHOT, 1000.5)
    assert output.close is CloseReason.UNEXPECTED_MESSAGE


def test_nothing_is_kept_after_the_end() -> None:
    link = negotiated()
    link.abort("over", 1000.5)
    link.receive(SETUP * 100, SNAPSHOT, 1000.6)
    assert not link._waiting
    lingering = patient(4096)
    lingering.receive(frame(sap_request(("urn:nobody", 1, 0, 3, 1))), SNAPSHOT, 1000.0)
    lingering.receive(SETUP * 100, SNAPSHOT, 1000.1)
    assert lingering.state_name == "Ended"
    assert not lingering._waiting
