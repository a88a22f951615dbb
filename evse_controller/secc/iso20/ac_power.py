"""PowerDelivery(Start) of an AC service: the answer waits for the contactor, 1.4 s at most.

The response says nothing but done or failed, so it is held back until one of both is known. What counts is that the
contactor is closed, not that it has just closed: one that stayed closed through a hold is done at once.
"""

from __future__ import annotations

from evse_controller.messages.generated.common_messages import PowerDeliveryReq, PowerDeliveryRes
from evse_controller.messages.generated.common_types import ResponseCode
from evse_controller.model.commands import EnergyStart
from evse_controller.model.snapshot import Step
from evse_controller.secc.iso20.ending import evse_status, station_ends
from evse_controller.secc.iso20.states import Accepted, Answer, Handler, Pending, Refused, Turn
from evse_controller.secc.iso20.timers import SNAPSHOT_SETTLE_S


def once_closed(start: Handler) -> Handler:
    """`start` with its answer held back while the contactor that it asked for is not closed."""

    def handler(turn: Turn, request: PowerDeliveryReq) -> Answer:
        memory = turn.data.ac
        if memory.held is None:
            answer = start(turn, request)
            if not isinstance(answer, Accepted) or not any(isinstance(done, EnergyStart) for done in turn.commands):
                return answer
            memory.held, memory.contactor_asked_s = answer, turn.now_s
            memory.contactor_before = turn.snapshot.contactor
        elif station_ends(turn.snapshot) is not None:
            # It wants to end instead of closing: the same request is answered as if it had come now.
            memory.held = None
            return start(turn, request)
        answer = _contactor(turn, memory.held)
        if not isinstance(answer, Pending):
            memory.held = None
        return answer

    return handler


def _contactor(turn: Turn, held: Accepted) -> Answer:
    memory, step, limit_s = turn.data.ac, turn.snapshot.contactor, turn.config.timers.contactor_s
    assert memory.contactor_asked_s is not None
    waited_s = turn.now_s - memory.contactor_asked_s
    if step is Step.DONE:
        response = held.response
        assert isinstance(response, PowerDeliveryRes)
        response.header, response.evse_status = turn.header(), evse_status(turn, held.next_state)
        return held
    # A failure that stood there before we asked belongs to another try.
    fresh = step is not memory.contactor_before or waited_s >= SNAPSHOT_SETTLE_S
    pilot = f", pilot in state {turn.snapshot.pilot.value}"
    if step is Step.FAILED and fresh:
        return Refused(ResponseCode.FAILED_ContactorError, f"the contactor did not close{pilot}")
    if waited_s >= limit_s:
        return Refused(ResponseCode.FAILED_ContactorError, f"contactor not closed within {limit_s:g} s{pilot}")
    return Pending()


def nothing_first(turn: Turn) -> Refused | None:
    """Before an AC contactor closes nothing has to be prepared; whether it closes is seen afterwards."""
    return None
