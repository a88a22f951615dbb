"""{each request} x {each state}: allowed where the table says so, else the paired refusal (F.2 cases 16 and 17)."""

from __future__ import annotations

from typing import Any

import pytest

from evse_controller.messages.base import Message
from evse_controller.messages.generated.common_messages import SessionSetupReq
from evse_controller.messages.generated.common_types import ResponseCode
from evse_controller.model.commands import SessionEnded
from evse_controller.secc.iso20.fillers import PAIRED_REQUESTS
from evse_controller.secc.iso20.fillers_ac import AC_FILLERS
from evse_controller.secc.iso20.catalogue import SERVICES
from evse_controller.secc.iso20.services import rows_of
from evse_controller.secc.iso20.states import State
from evse_controller.secc.reply import CloseReason
from evse_controller.secc.streams import Stream
from tests.secc.ev import Bench, every_request

WAITING = [state for state in State if state is not State.ENDED]
REQUESTS = range(len(every_request()))
# Which requests each state hears, written down a second time: the table is checked against protocol.md B.1.
HEARD = {
    "SessionSetup": {"SessionSetupReq"},
    "AuthorizationSetup": {"AuthorizationSetupReq"},
    "Authorization": {"AuthorizationReq"},
    "ServiceDiscovery": {"ServiceDiscoveryReq"},
    "ServiceDetail": {"ServiceDetailReq"},
    "ServiceSelection": {"ServiceDetailReq", "ServiceSelectionReq"},
    "ChargeParameterDiscovery": {"DC_ChargeParameterDiscoveryReq"},
    "ScheduleExchange": {"ScheduleExchangeReq"},
    "CableCheck": {"DC_CableCheckReq"},
    "PreCharge": {"DC_PreChargeReq", "PowerDeliveryReq"},
    "PowerDelivery": {"PowerDeliveryReq", "DC_PreChargeReq", "DC_ChargeLoopReq"},
    "ChargeLoop": {"DC_ChargeLoopReq", "PowerDeliveryReq", "MeteringConfirmationReq"},
    "Standby": {"PowerDeliveryReq", "MeteringConfirmationReq"},
    "ScheduleRenegotiation": {"ScheduleExchangeReq", "PowerDeliveryReq", "MeteringConfirmationReq"},
    "Renegotiated": {"PowerDeliveryReq", "ScheduleExchangeReq", "MeteringConfirmationReq"},
    "WeldingDetection": {"DC_WeldingDetectionReq", "MeteringConfirmationReq"},
    "SessionStop": {"DC_WeldingDetectionReq", "MeteringConfirmationReq"},
}
_METERED = {"ChargeLoop", "Standby", "ScheduleRenegotiation", "Renegotiated", "WeldingDetection", "SessionStop"}
_PARKED = [state.value for state in State][6:-1]  # from ChargeParameterDiscovery on
# What each side stream hears, and where.
BESIDE = {
    Stream.SCHEDULE: {"ChargeLoop": {"ScheduleExchangeReq"}},
    Stream.METERING: {state: {"MeteringConfirmationReq"} for state in _METERED},
    Stream.PARKING: {state: {"VehicleCheckInReq", "VehicleCheckOutReq"} for state in _PARKED},
}
# Rows with a condition of their own that the usual way does not meet.
CONDITIONAL = {
    ("PowerDelivery", "DC_ChargeLoopReq"),  # needs a Start before
    ("ScheduleRenegotiation", "PowerDeliveryReq"),  # only Stop
}


def bench_in(state: State) -> Bench:
    return Bench().to(state.value)


@pytest.mark.parametrize("service", [entry.service_id for entry in SERVICES.values() if not entry.ac])
def test_table_hears_what_the_protocol_says_and_session_stop_everywhere(service: int) -> None:
    rows = rows_of(service)
    for state in WAITING:
        stop = set() if state is State.SESSION_SETUP else {"SessionStopReq"}
        assert {request.ELEMENT for request in rows.allowed(state)} == HEARD[state.value] | stop
        for stream, heard in BESIDE.items():
            assert {request.ELEMENT for request in rows.allowed(state, stream)} == heard.get(state.value, set())


