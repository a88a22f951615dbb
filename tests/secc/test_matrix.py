"""{each request} x {each state}: allowed where the table says so, else the paired refusal (F.2 cases 16 and 17)."""

from __future__ import annotations

from typing import Any

import pytest

from evse_controller.messages.base import Message
from evse_controller.messages.generated.common_messages import SessionSetupReq
from evse_controller.messages.generated.common_types import ResponseCode
from evse_controller.model.commands import SessionEnded
from evse_controller.secc.iso20.catalogue import SERVICES
from evse_controller.secc.iso20.fillers import COMMON_FILLERS
from evse_controller.secc.iso20.fillers_ac import AC_FILLERS
from evse_controller.secc.iso20.fillers_dc import DC_FILLERS
from evse_controller.secc.iso20.services import rows_of
from evse_controller.secc.iso20.states import State
from evse_controller.secc.reply import CloseReason
from evse_controller.secc.streams import Stream
from tests.secc.ev import Bench, every_request
from tests.secc.ev_ac import AcBench

WAITING = [state for state in State if state is not State.ENDED]
REQUESTS = range(len(every_request()))
# Which requests each state hears, written down a second time: the tables are checked against protocol.md B.1.
BEFORE = {
    "SessionSetup": {"SessionSetupReq"},
    "AuthorizationSetup": {"AuthorizationSetupReq"},
    "Authorization": {"AuthorizationReq", "CertificateInstallationReq"},
    "ServiceDiscovery": {"ServiceDiscoveryReq"},
    "ServiceDetail": {"ServiceDetailReq"},
    "ServiceSelection": {"ServiceDetailReq", "ServiceSelectionReq"},
}
HELD = {
    "ScheduleExchange": {"ScheduleExchangeReq"},
    "Standby": {"PowerDeliveryReq", "MeteringConfirmationReq"},
    "ScheduleRenegotiation": {"ScheduleExchangeReq", "PowerDeliveryReq", "MeteringConfirmationReq"},
    "Renegotiated": {"PowerDeliveryReq", "ScheduleExchangeReq", "MeteringConfirmationReq"},
}
HEARD_DC = BEFORE | HELD | {
    "ChargeParameterDiscovery": {"DC_ChargeParameterDiscoveryReq"},
    "CableCheck": {"DC_CableCheckReq"},
    "PreCharge": {"DC_PreChargeReq", "DC_CableCheckReq", "PowerDeliveryReq"},
    "PowerDelivery": {"PowerDeliveryReq", "DC_PreChargeReq", "DC_ChargeLoopReq"},
    "ChargeLoop": {"DC_ChargeLoopReq", "PowerDeliveryReq", "MeteringConfirmationReq"},
    "WeldingDetection": {"DC_WeldingDetectionReq", "PowerDeliveryReq", "MeteringConfirmationReq"},
    "SessionStop": {"DC_WeldingDetectionReq", "PowerDeliveryReq", "MeteringConfirmationReq"},
}
HEARD_AC = BEFORE | HELD | {
    "ChargeParameterDiscovery": {"AC_ChargeParameterDiscoveryReq"},
    "PowerDelivery": {"PowerDeliveryReq", "AC_ChargeLoopReq"},
    "ChargeLoop": {"AC_ChargeLoopReq", "PowerDeliveryReq", "MeteringConfirmationReq"},
    "SessionStop": {"PowerDeliveryReq", "MeteringConfirmationReq"},
}
HEARD = {2: HEARD_DC, 6: HEARD_DC, 8: HEARD_DC, 9: HEARD_DC, 1: HEARD_AC, 5: HEARD_AC}
_METERED = {"ChargeLoop", "Standby", "ScheduleRenegotiation", "Renegotiated", "WeldingDetection", "SessionStop"}
# What each side stream hears, and where.
BESIDE = {
    Stream.SCHEDULE: {state: {"ScheduleExchangeReq"} for state in _METERED},
    Stream.METERING: {state: {"MeteringConfirmationReq"} for state in _METERED},
    Stream.PARKING: {
        state.value: {"VehicleCheckInReq", "VehicleCheckOutReq"} for state in WAITING if state.value not in BEFORE
    },
}
# Rows with a condition of their own that the usual way does not meet.
CONDITIONAL = {
    ("Authorization", "CertificateInstallationReq"),  # needs a verifier of contracts
    ("PowerDelivery", "DC_ChargeLoopReq"),  # needs a Start before
    ("PowerDelivery", "AC_ChargeLoopReq"),
    ("ScheduleRenegotiation", "PowerDeliveryReq"),  # only Stop
    ("WeldingDetection", "PowerDeliveryReq"),
    ("SessionStop", "PowerDeliveryReq"),
}
BENCHES: dict[str, type[Bench]] = {"dc": Bench, "ac": AcBench}
EVERYWHERE = [
    (kind, state) for kind in BENCHES for state in WAITING if kind == "dc" or state.value in HEARD_AC
]


