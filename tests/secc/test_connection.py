"""Bytes in, bytes out: a whole connection, and everything an EV can do wrong on one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from evse_controller.messages import encode
from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.generated.app_protocol import ResponseCode as SapCode
from evse_controller.messages.generated.common_types import ResponseCode
from evse_controller.model import commands as c
from evse_controller.secc.iso20.session import Iso20Session
from evse_controller.secc.reply import CloseReason
from evse_controller.secc.v2gtp import FrameReader, PayloadType, encode_frame
from tests.secc.ev import (
    DYNAMIC,
    NS_AC,
    NS_DC,
    SNAPSHOT,
    Bench,
    connection,
    every_request,
    frame,
    header,
    negotiated,
    read,
    sap_request,
    schedule_request,
)

SAP = frame(sap_request((NS_DC, 1, 0, 3, 1)))


def of(kind: type, session_id: bytes) -> Any:
    request: Any = next(request for request in every_request() if isinstance(request, kind))
    request.header = header(session_id)
    return request


def test_negotiation_then_session_with_names_for_status() -> None:
    link = connection()
    assert (link.state_name, link.protocol, link.session_id) == ("SupportedAppProtocol", None, None)
    (output,) = link.receive(SAP, SNAPSHOT, 1000.0)
    assert (read(output).response_code, read(output).schema_id) == (SapCode.OK_SuccessfulNegotiation, 3)
    assert (link.state_name, link.protocol) == ("SessionSetup", "ISO 15118-20 DC")
    (output,) = link.receive(frame(of(cm.SessionSetupReq, bytes(8))), SNAPSHOT, 1000.1)
    assert link.session_id == read(output).header.session_id.hex().upper()
    assert output.event is not None
    assert (output.event.request, output.event.response) == ("SessionSetupReq", "SessionSetupRes")


def test_case_09_failed_negotiation_is_answered_and_closed_within_5_s() -> None:
    link = connection()
    (output,) = link.receive(frame(sap_request((NS_AC, 1, 0, 1, 1))), SNAPSHOT, 1000.0)
    assert read(output).response_code is SapCode.Failed_NoNegotiation
    assert output.close is None
    assert link.next_deadline_s is not None
    assert link.next_deadline_s <= 1005.0
    (output,) = link.on_timer(link.next_deadline_s, SNAPSHOT)
    assert output.close is CloseReason.NO_NEGOTIATION


def test_namespaces_of_the_ev_are_escaped_in_the_event() -> None:
    (output,) = connection().receive(frame(sap_request(("urn:x\x1b[2J\n", 1, 0, 1, 1))), SNAPSHOT, 1000.0)
    assert output.event is not None
    assert (output.event.reason or "").isprintable()


def test_a_request_after_the_deadline_is_none_even_if_it_is_read_before_the_timer_fires() -> None:
    """[V2G20-1502]"""
    link, session_id = negotiated()
    request = frame(of(cm.AuthorizationSetupReq, session_id))
    (output,) = link.receive(request, SNAPSHOT, 1060.1)
    assert (output.data, output.close) == (None, CloseReason.SEQUENCE_TIMEOUT)
    assert [type(command) for command in output.commands] == [c.SessionEnded]
    link, session_id = negotiated()
    assert link.receive(frame(of(cm.AuthorizationSetupReq, session_id)), SNAPSHOT, 1060.0)[0].data is not None


def test_an_answer_of_ours_that_does_not_encode_becomes_the_paired_refusal() -> None:
    link = connection()
    link.receive(SAP, SNAPSHOT, 1000.0)
    snapshot = replace(SNAPSHOT, evseid="E" * 300)
    (output,) = link.receive(frame(of(cm.SessionSetupReq, bytes(8))), snapshot, 1000.1)
    answer = read(output)
    assert (answer.ELEMENT, answer.response_code) == ("SessionSetupRes", ResponseCode.FAILED)
    assert [type(command) for command in output.commands] == [c.SessionOpened, c.SessionEnded]
    assert output.event is not None
    assert (output.event.code, output.event.state, output.event.next_state) == ("FAILED", "SessionSetup", "Ended")
    assert "EVSEID" in (output.event.reason or "")
    assert link.state_name == "Ended"
    (output,) = link.on_timer(1005.0, SNAPSHOT)
    assert (output.close, output.commands) == (CloseReason.FAILED, ())


def test_split_and_coalesced_frames_give_the_same_answers() -> None:
    stream = SAP + frame(of(cm.SessionSetupReq, bytes(8)))
    at_once = [output.data for output in connection().receive(stream, SNAPSHOT, 1000.0)]
    link = connection()
    slowly = [
        output.data for octet in stream for output in link.receive(bytes([octet]), SNAPSHOT, 1000.0)
    ]
    assert len(at_once) == 2
    assert at_once == slowly


def test_ignored_frames_are_counted_and_do_not_restart_the_timer() -> None:
    link = connection()
    assert link.receive(b"\xff\xfe\x80\x01\x00\x00\x00\x01x", SNAPSHOT, 1030.0) == []
    assert link.ignored == {"bad version": 1}
    assert link.next_deadline_s == 1060.0
    assert len(link.receive(SAP, SNAPSHOT, 1031.0)) == 1


def test_case_03_absurd_length_closes_and_ends_the_session() -> None:
    link, _ = negotiated()
    (output,) = link.receive(b"\x01\xfe\x80\x02\xff\xff\xff\xff", SNAPSHOT, 1001.0)
    assert (output.close, output.data) == (CloseReason.FRAME_TOO_LONG, None)
    assert [type(command) for command in output.commands] == [c.SessionEnded]
    assert link.closed


@pytest.mark.parametrize("payload", [b"\x80", b"\xff\xff\xff", b"\x80\xff\xff\xff\xff"])
def test_undecodable_closes_without_an_answer(payload: bytes) -> None:
    link, _ = negotiated()
    (output,) = link.receive(encode_frame(PayloadType.ISO20_DC, payload), SNAPSHOT, 1001.0)
    assert (output.close, output.data) == (CloseReason.UNDECODABLE, None)
    assert [type(command) for command in output.commands] == [c.SessionEnded]


@pytest.mark.parametrize("payload_type", [PayloadType.ISO20_COMMON, PayloadType.APP_PROTOCOL])
def test_before_negotiation_anything_but_app_protocol_closes(payload_type: int) -> None:
    link = connection()
    (output,) = link.receive(encode_frame(payload_type, b"\x80\x00"), SNAPSHOT, 1000.0)
    assert output.data is None
    assert output.close in (CloseReason.UNEXPECTED_MESSAGE, CloseReason.UNDECODABLE)


def test_second_app_protocol_request_closes() -> None:
    link, _ = negotiated()
    (output,) = link.receive(SAP, SNAPSHOT, 1001.0)
    assert output.close is not None or link.state_name == "Ended"


def test_common_message_framed_as_8001_is_served_inside_a_session() -> None:
    link, session_id = negotiated()
    request = of(cm.AuthorizationSetupReq, session_id)
    (output,) = link.receive(frame(request, PayloadType.APP_PROTOCOL), SNAPSHOT, 1001.0)
    assert output.payload_type == PayloadType.ISO20_COMMON
    assert read(output).response_code is ResponseCode.OK


def test_side_stream_requests_are_answered_on_their_stream_with_the_paired_refusal() -> None:
    link, session_id = negotiated()
    request = schedule_request(DYNAMIC)
    request.header = header(session_id)
    (output,) = link.receive(frame(request, PayloadType.SCHEDULE_RENEGOTIATION), SNAPSHOT, 1001.0)
    assert output.payload_type == PayloadType.SCHEDULE_RENEGOTIATION
    assert read(output).response_code is ResponseCode.FAILED_SequenceError


def test_ac_message_in_a_dc_session_gets_its_paired_refusal_in_the_ac_payload_type() -> None:
    link, session_id = negotiated()
    request = next(request for request in every_request() if request.ELEMENT == "AC_ChargeLoopReq")
    request.header = header(session_id)  # type: ignore[attr-defined]
    (output,) = link.receive(frame(request), SNAPSHOT, 1001.0)
    assert output.payload_type == PayloadType.ISO20_AC
    assert read(output).response_code is ResponseCode.FAILED_SequenceError


def test_disconnect_ends_the_session_once() -> None:
    link, _ = negotiated()
    (output,) = link.on_disconnect(1002.0)
    assert [command.kind for command in output.commands if isinstance(command, c.SessionEnded)] == [
        c.EndKind.EV_CLOSED
    ]
    assert link.on_disconnect(1003.0) == []
    assert link.next_deadline_s is None


def test_disconnect_after_failed_gives_no_second_end() -> None:
    link, _ = negotiated()
    link.receive(frame(of(cm.AuthorizationSetupReq, b"\xee" * 8)), SNAPSHOT, 1001.0)
    (output,) = link.on_disconnect(1002.0)
    assert output.commands == ()


def test_abort_ends_and_closes() -> None:
    link, _ = negotiated()
    (output,) = link.abort("the daemon stops", 1002.0)
    assert output.close is CloseReason.ABORTED
    assert [type(command) for command in output.commands] == [c.SessionEnded]
    assert link.abort("again", 1003.0) == []


def test_two_requests_in_one_segment_stop_at_the_first_failure() -> None:
    link, session_id = negotiated()
    wrong = frame(of(cm.AuthorizationSetupReq, b"\xee" * 8))
    right = frame(of(cm.AuthorizationSetupReq, session_id))
    outputs = link.receive(wrong + right, SNAPSHOT, 1001.0)
    assert [output.data is None for output in outputs] == [False, True]


def test_trailing_octets_inside_the_declared_length_are_tolerated() -> None:
    link, session_id = negotiated()
    payload = encode(of(cm.AuthorizationSetupReq, session_id)) + b"\x00"
    (output,) = link.receive(encode_frame(PayloadType.ISO20_COMMON, payload), SNAPSHOT, 1001.0)
    assert read(output).response_code is ResponseCode.OK


def test_answers_are_whole_frames() -> None:
    link = connection()
    (output,) = link.receive(SAP, SNAPSHOT, 1000.0)
    assert output.data is not None
    assert len(FrameReader().feed(output.data)) == 1


def test_what_comes_after_the_last_answer_is_not_answered_and_stands_in_the_log() -> None:
    link, session_id = negotiated()
    wrong, late = (frame(kind(header(session_id))) for kind in (cm.ServiceDiscoveryReq, cm.AuthorizationSetupReq))
    refused, unheard = link.receive(wrong + late, SNAPSHOT, 1001.0)
    assert refused.data is not None
    outputs = [unheard, *(output for _ in range(20) for output in link.receive(late, SNAPSHOT, 1001.5))]
    assert len(outputs) == 8, "an EV that goes on and on does not fill the journal"
    for output in outputs:
        assert (output.data, output.commands, output.close) == (None, (), None)
        assert output.event is not None
        assert (output.event.state, output.event.reason) == (
            "Ended", f"payload 0x8002 of {len(late) - 8} bytes after the end: not answered",
        )


def test_the_event_of_an_end_says_in_which_state_it_came() -> None:
    ends: tuple[tuple[Callable[[Iso20Session, float], Any], str], ...] = (
        (lambda session, now_s: session.on_timer(now_s + 99.0, SNAPSHOT), "no request within"),
        (lambda session, now_s: session.handle_undecodable(0x8004, "noise", now_s), "does not decode"),
        (lambda session, now_s: session.on_disconnect(now_s), "closed the connection"),
        (lambda session, now_s: session.abort("shutdown", now_s), "shutdown"),
    )
    for end, reason in ends:
        bench = Bench().to("CableCheck")
        event = end(bench.session, bench.now_s).event
        assert (event.state, event.next_state) == ("CableCheck", "Ended")
        assert reason in event.reason