def test_every_request_has_a_paired_refusal() -> None:
    assert {request.ELEMENT for request in every_request()} == PAIRED_REQUESTS | set(AC_FILLERS)


@pytest.mark.parametrize("state", WAITING, ids=lambda state: state.value)
def test_case_17_each_request_in_each_state(state: State) -> None:
    rows = rows_of(6)
    for index in REQUESTS:
        bench, request = bench_in(state), every_request()[index]
        allowed = rows.find(state, type(request)) is not None
        reply = bench.ask(request)  # asserts the pairing and that the response encodes
        response: Any = reply.response
        if allowed:
            conditional = (state.value, request.ELEMENT) in CONDITIONAL or "Metering" in request.ELEMENT
            if not conditional:
                assert response.response_code is not ResponseCode.FAILED_SequenceError, request
            continue
        _assert_refused(bench, reply, ResponseCode.FAILED_SequenceError)


@pytest.mark.parametrize("stream", [Stream.SCHEDULE, Stream.METERING, Stream.PARKING], ids=lambda stream: stream.name)
@pytest.mark.parametrize("state", WAITING, ids=lambda state: state.value)
def test_case_17_each_request_on_each_side_stream(state: State, stream: Stream) -> None:
    rows = rows_of(6)
    for index in REQUESTS:
        request = every_request()[index]
        if rows.find(state, type(request), stream) is not None:
            continue
        bench = bench_in(state)
        _assert_refused(bench, bench.ask(request, stream=stream), ResponseCode.FAILED_SequenceError)


@pytest.mark.parametrize("foreign", [bytes(8), b"\xff" * 8], ids=["zero", "foreign"])
@pytest.mark.parametrize("state", WAITING[1:], ids=lambda state: state.value)
def test_case_16_session_id_is_checked_before_the_state(state: State, foreign: bytes) -> None:
    for index in REQUESTS:
        bench, request = bench_in(state), every_request()[index]
        if isinstance(request, SessionSetupReq):
            continue
        _assert_refused(bench, bench.ask(request, foreign), ResponseCode.FAILED_UnknownSession)


def _assert_refused(bench: Bench, reply: Any, code: ResponseCode) -> None:
    assert reply.response.response_code is code
    assert reply.response.header.session_id == bench.session_id
    assert (reply.close, reply.deadline_s) == (CloseReason.FAILED, None)
    assert 0 < reply.close_delay_s <= 5.0
    assert bench.state == "Ended"
    assert len(bench.commands_of(SessionEnded)) == (0 if bench.session_id == bytes(8) else 1)


def test_nothing_is_answered_after_the_end() -> None:
    bench = Bench().to("Ended")
    for request in every_request():
        reply = bench.ask(request)
        assert reply.response is None
        assert reply.commands == ()


def test_a_response_sent_by_the_ev_ends_the_session_without_an_answer() -> None:
    bench = Bench()
    answer: Message = Bench().say(SessionSetupReq(every_request()[0].header, "EV"))  # type: ignore[attr-defined]
    bench.to("ChargeLoop")
    answer.header.session_id = bench.session_id  # type: ignore[attr-defined]
    reply = bench.session.handle(answer, bench.snapshot, bench.now_s)
    assert (reply.response, reply.close) == (None, CloseReason.UNEXPECTED_MESSAGE)
    assert len(reply.commands) == 2


def test_refusals_say_nothing_of_meaning() -> None:
    """No challenge, no service, no schedule, no measurement leaks through a refusal."""
    for request in every_request():
        bench = Bench().to("ChargeLoop")
        response = bench.ask(request, b"\xee" * 8).response
        text = repr(response)
        assert not any(secret in text for secret in ("NLEVCE1", "3985", "METER-1", "PnC_ASRes"))
