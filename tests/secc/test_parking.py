"""ParkingStatus on its side stream: VehicleCheckIn and VehicleCheckOut (protocol.md A.2, B.5)."""

from __future__ import annotations

from typing import Any

import pytest

from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.generated.common_types import ResponseCode
from evse_controller.secc.config import SeccConfig
from evse_controller.secc.reply import Reply
from evse_controller.secc.streams import Stream
from evse_controller.secc.value_added import ParkingStatus
from tests.secc.ev import UTC_S, Bench, header, loop, selection
from tests.secc.ev_ac import AC, AC_BPT, AcBench
from tests.secc.ev_ac import loop as ac_loop

SPACE = ParkingStatus(space=7, device_location=-3, target_distance=120)
STATES = ("ChargeParameterDiscovery", "CableCheck", "PowerDelivery", "ChargeLoop", "Standby", "SessionStop")


def check_in(status: cm.EvCheckInStatus = cm.EvCheckInStatus.CheckIn) -> cm.VehicleCheckInReq:
    return cm.VehicleCheckInReq(header(), status, cm.ParkingMethod.Manual)


def check_out(at_utc_s: float = 0.0) -> cm.VehicleCheckOutReq:
    return cm.VehicleCheckOutReq(header(), cm.EvCheckOutStatus.CheckOut, int(at_utc_s))


def parked(*pairs: tuple[int, int], space: ParkingStatus = SPACE, bench: Bench | None = None) -> Bench:
    """A session that selected these parking sets."""
    bench = bench or Bench(SeccConfig(parking=space))
    bench.to("ServiceDetail").say(cm.ServiceDetailReq(header(), 66))
    bench.say(cm.ServiceDetailReq(header(), bench.service))
    assert bench.say(selection(bench.service, 1, *pairs)).response_code is ResponseCode.OK
    return bench


def beside(bench: Bench, request: Any) -> Any:
    return bench.say(request, Stream.PARKING)


@pytest.mark.parametrize("state", STATES)
def test_checked_in_and_out_beside_everything_after_the_selection(state: str) -> None:
    bench = parked((66, 1), (66, 2)).to(state)
    deadline_s = bench.session.deadline_s
    answer = beside(bench.after(0.25), check_in())
    assert (answer.response_code, answer.parking_space) == (ResponseCode.OK, 7)
    assert (answer.device_location, answer.target_distance) == (-3, 120)
    out = beside(bench, check_out())
    assert (out.response_code, out.evse_check_out_status) == (ResponseCode.OK, cm.EvseCheckOutStatus.Completed)
    assert bench.state == state
    assert bench.session.deadline_s == deadline_s  # a side stream does not keep the main one alive


def test_at_an_ac_outlet_too() -> None:
    bench = parked((66, 1), bench=AcBench(SeccConfig(services=(AC, AC_BPT), parking=SPACE))).to("ChargeLoop")
    assert beside(bench, check_in()).response_code is ResponseCode.OK
    assert bench.say(ac_loop(1, True)).response_code is ResponseCode.OK


@pytest.mark.parametrize(
    ("chosen", "request_"), [((), check_in()), (((66, 1),), check_out()), (((66, 2),), check_in())]
)
def test_what_was_not_selected_is_a_sequence_error(chosen: tuple[tuple[int, int], ...], request_: Any) -> None:
    bench = parked(*chosen).to("ChargeLoop")
    assert beside(bench, request_).response_code is ResponseCode.FAILED_SequenceError
    assert bench.state == "Ended"


def test_before_the_selection_and_on_the_main_stream_it_is_a_sequence_error() -> None:
    bench = Bench(SeccConfig(parking=SPACE)).to("ServiceDetail")
    assert beside(bench, check_in()).response_code is ResponseCode.FAILED_SequenceError
    bench = parked((66, 1)).to("ChargeLoop")
    assert bench.say(check_in()).response_code is ResponseCode.FAILED_SequenceError


def test_a_later_departure_is_scheduled_only_where_that_is_offered() -> None:
    later = UTC_S + 7200
    for space, at_utc_s, status in (
        (ParkingStatus(check_out_scheduled=True), later, cm.EvseCheckOutStatus.Scheduled),
        (ParkingStatus(check_out_scheduled=True), UTC_S - 1, cm.EvseCheckOutStatus.Completed),
        (ParkingStatus(), later, cm.EvseCheckOutStatus.Completed),
    ):
        answer = beside(parked((66, 2), space=space), check_out(at_utc_s))
        assert answer.evse_check_out_status is status


def test_nothing_is_said_of_a_space_that_nobody_described() -> None:
    answer = beside(parked((66, 1), space=ParkingStatus()), check_in())
    assert (answer.parking_space, answer.device_location, answer.target_distance) == (None, None, None)


def test_the_event_says_the_stream_and_the_loop_goes_on() -> None:
    bench = parked((66, 1)).to("ChargeLoop")
    reply: Reply = bench.ask(check_in(), stream=Stream.PARKING)
    assert reply.event is not None
    assert reply.event.stream is Stream.PARKING
    assert bench.say(loop()).response_code is ResponseCode.OK
