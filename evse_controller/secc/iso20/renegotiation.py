"""ScheduleExchange: the first one, and the two ways of making a new schedule while energy may flow.

Main stream: PowerDeliveryReq(ScheduleRenegotiation) holds energy back; ScheduleExchange, then Start with a profile.
Side stream: ScheduleExchange runs beside the charge loop; PowerDeliveryReq(ScheduleRenegotiation) with a profile puts
the new schedule in force without leaving the loop. Sources disagree which of them is meant: we follow the EV.
"""

from __future__ import annotations

from dataclasses import replace

from evse_controller.messages.generated.common_messages import (
    Scheduled_SEResControlMode,
    ScheduleExchangeReq,
    ScheduleExchangeRes,
)
from evse_controller.messages.generated.common_types import ResponseCode
from evse_controller.secc.iso20.data import Renegotiation
from evse_controller.secc.iso20.fillers import refusal
from evse_controller.secc.iso20.schedule import exchange
from evse_controller.secc.iso20.states import Accepted, Answer, Handler, Refused, State, Turn


def first_exchange(then: State) -> Handler:
    """The schedule that energy is started on; `then` is what the service does next."""

    def handler(turn: Turn, request: ScheduleExchangeReq) -> Answer:
        exchanged = exchange(turn, request)
        if isinstance(exchanged, Refused):
            return exchanged
        return Accepted(exchanged.response, then if exchanged.finished else turn.state, exchanged.reason)

    return handler


def exchange_again(turn: Turn, request: ScheduleExchangeReq) -> Answer:
    """Main stream, energy held back: Ongoing stays, anything finished waits for Start. A plan that fails changes none.

    A second exchange before Start replaces the first, and has no time of its own.
    """
    if (late := overdue(turn)) is not None:
        return late
    if not turn.data.renegotiating:
        begin(turn)
    exchanged = exchange(turn, request)
    if isinstance(exchanged, Refused):
        return exchanged
    if exchanged.finished:
        _told(turn)
    return Accepted(
        exchanged.response,
        State.RENEGOTIATED if exchanged.finished else State.SCHEDULE_RENEGOTIATION,
        exchanged.reason,
    )


def exchange_beside(turn: Turn, request: ScheduleExchangeReq) -> Answer:
    """Side stream, energy flows on by the old schedule until the EV's PowerDeliveryReq takes the new one."""
    if not turn.data.renegotiating:
        begin(turn)
    exchanged = exchange(turn, request)
    if isinstance(exchanged, Refused):
        return exchanged
    if exchanged.failed:
        give_up(turn)
    elif exchanged.finished:
        _told(turn)
    return Accepted(exchanged.response, turn.state, exchanged.reason)


def exchange_overtaken(turn: Turn, request: ScheduleExchangeReq) -> Answer:
    """Side stream, but the loop was left while the request was being read: nothing is planned, what held holds."""
    response = refusal(request, ResponseCode.WARNING_ScheduleRenegotiationFailed, turn.header())
    assert isinstance(response, ScheduleExchangeRes)
    if response.scheduled_se_res_control_mode is not None and turn.data.schedule_sent:
        response.scheduled_se_res_control_mode = Scheduled_SEResControlMode(turn.data.schedule_sent)
    return Accepted(response, turn.state, "the loop was left meanwhile; no new schedule")


def overdue(turn: Turn) -> Refused | None:
    """What was due has not come, and nothing else of the EV counts instead."""
    due = turn.data.due
    return None if due is None or turn.now_s < due.at_s else Refused(ResponseCode.FAILED, f"{due.what} did not come")


def begin(turn: Turn) -> None:
    """A new schedule is asked for. One that was told, but never taken, is no schedule to go back to."""
    data = turn.data
    if data.renegotiation is not None:
        give_up(turn)
    data.renegotiation = Renegotiation(data.tuples, data.schedule_sent)
    data.schedule_asked_s = None


def give_up(turn: Turn) -> None:
    """The old schedule holds."""
    data = turn.data
    assert data.renegotiation is not None
    data.tuples, data.schedule_sent = data.renegotiation.tuples_before, data.renegotiation.sent_before
    data.renegotiation = None


def _told(turn: Turn) -> None:
    assert turn.data.renegotiation is not None
    turn.data.renegotiation = replace(turn.data.renegotiation, told=True)
