"""Parking status on its side stream: a vehicle checks in to its space and out of it, beside whatever else goes on.

What the EVSE knows of the space comes from the configuration; it moves nothing.
"""

from __future__ import annotations

from evse_controller.messages.generated.common_messages import (
    EvseCheckOutStatus,
    VehicleCheckInReq,
    VehicleCheckInRes,
    VehicleCheckOutReq,
    VehicleCheckOutRes,
)
from evse_controller.messages.generated.common_types import ResponseCode
from evse_controller.secc.iso20.states import Accepted, Answer, On, Refused, State, Turn
from evse_controller.secc.streams import Stream
from evse_controller.secc.value_added import CHECK_IN, CHECK_OUT, PARKING_STATUS


def parking(state: State) -> tuple[On, On]:
    """The rows of the side stream in a state; there was a ServiceSelection before all of them."""
    return (
        On(VehicleCheckInReq, vehicle_check_in, (state,), Stream.PARKING),
        On(VehicleCheckOutReq, vehicle_check_out, (state,), Stream.PARKING),
    )


def vehicle_check_in(turn: Turn, request: VehicleCheckInReq) -> Answer:
    refused = _not_selected(turn, CHECK_IN)
    if refused is not None:
        return refused
    space = turn.config.parking
    assert space is not None  # it was offered
    response = VehicleCheckInRes(
        turn.header(), ResponseCode.OK, space.space, space.device_location, space.target_distance
    )
    return Accepted(response, turn.state, f"check-in {request.ev_check_in_status.name}")


def vehicle_check_out(turn: Turn, request: VehicleCheckOutReq) -> Answer:
    refused = _not_selected(turn, CHECK_OUT)
    if refused is not None:
        return refused
    space = turn.config.parking
    assert space is not None  # it was offered
    later = space.check_out_scheduled and request.check_out_time > turn.snapshot.utc_s
    status = EvseCheckOutStatus.Scheduled if later else EvseCheckOutStatus.Completed
    return Accepted(
        VehicleCheckOutRes(turn.header(), ResponseCode.OK, status),
        turn.state,
        f"check-out {request.ev_check_out_status.name}, time {request.check_out_time}",
    )


def _not_selected(turn: Turn, intended: int) -> Refused | None:
    if (PARKING_STATUS, intended) in turn.data.value_added:
        return None
    return Refused(ResponseCode.FAILED_SequenceError, f"ParkingStatus set {intended} was not selected")