def named(value: str | State) -> str:
    return value if isinstance(value, str) else value.value


def test_no_service_has_a_table_that_is_not_in_this_matrix() -> None:
    assert set(HEARD) == set(SERVICES)


@pytest.mark.parametrize("service", HEARD)
def test_table_hears_what_the_protocol_says_and_session_stop_everywhere(service: int) -> None:
    rows, expected = rows_of(service), HEARD[service]
    for state in WAITING:
        if state.value not in expected:
            assert rows.allowed(state) == ()
            continue
        stop = set() if state is State.SESSION_SETUP else {"SessionStopReq"}
        assert {request.ELEMENT for request in rows.allowed(state)} == expected[state.value] | stop
        for stream, heard in BESIDE.items():
            assert {request.ELEMENT for request in rows.allowed(state, stream)} == heard.get(state.value, set())


def test_every_request_has_a_paired_refusal() -> None:
    assert {request.ELEMENT for request in every_request()} == {*COMMON_FILLERS, *AC_FILLERS, *DC_FILLERS}


@pytest.mark.parametrize(("kind", "state"), EVERYWHERE, ids=named)
def test_case_17_each_request_in_each_state(kind: str, state: State) -> None:
    for index in REQUESTS:
        bench, request = BENCHES[kind]().to(state.value), every_request()[index]
        allowed = rows_of(bench.service).find(state, type(request)) is not None
        reply = bench.ask(request)  # asserts the pairing and that the response encodes
        response: Any = reply.response
        if allowed:
            conditional = (state.value, request.ELEMENT) in CONDITIONAL or "Metering" in request.ELEMENT
            if not conditional and response is not None:
                assert response.response_code is not ResponseCode.FAILED_SequenceError, request
            # Only an AC outlet's contactor lets an answer wait.
            assert response is not None or (kind, request.ELEMENT) == ("ac", "PowerDeliveryReq")
            continue
        _assert_refused(bench, reply, ResponseCode.FAILED_SequenceError)


@pytest.mark.parametrize("stream", [Stream.SCHEDULE, Stream.METERING, Stream.PARKING], ids=lambda stream: stream.name)
@pytest.mark.parametrize(("kind", "state"), EVERYWHERE, ids=named)
def test_case_17_each_request_on_each_side_stream(kind: str, state: State, stream: Stream) -> None:
    for index in REQUESTS:
        bench, request = BENCHES[kind](), every_request()[index]
        if rows_of(bench.service).find(state, type(request), stream) is not None:
            continue
        bench.to(state.value)
        _assert_refused(bench, bench.ask(request, stream=stream), ResponseCode.FAILED_SequenceError)


@pytest.mark.parametrize("foreign", [bytes(8), b"\xff" * 8], ids=["zero", "foreign"])
@pytest.mark.parametrize(("kind", "state"), [at for at in EVERYWHERE if at[1] is not WAITING[0]], ids=named)
def test_case_16_session_id_is_checked_before_the_state(kind: str, state: State, foreign: bytes) -> None:
    for index in REQUESTS:
        bench, request = BENCHES[kind]().to(state.value), every_request()[index]
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
