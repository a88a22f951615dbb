"""Side streams on the wire: payload types 0x8101 and 0x8102 beside the main stream, one request outstanding on each."""

from __future__ import annotations

import random
from typing import Any

import pytest

from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.generated.common_types import Processing, ResponseCode
from evse_controller.model.commands import MeterConfirmed
from evse_controller.model.snapshot import Notification
from evse_controller.secc.output import Output
from evse_controller.secc.reply import CloseReason
from evse_controller.secc.streams import Stream, stream_of
from evse_controller.secc.v2gtp import PayloadType
from tests.secc.ev import (
    DYNAMIC,
    NS_DC,
    SCHEDULED,
    frame,
    header,
    loop,
    power_delivery,
    read,
    sap_request,
    schedule_request,
)
from tests.secc.wire import Wire

BESIDE = PayloadType.SCHEDULE_RENEGOTIATION


def looping(large_bytes: int | None = None, mode: int = SCHEDULED) -> Wire:
    bench = Wire(chance=random.Random(1), control_mode=mode)
    bench.feed(frame(sap_request((NS_DC, 1, 0, 1, 1))))
    bench.to("ChargeLoop")
    bench.ask(loop(mode))
    bench.link.large_bytes = large_bytes
    return bench


def send(bench: Wire, request: Any, payload_type: int | None = None) -> list[Output]:
    """Nothing is carried out: the outputs as they come."""
    request.header = header(bench.session_id)
    return bench.link.receive(frame(request, payload_type), bench.snapshot, bench.now_s)


def test_which_payload_type_is_which_stream() -> None:
    assert stream_of(0x8101) is Stream.SCHEDULE
    assert stream_of(0x8102) is Stream.METERING
    assert stream_of(0x8104) is Stream.PARKING
    assert {stream_of(kind) for kind in (0x8001, 0x8002, 0x8003, 0x8004)} == {Stream.MAIN}


def test_an_answer_leaves_with_the_payload_type_of_its_request() -> None:
    bench = looping()
    (output,) = send(bench, schedule_request(SCHEDULED), BESIDE)
    assert (output.payload_type, output.beside, output.event and output.event.stream) == (BESIDE, True, Stream.SCHEDULE)
    assert read(output).evse_processing is Processing.Ongoing
    (output,) = send(bench, loop())
    assert (output.payload_type, output.beside) == (PayloadType.ISO20_DC, False)


def test_a_side_stream_does_not_keep_the_loop_alive() -> None:
    """[V2G20-1502]"""
    bench = looping()
    due_s = bench.link.next_deadline_s
    bench.after(0.25)
    bench.ask(schedule_request(SCHEDULED), stream=Stream.SCHEDULE)
    assert bench.link.next_deadline_s == due_s
    bench.after(0.25)
    (output,) = bench.timers()
    assert output.close is CloseReason.SEQUENCE_TIMEOUT


def test_a_main_answer_that_leaves_late_restarts_the_timer_and_a_side_answer_does_not() -> None:
    bench = looping()
    send(bench, loop())
    send(bench, schedule_request(SCHEDULED), BESIDE)
    bench.link.on_sent(bench.now_s + 0.1)  # the loop's answer
    assert bench.link.next_deadline_s == bench.now_s + 0.6
    bench.link.on_sent(bench.now_s + 0.2)  # that of the side stream
    assert bench.link.next_deadline_s == bench.now_s + 0.6


def test_the_loop_goes_on_while_a_large_message_of_a_side_stream_is_coded() -> None:
    bench = looping(large_bytes=16)
    (asked,) = send(bench, schedule_request(SCHEDULED), BESIDE)
    assert asked.beside
    assert asked.work is not None
    bench.link.large_bytes = None
    for _ in range(3):
        bench.after(0.25)
        (output,) = send(bench, loop())
        assert read(output).response_code is ResponseCode.OK
    (answer,) = bench.link.coded(asked.work, asked.work.run(), bench.snapshot, bench.now_s)
    assert (answer.payload_type, read(answer).evse_processing) == (BESIDE, Processing.Ongoing)


def test_the_next_request_of_a_stream_waits_for_the_one_outstanding() -> None:
    bench = looping(large_bytes=16)
    (asked,) = send(bench, schedule_request(SCHEDULED), BESIDE)
    assert send(bench, schedule_request(SCHEDULED), BESIDE) == []
    bench.link.large_bytes = None
    assert asked.work is not None
    answers = bench.link.coded(asked.work, asked.work.run(), bench.snapshot, bench.now_s)
    assert [output.payload_type for output in answers] == [BESIDE, BESIDE]


def test_work_of_a_side_stream_that_never_ends_ends_the_connection() -> None:
    bench = looping(large_bytes=16)
    (asked,) = send(bench, schedule_request(SCHEDULED), BESIDE)
    bench.link.large_bytes = None
    begun_s = bench.now_s
    while bench.now_s < begun_s + 60:
        assert not bench.link.closed
        bench.after(0.25)
        if bench.now_s < begun_s + 60:
            bench.ask(loop())
        else:
            bench.timers()
    assert bench.link.closed
    assert asked.work is not None
    assert bench.link.coded(asked.work, asked.work.run(), bench.snapshot, bench.now_s) == []


def test_nothing_follows_on_a_side_stream_once_the_session_is_over() -> None:
    bench = looping(large_bytes=16)
    (asked,) = send(bench, schedule_request(SCHEDULED), BESIDE)
    bench.link.large_bytes = None
    send(bench, cm.SessionStopReq(header(), cm.ChargingSession.Terminate))
    assert bench.state == "Ended"
    assert asked.work is not None
    assert bench.link.coded(asked.work, asked.work.run(), bench.snapshot, bench.now_s) == []


LEAVING: dict[str, Any] = {
    "WeldingDetection": power_delivery(cm.ChargeProgress.Stop),
    "Standby": power_delivery(cm.ChargeProgress.Standby),
    "ScheduleRenegotiation": power_delivery(cm.ChargeProgress.ScheduleRenegotiation),
    "ServiceDiscovery": cm.SessionStopReq(header(), cm.ChargingSession.ServiceRenegotiation),
}


@pytest.mark.parametrize("mode", [SCHEDULED, DYNAMIC])
@pytest.mark.parametrize("state", LEAVING)
def test_a_schedule_asked_for_in_time_is_refused_mildly_when_the_loop_was_left_meanwhile(
    state: str, mode: int
) -> None:
    """It was legal when it was sent: a WARNING on its stream, no new schedule, and the session goes on."""
    bench = looping(large_bytes=16, mode=mode)
    (asked,) = send(bench, schedule_request(mode), BESIDE)
    assert asked.work is not None
    bench.link.large_bytes = None
    send(bench, LEAVING[state])
    assert bench.state == state
    (output,) = bench.link.coded(asked.work, asked.work.run(), bench.snapshot, bench.now_s)
    answer = read(output)
    assert (output.payload_type, output.commands, output.close) == (BESIDE, (), None)
    assert answer.response_code is ResponseCode.WARNING_ScheduleRenegotiationFailed
    assert answer.evse_processing is Processing.Finished
    assert (answer.dynamic_se_res_control_mode is not None) is (mode == DYNAMIC)
    assert bench.state == state
    # What is sent from now on is not in time: it makes no schedule, and is no reason to end before a service is over.
    (output,) = send(bench, schedule_request(mode), BESIDE)
    assert (read(output).response_code is ResponseCode.FAILED_SequenceError) is (state == "ServiceDiscovery")


def test_a_schedule_request_that_waited_behind_its_own_stream_was_in_time_too() -> None:
    bench = looping(large_bytes=16)
    (asked,) = send(bench, schedule_request(SCHEDULED), BESIDE)
    assert send(bench, schedule_request(SCHEDULED), BESIDE) == []
    bench.link.large_bytes = None
    send(bench, power_delivery(cm.ChargeProgress.Stop))
    assert asked.work is not None
    answers = bench.link.coded(asked.work, asked.work.run(), bench.snapshot, bench.now_s)
    assert [read(output).response_code.name for output in answers] == ["WARNING_ScheduleRenegotiationFailed"] * 2


def test_a_confirmation_that_was_in_time_counts_although_the_service_was_left_meanwhile() -> None:
    bench = looping()
    bench.set(notification=Notification.METERING_CONFIRMATION, notification_max_delay_s=60)
    reading = bench.ask(loop()).response.meter_info
    bench.set(notification=None)
    signed = cm.SignedMeteringData(
        "id1", bench.session_id, reading, scheduled_smdt_control_mode=cm.Scheduled_SMDTControlMode(1)
    )
    bench.link.large_bytes = 16
    request = cm.MeteringConfirmationReq(header(), signed)
    (asked,) = send(bench, request, PayloadType.METERING_CONFIRMATION)
    assert asked.work is not None
    bench.link.large_bytes = None
    send(bench, LEAVING["ServiceDiscovery"])
    assert bench.state == "ServiceDiscovery"
    (output,) = bench.link.coded(asked.work, asked.work.run(), bench.snapshot, bench.now_s)
    assert read(output).response_code is ResponseCode.OK
    assert [type(command) for command in output.commands] == [MeterConfirmed]


@pytest.mark.parametrize("payload_type", [0x8101, 0x8102, 0x8104])
def test_a_main_message_on_a_side_stream_is_refused_there_and_ends_the_session(payload_type: int) -> None:
    bench = looping()
    (output,) = send(bench, power_delivery(cm.ChargeProgress.Stop), payload_type)
    assert output.payload_type == payload_type
    assert read(output).response_code is ResponseCode.FAILED_SequenceError
    assert bench.state == "Ended"
